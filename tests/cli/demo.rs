//! `demo`: the main job, with real sockets and nothing to prepare.

use serde_json::{Value, json};

use crate::program::run;

#[test]
fn twelve_devices_are_updated_and_the_report_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let demo = run(folder.path(), &["demo", "--devices", "12", "--json"]).exits(0);
    assert_eq!(demo.stdout.lines().count(), 1, "{}", demo.stdout);
    let report: Value = serde_json::from_str(&demo.stdout).unwrap();
    for (field, value) in [
        ("devices", json!(12)),
        ("succeeded", json!(12)),
        ("failed", json!(0)),
        ("flashed", json!(12)),
        ("second_flashes", json!(0)),
        ("repeated_executes", json!(0)),
        ("wrong_images", json!(0)),
        ("limits_passed", json!([])),
    ] {
        assert_eq!(report[field], value, "{field} of {report}");
    }
    let cells = report["cells"].as_array().unwrap();
    assert!(cells.iter().any(|cell| cell["highest_active"] != json!(0)));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is left in the folder");
}
