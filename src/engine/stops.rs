//! Campaigns and single updates are stopped: softly, where what has begun may end, or hard.

use crate::clock::Now;
use crate::model::{
    CampaignId, CampaignState, Failure, FailureReason, PauseReason, Record, StopMode, TaskId,
    TaskState, TimelineStep,
};

use super::campaigns::RunningCampaign;
use super::tasks::{TaskEntry, told};
use super::{CommandError, Engine};

impl RunningCampaign {
    /// Whether it is being stopped: what has begun may end, and nothing follows it.
    pub(super) fn is_stopping(&self) -> bool {
        self.campaign.state == CampaignState::Stopped
    }

    /// Why and how it is being stopped. Softly after a restart: what was to end hard says so itself.
    pub(super) fn stopped_as(&self) -> Option<(Failure, StopMode)> {
        let stop = self.given.stop.clone();
        self.is_stopping()
            .then(|| stop.unwrap_or_else(|| (by_operator(), StopMode::Soft)))
    }

    fn is_halted(&self) -> bool {
        self.campaign.state == CampaignState::Paused
            && self.campaign.rollout.paused == Some(PauseReason::Halted)
    }
}

impl Engine {
    /// Ends a campaign: what waits is stopped. A halted one ends hard: nobody who stops it then wants
    /// its devices to be told to install.
    pub(super) fn stop_campaign(
        &mut self,
        now: Now,
        id: CampaignId,
        mode: StopMode,
    ) -> Result<(), CommandError> {
        let is_halted = self.campaigns.get(&id).is_some_and(|it| it.is_halted());
        if mode == StopMode::Hard || is_halted {
            self.end_campaign(now, id, &by_operator())
        } else {
            self.end_campaign_as(now, id, &by_operator(), mode)
        }
    }

    /// Ends a campaign hard for `cause`, which its tasks keep; one that is being stopped softly too.
    pub(super) fn end_campaign(
        &mut self,
        now: Now,
        id: CampaignId,
        cause: &Failure,
    ) -> Result<(), CommandError> {
        match self.campaigns.get_mut(&id) {
            Some(running) if running.is_stopping() => {
                running.given.stop = Some((cause.clone(), StopMode::Hard));
                self.stop_tasks(now, id, cause, StopMode::Hard);
                Ok(())
            }
            Some(_) | None => self.end_campaign_as(now, id, cause, StopMode::Hard),
        }
    }

    fn end_campaign_as(
        &mut self,
        now: Now,
        id: CampaignId,
        cause: &Failure,
        mode: StopMode,
    ) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        running.campaign.state = running.campaign.state.stop()?;
        running.given.stop = Some((cause.clone(), mode));
        let state = running.campaign.state;
        self.record(Record::Campaign {
            id,
            state,
            at: now.utc,
        });
        self.stop_tasks(now, id, cause, mode);
        // What has begun waits for no resumption any more.
        self.gates_changed(now, id);
        self.end_if_done(now, id);
        Ok(())
    }

    /// Stops what a campaign was given while it was being stopped.
    pub(super) fn stop_rest(&mut self, now: Now, id: CampaignId) {
        let running = self.campaigns.get(&id);
        if let Some((cause, mode)) = running.and_then(RunningCampaign::stopped_as) {
            self.stop_tasks(now, id, &cause, mode);
        }
    }

    fn stop_tasks(&mut self, now: Now, id: CampaignId, cause: &Failure, mode: StopMode) {
        for task in self.tasks_of(id) {
            self.stop_one(now, task, cause, mode);
        }
    }

    /// Ends the update of one device.
    pub(super) fn stop_task(
        &mut self,
        now: Now,
        campaign: CampaignId,
        id: TaskId,
        mode: StopMode,
    ) -> Result<(), CommandError> {
        let entry = self.tasks.get(&id);
        if entry.is_none_or(|entry| entry.task().campaign != campaign) {
            return Err(CommandError::TaskNotActive);
        }
        let cause = Failure {
            reason: FailureReason::Stopped,
            evidence: "an operator stopped the update of this device".to_owned(),
        };
        self.stop_one(now, id, &cause, mode);
        Ok(())
    }

    pub(super) fn stop_one(&mut self, now: Now, id: TaskId, cause: &Failure, mode: StopMode) {
        match self.tasks.get_mut(&id) {
            Some(TaskEntry::Running(session)) => {
                session.handle_stop(now, cause.clone(), mode);
                self.ready.push_back(id);
            }
            Some(TaskEntry::Idle(idle)) => {
                let mut idle = idle.clone();
                let mut detail = String::new();
                if cause.reason != FailureReason::Stopped {
                    detail = told(cause);
                    idle.failure = Some(cause.clone());
                }
                self.timeline(now, &idle, TimelineStep::Stopped, detail);
                self.finish(now, idle, TaskState::Stopped);
            }
            None => {}
        }
    }
}

fn by_operator() -> Failure {
    Failure {
        reason: FailureReason::Stopped,
        evidence: "an operator stopped the campaign".to_owned(),
    }
}
