//! Metrics of a run: counters, gauges, rates and trends, each by its labels. Sans-IO.

mod catalogue;
mod figure;
mod trend;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use catalogue::{Aggregate, Definition, Kind, METRICS, Unit};
pub use trend::Trend;

/// The most series there are, of all metrics together: four tiers of 5,000 cells.
const SERIES_MAX: usize = 20_000;

/// The most of them that are trends, each of which takes up to 300 KiB.
const TRENDS_MAX: usize = 256;

/// Label values of a metric, in the order of the labels' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<Cow<'static, str>, String>);

impl Labels {
    /// No labels.
    pub const fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// These labels.
    pub fn of<const N: usize>(labels: [(&'static str, String); N]) -> Self {
        let labels = labels.map(|(name, value)| (Cow::Borrowed(name), value));
        Self(BTreeMap::from(labels))
    }

    /// With this label beside.
    #[must_use]
    pub fn with(mut self, name: String, value: String) -> Self {
        self.0.insert(Cow::Owned(name), value);
        self
    }

    /// The value of a label.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The labels' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// Whether all of `others` are among these.
    pub fn has_all(&self, others: &Self) -> bool {
        others
            .0
            .iter()
            .all(|(name, value)| self.0.get(name) == Some(value))
    }
}

impl fmt::Display for Labels {
    /// `{ce=2,cell=7}`; nothing where there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        for (index, (name, value)) in self.0.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{name}={value}")?;
        }
        f.write_str("}")
    }
}

/// What one series has come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Value {
    /// How much it has come to.
    Counter {
        /// The sum.
        count: u64,
    },
    /// What it is now, and its extremes.
    Gauge {
        /// The last value.
        value: i64,
        /// The lowest.
        min: i64,
        /// The highest.
        max: i64,
    },
    /// How many of all were so.
    Rate {
        /// Those that were.
        hits: u64,
        /// All.
        all: u64,
    },
    /// How long things took.
    Trend(Trend),
}

impl Value {
    const fn kind(&self) -> Kind {
        match self {
            Self::Counter { .. } => Kind::Counter,
            Self::Gauge { .. } => Kind::Gauge,
            Self::Rate { .. } => Kind::Rate,
            Self::Trend(_) => Kind::Trend,
        }
    }

    /// What two runs side by side come to. The highest of two gauges at once is at most the sum of both
    /// highest, and that is what it is taken for: where devices of one cell are spread over agents, a
    /// limit that holds for the sum held.
    fn merge(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Counter { count }, Self::Counter { count: more }) => {
                *count = count.saturating_add(*more);
            }
            (
                Self::Gauge { value, min, max },
                Self::Gauge {
                    value: other_value,
                    min: other_min,
                    max: other_max,
                },
            ) => {
                *value = value.saturating_add(*other_value);
                *min = min.saturating_add(*other_min);
                *max = max.saturating_add(*other_max);
            }
            (
                Self::Rate { hits, all },
                Self::Rate {
                    hits: more_hits,
                    all: more,
                },
            ) => {
                *hits = hits.saturating_add(*more_hits);
                *all = all.saturating_add(*more);
            }
            (Self::Trend(trend), Self::Trend(more)) => trend.merge(more),
            (
                Self::Counter { .. } | Self::Gauge { .. } | Self::Rate { .. } | Self::Trend(_),
                Self::Counter { .. } | Self::Gauge { .. } | Self::Rate { .. } | Self::Trend(_),
            ) => return false,
        }
        true
    }
}

/// A series that was found once, for what happens often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesId(Option<usize>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: Cow<'static, str>,
    labels: Labels,
}

/// All series of a run. What comes when there is no room for another, or under a name that is of another
/// kind, is counted as left out.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    index: BTreeMap<Key, usize>,
    values: Vec<Value>,
    trends: usize,
    left_out: u64,
    lasted: Duration,
}

impl Metrics {
    /// Adds to a counter; 0 makes it known.
    pub fn count(&mut self, name: &'static str, labels: Labels, by: u64) {
        let id = self.counter(name, labels);
        self.add(id, by);
    }

    /// Sets a gauge.
    pub fn gauge(&mut self, name: &'static str, labels: Labels, value: i64) {
        let first = Value::Gauge {
            value,
            min: value,
            max: value,
        };
        let id = self.series(name, labels, || first);
        self.set(id, value);
    }

    /// Counts one more of a rate's all, and among its hits where it is one.
    pub fn hit(&mut self, name: &'static str, labels: Labels, yes: bool) {
        let id = self.rate(name, labels);
        self.add_hit(id, yes);
    }

    /// Adds a time to a trend.
    pub fn time(&mut self, name: &'static str, labels: Labels, took: Duration) {
        let id = self.trend(name, labels);
        self.record(id, took);
    }

    /// Takes what another worker measured in the same run.
    pub fn merge(&mut self, other: Self) {
        self.lasted = self.lasted.max(other.lasted);
        self.left_out = self.left_out.saturating_add(other.left_out);
        let mut values: Vec<_> = other.values.into_iter().map(Some).collect();
        for (key, index) in other.index {
            let Some(value) = values.get_mut(index).and_then(Option::take) else {
                continue;
            };
            match self.index.get(&key).copied() {
                Some(own) => {
                    let fits = self.values.get_mut(own).map(|own| own.merge(&value));
                    self.left_out += u64::from(fits != Some(true));
                }
                None => {
                    self.insert(key, value);
                }
            }
        }
    }

    /// The counter of this name and these labels, which is there from now on.
    pub fn counter(&mut self, name: &'static str, labels: Labels) -> SeriesId {
        self.series(name, labels, || Value::Counter { count: 0 })
    }

    /// The rate.
    pub fn rate(&mut self, name: &'static str, labels: Labels) -> SeriesId {
        self.series(name, labels, || Value::Rate { hits: 0, all: 0 })
    }

    /// The trend.
    pub fn trend(&mut self, name: &'static str, labels: Labels) -> SeriesId {
        self.series(name, labels, || Value::Trend(Trend::default()))
    }

    /// The gauge, at 0 where it is new.
    pub fn gauge_at_zero(&mut self, name: &'static str, labels: Labels) -> SeriesId {
        self.series(name, labels, || Value::Gauge {
            value: 0,
            min: 0,
            max: 0,
        })
    }

    /// Adds to a counter.
    pub fn add(&mut self, id: SeriesId, by: u64) {
        if let Some(Value::Counter { count }) = self.value_mut(id) {
            *count = count.saturating_add(by);
        } else {
            self.left_out += 1;
        }
    }

    /// Sets a gauge.
    pub fn set(&mut self, id: SeriesId, to: i64) {
        if let Some(Value::Gauge { value, min, max }) = self.value_mut(id) {
            (*value, *min, *max) = (to, to.min(*min), to.max(*max));
        } else {
            self.left_out += 1;
        }
    }

    /// Counts one more of a rate's all.
    pub fn add_hit(&mut self, id: SeriesId, yes: bool) {
        if let Some(Value::Rate { hits, all }) = self.value_mut(id) {
            *hits = hits.saturating_add(u64::from(yes));
            *all = all.saturating_add(1);
        } else {
            self.left_out += 1;
        }
    }

    /// Adds a time to a trend.
    pub fn record(&mut self, id: SeriesId, took: Duration) {
        if let Some(Value::Trend(trend)) = self.value_mut(id) {
            trend.record(took);
        } else {
            self.left_out += 1;
        }
    }

    /// How long it has been measured: what rates per second are of.
    pub const fn set_lasted(&mut self, lasted: Duration) {
        self.lasted = lasted;
    }

    /// How long it has been measured.
    pub const fn lasted(&self) -> Duration {
        self.lasted
    }

    /// How many values found no series.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// All series, by name and labels.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Labels, &Value)> {
        self.index.iter().filter_map(|(key, index)| {
            let value = self.values.get(*index)?;
            Some((key.name.as_ref(), &key.labels, value))
        })
    }

    /// The series of a metric that have all of these labels.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a Labels,
    ) -> impl Iterator<Item = (&'a Labels, &'a Value)> {
        let first = Key {
            name: Cow::Owned(name.to_owned()),
            labels: Labels::none(),
        };
        let of_name = self.index.range(first..);
        of_name
            .take_while(move |(key, _)| key.name == name)
            .filter(|(key, _)| key.labels.has_all(labels))
            .filter_map(|(key, index)| Some((&key.labels, self.values.get(*index)?)))
    }

    /// All times of a metric's series that have these labels; `None` where there are none.
    pub fn trend_over(&self, name: &str, labels: &Labels) -> Option<Trend> {
        let mut all = Trend::default();
        for (_, value) in self.matching(name, labels) {
            if let Value::Trend(trend) = value {
                all.merge(trend);
            }
        }
        (all.count() > 0).then_some(all)
    }

    /// What a counter comes to over all series with these labels; `None` where there is none.
    pub fn count_over(&self, name: &str, labels: &Labels) -> Option<u64> {
        let counts = self.matching(name, labels).filter_map(|(_, value)| {
            let Value::Counter { count } = value else {
                return None;
            };
            Some(*count)
        });
        counts.reduce(u64::saturating_add)
    }

    /// Hits and all of a rate over all series with these labels; `None` where there is none.
    pub fn rate_over(&self, name: &str, labels: &Labels) -> Option<(u64, u64)> {
        let rates = self.matching(name, labels).filter_map(|(_, value)| {
            let Value::Rate { hits, all } = value else {
                return None;
            };
            Some((*hits, *all))
        });
        rates.reduce(|(hits, all), (more_hits, more)| (hits + more_hits, all + more))
    }

    fn series(
        &mut self,
        name: &'static str,
        labels: Labels,
        first: impl FnOnce() -> Value,
    ) -> SeriesId {
        let key = Key {
            name: Cow::Borrowed(name),
            labels,
        };
        if let Some(index) = self.index.get(&key) {
            return SeriesId(Some(*index));
        }
        self.insert(key, first())
    }

    fn insert(&mut self, key: Key, value: Value) -> SeriesId {
        let is_trend = value.kind() == Kind::Trend;
        if self.values.len() >= SERIES_MAX || (is_trend && self.trends >= TRENDS_MAX) {
            self.left_out += 1;
            return SeriesId(None);
        }
        self.trends += usize::from(is_trend);
        let index = self.values.len();
        self.values.push(value);
        self.index.insert(key, index);
        SeriesId(Some(index))
    }

    fn value_mut(&mut self, id: SeriesId) -> Option<&mut Value> {
        self.values.get_mut(id.0?)
    }
}

impl PartialEq for Metrics {
    /// Whatever the order in which their series came.
    fn eq(&self, other: &Self) -> bool {
        self.lasted == other.lasted
            && self.left_out == other.left_out
            && self.iter().eq(other.iter())
    }
}

#[derive(Serialize, Deserialize)]
struct StoredSeries {
    name: String,
    #[serde(default)]
    labels: Labels,
    #[serde(flatten)]
    value: Value,
}

#[derive(Serialize, Deserialize)]
struct StoredMetrics {
    lasted_ms: u64,
    #[serde(default)]
    left_out: u64,
    series: Vec<StoredSeries>,
}

impl Serialize for Metrics {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series = self.iter().map(|(name, labels, value)| StoredSeries {
            name: name.to_owned(),
            labels: labels.clone(),
            value: value.clone(),
        });
        let stored = StoredMetrics {
            lasted_ms: u64::try_from(self.lasted.as_millis()).unwrap_or(u64::MAX),
            left_out: self.left_out,
            series: series.collect(),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredMetrics::deserialize(deserializer)?;
        let mut metrics = Self {
            lasted: Duration::from_millis(stored.lasted_ms),
            left_out: stored.left_out,
            ..Self::default()
        };
        for StoredSeries {
            name,
            labels,
            value,
        } in stored.series
        {
            let key = Key {
                name: Cow::Owned(name),
                labels,
            };
            if !metrics.index.contains_key(&key) {
                metrics.insert(key, value);
            }
        }
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ce(level: u8) -> Labels {
        Labels::of([("ce", level.to_string())])
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn each_kind_keeps_what_its_name_says() {
        let mut metrics = Metrics::default();
        metrics.count("coap.sent", ce(0), 2);
        metrics.count("coap.sent", ce(1), 3);
        for value in [4, 9, 1] {
            metrics.gauge("server.rss", Labels::none(), value);
        }
        metrics.hit("campaign.success_rate", Labels::none(), true);
        metrics.hit("campaign.success_rate", Labels::none(), false);
        assert_eq!(metrics.count_over("coap.sent", &Labels::none()), Some(5));
        assert_eq!(metrics.count_over("coap.sent", &ce(1)), Some(3));
        assert_eq!(metrics.count_over("coap.sent", &ce(2)), None);
        let all = Labels::none();
        let rss = metrics.matching("server.rss", &all).next();
        let gauge = Value::Gauge {
            value: 1,
            min: 1,
            max: 9,
        };
        assert_eq!(rss.map(|(_, value)| value), Some(&gauge));
        let rate = metrics.rate_over("campaign.success_rate", &Labels::none());
        assert_eq!(rate, Some((1, 2)));
    }

    #[test]
    fn a_series_too_many_is_counted_and_takes_no_room() {
        let mut metrics = Metrics::default();
        for cell in 0..=SERIES_MAX {
            let labels = Labels::of([("cell", cell.to_string())]);
            metrics.count("coap.sent", labels, 1);
        }
        assert_eq!(metrics.values.len(), SERIES_MAX);
        assert_eq!(metrics.left_out(), 2, "no series, and a value without one");
    }

    #[test]
    fn trends_are_bounded_closer_and_a_name_is_of_one_kind() {
        let mut metrics = Metrics::default();
        for ce in 0..=TRENDS_MAX {
            let labels = Labels::of([("ce", ce.to_string())]);
            metrics.time("coap.round_trip", labels, ms(1));
        }
        assert_eq!(metrics.values.len(), TRENDS_MAX);
        let before = metrics.left_out();
        metrics.count("coap.round_trip", ce(0), 1);
        assert_eq!(metrics.left_out(), before + 1);
    }

    #[test]
    fn a_gauge_of_two_agents_is_the_sum_that_both_may_have_come_to() {
        let mut one = Metrics::default();
        one.gauge("cell.active", ce(0), 30);
        one.gauge("cell.active", ce(0), 10);
        let two = one.clone();
        one.merge(two);
        let all = Labels::none();
        let active = one.matching("cell.active", &all).next();
        let sum = Value::Gauge {
            value: 20,
            min: 20,
            max: 60,
        };
        assert_eq!(active.map(|(_, value)| value), Some(&sum));
    }

    proptest! {
        #[test]
        fn halves_that_are_written_read_and_merged_are_the_whole(
            times in prop::collection::vec((0u8..3, 0u64..4_000_000_000), 0..200),
            at in 0usize..200,
        ) {
            let measure = |times: &[(u8, u64)]| {
                let mut metrics = Metrics::default();
                for (level, us) in times {
                    let took = Duration::from_micros(*us);
                    metrics.time("device.download", ce(*level), took);
                    metrics.hit("coap.retransmit_ratio", ce(*level), us % 2 == 0);
                    metrics.count("block.received", ce(*level), *us);
                }
                metrics
            };
            let through_json = |metrics: &Metrics| {
                let text = serde_json::to_string(metrics).unwrap();
                serde_json::from_str::<Metrics>(&text).unwrap()
            };
            let (first, second) = times.split_at(at.min(times.len()));
            let mut merged = through_json(&measure(first));
            merged.merge(through_json(&measure(second)));
            let whole = measure(&times);
            for (name, labels, value) in whole.iter() {
                let same = merged.matching(name, labels).next();
                prop_assert_eq!(same, Some((labels, value)));
            }
            prop_assert_eq!(merged.values.len(), whole.values.len());
        }
    }
}
