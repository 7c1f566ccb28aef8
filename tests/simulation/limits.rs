//! Limits of cells that are set while a campaign runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use narrowcast::engine::{Command, EngineConfig};
use narrowcast::model::{
    CellId, CoverageTier, RetryPolicy, TaskState, TierBorders, TierLimits, TimelineStep,
};
use narrowcast::sim::DeviceConfig;

use crate::fleet;
use crate::lifecycle::retries;
use crate::server::Outcome;
use crate::world::World;

const DEVICES: usize = 40;
const ONE_EACH: TierLimits = TierLimits {
    tier0: 1,
    tier1: 1,
    tier2: 1,
    unknown: 1,
};

fn set(world: &mut World, limits: TierLimits) {
    let overrides = BTreeMap::new();
    let done = world.command(Command::SetCellLimits { limits, overrides });
    assert_eq!(done, Outcome::Done(Ok(())));
}

/// How many slots were granted so far, by the devices' histories.
fn granted(world: &World) -> u64 {
    let steps = (0..DEVICES).map(|device| world.steps(device, TimelineStep::SlotGranted).len());
    steps.sum::<usize>() as u64
}

#[test]
fn raised_limits_let_those_that_wait_begin_at_once() {
    // The world holds the engine against what it began with.
    let mut world = World::new(71, fleet::engine_config(), fleet::mixed(DEVICES));
    set(&mut world, ONE_EACH);
    let id = world.campaign_for_all(retries(2));
    world.run_for(Duration::from_secs(120));
    let (few, granted) = (world.server.slots_in_use(), granted(&world));
    set(&mut world, fleet::LIMITS);
    let many = world.server.slots_in_use();
    assert!(few > 0 && many > few, "{few}, then {many}");
    // They are told in the same turn.
    assert_eq!(self::granted(&world) - granted, many - few);
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

/// Ten decibels more reach as far in a cell that is built so: its devices are of another tier by the same
/// signal.
#[test]
fn a_cell_with_borders_of_its_own_puts_its_devices_into_tiers_by_these() {
    let borders = TierBorders {
        rsrp_dbm: [-115, -120, -130],
        sinr_db: [-10, -12, -15],
    };
    let config = EngineConfig {
        cell_borders: Arc::new(BTreeMap::from([(CellId(2), borders)])),
        ..fleet::engine_config()
    };
    let devices = (0..4).map(|index| DeviceConfig {
        radio: fleet::radio(1 + u32::from(index % 2 == 1), CoverageTier::Tier1),
        ..fleet::device(index)
    });
    let mut world = World::new(91, config, devices.collect());
    world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    for device in 0..4 {
        let granted = world.steps(device, TimelineStep::SlotGranted);
        let expected = match device % 2 {
            0 => "cell 1, tier 1",
            _ => "cell 2, tier 0",
        };
        assert_eq!(granted[0].detail, expected);
    }
}
