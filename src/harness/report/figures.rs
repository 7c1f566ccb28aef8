//! Times of all kinds: how they are spread, and in figures. Sans-IO.

use std::time::Duration;

use super::chart::{self, Frame, Key, Name};
use super::markup::{Page, Words, words};
use super::over_time::per_cent;
use super::scale::{log_place, log_time_marks};
use crate::harness::metric::{Definition, Kind, Labels, METRICS, Metrics, Trend, Unit, Value};
use crate::harness::result::RunResult;

/// The most steps of a line.
const STEPS_MAX: usize = 200;

/// Coverage enhancement levels with their classes.
const LEVELS: [(&str, &str, Words); 3] = [
    ("0", "ce0", words("CE0, normal coverage", "CE0（普通覆盖）")),
    ("1", "ce1", words("CE1, extended", "CE1（扩展覆盖）")),
    ("2", "ce2", words("CE2, extreme", "CE2（极端覆盖）")),
];

/// How long downloads took, by level.
pub(super) fn downloads(page: &mut Page, result: &RunResult) {
    let trends: Vec<_> = LEVELS
        .into_iter()
        .filter_map(|(level, class, name)| {
            let trend = trend_of(&result.metrics, "device.download", level)?;
            Some((class, Name::Words(name), trend))
        })
        .collect();
    page.raw("<section><h2>")
        .words(words("Downloads", "下载"))
        .raw("</h2>");
    if trends.is_empty() {
        page.raw("<p class=\"note\">");
        page.words(words("No download came to its end.", "没有完成的下载。"));
        page.raw("</p></section>");
        return;
    }
    distribution(
        page,
        words("How long downloads took", "下载时长分布"),
        words(
            "Share of downloads that had ended within the time, from URI to the whole image",
            "在该时间内完成的下载所占比例（从收到地址到收全固件）",
        ),
        &trends,
    );
    page.raw("</section>");
}

/// The cumulated shares of several lists of times, on one axis.
pub(in crate::harness) fn distribution(
    page: &mut Page,
    title: Words,
    note: Words,
    trends: &[(&'static str, Name<'_>, Trend)],
) {
    let seconds = |took: Option<Duration>| took.map(|took| took.as_secs_f64());
    let from = trends
        .iter()
        .filter_map(|(_, _, trend)| seconds(trend.min()));
    let to = trends
        .iter()
        .filter_map(|(_, _, trend)| seconds(trend.max()));
    let from = from.fold(f64::INFINITY, f64::min).max(1e-3) * 0.9;
    let to = to.fold(0.0, f64::max).max(from) * 1.1;
    let frame = Frame {
        title,
        note,
        x: log_time_marks(from, to),
        y: per_cent(),
        legend: trends
            .iter()
            .map(|trend| Key {
                class: trend.0,
                name: trend.1,
            })
            .collect(),
    };
    frame.chart(page, |page| {
        for (class, _, trend) in trends {
            chart::line(page, class, cumulated(trend, from, to));
        }
    });
}

/// Points of the share that had ended, at the ends of at most so many groups of buckets.
fn cumulated(trend: &Trend, from: f64, to: f64) -> Vec<(f64, f64)> {
    let all = trend.count().max(1);
    let step = all.div_ceil(STEPS_MAX as u64);
    let place = |seconds: f64| log_place(seconds, from, to);
    let start = trend.min().map_or(from, |min| min.as_secs_f64());
    let mut points = vec![(place(start), 0.0)];
    let (mut so_far, mut drawn): (u64, u64) = (0, 0);
    for (us, count) in trend.buckets() {
        so_far = so_far.saturating_add(count);
        if so_far - drawn >= step || so_far == all {
            let at = Duration::from_micros(us).min(trend.max().unwrap_or_default());
            points.push((place(at.as_secs_f64()), so_far as f64 / all as f64));
            drawn = so_far;
        }
    }
    points.push((1.0, 1.0));
    points
}

/// The trend of a metric at one level.
pub(in crate::harness) fn trend_of(metrics: &Metrics, name: &str, level: &str) -> Option<Trend> {
    metrics.trend_over(name, &Labels::of([("ce", level.to_owned())]))
}

/// All that was measured.
pub(super) fn table(page: &mut Page, result: &RunResult) {
    page.raw("<section><h2>")
        .words(words("All metrics", "全部指标"));
    page.raw("</h2><div class=\"scroll\"><table><thead><tr><th>");
    page.words(words("Metric", "指标")).raw("</th>");
    for name in ["n", "avg", "p50", "p95", "p99", "max"] {
        page.raw("<th class=\"number\">").raw(name).raw("</th>");
    }
    page.raw("</tr></thead><tbody>");
    for metric in METRICS {
        if metric.kind != Kind::Trend {
            of_metric(page, metric, &result.metrics);
            continue;
        }
        let all = result.metrics.trend_over(metric.name, &Labels::none());
        let Some(all) = all else { continue };
        row(page, metric, "", &all);
        for (level, _, _) in LEVELS.iter().filter(|_| metric.labels.contains(&"ce")) {
            if let Some(trend) = trend_of(&result.metrics, metric.name, level) {
                let label = format!("{{ce={level}}}");
                row(page, metric, &label, &trend);
            }
        }
    }
    page.raw("</tbody></table></div></section>");
}

fn name_cell(page: &mut Page, metric: &Definition, label: &str) {
    if label.is_empty() {
        page.raw("<tr><td><code>")
            .text(metric.name)
            .raw("</code> <small>");
        page.both(metric.en, metric.zh).raw("</small></td>");
    } else {
        page.raw("<tr class=\"part\"><td><code>")
            .text(label)
            .raw("</code></td>");
    }
}

fn row(page: &mut Page, metric: &Definition, label: &str, trend: &Trend) {
    name_cell(page, metric, label);
    page.raw("<td class=\"number\">")
        .count(trend.count())
        .raw("</td>");
    let figures = [
        trend.mean(),
        trend.percentile(50.0),
        trend.percentile(95.0),
        trend.percentile(99.0),
        trend.max(),
    ];
    for took in figures {
        let text = took.map(|took| metric.unit.text(took.as_micros() as f64));
        page.raw("<td class=\"number\">")
            .text(text.as_deref().unwrap_or("–"))
            .raw("</td>");
    }
    page.raw("</tr>");
}

/// A metric of one figure: its count, its share, or its last and its highest.
fn of_metric(page: &mut Page, metric: &Definition, metrics: &Metrics) {
    let all = Labels::none();
    let (n, avg, max) = match metric.kind {
        Kind::Counter => {
            let Some(count) = metrics.count_over(metric.name, &all) else {
                return;
            };
            (count.to_string(), String::new(), String::new())
        }
        Kind::Rate => {
            let Some((hits, of)) = metrics.rate_over(metric.name, &all) else {
                return;
            };
            if of == 0 {
                return;
            }
            (
                of.to_string(),
                Unit::Share.text(hits as f64 / of as f64),
                String::new(),
            )
        }
        Kind::Gauge => {
            let highest =
                metrics
                    .matching(metric.name, &all)
                    .filter_map(|(_, value)| match value {
                        Value::Gauge { max, .. } => Some(*max),
                        Value::Counter { .. } | Value::Rate { .. } | Value::Trend(_) => None,
                    });
            let Some(max) = highest.max() else { return };
            (String::new(), String::new(), metric.unit.text(max as f64))
        }
        Kind::Trend => return,
    };
    name_cell(page, metric, "");
    let cell = |page: &mut Page, text: &str| {
        page.raw("<td class=\"number\">").text(text).raw("</td>");
    };
    cell(page, &n);
    cell(page, &avg);
    page.raw("<td></td><td></td><td></td>");
    cell(page, &max);
    page.raw("</tr>");
}
