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
    /// The next turn of the opening queue.
    Openings,
}

/// Deadlines by key: set, moved and taken in O(log n).
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_key: HashMap<Timer, Instant>,
}

impl Timers {
    /// Sets, moves or takes away the deadline of a key.
    pub(crate) fn set(&mut self, key: Timer, deadline: Option<Instant>) {
        let before = match deadline {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if before == deadline {
            return;
        }
        if let Some(at) = before {
            self.by_time.remove(&(at, key));
        }
        if let Some(at) = deadline {
            self.by_time.insert((at, key));
        }
    }

    /// Takes a key whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let &(at, key) = self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many deadlines there are.
    pub(crate) fn len(&self) -> usize {
        self.by_time.len()
    }

    /// The earliest deadline.
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
        assert_eq!(timers.next(), Some(at(9)));
        assert_eq!(timers.pop_due(at(8)), None);
        assert_eq!(timers.pop_due(at(9)), Some(key));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_taken_away_is_never_due() {
        let mut timers = Timers::default();
        timers.set(Timer::Openings, Some(at(1)));
        timers.set(Timer::Openings, None);
        assert_eq!(timers.pop_due(at(100)), None);
    }
}
