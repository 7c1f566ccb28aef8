//! What a reader wants to know first: did it hold? Sans-IO.

use std::time::Duration;

use super::chart;
use super::markup::{Page, Words, words};
use crate::harness::metric::{Labels, Unit};
use crate::harness::result::{End, Mode, RunResult};
use crate::harness::threshold::{Judged, ThresholdResult};

/// The most thresholds that are listed.
const THRESHOLDS_MAX: usize = 200;

/// Name, end, and the figures of the whole run.
pub(super) fn head(page: &mut Page, result: &RunResult) {
    page.raw("<header><p class=\"kind\">");
    page.words(match result.mode {
        Mode::Simulate => words("Simulation", "仿真"),
        Mode::Load => words("Load run", "负载测试"),
    });
    page.raw("</p><h1>")
        .text_of_at_most(&result.name, 120)
        .raw("</h1>");
    verdict(page, result);
    page.raw("<dl class=\"tiles\">");
    let share = result.updated as f64 / result.devices.max(1) as f64;
    let updated = format!("{} / {}", result.updated, result.devices);
    tile(
        page,
        words("Updated", "升级成功"),
        &updated,
        Some(&Unit::Share.text(share)),
    );
    let lasted = Unit::Time.text(result.duration_ms as f64 * 1e3);
    tile(page, words("Duration", "时长"), &lasted, None);
    for percent in [50.0, 95.0] {
        let name = if percent < 90.0 {
            words("Half of all updated after", "半数终端升级完成用时")
        } else {
            words("95 % updated after", "95% 终端升级完成用时")
        };
        let after = updated_after(result, percent).map(|at| Unit::Time.text(at.as_micros() as f64));
        tile(page, name, after.as_deref().unwrap_or("–"), None);
    }
    let none = Labels::none();
    if let Some(trend) = result.metrics.trend_over("device.download", &none) {
        let text =
            |took: Option<Duration>| took.map(|took| Unit::Time.text(took.as_micros() as f64));
        let p95 = text(trend.percentile(95.0)).unwrap_or_default();
        let median = text(trend.percentile(50.0)).map(|median| format!("p50 {median}"));
        tile(
            page,
            words("Download, 95 %", "下载时长 p95"),
            &p95,
            median.as_deref(),
        );
    }
    if let Some((hits, all)) = result.metrics.rate_over("coap.retransmit_ratio", &none)
        && all > 0
    {
        let share = Unit::Share.text(hits as f64 / all as f64);
        tile(page, words("Retransmissions", "重传比例"), &share, None);
    }
    let blocks = chart::sum(&result.series.blocks);
    let bytes = Unit::Bytes.text(chart::sum(&result.series.block_bytes) as f64);
    if blocks > 0 {
        tile(
            page,
            words("Blocks", "分块"),
            &blocks.to_string(),
            Some(&bytes),
        );
    }
    page.raw("</dl><p class=\"note\">narrowcast ")
        .text_of_at_most(&result.version, 40);
    page.raw(" · ")
        .words(words("seed ", "种子 "))
        .count(result.seed);
    if let Some(at) = &result.started_at {
        page.raw(" · <time>").text_of_at_most(at, 40).raw("</time>");
    }
    page.raw("</p></header>");
}

fn tile(page: &mut Page, name: Words, value: &str, more: Option<&str>) {
    page.raw("<div><dt>")
        .words(name)
        .raw("</dt><dd>")
        .text(value);
    if let Some(more) = more {
        page.raw(" <small>").text(more).raw("</small>");
    }
    page.raw("</dd></div>");
}

/// The end of the part of the run in which so many per cent had come to the new version.
fn updated_after(result: &RunResult, percent: f64) -> Option<Duration> {
    let needed = result.devices as f64 * percent / 100.0;
    let part = result
        .series
        .updated
        .iter()
        .position(|updated| *updated as f64 >= needed)?;
    let ms = (part as u64 + 1).saturating_mul(result.series.bucket_ms);
    (result.devices > 0).then(|| Duration::from_millis(ms.min(result.duration_ms)))
}

/// One line: held or broken, and how the run ended.
fn verdict(page: &mut Page, result: &RunResult) {
    let all = result.thresholds.len();
    let broken = result
        .thresholds
        .iter()
        .filter(|threshold| !threshold.held())
        .count();
    page.raw(if broken > 0 {
        "<p class=\"verdict broken\"><b>✗ "
    } else if result.held() {
        "<p class=\"verdict held\"><b>✓ "
    } else {
        "<p class=\"verdict unsure\"><b>! "
    });
    match (broken, all) {
        (0, 0) => page.words(words("No thresholds were set", "未设置阈值")),
        (0, 1) => page.words(words("The threshold held", "阈值满足")),
        (0, _) => page.both(
            &format!("All {all} thresholds held"),
            &format!("{all} 项阈值全部满足"),
        ),
        _ => page.both(
            &format!("{broken} of {all} thresholds broken"),
            &format!("{all} 项阈值中有 {broken} 项未满足"),
        ),
    };
    page.raw("</b> <span>");
    match &result.end {
        End::AllDone => page.words(words("Every device came to its end.", "所有终端均已结束。")),
        End::DurationOver => page.words(words("The run's time was over.", "运行时间已到。")),
        End::DidNotFinish { why } => page
            .words(words("It did not finish: ", "未能完成："))
            .text_of_at_most(why, 300),
        End::DevicesLost { why } => page
            .words(words("Devices were lost: ", "部分终端丢失："))
            .text_of_at_most(why, 300),
        End::Aborted { threshold } => page
            .words(words("Ended by a threshold: ", "因阈值未满足而中止："))
            .text_of_at_most(threshold, 200),
    };
    page.raw("</span></p>");
}

/// What was asked for.
pub(super) fn thresholds(page: &mut Page, result: &RunResult) {
    if result.thresholds.is_empty() {
        return;
    }
    page.raw("<section><h2>").words(words("Thresholds", "阈值"));
    page.raw("</h2><div class=\"scroll\"><table><thead><tr><th>");
    page.words(words("Result", "结果")).raw("</th><th>");
    page.words(words("Metric", "指标")).raw("</th><th>");
    page.words(words("Expected", "要求"))
        .raw("</th><th class=\"number\">");
    page.words(words("Measured", "实测"))
        .raw("</th></tr></thead><tbody>");
    let mut listed: Vec<&ThresholdResult> = result.thresholds.iter().collect();
    listed.sort_by_key(|threshold| threshold.held());
    for threshold in listed.into_iter().take(THRESHOLDS_MAX) {
        let (class, mark, said) = match threshold.judged {
            Judged::Held => ("held", "✓ ", words("held", "满足")),
            Judged::Broken => ("broken", "✗ ", words("broken", "未满足")),
            Judged::NoData => ("broken", "– ", words("no data", "无数据")),
        };
        page.raw("<tr><td class=\"")
            .raw(class)
            .raw("\">")
            .raw(mark)
            .words(said);
        page.raw("</td><td><code>")
            .text_of_at_most(&threshold.metric, 120);
        page.raw("</code></td><td><code>")
            .text_of_at_most(&threshold.expression, 120);
        page.raw("</code></td><td class=\"number\">");
        match threshold.judged {
            Judged::NoData => page.raw("–"),
            Judged::Held | Judged::Broken => page.text_of_at_most(&threshold.observed_text, 40),
        };
        page.raw("</td></tr>");
    }
    page.raw("</tbody></table></div></section>");
}
