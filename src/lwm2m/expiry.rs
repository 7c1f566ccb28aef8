//! When registrations end, without ever looking at all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;
use crate::model::RegistrationSlot;

/// Slots by the instant at which to look at them. An instant may lie before the true end, never behind
/// it: an Update moves the end of its registration and leaves the queue alone.
#[derive(Debug, Default)]
pub(super) struct ExpiryQueue(BinaryHeap<Reverse<(Instant, RegistrationSlot)>>);

impl ExpiryQueue {
    /// To look at `slot` at `at`.
    pub(super) fn push(&mut self, at: Instant, slot: RegistrationSlot) {
        self.0.push(Reverse((at, slot)));
    }

    /// The first entry whose instant has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, RegistrationSlot)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }

    /// When the first entry is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// How many entries there are, stale ones among them.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Begins anew with these entries.
    pub(super) fn rebuild(&mut self, entries: Vec<(Instant, RegistrationSlot)>) {
        self.0 = entries.into_iter().map(Reverse).collect();
    }
}
