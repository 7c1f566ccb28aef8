//! What a run came to, for people: one page that needs nothing beside itself. Sans-IO.
//!
//! Names of endpoints and scenarios are anybody's words: markup comes from the program's text alone
//! ([`markup::Page`]), and the page's own policy forbids a browser whatever else could get in: it loads
//! nothing, and runs the one script whose hash it names.

mod causes;
mod cells;
pub(in crate::harness) mod chart;
mod device_rows;
mod devices;
mod figures;
mod files;
pub(in crate::harness) mod markup;
mod open_metrics;
mod over_time;
mod overview;
pub(in crate::harness) mod scale;
mod summary;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use self::markup::{Page, words};
use super::result::{Mode, RunResult};
use crate::model::Language;

pub(in crate::harness) use figures::{distribution, trend_of};
pub(in crate::harness) use over_time::per_cent;

pub use device_rows::devices_csv;
pub use files::{ReportFiles, junit_xml, series_csv, slowest_csv};
pub use open_metrics::{open_metrics, open_metrics_now};
pub use summary::summary_markdown;

const STYLE: &str = include_str!("report.css");

/// Chooses the language that the viewer's browser asks for; without it the page speaks that of whoever
/// had it written.
const SCRIPT: &str =
    "document.getElementById(/^zh/i.test(navigator.language)?'zh':'en').checked=true";

/// The longest scenario that a page shows.
const SCENARIO_CHARS_MAX: usize = 20_000;

/// The report on one run.
pub fn report_html(result: &RunResult, language: Language) -> String {
    let mut page = begin(&result.name, language);
    overview::head(&mut page, result);
    overview::thresholds(&mut page, result);
    page.raw("<section><h2>");
    page.words(words("Over time", "随时间变化"))
        .raw("</h2><div class=\"two\">");
    over_time::updated(&mut page, result);
    over_time::states(&mut page, result);
    over_time::blocks(&mut page, result);
    over_time::retransmissions(&mut page, result);
    page.raw("</div></section>");
    cells::heat_map(&mut page, result);
    figures::downloads(&mut page, result);
    causes::failures(&mut page, result);
    devices::slowest(&mut page, result);
    over_time::server(&mut page, result);
    figures::table(&mut page, result);
    scenario(&mut page, result);
    end(page)
}

/// Up to where a page's own content begins.
pub(in crate::harness) fn begin(title: &str, language: Language) -> Page {
    let mut page = Page::default();
    let hash = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    page.raw("<!doctype html>\n<html lang=\"")
        .raw(language.word());
    page.raw("\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">");
    page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-");
    page.text(&hash)
        .raw("'; img-src data:; base-uri 'none'; form-action 'none'\">");
    page.raw("<link rel=\"icon\" href=\"data:,\"><title>")
        .text_of_at_most(title, 80);
    page.raw(" · narrowcast</title><style>")
        .raw(STYLE)
        .raw("</style></head><body>");
    page.raw("<fieldset class=\"language\"><legend>Language · 语言</legend>");
    for (each, name) in [(Language::En, "English"), (Language::Zh, "中文")] {
        page.raw("<input type=\"radio\" name=\"language\" id=\"")
            .raw(each.word());
        page.raw(if each == language {
            "\" checked>"
        } else {
            "\">"
        });
        page.raw("<label for=\"")
            .raw(each.word())
            .raw("\">")
            .raw(name)
            .raw("</label>");
    }
    page.raw("</fieldset><main>");
    page
}

pub(in crate::harness) fn end(mut page: Page) -> String {
    page.raw("</main><script>")
        .raw(SCRIPT)
        .raw("</script></body></html>\n");
    page.finish()
}

/// The scenario as it was, and how to run it again.
fn scenario(page: &mut Page, result: &RunResult) {
    page.raw("<section><h2>");
    page.words(words("Scenario, and how to repeat it", "场景与复现方法"));
    page.raw("</h2><pre class=\"command\">narrowcast ")
        .raw(result.mode.word());
    page.raw(" scenario.toml --seed ").count(result.seed);
    page.raw("</pre><p class=\"note\">");
    match (&result.log_sha256, result.mode) {
        (Some(sha256), _) => {
            page.words(words(
                "The same scenario, seed and version give the same log, SHA-256 ",
                "相同的场景、种子和版本得到相同的日志，SHA-256 ",
            ));
            page.raw("<code>")
                .text_of_at_most(sha256, 64)
                .raw("</code>");
        }
        (None, Mode::Simulate | Mode::Load) => {
            page.words(words(
                "The same scenario and seed give the same devices; how fast they are served is the machine's.",
                "相同的场景和种子得到相同的终端；服务快慢取决于机器。",
            ));
        }
    }
    page.raw("</p><details open><summary>");
    page.words(words("Scenario", "场景文件"))
        .raw("</summary><pre>");
    page.text_of_at_most(&result.scenario_toml, SCENARIO_CHARS_MAX);
    page.raw("</pre></details></section>");
}

#[cfg(test)]
mod tests;
