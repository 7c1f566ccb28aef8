//! Slots and queue of one cell and tier.

use super::queue::{Place, Queue};
use crate::model::TaskId;

/// One class. It does not know its limit, which an operator may change: each call is given it.
///
/// While `active` is below the limit nobody reachable waits; every call keeps this true.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    active: u32,
    /// All that wait, reachable or not.
    queued: u32,
    next_place: u64,
    reachable: Queue,
}

/// What asking a bucket came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The task has a slot.
    Granted,
    /// The task waits, with so many reachable ones before it.
    Waits { place: Place, ahead: usize },
}

impl Bucket {
    /// Slots in use.
    pub(super) fn active(&self) -> u32 {
        self.active
    }

    /// Tasks that wait, reachable or not.
    pub(super) fn queued(&self) -> u32 {
        self.queued
    }

    /// Tasks that wait and could take a slot now.
    pub(super) fn reachable(&self) -> usize {
        self.reachable.len()
    }

    /// Whether nothing is known of it that a new bucket would not know.
    pub(super) fn is_empty(&self) -> bool {
        self.active == 0 && self.queued == 0
    }

    /// Whether a slot would be granted at once.
    pub(super) fn has_free_slot(&self, limit: u32) -> bool {
        self.active < limit
    }

    /// A task asks for the first time.
    pub(super) fn request(&mut self, task: TaskId, limit: u32) -> Turn {
        if self.has_free_slot(limit) {
            self.active += 1;
            return Turn::Granted;
        }
        let place = Place(self.next_place);
        let ahead = self.reachable.len();
        self.next_place += 1;
        self.queued += 1;
        self.reachable.insert(place, task);
        Turn::Waits { place, ahead }
    }

    /// A task that waits asks again: it is reachable, in its old place.
    pub(super) fn resume(&mut self, task: TaskId, place: Place, limit: u32) -> Turn {
        if self.has_free_slot(limit) {
            self.queued -= 1;
            self.active += 1;
            return Turn::Granted;
        }
        self.reachable.insert(place, task);
        let ahead = self.reachable.rank(place);
        Turn::Waits { place, ahead }
    }

    /// The device of a task that waits fell asleep.
    pub(super) fn suspend(&mut self, place: Place) {
        self.reachable.remove(place);
    }

    /// A task that waits leaves.
    pub(super) fn leave(&mut self, place: Place) {
        self.reachable.remove(place);
        self.queued -= 1;
    }

    /// A slot was in use before this bucket knew of it: counted whatever the limit.
    pub(super) fn restore(&mut self) {
        self.active += 1;
    }

    /// A task gives its slot back.
    pub(super) fn vacate(&mut self) {
        self.active -= 1;
    }

    /// Gives a free slot to the first reachable task. Call until `None` after anything that may have
    /// freed slots.
    pub(super) fn grant_next(&mut self, limit: u32) -> Option<TaskId> {
        if !self.has_free_slot(limit) {
            return None;
        }
        let task = self.reachable.pop_first()?;
        self.queued -= 1;
        self.active += 1;
        Some(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 1;

    fn place(turn: Turn) -> Place {
        match turn {
            Turn::Waits { place, .. } => place,
            Turn::Granted => panic!("granted"),
        }
    }

    #[test]
    fn a_suspended_task_is_passed_over_and_comes_back_to_its_place() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.request(TaskId(0), LIMIT), Turn::Granted);
        let first = place(bucket.request(TaskId(1), LIMIT));
        bucket.request(TaskId(2), LIMIT);
        bucket.request(TaskId(3), LIMIT);
        bucket.suspend(first);
        bucket.vacate();
        assert_eq!(bucket.grant_next(LIMIT), Some(TaskId(2)));
        assert_eq!(bucket.grant_next(LIMIT), None, "the slot is taken");
        let again = bucket.resume(TaskId(1), first, LIMIT);
        assert_eq!(
            again,
            Turn::Waits {
                place: first,
                ahead: 0
            }
        );
        bucket.vacate();
        assert_eq!(bucket.grant_next(LIMIT), Some(TaskId(1)));
    }

    #[test]
    fn a_restored_slot_counts_above_the_limit() {
        let mut bucket = Bucket::default();
        bucket.restore();
        bucket.restore();
        bucket.request(TaskId(1), LIMIT);
        assert_eq!(bucket.active(), 2);
        bucket.vacate();
        assert_eq!(bucket.grant_next(LIMIT), None);
        bucket.vacate();
        assert_eq!(bucket.grant_next(LIMIT), Some(TaskId(1)));
    }
}
