//! `narrowcast simulate`: a rehearsal of a scenario on a virtual clock.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::error::CliError;
use super::output::Output;
use super::run_result;
use super::scenario::{read, refused};
use crate::harness::scenario::Scenario;
use crate::harness::simulate;

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
    /// Write what it came to into this folder: result.json, report.html, series.csv, slowest.csv,
    /// junit.xml.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the event log: all that devices did and the server committed. Its SHA-256 is that which is
    /// printed.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &SimulateArgs, output: &Output) -> Result<(), CliError> {
    let text = read(&args.file)?;
    let scenario = Scenario::parse(&text).map_err(|error| refused(&args.file, &error, output))?;
    let seed = args.seed.unwrap_or(scenario.seed);
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
    let result = simulate::run(&scenario, seed, &mut log, &mut |_| {}).map_err(CliError::failed)?;
    if let (Some(file), Some(path)) = (&mut file, &args.log) {
        file.flush()
            .map_err(|error| CliError::file("write", path, &error))?;
    }
    run_result::end(&result, args.out.as_deref(), output)
}
