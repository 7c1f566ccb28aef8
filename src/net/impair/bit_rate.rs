//! Sans-IO: how much a link brings across.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use super::ImpairmentError;

/// Units in which a rate is written, in bit/s; the largest that divides it is shown.
const UNITS: [(&str, u64); 3] = [("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// What a link brings across, in bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(NonZeroU64);

impl BitRate {
    /// So many bit/s.
    pub const fn from_bits_per_second(bits: NonZeroU64) -> Self {
        Self(bits)
    }

    /// In bit/s.
    pub const fn bits_per_second(self) -> u64 {
        self.0.get()
    }

    /// How long so many bytes take.
    pub fn time_of(self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many bytes cross in a time.
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = time.as_nanos() * u128::from(self.0.get()) / 8_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl FromStr for BitRate {
    type Err = ImpairmentError;

    /// `20kbit`: a whole number and a unit, in thousands.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let number = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &trimmed[number.len()..];
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        unit.zip(number.trim().parse::<u64>().ok())
            .and_then(|((_, unit), number)| number.checked_mul(*unit))
            .and_then(NonZeroU64::new)
            .map(Self)
            .ok_or_else(|| ImpairmentError::BitRate(text.to_owned()))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.0.get();
        let unit = UNITS.iter().find(|(_, unit)| rate.is_multiple_of(*unit));
        let (name, unit) = unit.unwrap_or(&("bit", 1));
        write!(f, "{}{name}", rate / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_shown() {
        for text in ["20kbit", "1mbit", "1500bit"] {
            assert_eq!(text.parse::<BitRate>().unwrap().to_string(), text);
        }
        for text in ["", "20", "0kbit", "-1kbit", "20kB", "99999999999999mbit"] {
            assert!(text.parse::<BitRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_take_their_time_and_the_time_takes_the_bytes() {
        let rate: BitRate = "20kbit".parse().unwrap();
        assert_eq!(rate.time_of(2_500), Duration::from_secs(1));
        assert_eq!(rate.bytes_in(Duration::from_secs(1)), 2_500);
    }
}
