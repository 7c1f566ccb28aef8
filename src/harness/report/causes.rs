//! Why attempts failed, the most frequent cause first. Sans-IO.

use super::markup::{Page, Words, words};
use crate::campaign::failure_text;
use crate::harness::result::{FailureCount, RunResult, SaidBy};
use crate::model::{FailureReason, Language};

/// The most bars.
const BARS_MAX: usize = 16;

/// Bars by the server's word and by the devices'.
pub(super) fn failures(page: &mut Page, result: &RunResult) {
    page.raw("<section><h2>")
        .words(words("Failed attempts", "失败原因"))
        .raw("</h2>");
    if result.failures.is_empty() {
        page.raw("<p class=\"note\">")
            .words(words("No attempt failed.", "没有失败的尝试。"));
        page.raw("</p></section>");
        return;
    }
    for (said_by, title) in [
        (SaidBy::Server, words("As the server says", "按服务器记录")),
        (
            SaidBy::Device,
            words("As the devices' own logs say", "按终端自身日志"),
        ),
    ] {
        let of: Vec<_> = result
            .failures
            .iter()
            .filter(|of| of.said_by == said_by)
            .collect();
        if !of.is_empty() {
            bars(page, title, &of);
        }
    }
    page.raw("</section>");
}

fn bars(page: &mut Page, title: Words, failures: &[&FailureCount]) {
    let all = failures
        .iter()
        .fold(0u64, |all, of| all.saturating_add(of.count))
        .max(1);
    let most = failures.iter().map(|of| of.count).max().unwrap_or(1).max(1);
    page.raw("<h3>")
        .words(title)
        .raw("</h3><ol class=\"bars\">");
    let mut so_far = 0u64;
    for failure in failures.iter().take(BARS_MAX) {
        so_far = so_far.saturating_add(failure.count);
        page.raw("<li><span class=\"name\"><code>")
            .text_of_at_most(&failure.cause, 40);
        page.raw("</code><small>");
        let (en, zh) = meaning(failure);
        page.both(&en, &zh);
        page.raw("</small></span><span class=\"bar\"><i style=\"width:");
        page.percent(failure.count as f64 / most as f64);
        page.raw("\"></i></span><span class=\"number\">")
            .count(failure.count);
        page.raw(" <small>Σ ")
            .text(&format!("{:.0} %", so_far as f64 / all as f64 * 100.0))
            .raw("</small></span></li>");
    }
    page.raw("</ol>");
    if let Some(rest) = all.checked_sub(so_far).filter(|rest| *rest > 0) {
        page.raw("<p class=\"note\">");
        page.both(
            &format!("{rest} of other causes."),
            &format!("其他原因 {rest} 次。"),
        );
        page.raw("</p>");
    }
}

/// What a cause means; of the server's the first sentence of what an operator is told.
fn meaning(failure: &FailureCount) -> (String, String) {
    if let Some(reason) = FailureReason::from_word(&failure.cause)
        && failure.said_by == SaidBy::Server
    {
        let first = |text: &str, end: char| {
            let sentence = text.split_inclusive(end).next().unwrap_or(text);
            sentence.trim().to_owned()
        };
        return (
            first(failure_text(reason, Language::En), '.'),
            first(failure_text(reason, Language::Zh), '。'),
        );
    }
    let words = match failure.cause.as_str() {
        "power_cut" => words("the power went during an update", "升级中断电"),
        "switched_off" => words(
            "it was switched off for good during an update",
            "升级中被永久关机",
        ),
        "bricked" => words("the device did not come back", "终端升级后未恢复"),
        "version_mismatch" => words(
            "it runs another version than the target",
            "运行的版本与目标不符",
        ),
        "result_2" => words(
            "Update Result 2: not enough storage",
            "升级结果 2：存储空间不足",
        ),
        "result_3" => words("Update Result 3: out of memory", "升级结果 3：内存不足"),
        "result_4" => words(
            "Update Result 4: connection lost during the download",
            "升级结果 4：下载中连接丢失",
        ),
        "result_5" => words(
            "Update Result 5: integrity check failed",
            "升级结果 5：完整性校验失败",
        ),
        "result_6" => words(
            "Update Result 6: unsupported package type",
            "升级结果 6：不支持的升级包类型",
        ),
        "result_7" => words("Update Result 7: invalid URI", "升级结果 7：下载地址无效"),
        "result_8" => words("Update Result 8: update failed", "升级结果 8：升级失败"),
        "result_9" => words(
            "Update Result 9: unsupported protocol",
            "升级结果 9：不支持的协议",
        ),
        "result_10" => words("Update Result 10: cancelled", "升级结果 10：已取消"),
        _ => words("", ""),
    };
    (words.en.to_owned(), words.zh.to_owned())
}
