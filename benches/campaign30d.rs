//! A campaign over 20,000 sleeping devices in 400 cells, with 64 KiB for each, and thirty days of their
//! uplinks, on a virtual clock: every block through the codec on both sides.
//!
//! `cargo bench --bench campaign30d [-- DEVICES [SEED]]`.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::process::ExitCode;
use std::time::Instant;

use narrowcast::sim::Scenario;

fn main() -> ExitCode {
    let mut figures = std::env::args().filter_map(|arg| arg.parse::<u64>().ok());
    let devices = figures.next().map_or(20_000, |devices| devices as usize);
    let seed = figures.next().unwrap_or(1);
    let mut hashes = Vec::new();
    for run in 1..=2 {
        let begun = Instant::now();
        let report = match Scenario::thirty_days(seed, devices).run() {
            Ok(report) => report,
            Err(error) => {
                println!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let took = begun.elapsed().as_secs_f64();
        println!(
            "run {run}: {took:.1} s, {} of {} updated ({} failed attempts: {:?}), {} blocks, {} + {} datagrams, \
             log {}",
            report.succeeded,
            report.devices,
            report.failed_attempts(),
            report.failures,
            report.blocks,
            report.datagrams_up,
            report.datagrams_down,
            hex::encode(report.log_sha256.0),
        );
        if !report.verdict.holds() || report.succeeded * 100 < report.devices * 99 {
            println!("{:?}", report.verdict);
            return ExitCode::FAILURE;
        }
        hashes.push(report.log_sha256);
    }
    if hashes[0] == hashes[1] {
        ExitCode::SUCCESS
    } else {
        println!("one run is not like the other");
        ExitCode::FAILURE
    }
}
