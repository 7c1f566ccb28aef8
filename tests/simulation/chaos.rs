//! Everything goes wrong at once, from a seed: the link, the devices, the server, its store and its
//! clock. Whatever happens, the checks hold after every input, and all comes to an end.

pub(crate) mod plan;

use std::collections::BTreeMap;

use narrowcast::model::{Consent, FailureReason, FirmwareVersion, Schedule, TimelineStep};
use narrowcast::sim::SimDevice;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::bugs::Bug;
use crate::faults::{on_two_threads, seeds};
use crate::fleet;
use crate::link::percent;
use crate::world::{Breach, Check, Errand, Fault, World};

use plan::Drawn;

const FIRST_SEED: u64 = 9000;
const SEEDS: u64 = 200;

/// Runs one seed to its end, or to the first check that fails.
fn run(seed: u64, bug: Option<Bug>) -> (World, Vec<Drawn>, Result<(), Breach>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let config = plan::config(&mut rng);
    let image = fleet::sha256(&fleet::image(seed));
    let drawn = plan::devices(&mut rng, image);
    let devices = drawn.iter().map(|drawn| drawn.device.clone()).collect();
    let mut world = World::new(seed, config, devices);
    world.lenient = true;
    world.server.bug = bug;
    // One that flashed another version is not given the package again.
    world.source_versions = vec![FirmwareVersion::parse("1.0.0").unwrap()];
    world.policy.waiting_room = plan::waiting_room(seed);
    let policy = plan::retries(&mut rng);
    world.policy.conditions = plan::conditions(&mut rng);
    world.policy.schedule = plan::schedule(&world, &mut rng);
    let first = world.campaign_for_all(policy);
    // Later ones have all the time.
    world.policy.schedule = Schedule::default();
    plan::plan(&mut world, &mut rng, &drawn, first);
    let mut result = world.live();
    if result.is_ok() && percent(&mut rng, 25) {
        // Nobody agrees to it, where somebody should; and who was given too many packages is barred by now.
        if percent(&mut rng, 50) {
            world.policy.conditions.consent = Consent::Confirmed;
        }
        world.campaign_for_all(policy);
        result = world.live();
    }
    let result = result.and_then(|()| world.check_end());
    (world, drawn, result)
}

/// What happened over many runs.
#[derive(Debug, Default)]
struct Census {
    faults: BTreeMap<Fault, u64>,
    failures: BTreeMap<FailureReason, u64>,
    errands: BTreeMap<Errand, u64>,
    inputs: u64,
    held: usize,
    sound: usize,
    sound_updated: usize,
}

impl Census {
    fn of(world: &World, drawn: &[Drawn]) -> Self {
        let devices = world.devices.iter().zip(drawn);
        let sound: Vec<_> = devices.filter(|(_, drawn)| drawn.is_sound()).collect();
        let is_updated = |core: &SimDevice| core.version() == fleet::TARGET_VERSION;
        let updated = sound.iter().filter(|(device, _)| is_updated(&device.core));
        Self {
            faults: world.chaos.counts().clone(),
            failures: world.server.failures.clone(),
            errands: world.errands(),
            inputs: world.server.inputs,
            held: (0..drawn.len())
                .map(|device| world.steps(device, TimelineStep::Held).len())
                .sum(),
            sound_updated: updated.count(),
            sound: sound.len(),
        }
    }

    fn join(&mut self, other: Self) {
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        for (reason, count) in other.failures {
            *self.failures.entry(reason).or_default() += count;
        }
        for (errand, count) in other.errands {
            *self.errands.entry(errand).or_default() += count;
        }
        self.inputs += other.inputs;
        self.held += other.held;
        self.sound += other.sound;
        self.sound_updated += other.sound_updated;
    }

    fn print(&self) {
        println!("{} inputs of the server", self.inputs);
        println!("{} times a device was kept awake", self.held);
        for fault in Fault::ALL {
            let count = self.faults.get(&fault).copied().unwrap_or_default();
            println!("{:<24} {count:>9}", format!("{fault:?}"));
        }
        for errand in Errand::ALL {
            let count = self.errands.get(&errand).copied().unwrap_or_default();
            println!("{:<24} {count:>9}", format!("{errand:?}"));
        }
        for reason in FailureReason::ALL {
            let count = self.failures.get(reason).copied().unwrap_or_default();
            println!("{:<24} {count:>9}", reason.word());
        }
        println!(
            "{} of {} sound devices were updated",
            self.sound_updated, self.sound
        );
    }
}

#[test]
fn under_every_fault_the_checks_hold_and_all_comes_to_an_end() {
    let count = std::env::var("NARROWCAST_SEEDS").map_or(SEEDS, |count| count.parse().unwrap());
    let all = seeds(FIRST_SEED, count);
    let one = all.len() == 1;
    let runs = on_two_threads(all, |seed| {
        let (world, drawn, result) = run(seed, None);
        if let Err(breach) = result {
            panic!("{breach}");
        }
        if one {
            world.print();
        }
        Census::of(&world, &drawn)
    });
    let mut census = Census::default();
    runs.into_iter().for_each(|run| census.join(run));
    census.print();
    if one {
        return;
    }
    for fault in Fault::ALL {
        assert!(census.faults.contains_key(&fault), "{fault:?} never came");
    }
    for errand in Errand::ALL {
        assert!(
            census.errands.contains_key(&errand),
            "{errand:?} never came"
        );
    }
    assert!(census.held > 0, "nobody was kept awake");
    // No two devices have one name here.
    let reasons = FailureReason::ALL.iter();
    for reason in reasons.filter(|reason| **reason != FailureReason::Flapping) {
        assert!(census.failures.contains_key(reason), "{reason} never came");
    }
    // What is sound gets there, unless its campaign was stopped or is over for it before the calm.
    assert!(census.sound_updated * 10 >= census.sound * 8);
}

/// The checks find a planted bug, and nothing without it.
fn finds(bug: Bug, expected: &[Check]) {
    for seed in FIRST_SEED..FIRST_SEED + SEEDS {
        let (_, _, Err(breach)) = run(seed, Some(bug)) else {
            continue;
        };
        println!("seed {seed}: {breach}");
        assert!(expected.contains(&breach.check), "seed {seed}: {breach}");
        let (_, _, without) = run(seed, None);
        without.unwrap();
        return;
    }
    panic!("{bug:?} is not found");
}

#[test]
fn a_leaked_slot_is_found() {
    finds(Bug::LeakedSlot, &[Check::Slots]);
}

#[test]
fn a_second_execute_is_found() {
    finds(Bug::SecondExecute, &[Check::Executes]);
}

#[test]
fn counters_rebuilt_as_zero_are_found() {
    // By the slots that the engine holds, or by devices that are at work without one.
    finds(Bug::SlotsForgotten, &[Check::Slots, Check::Limits]);
}

#[test]
fn a_lost_retry_is_found() {
    finds(Bug::LostRetry, &[Check::Tasks]);
}

#[test]
fn an_answer_before_its_commit_is_found() {
    finds(Bug::AnswerBeforeCommit, &[Check::Committed]);
}

#[test]
fn a_write_that_a_restart_repeats_is_found() {
    finds(Bug::WriteAgain, &[Check::Requests]);
}

#[test]
fn a_stale_observation_that_is_believed_is_found() {
    finds(Bug::StaleState, &[Check::Believed]);
}
