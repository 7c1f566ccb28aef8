//! Campaigns that are held: what comes to pass meanwhile is not lost, and what held them ends.

use std::collections::BTreeSet;
use std::time::Duration;

use narrowcast::engine::{Command, EngineConfig};
use narrowcast::model::{
    CampaignId, CampaignState, Consent, ErrorThreshold, FailureReason, OnErrors, PauseReason,
    PhaseMembers, PushWindow, RetryPolicy, Rollout, RolloutPhase, RolloutState, RolloutStep,
    Schedule, StopMode, TaskState, WaitingFor, Weekdays,
};
use narrowcast::sim::{DeviceConfig, Outcome as UpdateOutcome};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::{Outcome, ready};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DEVICES: usize = 8;

fn names(devices: std::ops::Range<usize>) -> PhaseMembers {
    let name = |index| fleet::endpoint(&fleet::device(index)).to_string();
    PhaseMembers::Devices(devices.map(name).collect())
}

fn phase(devices: std::ops::Range<usize>) -> RolloutPhase {
    RolloutPhase {
        members: names(devices),
        success_percent_min: 100,
        failed_percent_max: 0,
        on_errors: OnErrors::Pause,
        soak_hours: 0,
        approval_required: false,
    }
}

fn phases(phases: Vec<RolloutPhase>) -> Rollout {
    Rollout {
        phases,
        ..Rollout::default()
    }
}

fn trial() -> Rollout {
    Rollout {
        trial: Some(fleet::endpoint(&fleet::device(0)).to_string()),
        ..Rollout::default()
    }
}

/// Devices of which some say a bad hash whatever they fetch.
fn world(seed: u64, bad: &[usize], rollout: Rollout) -> World {
    let mut devices: Vec<DeviceConfig> = (0..DEVICES).map(fleet::device).collect();
    for index in bad {
        devices[*index].outcome = UpdateOutcome::DownloadFails(5);
    }
    let mut world = World::new(seed, fleet::engine_config(), devices);
    world.policy.rollout = rollout;
    world
}

fn state(world: &World, id: CampaignId) -> (CampaignState, RolloutState) {
    let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
    (campaign.state, campaign.rollout)
}

fn is_paused_for(world: &World, id: CampaignId, reason: PauseReason) {
    let (campaign, rollout) = state(world, id);
    assert_eq!(campaign, CampaignState::Paused);
    assert_eq!(rollout.paused, Some(reason));
}

fn tell(world: &mut World, command: Command) {
    assert_eq!(world.command(command), Outcome::Done(Ok(())));
}

fn pause(world: &mut World, id: CampaignId, halted: bool) {
    tell(world, Command::PauseCampaign { id, halted });
}

fn resume(world: &mut World, id: CampaignId) {
    tell(world, Command::ResumeCampaign(id));
}

fn nobody_begins(world: &World, id: CampaignId, devices: std::ops::Range<usize>) {
    for device in devices {
        let task = world.task(id, device);
        assert_eq!(task.attempt, 0, "{device}: {task:?}");
    }
}

#[test]
fn a_trial_that_is_stopped_or_refused_lets_nobody_else_begin() {
    for refused in [false, true] {
        let mut world = world(2100, &[], trial());
        if refused {
            world.policy.conditions.consent = Consent::Confirmed;
        }
        let id = world.campaign_for_all(RetryPolicy::default());
        if refused {
            for device in 0..DEVICES {
                let asked = world.consent(id, Some(device), device != 0);
                assert_eq!(asked, Outcome::Done(Ok(())));
            }
        } else {
            let task = world.task(id, 0).id;
            let (campaign, mode) = (id, StopMode::Hard);
            let command = Command::StopTask {
                campaign,
                task,
                mode,
            };
            tell(&mut world, command);
        }
        world.run_for(6 * HOUR);
        is_paused_for(&world, id, PauseReason::PhaseSuccesses);
        nobody_begins(&world, id, 1..DEVICES);
        resume(&mut world, id);
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES - 1);
    }
}

#[test]
fn failures_that_were_let_pass_in_one_phase_count_in_no_other() {
    let first = phase(0..4);
    let second = RolloutPhase {
        on_errors: OnErrors::Stop,
        members: names(4..6),
        ..first.clone()
    };
    let mut world = world(2101, &[0, 4], phases(vec![first, second]));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(6 * HOUR);
    is_paused_for(&world, id, PauseReason::PhaseErrors);
    while state(&world, id).0 == CampaignState::Paused && state(&world, id).1.phase == 0 {
        resume(&mut world, id);
        world.run_for(6 * HOUR);
    }
    world.run_to_the_end();
    assert_eq!(state(&world, id).0, CampaignState::Stopped);
    nobody_begins(&world, id, 6..DEVICES);
}

#[test]
fn silent_devices_are_given_up_after_the_pause_that_they_led_to() {
    let away = |index| DeviceConfig {
        start_spread: 10_000_000 * HOUR,
        ..fleet::device(index)
    };
    let devices = (0..DEVICES).map(away).collect();
    let mut world = World::new(2102, fleet::engine_config(), devices);
    world.policy.governors.error_threshold = Some(ErrorThreshold {
        failed_percent_max: 20,
        ended_min: 3,
        action: OnErrors::Pause,
    });
    let id = world.campaign_for_all(RetryPolicy::default());
    for failed in [3, 6] {
        world.run_for(25 * HOUR);
        is_paused_for(&world, id, PauseReason::ErrorThreshold);
        assert_eq!(world.count(id, TaskState::Failed), failed);
        resume(&mut world, id);
    }
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Failed), DEVICES);
}

#[test]
fn a_soak_that_ends_in_a_pause_is_judged_when_the_campaign_goes_on() {
    let soaking = RolloutPhase {
        soak_hours: 24,
        failed_percent_max: 20,
        ..phase(0..4)
    };
    let mut world = world(2103, &[], phases(vec![soaking]));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it soaks", |world| {
        state(world, id).1.step == RolloutStep::Soaking
    });
    pause(&mut world, id, false);
    world.cut_off = Some(0);
    world.run_for(30 * HOUR);
    is_paused_for(&world, id, PauseReason::Operator);
    resume(&mut world, id);
    world.run_for(HOUR);
    is_paused_for(&world, id, PauseReason::Soak);
    // Whoever halts it then has not let pass what it was paused for.
    pause(&mut world, id, true);
    resume(&mut world, id);
    world.run_for(HOUR);
    is_paused_for(&world, id, PauseReason::Soak);
    nobody_begins(&world, id, 4..DEVICES);
    resume(&mut world, id);
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
}

#[test]
fn whoever_resumes_a_phase_with_too_few_successes_has_not_approved_it() {
    let first = RolloutPhase {
        failed_percent_max: 100,
        soak_hours: 24,
        approval_required: true,
        ..phase(0..4)
    };
    let mut world = world(2104, &[1], phases(vec![first]));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(6 * HOUR);
    is_paused_for(&world, id, PauseReason::PhaseSuccesses);
    resume(&mut world, id);
    assert_eq!(state(&world, id).1.step, RolloutStep::Soaking);
    world.run_for(25 * HOUR);
    assert_eq!(state(&world, id).1.step, RolloutStep::AwaitingApproval);
    nobody_begins(&world, id, 4..DEVICES);
    tell(&mut world, Command::ApprovePhase(id));
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES - 1);
}

#[test]
fn what_ended_before_a_campaigns_start_is_judged_at_its_start() {
    let mut world = world(2105, &[], trial());
    let other = world.draft(&[0], RetryPolicy::default());
    world.activate(other).unwrap();
    world.policy.schedule.start_at = Some(world.now.utc + 3 * HOUR);
    let id = world.campaign_for_all(RetryPolicy::default());
    assert_eq!(world.failure(id, 0).reason, FailureReason::TaskConflict);
    assert_eq!(state(&world, id).0, CampaignState::Scheduled);
    world.run_for(4 * HOUR);
    is_paused_for(&world, id, PauseReason::PhaseErrors);
}

#[test]
fn a_device_of_a_later_phase_that_is_tried_again_does_not_wait_for_ever() {
    let mut world = world(2106, &[0], trial());
    let other = world.draft(&[3], RetryPolicy::default());
    world.activate(other).unwrap();
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(6 * HOUR);
    is_paused_for(&world, id, PauseReason::PhaseErrors);
    assert_eq!(world.stop(id), Outcome::Done(Ok(())));
    world.run_to_the_end();
    let retried = world.retry(id, |task| {
        let of = task.failure.as_ref();
        of.is_some_and(|failure| failure.reason == FailureReason::TaskConflict)
    });
    assert_eq!(retried, Outcome::Done(Ok(())));
    // Its trial has ended, and has not succeeded.
    is_paused_for(&world, id, PauseReason::PhaseSuccesses);
    resume(&mut world, id);
    world.run_to_the_end();
    assert_eq!(world.task(id, 3).state, TaskState::Succeeded);
}

fn meters() -> Vec<DeviceConfig> {
    let meter = |index| DeviceConfig {
        queue_mode: true,
        update_interval: 20 * HOUR,
        lifetime: 60 * 24 * HOUR,
        ..fleet::device(index)
    };
    (0..3).map(meter).collect()
}

#[test]
fn devices_have_their_whole_time_after_a_pause() {
    let mut world = World::new(2107, fleet::engine_config(), meters());
    let id = world.campaign_for_all(RetryPolicy::default());
    pause(&mut world, id, false);
    world.run_for(71 * HOUR);
    for device in 0..3 {
        let task = world.task(id, device);
        assert_eq!(task.waiting_for, Some(WaitingFor::Paused));
    }
    resume(&mut world, id);
    world.run_for(2 * HOUR);
    world.restart();
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 3);
}

#[test]
fn after_a_restart_nobody_waits_for_a_window_that_is_open() {
    let mut world = World::new(2108, fleet::engine_config(), meters());
    // 22:00 to 02:00; it is 19:06 there.
    world.policy.schedule = Schedule {
        windows: vec![PushWindow {
            time_zone: "Asia/Shanghai".to_owned(),
            from_hour: 22,
            to_hour: 2,
            weekdays: Weekdays::ALL,
        }],
        ..Schedule::default()
    };
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(HOUR / 2);
    let waiting_for = |world: &World| world.task(id, 0).waiting_for;
    assert_eq!(waiting_for(&world), Some(WaitingFor::Window));
    world.now.utc = world.now.utc + 4 * HOUR;
    world.restart();
    assert_eq!(waiting_for(&world), Some(WaitingFor::Contact));
}

#[test]
fn agreements_one_by_one_let_no_more_devices_be_tried_at_once_than_one_for_all() {
    let config = EngineConfig {
        openings_per_turn: 2,
        ..fleet::engine_config()
    };
    let devices: Vec<DeviceConfig> = (0..DEVICES).map(fleet::device).collect();
    let mut world = World::new(2109, config, devices);
    world.policy.conditions.consent = Consent::Confirmed;
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(HOUR / 2);
    let moment = world.now.instant;
    for device in 0..DEVICES {
        let agreed = world.consent(id, Some(device), true);
        assert_eq!(agreed, Outcome::Done(Ok(())));
        world.run_for(Duration::ZERO);
    }
    let asked = world.requests.iter().filter(|(at, ..)| *at >= moment);
    let asked: BTreeSet<usize> = asked.map(|(_, device, _)| *device).collect();
    assert!((1..=2).contains(&asked.len()), "{asked:?}");
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
}

#[test]
fn nobody_is_asked_for_ever_where_the_campaign_has_no_end_any_more() {
    let mut world = World::new(2110, fleet::engine_config(), meters());
    world.policy.conditions.consent = Consent::Confirmed;
    world.policy.schedule.end_at = Some(world.now.utc + 5 * 24 * HOUR);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(HOUR);
    let schedule = Schedule::default();
    tell(&mut world, Command::SetSchedule { id, schedule });
    let until = world.task(id, 0).until.unwrap();
    assert_eq!(until, world.now.utc + 24 * HOUR);
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::ConsentMissing);
}
