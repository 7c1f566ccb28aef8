//! Thresholds in the grammar that users of k6 know, `p(95)<90m`, and whether they hold. Sans-IO.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::metric::{Aggregate, Definition, Kind, Labels, METRICS, Metrics, Unit};

/// How a command ends whose thresholds are broken, as k6 does.
pub const EXIT_BROKEN: u8 = 99;

/// The longest metric or expression, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// Why a threshold is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// The metric's name.
    #[error("there is no metric {name:?}: take one of {}", names())]
    UnknownMetric {
        /// As written.
        name: String,
    },
    /// The labels.
    #[error("the labels of {metric:?} are written {{label=value,…}}, and {name} has {has}")]
    Labels {
        /// As written.
        metric: String,
        /// The metric.
        name: &'static str,
        /// Its labels.
        has: String,
    },
    /// It is no expression at all.
    #[error(
        "{expression:?} is no threshold: write one as p(95)<90m, max<=50, rate>=0.995, count==0"
    )]
    Expression {
        /// As written.
        expression: String,
    },
    /// The metric cannot be asked that.
    #[error("{name} cannot be asked for {aggregate}: take one of {takes}")]
    Aggregate {
        /// The metric.
        name: &'static str,
        /// As written.
        aggregate: String,
        /// What it can be asked for.
        takes: &'static str,
    },
    /// The number or its unit.
    #[error("{number:?} is no number for {name}: {takes}")]
    Number {
        /// The metric.
        name: &'static str,
        /// As written.
        number: String,
        /// What is taken.
        takes: &'static str,
    },
    /// `delay_abort_eval`.
    #[error("delay_abort_eval {text:?} is no time: write one as 30s, 10m, 2h")]
    Delay {
        /// As written.
        text: String,
    },
}

/// A threshold as a scenario writes it: a text, or a table with what happens when it breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ThresholdSpec {
    /// `"p(95)<90m"`.
    Text(String),
    /// `{ threshold = "count==0", abort_on_fail = true, delay_abort_eval = "10s" }`.
    Table(ThresholdTable),
}

/// The table's fields; k6's spelling of them is taken too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdTable {
    /// The expression.
    pub threshold: String,
    /// The run ends as soon as it breaks.
    #[serde(default, alias = "abortOnFail")]
    pub abort_on_fail: bool,
    /// Not before so much of the run is over.
    #[serde(
        default,
        alias = "delayAbortEval",
        skip_serializing_if = "Option::is_none"
    )]
    pub delay_abort_eval: Option<String>,
}

impl ThresholdSpec {
    /// The threshold on this metric.
    ///
    /// # Errors
    /// Where it is none.
    pub fn threshold(&self, metric: &str) -> Result<Threshold, ThresholdError> {
        match self {
            Self::Text(expression) => Threshold::parse(metric, expression),
            Self::Table(table) => {
                let mut threshold = Threshold::parse(metric, &table.threshold)?;
                threshold.abort_on_fail = table.abort_on_fail;
                if let Some(text) = &table.delay_abort_eval {
                    let us = time_us(text).filter(|us| *us >= 0.0);
                    let delay = us.and_then(|us| Duration::try_from_secs_f64(us / 1e6).ok());
                    threshold.delay_abort_eval =
                        delay.ok_or_else(|| ThresholdError::Delay { text: text.clone() })?;
                }
                Ok(threshold)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// As they are looked for: the longer before what it begins with.
const COMPARISONS: [(&str, Comparison); 7] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("===", Comparison::Equal),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// One expression on one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: &'static Definition,
    labels: Labels,
    expression: String,
    aggregate: Aggregate,
    comparison: Comparison,
    /// In the metric's unit.
    bound: f64,
    abort_on_fail: bool,
    delay_abort_eval: Duration,
}

/// Whether it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// It does.
    Held,
    /// It does not.
    Broken,
    /// Nothing was measured by which it could: that is broken too.
    NoData,
}

/// What a threshold found.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether it holds.
    pub judged: Judged,
    /// What was measured, in the metric's unit: microseconds, bytes, a share from 0 to 1, or a number.
    pub observed: Option<f64>,
}

/// A threshold and what came of it, as it stands in a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdResult {
    /// The metric with its labels.
    pub metric: String,
    /// The expression, as written.
    pub expression: String,
    /// Whether it held.
    pub judged: Judged,
    /// What was measured, in the metric's unit.
    pub observed: Option<f64>,
    /// The same as people read it.
    pub observed_text: String,
    /// Whether the run had ended with it.
    pub abort_on_fail: bool,
}

impl ThresholdResult {
    /// Whether it held: what was not measured did not.
    pub fn held(&self) -> bool {
        self.judged == Judged::Held
    }
}

impl Threshold {
    /// Reads a metric, `device.download{ce=2}`, and an expression on it, `p(95)<90m`.
    ///
    /// # Errors
    /// Where either is none, or they do not go together.
    pub fn parse(metric: &str, expression: &str) -> Result<Self, ThresholdError> {
        let (definition, labels) = parse_metric(metric)?;
        let (aggregate, comparison, number) = parse_expression(definition, expression)?;
        Ok(Self {
            metric: definition,
            labels,
            expression: expression.trim().to_owned(),
            aggregate,
            comparison,
            bound: parse_number(definition, aggregate, number)?,
            abort_on_fail: false,
            delay_abort_eval: Duration::ZERO,
        })
    }

    /// The metric with its labels, as written.
    pub fn metric(&self) -> String {
        format!("{}{}", self.metric.name, self.labels)
    }

    /// The expression.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether the run ends as soon as it breaks.
    pub const fn abort_on_fail(&self) -> bool {
        self.abort_on_fail
    }

    /// What was measured, and whether it is as it should be. Without a label it is asked of all series
    /// together: of times and counts what they come to, of gauges the least and the most of any.
    pub fn judge(&self, metrics: &Metrics) -> Judgement {
        let observed = metrics.figure(self.metric, &self.labels, self.aggregate);
        let judged = match observed {
            None => Judged::NoData,
            Some(observed) if self.comparison.holds(observed, self.bound) => Judged::Held,
            Some(_) => Judged::Broken,
        };
        Judgement { judged, observed }
    }

    /// Whether the run is to end here: it broke, and that is wanted, and not too early. What has no data
    /// yet may come to have.
    pub fn aborts(&self, metrics: &Metrics, elapsed: Duration) -> bool {
        self.abort_on_fail
            && elapsed >= self.delay_abort_eval
            && self.judge(metrics).judged == Judged::Broken
    }

    /// What stands in the result.
    pub fn result(&self, metrics: &Metrics) -> ThresholdResult {
        let Judgement { judged, observed } = self.judge(metrics);
        ThresholdResult {
            metric: self.metric(),
            expression: self.expression.clone(),
            judged,
            observed,
            observed_text: observed
                .map_or_else(|| "no data".to_owned(), |observed| self.text_of(observed)),
            abort_on_fail: self.abort_on_fail,
        }
    }

    fn text_of(&self, value: f64) -> String {
        if self.metric.kind == Kind::Counter && self.aggregate == Aggregate::Rate {
            return format!("{value:.3}/s");
        }
        self.metric.unit.text(value)
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.metric(), self.expression)
    }
}

impl Comparison {
    fn holds(self, observed: f64, bound: f64) -> bool {
        match self {
            Self::Less => observed < bound,
            Self::LessOrEqual => observed <= bound,
            Self::Greater => observed > bound,
            Self::GreaterOrEqual => observed >= bound,
            Self::Equal => observed == bound,
            Self::NotEqual => observed != bound,
        }
    }
}

fn names() -> String {
    let names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    names.join(", ")
}

/// `name`, or `name{label=value,…}`; k6 writes the labels with colons.
pub(super) fn parse_metric(text: &str) -> Result<(&'static Definition, Labels), ThresholdError> {
    let text: String = text.trim().chars().take(TEXT_BYTES_MAX).collect();
    let (name, labels) = match text.split_once('{') {
        Some((name, rest)) => (name.trim(), Some(rest)),
        None => (text.as_str(), None),
    };
    let definition = Definition::of(name).ok_or_else(|| ThresholdError::UnknownMetric {
        name: name.to_owned(),
    })?;
    let fault = || ThresholdError::Labels {
        metric: text.clone(),
        name: definition.name,
        has: if definition.labels.is_empty() {
            "none".to_owned()
        } else {
            definition.labels.join(", ")
        },
    };
    let Some(labels) = labels else {
        return Ok((definition, Labels::none()));
    };
    let inner = labels.strip_suffix('}').ok_or_else(fault)?;
    let mut parsed = Labels::none();
    for label in inner.split(',') {
        let (name, value) = label.split_once(['=', ':']).ok_or_else(fault)?;
        let (name, value) = (name.trim(), value.trim());
        if !definition.labels.contains(&name) || value.is_empty() || parsed.value(name).is_some() {
            return Err(fault());
        }
        parsed = parsed.with(name.to_owned(), value.to_owned());
    }
    Ok((definition, parsed))
}

fn parse_expression<'a>(
    metric: &'static Definition,
    text: &'a str,
) -> Result<(Aggregate, Comparison, &'a str), ThresholdError> {
    let fault = || ThresholdError::Expression {
        expression: text.chars().take(TEXT_BYTES_MAX).collect(),
    };
    let at = text.find(['<', '>', '=', '!']).ok_or_else(fault)?;
    let (asked, rest) = text.split_at(at);
    let (comparison, number) = COMPARISONS
        .iter()
        .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?)))
        .ok_or_else(fault)?;
    let asked = asked.trim();
    let aggregate = parse_aggregate(asked).ok_or_else(fault)?;
    if !metric.kind.takes(aggregate) {
        return Err(ThresholdError::Aggregate {
            name: metric.name,
            aggregate: asked.to_owned(),
            takes: metric.kind.aggregates(),
        });
    }
    Ok((aggregate, comparison, number.trim()))
}

/// What is asked, as the grammar writes it.
pub(super) fn parse_aggregate(text: &str) -> Option<Aggregate> {
    match text {
        "avg" => Some(Aggregate::Avg),
        "min" => Some(Aggregate::Min),
        "max" => Some(Aggregate::Max),
        "med" => Some(Aggregate::Med),
        "count" => Some(Aggregate::Count),
        "rate" => Some(Aggregate::Rate),
        "value" => Some(Aggregate::Value),
        _ => parse_percentile(text),
    }
}

/// `p(95)`, `p(99.9)`.
fn parse_percentile(text: &str) -> Option<Aggregate> {
    let percent = text.strip_prefix("p(")?.strip_suffix(')')?;
    let percent: f64 = percent.trim().parse().ok()?;
    (0.0..=100.0)
        .contains(&percent)
        .then_some(Aggregate::Percentile(percent))
}

fn parse_number(
    metric: &'static Definition,
    aggregate: Aggregate,
    text: &str,
) -> Result<f64, ThresholdError> {
    let fault = |takes| ThresholdError::Number {
        name: metric.name,
        number: text.chars().take(TEXT_BYTES_MAX).collect(),
        takes,
    };
    let of_units = |units: &[(&str, f64)]| of_units(text, units);
    match (metric.unit, metric.kind) {
        (Unit::Count, Kind::Counter) if aggregate == Aggregate::Rate => {
            of_units(&[("", 1.0), ("/s", 1.0)]).ok_or_else(|| fault("how many a second"))
        }
        (Unit::Count, _) => of_units(&[("", 1.0)]).ok_or_else(|| fault("how many")),
        (Unit::Share, _) => {
            of_units(&[("", 1.0), ("%", 0.01)]).ok_or_else(|| fault("a share as 0.995, or 99.5%"))
        }
        (Unit::Bytes, _) => of_units(&BYTES).ok_or_else(|| fault("bytes, or 300MB, 2GiB")),
        // A gauge's own number is what it was set to.
        (Unit::Time, Kind::Gauge) => of_units(&[("", 1.0)])
            .or_else(|| time_us(text))
            .ok_or_else(|| fault("microseconds, or with a unit, us ms s")),
        (Unit::Time, Kind::Trend | Kind::Counter | Kind::Rate) => {
            time_us(text).ok_or_else(|| fault("milliseconds, or with a unit: us ms s m h d"))
        }
    }
}

const BYTES: [(&str, f64); 9] = [
    ("", 1.0),
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("k", 1e3),
];

/// A time in microseconds; without a unit it is in milliseconds, as in k6.
fn time_us(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [
        ("", 1e3),
        ("us", 1.0),
        ("ms", 1e3),
        ("s", 1e6),
        ("m", 60e6),
        ("h", 3600e6),
        ("d", 86_400e6),
    ];
    of_units(text.trim(), &UNITS)
}

fn of_units(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let end = text.find(|c| !digits(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
    let value = number * factor;
    value.is_finite().then_some(value)
}

impl Unit {
    /// A value of this unit, as people read it.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Count if value.fract() == 0.0 => format!("{value:.0}"),
            Self::Count => format!("{value:.2}"),
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::Bytes if value >= 1_048_576.0 => format!("{:.1} MiB", value / 1_048_576.0),
            Self::Bytes => format!("{:.1} KiB", value / 1024.0),
            Self::Time => time_text(value),
        }
    }
}

/// The two units that say most: `1 h 23 m`, `4.21 s`.
fn time_text(us: f64) -> String {
    let seconds = us / 1e6;
    let two = |whole: f64, big: &str, small: &str| {
        let rounded = (whole * 60.0).round();
        format!(
            "{:.0} {big} {:02.0} {small}",
            (rounded / 60.0).floor(),
            rounded % 60.0
        )
    };
    match seconds {
        ..0.001 => format!("{us:.0} µs"),
        0.001..1.0 => format!("{:.1} ms", us / 1e3),
        1.0..60.0 => format!("{seconds:.2} s"),
        60.0..3600.0 => two(seconds / 60.0, "m", "s"),
        3600.0..86_400.0 => two(seconds / 3600.0, "h", "m"),
        _ => format!("{:.2} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(metric: &str, expression: &str) -> Threshold {
        Threshold::parse(metric, expression).unwrap()
    }

    fn downloads(level: &str, minutes: impl IntoIterator<Item = u64>) -> Metrics {
        let mut metrics = Metrics::default();
        for minutes in minutes {
            let labels = Labels::of([("ce", level.to_owned())]);
            metrics.time("device.download", labels, Duration::from_secs(60 * minutes));
        }
        metrics
    }

    #[test]
    fn each_form_of_the_grammar_is_read_with_its_unit() {
        for (metric, expression, bound) in [
            ("device.download{ce=2}", "p(95)<90m", 90.0 * 60e6),
            ("device.download", "p(99.9) < 1.5h", 1.5 * 3600e6),
            ("coap.round_trip{ce:0}", "avg<500", 500e3),
            ("cell.active{tier=0}", "max<=50", 50.0),
            ("cell.active{cell=7, tier=1}", "value<=10", 10.0),
            ("campaign.success_rate", "rate>=0.995", 0.995),
            ("campaign.success_rate", "rate>99.5%", 0.995),
            ("coap.retransmit_ratio", "avg<0.05", 0.05),
            ("device.double_execute", "count==0", 0.0),
            ("device.double_execute", "count===0", 0.0),
            ("coap.sent", "rate>100/s", 100.0),
            ("device.retry_gap", "min>=120s", 120e6),
            ("server.rss", "max<2GiB", 2_147_483_648.0),
            ("server.cpu_per_block", "value<300", 300.0),
            ("server.cpu_per_block", "value<0.3ms", 300.0),
        ] {
            let threshold = parse(metric, expression);
            let off = (threshold.bound - bound).abs();
            assert!(off < 1e-6, "{metric}: {expression}: {}", threshold.bound);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (metric, expression, says) in [
            (
                "device.downlod",
                "p(95)<1",
                "there is no metric \"device.downlod\"",
            ),
            (
                "device.download{cell=1}",
                "p(95)<1",
                "device.download has ce",
            ),
            ("device.download{ce=1", "p(95)<1", "{label=value,…}"),
            ("campaign.success_rate{ce=1}", "rate>0", "has none"),
            ("device.download", "p95<1", "is no threshold"),
            ("device.download", "p(101)<1", "is no threshold"),
            ("device.download", "avg 5", "is no threshold"),
            ("device.download", "count<5", "avg, min, max, med, p(N)"),
            ("device.double_execute", "p(95)<5", "count, rate"),
            ("device.download", "avg<5 minutes", "us ms s m h d"),
            ("device.download", "avg<", "us ms s m h d"),
            ("campaign.success_rate", "rate>NaN", "a share"),
            ("cell.active", "max<1e999", "how many"),
        ] {
            let fault = Threshold::parse(metric, expression)
                .unwrap_err()
                .to_string();
            assert!(fault.contains(says), "{metric}: {expression}: {fault}");
        }
    }

    #[test]
    fn it_holds_up_to_its_bound_and_not_beyond() {
        let metrics = downloads("2", [10, 20, 30]);
        for (expression, judged) in [
            ("max<=30m", Judged::Held),
            ("max<30m", Judged::Broken),
            ("min>=10m", Judged::Held),
            ("min>10m", Judged::Broken),
            ("avg==20m", Judged::Held),
            ("avg!=20m", Judged::Broken),
            ("med<21m", Judged::Held),
            ("p(95)<25m", Judged::Broken),
        ] {
            let found = parse("device.download{ce=2}", expression).judge(&metrics);
            assert_eq!(found.judged, judged, "{expression}: {found:?}");
        }
    }

    #[test]
    fn without_a_label_it_is_asked_of_all_series() {
        let mut metrics = downloads("0", [1]);
        metrics.merge(downloads("2", [100]));
        assert_eq!(
            parse("device.download", "max<50m").judge(&metrics).judged,
            Judged::Broken
        );
        assert_eq!(
            parse("device.download{ce=0}", "max<50m")
                .judge(&metrics)
                .judged,
            Judged::Held
        );
        for (cell, active) in [(1, 50), (2, 51)] {
            let labels = [("cell", cell.to_string()), ("tier", "0".to_owned())];
            metrics.gauge("cell.active", Labels::of(labels), active);
        }
        let found = parse("cell.active{tier=0}", "max<=50").judge(&metrics);
        assert_eq!((found.judged, found.observed), (Judged::Broken, Some(51.0)));
    }

    #[test]
    fn what_was_not_measured_is_broken_and_says_so() {
        let result = parse("device.download", "p(95)<90m").result(&Metrics::default());
        assert_eq!(result.judged, Judged::NoData);
        assert_eq!(result.observed_text, "no data");
        assert!(!result.held());
    }

    #[test]
    fn a_run_ends_by_a_broken_one_that_says_so_after_its_delay() {
        let spec = |text: &str| toml::from_str::<ThresholdTable>(text).map(ThresholdSpec::Table);
        let table =
            spec("threshold = \"max<1m\"\nabort_on_fail = true\ndelay_abort_eval = \"10s\"");
        let aborts = table.unwrap().threshold("device.download").unwrap();
        let k6 = spec("threshold = \"max<1m\"\nabortOnFail = true\ndelayAbortEval = \"10s\"");
        assert_eq!(k6.unwrap().threshold("device.download").unwrap(), aborts);
        let metrics = downloads("0", [2]);
        let after = Duration::from_secs;
        assert!(!aborts.aborts(&metrics, after(9)));
        assert!(aborts.aborts(&metrics, after(10)));
        assert!(
            !aborts.aborts(&Metrics::default(), after(10)),
            "no data yet"
        );
        let plain = ThresholdSpec::Text("max<1m".to_owned());
        assert!(
            !plain
                .threshold("device.download")
                .unwrap()
                .aborts(&metrics, after(10))
        );
        assert!(spec("threshold = \"max<1m\"\nabort = true").is_err());
    }

    #[test]
    fn a_counters_rate_is_by_the_second() {
        let mut metrics = Metrics::default();
        metrics.count("coap.sent", Labels::none(), 300);
        assert_eq!(
            parse("coap.sent", "rate>1").judge(&metrics).judged,
            Judged::NoData
        );
        metrics.set_lasted(Duration::from_secs(60));
        assert_eq!(
            parse("coap.sent", "rate==5").judge(&metrics).judged,
            Judged::Held
        );
    }

    #[test]
    fn times_are_shown_in_the_units_that_say_most() {
        for (us, text) in [
            (40.0, "40 µs"),
            (1_500.0, "1.5 ms"),
            (4_210_000.0, "4.21 s"),
            (119_999_999.0, "2 m 00 s"),
            (5_000e6, "1 h 23 m"),
            (864_000e6, "10.00 d"),
        ] {
            assert_eq!(Unit::Time.text(us), text);
        }
    }
}
