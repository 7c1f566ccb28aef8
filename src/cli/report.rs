//! `narrowcast report`: what a run came to, as a page and as files for programs.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use crate::harness::{ReportFiles, RunResult, report_html};

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
    /// Write all that there is on the run into this folder: result.json, report.html, series.csv,
    /// slowest.csv, junit.xml, metrics.txt (OpenMetrics), summary.md (for a CI job).
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    files: Option<PathBuf>,
    /// Print what was written as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &ReportArgs, output: &Output) -> Result<(), CliError> {
    let (path, result) = read(&args.run)?;
    let page = match (&args.files, &args.out) {
        (Some(folder), _) => folder.join(ReportFiles::PAGE),
        (None, Some(page)) => page.clone(),
        (None, None) => file::folder_of(&path).join(ReportFiles::PAGE),
    };
    if let Some(folder) = &args.files {
        write_all(&result, folder, output)?;
    } else {
        let html = report_html(&result, output.language);
        file::write(&page, html.as_bytes(), FILE_MODE, Existing::Replace)?;
    }
    let json = json!({ "page": page, "held": result.held() });
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

/// Writes all that there is on a run into a folder: [`ReportFiles`].
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
