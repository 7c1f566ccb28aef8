//! Campaigns with policies of every kind in a world in which everything goes wrong, from a seed: operators
//! pause, halt, resume, approve and stop them, change their hours and have devices join, while the server
//! dies at any step and its clock is set. Whatever happens, nothing begins that may not, and all comes to
//! an end.

mod plan;

use std::collections::BTreeMap;

use narrowcast::model::{FirmwareVersion, TaskState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bugs::Bug;
use crate::chaos::plan::{self as chaos, DEVICES};
use crate::faults::{on_two_threads, seeds};
use crate::fleet;
use crate::link::percent;
use crate::world::{Breach, Check, Feature, World};

const FIRST_SEED: u64 = 40_000;
const SEEDS: u64 = 200;

/// Runs one seed to its end, or to the first check that fails.
fn run(seed: u64, bug: Option<Bug>) -> (World, Result<(), Breach>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let config = plan::config(&mut rng);
    let slot_held = config.product.slot_held;
    let image = fleet::sha256(&fleet::image(seed));
    let drawn = chaos::devices(&mut rng, image);
    let devices = plan::devices(&drawn, &mut rng);
    let mut world = World::new(seed, config, devices);
    world.lenient = true;
    world.server.bug = bug;
    world.source_versions = vec![FirmwareVersion::parse("1.0.0").unwrap()];
    if percent(&mut rng, 50) {
        world.admission = Some(plan::admission(&mut rng, slot_held));
    }
    world.policy = plan::policy(&world, &mut rng, seed);
    world.dynamic = percent(&mut rng, 20);
    let (asked, others) = match world.dynamic {
        true => (0..DEVICES).partition(|_| rng.gen_range(0..4) > 0),
        false => ((0..DEVICES).collect::<Vec<_>>(), Vec::new()),
    };
    let retry = chaos::retries(&mut rng);
    let first = world.draft(&asked, retry);
    world.activate(first).unwrap();
    chaos::plan(&mut world, &mut rng, &drawn, first);
    plan::deeds(&mut world, &mut rng, first, others);
    // Whatever comes later has all the time, and its own order.
    world.policy = plan::policy(&world, &mut rng, seed + 1);
    world.policy.schedule = Default::default();
    world.dynamic = false;
    let result = world.live().and_then(|()| world.check_end());
    (world, result)
}

/// What policies led to, over many runs.
#[derive(Debug, Default)]
struct Census {
    features: BTreeMap<Feature, u64>,
    ends: BTreeMap<TaskState, u64>,
    inputs: u64,
    restarts: u64,
}

impl Census {
    fn of(world: &World) -> Self {
        let mut ends = BTreeMap::new();
        for task in world.server.tasks.values() {
            *ends.entry(task.state).or_default() += 1;
        }
        Self {
            features: world.server.watch.features.clone(),
            ends,
            inputs: world.server.inputs,
            restarts: world.server.rebuilds.into(),
        }
    }

    fn join(&mut self, other: Self) {
        for (feature, count) in other.features {
            *self.features.entry(feature).or_default() += count;
        }
        for (state, count) in other.ends {
            *self.ends.entry(state).or_default() += count;
        }
        self.inputs += other.inputs;
        self.restarts += other.restarts;
    }

    fn print(&self) {
        println!(
            "{} inputs of the server, {} restarts",
            self.inputs, self.restarts
        );
        for (state, count) in &self.ends {
            println!("{:<28} {count:>7}", state.word());
        }
        for feature in Feature::ALL {
            let count = self.features.get(feature).copied().unwrap_or_default();
            println!("{:<28} {count:>7}", format!("{feature:?}"));
        }
    }
}

#[test]
fn under_every_fault_nothing_begins_that_a_policy_forbids_and_all_comes_to_an_end() {
    let count = std::env::var("NARROWCAST_SEEDS").map_or(SEEDS, |count| count.parse().unwrap());
    let all = seeds(FIRST_SEED, count);
    let one = all.len() == 1;
    let runs = on_two_threads(all, |seed| {
        let (world, result) = run(seed, None);
        if one && std::env::var("PRINT").is_ok() {
            world.print();
        }
        let breach = result.err().map(|breach| format!("seed {seed}: {breach}"));
        (Census::of(&world), breach)
    });
    let mut census = Census::default();
    let mut breaches = Vec::new();
    for (run, breach) in runs {
        census.join(run);
        breaches.extend(breach);
    }
    census.print();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    if one {
        return;
    }
    for feature in Feature::ALL {
        // A device would have to fall silent within its soak: `rollout` has that.
        if *feature == Feature::PausedBySoak {
            continue;
        }
        assert!(
            census.features.contains_key(feature),
            "{feature:?} never came"
        );
    }
}

/// The checks find a planted bug, and nothing without it.
fn finds(bug: Bug, expected: Check) {
    for seed in FIRST_SEED..FIRST_SEED + SEEDS {
        let (_, Err(breach)) = run(seed, Some(bug)) else {
            continue;
        };
        println!("seed {seed}: {breach}");
        assert_eq!(breach.check, expected, "seed {seed}: {breach}");
        let (_, without) = run(seed, None);
        without.unwrap();
        return;
    }
    panic!("{bug:?} is not found");
}

#[test]
fn a_phase_that_begins_too_early_is_found() {
    finds(Bug::PhaseTooEarly, Check::Phases);
}

#[test]
fn a_soak_that_is_skipped_is_found() {
    finds(Bug::SoakSkipped, Check::Phases);
}

#[test]
fn a_pause_that_lets_one_begin_is_found() {
    finds(Bug::PauseForgotten, Check::Gates);
}

#[test]
fn a_halt_that_lets_an_execute_through_is_found() {
    finds(Bug::HaltAsPause, Check::Halts);
}

#[test]
fn a_window_that_is_not_kept_is_found() {
    finds(Bug::WindowForgotten, Check::Gates);
}

#[test]
fn an_update_that_nobody_agreed_to_is_found() {
    finds(Bug::ConsentForgotten, Check::Gates);
}

#[test]
fn a_retry_without_its_delay_is_found() {
    finds(Bug::RetryWithoutDelay, Check::Delays);
}

#[test]
fn a_budget_of_airtime_that_is_passed_is_found() {
    finds(Bug::AirtimeForgotten, Check::Admission);
}

#[test]
fn a_place_in_the_waiting_room_that_leaks_is_found() {
    finds(Bug::LeakedPlace, Check::Rooms);
}
