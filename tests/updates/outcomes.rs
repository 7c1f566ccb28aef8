//! How an update of a Wakaama device ends, and what the device itself says of it.

use crate::bench::{Bench, check_failed, check_succeeded};
use crate::device::until;
use crate::rest::{TARGET_VERSION, text};
use crate::server::SHORT_TIMES;

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_updated_with_the_packages_bytes_and_one_execute() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&[]).await;
    let task = bench.update().await;
    check_succeeded(&task, None);
    bench.check_installed_once(&mut device);
    assert_eq!(device.all("rebooted").len(), 1);
    let shown = bench.shown().await;
    assert_eq!(shown["firmware_version"], TARGET_VERSION, "{shown:#}");
    assert_eq!(shown["cell_id"], 123_456_789, "{shown:#}");
    assert_eq!(shown["rsrp_dbm"], -97, "{shown:#}");
    assert_eq!(shown["tier"], "unknown", "it reports no SINR: {shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_timeline_tells_the_update_step_by_step() {
    let bench = Bench::new(SHORT_TIMES).await;
    let _device = bench.device(&["--snr", "9"]).await;
    check_succeeded(&bench.update().await, None);
    assert_eq!(bench.shown().await["tier"], "0");
    let steps = bench.rest.steps(Bench::ENDPOINT).await;
    let mut told = steps.iter();
    for step in [
        "contact",
        "negotiated",
        "slot_granted",
        "observed",
        "uri_written",
        "download_begun",
        "downloaded",
        "execute_intended",
        "execute_answered",
        "slot_released",
        "succeeded",
    ] {
        assert!(told.any(|one| one == step), "{step} in {steps:?}");
    }
    assert_eq!(told.next(), None, "behind the end: {steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_timing_of_the_rfc_a_device_is_updated_too() {
    let bench = Bench::new(&SHORT_TIMES.replace("loopback", "rfc7252")).await;
    let mut device = bench.device(&["--block-size", "64"]).await;
    check_succeeded(&bench.update().await, None);
    bench.check_installed_once(&mut device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hash_on_the_device_fails_the_task_and_nothing_is_executed() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--fail", "5"]).await;
    let task = bench.update().await;
    check_failed(&task, "integrity_check_failed", "/5/0/5 = 5");
    assert_eq!(device.all("downloaded").len(), 1);
    assert!(device.all("execute").is_empty());
    assert_eq!(bench.shown().await["firmware_version"], "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_install_fails_the_task_and_is_not_executed_again() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--update-fail"]).await;
    let task = bench.update().await;
    check_failed(&task, "update_failed", "/5/0/5 = 8");
    bench.check_installed_once(&mut device);
    assert!(device.all("rebooted").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_runs_the_target_version_already_is_left_alone() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--version", TARGET_VERSION]).await;
    check_succeeded(&bench.update().await, Some("up_to_date"));
    assert!(device.written("/5/0/1").is_empty());
    assert!(device.all("execute").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_device_is_asked_nothing_until_it_speaks() {
    let bench = Bench::new(&SHORT_TIMES.replace("[update]", "[update]\nawake_time = \"2s\"")).await;
    let options = ["--binding", "UQ", "--lifetime", "16"];
    let mut device = bench.device(&options).await;
    until(Bench::ENDPOINT, &bench.rest, |shown| {
        shown["awake"] == false
    })
    .await;
    assert_eq!(bench.shown().await["queue_mode"], true);

    let campaign = bench.activate().await;
    let asleep = bench.shown().await;
    let task = &bench.rest.tasks(campaign).await[0];
    assert_eq!(task["state"], "pending", "{task:#}");
    assert_eq!(task["waiting_for"], "contact", "{task:#}");
    check_succeeded(&bench.end(campaign).await, None);
    bench.check_installed_once(&mut device);

    let timeline = bench.rest.get("/devices/meter-1/timeline?limit=1000").await;
    let first = timeline.as_array().unwrap().last().unwrap();
    assert_eq!(first["step"], "contact", "{first:#}");
    // RFC 3339 in UTC: the order of the texts is the order of the times.
    assert!(text(&first["at"]) > text(&asleep["last_seen"]), "{first:#}");
}
