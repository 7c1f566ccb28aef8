//! Time: our own instants, and the one place that reads the machine's clocks.
//!
//! The cores reckon in [`Instant`], which only goes forward, and write down [`Utc`], which an
//! operator can move. Both come in together as [`Now`], so one input has one time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a clock that never goes back, counted from an origin of the clock's own in nanoseconds:
/// 584 years of them, in half the bytes of a `Duration`, as every device has several.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin: when the clock was made.
    pub const ORIGIN: Self = Self(0);

    /// The instant that lies `elapsed` after the origin; the last there is where that is too long.
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(whole_nanoseconds(elapsed))
    }

    /// How long after the origin this is.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to this instant, zero where `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(whole_nanoseconds(rhs)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({:?})", self.since_origin())
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        self.saturating_since(rhs)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z: what is persisted and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(i64);

impl Utc {
    /// From milliseconds since the Unix epoch.
    pub const fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to this, zero where `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Utc {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Utc {
    /// RFC 3339 in UTC with milliseconds, `2026-11-21T08:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// The time of one input, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers and intervals.
    pub instant: Instant,
    /// For what is persisted and shown.
    pub utc: Utc,
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self {
            instant: self.instant + rhs,
            utc: self.utc + rhs,
        }
    }
}

/// The machine's clocks. Shells hold one; cores are given what it says. Its instants are the runtime's,
/// as shells sleep by those: where a test stops the runtime's clock, this one stands too.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose origin is this moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the machine's clocks"
    )]
    #[expect(
        clippy::new_without_default,
        reason = "reading a clock is not a default"
    )]
    pub fn new() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    /// What both clocks say.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one reader of the machine's clocks"
    )]
    pub fn now(&self) -> Now {
        let unix = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            instant: Instant::from_origin(self.origin.elapsed()),
            utc: Utc(i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)),
        }
    }

    /// The runtime's instant for one of ours, for a timer to sleep until.
    pub fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        self.origin + instant.since_origin()
    }
}

const fn whole_nanoseconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_beyond_the_last_is_the_last() {
        let last = Instant::from_origin(Duration::MAX);
        assert_eq!(last + Duration::from_secs(1), last);
        assert_eq!(Instant::ORIGIN + Duration::MAX, last);
        assert_eq!(Instant::ORIGIN - last, Duration::ZERO);
    }

    #[test]
    fn an_instant_keeps_each_nanosecond() {
        let elapsed = Duration::new(2_000_000_000, 999_999_999);
        let instant = Instant::ORIGIN + elapsed;
        assert_eq!(instant.since_origin(), elapsed);
        assert_eq!(
            instant - Instant::from_origin(Duration::from_secs(1)),
            elapsed - Duration::from_secs(1)
        );
    }
}
