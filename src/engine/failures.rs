//! Attempts that fail, tasks that fail without one, and whether another attempt follows.

use rand::RngCore;

use crate::campaign::{Next, decide};
use crate::clock::{Now, Utc};
use crate::fota::HELD_EVIDENCE;
use crate::model::{
    EndpointName, Failure, FailureReason, Phase, Record, TaskId, TaskState, TimelineStep,
    UpdateTask, WaitingFor,
};

use super::Engine;
use super::campaigns::RunningCampaign;
use super::joining::Latecomers;
use super::tasks::{TaskEntry, told};
use super::timers::Timer;

impl Engine {
    pub(super) fn fail_attempt(&mut self, now: Now, task: UpdateTask, failure: Failure) {
        let next = self.after_failure(now, &task, &failure);
        self.fail_with(now, task, failure, next);
    }

    /// An attempt that a halt kept from its Execute is made again, however many have failed.
    pub(super) fn make_again(&mut self, now: Now, mut task: UpdateTask, failure: Failure) {
        let next = match self.goes_on(now, &task) {
            Some(running) => Next::RetryAt(now.utc + running.campaign.retry.delay),
            None => Next::GiveUp,
        };
        task.attempts_before = task.attempts_before.saturating_add(1);
        self.fail_with(now, task, failure, next);
    }

    fn fail_with(&mut self, now: Now, mut task: UpdateTask, failure: Failure, next: Next) {
        self.give_back(now, &mut task);
        let failed = told(&failure);
        let loses = !task.lost && task.loses_device(&failure);
        task.failure = Some(failure);
        task.queued_since = None;
        match next {
            Next::GiveUp => self.finish(now, task, TaskState::Failed),
            Next::RetryAt(at) => {
                task.lost |= loses;
                task.state = TaskState::Pending;
                task.phase = Phase::WaitingContact;
                task.waiting_for = Some(WaitingFor::RetryDelay);
                task.since = now.utc;
                task.until = Some(at);
                task.retry_at = Some(at);
                let detail = format!("attempt {} failed: {failed}", task.attempt);
                self.timeline(now, &task, TimelineStep::RetryPlanned, detail);
                self.record(Record::Task(task.clone()));
                let id = task.id;
                self.clear_timers(id);
                self.timers.set(
                    Timer::Retry(id),
                    Some(now.instant + at.saturating_since(now.utc)),
                );
                let (campaign, phase) = (task.campaign, task.rollout_phase);
                self.tasks.insert(id, TaskEntry::Idle(task));
                if loses {
                    self.device_lost(now, campaign, phase);
                }
            }
        }
    }

    /// Whether a failed attempt is followed by another.
    fn after_failure(&mut self, now: Now, task: &UpdateTask, failure: &Failure) -> Next {
        let roll = self.rng.next_u32();
        let Some(running) = self.goes_on(now, task) else {
            return Next::GiveUp;
        };
        let attempts = task.attempt.saturating_sub(task.attempts_before).max(1);
        let (policy, pacing) = (&running.campaign.retry, &running.campaign.policy.retry);
        decide(policy, pacing, failure, attempts, now.utc, roll)
    }

    /// The campaign of a task that may be tried again.
    fn goes_on(&self, now: Now, task: &UpdateTask) -> Option<&RunningCampaign> {
        let running = self.campaigns.get(&task.campaign)?;
        let is_over = running.is_stopping() || running.is_over(now) || task.stop.is_some();
        (!is_over).then_some(running)
    }

    pub(super) fn fail_idle(
        &mut self,
        now: Now,
        id: TaskId,
        reason: FailureReason,
        evidence: &str,
    ) {
        let Some(TaskEntry::Idle(task)) = self.tasks.get(&id) else {
            return;
        };
        let mut task = task.clone();
        let mut evidence = evidence.to_owned();
        if reason == FailureReason::ContactTimeout {
            evidence += &self.last_word(now, &task.endpoint);
        }
        // An attempt that could not begin counts as one: else it would be tried for ever.
        task.attempt = task.attempt.saturating_add(1);
        let failure = Failure { reason, evidence };
        self.timeline(now, &task, TimelineStep::Failed, told(&failure));
        self.fail_attempt(now, task, failure);
    }

    /// When a device that was waited for was last heard.
    fn last_word(&self, now: Now, endpoint: &EndpointName) -> String {
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return "; it is not registered".to_owned();
        };
        let heard_at = self.registry.heard_at(registration.slot);
        heard_at.map_or_else(String::new, |at| {
            let ago = now.instant.saturating_since(at).as_millis();
            let ago = i64::try_from(ago).unwrap_or(i64::MAX);
            let heard_at = Utc::from_unix_ms(now.utc.unix_ms().saturating_sub(ago));
            format!("; last heard at {heard_at}")
        })
    }

    /// Fails one whose device was never heard, and has had its time.
    pub(super) fn fail_unheard(
        &mut self,
        now: Now,
        id: TaskId,
        latecomers: Option<&mut Latecomers>,
    ) {
        let Some(TaskEntry::Idle(idle)) = self.tasks.get(&id) else {
            return;
        };
        if latecomers.is_some_and(|it| it.have_time(now, idle)) {
            return;
        }
        let is_held = self.gate(now, idle).is_some_and(|gate| {
            // Who was never heard is not waited for because nobody has agreed to it.
            gate.waiting_for != WaitingFor::Consent || idle.waiting_for == Some(gate.waiting_for)
        });
        if idle.attempt > 0 || idle.retry_at.is_some() || is_held {
            return;
        }
        let (reason, evidence) = if idle.waiting_for == Some(WaitingFor::Flapping) {
            (FailureReason::Flapping, HELD_EVIDENCE)
        } else {
            let evidence = "not heard since the campaign was activated";
            (FailureReason::ContactTimeout, evidence)
        };
        self.fail_idle(now, id, reason, evidence);
    }
}
