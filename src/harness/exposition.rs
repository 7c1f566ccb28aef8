//! A run's metrics in Prometheus' text format, which OpenMetrics' readers take. Sans-IO.

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::metric::{Definition, Kind, Labels, METRICS, Metrics, Trend, Unit, Value};
use super::observer::Live;

/// What names begin with.
const PREFIX: &str = "narrowcast_run";

/// The shares of times that are shown.
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// How a run stands, as text: `narrowcast_run_devices{state,ce}`, and each metric of a result under its
/// name, `coap.round_trip` as `narrowcast_run_coap_round_trip_seconds`.
pub fn exposition(live: &Live, metrics: &Metrics) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    let seconds = live.elapsed.as_secs_f64();
    gauge(&recorder, "elapsed_seconds", Vec::new(), seconds);
    for (state, levels) in &live.states {
        for (ce, count) in levels.iter().enumerate() {
            let labels = vec![
                Label::new("state", state.word()),
                Label::new("ce", ce.to_string()),
            ];
            gauge(&recorder, "devices", labels, *count as f64);
        }
    }
    for metric in METRICS {
        let name = name_of(metric);
        let described = KeyName::from(format!("{PREFIX}_{name}"));
        match metric.kind {
            Kind::Counter => recorder.describe_counter(described, None, metric.en.into()),
            Kind::Gauge | Kind::Rate | Kind::Trend => {
                recorder.describe_gauge(described, None, metric.en.into());
            }
        }
        for (labels, value) in metrics.matching(metric.name, &Labels::none()) {
            add(&recorder, &name, metric.unit, labels, value);
        }
    }
    recorder.handle().render()
}

fn add(recorder: &PrometheusRecorder, name: &str, unit: Unit, labels: &Labels, value: &Value) {
    let own = labels_of(labels);
    match value {
        Value::Counter { count } => {
            let key = Key::from_parts(format!("{PREFIX}_{name}"), own);
            recorder.register_counter(&key, &METADATA).absolute(*count);
        }
        Value::Gauge { value, .. } => {
            let scale = if unit == Unit::Time { 1e-6 } else { 1.0 };
            gauge(recorder, name, own, *value as f64 * scale);
        }
        Value::Rate { hits, all } if *all > 0 => {
            gauge(recorder, name, own, *hits as f64 / *all as f64);
        }
        Value::Rate { .. } => {}
        Value::Trend(trend) => quantiles(recorder, name, &own, trend),
    }
}

fn quantiles(recorder: &PrometheusRecorder, name: &str, own: &[Label], trend: &Trend) {
    for quantile in QUANTILES {
        let Some(took) = trend.percentile(quantile * 100.0) else {
            continue;
        };
        let mut labels = own.to_vec();
        labels.push(Label::new("quantile", quantile.to_string()));
        gauge(recorder, name, labels, took.as_secs_f64());
    }
}

fn gauge(recorder: &PrometheusRecorder, name: &str, labels: Vec<Label>, value: f64) {
    let key = Key::from_parts(format!("{PREFIX}_{name}"), labels);
    recorder.register_gauge(&key, &METADATA).set(value);
}

fn labels_of(labels: &Labels) -> Vec<Label> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| Label::new(name.to_owned(), value.to_owned()))
        .collect()
}

/// With its unit, as Prometheus' naming asks.
fn name_of(metric: &Definition) -> String {
    let base = metric.name.replace('.', "_");
    let unit = match (metric.kind, metric.unit) {
        (Kind::Counter, _) => "total",
        (Kind::Gauge | Kind::Rate | Kind::Trend, Unit::Time) => "seconds",
        (Kind::Gauge | Kind::Rate | Kind::Trend, Unit::Bytes) => "bytes",
        (Kind::Gauge | Kind::Rate | Kind::Trend, Unit::Share) => "ratio",
        (Kind::Gauge | Kind::Rate | Kind::Trend, Unit::Count) => return base,
    };
    if base.ends_with(unit) || base.ends_with("_rate") {
        return base;
    }
    format!("{base}_{unit}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::harness::DeviceState;

    #[test]
    fn metrics_are_shown_with_their_units_and_times_by_quantiles() {
        let mut metrics = Metrics::default();
        let ce = |level: u8| Labels::of([("ce", level.to_string())]);
        metrics.count("coap.sent", ce(2), 7);
        metrics.gauge("server.rss", Labels::none(), 4096);
        metrics.gauge("server.cpu_per_block", Labels::none(), 250);
        metrics.hit("coap.retransmit_ratio", ce(0), true);
        metrics.hit("coap.retransmit_ratio", ce(0), false);
        metrics.time("coap.round_trip", ce(1), Duration::from_millis(1500));
        let live = Live {
            elapsed: Duration::from_secs(3),
            states: BTreeMap::from([(DeviceState::Registered, [5, 2, 1])]),
            ..Live::default()
        };
        let text = exposition(&live, &metrics);
        for line in [
            "# TYPE narrowcast_run_coap_sent_total counter",
            "narrowcast_run_coap_sent_total{ce=\"2\"} 7",
            "narrowcast_run_server_rss_bytes 4096",
            "narrowcast_run_server_cpu_per_block_seconds 0.00025",
            "narrowcast_run_coap_retransmit_ratio{ce=\"0\"} 0.5",
            "narrowcast_run_devices{state=\"registered\",ce=\"1\"} 2",
            "narrowcast_run_elapsed_seconds 3",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
        }
        let quantile = "narrowcast_run_coap_round_trip_seconds{ce=\"1\",quantile=\"0.95\"} 1.5";
        assert!(text.contains(quantile), "{text}");
    }
}
