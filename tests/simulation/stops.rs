//! Soft and hard stops, of campaigns and of single devices.

use std::time::Duration;

use narrowcast::engine::{Command, CommandError};
use narrowcast::model::{
    CampaignId, CampaignState, ErrorThreshold, FailureReason, OnErrors, RetryPolicy, StopMode,
    TaskState, TimelineStep, UpdateTask,
};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;
use narrowcast::store::Store;

use crate::fleet;
use crate::lifecycle::{downloaded, retries};
use crate::server::{Outcome, ready};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DONE: Outcome = Outcome::Done(Ok(()));

fn took_uri(world: &World) -> Vec<usize> {
    let lines = world.log.iter();
    let accepted = lines.filter(|line| line.event == DeviceEvent::UriAccepted);
    accepted.map(|line| line.device).collect()
}

fn flashed(world: &World, device: usize) -> bool {
    world.devices[device].core.version() == fleet::TARGET_VERSION
}

fn stop_task(world: &mut World, id: CampaignId, device: usize, mode: StopMode) -> Outcome {
    let task = world.task(id, device).id;
    world.command(Command::StopTask {
        campaign: id,
        task,
        mode,
    })
}

#[test]
fn softly_stopped_what_has_begun_ends_and_nothing_else_begins() {
    for (seed, restarts) in [(1700, false), (1701, true), (1702, true)] {
        let mut world = World::new(seed, fleet::engine_config(), fleet::mixed(16));
        let id = world.campaign_for_all(retries(2));
        world.run_until("some have begun", |world| took_uri(world).len() >= 3);
        assert_eq!(world.stop_as(id, StopMode::Soft), DONE);
        // Who has a slot has begun.
        let begun: Vec<_> = (0..16)
            .filter(|device| !world.task(id, *device).state.is_final())
            .collect();
        assert!(begun.len() >= 3 && begun.len() < 16, "{begun:?}");
        if restarts {
            world.restart();
        }
        world.run_to_the_end();
        for device in 0..16 {
            let state = world.task(id, device).state;
            if begun.contains(&device) {
                assert_eq!(state == TaskState::Succeeded, flashed(&world, device));
            } else {
                assert_eq!(state, TaskState::Stopped);
                assert!(!flashed(&world, device) && !took_uri(&world).contains(&device));
            }
        }
        assert!(took_uri(&world).iter().all(|device| begun.contains(device)));
        assert!(world.count(id, TaskState::Succeeded) >= 3);
        let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
        assert_eq!(campaign.state, CampaignState::Stopped);
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn a_soft_stop_may_be_made_hard() {
    let mut world = World::new(1703, fleet::engine_config(), fleet::mixed(12));
    let id = world.campaign_for_all(retries(2));
    world.run_until("some downloads", |world| downloaded(world) >= 2);
    assert_eq!(world.stop_as(id, StopMode::Soft), DONE);
    world.run_for(Duration::from_secs(1));
    let at = world.now.instant;
    assert_eq!(world.stop_as(id, StopMode::Hard), DONE);
    let refused = world.stop_as(id, StopMode::Soft);
    assert!(matches!(refused, Outcome::Done(Err(_))), "{refused:?}");
    world.run_to_the_end();
    for (left_at, device, request) in &world.requests {
        assert!(
            *left_at <= at || !(request.is_execute() || request.is_uri_write()),
            "{request:?} to device {device}"
        );
    }
}

#[test]
fn whatever_is_said_of_a_hard_stop_no_device_flashes_under_a_task_that_was_stopped() {
    for seed in 1710..1760 {
        let mut world = World::new(seed, fleet::engine_config(), fleet::mixed(12));
        world.crash_permille = 5;
        let id = world.campaign_for_all(retries(1));
        let executed = |world: &World| {
            let lines = world.log.iter();
            lines
                .filter(|line| line.event == DeviceEvent::ExecuteAccepted)
                .count()
        };
        world.run_until("some install", |world| {
            executed(world) > (seed % 4) as usize
        });
        while world.stop(id) == Outcome::Lost {}
        world.run_to_the_end();
        for device in 0..12 {
            let task = world.task(id, device);
            let is_updated = flashed(&world, device);
            assert_eq!(task.state == TaskState::Succeeded, is_updated, "{task:?}");
        }
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn one_device_is_stopped_and_the_others_go_on() {
    let absent = DeviceConfig {
        start_spread: 10_000 * HOUR,
        ..fleet::device(3)
    };
    let devices = vec![fleet::device(0), fleet::device(1), fleet::device(2), absent];
    let mut world = World::new(1704, fleet::engine_config(), devices);
    let id = world.campaign_for_all(RetryPolicy::default());
    assert_eq!(stop_task(&mut world, id, 3, StopMode::Soft), DONE);
    assert_eq!(world.task(id, 3).state, TaskState::Stopped);
    world.run_until("one has begun", |world| !took_uri(world).is_empty());
    let hard = took_uri(&world)[0];
    assert_eq!(stop_task(&mut world, id, hard, StopMode::Hard), DONE);
    world.run_until("another has begun", |world| took_uri(world).len() == 2);
    let soft = took_uri(&world)[1];
    assert_eq!(stop_task(&mut world, id, soft, StopMode::Soft), DONE);
    world.restart();
    world.run_to_the_end();
    for device in 0..3 {
        assert_eq!(flashed(&world, device), device != hard);
        let stopped = world.task(id, device).state == TaskState::Stopped;
        assert_eq!(stopped, device == hard);
    }
    assert_eq!(world.steps(hard, TimelineStep::Stopped).len(), 1);
    let ended = Outcome::Done(Err(CommandError::TaskNotActive));
    assert_eq!(stop_task(&mut world, id, hard, StopMode::Hard), ended);
    let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
    assert_eq!(campaign.state, CampaignState::Stopped);
}

#[test]
fn no_retry_follows_a_stop_of_any_kind() {
    for mode in [StopMode::Soft, StopMode::Hard] {
        let failing = DeviceConfig {
            outcome: narrowcast::sim::Outcome::DownloadFails(3),
            ..fleet::device(0)
        };
        let mut world = World::new(1705, fleet::engine_config(), vec![failing]);
        let id = world.campaign_for_all(retries(5));
        world.run_until("it has begun", |world| took_uri(world).len() == 1);
        assert_eq!(stop_task(&mut world, id, 0, mode), DONE);
        world.restart();
        world.run_to_the_end();
        assert_eq!(world.task(id, 0).attempt, 1);
        assert_eq!(took_uri(&world).len(), 1);
    }
}

/// What a server may be told beside a stop, and why tasks end that were not being stopped before.
type Blow = (fn(&mut World, CampaignId) -> Outcome, FailureReason);

#[test]
fn what_is_stopped_softly_is_reached_by_a_halt_and_by_the_revocation_of_its_key() {
    let blows: [Blow; 3] = [
        (
            |world, _| world.command(Command::HaltCampaigns),
            FailureReason::Stopped,
        ),
        (
            |world, id| world.command(Command::PauseCampaign { id, halted: true }),
            FailureReason::Stopped,
        ),
        (
            |world, _| {
                let package = fleet::package(&world.image, world.now.utc);
                world.revoke(package.key_id().expect("it is signed"))
            },
            FailureReason::KeyRevoked,
        ),
    ];
    for (seed, (blow, reason)) in (1770..).zip(blows) {
        let mut world = World::new(seed, fleet::engine_config(), fleet::mixed(12));
        let id = world.campaign_for_all(retries(2));
        world.run_until("some downloads", |world| downloaded(world) >= 2);
        assert_eq!(world.stop_as(id, StopMode::Soft), DONE);
        world.run_for(Duration::from_secs(1));
        let at = world.now.instant;
        let is_at_work = |device: &usize| !world.task(id, *device).state.is_final();
        let at_work: Vec<usize> = (0..12).filter(is_at_work).collect();
        assert_eq!(blow(&mut world, id), DONE);
        world.restart();
        world.run_to_the_end();
        world.run_for(HOUR);
        for (left_at, device, request) in &world.requests {
            assert!(
                *left_at <= at || !(request.is_execute() || request.is_uri_write()),
                "{request:?} to device {device}"
            );
        }
        let tasks = at_work.iter().map(|device| world.task(id, *device));
        let stopped: Vec<&UpdateTask> = tasks
            .filter(|task| task.state == TaskState::Stopped)
            .collect();
        assert!(!stopped.is_empty());
        for task in stopped {
            let failure = task.failure.as_ref().expect("a reason");
            assert_eq!(failure.reason, reason);
        }
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn a_halted_campaign_ends_when_it_is_stopped_and_nothing_of_it_is_installed() {
    for (seed, restarts) in [(1780, false), (1781, true)] {
        let mut world = World::new(seed, fleet::engine_config(), fleet::mixed(12));
        let id = world.campaign_for_all(retries(2));
        world.run_until("some have begun", |world| took_uri(world).len() >= 3);
        let halted = world.command(Command::PauseCampaign { id, halted: true });
        assert_eq!(halted, DONE);
        let at = world.now.instant;
        world.run_for(6 * HOUR);
        let waits = |device: &usize| world.task(id, *device).slot.is_some();
        assert!((0..12).any(|device| waits(&device)));
        assert_eq!(world.stop_as(id, StopMode::Soft), DONE);
        if restarts {
            world.restart();
        }
        world.run_for(6 * HOUR);
        assert!((0..12).all(|device| world.task(id, device).state.is_final()));
        assert_eq!(world.server.slots_in_use(), 0);
        let mut requests = world.requests.iter();
        assert!(!requests.any(|(left_at, _, request)| *left_at > at && request.is_execute()));
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn a_campaign_that_its_conflicts_stop_begins_nothing_of_the_rest() {
    let devices = (0..16).map(|index| DeviceConfig {
        start_spread: HOUR,
        ..fleet::device(index)
    });
    let mut world = World::new(1790, fleet::engine_config(), devices.collect());
    let others = world.draft(&[0, 1, 2, 3, 4, 5], RetryPolicy::default());
    world.activate(others).unwrap();
    world.policy.governors.error_threshold = Some(ErrorThreshold {
        failed_percent_max: 10,
        ended_min: 5,
        action: OnErrors::Stop,
    });
    let all: Vec<usize> = (0..16).collect();
    let id = world.draft(&all, RetryPolicy::default());
    world.activate(id).unwrap();
    // Two at a turn.
    world.run_for(Duration::from_secs(1));
    let state = |world: &World| ready(world.server.store.campaign(id)).unwrap().0.state;
    assert_eq!(state(&world), CampaignState::Stopped);
    let failed = world.count(id, TaskState::Failed);
    assert!((5..=6).contains(&failed), "{failed}");
    assert_eq!(world.count(id, TaskState::Stopped), 16 - failed);
    // Tried again, the same five are too many, and of those behind them none begins.
    assert_eq!(stop_task(&mut world, others, 5, StopMode::Hard), DONE);
    assert_eq!(world.retry(id, |_| true), DONE);
    assert_eq!(state(&world), CampaignState::Stopped);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.count(id, TaskState::Pending), 0);
    world.run_to_the_end();
    for device in 5..16 {
        assert!(!flashed(&world, device), "device {device}");
    }
    assert_eq!(world.count(others, TaskState::Succeeded), 5);
}
