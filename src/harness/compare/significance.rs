//! Whether a difference is more than chance: a z-test of two shares. Sans-IO.
//!
//! A rate is a share already. Of times, the share is that of those above the percentile of both runs
//! together (Mood's test, of the median and of any other percentile): the histograms say it to a
//! thousandth, and no shape of the times is assumed. Counters and gauges are one figure a run: of those
//! nothing can be said.

use crate::harness::metric::{Aggregate, Labels, Metrics, Trend};

/// The least that is expected on each side of a share for the normal curve to stand for it.
const EXPECTED_MIN: f64 = 5.0;

/// So many of so many, in two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    /// Of the first run: how many, of how many.
    first: (u64, u64),
    /// Of the other.
    other: (u64, u64),
}

impl Shares {
    /// How probable it is by chance alone that the two shares lie so far apart, on either side; `None`
    /// where there are too few to say.
    fn p_value(self) -> Option<f64> {
        let ((hits_a, of_a), (hits_b, of_b)) = (self.first, self.other);
        let (of_a, of_b) = (of_a as f64, of_b as f64);
        let pooled = (hits_a as f64 + hits_b as f64) / (of_a + of_b);
        let expected = [of_a, of_b].map(|of| of * pooled.min(1.0 - pooled));
        if hits_a as f64 == of_a && hits_b as f64 == of_b || (hits_a, hits_b) == (0, 0) {
            // Both are the same share, all or none: no difference is left to be explained.
            return (of_a > 0.0 && of_b > 0.0).then_some(1.0);
        }
        if expected
            .iter()
            .any(|expected| *expected < EXPECTED_MIN || expected.is_nan())
        {
            return None;
        }
        let spread = (pooled * (1.0 - pooled) * (1.0 / of_a + 1.0 / of_b)).sqrt();
        let z = (hits_a as f64 / of_a - hits_b as f64 / of_b).abs() / spread;
        Some(beyond(z))
    }
}

/// How probable the difference between two runs is by chance alone.
pub(super) fn significance(
    first: &Metrics,
    other: &Metrics,
    name: &str,
    labels: &Labels,
    aggregate: Aggregate,
) -> Option<f64> {
    if let (Some(first), Some(other)) = (
        first.trend_over(name, labels),
        other.trend_over(name, labels),
    ) {
        let percent = match aggregate {
            Aggregate::Percentile(percent) => percent,
            Aggregate::Med => 50.0,
            Aggregate::Avg
            | Aggregate::Min
            | Aggregate::Max
            | Aggregate::Count
            | Aggregate::Rate
            | Aggregate::Value => return None,
        };
        return of_times(&first, &other, percent).p_value();
    }
    let (first, other) = (
        first.rate_over(name, labels)?,
        other.rate_over(name, labels)?,
    );
    Shares { first, other }.p_value()
}

/// The shares above a percentile of both together.
fn of_times(first: &Trend, other: &Trend, percent: f64) -> Shares {
    let mut both = first.clone();
    both.merge(other);
    let border_us = both.percentile(percent).map_or(0, |took| took.as_micros());
    let above = |trend: &Trend| {
        let above = trend
            .buckets()
            .filter(|(us, _)| u128::from(*us) > border_us);
        (above.map(|(_, count)| count).sum(), trend.count())
    };
    Shares {
        first: above(first),
        other: above(other),
    }
}

/// How much of a normal curve lies further from its middle than z, on both sides: the complementary
/// error function by Abramowitz and Stegun 7.1.26, to 1.5e-7.
fn beyond(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial =
        ((((1.061_405_429 * t - 1.453_152_027) * t) + 1.421_413_741) * t - 0.284_496_736) * t
            + 0.254_829_592;
    (polynomial * t * (-x * x).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn times(seed: u64, count: u32, factor: f64) -> Metrics {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut metrics = Metrics::default();
        for _ in 0..count {
            let seconds = factor * rng.gen_range(10.0..100.0);
            metrics.time(
                "device.download",
                Labels::none(),
                Duration::from_secs_f64(seconds),
            );
        }
        metrics
    }

    fn p_value(first: &Metrics, other: &Metrics, percent: f64) -> Option<f64> {
        let aggregate = Aggregate::Percentile(percent);
        significance(first, other, "device.download", &Labels::none(), aggregate)
    }

    #[test]
    fn the_normal_curve_is_as_the_tables_have_it() {
        for (z, p) in [
            (0.0, 1.0),
            (1.0, 0.317_31),
            (1.959_96, 0.05),
            (2.575_83, 0.01),
            (4.0, 6.33e-5),
        ] {
            let found = beyond(z);
            assert!((found - p).abs() < 1e-5, "{z}: {found}");
        }
    }

    #[test]
    fn known_shares_have_the_textbooks_p_value() {
        // 40 of 100 against 60 of 100: z = 0.2 / sqrt(0.25 * 0.02) = 2.828.
        let shares = Shares {
            first: (40, 100),
            other: (60, 100),
        };
        let p_value = shares.p_value().unwrap();
        assert!((p_value - 0.004_678).abs() < 1e-5, "{p_value}");
    }

    #[test]
    fn too_few_say_nothing_and_all_against_all_is_no_difference() {
        let of = |first, other| Shares { first, other }.p_value();
        assert_eq!(of((1, 8), (5, 9)), None);
        assert_eq!(of((0, 0), (5, 9)), None);
        assert_eq!(of((50, 50), (70, 70)), Some(1.0));
        assert_eq!(of((0, 50), (0, 70)), Some(1.0));
        assert!(of((0, 5000), (50, 5000)).unwrap() < 1e-6);
    }

    #[test]
    fn runs_that_differ_by_their_seed_alone_are_seldom_told_apart_and_slower_ones_are() {
        let mut told = 0;
        for seed in 0..200 {
            let (first, other) = (times(seed, 500, 1.0), times(seed + 1000, 500, 1.0));
            told += u32::from(p_value(&first, &other, 95.0).unwrap() < 0.05);
        }
        // 10 are to be expected of 200 at 5 %.
        assert!((2..=22).contains(&told), "{told}");
        let (first, slower) = (times(1, 500, 1.0), times(2, 500, 1.25));
        for percent in [50.0, 95.0] {
            assert!(p_value(&first, &slower, percent).unwrap() < 1e-3);
        }
    }
}
