//! What is to happen, in the order of its time, and among the same times in that of its making.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::Direction;
use crate::clock::Instant;

/// One thing to happen.
#[derive(Debug)]
pub(super) enum Event<F> {
    /// A device's deadline, perhaps.
    Device(usize),
    /// A datagram's turn has come.
    OnAir(Box<F>),
    /// A datagram is across in this cell, perhaps.
    Carrier(usize, Direction),
}

#[derive(Debug)]
pub(super) struct Events<F> {
    heap: BinaryHeap<Reverse<Entry<F>>>,
    made: u64,
}

#[derive(Debug)]
struct Entry<F> {
    at: Instant,
    number: u64,
    event: Event<F>,
}

impl<F> Default for Events<F> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            made: 0,
        }
    }
}

impl<F> Events<F> {
    pub(super) fn push(&mut self, at: Instant, event: Event<F>) {
        self.made += 1;
        let number = self.made;
        self.heap.push(Reverse(Entry { at, number, event }));
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<Event<F>> {
        self.heap.pop().map(|Reverse(entry)| entry.event)
    }
}

impl<F> PartialEq for Entry<F> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<F> Eq for Entry<F> {}

impl<F> PartialOrd for Entry<F> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<F> Ord for Entry<F> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A deadline that moves often, mostly to later: an event in the queue stands for it, and is replaced
/// only where it would come too late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    wanted: Option<Instant>,
    queued: Option<Instant>,
}

impl Schedule {
    /// The deadline is this from now on; when an event is to be queued for it.
    pub(super) fn set(&mut self, wanted: Option<Instant>) -> Option<Instant> {
        self.wanted = wanted;
        self.rearm()
    }

    /// When an event is to be queued so that the deadline is not missed.
    pub(super) fn rearm(&mut self) -> Option<Instant> {
        let at = self.wanted?;
        if self.queued.is_some_and(|queued| queued <= at) {
            return None;
        }
        self.queued = Some(at);
        Some(at)
    }

    /// An event came up: whether it is the one that stands for the deadline, which it then does no more.
    pub(super) fn fires(&mut self, now: Instant) -> bool {
        let fires = self.queued == Some(now);
        if fires {
            self.queued = None;
        }
        fires
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.wanted.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(s))
    }

    #[test]
    fn events_come_by_time_and_then_by_their_making() {
        let mut events = Events::<()>::default();
        for (second, device) in [(3, 0), (1, 1), (3, 2), (2, 3)] {
            events.push(at(second), Event::Device(device));
        }
        let mut order = Vec::new();
        while let Some(Event::Device(device)) = events.pop() {
            order.push(device);
        }
        assert_eq!(order, [1, 3, 0, 2]);
    }

    #[test]
    fn a_deadline_that_moves_to_later_is_queued_once_and_again_when_it_comes_up() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.set(Some(at(5))), Some(at(5)));
        assert_eq!(schedule.set(Some(at(9))), None);
        assert!(schedule.fires(at(5)) && !schedule.is_due(at(5)));
        assert_eq!(schedule.rearm(), Some(at(9)));
    }

    #[test]
    fn one_that_moves_to_earlier_is_queued_anew_and_the_other_is_void() {
        let mut schedule = Schedule::default();
        schedule.set(Some(at(9)));
        assert_eq!(schedule.set(Some(at(5))), Some(at(5)));
        assert!(schedule.fires(at(5)) && schedule.is_due(at(5)));
        schedule.set(None);
        assert!(!schedule.fires(at(9)));
    }
}
