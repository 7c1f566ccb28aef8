//! Packages pushed to `/5/0/0` block by block, and downloads that a device is told to give up.

use std::time::Duration;

use narrowcast::engine::EngineConfig;
use narrowcast::lwm2m::path;
use narrowcast::model::{
    Delivery, FailureReason, RetryPolicy, TaskState, TimelineStep, UpdateCancel,
};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::faults::seeds;
use crate::fleet;
use crate::link::Link;
use crate::world::World;

const PERSISTENT: RetryPolicy = RetryPolicy {
    retries_max: RetryPolicy::RETRIES_MAX,
    delay: Duration::from_secs(120),
};

fn engine(delivery: Delivery) -> EngineConfig {
    let mut config = fleet::engine_config();
    config.product.delivery = delivery;
    config
}

/// Takes its package by `/5/0/0` alone.
fn taker(index: usize) -> DeviceConfig {
    let mut device = fleet::device(index);
    device.quirks.takes_only_push = true;
    device
}

/// The writes that left for a device, by path, each once however often it was repeated.
fn written(world: &World, device: usize) -> (usize, usize) {
    let (mut uris, mut blocks) = (0, 0);
    let mut seen = Vec::new();
    for (_, to, request) in &world.requests {
        if *to != device || seen.contains(&request.id) {
            continue;
        }
        seen.push(request.id);
        uris += usize::from(request.is_uri_write());
        blocks += usize::from(request.is_package_write());
    }
    (uris, blocks)
}

/// How often a device said that it has the whole package.
fn packages(world: &World) -> usize {
    let lines = world.log.iter();
    lines
        .filter(|line| matches!(line.event, DeviceEvent::Downloaded { .. }))
        .count()
}

#[test]
fn a_package_is_pushed_where_the_setting_says_so_and_needs_no_public_host() {
    let mut config = engine(Delivery::Push);
    config.download_base = None;
    let mut world = World::new(1, config, vec![taker(0)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
    assert_eq!(written(&world, 0), (0, world.image.len().div_ceil(512)));
    assert_eq!(world.executes(0).len(), 1);
    assert_eq!(world.server.engine.counters().block_bytes, 5_000);
}

#[test]
fn each_device_gets_its_package_as_it_says_that_it_takes_it() {
    let devices = vec![taker(0), fleet::device(1)];
    let mut world = World::new(2, engine(Delivery::Auto), devices);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 2);
    assert_eq!(written(&world, 0), (0, world.image.len().div_ceil(512)));
    assert_eq!(written(&world, 1), (1, 0));
}

#[test]
fn where_pull_is_the_rule_nobody_is_asked_and_nothing_is_pushed() {
    let mut world = World::new(3, engine(Delivery::Pull), vec![taker(0)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::InvalidUri);
    assert!(failure.evidence.contains("4.05"), "{}", failure.evidence);
    assert_eq!(written(&world, 0), (1, 0));
    let asked = path::FIRMWARE_DELIVERY_METHOD;
    assert!(!world.requests.iter().any(|(_, _, it)| it.is_read_of(asked)));
}

#[test]
fn pushes_over_bad_links_end_and_nothing_forbidden_happens() {
    let mut succeeded = 0;
    let mut begun_again = 0;
    for seed in seeds(400, 12) {
        let devices = (0..6).map(taker).collect();
        let mut world = World::new(seed, engine(Delivery::Push), devices);
        world.link = Link::bad(&mut StdRng::seed_from_u64(seed));
        world.cut_percent = 5;
        let id = world.campaign_for_all(PERSISTENT);
        world.run_to_the_end();
        assert!(world.verdict().holds(), "{seed}: {:#?}", world.verdict());
        for index in 0..6 {
            let task = world.task(id, index);
            assert!(world.executes(index).len() <= usize::from(task.attempt));
            let runs_target = world.devices[index].core.version() == fleet::TARGET_VERSION;
            assert!(runs_target || task.state != TaskState::Succeeded);
            let firsts = world
                .requests
                .iter()
                .filter(|(_, to, it)| *to == index && it.is_package_write() && it.begins_a_body());
            begun_again += firsts.count().saturating_sub(1);
        }
        succeeded += world.count(id, TaskState::Succeeded);
    }
    assert!(begun_again > 0, "no push was cut short");
    assert!(succeeded >= 60, "{succeeded} of 72");
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_push_looks_and_begins_again() {
    for blocks in [1, 4, 9] {
        let mut world = World::new(5, engine(Delivery::Push), vec![taker(0)]);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("some blocks have left", |world| {
            written(world, 0).1 >= blocks
        });
        let sent = world.requests.len();
        world.restart();
        world.run_to_the_end();
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded, "{blocks}");
        assert_eq!(world.task(id, 0).attempt, 1);
        assert_eq!((world.executes(0).len(), packages(&world)), (1, 1));
        let after = &world.requests[sent..];
        let looked = after
            .iter()
            .position(|(_, _, it)| it.is_read_of(path::FIRMWARE_STATE));
        let wrote = after.iter().position(|(_, _, it)| it.is_package_write());
        assert!(looked.unwrap() < wrote.unwrap(), "{blocks}");
        assert!(after[wrote.unwrap()].2.begins_a_body());
    }
}

#[test]
fn a_stopped_download_is_cancelled_on_the_device_and_its_slot_is_free_at_once() {
    for (cancel, push) in [
        (UpdateCancel::Execute, false),
        (UpdateCancel::Execute, true),
        (UpdateCancel::EmptyUri, false),
    ] {
        let mut config = engine(if push { Delivery::Push } else { Delivery::Pull });
        config.product.cancel = cancel;
        let mut device = if push { taker(0) } else { fleet::device(0) };
        device.quirks.cancels = true;
        let mut world = World::new(6, config, vec![device]);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("it downloads", |world| {
            world.devices[0].core.update_state() == 1
        });
        world.run_for(Duration::from_secs(1));
        world.stop(id);
        world.run_for(Duration::from_secs(10));
        assert_eq!(world.task(id, 0).state, TaskState::Stopped, "{cancel}");
        assert_eq!(world.server.slots_in_use(), 0);
        assert_eq!(world.devices[0].core.update_state(), 0);
        let result = if cancel == UpdateCancel::Execute {
            10
        } else {
            0
        };
        let said = format!("/5/0/5 = {result}");
        assert_eq!(world.steps(0, TimelineStep::ResultRead)[0].detail, said);
        let failure = world.task(id, 0).failure.as_ref().unwrap();
        assert_eq!(failure.reason, FailureReason::Stopped);
        let shown = if cancel == UpdateCancel::Execute {
            said
        } else {
            "/5/0/3 = 0".to_owned()
        };
        assert!(failure.evidence.contains(&shown), "{}", failure.evidence);
        assert_eq!(world.executes(0), []);
    }
}

#[test]
fn a_device_that_names_cancel_in_its_links_is_told_and_others_are_not() {
    for named in [true, false] {
        let mut device = fleet::device(0);
        device.quirks.cancels = true;
        if named {
            device.links.push_str(",</5/0/10>");
        }
        let mut world = World::new(7, engine(Delivery::Pull), vec![device]);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("it downloads", |world| {
            world.devices[0].core.update_state() == 1
        });
        world.stop(id);
        world.run_to_the_end();
        let told = path::FIRMWARE_CANCEL;
        let executed = world.requests.iter().any(|(_, _, it)| it.path == told);
        assert_eq!(executed, named);
        assert_eq!(world.task(id, 0).state, TaskState::Stopped);
    }
}
