//! What a run of a scenario came to, for whoever asked for it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::error::CliError;
use super::output::Output;
use super::report::write_all;
use crate::harness::{End, RunResult};

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
