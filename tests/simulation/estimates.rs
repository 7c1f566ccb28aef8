//! The estimate of a campaign's end, against the end that came.

use std::collections::BTreeMap;
use std::time::Duration;

use narrowcast::campaign::{CellLoad, Eta, EtaInput, Timetable, estimate};
use narrowcast::model::{CampaignId, CoverageTier, RetryPolicy, TaskState};
use narrowcast::sim::DeviceConfig;
use narrowcast::store::LoadStore;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DEVICES: usize = 60;
const SEEDS: u64 = 10;

/// What the server would show now.
fn eta(world: &World, id: CampaignId) -> Eta {
    let report = world.server.engine.pace(Some(id));
    let mut cells = BTreeMap::new();
    for load in ready(world.server.store.loads_of_campaign(id)).unwrap() {
        let tier = load.tier.unwrap_or(CoverageTier::Unknown);
        let alike = (load.rollout_phase, load.cell, tier);
        let cell = cells.entry(alike).or_insert_with(|| CellLoad {
            cell: load.cell,
            tier,
            phase: load.rollout_phase,
            limits: report.limits,
            listening: 0,
            sleeping: 0,
            updating: 0,
        });
        match (load.has_slot, load.listens) {
            (true, _) => cell.updating += load.devices,
            (false, true) => cell.listening += load.devices,
            (false, false) => cell.sleeping += load.devices,
        }
    }
    let (campaign, _) = ready(narrowcast::store::Store::campaign(&world.server.store, id)).unwrap();
    let loads: Vec<_> = cells.into_values().collect();
    estimate(&EtaInput {
        now: world.now.utc,
        begun_at: campaign.activated_at,
        timetable: &Timetable::default(),
        size_bytes: world.image.len() as u64,
        retry: campaign.retry,
        loads: &loads,
        admission: campaign.admission.unwrap_or(report.admission),
        starts_per_minute_max: report.starts_per_minute_max,
        rollout: &campaign.policy.rollout,
        rollout_state: &campaign.rollout,
        awake: world.server.config.product.awake_time,
        lacks_consent: false,
        waiting_room: report.waiting_room,
        pace: &report.pace,
    })
    .unwrap()
}

/// Once a tenth is done: how far the middle estimate is from the end that came, and whether that came
/// within the late one.
fn run(seed: u64, devices: Vec<DeviceConfig>) -> (f64, bool) {
    let all_on = devices[0].start_spread + HOUR / 10;
    let mut world = World::new(seed, fleet::engine_config(), devices);
    // Each is registered.
    world.run_for(all_on);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("a tenth is done", |world| {
        world.count(id, TaskState::Succeeded) >= DEVICES / 10
    });
    let (asked_at, eta) = (world.now.instant, eta(&world, id));
    world.run_until("all are done", |world| {
        world.count(id, TaskState::Succeeded) == DEVICES
    });
    let real = world.now.instant.saturating_since(asked_at);
    println!("seed {seed}: {:?} to {:?}, was {real:?}", eta.p50, eta.p90);
    let off = eta.p50.as_secs_f64() / real.as_secs_f64() - 1.0;
    (off.abs(), real <= eta.p90)
}

fn check(devices: impl Fn(usize) -> DeviceConfig) {
    let runs: Vec<_> = (0..SEEDS)
        .map(|seed| run(seed, (0..DEVICES).map(&devices).collect()))
        .collect();
    for (seed, (off, _)) in runs.iter().enumerate() {
        assert!(*off <= 0.2, "seed {seed}: {off}");
    }
    let kept = runs.iter().filter(|(_, kept)| *kept).count();
    assert!(kept * 100 >= runs.len() * 85, "{kept} of {}", runs.len());
}

#[test]
fn where_slots_are_short_the_end_is_known_once_a_tenth_is_done() {
    check(|index| DeviceConfig {
        radio: fleet::radio(1, CoverageTier::Tier0),
        ..fleet::device(index)
    });
}

#[test]
fn where_devices_sleep_the_end_is_known_once_a_tenth_is_done() {
    check(|index| DeviceConfig {
        queue_mode: true,
        update_interval: 3 * HOUR,
        lifetime: 60 * HOUR,
        start_spread: 3 * HOUR,
        radio: fleet::radio(u32::try_from(index).unwrap() % 20, CoverageTier::Tier0),
        ..fleet::device(index)
    });
}
