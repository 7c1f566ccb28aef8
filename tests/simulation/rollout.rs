//! Phases, thresholds, soak, approval, pause and halt: what devices do, by their own log.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use narrowcast::clock::{Instant, Utc};
use narrowcast::engine::{Command, CommandError, EngineConfig};
use narrowcast::model::{
    CampaignId, CampaignState, ErrorThreshold, FailureReason, OnErrors, PauseReason, PhaseMembers,
    RetryPolicy, Rollout, RolloutPhase, RolloutState, RolloutStep, StopMode, TaskState,
    TimelineStep, UpdateTask, WaitingFor,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{DeviceConfig, Outcome};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::{self, ready};
use crate::wire::SentRequest;
use crate::world::World;

const DEVICES: usize = 20;
const HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) fn phase(members: PhaseMembers) -> RolloutPhase {
    RolloutPhase {
        members,
        success_percent_min: 100,
        failed_percent_max: 0,
        on_errors: OnErrors::Pause,
        soak_hours: 0,
        approval_required: false,
    }
}

/// As [`devices`], of which these do not come back from installing.
fn lost_devices(lost: &[usize]) -> Vec<DeviceConfig> {
    let mut devices = devices(&[]);
    for index in lost {
        devices[*index].reboot = 100 * HOUR;
    }
    devices
}

/// Devices that all do as they should, and some that say a bad hash whatever they fetch.
pub(crate) fn devices(bad: &[usize]) -> Vec<DeviceConfig> {
    (0..DEVICES)
        .map(|index| {
            let mut device = fleet::device(index);
            if bad.contains(&index) {
                device.outcome = Outcome::DownloadFails(5);
            }
            device
        })
        .collect()
}

pub(crate) fn world(seed: u64, bad: &[usize], rollout: Rollout) -> (World, CampaignId) {
    let mut world = World::new(seed, fleet::engine_config(), devices(bad));
    world.policy.rollout = rollout;
    let id = world.campaign_for_all(RetryPolicy::default());
    (world, id)
}

pub(crate) fn state(world: &World, id: CampaignId) -> (CampaignState, RolloutState) {
    let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
    (campaign.state, campaign.rollout)
}

fn name(index: usize) -> String {
    fleet::endpoint(&fleet::device(index)).to_string()
}

fn task_of(world: &World, id: CampaignId, index: usize) -> &UpdateTask {
    let endpoint = fleet::endpoint(&world.devices[index].config);
    world.server.task_of(id, &endpoint)
}

/// When each device first took the URI, and when it was done.
fn begun(world: &World, index: usize) -> Option<Instant> {
    let mut lines = world.log.iter();
    let line = lines.find(|it| it.device == index && it.event == DeviceEvent::UriAccepted);
    line.map(|line| line.at)
}

fn ended(world: &World, index: usize) -> Option<Instant> {
    let is_end = |event: &DeviceEvent| matches!(event, DeviceEvent::UpdateEnded { .. });
    let mut lines = world.log.iter();
    let line = lines.find(|it| it.device == index && is_end(&it.event));
    line.map(|line| line.at)
}

/// Nobody of a phase begins before the last of the phase before has ended.
fn phases_follow_each_other(world: &World, id: CampaignId) {
    let phase_of = |index: usize| task_of(world, id, index).rollout_phase;
    for later in 0..DEVICES {
        for earlier in (0..DEVICES).filter(|index| phase_of(*index) < phase_of(later)) {
            let (Some(begins), Some(ends)) = (begun(world, later), ended(world, earlier)) else {
                panic!("{later} or {earlier} was not updated");
            };
            assert!(ends <= begins, "{later} began before {earlier} had ended");
        }
    }
}

fn sizes(world: &World, id: CampaignId) -> Vec<usize> {
    let phases: Vec<u16> = (0..DEVICES)
        .map(|index| task_of(world, id, index).rollout_phase)
        .collect();
    let last = phases.iter().max().copied().unwrap();
    (0..=last)
        .map(|phase| phases.iter().filter(|it| **it == phase).count())
        .collect()
}

pub(crate) fn staged() -> Rollout {
    Rollout {
        approval_required: false,
        trial: Some(name(7)),
        phases: vec![
            phase(PhaseMembers::Devices(vec![name(3), name(4)])),
            phase(PhaseMembers::Percent(25)),
        ],
    }
}

#[test]
fn the_trial_then_canaries_then_a_share_then_the_rest() {
    for seed in 0..5 {
        let (mut world, id) = world(seed, &[], staged());
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        assert_eq!(sizes(&world, id), [1, 2, 5, 12]);
        assert_eq!(task_of(&world, id, 7).rollout_phase, 0);
        phases_follow_each_other(&world, id);
        assert_eq!(state(&world, id).0, CampaignState::Succeeded);
    }
}

#[test]
fn a_trial_whose_device_runs_the_version_already_proves_nothing() {
    for while_paused in [false, true] {
        let mut devices = devices(&[]);
        devices[7].version = fleet::TARGET_VERSION.to_owned();
        let mut world = World::new(3, fleet::engine_config(), devices);
        world.policy.rollout = staged();
        let id = world.campaign_for_all(RetryPolicy::default());
        if while_paused {
            world.run_until("its trial is at work", |world| {
                task_of(world, id, 7).state == TaskState::Running
            });
            let paused = world.command(Command::PauseCampaign { id, halted: false });
            assert_eq!(paused, server::Outcome::Done(Ok(())));
            world.run_for(2 * HOUR);
            assert_eq!(task_of(&world, id, 7).state, TaskState::Succeeded);
            world.restart();
            let resumed = world.command(Command::ResumeCampaign(id));
            assert_eq!(resumed, server::Outcome::Done(Ok(())));
        }
        world.run_for(6 * HOUR);
        let (campaign, rollout) = state(&world, id);
        assert_eq!((campaign, rollout.phase), (CampaignState::Paused, 0));
        assert_eq!(rollout.paused, Some(PauseReason::PhaseSuccesses));
        assert!((0..DEVICES).all(|index| begun(&world, index).is_none()));
        // Somebody may let that pass.
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, server::Outcome::Done(Ok(())));
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    }
}

#[test]
fn a_rollout_goes_on_from_its_phase_whenever_the_server_dies() {
    for seed in 0..10 {
        let mut world = World::new(seed, fleet::engine_config(), devices(&[]));
        world.policy.rollout = staged();
        // A death may cost an attempt, and never more.
        let id = world.campaign_for_all(RetryPolicy {
            retries_max: 5,
            ..RetryPolicy::default()
        });
        world.crash_permille = 30;
        world.run_to_the_end();
        assert!(world.server.rebuilds > 3);
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        phases_follow_each_other(&world, id);
    }
}

#[test]
fn a_trial_that_fails_pauses_the_campaign_before_anyone_else_begins() {
    let (mut world, id) = world(1, &[7], staged());
    world.run_for(6 * HOUR);
    let (campaign, rollout) = state(&world, id);
    assert_eq!(campaign, CampaignState::Paused);
    assert_eq!(rollout.paused, Some(PauseReason::PhaseErrors));
    assert_eq!(task_of(&world, id, 7).state, TaskState::Failed);
    for index in (0..DEVICES).filter(|index| *index != 7) {
        assert_eq!(begun(&world, index), None);
        let task = task_of(&world, id, index);
        assert_eq!(task.state, TaskState::Pending);
    }
    // Whoever resumes it lets that failure pass.
    let resumed = world.command(Command::ResumeCampaign(id));
    assert_eq!(resumed, server::Outcome::Done(Ok(())));
    // All of the trial has ended, and not enough of it has succeeded.
    let (campaign, rollout) = state(&world, id);
    assert_eq!(campaign, CampaignState::Paused);
    assert_eq!(rollout.paused, Some(PauseReason::PhaseSuccesses));
    let resumed = world.command(Command::ResumeCampaign(id));
    assert_eq!(resumed, server::Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES - 1);
}

#[test]
fn too_many_failures_of_a_phase_stop_it_where_that_is_asked_for() {
    let half = RolloutPhase {
        on_errors: OnErrors::Stop,
        failed_percent_max: 20,
        ..phase(PhaseMembers::Percent(50))
    };
    let rollout = Rollout {
        phases: vec![half],
        ..Rollout::default()
    };
    let bad: Vec<usize> = (0..DEVICES).collect();
    let (mut world, id) = world(2, &bad, rollout);
    world.run_to_the_end();
    let (campaign, _) = state(&world, id);
    assert_eq!(campaign, CampaignState::Stopped);
    let of_the_rest = (0..DEVICES).filter(|index| task_of(&world, id, *index).rollout_phase == 1);
    let mut of_the_rest = of_the_rest.collect::<Vec<_>>().into_iter();
    assert!(of_the_rest.all(|index| begun(&world, index).is_none()));
}

#[test]
fn the_threshold_of_all_tasks_works_without_phases() {
    let mut world = World::new(3, fleet::engine_config(), devices(&[1, 3, 5, 7, 9, 11, 13]));
    world.policy.governors.error_threshold = Some(ErrorThreshold {
        failed_percent_max: 20,
        ended_min: 5,
        action: OnErrors::Pause,
    });
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(6 * HOUR);
    let (campaign, rollout) = state(&world, id);
    assert_eq!(campaign, CampaignState::Paused);
    assert_eq!(rollout.paused, Some(PauseReason::ErrorThreshold));
    let failed = world.count(id, TaskState::Failed);
    assert!((2..=7).contains(&failed), "{failed}");
}

fn soaking() -> Rollout {
    let first = RolloutPhase {
        soak_hours: 24,
        failed_percent_max: 20,
        ..phase(PhaseMembers::Count(4))
    };
    Rollout {
        phases: vec![first],
        ..Rollout::default()
    }
}

#[test]
fn the_next_phase_begins_when_the_updated_devices_have_reported_for_a_day() {
    let (mut world, id) = world(4, &[], soaking());
    world.run_until("it soaks", |world| {
        state(world, id).1.step == RolloutStep::Soaking
    });
    let soaks_since = world.now.instant;
    world.restart();
    world.run_to_the_end();
    let later = (0..DEVICES).filter(|index| task_of(&world, id, *index).rollout_phase == 1);
    for index in later {
        let waited = begun(&world, index).unwrap().saturating_since(soaks_since);
        assert!(waited >= 24 * HOUR, "{waited:?}");
    }
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
}

#[test]
fn devices_that_fall_silent_after_their_update_pause_the_rollout() {
    let (mut world, id) = world(5, &[], soaking());
    world.run_until("it soaks", |world| {
        state(world, id).1.step == RolloutStep::Soaking
    });
    let updated: Vec<usize> = (0..DEVICES)
        .filter(|index| task_of(&world, id, *index).rollout_phase == 0)
        .collect();
    world.cut_off = Some(updated[0]);
    world.run_for(30 * HOUR);
    let (campaign, rollout) = state(&world, id);
    assert_eq!(campaign, CampaignState::Paused);
    assert_eq!(rollout.paused, Some(PauseReason::Soak));
}

/// Devices that speak once a day at the least, in a campaign that has them report for some hours.
fn soaks_with(seed: u64, soak_hours: u16) -> (World, CampaignId, usize) {
    let mut rollout = soaking();
    rollout.phases[0].soak_hours = soak_hours;
    let mut devices = devices(&[]);
    for device in &mut devices {
        device.update_interval = 18 * HOUR;
    }
    let mut world = World::new(seed, fleet::engine_config(), devices);
    world.policy.rollout = rollout;
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it soaks", |world| {
        state(world, id).1.step == RolloutStep::Soaking
    });
    let updated = (0..DEVICES).find(|index| task_of(&world, id, *index).rollout_phase == 0);
    (world, id, updated.unwrap())
}

#[test]
fn a_soak_waits_for_devices_that_speak_once_a_day_and_is_not_passed_by_those_that_never_do() {
    for silent in [false, true] {
        let (mut world, id, first) = soaks_with(6, 2);
        world.cut_off = silent.then_some(first);
        // All are registered still, and none has spoken since its update.
        world.run_for(6 * HOUR);
        let (campaign, rollout) = state(&world, id);
        assert_eq!((campaign, rollout.phase), (CampaignState::Running, 0));
        world.run_for(24 * HOUR);
        let (campaign, rollout) = state(&world, id);
        if silent {
            assert_eq!((campaign, rollout.phase), (CampaignState::Paused, 0));
            assert_eq!(rollout.paused, Some(PauseReason::Soak));
        } else {
            assert_eq!(rollout.phase, 1);
            world.run_to_the_end();
            assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        }
    }
}

#[test]
fn a_restart_passes_no_device_that_was_not_heard_behind_it() {
    for silent in [false, true] {
        let (mut world, id, first) = soaks_with(7, 24);
        world.cut_off = silent.then_some(first);
        world.run_for(22 * HOUR);
        world.restart();
        world.run_for(3 * HOUR);
        let (campaign, rollout) = state(&world, id);
        if silent {
            assert_eq!((campaign, rollout.phase), (CampaignState::Running, 0));
            assert_eq!(rollout.step, RolloutStep::Soaking);
        }
        world.run_for(24 * HOUR);
        let (campaign, rollout) = state(&world, id);
        if silent {
            assert_eq!((campaign, rollout.phase), (CampaignState::Paused, 0));
            assert_eq!(rollout.paused, Some(PauseReason::Soak));
        } else {
            assert_eq!(rollout.phase, 1, "{rollout:?}");
        }
    }
}

#[test]
fn a_soak_that_somebody_lets_pass_still_waits_for_its_approval() {
    let mut rollout = soaking();
    rollout.phases[0].approval_required = true;
    let (mut world, id) = world(5, &[], rollout);
    world.run_until("it soaks", |world| {
        state(world, id).1.step == RolloutStep::Soaking
    });
    let updated = (0..DEVICES).find(|index| task_of(&world, id, *index).rollout_phase == 0);
    world.cut_off = updated;
    world.run_for(30 * HOUR);
    assert_eq!(state(&world, id).1.paused, Some(PauseReason::Soak));
    world.restart();
    world.cut_off = None;
    let resumed = world.command(Command::ResumeCampaign(id));
    assert_eq!(resumed, server::Outcome::Done(Ok(())));
    for _ in 0..2 {
        let (campaign, rollout) = state(&world, id);
        assert_eq!(campaign, CampaignState::Running);
        assert_eq!(rollout.step, RolloutStep::AwaitingApproval);
        assert_eq!((rollout.phase, rollout.paused), (0, None));
        world.run_for(30 * HOUR);
        assert_eq!(world.count(id, TaskState::Succeeded), 4);
        world.restart();
    }
    let approved = world.command(Command::ApprovePhase(id));
    assert_eq!(approved, server::Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
}

#[test]
fn devices_that_are_lost_after_execute_count_towards_the_threshold() {
    let mut devices = devices(&[]);
    for device in devices.iter_mut().step_by(2) {
        device.reboot = 100 * HOUR;
    }
    let mut world = World::new(12, fleet::engine_config(), devices);
    world.policy.governors.error_threshold = Some(ErrorThreshold {
        failed_percent_max: 20,
        ended_min: 5,
        action: OnErrors::Pause,
    });
    let id = world.campaign_for_all(RetryPolicy {
        retries_max: 0,
        ..RetryPolicy::default()
    });
    world.run_until("it is paused", |world| {
        state(world, id).0 == CampaignState::Paused
    });
    assert_eq!(
        state(&world, id).1.paused,
        Some(PauseReason::ErrorThreshold)
    );
    let failed: Vec<usize> = (0..DEVICES)
        .filter(|index| task_of(&world, id, *index).state == TaskState::Failed)
        .collect();
    assert!(failed.iter().all(|index| index % 2 == 0), "{failed:?}");
    assert!(failed.len() > 1, "{failed:?}");
    for index in failed {
        let failure = world.failure(id, index);
        assert_eq!(failure.reason, FailureReason::ResultTimeout);
        let steps = [TimelineStep::ExecuteIntended, TimelineStep::Failed];
        let [told, ended] = steps.map(|step| world.steps(index, step)[0].at);
        let took = ended.saturating_since(told);
        // The outcome's time, then one last question.
        let expected = HOUR / 2..HOUR;
        assert!(expected.contains(&took), "{took:?}");
    }
}

#[test]
fn a_phase_waits_for_its_approval() {
    let first = RolloutPhase {
        approval_required: true,
        ..phase(PhaseMembers::Count(3))
    };
    let rollout = Rollout {
        phases: vec![first],
        ..Rollout::default()
    };
    let (mut world, id) = world(6, &[], rollout);
    let too_soon = world.command(Command::ApprovePhase(id));
    assert_eq!(
        too_soon,
        server::Outcome::Done(Err(CommandError::NothingToApprove))
    );
    world.run_for(6 * HOUR);
    assert_eq!(state(&world, id).1.step, RolloutStep::AwaitingApproval);
    assert_eq!(world.count(id, TaskState::Succeeded), 3);
    world.restart();
    world.run_for(HOUR);
    assert_eq!(world.count(id, TaskState::Succeeded), 3);
    // Whoever paused it wants nothing to follow.
    let paused = world.command(Command::PauseCampaign { id, halted: false });
    assert_eq!(paused, server::Outcome::Done(Ok(())));
    let refused = world.command(Command::ApprovePhase(id));
    assert!(
        matches!(
            refused,
            server::Outcome::Done(Err(CommandError::InvalidTransition(_)))
        ),
        "{refused:?}"
    );
    assert_eq!(state(&world, id).1.phase, 0);
    let resumed = world.command(Command::ResumeCampaign(id));
    assert_eq!(resumed, server::Outcome::Done(Ok(())));
    let approved = world.command(Command::ApprovePhase(id));
    assert_eq!(approved, server::Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
}

/// Devices that took something to begin with after a moment.
fn begun_after(world: &World, moment: Instant) -> BTreeSet<usize> {
    let begins = |event: &DeviceEvent| *event == DeviceEvent::UriAccepted;
    let lines = world.log.iter();
    lines
        .filter(|line| line.at > moment && begins(&line.event))
        .map(|line| line.device)
        .collect()
}

#[test]
fn what_has_begun_goes_on_in_a_paused_campaign_and_nothing_else() {
    for seed in 0..5 {
        let (mut world, id) = world(seed, &[], Rollout::default());
        world.run_until("some fetch", |world| {
            (0..DEVICES)
                .filter(|it| begun(world, *it).is_some())
                .count()
                > 2
        });
        let paused = world.command(Command::PauseCampaign { id, halted: false });
        assert_eq!(paused, server::Outcome::Done(Ok(())));
        let had_begun: BTreeSet<usize> = (0..DEVICES)
            .filter(|index| task_of(&world, id, *index).uri_intended)
            .collect();
        let moment = world.now.instant;
        world.run_for(6 * HOUR);
        world.restart();
        world.run_for(6 * HOUR);
        assert!(begun_after(&world, moment).is_subset(&had_begun));
        for index in 0..DEVICES {
            let task = task_of(&world, id, index);
            let expected = if had_begun.contains(&index) {
                TaskState::Succeeded
            } else {
                assert!(!task.uri_intended);
                assert_eq!(task.waiting_for, Some(WaitingFor::Paused), "{task:?}");
                continue;
            };
            assert_eq!(task.state, expected);
        }
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, server::Outcome::Done(Ok(())));
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    }
}

#[test]
fn after_a_halt_no_device_is_told_to_install() {
    for seed in 0..5 {
        let (mut world, id) = world(seed, &[], Rollout::default());
        world.run_until("some have executed", |world| {
            (0..DEVICES)
                .filter(|it| ended(world, *it).is_some())
                .count()
                > 1
        });
        let halted = world.command(Command::HaltCampaigns);
        assert_eq!(halted, server::Outcome::Done(Ok(())));
        let moment = world.now.instant;
        let told = |world: &World| {
            let executed = (0..DEVICES).map(|index| task_of(world, id, index));
            executed
                .filter(|task| task.execute_intended_attempt.is_some())
                .count()
        };
        let before = told(&world);
        assert!(before < DEVICES);
        world.run_for(6 * HOUR);
        world.restart();
        world.run_for(6 * HOUR);
        assert_eq!(told(&world), before);
        assert!(
            world
                .requests
                .iter()
                .all(|(at, _, request)| { *at <= moment || !request.is_uri_write() })
        );
        assert_eq!(state(&world, id).1.paused, Some(PauseReason::Halted));
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, server::Outcome::Done(Ok(())));
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        let verdict = world.verdict();
        assert!(verdict.holds(), "{verdict:?}");
    }
}

/// Cuts a device off when it is told what `is_told` says, has this carried out two seconds later, and lets it
/// be heard again.
fn ordered_while_told(
    sweeps: EngineConfig,
    is_told: fn(&SentRequest) -> bool,
    order: fn(CampaignId) -> Command,
) -> (World, CampaignId, Instant) {
    let mut world = World::new(31, sweeps, devices(&[]));
    let id = world.campaign_for_all(RetryPolicy::default());
    let last = DEVICES - 1;
    world.run_until("it is told", |world| {
        let mut requests = world.requests.iter();
        requests.any(|(_, device, request)| *device == last && is_told(request))
    });
    world.cut_off = Some(last);
    world.run_for(Duration::from_secs(2));
    let ordered = world.command(order(id));
    assert_eq!(ordered, server::Outcome::Done(Ok(())));
    let moment = world.now.instant;
    world.cut_off = None;
    (world, id, moment)
}

fn halted_while_told(
    sweeps: EngineConfig,
    is_told: fn(&SentRequest) -> bool,
) -> (World, CampaignId, Instant) {
    ordered_while_told(sweeps, is_told, |_| Command::HaltCampaigns)
}

/// Of engines that tell all tasks of a halt at once, and one an hour.
fn sweeps() -> [EngineConfig; 2] {
    let slow = EngineConfig {
        sweep_tasks_per_turn: 1,
        sweep_turn: HOUR,
        ..fleet::engine_config()
    };
    [fleet::engine_config(), slow]
}

fn told_after(world: &World, moment: Instant) -> usize {
    let after = world.requests.iter().filter(|(at, _, _)| *at > moment);
    after
        .filter(|(_, _, it)| it.is_execute() || it.is_uri_write() || it.is_package_write())
        .count()
}

#[test]
fn an_execute_that_was_lost_before_a_halt_is_not_repeated_and_the_device_is_asked_after_it() {
    for config in sweeps() {
        let (mut world, id, moment) = halted_while_told(config, SentRequest::is_execute);
        let last = DEVICES - 1;
        world.run_for(6 * HOUR);
        assert_eq!(told_after(&world, moment), 0);
        assert_eq!(ended(&world, last), None);
        let task = task_of(&world, id, last);
        assert_eq!(task.state, TaskState::Pending, "{task:?}");
        assert_eq!(task.waiting_for, Some(WaitingFor::Paused));
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, server::Outcome::Done(Ok(())));
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        let task = task_of(&world, id, last);
        assert_eq!((task.attempt, task.attempts_before), (2, 1));
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn neither_an_execute_nor_a_uri_that_was_lost_before_a_hard_stop_is_repeated() {
    for is_told in [SentRequest::is_execute, SentRequest::is_uri_write] {
        for config in sweeps() {
            let hard = |id| Command::StopCampaign {
                id,
                mode: StopMode::Hard,
            };
            let (mut world, id, moment) = ordered_while_told(config, is_told, hard);
            world.run_for(24 * HOUR);
            assert_eq!(told_after(&world, moment), 0);
            assert_eq!(ended(&world, DEVICES - 1), None);
            assert_eq!(world.count(id, TaskState::Pending), 0);
            assert_eq!(world.count(id, TaskState::Running), 0);
        }
    }
}

#[test]
fn a_uri_that_was_lost_before_a_halt_is_written_again_after_it() {
    for config in sweeps() {
        let (mut world, id, moment) = halted_while_told(config, SentRequest::is_uri_write);
        let last = DEVICES - 1;
        world.run_for(6 * HOUR);
        assert_eq!(told_after(&world, moment), 0);
        assert_eq!(begun(&world, last), None);
        let task = task_of(&world, id, last);
        assert_eq!(task.waiting_for, Some(WaitingFor::Paused), "{task:?}");
        world.restart();
        world.run_for(6 * HOUR);
        assert_eq!(told_after(&world, moment), 0);
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, server::Outcome::Done(Ok(())));
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

/// Campaigns that try each device three times more.
fn with_retries(
    seed: u64,
    devices: Vec<DeviceConfig>,
    set: impl FnOnce(&mut World),
) -> (World, CampaignId) {
    let mut world = World::new(seed, fleet::engine_config(), devices);
    set(&mut world);
    let id = world.campaign_for_all(RetryPolicy {
        retries_max: 3,
        ..RetryPolicy::default()
    });
    (world, id)
}

fn lost(world: &World, id: CampaignId) -> usize {
    let tasks = (0..DEVICES).map(|index| task_of(world, id, index));
    tasks.filter(|task| task.lost).count()
}

#[test]
fn devices_that_are_lost_count_at_once_though_they_are_tried_again_and_over_a_restart() {
    for restarts in [false, true] {
        let (mut world, id) = with_retries(12, lost_devices(&[0, 7, 19]), |world| {
            world.policy.governors.error_threshold = Some(ErrorThreshold {
                failed_percent_max: 14,
                ended_min: 20,
                action: OnErrors::Pause,
            });
        });
        if restarts {
            world.run_until("one is lost", |world| lost(world, id) > 0);
            assert!(lost(&world, id) < 3);
            world.restart();
        }
        world.run_for(3 * HOUR);
        let (campaign, rollout) = state(&world, id);
        assert_eq!(campaign, CampaignState::Paused, "{restarts}");
        assert_eq!(rollout.paused, Some(PauseReason::ErrorThreshold));
        assert_eq!(world.count(id, TaskState::Succeeded), 17);
        assert_eq!(
            (world.count(id, TaskState::Failed), lost(&world, id)),
            (0, 3)
        );
        // What was let pass does not pause it once more, until another fails.
        let resumed = world.command(Command::ResumeCampaign(id));
        assert_eq!(resumed, server::Outcome::Done(Ok(())));
        world.run_for(3 * HOUR);
        assert_eq!(state(&world, id).0, CampaignState::Running);
        assert_eq!(state(&world, id).1.failures_excused, 3);
    }
}

#[test]
fn no_phase_begins_over_devices_that_are_lost() {
    let (mut world, id) = with_retries(13, lost_devices(&[4, 5]), |world| {
        world.policy.rollout.phases = vec![RolloutPhase {
            success_percent_min: 60,
            failed_percent_max: 20,
            soak_hours: 24,
            ..phase(PhaseMembers::Devices((0..6).map(name).collect()))
        }];
    });
    world.run_for(30 * HOUR);
    let (campaign, rollout) = state(&world, id);
    assert_eq!((campaign, rollout.phase), (CampaignState::Paused, 0));
    assert_eq!(rollout.paused, Some(PauseReason::PhaseErrors));
    assert_eq!(lost(&world, id), 2);
}

#[test]
fn a_lost_device_that_comes_back_counts_no_more() {
    let mut devices = devices(&[]);
    devices[3].reboot = 2 * HOUR;
    let (mut world, id) = with_retries(14, devices, |world| {
        world.policy.governors.error_threshold = Some(ErrorThreshold {
            failed_percent_max: 1,
            ended_min: 1,
            action: OnErrors::Pause,
        });
    });
    world.run_until("it is lost", |world| lost(world, id) == 1);
    assert_eq!(state(&world, id).0, CampaignState::Paused);
    let resumed = world.command(Command::ResumeCampaign(id));
    assert_eq!(resumed, server::Outcome::Done(Ok(())));
    assert_eq!(state(&world, id).1.failures_excused, 1);
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    assert_eq!(lost(&world, id), 0);
    assert_eq!(state(&world, id).1.failures_excused, 0);
}

/// When devices took their URI, in order.
fn starts(world: &World) -> Vec<Instant> {
    let mut starts: Vec<Instant> = (0..DEVICES).filter_map(|it| begun(world, it)).collect();
    starts.sort();
    starts
}

#[test]
fn a_campaign_begins_no_more_devices_a_minute_than_its_rate() {
    for seed in 0..5 {
        let mut world = World::new(seed, fleet::engine_config(), devices(&[]));
        world.policy.governors.starts_per_minute_max = Some(2);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        let starts = starts(&world);
        for pair in starts.windows(4) {
            // A slot is granted a few answers before the URI is taken.
            let took = pair[3].saturating_since(pair[0]);
            assert!(took >= Duration::from_secs(60), "{took:?}");
        }
    }
}

#[test]
fn no_rate_is_passed_over_restarts() {
    for of_all in [false, true] {
        let config = EngineConfig {
            starts_per_minute_max: NonZeroU32::new(2).filter(|_| of_all),
            ..fleet::engine_config()
        };
        let mut world = World::new(3, config, devices(&[]));
        world.policy.governors.starts_per_minute_max = Some(2).filter(|_| !of_all);
        let id = world.campaign_for_all(RetryPolicy::default());
        let mut granted = 0;
        while world.count(id, TaskState::Succeeded) < DEVICES {
            let begun = slot_times(&world).len();
            if begun > granted {
                granted = begun;
                // What was granted is committed with what it is for.
                world.run_for(Duration::from_secs(10));
                world.restart();
            }
            world.run_for(Duration::from_secs(1));
            assert!(world.now.instant < Instant::ORIGIN + HOUR);
        }
        assert!(granted > 4, "{granted}");
        let starts = slot_times(&world);
        for pair in starts.windows(2) {
            let took = pair[1].saturating_since(pair[0]);
            assert!(took >= Duration::from_secs(30), "{took:?}: {starts:?}");
        }
    }
}

/// When slots were granted, in order, as timelines tell.
fn slot_times(world: &World) -> Vec<Utc> {
    let steps = (0..DEVICES).flat_map(|it| world.steps(it, TimelineStep::SlotGranted));
    let mut times: Vec<Utc> = steps.map(|entry| entry.at).collect();
    times.sort();
    times
}

#[test]
fn the_servers_rate_is_of_all_campaigns_together() {
    let config = EngineConfig {
        starts_per_minute_max: NonZeroU32::new(4),
        ..fleet::engine_config()
    };
    let mut world = World::new(1, config, devices(&[]));
    let (one, other): (Vec<usize>, Vec<usize>) = (0..DEVICES).partition(|index| index % 2 == 0);
    for members in [one, other] {
        let id = world.draft(&members, RetryPolicy::default());
        world.activate(id).unwrap();
    }
    world.run_to_the_end();
    let starts = starts(&world);
    assert_eq!(starts.len(), DEVICES);
    for pair in starts.windows(6) {
        assert!(pair[5].saturating_since(pair[0]) >= Duration::from_secs(60));
    }
}
