//! What a run of a scenario came to, for whoever asked for it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::error::CliError;
use super::output::Output;
use super::report::write_all;
use crate::harness::scenario::Scenario;
use crate::harness::{End, Observer, ReportFiles, RunResult, devices_csv};

/// Writes all that there is on it into a folder, prints it, and ends as it says.
///
/// # Errors
/// Where it cannot be written, and where it is not what was asked for.
pub(super) fn end(
    result: &RunResult,
    folder: Option<&Path>,
    output: &Output,
) -> Result<(), CliError> {
    if let Some(folder) = folder {
        write_all(result, folder, output)?;
    }
    let json = serde_json::to_value(result).map_err(CliError::failed)?;
    output.result(&json!({ "result": json }), &told(result, output))?;
    match result.exit_code() {
        0 => Ok(()),
        code => Err(CliError::Ended(code)),
    }
}

/// Writes every device into the folder, a row each.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn write_devices(
    observer: &Observer,
    scenario: &Scenario,
    folder: &Path,
) -> Result<(), CliError> {
    let path = folder.join(ReportFiles::DEVICES);
    let mixes: Vec<_> = scenario.mix_names().collect();
    let write = || {
        fs::create_dir_all(folder)?;
        let mut file = BufWriter::new(fs::File::create(&path)?);
        for line in devices_csv(observer, &mixes) {
            file.write_all(line.as_bytes())?;
        }
        file.flush()
    };
    write().map_err(|error| CliError::file("write", &path, &error))
}

/// `2d03:00:00`, as scenarios write it.
pub(super) fn days_and_time(time: Duration) -> String {
    let (days, rest_s) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    let (hours, minutes, seconds) = (rest_s / 3600, rest_s % 3600 / 60, rest_s % 60);
    format!("{days}d{hours:02}:{minutes:02}:{seconds:02}")
}

fn told(result: &RunResult, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let end = match &result.end {
        End::AllDone => label("every device came to its end", "全部设备已完成").to_owned(),
        End::DurationOver => label("its time was over", "时间用完").to_owned(),
        End::DidNotFinish { why } => format!("{}: {why}", label("did not finish", "未完成")),
        End::DevicesLost { why } => {
            format!("{}: {why}", label("devices were lost", "部分终端丢失"))
        }
        End::Aborted { threshold } => {
            let ended = label("ended by the threshold", "因阈值未满足而中止");
            format!("{ended} {threshold}")
        }
    };
    let lasted = days_and_time(Duration::from_millis(result.duration_ms));
    let mut text = format!("{}: {end}; {lasted}", result.name);
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
