//! What a run came to, for programs: JSON, CSV, JUnit XML and more. Sans-IO.

use std::fmt::Write;

use super::markup::Page;
use super::open_metrics::open_metrics;
use super::report_html;
use super::summary::summary_markdown;
use crate::harness::result::{ReadError, RunResult, Series};
use crate::harness::threshold::{Judged, ThresholdResult};
use crate::model::Language;

/// All that is written of a run: names of files, and what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFiles {
    files: [(&'static str, Vec<u8>); 7],
}

impl ReportFiles {
    /// The file that reports and comparisons read again.
    pub const RESULT: &'static str = "result.json";

    /// What came of each device: only the run itself can write it.
    pub const DEVICES: &'static str = "devices.csv";

    /// The page.
    pub const PAGE: &'static str = "report.html";

    /// The files on this run.
    ///
    /// # Errors
    /// As [`RunResult::to_json`].
    pub fn of(result: &RunResult, language: Language) -> Result<Self, ReadError> {
        let files = [
            (Self::RESULT, result.to_json()?),
            (Self::PAGE, report_html(result, language).into_bytes()),
            ("series.csv", series_csv(&result.series).into_bytes()),
            ("slowest.csv", slowest_csv(result).into_bytes()),
            ("junit.xml", junit_xml(result).into_bytes()),
            ("metrics.txt", open_metrics(result).into_bytes()),
            (
                "summary.md",
                summary_markdown(result, language).into_bytes(),
            ),
        ];
        Ok(Self { files })
    }

    /// Each name with what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.files
            .iter()
            .map(|(name, content)| (*name, content.as_slice()))
    }
}

/// The series as CSV (RFC 4180), a row for each part of the run.
pub fn series_csv(series: &Series) -> String {
    let mut columns: Vec<(String, &[u64])> = Vec::new();
    for (state, counts) in &series.states {
        columns.push((format!("state_{state}"), counts));
    }
    for (tier, active) in &series.active {
        columns.push((format!("active_tier_{tier}"), active));
    }
    for (name, values) in [
        ("updated", &series.updated),
        ("blocks", &series.blocks),
        ("block_bytes", &series.block_bytes),
        ("sent", &series.sent),
        ("retransmitted", &series.retransmitted),
        ("server_cpu_ms", &series.server_cpu_ms),
        ("server_rss_bytes", &series.server_rss_bytes),
    ] {
        columns.push((name.to_owned(), values));
    }
    let mut text = String::from("from_ms");
    for (name, _) in &columns {
        text.push(',');
        text.push_str(&cell(name));
    }
    text.push_str("\r\n");
    let rows = columns.iter().map(|(_, values)| values.len()).max();
    for row in 0..rows.unwrap_or_default() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", series.bucket_ms.saturating_mul(row as u64));
        for (_, values) in &columns {
            text.push(',');
            if let Some(value) = values.get(row) {
                let _ = write!(text, "{value}");
            }
        }
        text.push_str("\r\n");
    }
    text
}

/// The slowest devices as CSV, with their steps.
pub fn slowest_csv(result: &RunResult) -> String {
    let mut text = String::from("endpoint,cell,ce,took_ms,updated,blocks,retransmitted,steps\r\n");
    for device in &result.slowest {
        let steps: Vec<_> = device
            .steps
            .iter()
            .map(|step| format!("{}@{}", step.step.word(), step.at_ms))
            .collect();
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{}\r\n",
            cell(&device.endpoint),
            device.cell,
            device.ce,
            device.took_ms,
            device.updated,
            device.blocks,
            device.retransmitted,
            cell(&steps.join(" ")),
        );
    }
    text
}

/// A cell; quoted where it must be, and never a formula to a spreadsheet.
pub(super) fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if formula { "'" } else { "" };
    if formula || text.contains([',', '"', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The thresholds as test cases, and whether the run came to its end as one more.
pub fn junit_xml(result: &RunResult) -> String {
    let mut page = Page::default();
    let seconds = format!("{:.3}", result.duration_ms as f64 / 1e3);
    let broken = result
        .thresholds
        .iter()
        .filter(|threshold| !threshold.held())
        .count() as u64;
    let unfinished = result.unfinished();
    let failures = broken + u64::from(unfinished.is_some());
    let tests = result.thresholds.len() as u64 + 1;
    page.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"")
        .count(tests);
    page.raw("\" failures=\"")
        .count(failures)
        .raw("\">\n<testsuite name=\"")
        .text(&result.name);
    page.raw("\" tests=\"")
        .count(tests)
        .raw("\" failures=\"")
        .count(failures);
    page.raw("\" errors=\"0\" time=\"")
        .text(&seconds)
        .raw("\">\n");
    for threshold in &result.thresholds {
        case(&mut page, threshold);
    }
    page.raw("<testcase classname=\"run\" name=\"came to its end\"");
    match unfinished {
        None => page.raw("/>\n"),
        Some(why) => page
            .raw("><failure message=\"")
            .text(&why)
            .raw("\"/></testcase>\n"),
    };
    page.raw("</testsuite>\n</testsuites>\n");
    page.finish()
}

fn case(page: &mut Page, threshold: &ThresholdResult) {
    page.raw("<testcase classname=\"").text(&threshold.metric);
    page.raw("\" name=\"").text(&threshold.expression).raw("\"");
    match threshold.judged {
        Judged::Held => {
            page.raw("/>\n");
        }
        Judged::Broken | Judged::NoData => {
            page.raw("><failure message=\"measured: ")
                .text(&threshold.observed_text);
            page.raw("\"/></testcase>\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_is_no_formula() {
        for (text, written) in [
            ("860000000000001", "860000000000001"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("=HYPERLINK(1)", "\"'=HYPERLINK(1)\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
