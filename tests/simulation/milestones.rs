//! What a rollout comes to is told as events, each once, in the commit of what it tells of.

use std::time::Duration;

use narrowcast::engine::Command;
use narrowcast::model::{
    CampaignId, ErrorThreshold, OnErrors, PhaseMembers, RetryPolicy, Rollout, RolloutPhase,
    RolloutStep,
};
use narrowcast::store::EventStore;

use crate::fleet;
use crate::rollout::{devices, phase, staged, state, world};
use crate::server::{Outcome, ready};
use crate::world::World;

/// The campaign's events without `campaign.`, with what they say.
fn told(world: &World, id: CampaignId) -> Vec<(String, String)> {
    let events = ready(world.server.store.events(0, u32::MAX)).unwrap();
    let of_campaign = events.into_iter().filter(|it| it.campaign == Some(id));
    let texts = of_campaign.filter_map(|event| {
        let kind = event.kind.strip_prefix("campaign.")?.to_owned();
        Some((kind, event.detail))
    });
    texts.filter(|(kind, _)| kind != "created").collect()
}

fn kinds(world: &World, id: CampaignId) -> Vec<String> {
    told(world, id).into_iter().map(|it| it.0).collect()
}

fn do_it(world: &mut World, command: Command) {
    assert_eq!(world.command(command), Outcome::Done(Ok(())));
}

const HOUR: Duration = Duration::from_secs(3600);

const STAGED: [&str; 9] = [
    "running",
    "trial_opened",
    "trial_passed",
    "phase_opened",
    "phase_passed",
    "phase_opened",
    "phase_passed",
    "phase_opened",
    "succeeded",
];

#[test]
fn each_phase_is_told_as_it_opens_and_passes() {
    let (mut world, id) = world(0, &[], staged());
    world.run_to_the_end();
    assert_eq!(kinds(&world, id), STAGED);
    let details: Vec<String> = told(&world, id).into_iter().map(|it| it.1).collect();
    assert_eq!(details[1..5], ["phase 0", "phase 0", "phase 1", "phase 1"]);
}

#[test]
fn each_is_told_once_whenever_the_server_dies() {
    for seed in 0..5 {
        let mut world = World::new(seed, fleet::engine_config(), devices(&[]));
        world.policy.rollout = staged();
        // A death may cost an attempt, and never more.
        let id = world.campaign_for_all(RetryPolicy {
            retries_max: 5,
            ..RetryPolicy::default()
        });
        world.crash_permille = 30;
        world.run_until("it has ended", |world| world.server.active_campaigns() == 0);
        assert!(world.server.rebuilds > 3);
        assert_eq!(kinds(&world, id), STAGED);
    }
}

#[test]
fn a_trial_that_fails_says_so_before_the_pause_that_it_leads_to() {
    let (mut world, id) = world(1, &[7], staged());
    world.run_for(6 * HOUR);
    let expected = ["running", "trial_opened", "trial_failed", "paused"];
    assert_eq!(kinds(&world, id), expected);
    let why = &told(&world, id)[2].1;
    assert_eq!(why, "1 of 1 tasks of phase 0 have failed");
    do_it(&mut world, Command::ResumeCampaign(id));
    let after = ["running", "resumed", "trial_failed", "paused"];
    assert_eq!(kinds(&world, id)[4..], after);
}

#[test]
fn soak_and_approval_are_told() {
    let first = RolloutPhase {
        soak_hours: 24,
        approval_required: true,
        ..phase(PhaseMembers::Count(4))
    };
    let rollout = Rollout {
        phases: vec![first],
        ..Rollout::default()
    };
    let (mut world, id) = world(4, &[], rollout);
    world.run_until("it waits for an approval", |world| {
        state(world, id).1.step == RolloutStep::AwaitingApproval
    });
    do_it(&mut world, Command::ApprovePhase(id));
    world.run_to_the_end();
    let expected = [
        "running",
        "phase_opened",
        "soak_begun",
        "soak_passed",
        "phase_passed",
        "approval_asked",
        "approval_given",
        "phase_opened",
        "succeeded",
    ];
    assert_eq!(kinds(&world, id), expected);
}

#[test]
fn a_threshold_that_is_reached_and_a_halt_are_told() {
    let mut world = World::new(3, fleet::engine_config(), devices(&[1, 3, 5, 7, 9, 11, 13]));
    world.policy.governors.error_threshold = Some(ErrorThreshold {
        failed_percent_max: 20,
        ended_min: 5,
        action: OnErrors::Pause,
    });
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(6 * HOUR);
    let expected = ["running", "error_threshold_reached", "paused"];
    assert_eq!(kinds(&world, id), expected);
    assert!(told(&world, id)[1].1.contains("ended tasks have failed"));
    do_it(&mut world, Command::HaltCampaigns);
    assert_eq!(kinds(&world, id)[3..], ["halted"]);
}
