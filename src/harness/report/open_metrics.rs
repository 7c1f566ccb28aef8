//! How a run stands and what it came to, for collectors of metrics: OpenMetrics 1.0 text. Sans-IO.

use std::fmt::Write;

use crate::harness::metric::{Definition, Labels, METRICS, Metrics, Unit, Value};
use crate::harness::observer::Live;
use crate::harness::result::RunResult;

/// What such a text ends with.
const END: &str = "# EOF\n";

/// The percentiles of each time.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// The metrics of a run, its thresholds, and how many devices it updated. Times are in seconds. Of a gauge
/// there is its last value, and its highest as `_max`.
pub fn open_metrics(result: &RunResult) -> String {
    let mut text = families(&result.metrics);
    for (name, help, value) in [
        ("devices", "devices of the run", result.devices as f64),
        (
            "devices_updated",
            "devices that run the new version at its end",
            result.updated as f64,
        ),
        (
            "duration_seconds",
            "how long the run lasted, on its own clock",
            result.duration_ms as f64 / 1e3,
        ),
    ] {
        head(&mut text, &format!("narrowcast_run_{name}"), "gauge", help);
        sample(&mut text, &format!("narrowcast_run_{name}"), "", value);
    }
    if !result.thresholds.is_empty() {
        let name = "narrowcast_run_threshold_held";
        head(&mut text, name, "gauge", "1 where the threshold held");
        for threshold in &result.thresholds {
            let labels = format!(
                "{{metric=\"{}\",expression=\"{}\"}}",
                escaped(&threshold.metric),
                escaped(&threshold.expression)
            );
            sample(
                &mut text,
                name,
                &labels,
                f64::from(u8::from(threshold.held())),
            );
        }
    }
    text.push_str(END);
    text
}

/// How a run stands at this moment: the metrics so far, and how many devices of each level are in each state.
pub fn open_metrics_now(live: &Live, metrics: &Metrics) -> String {
    let mut text = families(metrics);
    let name = "narrowcast_run_elapsed_seconds";
    head(
        &mut text,
        name,
        "gauge",
        "how long the run has lasted, on its own clock",
    );
    sample(&mut text, name, "", live.elapsed.as_secs_f64());
    let name = "narrowcast_run_devices_in_state";
    head(
        &mut text,
        name,
        "gauge",
        "devices of this coverage level in this state",
    );
    for (state, levels) in &live.states {
        for (ce, count) in levels.iter().enumerate() {
            let labels = format!("{{ce=\"{ce}\",state=\"{}\"}}", state.word());
            sample(&mut text, name, &labels, *count as f64);
        }
    }
    text.push_str(END);
    text
}

fn families(metrics: &Metrics) -> String {
    let (mut text, none) = (String::new(), Labels::none());
    for metric in METRICS {
        let all: Vec<_> = metrics.matching(metric.name, &none).collect();
        if !all.is_empty() {
            family(&mut text, metric, &all);
        }
    }
    text
}

/// One metric with all its series.
fn family(text: &mut String, metric: &Definition, all: &[(&Labels, &Value)]) {
    let name = format!(
        "narrowcast_run_{}{}",
        metric.name.replace('.', "_"),
        suffix(metric.unit)
    );
    let kind = match all.first() {
        Some((_, Value::Counter { .. })) => "counter",
        Some((_, Value::Trend(_))) => "summary",
        Some((_, Value::Gauge { .. } | Value::Rate { .. })) | None => "gauge",
    };
    head(text, &name, kind, metric.en);
    let scale = if metric.unit == Unit::Time { 1e-6 } else { 1.0 };
    for (labels, value) in all {
        match value {
            Value::Counter { count } => {
                sample(
                    text,
                    &format!("{name}_total"),
                    &braced(labels, None),
                    *count as f64,
                );
            }
            Value::Gauge { value, .. } => {
                sample(text, &name, &braced(labels, None), *value as f64 * scale);
            }
            Value::Rate { hits, all } => {
                let share = *hits as f64 / (*all).max(1) as f64;
                sample(text, &name, &braced(labels, None), share);
            }
            Value::Trend(trend) => {
                for quantile in QUANTILES {
                    if let Some(took) = trend.percentile(quantile * 100.0) {
                        let labels = braced(labels, Some(quantile));
                        sample(text, &name, &labels, took.as_secs_f64());
                    }
                }
                let labels = braced(labels, None);
                let sum = trend.mean().unwrap_or_default().as_secs_f64() * trend.count() as f64;
                sample(text, &format!("{name}_sum"), &labels, sum);
                sample(
                    text,
                    &format!("{name}_count"),
                    &labels,
                    trend.count() as f64,
                );
            }
        }
    }
    if all
        .iter()
        .any(|(_, value)| matches!(value, Value::Gauge { .. }))
    {
        let name = format!("{name}_max");
        head(
            text,
            &name,
            "gauge",
            &format!("the highest of: {}", metric.en),
        );
        for (labels, value) in all {
            if let Value::Gauge { max, .. } = value {
                sample(text, &name, &braced(labels, None), *max as f64 * scale);
            }
        }
    }
}

/// Base units in names, as Prometheus wants them.
const fn suffix(unit: Unit) -> &'static str {
    match unit {
        Unit::Time => "_seconds",
        Unit::Bytes => "_bytes",
        Unit::Count | Unit::Share => "",
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "# TYPE {name} {kind}\n# HELP {name} {}",
        escaped(help)
    );
}

fn sample(text: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(text, "{name}{labels} {value}");
}

fn braced(labels: &Labels, quantile: Option<f64>) -> String {
    let mut parts: Vec<_> = labels
        .names()
        .map(|name| {
            let value = labels.value(name).unwrap_or_default();
            format!("{name}=\"{}\"", escaped(value))
        })
        .collect();
    parts.extend(quantile.map(|quantile| format!("quantile=\"{quantile}\"")));
    if parts.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", parts.join(","))
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;
    use crate::harness::{DeviceState, sample};

    #[test]
    fn how_a_run_stands_is_shown_with_units_and_times_by_quantiles() {
        let mut metrics = Metrics::default();
        let ce = |level: u8| Labels::of([("ce", level.to_string())]);
        metrics.count("coap.sent", ce(2), 7);
        metrics.gauge("server.rss", Labels::none(), 4096);
        metrics.gauge("server.cpu_per_block", Labels::none(), 250);
        metrics.time("coap.round_trip", ce(1), Duration::from_millis(1500));
        let live = Live {
            elapsed: Duration::from_secs(3),
            states: BTreeMap::from([(DeviceState::Registered, [5, 2, 1])]),
            ..Live::default()
        };
        let text = open_metrics_now(&live, &metrics);
        for line in [
            "# TYPE narrowcast_run_coap_sent counter",
            "narrowcast_run_coap_sent_total{ce=\"2\"} 7",
            "narrowcast_run_server_rss_bytes 4096",
            "narrowcast_run_server_cpu_per_block_seconds 0.00025",
            "narrowcast_run_devices_in_state{ce=\"1\",state=\"registered\"} 2",
            "narrowcast_run_elapsed_seconds 3",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
        }
        let quantile = "narrowcast_run_coap_round_trip_seconds{ce=\"1\",quantile=\"0.95\"} 1.5";
        assert!(text.contains(quantile), "{text}");
    }

    #[test]
    fn each_family_stands_once_with_its_type_and_every_sample_in_it() {
        let mut result = sample::campaign("a", 30, 1.0);
        result.thresholds[0].expression = "a \"b\" \\".to_owned();
        let text = open_metrics(&result);
        let (mut seen, mut family) = (BTreeSet::new(), "");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.last(), Some(&"# EOF"));
        for line in &lines[..lines.len() - 1] {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap();
                assert!(seen.insert(family), "{family} twice");
            } else if !line.starts_with("# HELP ") {
                let name = line.split(['{', ' ']).next().unwrap();
                let suffix = name
                    .strip_prefix(family)
                    .unwrap_or_else(|| panic!("{line}"));
                assert!(["", "_total", "_sum", "_count"].contains(&suffix), "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
            }
        }
        assert!(
            text.contains("\nnarrowcast_run_devices_updated 30\n"),
            "{text}"
        );
        assert!(text.contains("expression=\"a \\\"b\\\" \\\\\""), "{text}");
        // A minute at least, and by level.
        let p95 = "narrowcast_run_device_download_seconds{ce=\"2\",quantile=\"0.95\"} ";
        let p95 = lines
            .iter()
            .find_map(|line| line.strip_prefix(p95))
            .unwrap();
        assert!(
            (1800.0..3600.0).contains(&p95.parse::<f64>().unwrap()),
            "{p95}"
        );
    }
}
