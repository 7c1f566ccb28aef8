//! A campaign over 20,000 sleeping devices in 400 cells, with 64 KiB for each, and thirty days of their
//! uplinks, on a virtual clock: every block through the codec on both sides.
//!
//! `cargo bench --bench campaign30d [-- DEVICES [SEED]]`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::model::Sha256Digest;
use narrowcast::sim::Trial;

const DEVICES: usize = 20_000;

/// What one run may take of a core.
const CPU_MAX: Duration = Duration::from_secs(60);

const SUCCEEDED_PERCENT_MIN: usize = 99;

fn main() -> ExitCode {
    let mut figures = std::env::args().filter_map(|arg| arg.parse::<u64>().ok());
    let devices = figures.next().and_then(|it| usize::try_from(it).ok());
    let seed = figures.next().unwrap_or(1);
    let trial = Trial::thirty_days(seed, devices.unwrap_or(DEVICES));
    match (run(&trial), run(&trial)) {
        (Some(one), Some(other)) if one == other => ExitCode::SUCCESS,
        (Some(_), Some(_)) => {
            println!("one seed has given two logs");
            ExitCode::FAILURE
        }
        (None, _) | (_, None) => ExitCode::FAILURE,
    }
}

/// One run: the hash of its log, unless it is not as it must be.
fn run(trial: &Trial) -> Option<Sha256Digest> {
    let clock = SystemClock::new();
    let (begun, begun_cpu) = (clock.now().instant, cpu_time());
    let report = trial.run().map_err(|error| println!("{error}")).ok()?;
    let took = clock.now().instant.saturating_since(begun);
    let cpu = cpu_time().zip(begun_cpu).map(|(now, then)| now - then);
    println!(
        "{:.1} s ({} on the CPU): {} of {} updated in {} days, {} attempts failed {:?}; {} blocks in {} + {} \
         datagrams; log {}",
        took.as_secs_f64(),
        cpu.map_or_else(
            || "?".to_owned(),
            |cpu| format!("{:.1} s", cpu.as_secs_f64())
        ),
        report.succeeded,
        report.devices,
        report.lasted.as_secs() / 86_400,
        report.failed_attempts(),
        report.failures,
        report.blocks,
        report.datagrams_up,
        report.datagrams_down,
        hex::encode(report.log_sha256.0),
    );
    if !report.verdict.holds() {
        println!("{:?}", report.verdict);
    }
    let holds = report.verdict.holds()
        && report.succeeded * 100 >= report.devices * SUCCEEDED_PERCENT_MIN
        && cpu.unwrap_or(took) <= CPU_MAX;
    holds.then_some(report.log_sha256)
}

/// How long this process has run on a CPU, where the system tells: others may share the machine.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
