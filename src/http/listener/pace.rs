//! A least rate, with grace: it is told the time, and waits for nothing itself.

use std::time::Duration;

use crate::clock::Instant;

/// Until when more bytes must have passed, so that they pass at the least rate on average. Credit is
/// never more than the grace: who was fast may pause no longer than who was not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    rate_min_bytes_per_second: u32,
    grace: Duration,
    until: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant, rate_min_bytes_per_second: u32, grace: Duration) -> Self {
        Self {
            rate_min_bytes_per_second: rate_min_bytes_per_second.max(1),
            grace,
            until: now + grace,
        }
    }

    /// Some bytes passed.
    pub(super) fn passed(&mut self, now: Instant, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned =
            Duration::from_secs_f64(f64::from(bytes) / f64::from(self.rate_min_bytes_per_second));
        self.until = (self.until + earned).min(now + self.grace);
    }

    /// When it will have been too slow, if nothing more passes.
    pub(super) fn until(&self) -> Instant {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn nothing_may_pass_for_as_long_as_the_grace() {
        assert_eq!(Pace::new(at(5), 100, GRACE).until(), at(15));
    }

    #[test]
    fn the_least_rate_goes_on_for_ever_and_half_of_it_does_not() {
        let mut exact = Pace::new(at(0), 100, GRACE);
        let mut half = exact;
        for second in 1..=1000 {
            exact.passed(at(second), 100);
            half.passed(at(second), 50);
            assert!(exact.until() > at(second));
        }
        assert!(half.until() < at(1000));
    }

    #[test]
    fn a_fast_start_earns_no_longer_pause_than_the_grace() {
        let mut pace = Pace::new(at(0), 100, GRACE);
        pace.passed(at(3), 1_000_000);
        assert_eq!(pace.until(), at(13));
    }
}
