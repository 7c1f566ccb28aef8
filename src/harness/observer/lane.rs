//! A quantity over time in a bounded number of equal parts: where a run lasts longer than they cover,
//! two become one. Sans-IO.

use std::time::Duration;

use crate::clock::Instant;

/// The most parts: as many as a chart can show.
const BUCKETS_MAX: usize = 512;

/// What two parts come to, and what a part has in which nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// What it was at the end.
    Last,
    /// The most that it was.
    Max,
    /// What happened in it.
    Sum,
}

/// One quantity. Parts in which nothing happened are filled in when the next thing does.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    keeps: Keeps,
    values: Vec<u64>,
    /// What it is now, and so was in parts in which nothing happened; of a sum nothing.
    current: u64,
}

impl Lane {
    pub(super) const fn new(keeps: Keeps) -> Self {
        Self {
            keeps,
            values: Vec::new(),
            current: 0,
        }
    }

    /// It is this from now on.
    pub(super) fn set(&mut self, bucket: usize, value: u64) {
        let keeps = self.keeps;
        if let Some(held) = self.reach(bucket) {
            *held = match keeps {
                Keeps::Max => (*held).max(value),
                Keeps::Last | Keeps::Sum => value,
            };
        }
        self.current = value;
    }

    /// So much more happened.
    pub(super) fn add(&mut self, bucket: usize, by: u64) {
        if let Some(held) = self.reach(bucket) {
            *held = held.saturating_add(by);
        }
    }

    pub(super) const fn current(&self) -> u64 {
        self.current
    }

    /// All parts up to and with this one.
    pub(super) fn finish(mut self, last: usize) -> Vec<u64> {
        self.reach(last);
        self.values
    }

    fn reach(&mut self, bucket: usize) -> Option<&mut u64> {
        if self.values.len() <= bucket {
            self.values.resize(bucket + 1, self.current);
        }
        self.values.get_mut(bucket)
    }

    /// Two parts become one.
    pub(super) fn halve(&mut self) {
        let keeps = self.keeps;
        let pairs = self.values.chunks(2).map(|pair| match keeps {
            Keeps::Last => pair.last().copied().unwrap_or_default(),
            Keeps::Max => pair.iter().copied().max().unwrap_or_default(),
            Keeps::Sum => pair.iter().copied().fold(0, u64::saturating_add),
        });
        self.values = pairs.collect();
    }
}

/// How long a part is, and which one it is now.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    width: Duration,
    now: usize,
}

impl Buckets {
    pub(super) fn new(width: Duration) -> Self {
        Self {
            width: width.max(Duration::from_millis(1)),
            now: 0,
        }
    }

    pub(super) const fn now(&self) -> usize {
        self.now
    }

    pub(super) const fn width(&self) -> Duration {
        self.width
    }

    /// Comes to the part that `at` is in; `halve` is called for each time that parts are joined.
    pub(super) fn advance(&mut self, at: Instant, mut halve: impl FnMut()) {
        loop {
            let bucket = at.since_origin().as_nanos() / self.width.as_nanos();
            let bucket = usize::try_from(bucket).unwrap_or(usize::MAX);
            if bucket < BUCKETS_MAX {
                self.now = self.now.max(bucket);
                return;
            }
            halve();
            self.width = self.width.saturating_mul(2);
            self.now /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_it_was_stays_until_the_next_thing_happens() {
        let mut last = Lane::new(Keeps::Last);
        last.set(1, 5);
        last.set(4, 2);
        assert_eq!(last.finish(5), [0, 5, 5, 5, 2, 2]);
        let mut max = Lane::new(Keeps::Max);
        max.set(0, 7);
        max.set(0, 3);
        max.set(2, 1);
        assert_eq!(
            max.finish(3),
            [7, 3, 3, 1],
            "it came into the part with three"
        );
        let mut sum = Lane::new(Keeps::Sum);
        sum.add(1, 2);
        sum.add(1, 2);
        assert_eq!(sum.finish(2), [0, 4, 0]);
    }

    proptest! {
        #[test]
        fn a_run_of_any_length_has_the_sums_peaks_and_ends_that_its_events_have(
            events in prop::collection::vec((0u64..5_000, 0u64..50), 1..300),
        ) {
            let mut events = events;
            events.sort_unstable();
            let mut buckets = Buckets::new(Duration::from_secs(1));
            let mut lanes = [Keeps::Last, Keeps::Max, Keeps::Sum].map(Lane::new);
            for (second, value) in &events {
                let at = Instant::from_origin(Duration::from_secs(*second));
                buckets.advance(at, || lanes.iter_mut().for_each(Lane::halve));
                lanes[0].set(buckets.now(), *value);
                lanes[1].set(buckets.now(), *value);
                lanes[2].add(buckets.now(), *value);
            }
            let [last, max, sum] = lanes.map(|lane| lane.finish(buckets.now()));
            prop_assert!(last.len() <= BUCKETS_MAX);
            prop_assert_eq!(last.last(), events.last().map(|(_, value)| value));
            prop_assert_eq!(max.iter().max(), events.iter().map(|(_, value)| value).max());
            prop_assert_eq!(sum.iter().sum::<u64>(), events.iter().map(|(_, value)| value).sum::<u64>());
            let width = buckets.width().as_secs();
            for (part, kept) in last.iter().enumerate() {
                let end = (part as u64 + 1) * width;
                let was = events.iter().rfind(|(second, _)| *second < end);
                prop_assert_eq!(*kept, was.map_or(0, |(_, value)| *value));
            }
        }
    }
}
