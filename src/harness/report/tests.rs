use super::*;
use crate::harness::result::{
    CellResult, DeviceStep, End, FailureCount, SaidBy, SlowDevice, StepKind,
};
use crate::harness::threshold::{Judged, ThresholdResult};
use crate::harness::{ReportFiles, sample};

const NASTY: &str = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u{202e}";

/// All that can come from outside says what would be markup.
fn nasty() -> RunResult {
    let mut result = sample::campaign(NASTY, 60, 1.0);
    result.scenario_toml = NASTY.to_owned();
    result.version = NASTY.to_owned();
    result.started_at = Some(NASTY.to_owned());
    result.log_sha256 = Some(NASTY.to_owned());
    result.end = End::DidNotFinish {
        why: NASTY.to_owned(),
    };
    result.thresholds.push(ThresholdResult {
        metric: NASTY.to_owned(),
        expression: NASTY.to_owned(),
        judged: Judged::Broken,
        observed: None,
        observed_text: NASTY.to_owned(),
        abort_on_fail: false,
    });
    for device in &mut result.slowest {
        device.endpoint = NASTY.to_owned();
    }
    result.cells[0].tier = NASTY.to_owned();
    for said_by in [SaidBy::Device, SaidBy::Server] {
        result.failures.push(FailureCount {
            said_by,
            cause: NASTY.to_owned(),
            count: 3,
        });
    }
    result
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let html = report_html(&nasty(), Language::En);
    for found in ["<script>alert", "<img", "onerror=alert(2)>", "\u{202e}"] {
        assert!(!html.contains(found), "{found}");
    }
    assert_eq!(html.matches("<script>").count(), 1, "ours");
    assert!(html.contains("&lt;script&gt;alert(1)"));
    let xml = junit_xml(&nasty());
    assert!(!xml.contains("<script>"), "{xml}");
}

#[test]
fn a_page_loads_nothing_and_runs_no_script_but_its_own() {
    let html = report_html(&sample::campaign("a run", 60, 1.0), Language::Zh);
    assert!(html.contains("default-src 'none'"));
    let hash = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    assert!(html.contains(&format!("script-src 'sha256-{hash}'")));
    for loads in [
        "src=", "@import", "url(", "http://", "https://", "<iframe", "<object",
    ] {
        assert!(!html.contains(loads), "{loads}");
    }
    assert_eq!(html.matches("href=").count(), 1, "the empty icon");
    assert!(html.contains("id=\"zh\" checked"));
}

#[test]
fn thresholds_come_before_all_charts_and_what_is_broken_before_what_held() {
    let html = report_html(&sample::campaign("a run", 120, 3.0), Language::En);
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(
        place("✗ <span class=\"en\" lang=\"en\">broken")
            < place("✓ <span class=\"en\" lang=\"en\">held")
    );
    assert!(place("class=\"held\"") < place("<figure"));
    for shown in [
        "1 of 4 thresholds broken",
        "Updated devices",
        "How long downloads took",
        "21101",
        "result_5",
        "Slowest devices",
        "Memory",
        "--seed 7",
    ] {
        place(shown);
    }
}

/// As large as a result can be: what is more is left out.
#[test]
fn the_largest_report_is_less_than_half_a_megabyte() {
    let mut result = sample::campaign("a run", 600, 1.0);
    let parts = 512;
    result.series.bucket_ms = result.duration_ms.div_ceil(parts as u64);
    let wild =
        |seed: usize| (0..parts).map(move |part| ((part * 7919 + seed * 104_729) % 600) as u64);
    for (number, values) in result.series.states.values_mut().enumerate() {
        *values = wild(number).collect();
    }
    let series = &mut result.series;
    for values in [
        &mut series.updated,
        &mut series.blocks,
        &mut series.sent,
        &mut series.retransmitted,
        &mut series.server_cpu_ms,
        &mut series.server_rss_bytes,
    ] {
        *values = wild(9).collect();
    }
    result.cells = (0..5000u32)
        .map(|cell| CellResult {
            cell,
            tier: "unknown".to_owned(),
            limit: 500,
            devices: 600,
            peak: 600,
            active: wild(cell as usize).collect(),
        })
        .collect();
    let step = DeviceStep {
        at_ms: 1_000_000_000,
        step: StepKind::DownloadFailed,
        result: Some(4),
    };
    let slow = SlowDevice {
        endpoint: "<".repeat(300),
        cell: u32::MAX,
        ce: 2,
        took_ms: u64::MAX / 2,
        updated: false,
        blocks: u32::MAX,
        retransmitted: u32::MAX,
        steps: vec![step; 500],
        steps_left_out: 9,
    };
    result.slowest = vec![slow; 100];
    result.scenario_toml = "#".repeat(1 << 20);
    let html = report_html(&result, Language::En);
    assert!(html.len() < 500_000, "{} bytes", html.len());
}

#[test]
fn figures_of_a_run_that_never_began_are_none_and_not_nonsense() {
    let result = sample::campaign("nothing", 0, 1.0);
    let html = report_html(&result, Language::En);
    assert!(!html.contains("NaN") && !html.contains(">inf"), "{html}");
    assert!(html.contains("No device began an update."));
}

#[test]
fn junit_has_a_case_for_each_threshold_and_one_for_the_end() {
    let xml = junit_xml(&sample::campaign("a <run>", 120, 3.0));
    assert!(
        xml.contains("<testsuites tests=\"5\" failures=\"1\">"),
        "{xml}"
    );
    assert!(xml.contains("name=\"a &lt;run&gt;\""), "{xml}");
    assert!(
        xml.contains("<testcase classname=\"device.download{ce=2}\" name=\"p(95)&lt;2h\"><failure"),
        "{xml}"
    );
    assert_eq!(xml.matches("<testcase").count(), 5);
    assert_eq!(
        xml.matches("/>").count() + xml.matches("</testcase>").count(),
        6
    );
}

#[test]
fn series_have_a_row_for_each_part_and_a_column_for_each_list() {
    let result = sample::campaign("a run", 60, 1.0);
    let csv = series_csv(&result.series);
    let mut rows = csv.lines();
    let columns: Vec<_> = rows.next().unwrap().split(',').collect();
    assert_eq!(columns.first(), Some(&"from_ms"));
    let updated = columns
        .iter()
        .position(|column| *column == "updated")
        .unwrap();
    let last = rows.last().unwrap().split(',').nth(updated).unwrap();
    assert_eq!(last, "60");
    assert_eq!(csv.lines().count(), result.series.updated.len() + 1);
}

#[test]
fn all_files_of_a_run_are_written_and_the_result_is_read_again() {
    let result = sample::campaign("a run", 60, 1.0);
    let files = ReportFiles::of(&result, Language::En).unwrap();
    let names: Vec<_> = files.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "result.json",
            "report.html",
            "series.csv",
            "slowest.csv",
            "junit.xml",
            "metrics.txt",
            "summary.md",
        ]
    );
    let (_, json) = files.iter().next().unwrap();
    assert_eq!(RunResult::from_json(json).unwrap(), result);
}
