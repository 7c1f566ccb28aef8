//! Tasks that come to a campaign after it has begun: those that were too many for its activation, and
//! those of devices that its dynamic targets took in since.

use std::time::Duration;

use crate::clock::Now;
use crate::model::{
    CampaignId, CampaignState, Failure, FailureReason, StopMode, TaskId, TaskState, UpdateTask,
};

use super::timers::Timer;
use super::{CommandError, Engine};

/// Which tasks a campaign has been given.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// How many are still to come of those that it was activated with.
    pub(super) to_come: u64,
    /// The last one: what is given again, or is final meanwhile, is known by its number.
    pub(super) through: TaskId,
    /// How it was stopped, where tasks are still to come then.
    pub(super) stop: Option<(Failure, StopMode)>,
}

impl Engine {
    /// Takes up more of a campaign's tasks, in the order of their numbers.
    pub(super) fn add_tasks(
        &mut self,
        now: Now,
        id: CampaignId,
        mut tasks: Vec<UpdateTask>,
    ) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        let through = running.given.through;
        tasks.retain(|task| task.campaign == id && task.id > through);
        let Some(last) = tasks.last().map(|task| task.id) else {
            return Ok(());
        };
        let limit = self.config.tasks_max;
        if running.given.to_come == 0 && self.tasks.len() + tasks.len() > limit {
            return Err(CommandError::TasksFull { limit });
        }
        for task in &tasks {
            match running.given.to_come.checked_sub(1) {
                // Counted since the activation.
                Some(left) => running.given.to_come = left,
                None => running.progress.add(task.rollout_phase, TaskState::Pending),
            }
        }
        running.given.through = last;
        let stop = (running.campaign.state == CampaignState::Stopped)
            .then(|| running.given.stop.clone().unwrap_or_else(by_operator));
        for task in tasks {
            let task_id = task.id;
            self.add_task(now, task);
            if let Some((cause, mode)) = &stop {
                self.stop_one(now, task_id, cause, *mode);
            }
        }
        self.end_if_done(now, id);
        self.timers.set(Timer::Openings, Some(now.instant));
        Ok(())
    }
}

/// The devices that joined a dynamic campaign: each has its own time to be heard.
#[derive(Debug)]
pub(super) struct Latecomers {
    timeout: Duration,
    left: Duration,
}

impl Latecomers {
    /// Whether the device of a task that waits has time left to be heard.
    pub(super) fn have_time(&mut self, now: Now, idle: &UpdateTask) -> bool {
        let left = (idle.since + self.timeout).saturating_since(now.utc);
        if !left.is_zero() {
            self.left = self.left.min(left);
        }
        !left.is_zero()
    }

    /// When to look again. Each time all tasks are looked at: not for each device by itself.
    pub(super) fn left(&self) -> Duration {
        self.left.max(self.timeout / 20)
    }
}

impl Engine {
    /// Those of a campaign that devices may join.
    pub(super) fn latecomers(&self, id: CampaignId) -> Option<Latecomers> {
        let running = self.campaigns.get(&id)?;
        let timeout = self.products.of_package(&running.package).contact_timeout;
        let latecomers = Latecomers {
            timeout,
            left: timeout,
        };
        running.campaign.targets.dynamic.then_some(latecomers)
    }
}

fn by_operator() -> (Failure, StopMode) {
    let cause = Failure {
        reason: FailureReason::Stopped,
        evidence: "an operator stopped the campaign".to_owned(),
    };
    (cause, StopMode::Hard)
}
