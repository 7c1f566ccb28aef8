//! Whole campaigns where nothing goes wrong.

use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::engine::{Command, CommandError, EndedTasks, Engine, EngineConfig};
use narrowcast::model::{
    Campaign, CampaignId, CampaignState, CampaignTargets, CellId, CoverageTier, InstalledSequences,
    PackageId, RetryPolicy, SuccessNote, TaskState, TierLimits, TimelineStep,
};
use narrowcast::sim::AtRest;
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

#[test]
fn devices_of_every_habit_are_updated_and_the_limits_are_reached_and_kept() {
    let mut world = World::new(1, fleet::engine_config(), fleet::mixed(24));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 24);
    let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
    assert_eq!(campaign.state, CampaignState::Succeeded);
    let verdict = world.verdict_with(AtRest::Active);
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!(verdict.flashed, 24);
    let first_cell = verdict.peaks.iter().filter(|it| it.cell == CellId(1));
    for peak in first_cell {
        assert_eq!(peak.peak, peak.limit, "{peak:?}");
    }
    for index in 0..24 {
        assert_eq!(world.devices[index].core.version(), fleet::TARGET_VERSION);
        assert_eq!(world.executes(index).len(), 1, "device {index}");
        assert_eq!(world.task(id, index).attempt, 1, "device {index}");
        let ends = world.steps(index, TimelineStep::Succeeded);
        assert_eq!(ends.len(), 1, "{ends:?}");
    }
}

/// What a whole campaign was served is the sum over its tasks, whoever looks: a restart takes nothing of it
/// but what came since a task was last committed, and that until its next block.
#[test]
fn what_devices_were_served_is_summed_over_restarts() {
    let mut world = World::new(12, fleet::engine_config(), fleet::mixed(24));
    let id = world.campaign_for_all(RetryPolicy::default());
    let (mut before, mut grew) = (0, 0);
    for _ in 0..12 {
        world.run_for(Duration::from_secs(60));
        world.restart();
        let (_, counts) = ready(world.server.store.campaign(id)).unwrap();
        assert!(counts.bytes_served >= before, "{counts:?}");
        grew += u32::from(counts.bytes_served > before);
        before = counts.bytes_served;
    }
    assert!(grew > 1, "it was restarted amid the campaign");
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 24);
    let size_bytes = world.image.len() as u64;
    for index in 0..24 {
        assert_eq!(world.task(id, index).bytes_served, size_bytes, "{index}");
    }
    let (_, counts) = ready(world.server.store.campaign(id)).unwrap();
    assert_eq!(counts.bytes_served, 24 * size_bytes);
}

#[test]
fn one_run_is_like_the_other() {
    let run = || {
        let mut world = World::new(9, fleet::engine_config(), fleet::mixed(6));
        world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        (world.now, world.log.clone(), world.requests.clone())
    };
    assert_eq!(run(), run());
}

#[test]
fn the_judge_finds_a_scheduler_that_grants_more_than_the_limit() {
    let config = EngineConfig {
        tier_limits: TierLimits {
            tier0: fleet::LIMITS.tier0 + 1,
            ..fleet::LIMITS
        },
        ..fleet::engine_config()
    };
    let devices = (0..6).map(fleet::device).collect();
    let mut world = World::new(2, config, devices);
    world.lenient = true;
    world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    let verdict = world.verdict();
    assert!(!verdict.holds());
    let peak = verdict.peaks[0];
    assert_eq!(
        (peak.tier, peak.peak, peak.limit),
        (CoverageTier::Tier0, 4, 3)
    );
    assert!(!verdict.limits_passed.is_empty());
}

#[test]
fn a_device_that_runs_the_target_version_is_up_to_date_and_left_alone() {
    let mut devices = vec![fleet::device(0), fleet::device(1)];
    devices[1].version = fleet::TARGET_VERSION.to_owned();
    let mut world = World::new(3, fleet::engine_config(), devices);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    let task = world.task(id, 1);
    assert_eq!(task.state, TaskState::Succeeded);
    assert_eq!(task.note, Some(SuccessNote::UpToDate));
    assert_eq!(task.capability, None);
    assert_eq!(world.task(id, 0).note, None);
    let writes = world
        .requests
        .iter()
        .filter(|(_, to, request)| *to == 1 && (request.is_uri_write() || request.is_execute()));
    assert_eq!(writes.count(), 0);
}

/// A draft of an image, with a task left, so that it does not end at once.
fn draft(id: u64, image: &Bytes) -> Command {
    let utc = Utc::from_unix_ms(0);
    let mut ended = EndedTasks::default();
    ended.counts.add(0, TaskState::Pending);
    Command::RunCampaign {
        campaign: Campaign {
            id: CampaignId(id),
            name: String::new(),
            package: PackageId(id),
            targets: CampaignTargets::default(),
            retry: RetryPolicy::default(),
            downgrade: None,
            admission: None,
            policy: Default::default(),
            rollout: Default::default(),
            created_by: String::new(),
            state: CampaignState::Draft,
            created_at: utc,
            activated_at: None,
            ended_at: None,
            consented_at: None,
            archived_at: None,
        },
        package: fleet::package(image, utc),
        image: image.clone(),
        installed: InstalledSequences::default(),
        tasks: Vec::new(),
        ended,
    }
}

#[test]
fn an_image_is_counted_once_for_all_campaigns_that_run_it() {
    let config = EngineConfig {
        image_bytes_max: 10,
        download_base: Some("coap://127.0.0.1/fw/".to_owned()),
        ..EngineConfig::default()
    };
    let mut engine = Engine::new(config, [0; 32]);
    let now = Now {
        instant: Instant::ORIGIN,
        utc: Utc::from_unix_ms(0),
    };
    let [eight, two, three] = [8, 2, 3].map(|size| Bytes::from(vec![1; size]));
    let full = Err(CommandError::ImagesFull { limit_bytes: 10 });
    for (id, image, expected) in [
        (1, &eight, Ok(())),
        (2, &eight, Ok(())),
        (3, &three, full.clone()),
        (4, &two, Ok(())),
        (5, &three, full),
        (6, &two, Ok(())),
    ] {
        assert_eq!(
            engine.handle_command(now, draft(id, image)),
            expected,
            "{id}"
        );
    }
    assert_eq!(engine.campaigns(), 4);
}
