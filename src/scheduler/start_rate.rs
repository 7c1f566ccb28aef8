//! How many devices begin a minute, whatever their cells would bear: a link behind all of them, or a help
//! desk, bears less.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::clock::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets starts through one by one, evenly spaced, so that no minute has more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StartRate {
    /// Between two starts.
    interval: Duration,
    /// Not before this.
    next: Instant,
}

impl StartRate {
    /// So many a minute, the first at once.
    pub(super) fn new(per_minute_max: NonZeroU32, now: Instant) -> Self {
        let nanos = MINUTE.as_nanos().div_ceil(u128::from(per_minute_max.get()));
        Self {
            interval: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
            next: now,
        }
    }

    /// When one may start next.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// One starts now.
    pub(super) fn note_start(&mut self, now: Instant) {
        self.next = self.next.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_minute_has_more_starts_than_it_may_and_none_is_wasted(
            per_minute in 1_u32..200,
            pauses_ms in prop::collection::vec(0_u64..5_000, 1..300),
        ) {
            let mut now = Instant::ORIGIN;
            let mut rate = StartRate::new(NonZeroU32::new(per_minute).unwrap(), now);
            let mut starts: Vec<Instant> = Vec::new();
            for pause in pauses_ms {
                now = now + Duration::from_millis(pause);
                // As many as may start by now have started in time.
                while rate.next() <= now {
                    let at = rate.next().max(now);
                    rate.note_start(at);
                    starts.push(at);
                }
            }
            for (index, start) in starts.iter().enumerate() {
                let end = *start + MINUTE;
                let within = starts[index..].iter().filter(|at| **at < end).count();
                prop_assert!(within <= per_minute as usize);
            }
            prop_assert!(!starts.is_empty());
        }
    }
}
