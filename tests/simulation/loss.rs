//! How many updates succeed where so much of what is sent is lost, by the devices' own logs: whole
//! campaigns of 64 KiB, with every block size, over a link that also doubles and overtakes.
//!
//! `NARROWCAST_LOSS_TASKS=1000 cargo nextest run --test simulation -E 'test(loss::)'` runs that many
//! tasks of each share of loss.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    CoverageTier, FailureReason, ProductSettings, RetryPolicy, TaskState, TransmissionPreset,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{DeviceConfig, Quirks};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::faults::on_two_threads;
use crate::fleet;
use crate::link::Link;
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

const IMAGE_BYTES: usize = 64 * 1024;

const FIRST_SEED: u64 = 11_000;

const DEVICES: usize = 6;

const SZX_MAX: u8 = 6;

/// How long one campaign may take: blocks of 16 bytes are slow where every second datagram is lost.
const LONGEST: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// A share of loss, and how many tasks of a thousand must succeed under it.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// Each way, in percent.
    loss: u32,
    succeed_permille: u64,
    /// So much of the image the server may send for each task, in percent: the copies of requests that
    /// arrive cost their block again, what a device has does not.
    served_percent_max: u64,
}

const LEVELS: [Level; 3] = [
    Level {
        loss: 10,
        succeed_permille: 999,
        served_percent_max: 150,
    },
    Level {
        loss: 30,
        succeed_permille: 995,
        served_percent_max: 165,
    },
    Level {
        loss: 50,
        succeed_permille: 950,
        served_percent_max: 210,
    },
];

/// One campaign.
#[derive(Clone, Copy, Debug)]
struct Run {
    level: Level,
    szx: u8,
    seed: u64,
}

fn link(loss: u32) -> Link {
    Link {
        loss,
        duplication: 20,
        overtaken: 20,
        ..Link::clean()
    }
}

/// What an operator sets for cells that lose much: a device that left a question unanswered is asked
/// again when it is heard, and it speaks once an hour.
fn engine_config() -> EngineConfig {
    EngineConfig {
        product: ProductSettings {
            read_timeout: 90 * MINUTE,
            result_timeout: 90 * MINUTE,
            ..ProductSettings::default()
        },
        ..fleet::engine_config()
    }
}

const RETRY: RetryPolicy = RetryPolicy {
    retries_max: RetryPolicy::RETRIES_MAX,
    delay: Duration::from_secs(120),
};

/// Devices of every habit that keep the blocks that they have, and ask for one again before they give
/// up: a single lost exchange ends no download of thousands. Each class has two, its slots fewer.
fn devices(run: Run) -> Vec<DeviceConfig> {
    let turn = usize::try_from(run.seed).unwrap();
    let tiers = [
        CoverageTier::Tier2,
        CoverageTier::Tier1,
        CoverageTier::Unknown,
    ];
    let device = |index: usize| DeviceConfig {
        radio: fleet::radio(1, tiers[index % tiers.len()]),
        quirks: Quirks {
            resumes: true,
            ..fleet::quirks(index + turn)
        },
        szx: run.szx,
        transmission: TransmissionPreset::Rfc7252,
        block_retries: 5,
        ..fleet::device(index)
    };
    (0..DEVICES).map(device).collect()
}

/// What came of campaigns of one kind.
#[derive(Debug, Default)]
struct Tally {
    tasks: u64,
    succeeded: u64,
    attempts: u64,
    /// Downloads that went on where they had stopped, and the bytes that were kept for it.
    resumed: u64,
    kept_bytes: u64,
    served_bytes: u64,
    served_blocks: u64,
    /// Of the longest campaign.
    longest: Duration,
    /// Power cuts in the middle of a download.
    cuts: u64,
    /// How often a class would have been over its limit if every radio value had arrived.
    unheard: u64,
    failures: BTreeMap<FailureReason, u64>,
}

impl Tally {
    fn join(&mut self, other: &Self) {
        self.tasks += other.tasks;
        self.succeeded += other.succeeded;
        self.attempts += other.attempts;
        self.resumed += other.resumed;
        self.kept_bytes += other.kept_bytes;
        self.served_bytes += other.served_bytes;
        self.served_blocks += other.served_blocks;
        self.cuts += other.cuts;
        self.unheard += other.unheard;
        self.longest = self.longest.max(other.longest);
        for (reason, count) in &other.failures {
            *self.failures.entry(*reason).or_default() += count;
        }
    }

    /// What the server sent of the image, in hundredths of it.
    fn served_percent(&self) -> u64 {
        self.served_bytes * 100 / (self.tasks * IMAGE_BYTES as u64)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.served_percent();
        write!(
            f,
            "{:>5} {:>9} {:>8} {:>4} {:>7} {:>8} {:>8} {:>3}.{:02} {:>9.1} {:>7} ",
            self.tasks,
            self.succeeded,
            self.attempts,
            self.cuts,
            self.resumed,
            self.kept_bytes / 1024,
            self.served_blocks,
            percent / 100,
            percent % 100,
            self.longest.as_secs_f64() / 3600.0,
            self.unheard,
        )?;
        for (reason, count) in &self.failures {
            write!(f, " {reason} {count}")?;
        }
        Ok(())
    }
}

/// A campaign to its end. Every third device loses its power once in the middle of its download.
fn campaign(run: Run) -> Tally {
    let image = fleet::image_of(IMAGE_BYTES, run.seed);
    let mut world = World::with_image(run.seed, engine_config(), devices(run), image);
    world.link = link(run.level.loss);
    let mut rng = StdRng::seed_from_u64(run.seed);
    let mut cuts: Vec<(usize, usize)> = (0..DEVICES)
        .step_by(3)
        .map(|device| (device, rng.gen_range(1..IMAGE_BYTES)))
        .collect();
    let mut cut = 0;
    let id = world.campaign_for_all(RETRY);
    while !world.is_over() {
        world.step();
        let fetched = |world: &World, device: usize| world.devices[device].core.fetched_bytes();
        if let Some(at) = cuts.iter().position(|(it, at)| fetched(&world, *it) >= *at) {
            let (device, _) = cuts.swap_remove(at);
            world.device(device, |core, now| core.cut_power(now, MINUTE));
            cut += 1;
        }
        let took = world.now.instant.since_origin();
        assert!(took < LONGEST, "{run:?} takes {took:?}");
    }
    let verdict = world.verdict_as_admitted();
    assert!(verdict.holds(), "{run:?}: {verdict:?}");
    let succeeded = world.count(id, TaskState::Succeeded) as u64;
    assert!(verdict.flashed >= succeeded, "{run:?}: {verdict:?}");
    tally(&world, succeeded, cut)
}

fn tally(world: &World, succeeded: u64, cuts: u64) -> Tally {
    let resumed = world.log.iter().filter_map(|line| {
        if let DeviceEvent::DownloadResumed { kept_bytes } = line.event {
            Some(kept_bytes as u64)
        } else {
            None
        }
    });
    let counters = world.server.engine.counters();
    Tally {
        tasks: world.server.tasks.len() as u64,
        succeeded,
        cuts,
        attempts: world
            .server
            .tasks
            .values()
            .map(|it| u64::from(it.attempt))
            .sum(),
        resumed: resumed.clone().count() as u64,
        kept_bytes: resumed.sum(),
        served_bytes: counters.block_bytes,
        served_blocks: counters.blocks,
        longest: world.now.instant.since_origin(),
        unheard: world.verdict().limits_passed.len() as u64,
        failures: world.server.failures.clone(),
    }
}

#[test]
fn so_many_updates_succeed_where_so_much_is_lost() {
    let tasks: u64 =
        std::env::var("NARROWCAST_LOSS_TASKS").map_or(1, |tasks| tasks.parse().unwrap());
    let per_round = DEVICES as u64 * (u64::from(SZX_MAX) + 1);
    let mut runs = Vec::new();
    for _ in 0..tasks.div_ceil(per_round) {
        for level in LEVELS {
            for szx in 0..=SZX_MAX {
                let seed = FIRST_SEED + runs.len() as u64;
                runs.push(Run { level, szx, seed });
            }
        }
    }
    let numbers = (0..runs.len() as u64).collect();
    let tallies = on_two_threads(numbers, |number| {
        let run = runs[usize::try_from(number).unwrap()];
        (run, campaign(run))
    });
    println!(
        "loss block tasks succeeded attempts cuts resumed kept_KiB   blocks served longest_h unheard \
         failures"
    );
    let mut missed = Vec::new();
    for level in LEVELS {
        let mut all = Tally::default();
        for szx in 0..=SZX_MAX {
            let mut of_size = Tally::default();
            for (run, tally) in &tallies {
                if run.level.loss == level.loss && run.szx == szx {
                    of_size.join(tally);
                }
            }
            println!("{:>3}% {:>5} {of_size}", level.loss, 16 << szx);
            all.join(&of_size);
        }
        println!("{:>3}%   all {all}", level.loss);
        let reached = all.succeeded * 1000 >= all.tasks * level.succeed_permille
            && all.served_percent() <= level.served_percent_max
            && all.resumed >= all.cuts;
        if !reached {
            missed.push(level);
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
