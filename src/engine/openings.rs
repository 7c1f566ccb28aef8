//! Devices that listen are tried without waiting for a message of theirs: some at a turn, so that a large
//! campaign does not send all its first requests in one burst.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::Now;
use crate::model::{TaskId, WaitingFor};

use super::Engine;
use super::tasks::TaskEntry;
use super::timers::Timer;

/// Tasks in the order in which they came, but for those that have no time; each once.
#[derive(Debug, Default)]
pub(super) struct TaskQueue {
    order: VecDeque<TaskId>,
    members: BTreeSet<TaskId>,
}

impl TaskQueue {
    pub(super) fn push(&mut self, task: TaskId) {
        if self.members.insert(task) {
            self.order.push_back(task);
        }
    }

    /// Before all that are in it.
    pub(super) fn push_first(&mut self, task: TaskId) {
        if self.members.insert(task) {
            self.order.push_front(task);
        }
    }

    pub(super) fn pop(&mut self) -> Option<TaskId> {
        let task = self.order.pop_front()?;
        self.members.remove(&task);
        Some(task)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl Engine {
    /// Has those that are to be tried tried in the next turn, which comes no sooner because of them.
    pub(super) fn plan_openings(&mut self, now: Now) {
        if !self.openings.is_empty() {
            let at = self.opening_not_before.max(now.instant);
            self.timers.set(Timer::Openings, Some(at));
        }
    }

    /// Tries some of the devices that listen without having spoken.
    pub(super) fn open_some(&mut self, now: Now) {
        let mut opened = 0;
        while opened < self.config.openings_per_turn {
            let Some(id) = self.openings.pop() else {
                break;
            };
            self.settle_first(now, id);
            // One that spoke in the meantime has begun, and may wait for its next attempt.
            match self.tasks.get_mut(&id) {
                Some(TaskEntry::Running(session)) => {
                    session.handle_reachable(now);
                    self.ready.push_back(id);
                }
                Some(TaskEntry::Idle(task))
                    if task.retry_at.is_none() || task.waiting_for == Some(WaitingFor::Contact) =>
                {
                    self.open(now, id, false);
                }
                Some(TaskEntry::Idle(_)) | None => continue,
            }
            opened += 1;
        }
        if opened > 0 {
            self.opening_not_before = now.instant + self.config.opening_turn;
        }
        self.plan_openings(now);
    }
}
