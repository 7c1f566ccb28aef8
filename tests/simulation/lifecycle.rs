//! Campaigns that are stopped, collide, wait, or try again.

use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::engine::{CommandError, EngineConfig};
use narrowcast::model::{
    Backoff, CampaignState, CoverageTier, FailureReason, RetryPacing, RetryPolicy, TaskState,
    TimelineStep, WaitingFor,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{DeviceConfig, Outcome, SimDevice, SocketKind};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::{self, ready};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

/// A delay is what it is set to.
const UNVARIED: RetryPacing = RetryPacing {
    backoff: Backoff::Constant,
    jitter_percent: 0,
    delay_seconds_max: 0,
};

pub(crate) fn failing(result: u8) -> DeviceConfig {
    DeviceConfig {
        outcome: Outcome::DownloadFails(result),
        ..fleet::device(0)
    }
}

pub(crate) fn retries(retries_max: u8) -> RetryPolicy {
    RetryPolicy {
        retries_max,
        delay: Duration::from_secs(120),
    }
}

pub(crate) fn downloaded(world: &World) -> usize {
    let lines = world.log.iter();
    lines
        .filter(|line| matches!(line.event, DeviceEvent::Downloaded { .. }))
        .count()
}

#[test]
fn after_a_stop_no_execute_leaves_and_all_tasks_are_final() {
    for begun in 1..8 {
        let mut world = World::new(20 + begun as u64, fleet::engine_config(), fleet::mixed(16));
        let id = world.campaign_for_all(retries(2));
        world.run_until("some downloads", |world| downloaded(world) >= begun);
        let stopped_at = world.now.instant;
        assert_eq!(world.stop(id), server::Outcome::Done(Ok(())));
        world.run_to_the_end();
        world.run_for(HOUR);
        for (at, device, request) in &world.requests {
            assert!(
                *at <= stopped_at || !(request.is_execute() || request.is_uri_write()),
                "{request:?} to device {device}"
            );
        }
        let (campaign, counts) = ready(world.server.store.campaign(id)).unwrap();
        assert_eq!(campaign.state, CampaignState::Stopped);
        assert_eq!(counts.pending + counts.running, 0);
        assert!(counts.stopped > 0);
        assert_eq!(counts.stopped + counts.succeeded + counts.failed, 16);
        assert!(world.verdict().holds(), "{:?}", world.verdict());
        assert_eq!(
            world.stop(id),
            server::Outcome::Done(Err(CommandError::NotActive))
        );
    }
}

#[test]
fn once_a_key_is_revoked_nothing_of_it_is_flashed_and_tasks_say_why() {
    for begun in 1..8 {
        for restarts in [false, true] {
            let seed = 60 + begun as u64;
            let mut world = World::new(seed, fleet::engine_config(), fleet::mixed(16));
            let id = world.campaign_for_all(retries(2));
            world.run_until("some downloads", |world| downloaded(world) >= begun);
            let revoked_at = world.now.instant;
            // Another key's packages are not concerned.
            assert_eq!(world.revoke("ffff"), server::Outcome::Done(Ok(())));
            assert_eq!(
                ready(world.server.store.campaign(id)).unwrap().0.state,
                CampaignState::Running
            );
            let package = fleet::package(&world.image, world.now.utc);
            let key_id = package.key_id().expect("it is signed");
            assert_eq!(world.revoke(key_id), server::Outcome::Done(Ok(())));
            if restarts {
                world.restart();
            }
            world.run_to_the_end();
            world.run_for(HOUR);
            for (at, device, request) in &world.requests {
                assert!(
                    *at <= revoked_at || !(request.is_execute() || request.is_uri_write()),
                    "{request:?} to device {device}"
                );
            }
            let (campaign, counts) = ready(world.server.store.campaign(id)).unwrap();
            assert_eq!(campaign.state, CampaignState::Stopped);
            assert_eq!(counts.pending + counts.running, 0);
            assert!(counts.stopped > 0);
            for task in ready(world.server.store.tasks(id, None, server::ALL)).unwrap() {
                if task.state == TaskState::Stopped {
                    let failure = task.failure.expect("a reason");
                    assert_eq!(failure.reason, FailureReason::KeyRevoked);
                    assert!(failure.evidence.contains(key_id), "{failure:?}");
                }
            }
            assert!(world.verdict().holds(), "{:?}", world.verdict());
        }
    }
}

#[test]
fn after_a_stop_and_a_restart_the_next_campaign_keeps_the_limits() {
    let devices: Vec<_> = (0..8).map(fleet::device).collect();
    for seed in 30..50 {
        let mut world = World::new(seed, fleet::engine_config(), devices.clone());
        let first = world.draft(&[0, 1, 2, 3], RetryPolicy::default());
        let second = world.draft(&[4, 5, 6, 7], RetryPolicy::default());
        world.activate(first).unwrap();
        world.run_until("a download begins", |world| {
            let mut lines = world.log.iter();
            lines.any(|line| line.event == DeviceEvent::UriAccepted)
        });
        world.run_for(Duration::from_millis(100 * (seed - 30)));
        assert_eq!(world.stop(first), server::Outcome::Done(Ok(())));
        world.restart();
        world.activate(second).unwrap();
        world.run_to_the_end();
        assert_eq!(world.count(second, TaskState::Succeeded), 4);
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn a_device_that_another_campaign_updates_is_a_conflict() {
    let devices = vec![fleet::device(0), fleet::device(1)];
    let mut world = World::new(40, fleet::engine_config(), devices);
    let first = world.draft(&[0], RetryPolicy::default());
    let second = world.draft(&[0, 1], retries(3));
    world.activate(first).unwrap();
    world.activate(second).unwrap();
    assert_eq!(world.failure(second, 0).reason, FailureReason::TaskConflict);
    world.run_to_the_end();
    assert_eq!(world.task(first, 0).state, TaskState::Succeeded);
    assert_eq!(world.task(second, 1).state, TaskState::Succeeded);
    let (campaign, _) = ready(world.server.store.campaign(second)).unwrap();
    assert_eq!(campaign.state, CampaignState::Failed);
    assert_eq!(world.verdict().flashed, 2);
}

#[test]
fn a_device_that_is_never_heard_fails_after_the_contact_timeout() {
    let away = DeviceConfig {
        start_spread: 10_000 * HOUR,
        ..fleet::device(0)
    };
    let mut world = World::new(41, fleet::engine_config(), vec![away, fleet::device(1)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    let activated_at = world.now.instant;
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::ContactTimeout);
    assert_eq!(
        failure.evidence,
        "not heard since the campaign was activated; it is not registered"
    );
    assert_eq!(world.steps(0, TimelineStep::Failed).len(), 1);
    let waited = world.now.instant.saturating_since(activated_at);
    assert_eq!(waited, world.server.config.product.contact_timeout);
    assert_eq!(world.task(id, 1).state, TaskState::Succeeded);
}

#[test]
fn a_failed_task_is_tried_again_after_the_delay_and_no_more_often_than_it_may() {
    let mut world = World::new(42, fleet::engine_config(), vec![failing(3)]);
    world.policy.retry = UNVARIED;
    let id = world.campaign_for_all(retries(2));
    world.run_until("a retry is planned", |world| {
        world.task(id, 0).retry_at.is_some()
    });
    let task = world.task(id, 0).clone();
    assert_eq!(task.state, TaskState::Pending);
    assert_eq!(task.waiting_for, Some(WaitingFor::RetryDelay));
    assert_eq!(task.attempt, 1);
    assert_eq!(task.slot, None);
    assert_eq!(world.server.slots_in_use(), 0);
    let planned = world.now.instant;
    world.run_until("the next attempt begins", |world| {
        world.task(id, 0).attempt == 2
    });
    let waited = world.now.instant.saturating_since(planned);
    assert_eq!(waited, Duration::from_secs(120));
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::OutOfMemory);
    assert_eq!(world.task(id, 0).attempt, 3);
    assert_eq!(world.task(id, 0).capability, task.capability);
    assert_eq!(world.steps(0, TimelineStep::RetryPlanned).len(), 2);
    let ends = world.steps(0, TimelineStep::Failed);
    assert_eq!(ends.len(), 3);
    for end in ends {
        assert_eq!(end.detail, format!("out_of_memory: {}", failure.evidence));
    }
}

#[test]
fn a_device_without_room_is_not_tried_again() {
    let mut world = World::new(43, fleet::engine_config(), vec![failing(2)]);
    let id = world.campaign_for_all(retries(5));
    world.run_to_the_end();
    assert_eq!(world.failure(id, 0).reason, FailureReason::NoSpace);
    assert_eq!(world.task(id, 0).attempt, 1);
}

#[test]
fn a_device_that_registers_again_while_it_waits_for_a_slot_is_updated_once() {
    let config = EngineConfig {
        tier_limits: narrowcast::model::TierLimits {
            tier0: 1,
            ..fleet::LIMITS
        },
        ..fleet::engine_config()
    };
    let devices = (0..3).map(fleet::device).collect();
    let mut world = World::new(45, config, devices);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("two devices wait for a slot", |world| {
        (0..3)
            .filter(|index| world.task(id, *index).waiting_for == Some(WaitingFor::Slot))
            .count()
            == 2
    });
    for index in 0..3 {
        if world.task(id, index).waiting_for == Some(WaitingFor::Slot) {
            world.device(index, |core, now| {
                core.cut_power(now, Duration::from_secs(1));
            });
        }
    }
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 3);
    for index in 0..3 {
        assert_eq!(world.task(id, index).attempt, 1);
        assert_eq!(world.executes(index).len(), 1);
    }
    let verdict = world.verdict();
    assert!(verdict.holds());
    assert_eq!(verdict.peaks[0].peak, 1);
}

#[test]
fn without_a_public_host_nothing_is_activated() {
    let config = EngineConfig {
        download_base: None,
        ..fleet::engine_config()
    };
    let mut world = World::new(46, config, vec![fleet::device(0)]);
    let id = world.draft(&[0], RetryPolicy::default());
    let commits = world.server.commits;
    assert_eq!(world.activate(id), Err(CommandError::NoPublicHost));
    assert_eq!(world.server.commits, commits);
    world.run_for(HOUR);
    let (campaign, counts) = ready(world.server.store.campaign(id)).unwrap();
    assert_eq!(campaign.state, CampaignState::Draft);
    assert_eq!(counts.pending, 1);
}

#[test]
fn a_device_in_queue_mode_is_asked_nothing_until_it_speaks() {
    let sleeper = DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    };
    let mut world = World::new(47, fleet::engine_config(), vec![sleeper]);
    world.run_for(Duration::from_secs(600));
    let asked = world.requests.len();
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.requests.len(), asked);
    world.device(0, SimDevice::speak);
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.server.engine.coap_counters().timeouts, 0);
}

#[test]
fn a_device_in_queue_mode_hears_nothing_while_it_sleeps() {
    let sleeper = DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    };
    let mut world = World::new(48, fleet::engine_config(), vec![sleeper]);
    world.run_for(Duration::from_secs(60));
    assert!(is_answered(&mut world));
    world.run_for(Duration::from_secs(90));
    assert!(is_answered(&mut world), "it was heard 92 s ago");
    world.run_for(Duration::from_secs(120));
    assert!(!is_answered(&mut world));
    world.device(0, SimDevice::speak);
    assert!(is_answered(&mut world));
}

/// Whether the device answers a ping.
fn is_answered(world: &mut World) -> bool {
    const PING: [u8; 4] = [0x40, 0, 0, 1];
    world.run_for(Duration::from_secs(1));
    let received = world.server.engine.coap_counters().received;
    world.device(0, |core, now| {
        core.handle_datagram(now, SocketKind::Main, &PING);
    });
    world.run_for(Duration::from_secs(1));
    world.server.engine.coap_counters().received > received
}

#[test]
fn a_turn_in_the_opening_queue_does_not_cut_a_retry_delay_short() {
    let config = EngineConfig {
        openings_per_turn: 1,
        opening_turn: Duration::from_secs(1_000),
        ..fleet::engine_config()
    };
    let mut devices = vec![failing(3), failing(3)];
    devices[1].endpoint = fleet::device(1).endpoint;
    let mut world = World::new(49, config, devices);
    world.policy.retry = UNVARIED;
    world.run_for(Duration::from_secs(60));
    let policy = RetryPolicy {
        retries_max: 1,
        delay: 2 * HOUR,
    };
    let id = world.campaign_for_all(policy);
    // The second is not yet due to be tried, but speaks by itself.
    world.device(1, SimDevice::speak);
    world.run_until("its first attempt fails", |world| {
        world.task(id, 1).retry_at.is_some()
    });
    let failed_at = world.now.instant;
    assert!(failed_at < Instant::from_origin(Duration::from_secs(1_000)));
    world.run_until("it is tried again", |world| world.task(id, 1).attempt == 2);
    assert_eq!(world.now.instant, failed_at + 2 * HOUR);
}

#[test]
fn after_a_restart_a_sleeping_device_is_asked_nothing_until_it_speaks() {
    let sleeper = DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    };
    let mut world = World::new(51, fleet::engine_config(), vec![sleeper]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it has the URI", |world| world.task(id, 0).uri_intended);
    world.device(0, |core, now| core.cut_power(now, HOUR));
    world.run_for(HOUR / 2);
    let asked = world.requests.len();
    world.restart();
    world.run_for(HOUR / 4);
    assert_eq!(world.requests.len(), asked);
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
}

#[test]
fn a_slot_of_a_stopped_task_outlives_a_restart() {
    let mut devices: Vec<_> = (0..2).map(fleet::device).collect();
    for device in &mut devices {
        device.radio = fleet::radio(1, CoverageTier::Tier2);
    }
    let mut world = World::new(52, fleet::engine_config(), devices);
    let first = world.draft(&[0], RetryPolicy::default());
    let second = world.draft(&[1], RetryPolicy::default());
    world.activate(first).unwrap();
    world.run_until("the download begins", |world| {
        let mut lines = world.log.iter();
        lines.any(|line| line.event == DeviceEvent::UriAccepted)
    });
    // The device asks again for a block for minutes.
    world.cut_off = Some(0);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.stop(first), server::Outcome::Done(Ok(())));
    world.restart();
    world.activate(second).unwrap();
    world.run_for(Duration::from_secs(60));
    world.cut_off = None;
    world.run_to_the_end();
    assert_eq!(world.task(second, 1).state, TaskState::Succeeded);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn a_device_that_fell_asleep_in_the_queue_is_asked_nothing_when_a_slot_is_free() {
    let mut devices = vec![fleet::device(0), fleet::device(1)];
    for device in &mut devices {
        device.radio = fleet::radio(1, CoverageTier::Tier2);
    }
    devices[0].start_spread = Duration::ZERO;
    devices[1].queue_mode = true;
    devices[1].update_interval = 4 * HOUR;
    let mut world = World::new(53, fleet::engine_config(), devices);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("the first has the slot, the second waits", |world| {
        world.task(id, 1).waiting_for == Some(WaitingFor::Slot) && world.task(id, 0).slot.is_some()
    });
    world.cut_off = Some(0);
    world.run_for(Duration::from_secs(200));
    let asked = |world: &World| world.requests.iter().filter(|it| it.1 == 1).count();
    let before = asked(&world);
    world.run_until("the first has lost its slot", |world| {
        world.task(id, 0).state.is_final()
    });
    world.run_for(Duration::from_secs(60));
    assert_eq!(asked(&world), before);
    world.device(1, SimDevice::speak);
    world.run_until("the second is updated", |world| {
        world.task(id, 1).state == TaskState::Succeeded
    });
}
