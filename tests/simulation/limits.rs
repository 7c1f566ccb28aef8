//! Limits of cells that are set while a campaign runs.

use std::collections::BTreeMap;
use std::time::Duration;

use narrowcast::engine::Command;
use narrowcast::model::{TaskState, TierLimits, TimelineStep};

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
