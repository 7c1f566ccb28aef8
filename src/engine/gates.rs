//! Why nothing of a campaign, or of one of its tasks, begins now. What has begun goes on.

use crate::clock::Now;
use crate::fota::Gate;
use crate::model::{CampaignState, PauseReason, TaskId, TaskState, UpdateTask, WaitingFor};

use super::Engine;
use super::campaigns::RunningCampaign;
use super::tasks::TaskEntry;
use super::timers::Timer;

impl RunningCampaign {
    /// Why nothing of it begins.
    pub(super) fn gate(&self, now: Now) -> Option<Gate> {
        let paused = (self.campaign.state == CampaignState::Paused).then(|| Gate {
            waiting_for: WaitingFor::Paused,
            until: None,
            holds_execute: self.campaign.rollout.paused == Some(PauseReason::Halted),
        });
        paused.or_else(|| self.schedule_gate(now))
    }

    /// Why nothing of this task of it begins.
    fn gate_of(&self, task: &UpdateTask) -> Option<Gate> {
        (task.rollout_phase > self.campaign.rollout.phase).then_some(Gate {
            waiting_for: WaitingFor::RolloutPhase,
            until: None,
            holds_execute: false,
        })
    }
}

impl Engine {
    /// Why no attempt of a task begins.
    pub(super) fn gate(&self, now: Now, task: &UpdateTask) -> Option<Gate> {
        let running = self.campaigns.get(&task.campaign)?;
        // What has begun outlives the campaign's end, and may need a slot anew.
        let ends_by_itself = task.state == TaskState::Running && running.is_over(now);
        let gate = running.gate(now);
        gate.filter(|gate| !(ends_by_itself && gate.waiting_for == WaitingFor::Window))
            .or_else(|| running.gate_of(task))
            .or_else(|| self.consent_gate(now, task))
    }

    /// A task that could begin waits at its gate.
    pub(super) fn wait_at_gate(&mut self, now: Now, id: TaskId, gate: Gate) {
        let Some(TaskEntry::Idle(task)) = self.tasks.get(&id) else {
            return;
        };
        if task.waiting_for == Some(gate.waiting_for) && task.until == gate.until {
            return;
        }
        let waiting = UpdateTask {
            waiting_for: Some(gate.waiting_for),
            since: now.utc,
            until: gate.until,
            ..task.clone()
        };
        self.timers.set(Timer::Retry(id), None);
        if gate.waiting_for == WaitingFor::Consent {
            self.set_consent_timer(now, &waiting);
        }
        self.keep_idle(waiting);
    }

    /// The gate of one task may have changed.
    pub(super) fn task_gate_changed(&mut self, now: Now, id: TaskId) {
        let Some(entry) = self.tasks.get(&id) else {
            return;
        };
        let gate = self.gate(now, entry.task());
        match (self.tasks.get_mut(&id), gate) {
            (Some(TaskEntry::Running(session)), gate) => {
                session.handle_gate(now, gate);
                self.ready.push_back(id);
            }
            (Some(TaskEntry::Idle(idle)), Some(gate)) => {
                if idle.waiting_for.is_some_and(WaitingFor::is_gate) {
                    self.wait_at_gate(now, id, gate);
                }
            }
            (Some(TaskEntry::Idle(_)), None) => self.gate_opened(now, id),
            (None, _) => {}
        }
    }

    /// Its device is waited for again, as long as at first; one that listens is tried.
    fn gate_opened(&mut self, now: Now, id: TaskId) {
        let Some(TaskEntry::Idle(task)) = self.tasks.get(&id) else {
            return;
        };
        if !task.waiting_for.is_some_and(WaitingFor::is_gate) {
            return;
        }
        let wait = self.settings_of(&task.endpoint).contact_timeout;
        // The campaign's own time for its devices may be over by the time that somebody agrees.
        let asks = |it: &RunningCampaign| it.asks_for_consent();
        let is_agreed = self.campaigns.get(&task.campaign).is_some_and(asks);
        let agreed_at = is_agreed.then_some(now.utc);
        let waiting = UpdateTask {
            retry_at: task.retry_at.or(agreed_at),
            waiting_for: Some(WaitingFor::Contact),
            since: now.utc,
            until: Some(now.utc + wait),
            ..task.clone()
        };
        let listens = self.listens(now, &waiting.endpoint);
        if waiting.retry_at.is_some() {
            self.timers.set(Timer::Retry(id), Some(now.instant + wait));
        }
        self.keep_idle(waiting);
        if listens {
            self.openings.push(id);
        }
    }
}
