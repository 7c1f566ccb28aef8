//! Reports and comparisons: the commands, and their pages in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use narrowcast::clock::{Instant, Utc};
use narrowcast::harness::{
    CoapSample, DeviceInfo, End, Mode, Observer, ObserverConfig, RunResult, ServerSample, Threshold,
};
use narrowcast::model::{CellId, CoverageTier, Sha256Digest, SlotClaim, TierLimits};
use narrowcast::sim::log::{DeviceEvent, LogLine};
use narrowcast::sim::{AtRest, CeLevel};

use crate::browser::{self, NARROW, Seen, WIDE};
use crate::program::run;

const IMAGE: Sha256Digest = Sha256Digest([7; 32]);

/// A name that would be markup, a script, and a file to load.
const NAME: &str =
    "nightly <script>fetch('http://192.0.2.1/')</script><img src=http://192.0.2.1/a.png>";

enum Told {
    Line(DeviceEvent),
    Coap(CoapSample),
}

/// 240 devices of three levels in four cells over six hours, some of which fail first.
fn result(name: &str, factor: f64) -> RunResult {
    const DEVICES: usize = 240;
    let tiers = [
        CoverageTier::Tier0,
        CoverageTier::Tier1,
        CoverageTier::Tier2,
    ];
    let infos = (0..DEVICES).map(|device| {
        let cell = CellId(21_101 + u32::try_from(device / 3 % 4).unwrap());
        DeviceInfo {
            endpoint: format!("86{device:013}{}", if device == 59 { "<b>" } else { "" }),
            cell,
            level: CeLevel::ALL[device % 3],
            class: SlotClaim {
                cell,
                tier: tiers[device % 3],
            },
            mix: 0,
        }
    });
    let mut observer = Observer::new(infos.collect(), config(name));
    let mut events: Vec<_> = (0..DEVICES)
        .flat_map(|device| story(device, factor))
        .collect();
    events.sort_by_key(|(second, device, _)| (*second, *device));
    let mut cpu = Duration::ZERO;
    for (second, device, seen) in events {
        let at = Instant::from_origin(Duration::from_secs(second));
        match seen {
            Told::Line(event) => observer.line(&LogLine { at, device, event }),
            Told::Coap(sample) => observer.coap(at, device, sample),
        }
        cpu += Duration::from_micros(350);
        let rss_bytes = (90 << 20) + second * 512;
        observer.server(at, ServerSample { cpu, rss_bytes });
    }
    observer.finish(End::DurationOver)
}

/// What happens on one device, and in which second.
fn story(device: usize, factor: f64) -> Vec<(u64, usize, Told)> {
    let mut events = Vec::new();
    let slow = [90.0, 400.0, 900.0][device % 3] * factor * (1.0 + (device % 11) as f64 / 8.0);
    let mut at = 120 + [12, 40, 1000][device % 3] * (device as u64 / 12);
    events.push((
        10 + device as u64 / 4,
        device,
        Told::Line(DeviceEvent::Booted {
            version: "1".to_owned(),
        }),
    ));
    events.push((
        14 + device as u64 / 4,
        device,
        Told::Line(DeviceEvent::Registered),
    ));
    if device % 9 == 8 {
        events.push((at, device, Told::Line(DeviceEvent::UriAccepted)));
        let result = if device.is_multiple_of(2) { 5 } else { 4 };
        events.push((
            at + 60,
            device,
            Told::Line(DeviceEvent::DownloadFailed { result }),
        ));
        at += 300;
    }
    let end = at + slow as u64;
    events.push((at, device, Told::Line(DeviceEvent::UriAccepted)));
    for block in 0..20 {
        let moment = at + block * (end - at) / 20;
        events.push((moment, device, Told::Coap(CoapSample::Sent)));
        if block % 9 == 0 && device % 3 == 2 {
            events.push((moment, device, Told::Coap(CoapSample::Retransmitted)));
        }
        let took = Duration::from_millis([700, 2000, 8000][device % 3]);
        events.push((moment, device, Told::Coap(CoapSample::RoundTrip(took))));
        events.push((
            moment,
            device,
            Told::Coap(CoapSample::BlockReceived { size_bytes: 512 }),
        ));
    }
    events.push((
        end,
        device,
        Told::Line(DeviceEvent::Downloaded { sha256: IMAGE }),
    ));
    events.push((end + 10, device, Told::Line(DeviceEvent::ExecuteAccepted)));
    if device % 60 != 59 {
        events.push((
            end + 90,
            device,
            Told::Line(DeviceEvent::UpdateEnded { result: 1 }),
        ));
    }
    events
}

fn config(name: &str) -> ObserverConfig {
    let thresholds = [
        ("campaign.success_rate", "rate>=0.97"),
        ("cell.active{tier=0}", "max<=50"),
        ("cell.active{tier=1}", "max<=10"),
        ("cell.active{tier=2}", "max<=1"),
        ("device.download{ce=2}", "p(95)<40m"),
        ("device.retry_gap", "min>=120s"),
        ("device.double_execute", "count==0"),
        ("coap.retransmit_ratio", "rate<5%"),
        ("device.awake", "p(95)<1h"),
    ];
    let thresholds = thresholds.map(|(metric, asked)| Threshold::parse(metric, asked).unwrap());
    ObserverConfig {
        name: name.to_owned(),
        mode: Mode::Load,
        seed: 7,
        scenario_toml: "[run]\nname = \"nightly\"\nseed = 7\n\n[devices]\ncount = 240\n".to_owned(),
        started_at: Some(Utc::from_unix_ms(1_795_219_200_000)),
        epoch: Utc::from_unix_ms(1_795_219_200_000),
        limits: TierLimits::default(),
        image: Some(IMAGE),
        target_version: None,
        at_rest: AtRest::Active,
        windows: None,
        bucket: Duration::from_secs(60),
        thresholds: thresholds.into(),
    }
}

fn written(folder: &Path, name: &str, result: &RunResult) -> PathBuf {
    let run = folder.join(name);
    fs::create_dir(&run).unwrap();
    fs::write(run.join("result.json"), result.to_json().unwrap()).unwrap();
    run
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
    let written = written(folder.path(), "a", &result(NAME, 1.0));
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
        "<b>",
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
    let run_folder = written(folder.path(), "a", &result(NAME, 1.0));
    run(folder.path(), &["report", "a"]).exits(0);
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
    for (name, factor) in [("a", 1.0), ("b", 1.0), ("c", 1.3)] {
        written(folder.path(), name, &result(&format!("run {name}"), factor));
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
    for (name, factor) in [("a", 1.0), ("c", 1.3)] {
        written(folder.path(), name, &result(name, factor));
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
    written(folder.path(), "a", &result("a", 1.0));
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
    let text = result("a", 1.0).to_json().unwrap();
    let text = String::from_utf8(text)
        .unwrap()
        .replacen("\"schema\":1", "\"schema\":9", 1);
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
