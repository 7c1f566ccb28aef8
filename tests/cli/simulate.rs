//! `simulate`: a rehearsal from the file to its end.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::program::{command, run};

/// Three devices that always listen, and ten blocks for each.
const SMALL: &str = "
[run]
name = \"small\"
[campaign]
image_bytes = 5000
[devices]
count = 3
[[mix]]
radio = { ce0 = 1 }
uplink = { pattern = \"interval\", every = \"30m\" }
traits = { sleep = \"never\" }
";

fn with(thresholds: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{SMALL}\n[thresholds]\n{thresholds}\n");
    fs::write(folder.path().join("s.toml"), text).unwrap();
    folder
}

fn json(folder: &Path, arguments: &[&str], exit: i32) -> Value {
    let ended = run(folder, arguments).exits(exit);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn a_rehearsal_prints_what_came_of_it_and_the_hash_of_its_log() {
    let folder = with("\"campaign.success_rate\" = \"rate==1\"");
    let arguments = ["simulate", "s.toml", "--log", "s.log", "--out", "s"];
    let ended = run(folder.path(), &arguments).exits(0);
    assert!(ended.stdout.contains("updated: 3 / 3"), "{}", ended.stdout);
    let log = fs::read(folder.path().join("s.log")).unwrap();
    let sha256 = hex::encode(Sha256::digest(log));
    assert!(ended.stdout.contains(&sha256), "{}", ended.stdout);
    let result = &json(folder.path(), &["simulate", "s.toml", "--json"], 0)["result"];
    assert_eq!(result["log_sha256"], sha256.as_str());
    let other = ["simulate", "s.toml", "--json", "--seed", "2"];
    assert_ne!(
        json(folder.path(), &other, 0)["result"]["log_sha256"],
        sha256.as_str()
    );
    let written = folder.path().join("s/result.json");
    let written: Value = serde_json::from_slice(&fs::read(written).unwrap()).unwrap();
    assert_eq!(&written, result);
    let devices = fs::read_to_string(folder.path().join("s/devices.csv")).unwrap();
    let rows: Vec<Vec<&str>> = devices
        .lines()
        .map(|row| row.split(',').collect())
        .collect();
    assert_eq!(rows.len(), 1 + 3, "{devices}");
    for (place, name) in [(4, "state"), (12, "blocks"), (13, "block_bytes")] {
        assert_eq!(rows[0][place], name);
    }
    for row in &rows[1..] {
        assert_eq!(
            (row[1], row[4], row[5], row[13]),
            ("mix-0", "updated", "1", "5000")
        );
        let update_s: f64 = row[11].parse().unwrap();
        let stages_s: f64 = row[8..11].iter().map(|it| it.parse::<f64>().unwrap()).sum();
        assert!((update_s - stages_s).abs() < 0.01, "{row:?}");
    }
}

#[test]
fn a_threshold_that_ends_the_run_is_told_by_the_command_and_by_its_report() {
    let folder = with("\"device.download\" = { threshold = \"max<1s\", abortOnFail = true }");
    let ended = run(folder.path(), &["simulate", "s.toml", "--out", "s"]).exits(99);
    let told = "ended by the threshold device.download: max<1s";
    assert!(ended.stdout.contains(told), "{}", ended.stdout);
    let page = fs::read_to_string(folder.path().join("s/report.html")).unwrap();
    assert!(page.contains("Ended by a threshold: "), "{page}");
    let junit = fs::read_to_string(folder.path().join("s/junit.xml")).unwrap();
    assert!(junit.contains("ended by the threshold"), "{junit}");
    let zh = command(folder.path(), &["simulate", "s.toml"])
        .env("LC_ALL", "zh_CN.UTF-8")
        .output()
        .unwrap();
    let stdout = String::from_utf8(zh.stdout).unwrap();
    assert!(stdout.contains("因阈值未满足而中止"), "{stdout}");
}

#[test]
fn the_limit_is_found_by_runs_with_more_devices_and_with_fewer() {
    let folder = with("\"block.received\" = \"count<=45\"");
    let arguments = ["simulate", "s.toml", "--find-limit", "1..12"];
    let ended = run(folder.path(), &arguments).exits(0);
    let told = "small: the limit is 4 devices: with 5 a threshold breaks\n";
    assert_eq!(ended.stdout, told);
    let steps: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(steps[0], "1 devices: holds");
    let broken = "12 devices: BROKEN (block.received: count<=45 (";
    assert!(steps[1].starts_with(broken), "{steps:?}");
    let found = &json(folder.path(), &[&arguments[..], &["--json"]].concat(), 0)["limit"];
    assert_eq!((&found["holds"], &found["breaks"]), (&4.into(), &5.into()));
    let coarse = [&arguments[..], &["--precision", "6", "--json"]].concat();
    let coarse = &json(folder.path(), &coarse, 0)["limit"];
    assert_eq!(coarse["tried"].as_array().unwrap().len(), 3, "{coarse}");
    assert_eq!(
        (&coarse["holds"], &coarse["breaks"]),
        (&1.into(), &6.into())
    );
}

#[test]
fn a_limit_outside_the_range_is_told_as_what_to_try_instead() {
    let folder = with("\"block.received\" = \"count<=45\"");
    let ended = run(
        folder.path(),
        &["simulate", "s.toml", "--find-limit", "6..8"],
    )
    .exits(99);
    assert!(
        ended
            .stdout
            .contains("not even 6 devices hold: try with fewer")
    );
    let ended = run(
        folder.path(),
        &["simulate", "s.toml", "--find-limit", "1..2"],
    )
    .exits(0);
    assert!(ended.stdout.contains("even 2 devices hold: try with more"));
    for range in ["8..6", "0..3", "3", "1..2000000"] {
        run(
            folder.path(),
            &["simulate", "s.toml", "--find-limit", range],
        )
        .exits(2)
        .says(&["--find-limit", "100..5000"]);
    }
    let folder = with("");
    run(
        folder.path(),
        &["simulate", "s.toml", "--find-limit", "1..2"],
    )
    .exits(2)
    .says(&["[thresholds]"]);
}
