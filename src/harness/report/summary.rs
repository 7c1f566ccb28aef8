//! What a run came to, for the summary of a CI job: markdown as GitHub shows it. Sans-IO.

use std::fmt::Write;

use super::markup::{Words, words};
use crate::harness::metric::{Aggregate, Labels, METRICS, Unit};
use crate::harness::result::RunResult;
use crate::harness::threshold::ThresholdResult;
use crate::model::Language;

/// The most rows of a table.
const ROWS_MAX: usize = 50;

/// The summary, thresholds first.
pub fn summary_markdown(result: &RunResult, language: Language) -> String {
    let pick = |Words { en, zh }| match language {
        Language::En => en,
        Language::Zh => zh,
    };
    let mut text = String::new();
    let mark = if result.held() { "✅" } else { "❌" };
    let lasted = Unit::Time.text(result.duration_ms as f64 * 1e3);
    let updated = pick(words("updated", "已升级"));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "## {mark} {}\n", cell(&result.name));
    let _ = writeln!(
        text,
        "{updated}: {} / {} · {lasted}",
        result.updated, result.devices
    );
    if let Some(why) = result.unfinished() {
        let _ = writeln!(text, "\n**{}**", cell(&why));
    }
    if !result.thresholds.is_empty() {
        let head = words("| | Threshold | Measured |", "| | 阈值 | 实测 |");
        let _ = writeln!(text, "\n{}\n|---|---|---|", pick(head));
        let mut thresholds: Vec<&ThresholdResult> = result.thresholds.iter().collect();
        thresholds.sort_by_key(|threshold| threshold.held());
        for threshold in thresholds.into_iter().take(ROWS_MAX) {
            let mark = if threshold.held() { "✅" } else { "❌" };
            let asked = format!("{} {}", threshold.metric, threshold.expression);
            let observed = cell(&threshold.observed_text);
            let _ = writeln!(text, "| {mark} | `{}` | {observed} |", code(&asked));
        }
    }
    times(&mut text, result, pick);
    if !result.failures.is_empty() {
        let head = words(
            "| Failed attempts | Said by | Count |",
            "| 失败原因 | 来源 | 次数 |",
        );
        let _ = writeln!(text, "\n{}\n|---|---|---:|", pick(head));
        for failure in result.failures.iter().take(ROWS_MAX) {
            let cause = code(&failure.cause);
            let _ = writeln!(
                text,
                "| `{cause}` | {} | {} |",
                failure.said_by, failure.count
            );
        }
    }
    text
}

/// How long things took.
fn times(text: &mut String, result: &RunResult, pick: impl Fn(Words) -> &'static str) {
    let mut rows = String::new();
    for metric in METRICS {
        let figure = |aggregate| result.metrics.figure(metric, &Labels::none(), aggregate);
        if metric.unit == Unit::Time
            && let (Some(median), Some(p95)) =
                (figure(Aggregate::Med), figure(Aggregate::Percentile(95.0)))
        {
            let (median, p95) = (metric.unit.text(median), metric.unit.text(p95));
            let _ = writeln!(rows, "| `{}` | {median} | {p95} |", metric.name);
        }
    }
    if !rows.is_empty() {
        let head = words("| Time | p50 | p95 |", "| 用时 | p50 | p95 |");
        let _ = write!(text, "\n{}\n|---|---:|---:|\n{rows}", pick(head));
    }
}

/// A text from anywhere that is no markup, and stays within its cell.
fn cell(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars().take(200) {
        if c.is_ascii_punctuation() {
            plain.push('\\');
        }
        plain.push(if c.is_control() { ' ' } else { c });
    }
    plain
}

/// The same within backquotes, where nothing is markup but what ends them, and the cell.
fn code(text: &str) -> String {
    let plain = text
        .chars()
        .take(200)
        .filter(|c| *c != '`' && !c.is_control());
    plain.collect::<String>().replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::sample;

    #[test]
    fn broken_thresholds_come_first_and_no_name_is_markup() {
        let mut result = sample::of_gauge("cell.active", 7, "max<=5");
        result.name = "a | [b](http://c) <img>".to_owned();
        let mut held = result.thresholds[0].clone();
        held.judged = crate::harness::Judged::Held;
        result.thresholds.insert(0, held);
        let text = summary_markdown(&result, Language::En);
        let first = "## ❌ a \\| \\[b\\]\\(http\\:\\/\\/c\\) \\<img\\>\n";
        assert!(text.starts_with(first), "{text}");
        let broken = text.find("| ❌ | `cell.active max<=5` | 7 |").unwrap();
        assert!(broken < text.find("| ✅ |").unwrap(), "{text}");
        assert!(summary_markdown(&result, Language::Zh).contains("实测"));
    }
}
