//! What devices are like, each trait by its effect on a run.

use super::*;
use crate::harness::{Aggregate, Labels, METRICS};

/// Nobody is updated, and a day passes.
fn day_without_campaign(text: &str) -> Run {
    let text = text
        .replace("[campaign]\nimage_bytes = 5000\n", "")
        .replace(
            "duration = \"2d\"",
            "duration = \"1d\"\nuntil = \"duration\"",
        );
    run_of(&text)
}

fn download_s(run: &Run) -> f64 {
    median_s(run, "device.download")
}

fn median_s(run: &Run, name: &str) -> f64 {
    let metric = METRICS.iter().find(|it| it.name == name);
    let metrics = &run.result.metrics;
    let median = metrics.figure(metric.unwrap(), &Labels::none(), Aggregate::Med);
    median.unwrap() / 1e6
}

fn blocks(run: &Run) -> u64 {
    let counted = run
        .result
        .metrics
        .count_over("block.received", &Labels::none());
    counted.unwrap()
}

#[test]
fn a_download_goes_on_in_smaller_blocks() {
    let smaller = run_of(&all("", "smaller_blocks = { after_bytes = 2048, szx = 3 }"));
    assert_eq!(blocks(&run_of(&all("", ""))), 6 * 10);
    // Four of 512 bytes, and 2952 more in blocks of 128.
    assert_eq!(blocks(&smaller), 6 * (4 + 24), "{}", smaller.log);
    assert_eq!(smaller.result.updated, 6);
}

#[test]
fn a_registration_is_prolonged_before_it_ends_unless_that_is_left_too_late() {
    let of = |traits: &str| {
        let run = day_without_campaign(&all("", traits));
        run.count("RegistrationRefused")
    };
    assert_eq!(of("lifetime = \"10m\""), 0);
    assert!(of("lifetime = \"10m\"\nupdate_before_expiry = \"0s\"") > 6);
}

#[test]
fn a_meter_that_sends_data_while_its_module_downloads_slows_the_download() {
    let (busy, quiet) = (
        run_of(&all("", "data_every = \"2s\"")),
        run_of(&all("", "")),
    );
    assert_eq!(busy.result.updated, 6, "{}", busy.log);
    let (busy_s, quiet_s) = (download_s(&busy), download_s(&quiet));
    assert!(busy_s > quiet_s * 1.1, "{busy_s} s against {quiet_s} s");
}

#[test]
fn a_nat_that_maps_anew_costs_answers_and_no_update_that_is_tried_again() {
    let of = |mix: &str| {
        let campaign = "image_bytes = 50000\nretry = { retries_max = 5, delay_seconds = 60 }";
        let text = all(mix, "").replace("image_bytes = 5000", campaign);
        // Whom its NAT hides from the server is heard again soon.
        run_of(&text.replace("every = \"30m\"", "every = \"2m\""))
    };
    let (stays, rebinds) = (of(""), of("impairment = { rebind_every = \"10s\" }"));
    assert_eq!(rebinds.result.updated, 6, "{}", rebinds.log);
    let (rebinds_s, stays_s) = (download_s(&rebinds), download_s(&stays));
    assert!(
        rebinds_s > stays_s * 1.2,
        "{rebinds_s} s against {stays_s} s"
    );
}

#[test]
fn a_radio_is_on_all_the_time_or_for_a_while_after_each_uplink() {
    let day_s = 86_400.0;
    let never_sleeps = all("", "");
    let always_s = median_s(&day_without_campaign(&never_sleeps), "device.awake");
    assert!(always_s > 0.99 * day_s && always_s <= day_s, "{always_s} s");
    let sleeps = never_sleeps.replace("sleep = \"never\"", "sleep = \"psm\"\nawake = \"20s\"");
    let run = day_without_campaign(&sleeps);
    let awake_s = median_s(&run, "device.awake");
    // At each half an hour: a round trip of half a second, seldom of some, and 20 s.
    let of_uplinks = 20.0..23.0;
    assert!(of_uplinks.contains(&(awake_s / 49.0)), "{awake_s} s");
}

#[test]
fn a_battery_below_what_the_campaign_asks_for_keeps_a_device_out() {
    let of = |percent: u8| {
        let text = all("", &format!("battery_percent = {percent}\nfree_kib = 64")).replace(
            "image_bytes = 5000",
            "image_bytes = 5000\npreconditions = { battery_percent_min = 30, free_kib_min = 20 }",
        );
        run_of(&text).result.updated
    };
    assert_eq!((of(20), of(40)), (0, 6));
}

#[test]
fn a_server_takes_devices_that_have_one_token_for_all_that_they_ask() {
    let run = run_of(&all("", "quirks = [\"reuses_token\"]").replace("ce0 = 1", "ce2 = 1"));
    assert_eq!(run.result.updated, 6, "{}", run.log);
}

#[test]
fn in_band_the_worst_coverage_is_several_times_slower() {
    let text = all("", "block_retries = 5").replace("ce0 = 1", "ce2 = 1");
    let in_band = text.replace(
        "[[cell]]\nid = 1",
        "[[cell]]\nid = 1\noperation_mode = \"in_band\"",
    );
    let (in_band, standalone) = (run_of(&in_band), run_of(&text));
    assert_eq!(in_band.result.updated, 6, "{}", in_band.log);
    // Five times as long for a block, and more that is sent again.
    let times = download_s(&in_band) / download_s(&standalone);
    assert!((4.0..10.0).contains(&times), "{times} times");
}
