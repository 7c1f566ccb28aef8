//! Loss, duplicates, disorder, power cuts, crashes and a store that fails: each task ends, and nothing
//! forbidden happens on any device.

use std::collections::BTreeMap;
use std::time::Duration;

use narrowcast::engine::EngineConfig;
use narrowcast::model::{CampaignId, FailureReason, RetryPolicy, SlotHeld, TaskState};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;
use narrowcast::store::Store;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fleet;
use crate::link::Link;
use crate::server::ready;
use crate::world::World;

const PERSISTENT: RetryPolicy = RetryPolicy {
    retries_max: RetryPolicy::RETRIES_MAX,
    delay: Duration::from_secs(120),
};

/// The seeds to run: `count` from `first` on, or the one that the environment names.
pub(crate) fn seeds(first: u64, count: u64) -> Vec<u64> {
    match std::env::var("NARROWCAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (first..first + count).collect(),
    }
}

fn bad_link(seed: u64) -> Link {
    Link::bad(&mut StdRng::seed_from_u64(seed))
}

/// What must hold at the end of any run.
fn judge(world: &World, id: CampaignId) {
    let verdict = world.verdict();
    assert!(verdict.holds(), "{verdict:#?}");
    let devices = world.devices.len();
    let succeeded = world.count(id, TaskState::Succeeded);
    assert_eq!(succeeded + world.count(id, TaskState::Failed), devices);
    let (campaign, counts) = ready(world.server.store.campaign(id)).unwrap();
    assert!(campaign.ended_at.is_some(), "{campaign:?}");
    assert_eq!(counts.succeeded + counts.failed, devices as u64);
    assert_eq!(counts.succeeded, succeeded as u64);
    for index in 0..devices {
        let task = world.task(id, index);
        let runs_target = world.devices[index].core.version() == fleet::TARGET_VERSION;
        if task.state == TaskState::Succeeded {
            assert!(runs_target, "device {index}: {task:?}");
        }
        assert!(world.executes(index).len() <= usize::from(task.attempt));
    }
}

/// What went wrong in many runs, so that a test can tell that anything did.
#[derive(Debug, Default)]
struct Harm {
    retransmissions: u64,
    power_cuts: usize,
    rebuilds: u32,
}

impl Harm {
    fn add(&mut self, world: &World) {
        self.retransmissions += world.server.engine.coap_counters().retransmissions;
        let cuts = world.log.iter();
        let cuts = cuts.filter(|line| line.event == DeviceEvent::PowerCut);
        self.power_cuts += cuts.count();
        self.rebuilds += world.server.rebuilds;
    }
}

/// Runs a campaign for each seed. Most devices must get there: what loss and power cuts break, the
/// retries mend.
fn many_runs(
    config: &EngineConfig,
    seeds: Vec<u64>,
    devices: impl Fn(u64) -> Vec<DeviceConfig>,
    spoil: impl Fn(&mut World, u64),
) -> Harm {
    let mut harm = Harm::default();
    let (mut succeeded, mut failed) = (0, BTreeMap::<FailureReason, usize>::new());
    for seed in seeds {
        let mut world = World::new(seed, config.clone(), devices(seed));
        spoil(&mut world, seed);
        let id = world.campaign_for_all(PERSISTENT);
        world.run_to_the_end();
        judge(&world, id);
        harm.add(&world);
        succeeded += world.count(id, TaskState::Succeeded);
        for task in world.server.tasks.values() {
            if let Some(failure) = &task.failure {
                *failed.entry(failure.reason).or_default() += 1;
            }
        }
    }
    let failures: usize = failed.values().sum();
    assert!(
        failures * 20 <= succeeded + 20,
        "{succeeded} succeeded, {failed:?}"
    );
    harm
}

#[test]
fn on_bad_links_each_task_ends_and_nothing_forbidden_happens() {
    let harm = many_runs(
        &fleet::engine_config(),
        seeds(1000, 40),
        |_| fleet::mixed(12),
        |world, seed| {
            world.link = bad_link(seed);
        },
    );
    assert!(harm.retransmissions > 0, "{harm:?}");
}

#[test]
fn devices_that_lose_power_at_any_step_are_neither_flashed_twice_nor_forgotten() {
    let harm = many_runs(
        &fleet::engine_config(),
        seeds(2000, 40),
        |_| fleet::mixed(12),
        |world, seed| {
            world.cut_percent = 20;
            if seed % 2 == 0 {
                world.link = bad_link(seed);
            }
        },
    );
    assert!(harm.power_cuts > 0, "{harm:?}");
}

#[test]
fn a_server_that_dies_at_any_input_goes_on_where_it_was() {
    let harm = many_runs(
        &fleet::engine_config(),
        seeds(3000, 40),
        |_| fleet::mixed(12),
        |world, seed| {
            world.crash_permille = 30;
            if seed % 2 == 0 {
                world.link = bad_link(seed);
            }
        },
    );
    assert!(harm.rebuilds > 0, "{harm:?}");
}

#[test]
fn devices_in_queue_mode_are_updated_in_their_awake_times() {
    let harm = many_runs(
        &fleet::engine_config(),
        seeds(4000, 40),
        |seed| queue_mode(fleet::mixed(10), seed),
        |world, seed| {
            if seed % 2 == 0 {
                world.link = bad_link(seed);
            }
        },
    );
    assert!(harm.retransmissions > 0, "{harm:?}");
}

#[test]
fn everything_at_once_breaks_nothing() {
    let harm = many_runs(
        &fleet::engine_config(),
        seeds(5000, 40),
        |seed| queue_mode(fleet::mixed(12), seed),
        |world, seed| {
            world.link = bad_link(seed);
            world.cut_percent = 10;
            world.crash_permille = 10;
        },
    );
    assert!(
        harm.retransmissions > 0 && harm.power_cuts > 0 && harm.rebuilds > 0,
        "{harm:?}"
    );
}

#[test]
fn where_slots_are_of_downloads_everything_at_once_breaks_nothing_either() {
    let mut config = fleet::engine_config();
    config.product.slot_held = SlotHeld::UntilDownloaded;
    let harm = many_runs(
        &config,
        seeds(6000, 60),
        |seed| match seed % 3 {
            0 => queue_mode(fleet::mixed(12), seed),
            _ => fleet::mixed(12),
        },
        |world, seed| {
            world.link = bad_link(seed);
            world.cut_percent = 10;
            world.crash_permille = 10;
        },
    );
    assert!(
        harm.retransmissions > 0 && harm.power_cuts > 0 && harm.rebuilds > 0,
        "{harm:?}"
    );
}

/// Some of the devices sleep, and speak every few minutes.
fn queue_mode(mut devices: Vec<DeviceConfig>, seed: u64) -> Vec<DeviceConfig> {
    let mut rng = StdRng::seed_from_u64(seed);
    for device in &mut devices {
        if rng.gen_range(0..3) > 0 {
            device.queue_mode = true;
            device.update_interval = Duration::from_secs(rng.gen_range(300..3_000));
        }
    }
    devices
}

/// Runs each seed or number, on two threads.
pub(crate) fn on_two_threads<T: Send>(numbers: Vec<u64>, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (odd, even) = numbers.into_iter().partition(|number| number % 2 == 1);
    let run = &run;
    let many = |numbers: Vec<u64>| move || numbers.into_iter().map(run).collect::<Vec<T>>();
    std::thread::scope(|scope| {
        let threads = [scope.spawn(many(odd)), scope.spawn(many(even))];
        let results = threads.map(|thread| match thread.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.into_iter().flatten().collect()
    })
}

#[test]
fn whichever_commit_of_twenty_devices_fails_the_campaign_ends_well() {
    let whole = run_with_failed_commit(0);
    assert!(whole > 250, "{whole} commits");
    println!("{whole} commits, of which each failed once");
    on_two_threads((1..=whole).collect(), run_with_failed_commit);
}

/// How many commits there were. Whatever is checked after each input is checked here too.
fn run_with_failed_commit(n: u64) -> u64 {
    let mut world = World::new(600, fleet::engine_config(), fleet::mixed(20));
    let before = world.server.commits;
    world.server.store.fail_after(n);
    let id = world.campaign_for_all(PERSISTENT);
    world.run_to_the_end();
    assert_eq!(world.server.rebuilds > 0, n > 0, "commit {n}");
    judge(&world, id);
    assert_eq!(world.count(id, TaskState::Succeeded), 20, "commit {n}");
    world.server.commits - before
}
