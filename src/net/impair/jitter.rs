//! Sans-IO: by how much delays differ.
//!
//! Whole numbers only: a seed draws the same delays on every machine.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::{ImpairmentError, duration};

/// Numbers here are in parts of 2⁻³² where they are not whole.
const ONE: i128 = 1 << 32;

/// The normal distribution's 95 % quantile, 1.644 85.
const Z95: i128 = 7_064_592_384;

/// Bits of a power's fraction that are reckoned with: delays are cut by less than 1 in 90,000.
const FRACTION_BITS: usize = 16;

/// 2^(1/2), 2^(1/4), …, in parts of 2⁻⁶².
const ROOTS: [u128; FRACTION_BITS] = roots();

/// By how much a datagram's delay differs from the fixed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Evenly, by this much less to this much more.
    Uniform(Duration),
    /// By a normal distribution of this standard deviation around it (as the sum of twelve even ones).
    Normal(Duration),
    /// By what is added, whose logarithm is normally distributed: many short, few very long, as round
    /// trips of cells are.
    LogNormal {
        /// Half of them are shorter.
        median: Duration,
        /// Of twenty, 19 are shorter; not below the median.
        p95: Duration,
    },
}

impl Jitter {
    /// A delay around `delay`, which is never below zero: what is cut off there is none.
    pub(super) fn draw(self, delay: Duration, rng: &mut StdRng) -> Duration {
        let fixed = nanos(delay);
        let drawn = match self {
            Self::Uniform(most) => {
                let most = i64::try_from(most.as_nanos()).unwrap_or(i64::MAX / 2);
                fixed + i128::from(rng.gen_range(-most..=most))
            }
            Self::Normal(deviation) => fixed + nanos(deviation) * normal(rng) / ONE,
            Self::LogNormal { median, p95 } => {
                let exponent = normal(rng) * log2(nanos(p95), nanos(median)) / Z95;
                fixed + times_power_of_two(nanos(median), exponent)
            }
        };
        Duration::from_nanos(u64::try_from(drawn.max(0)).unwrap_or(u64::MAX))
    }
}

impl FromStr for Jitter {
    type Err = ImpairmentError;

    /// `50ms`, `normal:50ms`, `lognormal:500ms,2s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = match text.split_once(':') {
            None => duration(text).map(Self::Uniform),
            Some(("uniform", most)) => duration(most).map(Self::Uniform),
            Some(("normal", deviation)) => duration(deviation).map(Self::Normal),
            Some(("lognormal", both)) => both.split_once(',').and_then(|(median, p95)| {
                let (median, p95) = (duration(median)?, duration(p95)?);
                (!median.is_zero() && median <= p95).then_some(Self::LogNormal { median, p95 })
            }),
            Some(_) => None,
        };
        parsed.ok_or_else(|| ImpairmentError::Jitter(text.to_owned()))
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use humantime_serde::re::humantime::format_duration;
        match self {
            Self::Uniform(most) => write!(f, "{}", format_duration(*most)),
            Self::Normal(deviation) => write!(f, "normal:{}", format_duration(*deviation)),
            Self::LogNormal { median, p95 } => {
                let (median, p95) = (format_duration(*median), format_duration(*p95));
                write!(f, "lognormal:{median},{p95}")
            }
        }
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// A standard normal number, in parts of 2⁻³²: twelve even ones less six (Irwin and Hall).
fn normal(rng: &mut StdRng) -> i128 {
    let sum: u64 = (0..12).map(|_| u64::from(rng.r#gen::<u32>())).sum();
    i128::from(sum) - 6 * ONE
}

/// The binary logarithm of `above / below`, which is at least 1, in parts of 2⁻³².
fn log2(above: i128, below: i128) -> i128 {
    let (above, below) = (above.unsigned_abs(), below.unsigned_abs().max(1));
    let whole = (above / below).max(1).ilog2();
    let mut rest = (above << 62) / (below << whole);
    let mut fraction = 0_i128;
    for _ in 0..32 {
        rest = (rest >> 31) * (rest >> 31);
        fraction <<= 1;
        if rest >= 1 << 63 {
            rest >>= 1;
            fraction |= 1;
        }
    }
    i128::from(whole) * ONE + fraction
}

/// `value * 2^exponent`, with the exponent in parts of 2⁻³².
fn times_power_of_two(value: i128, exponent: i128) -> i128 {
    let (whole, fraction) = (exponent.div_euclid(ONE), exponent.rem_euclid(ONE));
    let mut power = 1_u128 << 62;
    for (place, root) in ROOTS.iter().enumerate() {
        if (fraction >> (31 - place)) & 1 == 1 {
            power = (power >> 31) * (root >> 31);
        }
    }
    // At most 2⁶⁴ of value and 2 of power: room for both.
    let product = (value.unsigned_abs() * (power >> 30)) >> 32;
    let shift = u32::try_from(whole.unsigned_abs().min(63)).unwrap_or(63);
    let shifted = if whole < 0 {
        product >> shift
    } else {
        product.min(u128::from(u64::MAX)) << shift
    };
    i128::try_from(shifted).unwrap_or(i128::MAX / 2)
}

const fn roots() -> [u128; FRACTION_BITS] {
    let mut roots = [0; FRACTION_BITS];
    let (mut root, mut place) = (1_u128 << 63, 0);
    while place < FRACTION_BITS {
        root = (root << 62).isqrt();
        roots[place] = root;
        place += 1;
    }
    roots
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn drawn(jitter: Jitter, delay: Duration) -> Vec<f64> {
        let mut rng = StdRng::seed_from_u64(5);
        let mut drawn: Vec<_> = (0..20_001)
            .map(|_| jitter.draw(delay, &mut rng).as_secs_f64())
            .collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[track_caller]
    fn assert_near(value: f64, expected: f64, part: f64) {
        let off = (value - expected).abs();
        assert!(off <= expected * part, "{value} and not {expected}");
    }

    #[test]
    fn even_delays_lie_evenly_around_the_fixed_one() {
        let drawn = drawn(Jitter::Uniform(SECOND / 2), SECOND);
        assert!(drawn[0] >= 0.5 && drawn[20_000] <= 1.5);
        for (place, expected) in [(2_000, 0.6), (10_000, 1.0), (18_000, 1.4)] {
            assert_near(drawn[place], expected, 0.02);
        }
    }

    #[test]
    fn normal_delays_have_the_quantiles_of_the_normal_distribution() {
        let drawn = drawn(Jitter::Normal(SECOND / 10), SECOND);
        for (place, expected) in [
            (460, 0.8),
            (3_173, 0.9),
            (10_000, 1.0),
            (16_827, 1.1),
            (19_540, 1.2),
        ] {
            assert_near(drawn[place], expected, 0.02);
        }
    }

    #[test]
    fn log_normal_delays_have_their_median_and_their_95th_percentile() {
        let (median, p95) = (SECOND / 2, 2 * SECOND);
        let drawn = drawn(Jitter::LogNormal { median, p95 }, SECOND);
        for (place, expected) in [(1_000, 1.125), (10_000, 1.5), (19_000, 3.0)] {
            assert_near(drawn[place], expected, 0.04);
        }
    }

    #[test]
    fn no_delay_is_below_zero() {
        assert!(drawn(Jitter::Normal(SECOND), SECOND / 2)[0] >= 0.0);
    }

    #[test]
    fn logarithms_and_powers_are_each_others_inverse() {
        for (above, below) in [(1, 1), (3, 2), (4, 1), (20_000, 7), (1_000_000_007, 1_000)] {
            let log = log2(above, below);
            let back = times_power_of_two(below << 20, log);
            let off = (back - (above << 20)).unsigned_abs();
            assert!(off * 50_000 <= (above << 20).unsigned_abs(), "{above}");
            let shrunk = times_power_of_two(above << 20, -log);
            let off = (shrunk - (below << 20)).unsigned_abs();
            assert!(off * 50_000 <= (below << 20).unsigned_abs(), "{above}");
        }
    }

    #[test]
    fn a_jitter_is_read_as_it_is_shown() {
        for text in ["50ms", "normal:1s", "lognormal:500ms,2s"] {
            assert_eq!(text.parse::<Jitter>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "50",
            "normal",
            "cauchy:1s",
            "lognormal:2s,1s",
            "lognormal:0s,1s",
        ] {
            assert!(text.parse::<Jitter>().is_err(), "{text}");
        }
    }
}
