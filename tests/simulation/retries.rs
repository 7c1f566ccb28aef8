//! An operator has failed tasks tried again.

use std::time::Duration;

use narrowcast::engine::CommandError;
use narrowcast::model::{
    CampaignState, FailureReason, RetryPolicy, TaskState, TimelineStep, UpdateTask, WaitingFor,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{DeviceConfig, Outcome as Ends};
use narrowcast::store::Store;

use crate::fleet;
use crate::lifecycle::{downloaded, retries};
use crate::server::{Outcome, ready};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DONE: Outcome = Outcome::Done(Ok(()));
const NOTHING: Outcome = Outcome::Done(Err(CommandError::NothingToRetry));

fn all(_: &UpdateTask) -> bool {
    true
}

/// Out of memory at each download, until told otherwise.
fn failing(index: usize, result: u8) -> DeviceConfig {
    DeviceConfig {
        outcome: Ends::DownloadFails(result),
        ..fleet::device(index)
    }
}

fn mend(world: &mut World, device: usize) {
    world.devices[device].core.set_outcome(Ends::Succeeds);
}

fn state(world: &World, id: narrowcast::model::CampaignId) -> CampaignState {
    ready(world.server.store.campaign(id)).unwrap().0.state
}

#[test]
fn a_campaign_that_has_ended_runs_again_for_its_failed_devices_and_no_other() {
    let devices = vec![fleet::device(0), failing(1, 3), failing(2, 5)];
    let mut world = World::new(1600, fleet::engine_config(), devices);
    let id = world.campaign_for_all(retries(1));
    world.run_to_the_end();
    assert_eq!(state(&world, id), CampaignState::Failed);
    let attempt = world.task(id, 1).attempt;
    mend(&mut world, 1);
    mend(&mut world, 2);
    // Of one cause.
    let of_memory =
        |task: &UpdateTask| task.failure.as_ref().unwrap().reason == FailureReason::OutOfMemory;
    assert_eq!(world.retry(id, of_memory), DONE);
    assert_eq!(state(&world, id), CampaignState::Running);
    let (campaign, counts) = ready(world.server.store.campaign(id)).unwrap();
    assert_eq!(campaign.ended_at, None);
    assert_eq!((counts.pending, counts.failed), (1, 1));
    world.run_to_the_end();
    assert_eq!(world.task(id, 1).state, TaskState::Succeeded);
    assert_eq!(world.task(id, 1).attempt, attempt + 1);
    assert_eq!(world.task(id, 2).state, TaskState::Failed);
    assert_eq!(state(&world, id), CampaignState::Failed);
    // The rest.
    assert_eq!(world.retry(id, all), DONE);
    world.run_to_the_end();
    assert_eq!(state(&world, id), CampaignState::Succeeded);
    assert_eq!(world.retry(id, all), NOTHING);
    assert_eq!(state(&world, id), CampaignState::Succeeded);
    for device in 0..3 {
        let flashes = world.log.iter().filter(|line| {
            line.device == device && matches!(line.event, DeviceEvent::Flashed { .. })
        });
        assert_eq!(flashes.count(), 1, "device {device}");
    }
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn asked_twice_a_task_is_tried_once_and_retries_begin_anew() {
    let mut world = World::new(
        1601,
        fleet::engine_config(),
        vec![failing(0, 3), fleet::device(1)],
    );
    let id = world.campaign_for_all(retries(1));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).attempt, 2);
    assert_eq!(world.retry(id, all), DONE);
    assert_eq!(world.retry(id, all), NOTHING);
    world.run_to_the_end();
    // Two more, as at first.
    assert_eq!(world.task(id, 0).attempt, 4);
    let attempts: Vec<_> = world
        .steps(0, TimelineStep::Failed)
        .iter()
        .map(|it| it.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
}

#[test]
fn in_an_active_campaign_too_at_the_next_contact_and_the_same_uri() {
    let sleeper = DeviceConfig {
        queue_mode: true,
        ..failing(0, 3)
    };
    let absent = DeviceConfig {
        start_spread: 10_000 * HOUR,
        ..fleet::device(1)
    };
    let mut world = World::new(1602, fleet::engine_config(), vec![sleeper, absent]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it has failed", |world| {
        world.task(id, 0).state == TaskState::Failed
    });
    let capability = world.task(id, 0).capability;
    assert!(capability.is_some());
    mend(&mut world, 0);
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.retry(id, all), DONE);
    let task = world.task(id, 0);
    assert_eq!(task.waiting_for, Some(WaitingFor::Contact));
    assert_eq!(task.capability, capability);
    world.run_for(2 * HOUR);
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
}

#[test]
fn a_device_that_is_never_heard_again_ends_its_retry_in_its_time() {
    let mut world = World::new(1603, fleet::engine_config(), vec![failing(0, 3)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    world.cut_off = Some(0);
    world.device(0, |core, now| core.cut_power(now, 1000 * HOUR));
    world.run_for(2 * HOUR);
    assert_eq!(world.retry(id, all), DONE);
    world.restart();
    world.run_to_the_end();
    let reason = world.failure(id, 0).reason;
    assert!(
        matches!(
            reason,
            FailureReason::ContactTimeout | FailureReason::DeviceOffline
        ),
        "{reason}"
    );
    assert_eq!(state(&world, id), CampaignState::Failed);
}

#[test]
fn the_loop_guard_counts_what_an_operator_asks_for_too() {
    let mut world = World::new(1604, fleet::engine_config(), vec![failing(0, 3)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    for _ in 0..8 {
        world.retry(id, all);
        world.run_to_the_end();
    }
    assert_eq!(downloaded(&world), 6);
    assert_eq!(world.failure(id, 0).reason, FailureReason::Barred);
}

#[test]
fn a_retry_that_is_pending_outlives_any_crash_and_no_attempt_flashes_twice() {
    let mut rebuilds = 0;
    for seed in 1610..1640 {
        let devices = (0..4).map(|index| failing(index, 3)).collect();
        let mut world = World::new(seed, fleet::engine_config(), devices);
        let id = world.campaign_for_all(retries(1));
        world.crash_permille = 40;
        world.cut_percent = 10;
        for round in 0..3 {
            world.run_to_the_end();
            mend(&mut world, round);
            for _ in 0..3 {
                world.retry(id, all);
                world.run_for(Duration::from_secs(7));
            }
        }
        mend(&mut world, 3);
        world.run_to_the_end();
        // What was lost of it by a crash is asked for again.
        let left = |world: &World| world.count(id, TaskState::Failed);
        for _ in 0..20 {
            if left(&world) > 0 {
                world.retry(id, all);
                world.run_to_the_end();
            }
        }
        for device in 0..4 {
            let task = world.task(id, device);
            let barred = task.failure.as_ref().map(|it| it.reason) == Some(FailureReason::Barred);
            assert!(task.state == TaskState::Succeeded || barred, "{task:?}");
        }
        let (_, counts) = ready(world.server.store.campaign(id)).unwrap();
        let sum = counts.succeeded + counts.failed + counts.stopped;
        assert_eq!((sum, counts.pending + counts.running), (4, 0));
        let verdict = world.verdict();
        assert_eq!((verdict.second_flashes, verdict.repeated_executes), (0, 0));
        rebuilds += world.server.rebuilds;
    }
    assert!(rebuilds > 100, "{rebuilds}");
}

#[test]
fn whichever_commit_fails_a_retry_is_whole_or_not_at_all() {
    let run = |n| {
        let mut world = World::new(
            1605,
            fleet::engine_config(),
            vec![failing(0, 3), failing(1, 3)],
        );
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        mend(&mut world, 0);
        mend(&mut world, 1);
        let before = world.server.commits;
        world.server.store.fail_after(n);
        if world.retry(id, all) == Outcome::Lost {
            assert_eq!(world.count(id, TaskState::Failed), 2, "commit {n}");
            assert_eq!(world.retry(id, all), DONE);
        }
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), 2, "commit {n}");
        assert!(world.verdict().holds(), "commit {n}: {:?}", world.verdict());
        world.server.commits - before
    };
    let whole = run(0);
    assert!(whole > 20, "{whole} commits");
    for n in 1..=whole {
        run(n);
    }
}

#[test]
fn a_device_in_queue_mode_that_is_still_awake_is_tried_again_at_once() {
    let daily = DeviceConfig {
        queue_mode: true,
        update_interval: 24 * HOUR,
        lifetime: 48 * HOUR,
        ..failing(0, 3)
    };
    let mut world = World::new(1604, fleet::engine_config(), vec![daily]);
    let soon = RetryPolicy {
        retries_max: 1,
        delay: Duration::from_secs(30),
    };
    let id = world.campaign_for_all(soon);
    world.run_until("it was tried twice", |world| {
        world.task(id, 0).state == TaskState::Failed
    });
    let tried = world.steps(0, TimelineStep::Contact);
    let between = tried[1].at.saturating_since(tried[0].at);
    assert!(between < HOUR, "{between:?}");
    // An operator's retry finds it awake as well.
    mend(&mut world, 0);
    assert_eq!(world.retry(id, all), DONE);
    world.run_for(HOUR);
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
}
