//! How long things took: counts in buckets that are exact to three digits. Sans-IO.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Significant digits of a time: the most that a bucket is off is a thousandth.
const DIGITS: u8 = 3;

/// The longest time that is told from a longer one: a year, in microseconds.
const LONGEST_US: u64 = 365 * 24 * 3600 * 1_000_000;

/// Times, in whole microseconds. Its shortest, longest and mean are exact, its percentiles to a
/// thousandth. It takes up to 300 KiB, whatever the number of times.
#[derive(Clone)]
pub struct Trend {
    /// Empty until the first time.
    histogram: Option<Histogram<u64>>,
    count: u64,
    min_us: u64,
    max_us: u64,
    sum_us: u64,
}

impl Trend {
    /// Takes one more.
    pub fn record(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.add(us.min(LONGEST_US), 1);
        let us = us.min(LONGEST_US);
        self.min_us = self.min_us.min(us);
        self.max_us = self.max_us.max(us);
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Takes all of another.
    pub fn merge(&mut self, other: &Self) {
        for (us, count) in other.buckets() {
            self.add(us, count);
        }
        self.min_us = self.min_us.min(other.min_us);
        self.max_us = self.max_us.max(other.max_us);
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The shortest; `None` where there is none, as with all that follow.
    pub fn min(&self) -> Option<Duration> {
        self.some(self.min_us)
    }

    /// The longest.
    pub fn max(&self) -> Option<Duration> {
        self.some(self.max_us)
    }

    /// The mean.
    pub fn mean(&self) -> Option<Duration> {
        self.some(self.sum_us.checked_div(self.count)?)
    }

    /// The least time within which so many per cent were done.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let us = self.histogram.as_ref()?.value_at_percentile(percent);
        self.some(us.clamp(self.min_us, self.max_us))
    }

    /// The buckets that hold something: their longest time in microseconds, and how many. The shortest
    /// first.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.histogram.iter().flat_map(Histogram::iter_recorded);
        recorded.map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
    }

    fn some(&self, us: u64) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_micros(us))
    }

    fn add(&mut self, us: u64, count: u64) {
        if self.histogram.is_none() {
            // It is refused for more than five digits only.
            self.histogram = Histogram::new(DIGITS).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            // It grows to any time; without the memory for that a time is not counted.
            if histogram.record_n(us, count).is_ok() {
                self.count = self.count.saturating_add(count);
            }
        }
    }
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            histogram: None,
            count: 0,
            min_us: u64::MAX,
            max_us: 0,
            sum_us: 0,
        }
    }
}

impl fmt::Debug for Trend {
    /// Without the buckets, of which there are thousands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trend")
            .field("count", &self.count)
            .field("min_us", &self.min_us)
            .field("max_us", &self.max_us)
            .field("sum_us", &self.sum_us)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Trend {
    fn eq(&self, other: &Self) -> bool {
        let ends = |trend: &Self| (trend.count, trend.min_us, trend.max_us, trend.sum_us);
        ends(self) == ends(other) && self.buckets().eq(other.buckets())
    }
}

/// As it is written: with the figures that a reader looks for, which are not read again.
#[derive(Serialize)]
struct Written {
    count: u64,
    sum_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    med_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_us: Option<u64>,
    buckets: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Read {
    sum_us: u64,
    min_us: Option<u64>,
    max_us: Option<u64>,
    buckets: Vec<(u64, u64)>,
}

impl Serialize for Trend {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let us =
            |took: Option<Duration>| took.and_then(|took| u64::try_from(took.as_micros()).ok());
        let written = Written {
            count: self.count,
            sum_us: self.sum_us,
            min_us: us(self.min()),
            avg_us: us(self.mean()),
            med_us: us(self.percentile(50.0)),
            p90_us: us(self.percentile(90.0)),
            p95_us: us(self.percentile(95.0)),
            p99_us: us(self.percentile(99.0)),
            max_us: us(self.max()),
            buckets: self.buckets().collect(),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Trend {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let mut trend = Self::default();
        for (us, count) in read.buckets {
            trend.add(us.min(LONGEST_US), count);
        }
        trend.sum_us = read.sum_us;
        trend.min_us = read.min_us.unwrap_or(u64::MAX);
        trend.max_us = read.max_us.unwrap_or(0);
        Ok(trend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn its_ends_and_mean_are_exact_and_its_percentiles_to_a_thousandth() {
        let mut trend = Trend::default();
        for seconds in 1..=1000 {
            trend.record(s(seconds));
        }
        assert_eq!(trend.min(), Some(s(1)));
        assert_eq!(trend.max(), Some(s(1000)));
        assert_eq!(trend.mean(), Some(Duration::from_millis(500_500)));
        for (percent, seconds) in [(50.0, 500.0), (95.0, 950.0), (99.0, 990.0)] {
            let found = trend.percentile(percent).unwrap().as_secs_f64();
            assert!((found / seconds - 1.0).abs() < 0.001, "{percent}: {found}");
        }
        assert_eq!(trend.percentile(100.0), Some(s(1000)));
    }

    #[test]
    fn nothing_has_no_figures() {
        let trend = Trend::default();
        let figures = [
            trend.min(),
            trend.max(),
            trend.mean(),
            trend.percentile(50.0),
        ];
        assert_eq!(figures, [None; 4]);
    }

    #[test]
    fn a_time_beyond_all_is_the_longest() {
        let mut trend = Trend::default();
        trend.record(Duration::MAX);
        assert_eq!(trend.max(), Some(Duration::from_micros(LONGEST_US)));
    }

    #[test]
    fn a_file_with_absurd_buckets_is_read_in_bounded_memory() {
        let text = r#"{"sum_us":1,"min_us":1,"max_us":9,"buckets":[[18446744073709551615,18446744073709551615],[1,1]]}"#;
        let trend: Trend = serde_json::from_str(text).unwrap();
        assert_eq!(trend.count(), u64::MAX);
    }
}
