//! Conditions on which a comparison fails, `p(95)_device.download>+10%`. Sans-IO.

use serde::Serialize;

use super::{Comparison, percent};
use crate::harness::metric::{Aggregate, Definition, Labels, METRICS};
use crate::harness::threshold::{parse_aggregate, parse_metric};

/// Why a condition is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailIfError {
    /// It has not the form.
    #[error(
        "{text:?} is no condition: write one as p(95)_device.download>+10% or rate_campaign.success_rate<-1%"
    )]
    Form {
        /// As written.
        text: String,
    },
    /// The metric, or what is asked of it.
    #[error("{text:?}: {why}")]
    Metric {
        /// As written.
        text: String,
        /// Why.
        why: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    More,
    MoreOrEqual,
    Less,
    LessOrEqual,
}

/// One condition: the comparison fails where a figure changed so.
#[derive(Clone, Debug, PartialEq)]
pub struct FailIf {
    text: String,
    metric: &'static Definition,
    labels: Labels,
    aggregate: Aggregate,
    sign: Sign,
    percent: f64,
}

/// What came of a condition in one of the other runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Met {
    /// The condition.
    pub condition: String,
    /// Which run: 1 for the second.
    pub run: usize,
    /// The change in per cent; `None`: one of the two has no data, which meets every condition, or it
    /// was 0 and is not any more.
    pub percent: Option<f64>,
    /// Whether it is met.
    pub is_met: bool,
}

impl FailIf {
    /// Reads `AGGREGATE_METRIC` with a sign and a change in per cent of the first run: `p(95)`, or `p95`
    /// for shells; of a metric its last word is enough where no other has it.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, FailIfError> {
        let form = || FailIfError::Form {
            text: text.chars().take(200).collect(),
        };
        let at = text.rfind(['<', '>']).ok_or_else(form)?;
        let (asked, rest) = text.split_at(at);
        let (sign, number) = [
            (">=", Sign::MoreOrEqual),
            ("<=", Sign::LessOrEqual),
            (">", Sign::More),
            ("<", Sign::Less),
        ]
        .into_iter()
        .find_map(|(sign, meaning)| Some((meaning, rest.strip_prefix(sign)?)))
        .ok_or_else(form)?;
        let number = number.trim().strip_suffix('%').ok_or_else(form)?;
        let percent: f64 = number.trim().parse().map_err(|_| form())?;
        if !percent.is_finite() {
            return Err(form());
        }
        let (aggregate, name) = asked.trim().split_once('_').ok_or_else(form)?;
        let aggregate = parse_aggregate(aggregate)
            .or_else(|| of_shells(aggregate))
            .ok_or_else(form)?;
        let metric = |why: String| FailIfError::Metric {
            text: text.chars().take(200).collect(),
            why,
        };
        let (definition, labels) =
            parse_metric(&whole_name(name)).map_err(|fault| metric(fault.to_string()))?;
        if !definition.kind.takes(aggregate) {
            let (name, takes) = (definition.name, definition.kind.aggregates());
            return Err(metric(format!("{name} can be asked for {takes}")));
        }
        Ok(Self {
            text: text.to_owned(),
            metric: definition,
            labels,
            aggregate,
            sign,
            percent,
        })
    }

    /// What comes of it in each of the other runs.
    pub fn judge(&self, comparison: &Comparison<'_>) -> Vec<Met> {
        let of = |run: usize| {
            let metrics = &comparison.runs.get(run)?.metrics;
            metrics.figure(self.metric, &self.labels, self.aggregate)
        };
        let first = of(0);
        let others = 1..comparison.runs.len();
        let judged = others.map(|run| {
            let other = of(run);
            let percent = percent(first, other);
            let is_met = match (percent, first, other) {
                (Some(percent), _, _) => self.holds(percent),
                // From nothing it grew beyond any share.
                (None, Some(_), Some(other)) => self.holds(other.signum() * f64::INFINITY),
                (None, _, _) => true,
            };
            Met {
                condition: self.text.clone(),
                run,
                percent,
                is_met,
            }
        });
        judged.collect()
    }

    fn holds(&self, percent: f64) -> bool {
        match self.sign {
            Sign::More => percent > self.percent,
            Sign::MoreOrEqual => percent >= self.percent,
            Sign::Less => percent < self.percent,
            Sign::LessOrEqual => percent <= self.percent,
        }
    }
}

/// `p95`, which a shell leaves alone.
fn of_shells(text: &str) -> Option<Aggregate> {
    parse_aggregate(&format!("p({})", text.strip_prefix('p')?))
}

/// The metric that this is the last word of, where there is one such; else as it is.
fn whole_name(text: &str) -> String {
    let (name, labels) = match text.find('{') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut named = METRICS
        .iter()
        .filter(|metric| metric.name.rsplit('.').next() == Some(name));
    match (named.next(), named.next()) {
        (Some(metric), None) => format!("{}{labels}", metric.name),
        (Some(_), Some(_)) | (None, _) => text.to_owned(),
    }
}
