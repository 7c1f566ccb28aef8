//! `narrowcast compare`: two or three runs side by side.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::file::{self, Existing};
use super::output::Output;
use super::report::read;
use crate::harness::{Comparison, FailIf, Met, RunResult, compare_exit_code, compare_html};

/// Compare runs with a first one: what changed, by how much, and whether chance alone would do that.
/// Exit 99 where a condition of --fail-if is met.
#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    /// The first run: its result.json, or the folder with it.
    #[arg(value_name = "A")]
    first: PathBuf,
    /// The runs that are held against it.
    #[arg(value_name = "B", num_args = 1..=2, required = true)]
    others: Vec<PathBuf>,
    /// Fail where a figure changed so: 'p(95)_download>+10%', 'rate_success_rate<-1%'. May be repeated.
    #[arg(long, value_name = "CONDITION", value_parser = parse_condition)]
    fail_if: Vec<FailIf>,
    /// Write a page with overlaid distributions.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the comparison as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

fn parse_condition(text: &str) -> Result<FailIf, String> {
    FailIf::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &CompareArgs, output: &Output) -> Result<(), CliError> {
    let (_, first) = read(&args.first)?;
    let others: Vec<RunResult> = args
        .others
        .iter()
        .map(|path| read(path).map(|(_, result)| result))
        .collect::<Result<_, _>>()?;
    let others: Vec<_> = others.iter().collect();
    let comparison = Comparison::new(&first, &others);
    let met: Vec<Met> = args
        .fail_if
        .iter()
        .flat_map(|condition| condition.judge(&comparison))
        .collect();
    if let Some(path) = &args.out {
        let html = compare_html(&comparison, &met, output.language);
        file::write(path, html.as_bytes(), 0o644, Existing::Replace)?;
    }
    let runs = comparison.runs.iter().map(|run| {
        json!({
            "name": run.name,
            "mode": run.mode,
            "seed": run.seed,
            "version": run.version,
            "devices": run.devices,
            "updated": run.updated,
        })
    });
    let json = json!({
        "runs": runs.collect::<Vec<_>>(),
        "rows": comparison.rows,
        "fail_if": met,
    });
    output.result(&json, &told(&comparison, &met, output))?;
    match compare_exit_code(&met) {
        0 => Ok(()),
        code => Err(CliError::Ended(code)),
    }
}

fn told(comparison: &Comparison<'_>, met: &[Met], output: &Output) -> String {
    let percent = |percent: Option<f64>| {
        percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:+.1}%"))
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    for row in &comparison.rows {
        let _ = write!(text, "{:<28} {:<7}", row.metric, row.aggregate);
        for (number, value) in row.values.iter().enumerate() {
            let value = value.map_or_else(|| "–".to_owned(), |value| row.text(value));
            let _ = write!(text, " {value:>14}");
            if let Some(change) = number
                .checked_sub(1)
                .and_then(|other| row.changes.get(other))
            {
                let star = if change.is_significant() { "*" } else { " " };
                let _ = write!(text, " {:>9}{star}", percent(change.percent));
            }
        }
        text.push('\n');
    }
    text.push_str(output.pick(
        "* less than 1 % probable by chance alone (two-sided z-test of two shares; of times, of those \
         above the percentile of both)",
        "* 纯属偶然的概率低于 1%（双侧两比例 z 检验；时长取超过合并分位数的比例）",
    ));
    for met in met {
        let mark = if met.is_met { '✗' } else { '✓' };
        let _ = write!(text, "\n{mark} {} {}", met.condition, percent(met.percent));
    }
    text
}
