//! What operators do beside campaigns, and with those that run.

use std::time::Duration;

use narrowcast::engine::{Command, CommandError, Engine};
use narrowcast::model::{
    Campaign, CampaignId, CampaignState, EndpointName, Phase, Record, RolloutStep, Schedule,
    StopMode, TaskState, UpdateTask,
};
use narrowcast::store::{Store, StoreError, TargetStore};

use super::{Feature, Trouble, World};
use crate::fleet;
use crate::server::{ALL, Crash, Outcome, ready};

/// How often somebody looks after campaigns.
const ROUND: Duration = Duration::from_secs(20 * 60);

/// Something done with a campaign that runs.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Pause,
    Halt,
    HaltAll,
    Resume,
    Approve,
    Reschedule(Schedule),
    /// These devices match its targets now.
    Join(Vec<usize>),
    /// Once all is calm, somebody looks after all campaigns now and then: none has windows any more, what is
    /// paused is resumed, what waits is approved, and what only waits for devices to join is stopped.
    Care,
}

impl World {
    /// Gives the server one input, in which it may die; what it answered, unless that is lost.
    pub(crate) fn input<R>(
        &mut self,
        crash: Option<Crash>,
        input: impl FnOnce(&mut Engine) -> R,
    ) -> Option<R> {
        let (result, transmits) = self.server.handle(self.now, crash, input);
        self.served(transmits);
        result
    }

    /// No datagram that is on its way arrives.
    pub(crate) fn lose_what_is_under_way(&mut self) {
        self.to_come.clear();
    }

    /// An operator does it; it may be refused.
    pub(super) fn deed(&mut self, id: CampaignId, deed: Deed) {
        match deed {
            Deed::Pause => {
                self.command(Command::PauseCampaign { id, halted: false });
            }
            Deed::Halt => {
                self.command(Command::PauseCampaign { id, halted: true });
            }
            Deed::HaltAll => {
                self.command(Command::HaltCampaigns);
            }
            Deed::Resume => {
                self.command(Command::ResumeCampaign(id));
            }
            Deed::Approve => {
                self.command(Command::ApprovePhase(id));
            }
            Deed::Reschedule(schedule) => {
                let done = self.command(Command::SetSchedule { id, schedule });
                if done == Outcome::Done(Ok(())) {
                    self.server.watch.count(Feature::Rescheduled);
                }
            }
            Deed::Join(devices) => self.join(id, &devices),
            Deed::Care => {
                if self.chaos.calm {
                    self.care();
                }
                self.plan(ROUND, Trouble::Deed(id, Deed::Care));
            }
        }
    }

    fn care(&mut self) {
        let campaigns = ready(self.server.store.campaigns(ALL)).unwrap();
        for (campaign, counts) in campaigns {
            let Campaign { id, state, .. } = campaign;
            let mut schedule = campaign.policy.schedule;
            if state.is_active() && !schedule.windows.is_empty() {
                schedule.windows.clear();
                self.deed(id, Deed::Reschedule(schedule));
            }
            if state == CampaignState::Paused {
                self.deed(id, Deed::Resume);
            } else if state == CampaignState::Running
                && campaign.rollout.step == RolloutStep::AwaitingApproval
            {
                self.deed(id, Deed::Approve);
            } else if state.is_active()
                && campaign.targets.dynamic
                && counts.pending + counts.running == 0
            {
                self.stop_as(id, StopMode::Soft);
            }
        }
    }

    /// As `http::campaigns::Joiner` takes devices in that match now.
    fn join(&mut self, id: CampaignId, devices: &[usize]) {
        let (campaign, _) = ready(self.server.store.campaign(id)).unwrap();
        let named = devices.iter();
        let named = named.map(|index| fleet::endpoint(&self.devices[*index].config));
        let named: Vec<EndpointName> = named.collect();
        let phase = u16::try_from(campaign.policy.rollout.gates().len()).unwrap();
        let now = self.now.utc;
        let joined = self.server.store.join_campaign(id, &named, phase, now);
        let tasks = match ready(joined) {
            Ok(tasks) => tasks,
            Err(StoreError::Conflict(_)) => return,
            Err(error) => panic!("{error}"),
        };
        for task in &tasks {
            self.server.watch.joined(id);
            self.server.tasks.insert(task.id, task.clone());
        }
        let command = Command::AddTasks {
            campaign: id,
            tasks: tasks.clone(),
        };
        if self.command(command) != Outcome::Done(Err(CommandError::NotActive)) {
            return;
        }
        for task in tasks {
            let stopped = UpdateTask {
                state: TaskState::Stopped,
                phase: Phase::Done,
                waiting_for: None,
                since: now,
                ..task
            };
            let record = || vec![Record::Task(stopped.clone())];
            while ready(self.server.store.commit(record())).is_err() {}
            self.server.tasks.insert(stopped.id, stopped);
        }
    }
}
