//! A comparison as one page. Sans-IO.

use std::time::Duration;

use super::{Comparison, Good, Met, Row};
use crate::harness::metric::Labels;
use crate::harness::report::chart::{self, Frame, Key, Name};
use crate::harness::report::markup::{Page, Words, words};
use crate::harness::report::scale::time_marks;
use crate::harness::report::{begin, distribution, end, per_cent, trend_of};
use crate::harness::result::RunResult;
use crate::model::Language;

/// A class of the style sheet for each run.
const CLASSES: [&str; 3] = ["run0", "run1", "run2"];

/// The most conditions that are listed.
const MET_MAX: usize = 100;

/// The page on a comparison, and on the conditions that were asked of it.
pub fn compare_html(comparison: &Comparison<'_>, met: &[Met], language: Language) -> String {
    let names: Vec<_> = comparison
        .runs
        .iter()
        .map(|run| run.name.as_str())
        .collect();
    let title = names.join(" · ");
    let mut page = begin(&title, language);
    head(&mut page, comparison, met);
    let runs = numbered(&comparison.runs);
    page.raw("<section><h2>")
        .words(words("Distributions", "分布对比"));
    page.raw("</h2><div class=\"two\">");
    updated(&mut page, &runs);
    downloads(&mut page, &runs, None, words("All downloads", "全部下载"));
    for (level, title) in [
        ("0", words("Downloads, CE0", "下载时长 CE0")),
        ("1", words("Downloads, CE1", "下载时长 CE1")),
        ("2", words("Downloads, CE2", "下载时长 CE2")),
    ] {
        downloads(&mut page, &runs, Some(level), title);
    }
    page.raw("</div></section>");
    table(&mut page, comparison, &runs);
    end(page)
}

/// Runs with names that tell one from the other, where all are of one scenario: by their numbers in the
/// list at the top.
fn numbered<'a>(runs: &[&'a RunResult]) -> Vec<(String, &'a RunResult)> {
    let runs = runs.iter().zip(1..);
    runs.map(|(run, number)| (format!("{number} · {}", run.name), *run))
        .collect()
}

fn head(page: &mut Page, comparison: &Comparison<'_>, met: &[Met]) {
    page.raw("<header><p class=\"kind\">")
        .words(words("Comparison", "结果对比"));
    page.raw("</p><ol class=\"runs\">");
    for (run, class) in comparison.runs.iter().zip(CLASSES) {
        page.raw("<li><i class=\"")
            .raw(class)
            .raw("\"></i><b>")
            .text_of_at_most(&run.name, 80);
        page.raw("</b> <small>").raw(run.mode.word()).raw(" · ");
        page.words(words("seed ", "种子 "))
            .count(run.seed)
            .raw(" · narrowcast ");
        page.text_of_at_most(&run.version, 40)
            .raw(" · ")
            .count(run.updated)
            .raw(" / ");
        page.count(run.devices).raw("</small></li>");
    }
    page.raw("</ol>");
    if !met.is_empty() {
        let count = met.iter().filter(|met| met.is_met).count();
        page.raw(if count > 0 {
            "<p class=\"verdict broken\"><b>✗ "
        } else {
            "<p class=\"verdict held\"><b>✓ "
        });
        page.both(
            &format!("{count} of {} conditions to fail are met", met.len()),
            &format!("{} 项失败条件中有 {count} 项成立", met.len()),
        );
        page.raw("</b></p><ul>");
        for met in met.iter().take(MET_MAX) {
            page.raw(if met.is_met {
                "<li class=\"broken\">✗ <code>"
            } else {
                "<li>✓ <code>"
            });
            page.text_of_at_most(&met.condition, 120).raw("</code> ");
            page.text(&percent_text(met.percent)).raw("</li>");
        }
        page.raw("</ul>");
    }
    page.raw("</header>");
}

fn percent_text(percent: Option<f64>) -> String {
    percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:+.1} %"))
}

/// The shares of updated devices over time.
fn updated(page: &mut Page, runs: &[(String, &RunResult)]) {
    let longest = runs
        .iter()
        .map(|(_, run)| run.duration_ms)
        .max()
        .unwrap_or_default();
    let frame = Frame {
        title: words("Updated devices", "升级成功的终端"),
        note: words("Share of each run's devices", "占各次运行全部终端的比例"),
        x: time_marks(Duration::from_millis(longest)),
        y: per_cent(),
        legend: legend(runs),
    };
    frame.chart(page, |page| {
        for ((_, run), class) in runs.iter().zip(CLASSES) {
            let parts = chart::joined(&run.series.updated, 512, chart::last);
            let width = run.duration_ms as f64 / longest.max(1) as f64 / parts.len().max(1) as f64;
            let points = parts.iter().enumerate().map(|(index, updated)| {
                let share = *updated as f64 / run.devices.max(1) as f64;
                ((index as f64 + 1.0) * width, share)
            });
            chart::line(page, class, [(0.0, 0.0)].into_iter().chain(points));
        }
    });
}

fn legend<'a>(runs: &'a [(String, &RunResult)]) -> Vec<Key<'a>> {
    let keys = runs.iter().zip(CLASSES).map(|((name, _), class)| Key {
        class,
        name: Name::Text(name),
    });
    keys.collect()
}

/// How downloads of all runs are spread; nothing where there are none.
fn downloads(page: &mut Page, runs: &[(String, &RunResult)], level: Option<&str>, title: Words) {
    let trends: Vec<_> = runs
        .iter()
        .zip(CLASSES)
        .filter_map(|((name, run), class)| {
            let trend = match level {
                Some(level) => trend_of(&run.metrics, "device.download", level),
                None => run.metrics.trend_over("device.download", &Labels::none()),
            };
            Some((class, Name::Text(name), trend?))
        })
        .collect();
    if !trends.is_empty() {
        let note = words(
            "Share of downloads that had ended within the time",
            "在该时间内完成的下载所占比例",
        );
        distribution(page, title, note, &trends);
    }
}

fn table(page: &mut Page, comparison: &Comparison<'_>, runs: &[(String, &RunResult)]) {
    page.raw("<section><h2>")
        .words(words("Differences", "差异"));
    page.raw("</h2><p class=\"note\">").words(words(
        "Against the first run. * : less than 1 % probable by chance alone, by a two-sided z-test of two shares: of rates themselves, of times the share above the percentile of both runs together. Devices of one cell wait for each other, so that chance varies more than this test knows; repeat with other seeds before you believe a small difference. Counts and gauges are one figure a run, of which nothing can be said.",
        "与第一次运行相比。*：双侧两比例 z 检验，纯属偶然的概率低于 1%；比率直接比较，时长比较超过合并分位数的比例。同一小区的终端互相等待，偶然波动大于该检验的假设；差异较小时请换种子重复运行。计数与瞬时值每次运行只有一个数，无法检验。",
    ));
    page.raw("</p><div class=\"scroll\"><table><thead><tr><th>");
    page.words(words("Metric", "指标")).raw("</th><th></th>");
    for (number, (name, _)) in runs.iter().enumerate() {
        page.raw("<th class=\"number\">")
            .text_of_at_most(name, 24)
            .raw("</th>");
        if number > 0 {
            page.raw("<th class=\"number\">±</th>");
        }
    }
    page.raw("</tr></thead><tbody>");
    let mut before = "";
    for row in &comparison.rows {
        let is_part = row.metric == before;
        page.raw(if is_part {
            "<tr class=\"part\"><td>"
        } else {
            "<tr><td><code>"
        });
        if !is_part {
            page.text(&row.metric).raw("</code>");
        }
        page.raw("</td><td><code>")
            .text(&row.aggregate)
            .raw("</code></td>");
        figures(page, row);
        page.raw("</tr>");
        before = &row.metric;
    }
    page.raw("</tbody></table></div></section>");
}

fn figures(page: &mut Page, row: &Row) {
    for (number, value) in row.values.iter().enumerate() {
        let text = value.map(|value| row.text(value));
        page.raw("<td class=\"number\">")
            .text(text.as_deref().unwrap_or("–"))
            .raw("</td>");
        let Some(change) = number
            .checked_sub(1)
            .and_then(|other| row.changes.get(other))
        else {
            continue;
        };
        let grew = change
            .percent
            .filter(|percent| *percent != 0.0)
            .map(|percent| percent > 0.0);
        let is_judged = change.p_value.is_none() || change.is_significant();
        page.raw(match (row.good, grew) {
            (Good::Less, Some(true)) | (Good::More, Some(false)) if is_judged => {
                "<td class=\"number worse\">"
            }
            (Good::Less, Some(false)) | (Good::More, Some(true)) if is_judged => {
                "<td class=\"number better\">"
            }
            (Good::Less | Good::More | Good::Neither, Some(_) | None) => "<td class=\"number\">",
        });
        page.text(&percent_text(change.percent));
        page.raw(if change.is_significant() {
            " *</td>"
        } else {
            "</td>"
        });
    }
}
