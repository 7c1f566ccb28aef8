//! The clock on the wall is set while a campaign runs: waits last as long as they should, and nobody
//! fails for it.

use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::model::{FailureReason, RetryPolicy, TaskState, WaitingFor};
use narrowcast::sim::DeviceConfig;

use crate::fleet;
use crate::lifecycle::{failing, retries};
use crate::world::World;

const HOUR_MS: i64 = 60 * 60 * 1000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
const MINUTE: Duration = Duration::from_secs(60);

fn set_clock(world: &mut World, by_ms: i64) {
    world.now.utc = Utc::from_unix_ms(world.now.utc.unix_ms() + by_ms);
}

/// A device that sleeps, speaks every ten minutes, fails at its first attempt, and waits.
fn waiting(seed: u64) -> World {
    let device = DeviceConfig {
        queue_mode: true,
        update_interval: 10 * MINUTE,
        ..failing(3)
    };
    let mut world = World::new(seed, fleet::engine_config(), vec![device]);
    let id = world.campaign_for_all(retries(1));
    world.run_until("the first attempt has failed", |world| {
        world.task(id, 0).retry_at.is_some()
    });
    world
}

/// The second attempt was made, in the time that it takes.
fn assert_tried_again(mut world: World) {
    let failed_at = world.now.instant;
    world.run_to_the_end();
    let task = world.server.tasks.values().next().unwrap();
    let reason = task.failure.as_ref().map(|failure| failure.reason);
    assert_eq!(reason, Some(FailureReason::OutOfMemory), "{task:?}");
    assert_eq!(task.attempt, 2);
    let took = world.now.instant.saturating_since(failed_at);
    assert!(took < 20 * MINUTE, "{took:?}");
}

#[test]
fn whoever_waits_for_a_retry_gets_it_in_time_wherever_the_clock_is_set() {
    for by_ms in [YEAR_MS, -HOUR_MS, -YEAR_MS] {
        for restarted in [false, true] {
            let mut world = waiting(900);
            set_clock(&mut world, by_ms);
            if restarted {
                world.restart();
            }
            assert_tried_again(world);
        }
    }
}

#[test]
fn whoever_is_to_be_heard_before_the_retry_is_waited_for_after_a_restart() {
    for by_ms in [0, YEAR_MS, -YEAR_MS] {
        let mut world = waiting(901);
        world.run_until("the delay is over", |world| {
            let mut tasks = world.server.tasks.values();
            tasks.any(|task| task.waiting_for == Some(WaitingFor::Contact))
        });
        set_clock(&mut world, by_ms);
        world.restart();
        assert_tried_again(world);
    }
}

#[test]
fn whoever_was_not_heard_yet_keeps_its_time_over_a_restart() {
    for by_ms in [YEAR_MS, -YEAR_MS] {
        let late = DeviceConfig {
            start_spread: 20 * 60 * MINUTE,
            ..fleet::device(0)
        };
        let mut world = World::new(902, fleet::engine_config(), vec![late]);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_for(MINUTE);
        set_clock(&mut world, by_ms);
        world.restart();
        world.run_to_the_end();
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    }
}
