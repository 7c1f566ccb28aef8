//! One deadline a key, the earliest first.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Instant;
use crate::model::{CampaignId, TaskId};

/// What a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// A session's own next deadline.
    Session(TaskId),
    /// The end of the awake time of a task's device.
    Asleep(TaskId),
    /// The end of a retry delay.
    Retry(TaskId),
    /// The last moment for a campaign's devices to be heard for the first time.
    Contact(CampaignId),
    /// The end of the time in which the devices of a campaign's phase have to report.
    Soak(CampaignId),
    /// The next moment at which a campaign's schedule may say something else, or is looked at again.
    Schedule(CampaignId),
    /// The next turn of the opening queue.
    Openings,
    /// The next turn of what all tasks of a campaign are gone through for.
    Sweeps,
    /// The end of the time of an operator's request.
    DeviceRequests,
    /// The end of an endpoint's flapping.
    Flapping,
}

/// Deadlines by key. One that moves to a later time keeps its place in the order until that comes: a
/// download moves its own with each block, and costs no search then.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_key: HashMap<Timer, Deadline>,
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    /// Its place in the order, at or before `at`.
    queued_at: Instant,
}

impl Timers {
    /// Sets, moves or takes away the deadline of a key.
    pub(crate) fn set(&mut self, key: Timer, deadline: Option<Instant>) {
        let Some(at) = deadline else {
            if let Some(before) = self.by_key.remove(&key) {
                self.by_time.remove(&(before.queued_at, key));
            }
            return;
        };
        match self.by_key.get_mut(&key) {
            Some(before) if before.queued_at <= at => before.at = at,
            Some(before) => {
                self.by_time.remove(&(before.queued_at, key));
                *before = Deadline { at, queued_at: at };
                self.by_time.insert((at, key));
            }
            None => {
                self.by_key.insert(key, Deadline { at, queued_at: at });
                self.by_time.insert((at, key));
            }
        }
    }

    /// Takes a key whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        loop {
            let &(queued_at, key) = self.by_time.first()?;
            if queued_at > now {
                return None;
            }
            self.by_time.pop_first();
            match self.by_key.get_mut(&key) {
                Some(deadline) if deadline.at > now => {
                    deadline.queued_at = deadline.at;
                    self.by_time.insert((deadline.at, key));
                }
                Some(_) => {
                    self.by_key.remove(&key);
                    return Some(key);
                }
                None => {}
            }
        }
    }

    /// How many deadlines there are.
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// When to look next: the earliest deadline, or before it.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_moved_deadline_is_due_once_at_its_new_time() {
        let mut timers = Timers::default();
        let key = Timer::Session(TaskId(1));
        timers.set(key, Some(at(5)));
        timers.set(key, Some(at(9)));
        assert_eq!(timers.pop_due(at(8)), None);
        assert_eq!(timers.next(), Some(at(9)));
        assert_eq!(timers.pop_due(at(9)), Some(key));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_that_moves_to_and_fro_is_due_at_its_last_time() {
        let mut timers = Timers::default();
        let (key, other) = (Timer::Session(TaskId(1)), Timer::Session(TaskId(2)));
        timers.set(other, Some(at(6)));
        for seconds in [5, 9, 7, 3, 8] {
            timers.set(key, Some(at(seconds)));
            assert_eq!(timers.len(), 2);
        }
        assert_eq!(timers.pop_due(at(7)), Some(other));
        assert_eq!(timers.pop_due(at(7)), None);
        assert_eq!(timers.pop_due(at(8)), Some(key));
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn a_deadline_taken_away_is_never_due() {
        let mut timers = Timers::default();
        timers.set(Timer::Openings, Some(at(1)));
        timers.set(Timer::Openings, None);
        assert_eq!(timers.pop_due(at(100)), None);
    }
}
