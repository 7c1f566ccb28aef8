//! Charts over the time of the run. Sans-IO.

use std::time::Duration;

use super::chart::{self, Frame, Key, Name};
use super::markup::{Page, Words, words};
use super::scale::{Mark, count_text, number_marks, time_marks};
use crate::harness::result::RunResult;

/// The most points of a line.
const POINTS_MAX: usize = 512;

/// The same of a share of few messages, which is little more than chance where parts are short.
const SHARES_MAX: usize = 128;

/// States from the bottom of the stack up, with their classes.
const STATES: [(&str, &str, Words); 8] = [
    ("updated", "updated", words("updated", "升级成功")),
    ("updating", "updating", words("installing", "安装中")),
    ("downloaded", "downloaded", words("downloaded", "已下载")),
    ("downloading", "downloading", words("downloading", "下载中")),
    (
        "failed",
        "failed",
        words("last attempt failed", "上次尝试失败"),
    ),
    ("registered", "registered", words("registered", "已注册")),
    ("registering", "registering", words("registering", "注册中")),
    ("off", "off", words("off", "关机")),
];

/// The share of devices with the new version.
pub(super) fn updated(page: &mut Page, result: &RunResult) {
    let frame = Frame {
        title: words("Updated devices", "升级成功的终端"),
        note: words(
            "Share of all devices that had come to the new version",
            "已运行新版本的终端占全部终端的比例",
        ),
        x: marks_of(result),
        y: per_cent(),
        legend: Vec::new(),
    };
    let points = points(
        result,
        &result.series.updated,
        chart::last,
        result.devices.max(1) as f64,
    );
    frame.chart(page, |page| {
        let floor: Vec<_> = points.iter().map(|(x, _)| (*x, 0.0)).collect();
        chart::band(page, "updated", &floor, &points);
        chart::line(page, "updated", points);
    });
}

/// How many devices were in which state.
pub(super) fn states(page: &mut Page, result: &RunResult) {
    let all = result.devices.max(1) as f64;
    let (y, end) = number_marks(all, count_text);
    let is_seen = |state: &&(&str, &str, Words)| {
        result
            .series
            .states
            .get(state.0)
            .is_some_and(|counts| chart::sum(counts) > 0)
    };
    let seen: Vec<_> = STATES.iter().filter(is_seen).collect();
    let frame = Frame {
        title: words("States", "终端状态"),
        note: words(
            "Devices in each state, one above the other",
            "各状态的终端数（堆叠）",
        ),
        x: marks_of(result),
        y,
        legend: seen
            .iter()
            .map(|state| Key {
                class: state.1,
                name: Name::Words(state.2),
            })
            .collect(),
    };
    frame.chart(page, |page| {
        let mut below: Vec<(f64, f64)> = Vec::new();
        for &(state, class, _) in seen {
            let counts = result
                .series
                .states
                .get(state)
                .map_or(&[][..], Vec::as_slice);
            let own = points(result, counts, chart::last, end);
            let above: Vec<_> = own
                .iter()
                .enumerate()
                .map(|(index, (x, y))| (*x, y + below.get(index).map_or(0.0, |(_, under)| *under)))
                .collect();
            let floor = if below.is_empty() {
                above.iter().map(|(x, _)| (*x, 0.0)).collect()
            } else {
                below
            };
            chart::band(page, class, &floor, &above);
            below = above;
        }
    });
}

/// Blocks a second.
pub(super) fn blocks(page: &mut Page, result: &RunResult) {
    let seconds = result.series.bucket_ms as f64 / 1e3;
    let parts = chart::joined(&result.series.blocks, POINTS_MAX, chart::most);
    let most = chart::most(&parts) as f64 / seconds.max(1e-3);
    let (y, end) = number_marks(most, count_text);
    let frame = Frame {
        title: words("Blocks a second", "每秒分块数"),
        note: words(
            "Blocks of the image that devices took",
            "终端收到的固件分块",
        ),
        x: marks_of(result),
        y,
        legend: Vec::new(),
    };
    let points = points(
        result,
        &result.series.blocks,
        chart::most,
        end * seconds.max(1e-3),
    );
    frame.chart(page, |page| chart::line(page, "downloading", points));
}

/// Retransmissions as a share of what was sent.
pub(super) fn retransmissions(page: &mut Page, result: &RunResult) {
    let series = &result.series;
    let sent = chart::joined(&series.sent, SHARES_MAX, chart::sum);
    let again = chart::joined(&series.retransmitted, SHARES_MAX, chart::sum);
    let share: Vec<f64> = sent
        .iter()
        .zip(&again)
        .map(|(sent, again)| *again as f64 / (sent.saturating_add(*again)).max(1) as f64)
        .collect();
    let highest = share.iter().copied().fold(0.0, f64::max);
    let (y, end) = number_marks(highest.max(0.01) * 100.0, |value| {
        format!("{} %", count_text(value))
    });
    let frame = Frame {
        title: words("Retransmissions", "重传"),
        note: words(
            "Share of the devices' messages that were sent again",
            "终端报文中重传的比例",
        ),
        x: marks_of(result),
        y,
        legend: Vec::new(),
    };
    let count = share.len().max(1) as f64;
    let points = share.into_iter().enumerate();
    let points = points.map(|(index, share)| ((index as f64 + 0.5) / count, share * 100.0 / end));
    frame.chart(page, |page| chart::line(page, "failed", points));
}

/// What the server used.
pub(super) fn server(page: &mut Page, result: &RunResult) {
    page.raw("<section><h2>")
        .words(words("Server", "服务器"))
        .raw("</h2>");
    let series = &result.series;
    if series.server_rss_bytes.is_empty() {
        page.raw("<p class=\"note\">").words(words(
            "Not measured: the server's process was not watched in this run.",
            "未测量：本次运行未监测服务器进程。",
        ));
        page.raw("</p></section>");
        return;
    }
    page.raw("<div class=\"two\">");
    let bucket = series.bucket_ms.max(1) as f64;
    let most = chart::most(&series.server_cpu_ms) as f64 / bucket * 100.0;
    let (y, end) = number_marks(most, |value| format!("{} %", count_text(value)));
    let frame = Frame {
        title: words("CPU", "CPU 占用"),
        note: words("100 % is one core", "100% 为一个核"),
        x: marks_of(result),
        y,
        legend: Vec::new(),
    };
    let cpu = points(
        result,
        &series.server_cpu_ms,
        chart::most,
        end / 100.0 * bucket,
    );
    frame.chart(page, |page| chart::line(page, "updating", cpu));
    let most = chart::most(&series.server_rss_bytes) as f64 / f64::from(1 << 20);
    let (y, end) = number_marks(most, |value| format!("{} MiB", count_text(value)));
    let frame = Frame {
        title: words("Memory", "内存"),
        note: words("Resident", "常驻内存"),
        x: marks_of(result),
        y,
        legend: Vec::new(),
    };
    let rss = points(
        result,
        &series.server_rss_bytes,
        chart::most,
        end * f64::from(1 << 20),
    );
    frame.chart(page, |page| chart::line(page, "downloaded", rss));
    page.raw("</div></section>");
}

/// Marks of the run's time.
fn marks_of(result: &RunResult) -> Vec<Mark> {
    time_marks(Duration::from_millis(result.duration_ms))
}

/// 0 % to 100 %.
pub(in crate::harness) fn per_cent() -> Vec<Mark> {
    let marks = [0.0, 0.25, 0.5, 0.75, 1.0];
    marks.map(|at| (at, format!("{:.0} %", at * 100.0))).into()
}

/// Each part of a series at its end, where `full` is at the top; it begins at the run's start.
fn points(
    result: &RunResult,
    values: &[u64],
    join: fn(&[u64]) -> u64,
    full: f64,
) -> Vec<(f64, f64)> {
    let parts = chart::joined(values, POINTS_MAX, join);
    let size = values.len().div_ceil(POINTS_MAX).max(1) as u64;
    let duration = result.duration_ms.max(1) as f64;
    let width = result.series.bucket_ms.saturating_mul(size) as f64 / duration;
    let mut points = Vec::with_capacity(parts.len() + 1);
    points.push((0.0, parts.first().map_or(0.0, |first| *first as f64 / full)));
    for (index, value) in parts.iter().enumerate() {
        let x = (index as f64 + 1.0) * width;
        points.push((x.min(1.0), *value as f64 / full));
    }
    points
}
