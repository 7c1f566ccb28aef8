//! How long a device that is not heard is waited for, over restarts, gates and changed settings.

use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::engine::{Command, EngineConfig};
use narrowcast::model::{
    CampaignId, FailureReason, PhaseMembers, RetryPolicy, Rollout, RolloutPhase, RolloutStep,
    TaskState, TimelineStep, WaitingFor,
};
use narrowcast::sim::DeviceConfig;
use serde_json::json;

use crate::fleet;
use crate::lifecycle::retries;
use crate::rollout::{devices, phase, state};
use crate::server::Outcome;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// The default time for a device to be heard.
const CONTACT: Duration = Duration::from_secs(24 * 60 * 60);

/// Restarts do not prolong anything by more than an hour.
fn config() -> EngineConfig {
    let mut config = fleet::engine_config();
    config.registry.restart_grace = HOUR;
    config
}

fn do_it(world: &mut World, command: Command) {
    assert_eq!(world.command(command), Outcome::Done(Ok(())));
}

/// When the device's task failed for want of a contact.
fn given_up(world: &mut World, id: CampaignId, device: usize) -> Utc {
    world.run_until("it is given up", |world| {
        world.task(id, device).state == TaskState::Failed
    });
    let failure = world.failure(id, device);
    assert_eq!(failure.reason, FailureReason::ContactTimeout, "{failure:?}");
    let failed = world.steps(device, TimelineStep::Failed);
    failed.last().unwrap().at
}

fn about(took: Duration, expected: Duration) {
    // The clock of a record has milliseconds, that of the run has more.
    let within = expected - Duration::from_secs(1)..expected + 2 * MINUTE;
    assert!(within.contains(&took), "{took:?}, not {expected:?}");
}

/// Two phases; the device of the second is never heard.
fn second_phase_unheard(config: EngineConfig) -> (World, CampaignId) {
    let mut world = World::new(1, config, devices(&[]).split_off(18));
    world.policy.rollout = Rollout {
        phases: vec![RolloutPhase {
            approval_required: true,
            ..phase(PhaseMembers::Devices(vec![
                fleet::endpoint(&world.devices[0].config).to_string(),
            ]))
        }],
        ..Rollout::default()
    };
    world.cut_off = Some(1);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("the first phase is done", |world| {
        state(world, id).1.step == RolloutStep::AwaitingApproval
    });
    (world, id)
}

#[test]
fn devices_of_a_later_phase_have_their_whole_time_from_its_beginning_over_restarts() {
    let (mut world, id) = second_phase_unheard(config());
    // Longer than they would have had from the activation.
    world.run_for(20 * HOUR);
    world.restart();
    world.run_for(20 * HOUR);
    assert_eq!(world.task(id, 1).state, TaskState::Pending);
    do_it(&mut world, Command::ApprovePhase(id));
    let begun = world.now.utc;
    for _ in 0..2 {
        world.run_for(10 * HOUR);
        world.restart();
    }
    let ended = given_up(&mut world, id, 1);
    about(ended.saturating_since(begun), CONTACT);
}

#[test]
fn nobody_is_given_up_for_the_time_in_which_the_server_may_not_have_heard_them() {
    let mut config = config();
    // As long as registrations are trusted by default.
    config.registry.restart_grace = 30 * CONTACT;
    let (mut world, id) = second_phase_unheard(config);
    do_it(&mut world, Command::ApprovePhase(id));
    world.run_for(23 * HOUR);
    world.restart();
    let restarted = world.now.utc;
    let ended = given_up(&mut world, id, 1);
    about(ended.saturating_since(restarted), CONTACT);
}

#[test]
fn a_changed_time_counts_from_where_it_began_over_a_restart() {
    for (changed, expected) in [("15h", 15 * HOUR), ("40h", 40 * HOUR)] {
        let mut world = World::new(2, config(), vec![fleet::device(0)]);
        world.cut_off = Some(0);
        let id = world.campaign_for_all(RetryPolicy::default());
        let begun = world.now.utc;
        world.run_for(10 * HOUR);
        let settings = json!({ "contact_timeout": changed });
        world.enter_profile(fleet::MODEL, None, settings);
        world.run_for(2 * HOUR);
        world.restart();
        let ended = given_up(&mut world, id, 0);
        about(ended.saturating_since(begun), expected);
    }
}

#[test]
fn a_device_waited_for_after_a_pause_has_its_time_from_the_pauses_end_over_a_restart() {
    let meter = DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    };
    let mut world = World::new(3, config(), vec![meter]);
    let id = world.campaign_for_all(retries(1));
    world.run_until("it fetches", |world| {
        !world.steps(0, TimelineStep::DownloadBegun).is_empty()
    });
    world.cut_off = Some(0);
    world.run_until("it is waited for anew", |world| {
        let task = world.task(id, 0);
        task.retry_at.is_some() && task.waiting_for == Some(WaitingFor::Contact)
    });
    world.run_for(10 * HOUR);
    do_it(&mut world, Command::PauseCampaign { id, halted: false });
    world.run_for(20 * HOUR);
    assert_eq!(world.task(id, 0).waiting_for, Some(WaitingFor::Paused));
    world.restart();
    do_it(&mut world, Command::ResumeCampaign(id));
    let resumed = world.now.utc;
    world.run_for(12 * HOUR);
    world.restart();
    let ended = given_up(&mut world, id, 0);
    about(ended.saturating_since(resumed), CONTACT);
}
