//! Campaigns and single updates are stopped: softly, where what has begun may end, or hard.

use crate::clock::Now;
use crate::model::{
    CampaignId, CampaignState, CampaignStop, Failure, FailureReason, PauseReason, Record, StopMode,
    TaskId, TaskState, TimelineStep, UpdateTask,
};

use super::campaigns::RunningCampaign;
use super::tasks::{TaskEntry, told};
use super::{CommandError, Engine};

impl RunningCampaign {
    /// Whether it is being stopped: what has begun may end, and nothing follows it.
    pub(super) fn is_stopping(&self) -> bool {
        self.campaign.state == CampaignState::Stopped
    }

    /// Why and how it is being stopped.
    pub(super) fn stopped_as(&self) -> Option<(Failure, StopMode)> {
        let stop = self.campaign.rollout.stop.clone();
        let stop = stop.map(|stop| (stop.cause, stop.mode));
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
        match self.campaigns.get(&id).map(RunningCampaign::stopped_as) {
            Some(Some((_, StopMode::Hard))) => Ok(()),
            Some(Some((_, StopMode::Soft))) => {
                self.stop_all(now, id, cause, StopMode::Hard);
                Ok(())
            }
            Some(None) | None => self.end_campaign_as(now, id, cause, StopMode::Hard),
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
        let state = running.campaign.state;
        self.record(Record::Campaign {
            id,
            state,
            at: now.utc,
        });
        self.stop_all(now, id, cause, mode);
        self.end_if_done(now, id);
        Ok(())
    }

    /// Stops all its tasks. How and why is kept with it: its tasks end some at a turn, and those that are
    /// left after a restart end so too.
    fn stop_all(&mut self, now: Now, id: CampaignId, cause: &Failure, mode: StopMode) {
        let cause = cause.clone();
        let stop = Some(CampaignStop { mode, cause });
        self.change_rollout(now, id, |state| state.stop = stop);
        self.settle_all(id);
        if mode == StopMode::Hard {
            self.settle_telling(now);
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
            Some(TaskEntry::Running(session))
                if session.task().stop.is_none_or(|before| before < mode) =>
            {
                session.handle_stop(now, cause.clone(), mode);
                self.ready.push_back(id);
            }
            Some(TaskEntry::Idle(idle)) if has_failed(idle, cause) => {
                let idle = idle.clone();
                let detail = idle.failure.as_ref().map(told).unwrap_or_default();
                self.timeline(now, &idle, TimelineStep::Failed, detail);
                self.finish(now, idle, TaskState::Failed);
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
            // It is told already.
            Some(TaskEntry::Running(_)) | None => {}
        }
    }
}

/// Whether its campaign's end leaves a task as the failed one that it is: it waits for its next attempt.
fn has_failed(idle: &UpdateTask, cause: &Failure) -> bool {
    cause.reason == FailureReason::CampaignEnded && idle.failure.is_some()
}

fn by_operator() -> Failure {
    Failure {
        reason: FailureReason::Stopped,
        evidence: "an operator stopped the campaign".to_owned(),
    }
}
