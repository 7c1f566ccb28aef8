//! Reports and comparisons: the commands, and their pages in a real browser.

use std::fs;
use std::path::{Path, PathBuf};

use narrowcast::harness::RunResult;

use crate::browser::{self, NARROW, Seen, WIDE};
use crate::program::run;

/// A name that would be markup, a script, and a file to load.
const NAME: &str =
    "nightly <script>fetch('http://192.0.2.1/')</script><img src=http://192.0.2.1/a.png>";

/// 240 devices of three levels in four cells, of which some fail first.
const SCENARIO: &str = r#"
[run]
name = "NAME"
seed = 7
duration = "12h"
[campaign]
image_bytes = 10240
retry = { retries_max = 3, delay_seconds = 120 }
[[cell]]
id = 21101
count = 4
[[mix]]
radio = { ce0 = 1, ce1 = 1, ce2 = 1 }
uplink = { pattern = "interval", every = "1h" }
faults = { connection_lost = 0.08, wrong_hash = 0.04 }
impairment = { both = { delay = "DELAY" } }
traits = { sleep = "never" }
[devices]
count = 240
ramp = "4/s"
[thresholds]
"campaign.success_rate" = "rate>=0.97"
"cell.active{tier=0}" = "max<=50"
"cell.active{tier=1}" = "max<=10"
"cell.active{tier=2}" = "max<=1"
"device.download{ce=2}" = "p(95)<40m"
"device.retry_gap" = "min>=120s"
"device.double_execute" = "count==0"
"coap.retransmit_ratio" = "rate<5%"
"server.rss" = "max<2000000000"
"#;

/// Rehearses the scenario under this name, with datagrams so much later, into a folder of this name.
fn rehearse(folder: &Path, name: &str, out: &str, delay: &str) -> PathBuf {
    let text = SCENARIO.replace("NAME", name).replace("DELAY", delay);
    fs::write(folder.join("s.toml"), text).unwrap();
    run(folder, &["simulate", "s.toml", "--out", out]).exits(99);
    folder.join(out)
}

/// What the server's process used, as a run on real sockets would tell it.
fn watch_server(run: &Path) {
    let path = run.join("result.json");
    let mut result = RunResult::from_json(&fs::read(&path).unwrap()).unwrap();
    let parts = 0..result.series.updated.len() as u64;
    result.series.server_cpu_ms = parts.clone().map(|part| 350 + part % 40).collect();
    result.series.server_rss_bytes = parts.map(|part| (90 << 20) + (part << 12)).collect();
    fs::write(path, result.to_json().unwrap()).unwrap();
}

/// Where pages are left for a person to look at, if somebody wants that.
fn keep(page: &Path, name: &str) {
    if let Some(folder) = std::env::var_os("NARROWCAST_PAGES") {
        fs::copy(page, Path::new(&folder).join(name)).unwrap();
    }
}

/// Every drawing has its size and something in it, nothing hangs out of the window, nothing was wanted
/// from outside and nothing went wrong.
fn is_whole(seen: &Seen, drawings_min: usize, wide_px: f64) {
    assert!(seen.drawings.len() >= drawings_min, "{seen:?}");
    for drawing in &seen.drawings {
        assert!(
            drawing.width >= wide_px && drawing.height >= 15.0,
            "{drawing:?}"
        );
        assert!(drawing.shapes > 0, "{drawing:?} of {seen:?}");
    }
    assert!(seen.overflow_px <= 0, "{} px hang out", seen.overflow_px);
    assert_eq!(seen.console, [""; 0]);
}

#[test]
fn a_report_is_whole_in_a_browser_wide_and_narrow_light_and_dark_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let written = rehearse(folder.path(), NAME, "a", "0s");
    watch_server(&written);
    let ended = run(folder.path(), &["report", "a"]).exits(0);
    assert!(
        ended.stdout.trim().ends_with("a/report.html"),
        "{}",
        ended.stdout
    );
    let page = written.join("report.html");
    keep(&page, "report.html");
    // Six charts, a row of the map for each of twelve tiers, twenty slow devices.
    let charts = 6 + 1 + 12 + 20;
    let seen = browser::open(&page, WIDE, false, "en-GB");
    is_whole(&seen, charts, 100.0);
    assert_eq!(seen.background, "rgb(255, 255, 255)");
    for text in [
        "of 9 thresholds broken",
        "no data",
        "Slowest devices",
        "<script>fetch(",
        "seed 7",
    ] {
        assert!(seen.text.contains(text), "{text}: {}", seen.text);
    }
    assert!(!seen.text.contains("阈值"), "{}", seen.text);
    let seen = browser::open(&page, NARROW, true, "zh-CN");
    is_whole(&seen, charts, 100.0);
    assert_eq!(seen.background, "rgb(18, 22, 27)");
    assert!(
        seen.text.contains("最慢的终端") && seen.text.contains("无数据"),
        "{}",
        seen.text
    );
    assert!(!seen.text.contains("Slowest devices"), "{}", seen.text);
}

#[test]
fn what_a_page_loads_or_runs_is_seen_by_the_browser() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = rehearse(folder.path(), NAME, "a", "0s");
    let page = run_folder.join("report.html");
    let html = fs::read_to_string(&page).unwrap();
    for outsider in [
        "<img src=\"http://192.0.2.1/a.png\">",
        "<script>document.title = 1</script>",
    ] {
        fs::write(
            &page,
            html.replace("</main>", &format!("{outsider}</main>")),
        )
        .unwrap();
        let seen = browser::open(&page, WIDE, false, "en-GB");
        assert_eq!(seen.console.len(), 1, "{outsider}: {:?}", seen.console);
    }
}

#[test]
fn a_comparison_is_whole_in_a_browser_and_ends_by_its_conditions() {
    let folder = tempfile::tempdir().unwrap();
    for (out, delay) in [("a", "0s"), ("b", "1ms"), ("c", "4s")] {
        rehearse(folder.path(), "nightly", out, delay);
    }
    let condition = "p(95)_download>+10%";
    let same = ["compare", "a", "b", "--fail-if", condition];
    run(folder.path(), &same).exits(0);
    let arguments = [
        "compare",
        "a",
        "b",
        "c/result.json",
        "--fail-if",
        condition,
        "--out",
        "x.html",
    ];
    let ended = run(folder.path(), &arguments).exits(99);
    assert!(
        ended.stdout.contains("✗ p(95)_download>+10%"),
        "{}",
        ended.stdout
    );
    let page = folder.path().join("x.html");
    keep(&page, "compare.html");
    for (width, dark) in [(WIDE, false), (NARROW, true)] {
        let seen = browser::open(&page, width, dark, "en-GB");
        is_whole(&seen, 5, 250.0);
        for drawing in &seen.drawings {
            assert_eq!(drawing.shapes, 3, "a line for each run");
        }
        assert!(
            seen.text.contains("1 of 2 conditions to fail are met"),
            "{}",
            seen.text
        );
    }
}

#[test]
fn a_comparison_as_json_has_each_change_with_its_probability() {
    let folder = tempfile::tempdir().unwrap();
    for (name, delay) in [("a", "0s"), ("c", "4s")] {
        rehearse(folder.path(), name, name, delay);
    }
    let ended = run(folder.path(), &["compare", "a", "c", "--json"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["metric"] == "device.download" && row["aggregate"] == "p(50)");
    let change = &row.unwrap()["changes"][0];
    assert!(change["percent"].as_f64().unwrap() > 10.0, "{change}");
    assert!(change["p_value"].as_f64().is_some(), "{change}");
    assert_eq!(json["runs"][1]["name"], "c");
}

#[test]
fn all_files_on_a_run_go_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    rehearse(folder.path(), "a", "a", "0s");
    run(folder.path(), &["report", "a", "--files", "all"]).exits(0);
    for name in [
        "result.json",
        "report.html",
        "series.csv",
        "slowest.csv",
        "junit.xml",
        "metrics.txt",
        "summary.md",
    ] {
        assert!(folder.path().join("all").join(name).is_file(), "{name}");
    }
    run(folder.path(), &["report", "all"]).exits(0);
}

#[test]
fn what_is_no_result_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.json"), "{}").unwrap();
    run(folder.path(), &["report", "x.json"])
        .exits(1)
        .says(&["x.json", "no result of a run"]);
    run(folder.path(), &["report", "nowhere"])
        .exits(1)
        .says(&["nowhere"]);
    let text = fs::read_to_string(rehearse(folder.path(), "a", "a", "0s").join("result.json"));
    let text = text.unwrap().replacen("\"schema\":1", "\"schema\":9", 1);
    fs::write(folder.path().join("y.json"), text).unwrap();
    run(folder.path(), &["report", "y.json"])
        .exits(1)
        .says(&["form 9"]);
    run(folder.path(), &["compare", "y.json"]).exits(2);
    run(
        folder.path(),
        &["compare", "x.json", "y.json", "--fail-if", "p95"],
    )
    .exits(2)
    .says(&["is no condition"]);
}
