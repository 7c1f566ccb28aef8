//! Two or three runs side by side: what changed, by how much, and whether chance alone would do that.
//! Sans-IO.

mod page;
mod rule;
mod significance;

use serde::Serialize;

use super::metric::{Aggregate, Definition, Kind, Labels, METRICS, Unit};
use super::result::RunResult;
use super::threshold::EXIT_BROKEN;

pub use page::compare_html;
pub use rule::{FailIf, FailIfError, Met};
use significance::significance;

/// The most runs beside the first.
pub const OTHERS_MAX: usize = 2;

/// Below this probability a difference is not taken for chance.
pub const SIGNIFICANT: f64 = 0.01;

/// What was asked of each kind of metric.
const OF_TREND: [Aggregate; 4] = [
    Aggregate::Avg,
    Aggregate::Percentile(50.0),
    Aggregate::Percentile(95.0),
    Aggregate::Percentile(99.0),
];

/// Runs against a first one.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The runs, the first of which is what the others are held against.
    pub runs: Vec<&'a RunResult>,
    /// A row for each figure that at least two runs have.
    pub rows: Vec<Row>,
}

/// One figure of all runs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The metric with its labels.
    pub metric: String,
    /// What was asked of it, `p(95)`.
    pub aggregate: String,
    /// In the metric's unit, of each run; `None` where it has no data.
    pub values: Vec<Option<f64>>,
    /// What became of it in each of the others.
    pub changes: Vec<Change>,
    #[serde(skip)]
    unit: Unit,
    #[serde(skip)]
    good: Good,
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Change {
    /// In per cent of the first run's; `None` where one of them has no data, or the first is 0 and the
    /// other is not.
    pub percent: Option<f64>,
    /// How probable such a difference is by chance alone, two-sided; `None` where the samples do not
    /// allow to say, or one figure is all there is.
    pub p_value: Option<f64>,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Good {
    Less,
    More,
    Neither,
}

impl<'a> Comparison<'a> {
    /// These runs, the first against the others; what is more than [`OTHERS_MAX`] is left out.
    pub fn new(first: &'a RunResult, others: &[&'a RunResult]) -> Self {
        let mut runs = vec![first];
        runs.extend(others.iter().take(OTHERS_MAX));
        let mut rows = Vec::new();
        for metric in METRICS {
            let mut labels = vec![Labels::none()];
            if metric.kind == Kind::Trend && metric.labels.contains(&"ce") {
                let levels = ["0", "1", "2"].map(|ce| Labels::of([("ce", ce.to_owned())]));
                labels.extend(levels);
            }
            let asked: &[Aggregate] = match metric.kind {
                Kind::Trend => &OF_TREND,
                Kind::Counter => &[Aggregate::Count],
                Kind::Gauge => &[Aggregate::Max],
                Kind::Rate => &[Aggregate::Rate],
            };
            for labels in &labels {
                for aggregate in asked {
                    rows.extend(row(&runs, metric, labels, *aggregate));
                }
            }
        }
        Self { runs, rows }
    }
}

impl Row {
    /// A value of it, as people read it.
    pub fn text(&self, value: f64) -> String {
        self.unit.text(value)
    }
}

impl Change {
    /// Whether it is not taken for chance.
    pub fn is_significant(&self) -> bool {
        self.p_value.is_some_and(|p_value| p_value < SIGNIFICANT)
    }
}

/// What a command ends with that compared: 99 where a condition to fail is met.
pub fn compare_exit_code(met: &[Met]) -> u8 {
    if met.iter().any(|met| met.is_met) {
        EXIT_BROKEN
    } else {
        0
    }
}

fn row(
    runs: &[&RunResult],
    metric: &Definition,
    labels: &Labels,
    aggregate: Aggregate,
) -> Option<Row> {
    let name = metric.name;
    let values: Vec<_> = runs
        .iter()
        .map(|run| run.metrics.figure(metric, labels, aggregate))
        .collect();
    if values.iter().flatten().count() < 2 {
        return None;
    }
    let (first, others) = runs.split_first()?;
    let changes = others.iter().enumerate().map(|(number, other)| Change {
        percent: percent(
            values.first().copied().flatten(),
            values.get(number + 1).copied().flatten(),
        ),
        p_value: significance(&first.metrics, &other.metrics, name, labels, aggregate),
    });
    let good = match (metric.kind, name) {
        (Kind::Trend, "device.retry_gap") => Good::Neither,
        (Kind::Trend, _) => Good::Less,
        (_, "campaign.success_rate") => Good::More,
        (_, "block.received" | "coap.sent" | "cell.active") => Good::Neither,
        (Kind::Counter | Kind::Gauge | Kind::Rate, _) => Good::Less,
    };
    Some(Row {
        metric: format!("{name}{labels}"),
        aggregate: aggregate.to_string(),
        changes: changes.collect(),
        values,
        unit: metric.unit,
        good,
    })
}

fn percent(first: Option<f64>, other: Option<f64>) -> Option<f64> {
    let (first, other) = (first?, other?);
    if first == other {
        return Some(0.0);
    }
    (first != 0.0).then(|| (other / first - 1.0) * 100.0)
}

#[cfg(test)]
mod tests;
