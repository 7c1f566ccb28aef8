//! `scenario init` and `scenario check`.

use std::path::Path;

use serde_json::Value;

use crate::program::{command, run};

fn check_json(folder: &Path, file: &str, exit: i32) -> Value {
    let checked = run(folder, &["scenario", "check", file, "--json"]).exits(exit);
    serde_json::from_str(&checked.stdout).unwrap()
}

#[test]
fn every_template_can_be_written_and_is_found_right() {
    let folder = tempfile::tempdir().unwrap();
    for template in [
        "smoke",
        "nightly-burst",
        "reconnect-storm",
        "power-cut",
        "bad-cell",
        "cell-1000",
        "mixed-vendors",
    ] {
        let file = format!("{template}.toml");
        let args = ["scenario", "init", "--template", template, "--out", &file];
        run(folder.path(), &args).exits(0);
        let checked = check_json(folder.path(), &file, 0);
        assert_eq!(checked["valid"], true);
        assert_eq!(checked["expansion"]["name"], template);
        // What is there stays there.
        run(folder.path(), &args).exits(1);
    }
    let unknown = ["scenario", "init", "--template", "hurricane"];
    let refused = run(folder.path(), &unknown).exits(2);
    assert!(
        refused.stderr.contains("nightly-burst"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_scenario_is_told_in_devices_by_cell_level_and_mix() {
    let folder = tempfile::tempdir().unwrap();
    let written = run(folder.path(), &["scenario", "init"]).exits(0);
    std::fs::write(folder.path().join("s.toml"), written.stdout).unwrap();
    let checked = run(folder.path(), &["scenario", "check", "s.toml"]).exits(0);
    assert!(
        checked.stdout.contains("smoke: 20 devices"),
        "{}",
        checked.stdout
    );
    assert!(
        checked.stdout.contains("mix awake: 20"),
        "{}",
        checked.stdout
    );
    let expansion = &check_json(folder.path(), "s.toml", 0)["expansion"];
    assert_eq!(expansion["cells"].as_array().unwrap().len(), 2);
}

#[test]
fn a_fault_is_told_with_its_line_and_field_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[devices]\ncount = 3\n[[mix]]\npersona = \"nokia\"\n";
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let refused = run(folder.path(), &["scenario", "check", "s.toml"]).exits(1);
    assert_eq!(refused.stdout, "");
    let told = "s.toml: line 4, column 11: mix[0].persona: there is no persona";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let fault = check_json(folder.path(), "s.toml", 1);
    assert_eq!(
        (&fault["line"], &fault["field"]),
        (&4.into(), &"mix[0].persona".into())
    );
    let zh = command(folder.path(), &["scenario", "check", "s.toml"])
        .env("LC_ALL", "zh_CN.UTF-8")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&zh.stderr).into_owned();
    assert!(stderr.contains("第 4 行第 11 列"), "{stderr}");
}
