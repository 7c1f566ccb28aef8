//! Settings of two products side by side: those of one reach its own devices and nobody else's.

use std::time::Duration;

use narrowcast::engine::EngineConfig;
use narrowcast::lwm2m::path;
use narrowcast::model::{CoverageTier, FailureReason, RetryPolicy, TaskState, TimelineStep};
use narrowcast::sim::{DeviceConfig, Radio};
use narrowcast::store::Store;
use serde_json::{Value, json};

use crate::fleet;
use crate::link::Link;
use crate::server::ready;
use crate::wire::SentRequest;
use crate::world::World;

/// The product that has a profile.
const OTHER: &str = "NB-2";

/// Device 0 is treated as by default, device 1 as its profile says.
fn two(device: &DeviceConfig, settings: Value) -> World {
    two_under(fleet::engine_config(), device, settings)
}

fn two_under(config: EngineConfig, device: &DeviceConfig, settings: Value) -> World {
    let named = |index: usize, model: &str| DeviceConfig {
        endpoint: fleet::device(index).endpoint,
        model: model.to_owned(),
        ..device.clone()
    };
    let devices = vec![named(0, fleet::MODEL), named(1, OTHER)];
    let mut world = World::new(70, config, devices);
    world.enter_profile(OTHER, None, settings);
    world
}

/// A campaign for each of the two.
fn begin(world: &mut World) {
    for (index, model) in [fleet::MODEL, OTHER].into_iter().enumerate() {
        let id = world.draft_for(model, &[index], RetryPolicy::default());
        world.activate(id).unwrap();
    }
}

fn run(device: &DeviceConfig, settings: Value) -> World {
    let mut world = two(device, settings);
    begin(&mut world);
    world.run_to_the_end();
    world
}

/// How the task of each ended.
fn outcomes(world: &World) -> [(TaskState, Option<FailureReason>); 2] {
    [0, 1].map(|index| {
        let endpoint = fleet::endpoint(&world.devices[index].config);
        let mut tasks = world.server.tasks.values();
        let task = tasks.find(|task| task.endpoint == endpoint).unwrap();
        let reason = task.failure.as_ref().map(|failure| failure.reason);
        (task.state, reason)
    })
}

fn sent(world: &World, device: usize, is: impl Fn(&SentRequest) -> bool) -> bool {
    let mut requests = world.requests.iter();
    requests.any(|(_, to, request)| *to == device && is(request))
}

const SUCCEEDED: (TaskState, Option<FailureReason>) = (TaskState::Succeeded, None);

const fn failed(reason: FailureReason) -> (TaskState, Option<FailureReason>) {
    (TaskState::Failed, Some(reason))
}

#[test]
fn the_transmission_preset_reaches_the_exchanges_with_the_products_devices() {
    let mut world = two(&fleet::device(0), json!({"transmission": "loopback"}));
    world.run_for(Duration::from_secs(60));
    world.link = Link {
        loss: 100,
        ..Link::clean()
    };
    let asked_before = world.requests.len();
    begin(&mut world);
    world.run_for(Duration::from_secs(60));
    // The first request and its first repetition.
    let gap = |device| {
        let asked = world.requests[asked_before..].iter();
        let mut of = asked.filter(|(_, to, _)| *to == device);
        let (first, again) = (of.next().unwrap(), of.next().unwrap());
        assert_eq!(first.2, again.2);
        again.0.saturating_since(first.0)
    };
    let (by_default, by_profile) = (gap(0), gap(1));
    assert!(by_default >= Duration::from_secs(10), "{by_default:?}");
    let loopback = Duration::from_millis(200)..Duration::from_millis(301);
    assert!(loopback.contains(&by_profile), "{by_profile:?}");
}

#[test]
fn the_observation_is_cancelled_when_the_product_says() {
    let world = run(
        &fleet::device(0),
        json!({"observation_cancel": "after_download"}),
    );
    assert_eq!(outcomes(&world), [SUCCEEDED; 2]);
    for (device, expected) in [(0, ["execute", "cancel"]), (1, ["cancel", "execute"])] {
        let of = world.requests.iter().filter(|(_, to, _)| *to == device);
        let order = of.filter_map(|(_, _, request)| {
            if request.is_execute() {
                return Some("execute");
            }
            let cancels = request.is_cancellation_of(path::FIRMWARE_STATE);
            cancels.then_some("cancel")
        });
        assert_eq!(order.collect::<Vec<_>>(), expected, "device {device}");
    }
}

#[test]
fn the_result_is_observed_where_the_product_says() {
    let world = run(&fleet::device(0), json!({"observe_result": true}));
    let observed = |device| {
        sent(&world, device, |it| {
            it.is_observe_of(path::FIRMWARE_UPDATE_RESULT)
        })
    };
    assert_eq!([observed(0), observed(1)], [false, true]);
}

#[test]
fn a_package_is_pushed_to_the_product_that_takes_it_so() {
    let mut device = fleet::device(0);
    device.quirks.takes_only_push = true;
    let world = run(&device, json!({"delivery": "push"}));
    let pushed = |device| sent(&world, device, SentRequest::is_package_write);
    assert_eq!([pushed(0), pushed(1)], [false, true]);
    assert_eq!(outcomes(&world)[1], SUCCEEDED);
    assert_eq!(outcomes(&world)[0].0, TaskState::Failed);
}

#[test]
fn a_product_that_fetches_by_http_is_told_such_a_url() {
    // These devices fetch by CoAP alone, and find any other URI bad.
    let config = EngineConfig {
        http_download_base: Some("http://192.0.2.1:8090/fw/".to_owned()),
        ..fleet::engine_config()
    };
    let mut world = two_under(config, &fleet::device(0), json!({"download": "http"}));
    begin(&mut world);
    world.run_to_the_end();
    let ended = [SUCCEEDED, failed(FailureReason::InvalidUri)];
    assert_eq!(outcomes(&world), ended);
}

#[test]
fn a_product_that_fetches_by_http_is_not_activated_without_a_listener() {
    let mut world = two(&fleet::device(0), json!({"download": "http"}));
    let id = world.draft_for(OTHER, &[1], RetryPolicy::default());
    let refused = world.activate(id);
    assert_eq!(refused, Err(narrowcast::engine::CommandError::NoDeviceHttp));
    let id = world.draft_for(fleet::MODEL, &[0], RetryPolicy::default());
    assert_eq!(world.activate(id), Ok(()));
}

#[test]
fn a_download_is_cancelled_as_the_product_says() {
    let mut device = fleet::device(0);
    device.quirks.cancels = true;
    let mut world = two(&device, json!({"cancel": "empty_uri"}));
    let ids = [(fleet::MODEL, 0), (OTHER, 1)].map(|(model, index)| {
        let id = world.draft_for(model, &[index], RetryPolicy::default());
        world.activate(id).unwrap();
        id
    });
    for (index, id) in ids.into_iter().enumerate() {
        world.run_until("it downloads", |world| {
            world.devices[index].core.update_state() == 1
        });
        world.stop(id);
        world.run_for(Duration::from_secs(5));
    }
    world.run_to_the_end();
    let uris = |device: usize| {
        let of = world.requests.iter().filter(|(_, to, _)| *to == device);
        of.filter(|(_, _, it)| it.is_uri_write()).count()
    };
    // The second write is the empty one.
    assert_eq!([uris(0), uris(1)], [1, 2]);
}

#[test]
fn radio_values_are_read_in_the_products_unit_and_with_its_borders() {
    let device = DeviceConfig {
        radio: Radio {
            cell_id: Some(1),
            rsrp: Some(3),
            sinr: Some(12),
        },
        ..fleet::device(0)
    };
    let tiers = |settings: Value| {
        let world = run(&device, settings);
        [0, 1].map(|index| {
            let endpoint = fleet::endpoint(&world.devices[index].config);
            ready(world.server.store.report(&endpoint)).unwrap().tier
        })
    };
    let unknown = Some(CoverageTier::Unknown);
    let csq = json!({"radio_unit": "csq"});
    // CSQ 3 is -107 dBm.
    assert_eq!(tiers(csq), [unknown, Some(CoverageTier::Tier1)]);
    let own = json!({"radio_unit": "csq", "rsrp_borders_dbm": [-107, -110, -120]});
    assert_eq!(tiers(own), [unknown, Some(CoverageTier::Tier0)]);
    let own = json!({"radio_unit": "csq", "sinr_borders_db": [20, 15, 10]});
    assert_eq!(tiers(own), [unknown, Some(CoverageTier::Tier2)]);
}

#[test]
fn a_constant_version_is_forgiven_to_the_product_whose_result_is_trusted() {
    let mut device = fleet::device(0);
    device.quirks.constant_version = true;
    let world = run(&device, json!({"trust_result_only": true}));
    let ended = [failed(FailureReason::VersionMismatch), SUCCEEDED];
    assert_eq!(outcomes(&world), ended);
}

#[test]
fn a_slot_is_held_as_long_as_the_product_says() {
    // The server's default is the shorter: what holds longer holds under both.
    let mut config = fleet::engine_config();
    config.product.slot_held = narrowcast::model::SlotHeld::UntilDownloaded;
    let mut device = fleet::device(0);
    device.install = Duration::from_secs(600);
    let mut world = two_under(config, &device, json!({"slot_held": "until_result"}));
    begin(&mut world);
    world.run_to_the_end();
    assert_eq!(outcomes(&world), [SUCCEEDED; 2]);
    for (device, held_for) in [(0, 0..60), (1, 600..800)] {
        let [executed, released] = [TimelineStep::ExecuteIntended, TimelineStep::SlotReleased]
            .map(|step| world.steps(device, step)[0].at);
        let held = released.saturating_since(executed).as_secs();
        assert!(held_for.contains(&held), "device {device}: {held} s");
    }
}

#[test]
fn a_device_that_is_not_heard_has_the_products_time() {
    let mut device = fleet::device(0);
    device.start_spread = Duration::ZERO;
    let mut world = two(&device, json!({"contact_timeout": "10m"}));
    world.link = Link {
        loss: 100,
        ..Link::clean()
    };
    let begun = world.now.utc;
    begin(&mut world);
    world.run_to_the_end();
    let overdue = failed(FailureReason::ContactTimeout);
    assert_eq!(outcomes(&world), [overdue, overdue]);
    let took = [0, 1].map(|device| {
        let at = world.steps(device, TimelineStep::Failed)[0].at;
        // The clock on the wall drifts a little.
        (at.saturating_since(begun).as_secs() + 30) / 60
    });
    assert_eq!(took, [24 * 60, 10]);
}

#[test]
fn a_download_that_stands_still_has_the_products_time() {
    let mut world = two(&fleet::device(0), json!({"download_stall_timeout": "10m"}));
    let mut took = Vec::new();
    for (index, model) in [fleet::MODEL, OTHER].into_iter().enumerate() {
        world.cut_off = None;
        let id = world.draft_for(model, &[index], RetryPolicy::default());
        world.activate(id).unwrap();
        world.run_until("it downloads", |world| {
            world.devices[index].core.update_state() == 1
        });
        world.cut_off = Some(index);
        let begun = world.now.utc;
        world.run_until("it has failed", |world| {
            world.task(id, index).state == TaskState::Failed
        });
        assert_eq!(
            world.failure(id, index).reason,
            FailureReason::DownloadStalled
        );
        let at = world.steps(index, TimelineStep::Failed)[0].at;
        took.push(at.saturating_since(begun).as_secs() / 60);
    }
    assert!((55..=65).contains(&took[0]), "{took:?} minutes");
    assert!((10..=20).contains(&took[1]), "{took:?} minutes");
}

#[test]
fn a_change_counts_for_what_begins_afterwards_and_outlives_a_restart() {
    let mut world = two(
        &fleet::device(0),
        json!({"observation_cancel": "after_download"}),
    );
    world.restart();
    begin(&mut world);
    world.run_to_the_end();
    let order = |device: usize| -> Vec<bool> {
        let of = world.requests.iter().filter(|(_, to, _)| *to == device);
        let of =
            of.filter(|(_, _, it)| it.is_execute() || it.is_cancellation_of(path::FIRMWARE_STATE));
        of.map(|(_, _, it)| it.is_execute()).collect()
    };
    assert_eq!([order(0), order(1)], [[true, false], [false, true]]);
}
