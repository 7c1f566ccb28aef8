//! Rehearsals and load: what devices did, measured, judged against thresholds, and shown.
//!
//! Whoever runs devices, on the virtual clock or on real sockets, feeds an [`Observer`] in the order of
//! time. It keeps no raw samples; what it says at the end is a [`RunResult`], the one thing that reports
//! and comparisons read.

mod metric;
mod observer;
mod result;
pub mod scenario;
pub mod simulate;
mod threshold;

pub use metric::{
    Aggregate, Definition, Kind, Labels, METRICS, Metrics, SeriesId, Trend, Unit, Value,
};
pub use observer::{
    CoapSample, DeviceInfo, DeviceState, Live, LiveCell, Observer, ObserverConfig, Rates,
    ServerSample,
};
pub use result::{
    CellResult, DeviceStep, End, FailureCount, Mode, RESULT_SCHEMA, ReadError, RunResult, SaidBy,
    Series, SlowDevice, StepKind,
};
pub use threshold::{
    EXIT_BROKEN, Judged, Judgement, Threshold, ThresholdError, ThresholdResult, ThresholdSpec,
    ThresholdTable,
};
