//! Campaigns with a start, windows and an end, by the clock on the wall.

use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::engine::{Command, CommandError};
use narrowcast::model::{
    CampaignId, CampaignState, Consent, FailureReason, PushWindow, RetryPolicy, Schedule, SlotHeld,
    TaskState, WaitingFor, Weekdays,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{DeviceConfig, Outcome as UpdateOutcome, SimDevice};
use narrowcast::store::Store;

use crate::fleet;
use crate::link::Link;
use crate::server::{Outcome, ready};
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A world at 2026-11-18T11:06:40Z, 19:06:40 in Shanghai.
fn world(seed: u64, devices: Vec<DeviceConfig>, schedule: Schedule) -> World {
    let mut world = World::new(seed, fleet::engine_config(), devices);
    world.policy.schedule = schedule;
    world
}

fn at(text: &str) -> Utc {
    let timestamp: jiff::Timestamp = text.parse().unwrap();
    Utc::from_unix_ms(timestamp.as_millisecond())
}

fn window(time_zone: &str, from_hour: u8, to_hour: u8) -> PushWindow {
    PushWindow {
        time_zone: time_zone.to_owned(),
        from_hour,
        to_hour,
        weekdays: Weekdays::ALL,
    }
}

/// 22:00 to 02:00 in Shanghai, 14:00 to 18:00 UTC.
fn night() -> Schedule {
    Schedule {
        windows: vec![window("Asia/Shanghai", 22, 2)],
        ..Schedule::default()
    }
}

/// A device that sleeps, and speaks so often.
fn sleeper(index: usize, update_interval: Duration) -> DeviceConfig {
    DeviceConfig {
        queue_mode: true,
        update_interval,
        lifetime: 60 * 24 * HOUR,
        ..fleet::device(index)
    }
}

/// One that takes ten minutes for its package where [`slow_link`] is.
fn slow(index: usize) -> DeviceConfig {
    DeviceConfig {
        szx: 0,
        ..sleeper(index, 100 * HOUR)
    }
}

fn slow_link() -> Link {
    Link {
        delay_min: Duration::from_secs(1),
        delay_max: Duration::from_secs(1),
        ..Link::clean()
    }
}

fn state(world: &World, id: CampaignId) -> CampaignState {
    ready(world.server.store.campaign(id)).unwrap().0.state
}

fn run_until_utc(world: &mut World, to: &str, restarts: bool) {
    let to = at(to);
    if restarts {
        let half = to.saturating_since(world.now.utc) / 2;
        world.run_for(half);
        world.restart();
    }
    world.run_for(to.saturating_since(world.now.utc));
    if restarts {
        world.restart();
    }
}

fn asked(world: &World, device: usize) -> usize {
    world.requests.iter().filter(|it| it.1 == device).count()
}

#[test]
fn a_campaign_is_scheduled_until_its_start_and_runs_from_then_on() {
    for restarts in [false, true] {
        let schedule = Schedule {
            start_at: Some(at("2026-11-18T20:00:00Z")),
            ..Schedule::default()
        };
        let devices = vec![fleet::device(0), sleeper(1, HOUR / 2)];
        let mut world = world(1, devices, schedule);
        world.run_for(10 * MINUTE);
        let before = [asked(&world, 0), asked(&world, 1)];
        let id = world.campaign_for_all(RetryPolicy::default());
        assert_eq!(state(&world, id), CampaignState::Scheduled);
        run_until_utc(&mut world, "2026-11-18T19:59:59Z", restarts);
        assert_eq!(state(&world, id), CampaignState::Scheduled);
        assert_eq!([asked(&world, 0), asked(&world, 1)], before);
        for device in 0..2 {
            let task = world.task(id, device);
            assert_eq!(task.state, TaskState::Pending);
            assert_eq!(task.waiting_for, Some(WaitingFor::Start), "device {device}");
            assert_eq!(task.until, Some(at("2026-11-18T20:00:00Z")));
        }
        // The one that listens is tried at once, the one that sleeps when it speaks.
        run_until_utc(&mut world, "2026-11-18T20:00:02Z", restarts);
        assert_eq!(state(&world, id), CampaignState::Running);
        world.run_for(5 * MINUTE);
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
        world.run_for(HOUR);
        assert_eq!(world.task(id, 1).state, TaskState::Succeeded);
        assert_eq!(state(&world, id), CampaignState::Succeeded);
    }
}

#[test]
fn a_start_comes_with_the_clock_on_the_wall_wherever_that_is_set() {
    let schedule = Schedule {
        start_at: Some(at("2027-11-18T20:00:00Z")),
        ..Schedule::default()
    };
    let mut world = world(2, vec![fleet::device(0)], schedule);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(HOUR);
    assert_eq!(state(&world, id), CampaignState::Scheduled);
    world.now.utc = at("2027-11-18T20:00:01Z");
    world.run_until("it runs", |world| {
        state(world, id) == CampaignState::Running
    });
    assert!(world.now.utc < at("2027-11-18T20:01:02Z"));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
}

#[test]
fn what_fetches_when_a_window_closes_goes_on_and_nothing_else_begins() {
    for restarts in [false, true] {
        let devices = vec![slow(0), sleeper(1, 100 * HOUR)];
        let mut world = world(3, devices, night());
        world.link = slow_link();
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy::default());
        run_until_utc(&mut world, "2026-11-18T17:52:00Z", restarts);
        world.device(0, SimDevice::speak);
        run_until_utc(&mut world, "2026-11-18T17:58:00Z", restarts);
        assert!(world.task(id, 0).uri_intended, "{:?}", world.task(id, 0));
        run_until_utc(&mut world, "2026-11-18T18:00:01Z", restarts);
        assert_eq!(world.task(id, 0).state, TaskState::Running);
        assert_eq!(world.task(id, 1).state, TaskState::Pending);
        // It speaks outside of the window, and is told nothing.
        let before = asked(&world, 1);
        world.device(1, SimDevice::speak);
        world.run_for(MINUTE);
        assert_eq!(asked(&world, 1), before);
        let task = world.task(id, 1);
        assert_eq!(task.waiting_for, Some(WaitingFor::Window));
        assert_eq!(task.until, Some(at("2026-11-19T14:00:00Z")));
        run_until_utc(&mut world, "2026-11-19T13:59:00Z", restarts);
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
        assert_eq!(asked(&world, 1), before);
        world.run_for(MINUTE * 2);
        world.device(1, SimDevice::speak);
        world.run_to_the_end();
        assert_eq!(world.task(id, 1).state, TaskState::Succeeded);
        assert!(world.now.utc < at("2026-11-19T15:00:00Z"));
    }
}

#[test]
fn a_device_that_listens_is_offered_the_update_at_each_ten_minutes_of_the_window() {
    for restarts in [false, true] {
        let device = DeviceConfig {
            update_interval: 100 * HOUR,
            lifetime: 30 * 24 * HOUR,
            ..fleet::device(0)
        };
        let mut world = world(4, vec![device], night());
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy::default());
        run_until_utc(&mut world, "2026-11-18T13:59:59Z", restarts);
        let before = asked(&world, 0);
        // It does not hear what it is asked as the window opens, nor ten minutes later.
        world.cut_off = Some(0);
        world.run_for(4 * MINUTE);
        assert!(asked(&world, 0) > before);
        let first = asked(&world, 0);
        run_until_utc(&mut world, "2026-11-18T14:09:59Z", false);
        assert_eq!(asked(&world, 0), first);
        run_until_utc(&mut world, "2026-11-18T14:14:00Z", false);
        assert!(asked(&world, 0) > first);
        run_until_utc(&mut world, "2026-11-18T14:19:00Z", false);
        world.cut_off = None;
        let begun = asked(&world, 0);
        run_until_utc(&mut world, "2026-11-18T14:19:59Z", false);
        assert_eq!(asked(&world, 0), begun);
        run_until_utc(&mut world, "2026-11-18T14:25:00Z", false);
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    }
}

#[test]
fn in_the_night_that_is_an_hour_longer_a_window_is_open_for_that_hour_too() {
    for restarts in [false, true] {
        let schedule = Schedule {
            windows: vec![window("Europe/Berlin", 2, 3)],
            ..Schedule::default()
        };
        let devices = (0..4).map(|index| sleeper(index, 100 * HOUR));
        let mut world = world(5, devices.collect(), schedule);
        world.now.utc = at("2026-10-24T22:00:00Z");
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy::default());
        // 02:00 comes at 00:00 UTC, and again at 01:00 UTC; 03:00 at 02:00 UTC.
        let cases = [
            ("2026-10-24T23:58:00Z", 0, false),
            ("2026-10-25T00:58:00Z", 1, true),
            ("2026-10-25T01:40:00Z", 2, true),
            ("2026-10-25T02:01:00Z", 3, false),
        ];
        for (when, device, begins) in cases {
            run_until_utc(&mut world, when, restarts);
            world.device(device, SimDevice::speak);
            world.run_for(MINUTE);
            assert_eq!(world.task(id, device).attempt > 0, begins, "{when}");
        }
        let until = world.task(id, 3).until;
        assert_eq!(until, Some(at("2026-10-26T01:00:00Z")));
    }
}

#[test]
fn at_its_end_what_waits_is_stopped_and_what_runs_ends_by_itself() {
    for restarts in [false, true] {
        let mut fails = sleeper(2, 10 * MINUTE);
        fails.outcome = UpdateOutcome::DownloadFails(3);
        let devices = vec![slow(0), sleeper(1, 100 * HOUR), fails];
        let schedule = Schedule {
            end_at: Some(at("2026-11-18T13:00:00Z")),
            ..Schedule::default()
        };
        let mut world = world(6, devices, schedule);
        world.link = slow_link();
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy {
            retries_max: 5,
            delay: 5 * HOUR,
        });
        run_until_utc(&mut world, "2026-11-18T12:52:00Z", restarts);
        world.device(0, SimDevice::speak);
        run_until_utc(&mut world, "2026-11-18T12:59:00Z", restarts);
        assert!(world.task(id, 0).uri_intended);
        assert_eq!(world.task(id, 2).waiting_for, Some(WaitingFor::RetryDelay));
        run_until_utc(&mut world, "2026-11-18T13:00:01Z", restarts);
        assert_eq!(world.task(id, 0).state, TaskState::Running);
        assert_eq!(state(&world, id), CampaignState::Running);
        // What has failed could not begin again.
        let ended = Outcome::Done(Err(CommandError::EndPassed));
        assert_eq!(world.retry(id, |_| true), ended);
        // The one that was never heard had no turn; the one that failed has no attempt left.
        let stopped = world.task(id, 1).clone();
        assert_eq!(stopped.state, TaskState::Stopped);
        assert_eq!(
            stopped.failure.unwrap().reason,
            FailureReason::CampaignEnded
        );
        assert_eq!(world.failure(id, 2).reason, FailureReason::OutOfMemory);
        assert_eq!(world.task(id, 2).state, TaskState::Failed);
        if restarts {
            world.restart();
        }
        world.run_to_the_end();
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
        assert_eq!(state(&world, id), CampaignState::Failed);
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn a_meter_that_wakes_once_a_day_is_not_overdue_while_it_could_not_begin() {
    for restarts in [false, true] {
        let devices = vec![sleeper(0, 1_000 * HOUR)];
        let schedule = Schedule {
            windows: vec![window("UTC", 15, 19)],
            ..Schedule::default()
        };
        let mut world = world(7, devices, schedule);
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy::default());
        // An hour later each day: at 12:16 first, in the window on the fourth.
        for day in 1..=4 {
            world.run_for(25 * HOUR - 2 * MINUTE);
            if restarts {
                world.restart();
            }
            world.run_for(2 * MINUTE);
            assert_eq!(world.task(id, 0).state, TaskState::Pending, "day {day}");
            world.device(0, SimDevice::speak);
            world.run_for(5 * MINUTE);
        }
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    }
}

#[test]
fn a_device_that_is_never_heard_is_overdue_after_its_time_of_open_windows() {
    for restarts in [false, true] {
        let away = DeviceConfig {
            start_spread: 10_000 * HOUR,
            ..fleet::device(0)
        };
        let schedule = Schedule {
            windows: vec![window("UTC", 12, 0)],
            ..Schedule::default()
        };
        let mut world = world(8, vec![away], schedule);
        let id = world.campaign_for_all(RetryPolicy::default());
        // 24 hours of windows that are twelve hours long; it is told as the next one opens.
        run_until_utc(&mut world, "2026-11-19T23:30:00Z", restarts);
        assert_eq!(world.task(id, 0).state, TaskState::Pending);
        world.run_to_the_end();
        assert_eq!(world.failure(id, 0).reason, FailureReason::ContactTimeout);
        // After a restart there is a day's grace.
        let opens_at = if restarts {
            at("2026-11-20T23:30:00Z")
        } else {
            at("2026-11-20T12:00:00Z")
        };
        assert!(opens_at.saturating_since(world.now.utc) < MINUTE);
        assert!(world.now.utc.saturating_since(opens_at) < MINUTE);
    }
}

#[test]
fn another_schedule_counts_at_once_and_after_a_restart() {
    for restarts in [false, true] {
        let devices = vec![sleeper(0, 20 * MINUTE)];
        let mut world = world(9, devices, night());
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_for(HOUR);
        assert_eq!(world.task(id, 0).waiting_for, Some(WaitingFor::Window));
        let later = Schedule {
            start_at: Some(at("2026-11-18T16:00:00Z")),
            ..Schedule::default()
        };
        set(&mut world, id, later);
        if restarts {
            world.restart();
        }
        assert_eq!(state(&world, id), CampaignState::Scheduled);
        let task = world.task(id, 0);
        assert_eq!(task.waiting_for, Some(WaitingFor::Start));
        assert_eq!(task.until, Some(at("2026-11-18T16:00:00Z")));
        set(&mut world, id, Schedule::default());
        if restarts {
            world.restart();
        }
        assert_eq!(state(&world, id), CampaignState::Running);
        assert_eq!(world.task(id, 0).waiting_for, Some(WaitingFor::Contact));
        world.run_to_the_end();
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
        assert!(world.now.utc < at("2026-11-18T13:00:00Z"));
    }
}

fn set(world: &mut World, id: CampaignId, schedule: Schedule) {
    let told = world.command(Command::SetSchedule { id, schedule });
    assert_eq!(told, Outcome::Done(Ok(())));
}

#[test]
fn a_paused_campaign_ends_at_its_end_too() {
    let schedule = Schedule {
        end_at: Some(at("2026-11-18T13:00:00Z")),
        ..Schedule::default()
    };
    let mut world = world(10, vec![sleeper(0, HOUR)], schedule);
    world.run_for(10 * MINUTE);
    let id = world.campaign_for_all(RetryPolicy::default());
    let paused = world.command(Command::PauseCampaign { id, halted: false });
    assert_eq!(paused, Outcome::Done(Ok(())));
    run_until_utc(&mut world, "2026-11-18T13:00:01Z", false);
    assert_eq!(state(&world, id), CampaignState::Stopped);
    let failure = world.task(id, 0).failure.clone().unwrap();
    assert_eq!(failure.reason, FailureReason::CampaignEnded);
    let flashed = world.log.iter();
    assert!(
        !flashed
            .into_iter()
            .any(|line| line.event == DeviceEvent::UriAccepted)
    );
}

#[test]
fn what_was_agreed_to_and_not_heard_is_stopped_at_the_end_and_has_not_failed() {
    for restarts in [false, true] {
        let schedule = Schedule {
            end_at: Some(at("2026-11-18T13:00:00Z")),
            ..Schedule::default()
        };
        let mut world = world(11, vec![sleeper(0, 100 * HOUR)], schedule);
        world.policy.conditions.consent = Consent::Confirmed;
        world.run_for(10 * MINUTE);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.device(0, SimDevice::speak);
        world.run_for(10 * MINUTE);
        assert_eq!(world.task(id, 0).waiting_for, Some(WaitingFor::Consent));
        assert_eq!(world.consent(id, Some(0), true), Outcome::Done(Ok(())));
        run_until_utc(&mut world, "2026-11-18T13:00:01Z", restarts);
        let task = world.task(id, 0);
        assert_eq!(task.state, TaskState::Stopped);
        let failure = task.failure.clone().expect("a reason");
        assert_eq!(failure.reason, FailureReason::CampaignEnded);
        assert_eq!(state(&world, id), CampaignState::Stopped);
    }
}

#[test]
fn what_lost_its_package_while_it_was_halted_over_the_end_is_given_it_again() {
    let mut config = fleet::engine_config();
    config.product.slot_held = SlotHeld::UntilDownloaded;
    for (seed, restarts) in [(12, false), (13, true)] {
        let mut world = World::new(seed, config.clone(), vec![fleet::device(0)]);
        world.policy.schedule.end_at = Some(at("2026-11-18T13:00:00Z"));
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("it fetches", |world| world.task(id, 0).uri_intended);
        let halted = world.command(Command::HaltCampaigns);
        assert_eq!(halted, Outcome::Done(Ok(())));
        world.run_for(10 * MINUTE);
        assert_eq!(world.task(id, 0).slot, None);
        world.device(0, |core, now| core.lose_package(now, 5 * MINUTE));
        run_until_utc(&mut world, "2026-11-18T13:00:01Z", restarts);
        assert_eq!(world.task(id, 0).state, TaskState::Running);
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, Outcome::Done(Ok(())));
        world.run_to_the_end();
        let task = world.task(id, 0);
        assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
    }
}
