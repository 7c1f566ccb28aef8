//! `narrowcast simulate`: a rehearsal of a scenario on a virtual clock.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::output::Output;
use super::report::write_all;
use super::scenario::{read, refused};
use crate::harness::scenario::Scenario;
use crate::harness::{End, RunResult, simulate};

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
    if let Some(folder) = &args.out {
        write_all(&result, folder, output)?;
    }
    let json = serde_json::to_value(&result).map_err(CliError::failed)?;
    output.result(&json!({ "result": json }), &told(&result, output))?;
    match result.exit_code() {
        0 => Ok(()),
        code => Err(CliError::Ended(code)),
    }
}

fn told(result: &RunResult, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let end = match &result.end {
        End::AllDone => label("every device came to its end", "全部设备已完成").to_owned(),
        End::DurationOver => label("its time was over", "时间用完").to_owned(),
        End::DidNotFinish { why } => format!("{}: {why}", label("did not finish", "未完成")),
        End::Aborted { threshold } => {
            format!("{}: {threshold}", label("broken off", "已中止"))
        }
    };
    let days = result.duration_ms / 86_400_000;
    let rest_s = result.duration_ms % 86_400_000 / 1000;
    let (hours, minutes, seconds) = (rest_s / 3600, rest_s % 3600 / 60, rest_s % 60);
    let mut text = format!(
        "{}: {end}; {days}d{hours:02}:{minutes:02}:{seconds:02}",
        result.name
    );
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\n{}: {} / {}",
        label("updated", "已升级"),
        result.updated,
        result.devices
    );
    for failure in &result.failures {
        let _ = write!(
            text,
            "\n{} ({}): {} {}",
            label("failed attempts", "失败次数"),
            failure.said_by,
            failure.count,
            failure.cause
        );
    }
    for threshold in &result.thresholds {
        let mark = if threshold.held() {
            label("holds", "满足")
        } else {
            label("BROKEN", "不满足")
        };
        let (metric, asked) = (&threshold.metric, &threshold.expression);
        let observed = &threshold.observed_text;
        let _ = write!(text, "\n{mark}: {metric} {asked} ({observed})");
    }
    if let Some(log) = &result.log_sha256 {
        let _ = write!(text, "\nlog {log}");
    }
    text
}
