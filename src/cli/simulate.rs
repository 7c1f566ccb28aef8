//! `narrowcast simulate`: a rehearsal of a scenario on a virtual clock.

use std::fs;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use super::limit::LimitArgs;
use super::output::Output;
use super::run_result;
use super::scenario::{read, refused};
use crate::harness::scenario::Scenario;
use crate::harness::simulate::{self, Progress};

/// Rehearse a scenario: server and devices in one process on a virtual clock, without sockets. Exit 99
/// where a threshold of the scenario does not hold.
#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// The scenario.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Draw all chance from this seed, not from that of the file.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write what it came to into this folder: result.json, report.html, devices.csv, series.csv,
    /// slowest.csv, junit.xml, metrics.txt (OpenMetrics), summary.md (for a CI job).
    #[arg(long, value_name = "DIR", conflicts_with = "find_limit")]
    out: Option<PathBuf>,
    /// Write the event log: all that devices did and the server committed. Its SHA-256 is that which is
    /// printed.
    #[arg(long, value_name = "FILE", conflicts_with = "find_limit")]
    log: Option<PathBuf>,
    #[command(flatten)]
    limit: LimitArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &SimulateArgs, output: &Output) -> Result<(), CliError> {
    let text = read(&args.file)?;
    let scenario = Scenario::parse(&text).map_err(|error| refused(&args.file, &error, output))?;
    let seed = args.seed.unwrap_or(scenario.seed);
    if let Some(amounts) = args.limit.amounts() {
        return args.limit.find(amounts, &scenario, output, |scenario| {
            simulate::run(scenario, seed, &mut |_| Ok(()), &mut |_| {}).map_err(CliError::failed)
        });
    }
    let mut file = match &args.log {
        Some(path) => {
            let file = fs::File::create(path);
            let file = file.map_err(|error| CliError::file("write", path, &error))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let mut log = |text: &str| match &mut file {
        Some(file) => file
            .write_all(text.as_bytes())
            .map_err(|error| error.to_string()),
        None => Ok(()),
    };
    let mut devices = Ok(());
    let mut progress = |progress: &Progress<'_>| {
        tell(progress, output);
        if let (true, Some(folder)) = (progress.is_over, &args.out) {
            devices = run_result::write_devices(progress.observer, &scenario, folder);
        }
    };
    let result =
        simulate::run(&scenario, seed, &mut log, &mut progress).map_err(CliError::failed)?;
    devices?;
    if let (Some(file), Some(path)) = (&mut file, &args.log) {
        file.flush()
            .map_err(|error| CliError::file("write", path, &error))?;
    }
    run_result::end(&result, args.out.as_deref(), output)
}

/// How far it is, on one line that is written over, where somebody looks.
fn tell(progress: &Progress<'_>, output: &Output) {
    let mut stderr = io::stderr().lock();
    if !stderr.is_terminal() {
        return;
    }
    let live = progress.observer.snapshot();
    let devices: u64 = live.states.values().flatten().sum();
    let updated = output.pick("updated", "已升级");
    let time = run_result::days_and_time(progress.elapsed);
    // There is nobody to tell where stderr cannot be written.
    let _ = if progress.is_over {
        write!(stderr, "\r\x1b[K")
    } else {
        write!(
            stderr,
            "\r\x1b[K{time}  {updated}: {} / {devices}",
            live.updated
        )
    };
    let _ = stderr.flush();
}
