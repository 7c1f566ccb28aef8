//! A device that is given packages again and again is barred, whatever dies in between, until an
//! operator lifts the bar.

use std::time::Duration;

use narrowcast::campaign::LoopGuardConfig;
use narrowcast::engine::{Command, CommandError, EngineConfig};
use narrowcast::model::{DeliveryHistory, FailureReason, RetryPolicy, TaskState, TimelineStep};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::store::Store;

use crate::fleet;
use crate::lifecycle::{downloaded, failing, retries};
use crate::server::{Outcome, ready};
use crate::world::World;

/// The device's deliveries as they are stored.
fn stored(world: &World, device: usize) -> Option<DeliveryHistory> {
    let endpoint = fleet::endpoint(&world.devices[device].config);
    ready(world.server.store.deliveries(&endpoint)).ok()
}

fn lift(world: &mut World, device: usize) -> Outcome {
    let endpoint = fleet::endpoint(&world.devices[device].config);
    world.command(Command::LiftBar(endpoint))
}

/// A world whose only device was given six packages and kept none.
fn barred(seed: u64) -> World {
    let mut world = World::new(seed, fleet::engine_config(), vec![failing(3)]);
    let id = world.campaign_for_all(retries(5));
    world.run_to_the_end();
    assert_eq!(world.failure(id, 0).reason, FailureReason::OutOfMemory);
    assert_eq!(world.task(id, 0).attempt, 6);
    assert_eq!(downloaded(&world), 6);
    world
}

/// Makes a campaign, which must fail because of the bar.
fn assert_barred(world: &mut World) {
    let before = downloaded(world);
    let id = world.campaign_for_all(retries(5));
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::Barred);
    let evidence = &failure.evidence;
    assert!(evidence.starts_with("barred since 2026-"), "{evidence}");
    assert!(
        evidence.contains("deliveries counted: 6, the first at 2026-"),
        "{evidence}"
    );
    assert_eq!(world.task(id, 0).attempt, 1);
    assert_eq!(downloaded(world), before);
}

#[test]
fn a_device_with_six_deliveries_in_a_day_is_barred() {
    let mut world = barred(44);
    let notes = world.steps(0, TimelineStep::Note);
    let told = |note: &&narrowcast::model::TimelineEntry| note.detail.starts_with("barred since");
    assert_eq!(notes.iter().filter(told).count(), 1, "{notes:?}");
    assert_barred(&mut world);
}

#[test]
fn a_bar_outlives_restarts_until_it_is_lifted_for_good() {
    let mut world = barred(700);
    world.restart();
    assert_barred(&mut world);
    assert_eq!(lift(&mut world, 0), Outcome::Done(Ok(())));
    assert_eq!(stored(&world, 0), None);
    let refused = Outcome::Done(Err(CommandError::NotBarred));
    assert_eq!(lift(&mut world, 0), refused);
    world.restart();
    assert_eq!(lift(&mut world, 0), refused);
    let id = world.campaign_for_all(retries(0));
    world.run_to_the_end();
    assert_eq!(world.failure(id, 0).reason, FailureReason::OutOfMemory);
    assert_eq!(downloaded(&world), 7);
}

#[test]
fn deliveries_before_and_after_restarts_add_up() {
    let mut world = World::new(701, fleet::engine_config(), vec![failing(3)]);
    for delivered in 1..=6 {
        let id = world.campaign_for_all(retries(0));
        world.run_to_the_end();
        assert_eq!(world.failure(id, 0).reason, FailureReason::OutOfMemory);
        world.restart();
        let history = stored(&world, 0).unwrap();
        assert_eq!(history.delivered_at.len(), delivered);
        assert_eq!(history.barred_since.is_some(), delivered == 6);
    }
    assert_barred(&mut world);
}

#[test]
fn deliveries_that_no_longer_count_leave_the_store_with_the_next_one() {
    let devices = vec![fleet::device(0), fleet::device(1)];
    for restarted in [false, true] {
        let mut world = World::new(705, fleet::engine_config(), devices.clone());
        for device in [0, 1] {
            let id = world.draft(&[device], RetryPolicy::default());
            world.activate(id).unwrap();
            world.run_to_the_end();
            assert_eq!(world.task(id, device).state, TaskState::Succeeded);
            assert!(stored(&world, 0).is_some() || device == 1);
            world.run_for(Duration::from_secs(24 * 60 * 60));
            if restarted {
                world.restart();
            }
        }
        assert_eq!(stored(&world, 0), None);
        assert!(stored(&world, 1).is_some());
    }
}

#[test]
fn a_lift_that_is_not_committed_has_not_happened() {
    let mut world = barred(702);
    world.server.store.fail_after(1);
    assert_eq!(lift(&mut world, 0), Outcome::Lost);
    assert_barred(&mut world);
}

#[test]
fn the_delivery_that_bars_a_device_goes_on_over_a_restart() {
    let config = EngineConfig {
        loop_guard: LoopGuardConfig {
            deliveries_max: 1,
            ..LoopGuardConfig::default()
        },
        ..fleet::engine_config()
    };
    let mut world = World::new(703, config, vec![fleet::device(0)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("the device has the URI", |world| {
        let mut lines = world.log.iter();
        lines.any(|line| line.event == DeviceEvent::UriAccepted)
    });
    assert!(stored(&world, 0).unwrap().barred_since.is_some());
    world.restart();
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    let next = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.failure(next, 0).reason, FailureReason::Barred);
}

#[test]
fn whichever_commit_fails_each_delivery_counts_once() {
    let run = |n| {
        let mut world = World::new(704, fleet::engine_config(), vec![failing(3)]);
        let before = world.server.commits;
        world.server.store.fail_after(n);
        world.campaign_for_all(retries(5));
        world.run_to_the_end();
        assert_eq!(world.server.rebuilds > 0, n > 0, "commit {n}");
        let history = stored(&world, 0).unwrap();
        assert_eq!(history.delivered_at.len(), 6, "commit {n}");
        assert!(history.barred_since.is_some(), "commit {n}");
        assert_eq!(downloaded(&world), 6, "commit {n}");
        world.server.commits - before
    };
    let whole = run(0);
    assert!(whole > 50, "{whole} commits");
    for n in 1..=whole {
        run(n);
    }
}

#[test]
fn a_server_that_dies_at_any_input_gives_no_seventh_package() {
    let mut rebuilds = 0;
    for seed in 710..740 {
        let mut world = World::new(seed, fleet::engine_config(), vec![failing(3)]);
        world.crash_permille = 50;
        for _ in 0..3 {
            world.campaign_for_all(retries(5));
            world.run_to_the_end();
            let counted = stored(&world, 0).unwrap().delivered_at.len();
            assert!(downloaded(&world) <= counted && counted <= 6);
        }
        assert!(stored(&world, 0).unwrap().barred_since.is_some());
        rebuilds += world.server.rebuilds;
    }
    assert!(rebuilds > 100, "{rebuilds}");
}

#[test]
fn in_a_paused_campaign_a_barred_device_waits_as_all_do() {
    let mut world = barred(707);
    let id = world.draft(&[0], RetryPolicy::default());
    world.activate(id).unwrap();
    let pause = Command::PauseCampaign { id, halted: false };
    assert_eq!(world.command(pause), Outcome::Done(Ok(())));
    world.run_for(Duration::from_secs(3 * 60 * 60));
    assert_eq!(world.task(id, 0).state, TaskState::Pending);
    let resume = Command::ResumeCampaign(id);
    assert_eq!(world.command(resume), Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.failure(id, 0).reason, FailureReason::Barred);
}
