//! 用户确认升级: somebody agrees to the update of a device, or of all of a campaign's, or refuses it.

use crate::clock::Now;
use crate::fota::Gate;
use crate::model::{
    CampaignId, Consent, ConsentRefusal, Failure, FailureReason, Record, StopMode, TaskId,
    TaskState, TimelineStep, UpdateTask, WaitingFor,
};

use super::campaigns::RunningCampaign;
use super::sweeps::Errand;
use super::tasks::TaskEntry;
use super::timers::Timer;
use super::{CommandError, Engine};

impl RunningCampaign {
    /// Whether nobody has agreed to the update of this device yet, where somebody has to.
    pub(super) fn lacks_consent(&self, task: &UpdateTask) -> bool {
        self.asks_for_consent()
            && self.campaign.consented_at.is_none()
            && task.consented_at.is_none()
    }

    pub(super) fn asks_for_consent(&self) -> bool {
        self.campaign.policy.conditions.consent == Consent::Confirmed
    }
}

impl Engine {
    /// Why a task waits for somebody's agreement. As long as for a device; while the campaign has an end,
    /// until then.
    pub(super) fn consent_gate(&self, now: Now, task: &UpdateTask) -> Option<Gate> {
        let running = self.campaigns.get(&task.campaign)?;
        if !running.lacks_consent(task) {
            return None;
        }
        let until = match (running.campaign.policy.schedule.end_at, task.waiting_for) {
            (Some(end), _) => Some(end),
            (None, Some(WaitingFor::Consent)) => task.until,
            (None, _) => Some(now.utc + self.settings_of(&task.endpoint).contact_timeout),
        };
        Some(Gate {
            waiting_for: WaitingFor::Consent,
            until,
            holds_execute: false,
        })
    }

    /// Nobody has agreed while there was time.
    pub(super) fn consent_overdue(&mut self, now: Now, id: TaskId) {
        self.fail_idle(
            now,
            id,
            FailureReason::ConsentMissing,
            "nobody agreed to the update of this device in time",
        );
    }

    /// Sets when a task that waits for consent has waited for long enough.
    pub(super) fn set_consent_timer(&mut self, now: Now, task: &UpdateTask) {
        let most = self.settings_of(&task.endpoint).contact_timeout;
        let has_end = self
            .campaigns
            .get(&task.campaign)
            .is_some_and(|running| running.campaign.policy.schedule.end_at.is_some());
        let wait = task.until.filter(|_| !has_end).map(|until| {
            // Not longer than it was to wait, wherever the clock on the wall is.
            until.saturating_since(now.utc).min(most)
        });
        let at = wait.map(|wait| now.instant + wait);
        self.timers.set(Timer::Retry(task.id), at);
    }

    /// The campaign has another end, or none any more: who waits for consent waits until then.
    pub(super) fn consent_end_changed(&mut self, id: CampaignId) {
        let asks = |running: &RunningCampaign| running.asks_for_consent();
        if self.campaigns.get(&id).is_some_and(asks) {
            self.begin_sweep(id, Errand::ConsentEnd);
        }
    }

    /// One of these.
    pub(super) fn consent_anew(&mut self, now: Now, id: TaskId) {
        let Some(TaskEntry::Idle(idle)) = self.tasks.get(&id) else {
            return;
        };
        let Some(running) = self.campaigns.get(&idle.campaign) else {
            return;
        };
        if idle.waiting_for != Some(WaitingFor::Consent) {
            return;
        }
        let end = running.campaign.policy.schedule.end_at;
        let wait = self.settings_of(&idle.endpoint).contact_timeout;
        let waiting = UpdateTask {
            until: Some(end.unwrap_or(now.utc + wait)),
            ..idle.clone()
        };
        self.set_consent_timer(now, &waiting);
        self.keep_idle(waiting);
    }

    /// Somebody agrees to the update of one device, or with `None` of all, or refuses it.
    pub(super) fn consent(
        &mut self,
        now: Now,
        campaign: CampaignId,
        task: Option<TaskId>,
        granted: bool,
        by: &str,
    ) -> Result<(), CommandError> {
        match task {
            Some(task) => self.consent_to_task(now, (campaign, task), granted, by),
            None => self.consent_to_all(now, campaign, granted, by),
        }
    }

    /// Somebody agrees for all devices of a campaign, or refuses for all that nobody has agreed for.
    fn consent_to_all(
        &mut self,
        now: Now,
        id: CampaignId,
        granted: bool,
        by: &str,
    ) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        if !running.asks_for_consent() {
            return Err(CommandError::ConsentNotAsked);
        }
        if granted {
            if running.campaign.consented_at.is_none() {
                running.campaign.consented_at = Some(now.utc);
                self.record(Record::CampaignConsented { id, at: now.utc });
                self.settle_all(id);
            }
            return Ok(());
        }
        if running.campaign.consented_at.is_some() {
            return Err(CommandError::ConsentGiven);
        }
        if let Some(last) = running.tasks.last().copied() {
            let refusal = ConsentRefusal {
                by: by.to_owned(),
                last_task: last.0,
            };
            self.change_rollout(now, id, |state| state.refusal = Some(refusal));
            self.settle_all(id);
        }
        Ok(())
    }

    /// Ends a task that somebody refused for with all others.
    pub(super) fn settle_refusal(&mut self, now: Now, id: TaskId) {
        let Some(task) = self.tasks.get(&id).map(TaskEntry::task) else {
            return;
        };
        let running = self.campaigns.get(&task.campaign);
        let refusal = running.and_then(|it| it.campaign.rollout.refusal.as_ref());
        let is_open = running.is_some_and(|it| it.lacks_consent(task)) && task.stop.is_none();
        let applies = |refusal: &&ConsentRefusal| is_open && id.0 <= refusal.last_task;
        if let Some(by) = refusal.filter(applies).map(|it| it.by.clone()) {
            self.refuse_update(now, id, &by);
        }
    }

    /// All tasks that a refusal was for have been told: those that are tried again later are asked for anew.
    pub(super) fn refusal_told(&mut self, now: Now, id: CampaignId) {
        let running = self.campaigns.get(&id);
        if running.is_some_and(|it| it.campaign.rollout.refusal.is_some()) {
            self.change_rollout(now, id, |state| state.refusal = None);
        }
    }

    /// Somebody agrees to the update of one device, or refuses it.
    fn consent_to_task(
        &mut self,
        now: Now,
        (campaign, id): (CampaignId, TaskId),
        granted: bool,
        by: &str,
    ) -> Result<(), CommandError> {
        self.settle_wholly(now, id);
        let entry = self.tasks.get(&id);
        let entry = entry.filter(|entry| entry.task().campaign == campaign);
        let Some(entry) = entry else {
            return Err(CommandError::TaskNotActive);
        };
        let task = entry.task().clone();
        let running = self.campaigns.get(&campaign);
        let lacks_consent = running.is_some_and(|running| running.lacks_consent(&task));
        if !running.is_some_and(RunningCampaign::asks_for_consent) {
            return Err(CommandError::ConsentNotAsked);
        }
        if granted {
            if lacks_consent {
                self.agree(now, task, by);
            }
            return Ok(());
        }
        let has_begun = match entry {
            TaskEntry::Idle(task) => task.attempt > 0,
            TaskEntry::Running(session) => session.has_begun(),
        };
        if has_begun && !lacks_consent {
            return Err(CommandError::ConsentGiven);
        }
        self.refuse_update(now, id, by);
        Ok(())
    }

    fn agree(&mut self, now: Now, task: UpdateTask, by: &str) {
        let id = task.id;
        self.timeline(
            now,
            &task,
            TimelineStep::Consent,
            format!("granted by {by}"),
        );
        let agreed = UpdateTask {
            consented_at: Some(now.utc),
            ..task
        };
        if matches!(self.tasks.get(&id), Some(TaskEntry::Idle(_))) {
            self.keep_idle(agreed);
        }
        self.task_gate_changed(now, id);
        self.plan_openings(now);
    }

    fn refuse_update(&mut self, now: Now, id: TaskId, by: &str) {
        let cause = Failure {
            reason: FailureReason::Stopped,
            evidence: format!("{by} refused the update of this device"),
        };
        let Some(entry) = self.tasks.get_mut(&id) else {
            return;
        };
        let mut task = entry.task().clone();
        let detail = format!("refused by {by}");
        match entry {
            TaskEntry::Running(session) => {
                session.handle_stop(now, cause, StopMode::Hard);
                self.ready.push_back(id);
                self.timeline(now, &task, TimelineStep::Consent, detail);
            }
            TaskEntry::Idle(_) => {
                self.timeline(now, &task, TimelineStep::Consent, detail.clone());
                self.timeline(now, &task, TimelineStep::Stopped, detail);
                task.failure = Some(cause);
                self.finish(now, task, TaskState::Stopped);
            }
        }
    }
}
