//! One direction of a cell's air, shared by all that is under way in it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Instant;

/// Parts of a nanosecond in which shares of time are counted: a share is cut by less than that.
const FRACTION_BITS: u32 = 32;

/// A carrier whose time is given in equal shares to all transmissions under way: with n of them each
/// takes n times as long as it would alone (processor sharing). What schedulers of base stations come to
/// over seconds; of single subframes it says nothing.
///
/// No I/O and no clock: [`Self::begin`] puts a transmission in, [`Self::poll_end`] names those that are
/// over, in the order in which they ended.
#[derive(Debug)]
pub struct SharedCarrier<T> {
    /// Up to when all is accounted for.
    at: Instant,
    /// The share that one transmission would have had if it had been there from the start, in parts of a
    /// nanosecond. It stands while nothing is under way.
    share: u128,
    /// By the share at which each ends, then in the order in which they began.
    under_way: BTreeMap<(u128, u64), T>,
    begun: u64,
    busy: Duration,
}

impl<T> Default for SharedCarrier<T> {
    fn default() -> Self {
        Self {
            at: Instant::ORIGIN,
            share: 0,
            under_way: BTreeMap::new(),
            begun: 0,
            busy: Duration::ZERO,
        }
    }
}

impl<T> SharedCarrier<T> {
    /// Puts a transmission in that would take `airtime` alone.
    pub fn begin(&mut self, now: Instant, airtime: Duration, transmission: T) {
        // What ended before is still to be polled: nothing moves past its end.
        self.advance(now);
        self.begun += 1;
        let end = self.share + (airtime.as_nanos() << FRACTION_BITS);
        self.under_way.insert((end, self.begun), transmission);
    }

    /// When the next transmission ends, unless another begins before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ((end, _), _) = self.under_way.first_key_value()?;
        Some(self.at + self.until(*end))
    }

    /// The next transmission that is over by `now`, and when it ended. To be called until `None` before
    /// anything begins at `now`.
    pub fn poll_end(&mut self, now: Instant) -> Option<(T, Instant)> {
        let at = self.poll_timeout().filter(|at| *at <= now)?;
        self.advance(at);
        let (_, transmission) = self.under_way.pop_first()?;
        Some((transmission, at))
    }

    /// Transmissions under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How long anything was under way, so far.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// How long until the share is `end`, if nothing begins: rounded up, so that it is reached then.
    fn until(&self, end: u128) -> Duration {
        let left = end.saturating_sub(self.share) * self.under_way.len() as u128;
        let nanos = left.div_ceil(1 << FRACTION_BITS);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn advance(&mut self, to: Instant) {
        let passed = to.saturating_since(self.at);
        self.at = self.at.max(to);
        let among = self.under_way.len() as u128;
        if let Some((&(end, _), _)) = self.under_way.first_key_value() {
            let share = (passed.as_nanos() << FRACTION_BITS) / among;
            self.share = (self.share + share).min(end);
            self.busy += passed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// All ends up to a time, in milliseconds rounded down.
    fn ends(carrier: &mut SharedCarrier<u64>, until: u64) -> Vec<(u64, u128)> {
        let mut ends = Vec::new();
        while let Some((id, end)) = carrier.poll_end(at(until)) {
            ends.push((id, end.since_origin().as_millis()));
        }
        ends
    }

    #[test]
    fn alone_a_transmission_takes_its_own_time() {
        let mut carrier = SharedCarrier::default();
        carrier.begin(at(100), ms(40), 0);
        assert_eq!(carrier.poll_timeout(), Some(at(140)));
        assert_eq!(carrier.poll_end(at(139)), None);
        assert_eq!(ends(&mut carrier, 140), [(0, 140)]);
        assert_eq!((carrier.poll_timeout(), carrier.busy()), (None, ms(40)));
    }

    #[test]
    fn two_share_the_time() {
        let mut carrier = SharedCarrier::default();
        carrier.begin(at(0), ms(100), 0);
        carrier.begin(at(0), ms(100), 1);
        assert_eq!(ends(&mut carrier, 1000), [(0, 200), (1, 200)]);
    }

    #[test]
    fn a_short_one_passes_a_long_one_and_delays_it() {
        let mut carrier = SharedCarrier::default();
        carrier.begin(at(0), ms(1000), 0);
        assert_eq!(ends(&mut carrier, 500), []);
        carrier.begin(at(500), ms(10), 1);
        // 10 ms in halves are 20; the long one has 490 left then.
        assert_eq!(ends(&mut carrier, 5000), [(1, 520), (0, 1010)]);
    }

    proptest! {
        /// Work is conserved: the carrier is busy as long as all transmissions take alone, and no
        /// longer; none ends before it could alone, nor later than if all others went before it.
        #[test]
        fn the_time_is_used_up_and_no_more(
            begins in prop::collection::vec((0_u64..2000, 1_u64..500), 1..40),
        ) {
            let mut begins = begins;
            begins.sort_by_key(|(begin, _)| *begin);
            let mut carrier = SharedCarrier::default();
            let mut ended = Vec::new();
            for (id, (begin, airtime)) in begins.iter().enumerate() {
                while let Some(end) = carrier.poll_end(at(*begin)) {
                    ended.push(end);
                }
                carrier.begin(at(*begin), ms(*airtime), id);
            }
            while let Some(next) = carrier.poll_timeout() {
                ended.extend(carrier.poll_end(next));
            }
            prop_assert_eq!(ended.len(), begins.len());
            prop_assert!(ended.is_sorted_by_key(|(_, at)| *at));
            let all: u64 = begins.iter().map(|(_, airtime)| airtime).sum();
            // Each end is rounded up by less than a nanosecond, and so is what it leaves the others.
            let slack = Duration::from_nanos(2 * begins.len() as u64);
            prop_assert!(carrier.busy() >= ms(all) && carrier.busy() <= ms(all) + slack);
            for (id, end) in ended {
                let (begin, airtime) = begins[id];
                prop_assert!(end >= at(begin + airtime));
                prop_assert!(end <= at(begin + all) + slack);
            }
        }
    }
}
