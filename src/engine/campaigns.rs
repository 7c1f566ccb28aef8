//! Active campaigns: their tasks come in, are tried, and end them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::campaign::{Pace, PhaseProgress};
use crate::clock::{Instant, Now, Utc};
use crate::fota::{HELD_EVIDENCE, Precedence, Wanted};
use crate::model::{
    Campaign, CampaignId, CampaignState, DownloadProtocol, EndpointName, Failure, FailureReason,
    Image, InstalledSequences, Package, ProductSettings, Record, RolloutPhase, TaskId, TaskState,
    TimelineStep, UpdateTask, WaitingFor,
};

use super::download::{ServedImage, uri_file_name};
use super::joining::Given;
use super::schedule::ScheduleState;
use super::soak::Soaking;
use super::sweeps::Errand;
use super::tasks::{TaskEntry, told};
use super::timers::Timer;
use super::{CellStatus, CommandError, EndedTasks, Engine, TierStatus};
use crate::model::CoverageTier;
use crate::scheduler::{Line, Standing};

/// A campaign whose tasks run.
#[derive(Debug)]
pub(super) struct RunningCampaign {
    pub(super) campaign: Campaign,
    pub(super) package: Package,
    pub(super) image: Bytes,
    /// Without the URI, which is of a device's own settings.
    wanted: Wanted,
    /// With it, by download protocol: what most devices share.
    shared: [OnceLock<Arc<Wanted>>; DownloadProtocol::ALL.len()],
    /// The last segment of the path that devices fetch from by HTTP.
    file_name: String,
    installed: InstalledSequences,
    pub(super) progress: PhaseProgress,
    pub(super) given: Given,
    /// Those that are not final.
    pub(super) tasks: BTreeSet<TaskId>,
    /// What was seen of its devices.
    pub(super) pace: Pace,
    /// When it may begin something.
    pub(super) schedule: ScheduleState,
    /// What the phases of its rollout have to come to.
    gates: Vec<Arc<RolloutPhase>>,
    /// Devices that were updated in the running phase, where they have to report for a while.
    pub(super) soaking: BTreeMap<EndpointName, Soaking>,
}

impl RunningCampaign {
    pub(super) fn new(
        campaign: Campaign,
        package: Package,
        image: Bytes,
        installed: InstalledSequences,
        counts: PhaseProgress,
        soaking: BTreeMap<EndpointName, Soaking>,
    ) -> Self {
        let gates = campaign.policy.rollout.gates().into_iter();
        let schedule = ScheduleState::new(campaign.id, &campaign.policy.schedule);
        let wanted = Wanted {
            target_version: package.target_version.clone(),
            source_versions: package.source_versions.clone(),
            precedence: None,
            not_after: package.not_after,
            image_size_bytes: package.file.size_bytes,
            image: Image::from(image.clone()),
            uri_base: String::new(),
            uri_suffix: String::new(),
        };
        let file_name = uri_file_name(&package.file.name);
        Self {
            campaign,
            package,
            image,
            wanted,
            shared: Default::default(),
            file_name,
            installed,
            given: Given {
                to_come: counts.all().pending,
                ..Given::default()
            },
            progress: counts,
            tasks: BTreeSet::new(),
            pace: Pace::default(),
            schedule,
            gates: gates.map(Arc::new).collect(),
            soaking,
        }
    }

    /// What has to be true for the phase after this one to begin; `None` of the last.
    pub(super) fn gate_after(&self, phase: u16) -> Option<&Arc<RolloutPhase>> {
        self.gates.get(usize::from(phase))
    }

    /// Since when its devices have their time to be heard.
    pub(super) fn contact_since(&self) -> Option<Utc> {
        let anew = self.campaign.rollout.contact_since();
        anew.or(self.campaign.activated_at)
    }

    fn starts_per_minute_max(&self) -> Option<NonZeroU32> {
        let max = self.campaign.policy.governors.starts_per_minute_max;
        max.and_then(NonZeroU32::new)
    }

    /// By which rate its tasks start.
    pub(super) fn line(&self) -> Line {
        self.starts_per_minute_max().map(|_| self.campaign.id)
    }

    pub(super) fn is_running(&self) -> bool {
        self.campaign.state == CampaignState::Running
    }

    /// What is wanted of a device that fetches from below `base`.
    pub(super) fn wanted(
        &self,
        endpoint: &EndpointName,
        base: Option<&String>,
        settings: &ProductSettings,
    ) -> Arc<Wanted> {
        let protocol = settings.download;
        let shared = &self.shared[protocol as usize];
        let shared = shared.get_or_init(|| Arc::new(self.wanted_by(protocol, base)));
        let Some(given) = self.installed.devices.get(endpoint) else {
            return Arc::clone(shared);
        };
        let mut own = Wanted::clone(shared);
        if let Some(precedence) = &mut own.precedence {
            precedence.given = Some(*given);
        }
        Arc::new(own)
    }

    fn wanted_by(&self, protocol: DownloadProtocol, base: Option<&String>) -> Wanted {
        let mut wanted = self.wanted.clone();
        if self.campaign.downgrade.is_none() {
            wanted.precedence = self.package.sequence.map(|sequence| Precedence {
                sequence,
                released: Arc::clone(&self.installed.versions),
                given: None,
            });
        }
        if let Some(base) = base {
            wanted.uri_base.clone_from(base);
        }
        if protocol == DownloadProtocol::Http {
            wanted.uri_suffix = format!("/{}", self.file_name);
        }
        wanted
    }

    pub(super) fn served(&self) -> ServedImage {
        ServedImage {
            image: Image::from(self.image.clone()),
            sha256: self.package.file.sha256,
            file_name: self.file_name.clone(),
        }
    }
}

impl Engine {
    /// A campaign as the engine takes it up.
    pub(super) fn running_campaign(
        &self,
        now: Now,
        campaign: Campaign,
        package: Package,
        image: Bytes,
        installed: InstalledSequences,
        ended: EndedTasks,
    ) -> RunningCampaign {
        let soaking = self.soaking(now, &campaign, ended.soaking);
        RunningCampaign::new(campaign, package, image, installed, ended.counts, soaking)
    }

    /// 激活计划, and the same after a restart: one path for both.
    pub(super) fn run_campaign(
        &mut self,
        now: Now,
        mut running: RunningCampaign,
        tasks: Vec<UpdateTask>,
    ) -> Result<(), CommandError> {
        let id = running.campaign.id;
        let state = running.campaign.state;
        let resumed = state == CampaignState::Stopped || state.is_active();
        if !resumed {
            running.campaign.state = running.activated(now)?;
            running.campaign.activated_at = Some(now.utc);
        }
        let settings = Arc::clone(self.products.of_package(&running.package));
        if !resumed {
            self.check_base(&settings)?;
            if running.is_over(now) {
                return Err(CommandError::EndPassed);
            }
        }
        // What was active before a restart goes on whatever the limits say now: its slots are held.
        if !resumed {
            self.check_room(&running, tasks.len())?;
        }
        if self.campaigns.contains_key(&id) {
            return Ok(());
        }
        if !resumed {
            let state = running.campaign.state;
            self.record(Record::Campaign {
                id,
                state,
                at: now.utc,
            });
        }
        // A table that grows is moved as a whole: of a large campaign's tasks this does so once, at its start.
        let to_come = usize::try_from(running.given.to_come).unwrap_or(usize::MAX);
        let to_come = to_come.min(self.config.tasks_max);
        self.task_of.reserve(tasks.len().saturating_add(to_come));
        running.given.through = tasks.last().map(|task| task.id).unwrap_or_default();
        // All count as waiting until they are final: only the end is of interest here.
        for task in &tasks {
            let phase = task.rollout_phase;
            running.progress.add(phase, TaskState::Pending);
            if task.lost {
                running.progress.lose(phase);
            }
        }
        let left = if resumed {
            let since = running.contact_since().unwrap_or(now.utc);
            let deadline = since + settings.contact_timeout;
            self.contact_time_left(now, deadline, &settings)
        } else {
            settings.contact_timeout
        };
        self.set_contact_timer(id, now.instant + left);
        let opens = !resumed && running.is_running();
        self.set_start_rate(&running, !resumed);
        self.campaigns.insert(id, running);
        if opens {
            self.phase_opened(now, id);
        }
        for task in tasks {
            self.add_task(now, task);
        }
        // The restart cut its end short, or its window has opened since they were told to wait.
        if resumed {
            self.settle_all(id);
        }
        self.end_if_done(now, id);
        self.follow_schedule(now, id);
        self.resume_rollout(now, id);
        self.plan_openings(now);
        Ok(())
    }

    /// One of a campaign's tasks is final.
    pub(super) fn task_finished(
        &mut self,
        now: Now,
        id: CampaignId,
        endpoint: &EndpointName,
        phase: u16,
        state: TaskState,
    ) {
        if let Some(running) = self.campaigns.get_mut(&id)
            && let Err(error) = running
                .progress
                .handle_change(phase, TaskState::Pending, state)
        {
            tracing::error!(campaign = id.0, %error, "a task ended twice");
        }
        self.failures_taken_back(now, id);
        self.end_if_done(now, id);
        self.rollout_counts(now, id, endpoint, phase, state);
    }

    /// The retry delay of a task is over: a device that listens, if only for a while yet, is tried at once,
    /// another at its next contact, which must come in time.
    pub(super) fn retry_due(&mut self, now: Now, id: TaskId) {
        self.settle_first(now, id);
        let Some(TaskEntry::Idle(task)) = self.tasks.get(&id) else {
            return;
        };
        if task.waiting_for == Some(WaitingFor::Consent) {
            return self.consent_overdue(now, id);
        }
        if task.retry_at.is_none() {
            return;
        }
        if task.waiting_for == Some(WaitingFor::Contact)
            && let Some(left) = self.contact_left(now, task.campaign, task.since)
        {
            return self.timers.set(Timer::Retry(id), Some(now.instant + left));
        }
        if let Some(gate) = self.gate(now, task) {
            return self.wait_at_gate(now, id, gate);
        }
        if let Some(again) = self.held_for(now, task.campaign) {
            let (waiting_for, since) = match task.waiting_for {
                Some(WaitingFor::RetryDelay) => (Some(WaitingFor::Contact), now.utc),
                same => (same, task.since),
            };
            let waiting = UpdateTask {
                waiting_for,
                since,
                until: Some(now.utc + again),
                ..task.clone()
            };
            self.keep_idle(waiting);
            return self.timers.set(Timer::Retry(id), Some(now.instant + again));
        }
        let is_flapping = self.flapping.is_flapping(&task.endpoint);
        if task.waiting_for == Some(WaitingFor::Contact) {
            self.fail_idle(
                now,
                id,
                FailureReason::ContactTimeout,
                if task.attempt > 0 {
                    "not heard since the retry"
                } else {
                    "not heard since somebody agreed to its update"
                },
            );
        } else if task.waiting_for == Some(WaitingFor::Flapping) {
            self.fail_idle(now, id, FailureReason::Flapping, HELD_EVIDENCE);
        } else if self.listens(now, &task.endpoint) && !is_flapping {
            self.open(now, id, false);
        } else {
            let wait = self.settings_of(&task.endpoint).contact_timeout;
            self.timers.set(Timer::Retry(id), Some(now.instant + wait));
            let mut waiting = task.clone();
            waiting.waiting_for = Some(if is_flapping {
                WaitingFor::Flapping
            } else {
                WaitingFor::Contact
            });
            waiting.since = now.utc;
            waiting.until = Some(now.utc + wait);
            self.record(Record::Task(waiting.clone()));
            self.tasks.insert(id, TaskEntry::Idle(waiting));
        }
    }

    /// How long a device has left, after a restart, to be heard before a stored `deadline`. As much as a
    /// registration has at least: nobody was heard while the server was away, and the clock on the wall may have been
    /// set.
    pub(super) fn contact_time_left(
        &self,
        now: Now,
        deadline: Utc,
        settings: &ProductSettings,
    ) -> Duration {
        deadline
            .saturating_since(now.utc)
            .max(self.config.registry.restart_grace)
            .min(settings.contact_timeout)
    }

    /// How long a campaign that is held waits until its deadlines are looked at again: no device is at
    /// fault meanwhile.
    fn held_for(&self, now: Now, id: CampaignId) -> Option<Duration> {
        let running = self.campaigns.get(&id)?;
        let gate = running.gate(now);
        if !self.is_held(running) && gate.is_none() {
            return None;
        }
        let timeout = self.products.of_package(&running.package).contact_timeout;
        let opens_at = gate.and_then(|gate| gate.until);
        let opens_in = opens_at.map(|at| at.saturating_since(now.utc));
        Some(opens_in.map_or(timeout, |opens_in| opens_in.min(timeout)))
    }

    /// How long the devices of each campaign have to be heard.
    pub(super) fn contact_timeouts(&self) -> Vec<(CampaignId, Duration)> {
        let of = |running: &RunningCampaign| {
            let settings = self.products.of_package(&running.package);
            settings.contact_timeout
        };
        let campaigns = self.campaigns.iter();
        campaigns.map(|(id, running)| (*id, of(running))).collect()
    }

    /// Counts the time of a campaign's devices anew from where it began, where it is not `before`.
    pub(super) fn contact_timeout_changed(&mut self, now: Now, id: CampaignId, before: Duration) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let timeout = self.products.of_package(&running.package).contact_timeout;
        if timeout == before {
            return;
        }
        let since = running.contact_since().unwrap_or(now.utc);
        let left = (since + timeout).saturating_since(now.utc);
        self.set_contact_timer(id, now.instant + left.min(timeout));
    }

    /// When its devices have had their time to be heard.
    pub(super) fn set_contact_timer(&mut self, id: CampaignId, at: Instant) {
        self.sweeps.forget_overdue(id);
        self.timers.set(Timer::Contact(id), Some(at));
    }

    /// Devices that were never heard since the activation have had their time.
    pub(super) fn contact_overdue(&mut self, now: Now, id: CampaignId) {
        let again = self.held_for(now, id);
        match again.or_else(|| self.first_contact_left(now, id)) {
            Some(again) => self.set_contact_timer(id, now.instant + again),
            None => self.begin_sweep(id, Errand::Overdue),
        }
    }

    /// How many campaigns are not over.
    pub fn campaigns(&self) -> usize {
        self.campaigns.len()
    }

    /// Cells in order of their ids, from `after` (exclusive).
    pub fn cells(&self, after: Option<crate::model::CellId>, limit: usize) -> Vec<CellStatus> {
        self.scheduler
            .cells(after, limit)
            .into_iter()
            .map(|row| CellStatus {
                cell: row.cell,
                admission: row.policy,
                tiers: row.tiers.map(|tier| TierStatus {
                    tier: tier.tier,
                    active: tier.active,
                    limit: tier.limit,
                    queued: tier.queued,
                    held: tier.held,
                }),
            })
            .collect()
    }

    /// Where a device's task waits for a slot; `None` where it waits for none.
    pub fn standing(&self, endpoint: &EndpointName) -> Option<Standing> {
        self.scheduler.standing(*self.task_of.get(endpoint)?)
    }

    /// Where a campaign has a rate of starts, its tasks start at that. What began of it before a restart, or
    /// before it ended, counts: `is_new` says that there is no such.
    pub(super) fn set_start_rate(&mut self, running: &RunningCampaign, is_new: bool) {
        if let Some(max) = running.starts_per_minute_max() {
            self.scheduler
                .set_start_rate(running.campaign.id, max, is_new);
        }
    }

    /// Slots in use of a tier, over all cells.
    pub fn slots_in_use(&self, tier: CoverageTier) -> u64 {
        self.scheduler.slots_in_use(tier)
    }

    /// Campaigns of one image share its bytes.
    pub(super) fn check_room(
        &self,
        running: &RunningCampaign,
        tasks: usize,
    ) -> Result<(), CommandError> {
        let limit_bytes = self.config.image_bytes_max;
        let images: BTreeMap<_, _> = self
            .campaigns
            .values()
            .chain([running])
            .map(|campaign| (campaign.package.file.sha256, campaign.image.len() as u64))
            .collect();
        if images.values().sum::<u64>() > limit_bytes {
            return Err(CommandError::ImagesFull { limit_bytes });
        }
        let limit = self.config.tasks_max;
        let to_come = usize::try_from(running.given.to_come).unwrap_or(usize::MAX);
        if (self.tasks.len() + tasks).saturating_add(to_come) > limit {
            return Err(CommandError::TasksFull { limit });
        }
        Ok(())
    }

    pub(super) fn add_task(&mut self, now: Now, task: UpdateTask) {
        if self.take_device(now, &task) {
            self.restore_task(now, task);
        } else {
            self.end_in_conflict(now, task);
        }
    }

    /// A device is this task's from now on, unless it is another's.
    pub(super) fn take_device(&mut self, now: Now, task: &UpdateTask) -> bool {
        if let Some(other) = self.task_of.get(&task.endpoint).copied() {
            // Its campaign may have been stopped.
            self.settle_wholly(now, other);
        }
        if self.task_of.contains_key(&task.endpoint) {
            return false;
        }
        self.task_of.insert(task.endpoint.clone(), task.id);
        if let Some(running) = self.campaigns.get_mut(&task.campaign) {
            running.tasks.insert(task.id);
        }
        true
    }

    pub(super) fn end_in_conflict(&mut self, now: Now, task: UpdateTask) {
        if let Some(other) = self.task_of.get(&task.endpoint) {
            let evidence = format!("the device is in task {} of another campaign", other.0);
            let failure = Failure {
                reason: FailureReason::TaskConflict,
                evidence,
            };
            self.timeline(now, &task, TimelineStep::Failed, told(&failure));
            let task = UpdateTask {
                failure: Some(failure),
                ..task
            };
            self.finish(now, task, TaskState::Failed);
        }
    }

    pub(super) fn end_if_done(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let Some(outcome) = running.progress.all().outcome() else {
            return;
        };
        // Other devices may come yet.
        let is_open = running.campaign.targets.dynamic && !running.is_over(now);
        if is_open && !running.is_stopping() {
            return;
        }
        if running.campaign.state != CampaignState::Stopped {
            self.record(Record::Campaign {
                id,
                state: outcome,
                at: now.utc,
            });
        }
        self.campaigns.remove(&id);
        self.sweeps.forget(id);
        self.timers.set(Timer::Contact(id), None);
        self.timers.set(Timer::Soak(id), None);
        self.scheduler.end_start_rate(id);
        self.timers.set(Timer::Schedule(id), None);
    }
}
