//! Quantities as an operator writes them. Sans-IO.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

use crate::sim::Chance;

/// A time: `"90s"`, `"1h30m"`, `"20.48s"`, `"2d03:00"`, `"03:00"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(pub(super) Duration);

/// A time before or after, `"-10m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignedTime {
    pub(super) back: bool,
    pub(super) time: Duration,
}

/// Times from one to another, `"60s-180s"`, or always the same, `"60s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeRange(pub(super) Duration, pub(super) Duration);

/// Times of day, `"08:00-09:00"`; the second not before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayWindow {
    pub(super) from: Duration,
    pub(super) to: Duration,
}

/// So many devices in so much time, `"200/s"`: the time from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) every: Duration,
}

/// A size: 102400, `"100KB"`, `"64KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: usize,
}

/// A cell: 27439873 or `"0x1A2B301"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellNumber(pub(super) u32);

/// 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probability(pub(super) Chance);

/// The longest time: a hundred years.
const DAYS_MAX: u64 = 36_500;

const DAY_SECONDS: u64 = 86_400;

fn time(text: &str) -> Option<Duration> {
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.parse::<u64>().ok()?, rest),
        None => (0, text),
    };
    let rest = if rest.contains(':') {
        clock(rest)?
    } else if rest.is_empty() {
        (text.contains('d')).then_some(Duration::ZERO)?
    } else {
        in_units(rest)?
    };
    let days = (days <= DAYS_MAX).then_some(days)?;
    Duration::from_secs(days * DAY_SECONDS).checked_add(rest)
}

/// `03:00`, `03:00:30`.
fn clock(text: &str) -> Option<Duration> {
    let mut parts = text.split(':').map(|part| {
        let is_plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_plain.then(|| part.parse::<u64>().ok()).flatten()
    });
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = parts.next().map_or(Some(0), |seconds| seconds)?;
    let is_whole = parts.next().is_none() && hours <= 24 && minutes < 60 && seconds < 60;
    is_whole.then(|| Duration::from_secs(hours * 3600 + minutes * 60 + seconds))
}

/// `1h30m`, `20.48s`.
fn in_units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic());
        let (unit, after) = after.split_at(unit_end.unwrap_or(after.len()));
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        sum = sum.checked_add(decimal(number, unit_ms)?)?;
        rest = after;
    }
    Some(sum)
}

/// A decimal number of units, in whole milliseconds; no floats, so it is the same everywhere.
fn decimal(number: &str, unit_ms: u64) -> Option<Duration> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 12
        || part.len() > 6
        || !is_digits(whole)
        || !is_digits(part)
    {
        return None;
    }
    let whole_ms = whole.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let part: u64 = if part.is_empty() {
        0
    } else {
        part.parse().ok()?
    };
    let ms = whole_ms.checked_add(part * unit_ms / scale)?;
    (ms / 1000 / DAY_SECONDS <= DAYS_MAX).then(|| Duration::from_millis(ms))
}

fn day_window(text: &str) -> Option<DayWindow> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (clock(from.trim())?, clock(to.trim())?);
    // Over midnight it ends on the next day.
    let to = if to < from {
        to + Duration::from_secs(DAY_SECONDS)
    } else {
        to
    };
    Some(DayWindow { from, to })
}

fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
    let unit = match unit.trim() {
        "s" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return None,
    };
    Some(Rate {
        every: unit / count,
    })
}

fn size(text: &str) -> Option<usize> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1000,
        "KiB" => 1024,
        "MB" => 1_000_000,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// A text of this form, or the fault that says what the form is.
fn of_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(text.trim()).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a whole number or a text")]
enum NumberOrText {
    Number(i64),
    Text(String),
}

/// A number, or a text that means one.
fn of_number<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    within: RangeInclusive<i64>,
    parse: impl FnOnce(&str) -> Option<i64>,
) -> Result<i64, D::Error> {
    let (number, told) = match NumberOrText::deserialize(deserializer)? {
        NumberOrText::Number(number) => (Some(number), number.to_string()),
        NumberOrText::Text(text) => (parse(text.trim()), text),
    };
    let number = number.filter(|number| within.contains(number));
    number.ok_or_else(|| D::Error::invalid_value(Unexpected::Other(&told), &expected))
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a time, such as \"90s\", \"1h30m\", \"30d\" or \"2d03:00\"";
        of_text(deserializer, expected, |text| time(text).map(Self))
    }
}

impl<'de> Deserialize<'de> for SignedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a time, such as \"2h\", or one back, such as \"-10m\"";
        of_text(deserializer, expected, |text| {
            let back = text.starts_with('-');
            let time = time(text.trim_start_matches(['-', '+']))?;
            Some(Self { back, time })
        })
    }
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a time or a range of times, such as \"60s-180s\"";
        of_text(deserializer, expected, |text| {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            let (from, to) = (time(from.trim())?, time(to.trim())?);
            (from <= to).then_some(Self(from, to))
        })
    }
}

impl<'de> Deserialize<'de> for DayWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "two times of day, such as \"08:00-09:00\"";
        of_text(deserializer, expected, day_window)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "devices in a time, such as \"200/s\" or \"50/m\"";
        of_text(deserializer, expected, rate)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "1 byte to 100 MB, such as 102400, \"100KB\" or \"64KiB\"";
        let bytes = of_number(deserializer, expected, 1..=100_000_000, |text| {
            i64::try_from(size(text)?).ok()
        })?;
        Ok(Self {
            bytes: usize::try_from(bytes).unwrap_or_default(),
        })
    }
}

impl<'de> Deserialize<'de> for CellNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a cell identity, 0 to 268435455, such as 27439873 or \"0x1A2B301\"";
        let number = of_number(deserializer, expected, 0..=0x0fff_ffff, |text| {
            match text.strip_prefix("0x") {
                Some(digits) => i64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            }
        })?;
        Ok(Self(u32::try_from(number).unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if !(0.0..=1.0).contains(&value) {
            let expected = "a probability, 0 to 1";
            return Err(D::Error::invalid_value(Unexpected::Float(value), &expected));
        }
        // It lies between 0 and a million.
        let millionths = (value * 1_000_000.0).round() as u32;
        Ok(Self(Chance(millionths)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn times_are_read_as_operators_write_them() {
        assert_eq!(time("90s"), Some(seconds(90)));
        assert_eq!(time("1h30m"), Some(seconds(5400)));
        assert_eq!(time("30d"), Some(seconds(30 * 86_400)));
        assert_eq!(time("2d03:00"), Some(seconds(2 * 86_400 + 3 * 3600)));
        assert_eq!(time("2d3h"), Some(seconds(2 * 86_400 + 3 * 3600)));
        assert_eq!(time("03:00:30"), Some(seconds(3 * 3600 + 30)));
        assert_eq!(time("20.48s"), Some(Duration::from_millis(20_480)));
        for wrong in [
            "", "d", "90", "s", "1x", "-1s", "1.s5", "25:00", "3:60", "40000d", "1..5s",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_window_over_midnight_ends_on_the_next_day() {
        let window = day_window("23:00-01:00").unwrap();
        assert_eq!(Some(window.from), Some(seconds(23 * 3600)));
        assert_eq!(Some(window.to), Some(seconds(25 * 3600)));
        assert_eq!(day_window("08:00"), None);
    }

    #[test]
    fn rates_and_sizes_have_their_units() {
        let every = |text| rate(text).map(|rate| rate.every);
        assert_eq!(every("200/s"), Some(Duration::from_millis(5)));
        assert_eq!(every("1/h"), Some(seconds(3600)));
        assert_eq!(every("0/s"), None);
        assert_eq!(size("100KB"), Some(100_000));
        assert_eq!(size("64 KiB"), Some(65_536));
        assert_eq!(size("1 furlong"), None);
    }
}
