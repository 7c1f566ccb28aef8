//! Rehearsals and load: what devices did, measured, judged against thresholds, and shown.
//!
//! Whoever runs devices, on the virtual clock or on real sockets, feeds an [`Observer`] in the order of
//! time. It keeps no raw samples; what it says at the end is a [`RunResult`], the one thing that reports
//! and comparisons read. A [`Proxy`] puts a bad path between devices and a server.

pub mod agents;
mod compare;
mod impair;
mod limit;
pub mod load;
mod metric;
mod observer;
mod report;
mod result;
#[cfg(test)]
mod sample;
pub mod scenario;
pub mod simulate;
mod threshold;

pub use compare::{
    Change, Comparison, FailIf, FailIfError, Met, OTHERS_MAX, Row, SIGNIFICANT, compare_exit_code,
    compare_html,
};
pub use impair::{Proxy, ProxyConfig, ProxyCounters, ProxyError};
pub use limit::{FoundLimit, Tried, find_limit};
pub use metric::{
    Aggregate, Definition, Kind, Labels, METRICS, Metrics, SeriesId, Trend, Unit, Value,
};
pub use observer::{
    Cause, CoapSample, DeviceInfo, DeviceRow, DeviceState, Live, LiveCell, Observer,
    ObserverConfig, Rates, ServerSample,
};
pub use report::{
    ReportFiles, devices_csv, junit_xml, open_metrics, open_metrics_now, report_html, series_csv,
    slowest_csv, summary_markdown,
};
pub use result::{
    CellResult, DeviceStep, End, FailureCount, Mode, RESULT_SCHEMA, ReadError, RunResult, SaidBy,
    Series, SlowDevice, StepKind,
};
pub use threshold::{
    EXIT_BROKEN, Judged, Judgement, Threshold, ThresholdError, ThresholdResult, ThresholdSpec,
    ThresholdTable,
};
