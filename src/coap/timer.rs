//! Deadlines in order. An entry that no longer holds is skipped when its time comes, never searched.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;

/// Entries that no longer hold and may stay, beside as many as do.
const STALE_MAX: usize = 64;

/// A heap of deadlines; the owner of the keys knows which entries still hold.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord + Copy> Deadlines<K> {
    /// With no deadline.
    pub(super) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
        }
    }

    /// How many entries there are, those that no longer hold among them.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Adds a deadline.
    pub(super) fn push(&mut self, at: Instant, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<(Instant, K)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    /// Takes the earliest deadline.
    pub(super) fn pop(&mut self) -> Option<(Instant, K)> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Takes the earliest deadline if it is not after `now`.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        let (at, _) = self.earliest()?;
        if at > now { None } else { self.pop() }
    }

    /// Takes entries off the top while they no longer hold, so that the earliest one does. Once most of
    /// all entries do not, as only `live` can, they go too: at a constant cost for each that was added.
    pub(super) fn prune(&mut self, live: usize, holds: impl Fn(Instant, K) -> bool) {
        if self.heap.len() > 2 * live + STALE_MAX {
            self.heap.retain(|Reverse((at, key))| holds(*at, *key));
        }
        while let Some((at, key)) = self.earliest() {
            if holds(at, key) {
                return;
            }
            self.pop();
        }
    }
}
