//! An operator has failed tasks tried again: of an active campaign, or of one that has ended, which runs
//! again then. The attempts are numbered on, and count anew against `retries_max`; the URI stays, so that a
//! device resumes; and the loop guard still counts.

use std::sync::Arc;

use crate::clock::Now;
use crate::model::{
    CampaignId, Phase, Record, RetryPolicy, TaskState, TimelineStep, UpdateTask, WaitingFor,
};

use super::tasks::TaskEntry;
use super::timers::Timer;
use super::{CommandError, EndedCampaign, Engine};

/// A task that was tried so often is not tried again: its attempts could not be told apart any more.
const ATTEMPTS_MAX: u8 = u8::MAX - RetryPolicy::RETRIES_MAX - 1;

impl Engine {
    /// `tasks` are failed ones as they are stored; what is wrong with them is left as it is. `ended` is
    /// for a campaign that has ended.
    pub(super) fn retry_tasks(
        &mut self,
        now: Now,
        id: CampaignId,
        mut tasks: Vec<UpdateTask>,
        ended: Option<EndedCampaign>,
    ) -> Result<(), CommandError> {
        tasks.retain(|task| {
            task.campaign == id
                && task.state == TaskState::Failed
                && task.attempt <= ATTEMPTS_MAX
                && !self.tasks.contains_key(&task.id)
        });
        if tasks.is_empty() {
            return Err(CommandError::NothingToRetry);
        }
        let runs_again = !self.campaigns.contains_key(&id);
        match self.campaigns.get(&id) {
            Some(running) => {
                // Those that are at work end by themselves first.
                running.campaign.state.retry(true)?;
                if running.is_over(now) {
                    return Err(CommandError::EndPassed);
                }
                self.check_room(running, tasks.len())?;
            }
            None => {
                let ended = ended.ok_or(CommandError::NotActive)?;
                self.run_again(now, ended, tasks.len())?;
            }
        }
        if let Some(running) = self.campaigns.get_mut(&id) {
            for task in &tasks {
                let progress = &mut running.progress;
                let (from, to) = (TaskState::Failed, TaskState::Pending);
                if let Err(error) = progress.handle_change(task.rollout_phase, from, to) {
                    tracing::error!(campaign = id.0, %error, "a failed task was not counted");
                }
            }
        }
        if runs_again {
            // As where a paused one is resumed.
            self.excuse_failures(now, id);
        } else {
            self.failures_taken_back(now, id);
        }
        for task in tasks {
            self.retry_task(now, task);
        }
        self.resume_rollout(now, id);
        self.plan_openings(now);
        Ok(())
    }

    /// A campaign that has ended runs again.
    fn run_again(
        &mut self,
        now: Now,
        ended: EndedCampaign,
        tasks: usize,
    ) -> Result<(), CommandError> {
        let mut running = self.running_campaign(
            now,
            ended.campaign,
            ended.package,
            ended.image,
            ended.installed,
            ended.ended,
        );
        let id = running.campaign.id;
        let state = running.campaign.state.retry(false)?;
        if running.is_over(now) {
            return Err(CommandError::EndPassed);
        }
        let settings = Arc::clone(self.products.of_package(&running.package));
        self.check_base(&settings)?;
        self.check_room(&running, tasks)?;
        running.campaign.state = state;
        running.campaign.ended_at = None;
        let paused = running.campaign.rollout.paused.take();
        let stop = running.campaign.rollout.stop.take();
        let rollout = running.campaign.rollout.clone();
        self.set_start_rate(&running, false);
        self.campaigns.insert(id, running);
        self.record(Record::Campaign {
            id,
            state,
            at: now.utc,
        });
        // It was stopped, while it was paused perhaps: it runs now.
        if paused.is_some() || stop.is_some() {
            let state = rollout;
            self.record(Record::Rollout { id, state });
        }
        self.set_contact_timer(id, now.instant + settings.contact_timeout);
        self.follow_schedule(now, id);
        Ok(())
    }

    fn retry_task(&mut self, now: Now, task: UpdateTask) {
        let wait = self.settings_of(&task.endpoint).contact_timeout;
        let task = UpdateTask {
            state: TaskState::Pending,
            phase: Phase::WaitingContact,
            waiting_for: Some(WaitingFor::Contact),
            attempts_before: task.attempt,
            stop: None,
            since: now.utc,
            until: Some(now.utc + wait),
            retry_at: Some(now.utc),
            queued_since: None,
            ..task
        };
        if !self.take_device(now, &task) {
            return self.end_in_conflict(now, task);
        }
        let detail = format!(
            "an operator has it tried again after attempt {}",
            task.attempt
        );
        self.timeline(now, &task, TimelineStep::RetryPlanned, detail);
        self.record(Record::Task(task.clone()));
        let (id, endpoint) = (task.id, task.endpoint.clone());
        self.tasks.insert(id, TaskEntry::Idle(task));
        self.timers.set(Timer::Retry(id), Some(now.instant + wait));
        if self.flapping.is_flapping(&endpoint) {
            self.hold_idle(now, id);
        } else if self.listens(now, &endpoint) {
            self.openings.push(id);
        }
    }
}
