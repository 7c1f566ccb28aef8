//! Several devices under one name: while they take the registration over from each other, no task of the
//! endpoint begins, none asks anything, and no operation of a task leaves.
//!
//! It ends by itself, one window after the last takeover. A task that waits for it fails when its device
//! would have had to be heard; one that downloads keeps its slot and its deadlines.

use crate::clock::Now;
use crate::model::{EndpointName, Peer, Record, TaskId, TimelineStep, UpdateTask, WaitingFor};

use super::campaigns::RunningCampaign;
use super::tasks::TaskEntry;
use super::timers::Timer;
use super::{Engine, Output};

impl Engine {
    /// A Register of `peer` took the place of a registration that `replaced` had.
    pub(super) fn registration_replaced(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        replaced: &Peer,
        peer: &Peer,
    ) {
        let result = (self.flapping).record_replacement(now, endpoint, replaced, peer);
        if let Some(forgotten) = &result.forgotten {
            self.flapping_over(now, forgotten);
        }
        if result.takeover {
            self.counters.takeovers += 1;
            self.show_flapping(endpoint);
        }
        if result.begun {
            self.counters.endpoints_flagged += 1;
            tracing::warn!(
                %endpoint, %replaced, %peer,
                "several devices register under this name in turn: it is not updated until they stop"
            );
            self.flapping_begins(now, endpoint);
        }
        self.set_flapping_timer();
    }

    /// Takes the flag off endpoints that had no takeover for a window.
    pub(super) fn settle_flapping(&mut self, now: Now) {
        while let Some(endpoint) = self.flapping.pop_settled(now.instant) {
            self.flapping_over(now, &endpoint);
        }
        self.set_flapping_timer();
    }

    /// The device was taken away.
    pub(super) fn forget_flapping(&mut self, endpoint: &EndpointName) {
        if self.flapping.forget(endpoint) {
            self.show_flapping(endpoint);
            self.set_flapping_timer();
        }
    }

    /// A task that would begin waits instead, as long as its device might stay unheard.
    pub(super) fn hold_idle(&mut self, now: Now, id: TaskId) {
        let Some(TaskEntry::Idle(task)) = self.tasks.get(&id) else {
            return;
        };
        if task.waiting_for == Some(WaitingFor::Flapping) {
            return;
        }
        let running = self.campaigns.get(&task.campaign);
        let since = running.and_then(RunningCampaign::contact_since);
        let deadline = since.map(|at| at + self.settings_of(&task.endpoint).contact_timeout);
        let until = task.until.or(deadline);
        let held = UpdateTask {
            waiting_for: Some(WaitingFor::Flapping),
            since: now.utc,
            until,
            ..task.clone()
        };
        self.keep_idle(held);
    }

    /// How many endpoints are flagged.
    pub fn endpoints_flapping(&self) -> usize {
        self.flapping.flagged()
    }

    fn flapping_begins(&mut self, now: Now, endpoint: &EndpointName) {
        let Some(id) = self.task_of.get(endpoint).copied() else {
            return;
        };
        self.note_flapping(now, id, "several devices register under this name in turn");
        self.settle_first(now, id);
        match self.tasks.get_mut(&id) {
            Some(TaskEntry::Running(session)) => {
                session.handle_hold(now);
                self.ready.push_back(id);
            }
            // Its delay has to pass in any case.
            Some(TaskEntry::Idle(task)) if task.waiting_for == Some(WaitingFor::RetryDelay) => {}
            // It is asked again when its gate opens.
            Some(TaskEntry::Idle(task)) if task.waiting_for.is_some_and(WaitingFor::is_gate) => {}
            Some(TaskEntry::Idle(_)) => self.hold_idle(now, id),
            None => {}
        }
    }

    /// Its task goes on: at once where the device listens, else when it is next heard.
    fn flapping_over(&mut self, now: Now, endpoint: &EndpointName) {
        self.show_flapping(endpoint);
        tracing::info!(%endpoint, "no longer do several devices register under this name");
        let Some(id) = self.task_of.get(endpoint).copied() else {
            return;
        };
        self.note_flapping(
            now,
            id,
            "no longer do several devices register under this name",
        );
        let listens = self.listens(now, endpoint);
        self.settle_first(now, id);
        match self.tasks.get_mut(&id) {
            Some(TaskEntry::Running(session)) => {
                session.handle_release(now);
                if listens {
                    session.handle_reachable(now);
                }
                self.ready.push_back(id);
            }
            Some(TaskEntry::Idle(task)) if task.waiting_for == Some(WaitingFor::Flapping) => {
                let waiting = UpdateTask {
                    waiting_for: Some(WaitingFor::Contact),
                    since: now.utc,
                    ..task.clone()
                };
                self.keep_idle(waiting);
                if listens {
                    self.open(now, id, false);
                }
            }
            Some(TaskEntry::Idle(_)) | None => {}
        }
    }

    pub(super) fn keep_idle(&mut self, task: UpdateTask) {
        self.record(Record::Task(task.clone()));
        self.tasks.insert(task.id, TaskEntry::Idle(task));
    }

    fn note_flapping(&mut self, now: Now, id: TaskId, detail: &str) {
        if let Some(task) = self.tasks.get(&id).map(|entry| entry.task().clone()) {
            self.timeline(now, &task, TimelineStep::Note, detail.to_owned());
        }
    }

    /// For the live view.
    fn show_flapping(&mut self, endpoint: &EndpointName) {
        self.outputs.push_back(Output::Flapping {
            endpoint: endpoint.clone(),
            flapping: self.flapping.flapping(endpoint),
        });
    }

    fn set_flapping_timer(&mut self) {
        let next = self.flapping.poll_timeout();
        self.timers.set(Timer::Flapping, next);
    }
}
