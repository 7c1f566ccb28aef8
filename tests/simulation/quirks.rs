//! Quirk sets: a device with a module's habits under settings that do not suit it, and the same where its
//! product names the set that is known of it.

use std::time::Duration;

use narrowcast::coap::ContentFormat;
use narrowcast::engine::EngineConfig;
use narrowcast::lwm2m::path;
use narrowcast::model::{
    Delivery, DownloadProtocol, FailureReason, RadioUnit, RetryPolicy, TaskState, TimelineStep,
    UpdateCancel,
};
use narrowcast::profile::QuirkSet;
use narrowcast::sim::{DeviceConfig, Radio};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

fn world(config: &EngineConfig, device: &DeviceConfig, set: Option<&str>) -> World {
    let mut world = World::new(70, config.clone(), vec![device.clone()]);
    if let Some(set) = set {
        assert!(QuirkSet::find(set).is_some());
        world.enter_profile(fleet::MODEL, Some(set), serde_json::json!({}));
    }
    world
}

/// An update to its end under the server's settings, and one with the set.
fn both(config: &EngineConfig, device: &DeviceConfig, set: &str) -> [World; 2] {
    [None, Some(set)].map(|set| {
        let mut world = world(config, device, set);
        world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        world
    })
}

fn outcome(world: &World) -> (TaskState, Option<FailureReason>) {
    let task = world.server.tasks.values().next().unwrap();
    let reason = task.failure.as_ref().map(|failure| failure.reason);
    (task.state, reason)
}

fn rsrp_dbm(world: &World) -> Option<i16> {
    let endpoint = fleet::endpoint(&world.devices[0].config);
    ready(world.server.store.report(&endpoint))
        .unwrap()
        .rsrp_dbm
}

/// Of Execute and the cancellation, which came first.
fn is_cancelled_first(world: &World) -> bool {
    let mut requests = world.requests.iter();
    let first =
        requests.find(|(_, _, it)| it.is_execute() || it.is_cancellation_of(path::FIRMWARE_STATE));
    !first.unwrap().2.is_execute()
}

const SUCCEEDED: (TaskState, Option<FailureReason>) = (TaskState::Succeeded, None);

#[test]
fn ec616s_is_told_coap_though_others_fetch_by_http_and_its_csq_is_understood() {
    let mut config = fleet::engine_config();
    config.http_download_base = Some("http://192.0.2.1:8090/fw/".to_owned());
    config.product.download = DownloadProtocol::Http;
    let mut device = fleet::device(0);
    device.quirks.own_download_socket = true;
    device.quirks.reboots_before_execute_answer = true;
    device.quirks.ignores_uri_unless_idle = true;
    device.quirks.new_port_after_reboot = true;
    device.radio = Radio {
        cell_id: Some(1),
        rsrp: Some(20),
        sinr: None,
    };
    let [without, with] = both(&config, &device, "ec616s");
    assert_eq!(
        outcome(&without),
        (TaskState::Failed, Some(FailureReason::InvalidUri))
    );
    assert_eq!(outcome(&with), SUCCEEDED);
    assert_eq!([rsrp_dbm(&without), rsrp_dbm(&with)], [None, Some(-73)]);
    assert!(is_cancelled_first(&with));
}

#[test]
fn bc25_has_its_observation_cancelled_before_execute() {
    let mut device = fleet::device(0);
    device.quirks.reboots_before_execute_answer = true;
    let [without, with] = both(&fleet::engine_config(), &device, "bc25");
    assert_eq!([outcome(&without), outcome(&with)], [SUCCEEDED; 2]);
    assert_eq!(
        [is_cancelled_first(&without), is_cancelled_first(&with)],
        [false, true]
    );
}

/// LiteOS and what is made of it.
fn liteos_like() -> DeviceConfig {
    let mut device = fleet::device(0);
    device.quirks.waits_for_notification_ack = true;
    device.quirks.remembers_observation = true;
    device
}

#[test]
fn liteos_fetches_though_packages_are_pushed_to_others() {
    let mut config = fleet::engine_config();
    config.product.delivery = Delivery::Push;
    let [without, with] = both(&config, &liteos_like(), "liteos");
    assert_eq!(outcome(&without).0, TaskState::Failed);
    assert_eq!(outcome(&with), SUCCEEDED);
}

#[test]
fn xy1100_has_its_result_read_once_and_is_told_of_no_stop() {
    let mut config = fleet::engine_config();
    config.product.observe_result = true;
    config.product.cancel = UpdateCancel::EmptyUri;
    let mut device = liteos_like();
    device.quirks.result_reads_once = true;
    device.quirks.answers_in = Some(ContentFormat::TLV);
    let [without, with] = both(&config, &device, "xy1100");
    assert_eq!([outcome(&without), outcome(&with)], [SUCCEEDED; 2]);
    let observed = |world: &World| {
        let mut requests = world.requests.iter();
        requests.any(|(_, _, it)| it.is_observe_of(path::FIRMWARE_UPDATE_RESULT))
    };
    assert_eq!([observed(&without), observed(&with)], [true, false]);

    // What failed is told once, and so it is read once.
    device.outcome = narrowcast::sim::Outcome::DownloadFails(5);
    let [_, failed] = both(&config, &device, "xy1100");
    let reason = Some(FailureReason::IntegrityCheckFailed);
    assert_eq!(outcome(&failed), (TaskState::Failed, reason));
    let read_of = path::FIRMWARE_UPDATE_RESULT;
    let reads = failed
        .requests
        .iter()
        .filter(|(_, _, it)| it.is_read_of(read_of));
    assert_eq!(reads.count(), 1);

    // An empty URI would begin a download of nothing.
    for (set, uris) in [(None, 2), (Some("xy1100"), 1)] {
        let mut world = world(&config, &device, set);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("it downloads", |world| {
            world.devices[0].core.update_state() == 1
        });
        world.stop(id);
        world.run_to_the_end();
        let written = world.requests.iter().filter(|(_, _, it)| it.is_uri_write());
        assert_eq!(written.count(), uris, "{set:?}");
    }
}

#[test]
fn onenets_number_is_told_from_its_range_though_others_report_csq() {
    let mut config = fleet::engine_config();
    config.product.radio_unit = RadioUnit::Csq;
    let mut device = fleet::device(0);
    device.radio.sinr = None;
    let [without, with] = both(&config, &device, "onenet");
    assert_eq!([outcome(&without), outcome(&with)], [SUCCEEDED; 2]);
    assert_eq!([rsrp_dbm(&without), rsrp_dbm(&with)], [None, Some(-90)]);
}

#[test]
fn a_bad_uri_is_known_of_wakaama_at_once() {
    let mut device = fleet::device(0);
    device.quirks.finds_uris_bad = true;
    let worlds = both(&fleet::engine_config(), &device, "wakaama");
    let took = worlds.map(|world| {
        let ended = (TaskState::Failed, Some(FailureReason::InvalidUri));
        assert_eq!(outcome(&world), ended);
        let [written, failed] =
            [TimelineStep::UriWritten, TimelineStep::Failed].map(|step| world.steps(0, step)[0].at);
        failed.saturating_since(written)
    });
    assert!(took[0] >= Duration::from_secs(60), "{took:?}");
    assert!(took[1] < Duration::from_secs(20), "{took:?}");
    let [_, with] = both(&fleet::engine_config(), &fleet::device(0), "wakaama");
    assert_eq!(outcome(&with), SUCCEEDED);
}

#[test]
fn a_constant_version_succeeds_by_its_result() {
    let mut device = fleet::device(0);
    device.quirks.constant_version = true;
    let [without, with] = both(&fleet::engine_config(), &device, "constant_version");
    let mismatch = (TaskState::Failed, Some(FailureReason::VersionMismatch));
    assert_eq!([outcome(&without), outcome(&with)], [mismatch, SUCCEEDED]);
}

#[test]
fn every_set_has_its_test_here() {
    let text = include_str!("quirks.rs");
    for set in QuirkSet::all() {
        assert!(text.contains(&format!("{:?})", set.name)), "{}", set.name);
    }
}
