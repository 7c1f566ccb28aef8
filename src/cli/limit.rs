//! `--find-limit`: with how many devices a threshold of a scenario breaks.

use std::num::NonZeroU64;
use std::str::FromStr;

use clap::Args;
use serde_json::json;

use super::error::CliError;
use super::output::Output;
use crate::harness::scenario::Scenario;
use crate::harness::{EXIT_BROKEN, FoundLimit, RunResult, Tried, find_limit};
use crate::model::Language;

/// Arguments of the commands that run scenarios.
#[derive(Args, Debug)]
pub(super) struct LimitArgs {
    /// Find with how many devices a threshold of the scenario breaks: a run with the least, one with the
    /// most, then always one in the middle. Exit 99 where not even the least hold.
    #[arg(long, value_name = "LEAST..MOST")]
    find_limit: Option<Amounts>,
    /// The limit is found once it is known to so many devices [default: a hundredth of MOST].
    #[arg(long, value_name = "N", requires = "find_limit")]
    precision: Option<NonZeroU64>,
}

/// From how many devices to how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts {
    least: u64,
    most: u64,
}

impl FromStr for Amounts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once("..").and_then(|(least, most)| {
            let (least, most) = (least.trim().parse().ok()?, most.trim().parse().ok()?);
            Some(Self { least, most })
        });
        let devices_max = Scenario::DEVICES_MAX as u64;
        numbers
            .filter(|it| 0 < it.least && it.least < it.most && it.most <= devices_max)
            .ok_or_else(|| {
                format!("write it as 100..5000: from 1 to {devices_max}, the least number first")
            })
    }
}

impl LimitArgs {
    /// Where the limit is looked for, if it is.
    pub(super) const fn amounts(&self) -> Option<Amounts> {
        self.find_limit
    }

    /// Runs the scenario with more and with fewer devices, tells of each run as it ends, and of what was
    /// found.
    ///
    /// # Errors
    /// Where a run cannot be made, no threshold could break, or not even the least hold.
    pub(super) fn find(
        &self,
        amounts: Amounts,
        scenario: &Scenario,
        output: &Output,
        mut run: impl FnMut(&Scenario) -> Result<RunResult, CliError>,
    ) -> Result<(), CliError> {
        if scenario.thresholds.is_empty() {
            let told = output.pick(
                "the scenario asks for nothing: add [thresholds], such as \"device.download\" = \"p(95)<90m\"",
                "场景未设置阈值：请添加 [thresholds]，例如 \"device.download\" = \"p(95)<90m\"",
            );
            return Err(CliError::Usage(told.to_owned()));
        }
        let precision = self.precision.map_or(amounts.most / 100, NonZeroU64::get);
        let range = amounts.least..=amounts.most;
        let found = find_limit(range, precision, |devices| {
            let devices = usize::try_from(devices).unwrap_or(usize::MAX);
            let result = run(&scenario.with_devices(devices))?;
            output.message(&told_run(&Tried::of(devices as u64, &result), output));
            Ok::<_, CliError>(result)
        })?;
        let json = serde_json::to_value(&found).map_err(CliError::failed)?;
        output.result(
            &json!({ "scenario": scenario.name, "limit": json }),
            &told(&scenario.name, &found, output),
        )?;
        match found.holds {
            Some(_) => Ok(()),
            None => Err(CliError::Ended(EXIT_BROKEN)),
        }
    }
}

/// One run.
fn told_run(tried: &Tried, output: &Output) -> String {
    let devices = output.pick("devices", "台设备");
    let held = if tried.held {
        output.pick("holds", "满足").to_owned()
    } else {
        let broken = output.pick("BROKEN", "不满足");
        format!("{broken} ({})", tried.broken.join("; "))
    };
    format!("{} {devices}: {held}", tried.amount)
}

fn told(name: &str, found: &FoundLimit, output: &Output) -> String {
    let zh = output.language == Language::Zh;
    let end = match (found.holds, found.breaks) {
        (Some(holds), Some(breaks)) if zh => {
            format!("上限为 {holds} 台设备；{breaks} 台时阈值不满足")
        }
        (Some(holds), Some(breaks)) => {
            format!("the limit is {holds} devices: with {breaks} a threshold breaks")
        }
        (Some(holds), None) if zh => format!("{holds} 台设备时仍全部满足：请增大范围"),
        (Some(holds), None) => format!("even {holds} devices hold: try with more"),
        (None, Some(breaks)) if zh => format!("{breaks} 台设备时已不满足：请减小范围"),
        (None, Some(breaks)) => format!("not even {breaks} devices hold: try with fewer"),
        (None, None) if zh => "未运行".to_owned(),
        (None, None) => "nothing was run".to_owned(),
    };
    format!("{name}: {end}")
}
