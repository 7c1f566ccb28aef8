//! Settings as an operator writes them, and what each does to a device.

use std::time::Duration;

use narrowcast::config::Config;
use narrowcast::engine::EngineConfig;
use narrowcast::lwm2m::path;
use narrowcast::model::{CoverageTier, FailureReason, RetryPolicy, TaskState, TimelineStep};
use narrowcast::sim::{DeviceConfig, Radio};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::slots::{installing_at_once, slow_installers};
use crate::world::World;

/// What the server makes of a file with this section.
fn engine(section: &str) -> EngineConfig {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), section).unwrap();
    EngineConfig {
        tier_limits: fleet::LIMITS,
        download_base: fleet::engine_config().download_base,
        ..Config::load(Some(file.path())).unwrap().engine()
    }
}

/// A campaign under this line of `[update]`, run to its end.
fn run(line: &str, devices: Vec<DeviceConfig>) -> World {
    run_with(&format!("[update]\n{line}\n"), devices)
}

fn run_with(section: &str, devices: Vec<DeviceConfig>) -> World {
    let mut world = World::new(70, engine(section), devices);
    world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    world
}

/// How the only task ended.
fn outcome(world: &World) -> (TaskState, Option<FailureReason>) {
    let task = world.server.tasks.values().next().unwrap();
    let reason = task.failure.as_ref().map(|failure| failure.reason);
    (task.state, reason)
}

/// In which tier the only device was found.
fn reported_tier(world: &World) -> Option<CoverageTier> {
    let task = world.server.tasks.values().next().unwrap();
    let report = ready(world.server.store.report(&task.endpoint)).unwrap();
    report.tier
}

#[test]
fn observation_cancel_says_whether_it_is_before_or_behind_execute() {
    for (word, expected) in [
        ("after_result", ["execute", "cancel"]),
        ("after_download", ["cancel", "execute"]),
    ] {
        let update = format!("observation_cancel = \"{word}\"");
        let world = run(&update, vec![fleet::device(0)]);
        assert_eq!(outcome(&world), (TaskState::Succeeded, None));
        let sent = world.requests.iter().filter_map(|(_, _, request)| {
            if request.is_execute() {
                Some("execute")
            } else {
                let cancels = request.is_cancellation_of(path::FIRMWARE_STATE);
                cancels.then_some("cancel")
            }
        });
        assert_eq!(sent.collect::<Vec<_>>(), expected, "{word}");
    }
}

#[test]
fn observe_result_says_whether_a_bad_uri_is_known_at_once_or_by_silence() {
    for (observed, soonest, latest) in [("true", 0, 20), ("false", 60, 80)] {
        let mut device = fleet::device(0);
        device.quirks.finds_uris_bad = true;
        let world = run(&format!("observe_result = {observed}"), vec![device]);
        let ended = (TaskState::Failed, Some(FailureReason::InvalidUri));
        assert_eq!(outcome(&world), ended);
        let mut sent = world.requests.iter();
        let observes = sent.any(|(_, _, it)| it.is_observe_of(path::FIRMWARE_UPDATE_RESULT));
        assert_eq!(observes.to_string(), observed);
        let [written, failed] =
            [TimelineStep::UriWritten, TimelineStep::Failed].map(|step| world.steps(0, step)[0].at);
        let took = failed.saturating_since(written);
        let expected = Duration::from_secs(soonest)..Duration::from_secs(latest);
        assert!(expected.contains(&took), "{observed}: {took:?}");
    }
}

#[test]
fn radio_unit_says_what_a_modules_number_means() {
    // CSQ 3 is -107 dBm, index 21 is -119 dBm; as dBm both are out of all ranges.
    for (unit, rsrp, tier) in [
        ("\"auto\"", 3, CoverageTier::Unknown),
        ("\"csq\"", 3, CoverageTier::Tier1),
        ("36133", 21, CoverageTier::Tier2),
    ] {
        let device = DeviceConfig {
            radio: Radio {
                cell_id: Some(1),
                rsrp: Some(rsrp),
                sinr: Some(12),
            },
            ..fleet::device(0)
        };
        let world = run(&format!("radio_unit = {unit}"), vec![device]);
        assert_eq!(outcome(&world), (TaskState::Succeeded, None));
        assert_eq!(reported_tier(&world), Some(tier), "{unit}");
    }
}

#[test]
fn the_borders_of_the_tiers_are_the_operators() {
    let devices = vec![fleet::device(0)];
    let world = run_with("", devices.clone());
    assert_eq!(reported_tier(&world), Some(CoverageTier::Tier0));
    let borders = "[cells]\nrsrp_borders_dbm = [-80, -89, -100]\nsinr_borders_db = [15, 10, 5]\n";
    let world = run_with(borders, devices.clone());
    assert_eq!(reported_tier(&world), Some(CoverageTier::Tier2));
    let world = run_with("[cells]\nsinr_borders_db = [16, 15, 5]\n", devices);
    assert_eq!(reported_tier(&world), Some(CoverageTier::Tier1));
}

#[test]
fn trust_result_only_says_whether_a_version_that_never_changes_is_a_mismatch() {
    let mismatch = (TaskState::Failed, Some(FailureReason::VersionMismatch));
    for (trusted, ended) in [("true", (TaskState::Succeeded, None)), ("false", mismatch)] {
        let mut device = fleet::device(0);
        device.quirks.constant_version = true;
        let world = run(&format!("trust_result_only = {trusted}"), vec![device]);
        assert_eq!(outcome(&world), ended, "{trusted}");
        assert_eq!(world.devices[0].core.version(), fleet::TARGET_VERSION);
    }
}

#[test]
fn a_campaign_without_a_place_to_fetch_from_is_held_until_there_is_one() {
    let sleeper = DeviceConfig {
        queue_mode: true,
        ..fleet::device(1)
    };
    let mut world = World::new(71, engine(""), vec![fleet::device(0), sleeper]);
    let id = world.campaign_for_all(RetryPolicy::default());
    let base = world.server.config.download_base.take();
    world.restart();
    assert_eq!(world.server.engine.campaigns_without_base(), [id]);
    // Longer than devices have to be heard.
    world.run_for(Duration::from_secs(30 * 3600));
    let tasks = world.server.tasks.values();
    let states: Vec<_> = tasks.map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Pending; 2]);
    assert!(!world.requests.iter().any(|(_, _, it)| it.is_uri_write()));
    world.server.config.download_base = base;
    world.restart();
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 2);
}

#[test]
fn slot_held_says_whether_the_limit_is_of_installs_too() {
    let limit = fleet::LIMITS.tier0 as usize;
    for (word, installing) in [("until_result", limit), ("until_downloaded", 3 * limit)] {
        let update = format!("slot_held = \"{word}\"");
        let world = run(&update, slow_installers(3 * limit));
        assert_eq!(installing_at_once(&world), installing, "{word}");
        assert!(world.verdict().holds(), "{word}: {:?}", world.verdict());
    }
}
