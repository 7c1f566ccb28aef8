//! How full each cell's tiers were against their limits, over time. Sans-IO.

use std::time::Duration;

use super::chart;
use super::markup::{Page, words};
use super::scale::time_marks;
use crate::harness::result::{CellResult, RunResult};

/// The most rows.
const ROWS_MAX: usize = 40;

/// The most columns.
const COLUMNS_MAX: usize = 160;

/// From nothing to over the limit: the class of each level in the style sheet.
const LEVELS: [&str; 6] = ["h1", "h2", "h3", "h4", "full", "over"];

/// The map, the fullest rows first.
pub(super) fn heat_map(page: &mut Page, result: &RunResult) {
    page.raw("<section><h2>")
        .words(words("Cells against their limits", "小区并发与上限"));
    page.raw("</h2>");
    let mut rows: Vec<&CellResult> = result.cells.iter().filter(|cell| cell.peak > 0).collect();
    if rows.is_empty() {
        page.raw("<p class=\"note\">");
        page.words(words("No device began an update.", "没有终端开始升级。"));
        page.raw("</p></section>");
        return;
    }
    let over = rows.iter().filter(|cell| cell.peak > cell.limit).count();
    let share = |cell: &CellResult| f64::from(cell.peak) / f64::from(cell.limit.max(1));
    rows.sort_by(|one, other| {
        let by_share = share(other).total_cmp(&share(one));
        by_share.then((one.cell, &one.tier).cmp(&(other.cell, &other.tier)))
    });
    page.raw("<p class=\"note\">");
    if over == 0 {
        page.words(words(
            "By the devices' own logs no limit was passed. ",
            "按终端自身日志，没有超过任何上限。",
        ));
    } else {
        page.raw("<b class=\"broken\">").both(
            &format!("By the devices' own logs {over} limits were passed. "),
            &format!("按终端自身日志，有 {over} 项上限被超过。"),
        );
        page.raw("</b>");
    }
    page.words(words(
        "Each row is one coverage tier of a cell; each field the most devices that were at an update at once. A server may reckon a device to another tier than its radio says.",
        "每行为一个小区的一个覆盖等级，每格为该时段内同时升级的最多终端数。服务器可能把终端归入与其无线测量不同的等级。",
    ));
    page.raw("</p><ul class=\"legend\">");
    let names = ["≤ 25 %", "≤ 50 %", "≤ 75 %", "< 100 %"];
    for (class, name) in LEVELS.into_iter().zip(names) {
        page.raw("<li><i class=\"")
            .raw(class)
            .raw("\"></i>")
            .raw(name)
            .raw("</li>");
    }
    page.raw("<li><i class=\"full\"></i>")
        .words(words("at the limit", "达到上限"));
    page.raw("</li><li><i class=\"over\"></i>")
        .words(words("over the limit", "超过上限"));
    page.raw("</li></ul><div class=\"heat\">");
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    for cell in rows.into_iter().take(ROWS_MAX) {
        row(page, result, cell);
    }
    page.raw("<div class=\"x\">");
    for (at, text) in time_marks(Duration::from_millis(result.duration_ms)) {
        page.raw("<span style=\"left:")
            .percent(at)
            .raw("\">")
            .text(&text)
            .raw("</span>");
    }
    page.raw("</div></div>");
    if left_out > 0 {
        page.raw("<p class=\"note\">").both(
            &format!("{left_out} more that were less full are in the JSON."),
            &format!("另有 {left_out} 行较空闲的未显示，见 JSON。"),
        );
        page.raw("</p>");
    }
    page.raw("</section>");
}

fn row(page: &mut Page, result: &RunResult, cell: &CellResult) {
    page.raw("<div class=\"row\"><span class=\"name\"><b>")
        .count(cell.cell.into());
    page.raw("</b> ")
        .words(words("tier ", "等级 "))
        .text_of_at_most(&cell.tier, 12);
    page.raw("</span><svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"");
    page.text(&format!(
        "cell {} tier {:.12}: at most {} of {}",
        cell.cell, cell.tier, cell.peak, cell.limit
    ));
    page.raw("\">");
    let duration = result.duration_ms.max(1) as f64;
    let joined = cell.active.len().div_ceil(COLUMNS_MAX).max(1) as u64;
    let width = result.series.bucket_ms.saturating_mul(joined) as f64 / duration;
    let columns = chart::joined(&cell.active, COLUMNS_MAX, chart::most);
    for (number, class) in LEVELS.into_iter().enumerate() {
        let is_here = |active: u64| level(active, cell.limit) == Some(number);
        if !columns.iter().any(|active| is_here(*active)) {
            continue;
        }
        page.raw("<path class=\"").raw(class).raw("\" d=\"");
        let mut from = None;
        let ends = columns.iter().map(|active| is_here(*active)).chain([false]);
        for (column, here) in ends.enumerate() {
            match (here, from) {
                (true, None) => from = Some(column),
                (false, Some(begin)) => {
                    page.field((begin as f64 * width, column as f64 * width), (0.0, 1.0));
                    from = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        page.raw("\"/>");
    }
    page.raw("</svg><span class=\"peak");
    page.raw(if cell.peak > cell.limit {
        " broken\">"
    } else {
        "\">"
    });
    page.count(cell.peak.into())
        .raw(" / ")
        .count(cell.limit.into())
        .raw("</span></div>");
}

/// Which of the levels; `None` where nobody was active.
fn level(active: u64, limit: u32) -> Option<usize> {
    let limit = u64::from(limit);
    match active {
        0 => None,
        active if active > limit => Some(5),
        active if active == limit => Some(4),
        active => Some(((active * 4 - 1) / limit) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn a_field_tells_what_is_at_its_limit_from_what_is_over_it() {
        let of_50 = [0, 1, 12, 13, 25, 38, 49, 50, 51].map(|active| level(active, 50));
        let expected = [
            None,
            Some(0),
            Some(0),
            Some(1),
            Some(1),
            Some(3),
            Some(3),
            Some(4),
            Some(5),
        ];
        assert_eq!(of_50, expected);
        assert_eq!([1, 2].map(|active| level(active, 1)), [Some(4), Some(5)]);
        assert_eq!(level(1, 0), Some(5));
    }
}
