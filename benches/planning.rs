//! Large campaigns: who is in, the engine's tasks, slots for all, and their end. No one command may keep the
//! engine from its devices for long.
//!
//! It exits 1 where all steps together grow by more than n log n from the first size to the last, or where
//! fewer than 100,000 tasks are admitted a second.
//!
//! Times are of the processor (Linux: `/proc/thread-self/schedstat`), so that what else runs on the machine
//! counts for little.

#[path = "world/mod.rs"]
#[expect(dead_code, reason = "other benchmarks need more of it")]
mod world;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use narrowcast::campaign::{DeviceFacts, Filter, Progress, TargetSet, eligibility};
use narrowcast::clock::Utc;
use narrowcast::engine::{Command, EndedTasks};
use narrowcast::model::{
    AdmissionPolicy, CampaignId, CellId, CoverageTier, Device, DeviceModel, DeviceReport,
    DeviceType, EndpointName, Manufacturer, SlotClaim, StopMode, TaskId, UpdateTask,
};
use narrowcast::scheduler::{CellScheduler, SchedulerConfig};

use world::{World, endpoint};

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const TASKS_PER_COMMAND: usize = 500;
const CELLS: u64 = 400;
const ADMISSIONS_PER_SECOND_MIN: f64 = 100_000.0;
/// What the machine's own noise may add to n log n.
const NOISE: f64 = 1.1;

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() -> ExitCode {
    let mut totals = Vec::new();
    let mut slowest = f64::INFINITY;
    println!(
        "{:>9} {:>9} {:>9} {:>12} {:>11} {:>9} {:>12} {:>9} {:>14}",
        "devices",
        "chosen",
        "activated",
        "longest step",
        "bytes/task",
        "ended",
        "longest turn",
        "admitted",
        "admissions/s"
    );
    for devices in SIZES {
        let chosen = choose(devices);
        let Campaign {
            activated,
            longest,
            bytes,
            ended,
            longest_turn,
        } = activate(devices);
        let admitted = admit(u64::from(devices));
        println!(
            "{devices:>9} {:>8.3}s {:>8.3}s {:>10.2}ms {:>11} {:>8.3}s {:>10.2}ms {:>8.3}s {:>14.0}",
            chosen.as_secs_f64(),
            activated.as_secs_f64(),
            longest.as_secs_f64() * 1000.0,
            bytes / u64::from(devices),
            ended.as_secs_f64(),
            longest_turn.as_secs_f64() * 1000.0,
            admitted.as_secs_f64(),
            f64::from(devices) / admitted.as_secs_f64(),
        );
        slowest = slowest.min(f64::from(devices) / admitted.as_secs_f64());
        let total = chosen + activated + ended + admitted;
        totals.push((f64::from(devices), total.as_secs_f64()));
    }
    let (Some(first), Some(last)) = (totals.first(), totals.last()) else {
        return ExitCode::FAILURE;
    };
    let grown = last.1 / first.1;
    let n_log_n = last.0 * last.0.ln() / (first.0 * first.0.ln());
    println!(
        "all steps: {grown:.0} times from the first size to the last, n log n is {n_log_n:.0}"
    );
    let holds = grown <= n_log_n * NOISE && slowest >= ADMISSIONS_PER_SECOND_MIN;
    ExitCode::from(u8::from(!holds))
}

/// How long this thread has run.
fn ran() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = stat.split_whitespace().next().expect("a number");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}

fn device(number: u32) -> Device {
    Device {
        endpoint: endpoint(number),
        manufacturer: Some(Manufacturer::parse("Acme").expect("a name")),
        model: Some(DeviceModel::parse("NB-1").expect("a name")),
        device_type: Some(DeviceType::parse("WaterMeter").expect("a name")),
        tags: vec![
            if number.is_multiple_of(100) {
                "lab"
            } else {
                "field"
            }
            .to_owned(),
        ],
        created_at: Utc::default(),
    }
}

/// Devices as they come from the store, a filter, the package's product, and each once.
fn choose(devices: u32) -> Duration {
    let filter = Filter::parse("manufacturer==Acme;model=in=(NB-1,NB-2);tags!=lab").expect("one");
    let package = world::package(&Bytes::from_static(b"x"), Utc::default());
    let report = DeviceReport::default();
    let all: Vec<Device> = (0..devices).map(device).collect();
    let begun = ran();
    let mut chosen = TargetSet::new(usize::MAX);
    for device in &all {
        let facts = DeviceFacts {
            device,
            report: &report,
            registered: false,
        };
        if filter.matches(&facts) && eligibility(device, &package).is_ok() {
            let added = chosen.extend([device.endpoint.clone()]);
            added.expect("room");
        }
    }
    black_box(chosen.into_endpoints());
    ran() - begun
}

/// What a campaign of so many devices costs the engine.
struct Campaign {
    activated: Duration,
    /// The longest command of the activation.
    longest: Duration,
    /// What the engine holds for its tasks, in bytes.
    bytes: u64,
    ended: Duration,
    /// The longest turn of its end.
    longest_turn: Duration,
}

/// It is given its tasks, and is stopped.
fn activate(devices: u32) -> Campaign {
    let mut world = World::new(devices);
    let (mut activated, mut longest) = (Duration::ZERO, Duration::ZERO);
    let held = allocation_counter::measure(|| {
        let mut given = 0_u32;
        while given < devices {
            let left = devices - given;
            let some = left.min(u32::try_from(TASKS_PER_COMMAND).unwrap_or(left));
            let tasks = (given..given + some).map(|number| task(&world, number));
            let tasks: Vec<UpdateTask> = tasks.collect();
            let mut ended = EndedTasks::default();
            let to_come = Progress {
                pending: u64::from(left - some),
                ..Progress::default()
            };
            ended.counts.join(0, to_come);
            let begun = ran();
            if given == 0 {
                world.run_some(tasks, Bytes::from_static(b"x"), ended);
            } else {
                let campaign = CampaignId(1);
                world.command(Command::AddTasks { campaign, tasks });
            }
            let took = ran() - begun;
            activated += took;
            longest = longest.max(took);
            given += some;
        }
    });
    assert_eq!(
        world.engine.held().tasks,
        usize::try_from(devices).unwrap_or(0)
    );
    let (mut ended, mut longest_turn) = (Duration::ZERO, Duration::ZERO);
    let mut begun = ran();
    let (id, mode) = (CampaignId(1), StopMode::Soft);
    world.command(Command::StopCampaign { id, mode });
    while world.engine.held().sweeps > 0 {
        let took = ran() - begun;
        ended += took;
        longest_turn = longest_turn.max(took);
        begun = ran();
        world.pass(Duration::from_millis(50));
    }
    assert_eq!(world.engine.held().tasks, 0);
    Campaign {
        activated,
        longest,
        bytes: u64::try_from(held.bytes_current).unwrap_or(0),
        ended,
        longest_turn,
    }
}

fn task(world: &World, number: u32) -> UpdateTask {
    let (id, endpoint): (TaskId, EndpointName) = (TaskId(u64::from(number) + 1), endpoint(number));
    UpdateTask::new(id, CampaignId(1), endpoint, world.now().utc)
}

/// What [`admit_once`] takes, of as many times that the clock's tick of some milliseconds is little.
fn admit(tasks: u64) -> Duration {
    let times = u32::try_from((1_000_000 / tasks).max(1)).unwrap_or(1);
    let took: Duration = (0..times).map(|_| admit_once(tasks)).sum();
    took / times
}

/// All tasks ask for a slot; who has one gives it back, until all have had theirs.
fn admit_once(tasks: u64) -> Duration {
    let mut scheduler = CellScheduler::new(SchedulerConfig {
        queue_max: 2_000_000,
        ..SchedulerConfig::default()
    });
    let begun = ran();
    for task in 0..tasks {
        scheduler.request(TaskId(task), claim(task), AdmissionPolicy::default(), None);
    }
    // The first of each class have their slots: whoever is released lets another in.
    let mut holders: Vec<TaskId> = (0..tasks)
        .map(TaskId)
        .filter(|it| scheduler.slot(*it).is_some())
        .collect();
    let mut admitted = 0;
    while let Some(holder) = holders.pop() {
        admitted += 1;
        holders.extend(scheduler.release(holder));
    }
    assert_eq!(admitted, tasks);
    ran() - begun
}

fn claim(task: u64) -> SlotClaim {
    let tier = match task % 20 {
        0..=15 => CoverageTier::Tier0,
        16..=18 => CoverageTier::Tier1,
        _ => CoverageTier::Tier2,
    };
    SlotClaim {
        cell: CellId(u32::try_from((task / 20) % CELLS).unwrap_or(0)),
        tier,
    }
}
