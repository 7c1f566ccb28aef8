//! `narrowcast report`: what a run came to, as a page. And how commands end that ran something.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use crate::harness::{End, Judged, ReportFiles, RunResult, Unit, report_html};

/// The largest result that is read: one of 20,000 tiers of cells is a tenth of it.
const RESULT_BYTES_MAX: u64 = 256 << 20;

/// What may be read by anybody on this machine, as any page.
const FILE_MODE: u32 = 0o644;

/// Write the report on a run: one HTML page that needs nothing beside itself.
#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// The result of a run, or the folder with its result.json.
    #[arg(value_name = "DIR_OR_JSON")]
    run: PathBuf,
    /// Where the page goes [default: report.html beside the result].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print what was written as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &ReportArgs, output: &Output) -> Result<(), CliError> {
    let (path, result) = read(&args.run)?;
    let page = match &args.out {
        Some(page) => page.clone(),
        None => file::folder_of(&path).join(ReportFiles::PAGE),
    };
    let html = report_html(&result, output.language);
    file::write(&page, html.as_bytes(), FILE_MODE, Existing::Replace)?;
    let json = json!({ "page": page, "bytes": html.len(), "held": result.held() });
    output.result(&json, &page.display().to_string())
}

/// Reads a result, or that of a folder; with where it was.
///
/// # Errors
/// Where it cannot be read, or is none.
pub(super) fn read(run: &Path) -> Result<(PathBuf, RunResult), CliError> {
    let path = if run.is_dir() {
        run.join(ReportFiles::RESULT)
    } else {
        run.to_owned()
    };
    let content = file::read(&path, RESULT_BYTES_MAX)?;
    let result =
        RunResult::from_json(&content).map_err(|error| CliError::in_file(&path, &error))?;
    Ok((path, result))
}

/// Writes all that there is on a run into a folder: result.json, report.html, series.csv, slowest.csv,
/// junit.xml.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn write_all(
    result: &RunResult,
    folder: &Path,
    output: &Output,
) -> Result<(), CliError> {
    fs::create_dir_all(folder).map_err(|error| CliError::file("write", folder, &error))?;
    let files = ReportFiles::of(result, output.language).map_err(CliError::failed)?;
    for (name, content) in files.iter() {
        file::write(&folder.join(name), content, FILE_MODE, Existing::Replace)?;
    }
    Ok(())
}

/// Tells what a run came to, and ends the command as the run did: 99 where a threshold is broken, 1
/// where it did not finish.
///
/// # Errors
/// Those two, and where stdout cannot be written.
pub(super) fn conclude(result: &RunResult, output: &Output) -> Result<(), CliError> {
    let json = serde_json::to_value(result).map_err(CliError::failed)?;
    output.result(&json!({ "result": json }), &told(result, output))?;
    match result.exit_code() {
        0 => Ok(()),
        code => Err(CliError::Ended(code)),
    }
}

fn told(result: &RunResult, output: &Output) -> String {
    let label = |en, zh| output.pick(en, zh);
    let mut text = String::new();
    // Writing to a String cannot fail.
    for threshold in &result.thresholds {
        let mark = match threshold.judged {
            Judged::Held => '✓',
            Judged::Broken => '✗',
            Judged::NoData => '–',
        };
        let observed = match threshold.judged {
            Judged::NoData => label("no data", "无数据"),
            Judged::Held | Judged::Broken => &threshold.observed_text,
        };
        let asked = format!("{}: {}", threshold.metric, threshold.expression);
        let _ = writeln!(text, "{mark} {asked:<48} {observed}");
    }
    for failure in &result.failures {
        let said_by = failure.said_by.word();
        let title = label("failed attempts", "失败次数");
        let _ = writeln!(
            text,
            "{title} ({said_by}): {} {}",
            failure.count, failure.cause
        );
    }
    let end = match &result.end {
        End::AllDone => label("every device came to its end", "全部终端已结束").to_owned(),
        End::DurationOver => label("its time was over", "运行时间已到").to_owned(),
        End::DidNotFinish { why } => format!("{}: {why}", label("did not finish", "未能完成")),
        End::Aborted { threshold } => {
            format!(
                "{}: {threshold}",
                label("ended by a threshold", "因阈值而中止")
            )
        }
    };
    let lasted = Unit::Time.text(result.duration_ms as f64 * 1e3);
    let updated = label("updated", "升级成功");
    let _ = write!(
        text,
        "{}: {updated} {} / {}, {lasted}, {end}",
        result.name, result.updated, result.devices
    );
    if let Some(sha256) = &result.log_sha256 {
        let _ = write!(text, "\nlog {sha256}");
    }
    text
}
