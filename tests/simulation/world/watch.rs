//! What the policies of campaigns ask, held against what is committed and what leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use narrowcast::clock::{Instant, Now};
use narrowcast::coap::MessageId;
use narrowcast::engine::{Command, CommandError};
use narrowcast::model::{
    Backoff, Campaign, CampaignId, CampaignState, Consent, EndpointName, PauseReason, Record,
    RolloutState, RolloutStep, SlotClaim, TaskId, TaskState, TimelineEntry, TimelineStep,
    UpdateTask, WaitingFor, WaitingRoomPolicy,
};
use narrowcast::store::Store;

use super::features::Feature;
use super::{Check, admission, calendar};
use crate::server::{Outcome, Server, ready};

/// How long the server does not look at the clock on the wall, at most.
const RECHECK: Duration = Duration::from_secs(60);

const MINUTE: Duration = Duration::from_secs(60);

/// UTC is kept in milliseconds, and deadlines are of another clock.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// What is known of a campaign from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    rollout: RolloutState,
    /// Since when the devices of its running phase have to report.
    soaks_since: Option<Instant>,
    /// For what it was paused that was let pass in its running phase.
    let_pass: Vec<PauseReason>,
    /// Its running phase was approved by somebody.
    approved: bool,
    /// Somebody had it paused, and was told that it is; whether it was halted.
    ordered: Option<bool>,
    is_active: bool,
    pub(super) room: Option<WaitingRoomPolicy>,
}

/// Whose device is kept awake.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) campaign: CampaignId,
    pub(super) device: usize,
    pub(super) since: Instant,
}

/// All that is remembered from one input to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    pub(super) devices: BTreeMap<EndpointName, usize>,
    pub(super) standings: BTreeMap<CampaignId, Standing>,
    /// When the attempt failed behind which a task waits for its next.
    failed: BTreeMap<TaskId, Instant>,
    pub(super) places: BTreeMap<TaskId, Place>,
    /// Whoever has a slot, since it was granted: that is committed with the URI only.
    pub(super) granted: BTreeMap<TaskId, SlotClaim>,
    pub(super) heard: BTreeMap<usize, Instant>,
    /// Of an attempt.
    pub(super) pings: BTreeMap<(TaskId, u8), BTreeSet<MessageId>>,
    /// Who began in the last minute, since the last restart.
    starts: Vec<(Instant, CampaignId)>,
    /// How many tasks each campaign was made with, and was joined by.
    tasks: BTreeMap<CampaignId, u64>,
    pub(super) clock_set: Option<Instant>,
    clock_ahead: Vec<Instant>,
    /// By how much it was set back in all.
    set_back: Duration,
    last: Option<Now>,
    rebuilt: Instant,
    pub(crate) features: BTreeMap<Feature, u64>,
}

/// A command, as far as its answer is of interest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Pause(CampaignId, bool),
    HaltAll,
    /// To go on, or to end.
    Release(CampaignId),
    Approve(CampaignId),
    Other,
}

impl Order {
    pub(crate) fn of(command: &Command) -> Self {
        if let Command::PauseCampaign { id, halted } = command {
            Self::Pause(*id, *halted)
        } else if let Command::ResumeCampaign(id) | Command::StopCampaign { id, .. } = command {
            Self::Release(*id)
        } else if let Command::ApprovePhase(id) = command {
            Self::Approve(*id)
        } else if let Command::HaltCampaigns = command {
            Self::HaltAll
        } else {
            Self::Other
        }
    }
}

impl Watch {
    pub(super) fn knows(&mut self, endpoint: EndpointName, device: usize) {
        self.devices.insert(endpoint, device);
    }

    /// Something arrived from a device.
    pub(super) fn heard(&mut self, now: Now, device: usize) {
        self.heard.insert(device, now.instant);
    }

    pub(crate) fn rebuilt(&mut self, now: Now, tasks: &BTreeMap<TaskId, UpdateTask>) {
        self.rebuilt = now.instant;
        let held = tasks
            .values()
            .filter_map(|task| Some((task.id, task.slot?)));
        self.granted = held.collect();
        // The engine does not remember either.
        self.starts.clear();
        // A hold goes on where it is committed.
        let is_held = |task: &TaskId| tasks.get(task).is_some_and(|it| it.held_since.is_some());
        self.places.retain(|task, _| is_held(task));
        if self.clock_set.is_some() {
            // How many pings there were before is reckoned by the clock on the wall.
            self.pings.clear();
        }
    }

    /// Sees whether the clock on the wall was set since the last input.
    pub(crate) fn look_at_clock(&mut self, now: Now) {
        if let Some(before) = self.last.replace(now) {
            let passed = now.instant.saturating_since(before.instant);
            let jumped_ms = now.utc.unix_ms() - (before.utc + passed).unix_ms();
            if jumped_ms.unsigned_abs() > 1000 {
                self.clock_set(now, jumped_ms > 0);
                let back_ms = jumped_ms.min(0).unsigned_abs();
                self.set_back += Duration::from_millis(back_ms);
            }
        }
    }

    fn clock_set(&mut self, now: Now, ahead: bool) {
        self.clock_set = Some(now.instant);
        if ahead {
            self.clock_ahead.push(now.instant);
        }
    }

    pub(super) fn joined(&mut self, campaign: CampaignId) {
        *self.tasks.entry(campaign).or_default() += 1;
        self.count(Feature::Joined);
    }

    pub(super) fn count(&mut self, feature: Feature) {
        *self.features.entry(feature).or_default() += 1;
    }

    fn was_set_ahead(&self, since: Instant) -> bool {
        self.clock_ahead.iter().any(|at| *at >= since)
    }

    /// Whether a wait that is kept by the clock on the wall over restarts may have been cut short.
    fn may_be_cut_short(&self, since: Instant) -> bool {
        let of_restart = |at: &Instant| *at >= since && self.rebuilt >= *at;
        self.clock_ahead.iter().any(of_restart)
    }

    /// Before a command: who approves a phase does so before the engine says that it begins.
    pub(crate) fn ordered(&mut self, order: Order) {
        if let Order::Approve(id) = order {
            self.standings.entry(id).or_default().approved = true;
        }
    }

    /// What came of a command.
    pub(crate) fn answered(&mut self, order: Order, outcome: &Outcome) {
        let done = *outcome == Outcome::Done(Ok(()));
        match order {
            Order::Pause(id, halted) if done => {
                self.standings.entry(id).or_default().ordered = Some(halted);
            }
            Order::HaltAll if done => {
                let standings = self.standings.values_mut();
                for standing in standings.filter(|standing| standing.is_active) {
                    standing.ordered = Some(true);
                }
            }
            // What was lost may have been done.
            Order::Release(id) if done || *outcome == Outcome::Lost => {
                self.standings.entry(id).or_default().ordered = None;
            }
            Order::Approve(id)
                if matches!(
                    outcome,
                    Outcome::Done(Err(CommandError::NothingToApprove
                        | CommandError::InvalidTransition(_)
                        | CommandError::NotActive))
                ) =>
            {
                self.standings.entry(id).or_default().approved = false;
            }
            Order::Pause(..)
            | Order::HaltAll
            | Order::Release(_)
            | Order::Approve(_)
            | Order::Other => {}
        }
    }
}

impl Server {
    /// A campaign was made.
    pub(super) fn watch_campaign(&mut self, campaign: &Campaign, tasks: usize) {
        let standing = self.watch.standings.entry(campaign.id).or_default();
        standing.room = campaign.policy.waiting_room;
        if tasks > 0 {
            self.watch.tasks.insert(campaign.id, tasks as u64);
        }
    }

    /// What was just committed: tasks as they were before and as they are.
    pub(crate) fn check_policies(
        &mut self,
        now: Now,
        records: &[Record],
        changes: &[(UpdateTask, UpdateTask)],
    ) {
        for record in records {
            if let Record::Rollout { id, state } = record {
                self.check_rollout(now, *id, state);
            } else if let Record::Timeline(entry) = record {
                self.note_step(now, entry, changes);
            } else if let Record::Task(task) = record {
                if task.slot.is_none() && task.state != TaskState::Running {
                    self.watch.granted.remove(&task.id);
                }
            } else if let Record::Campaign { id, state, .. } = record {
                self.campaign_changed(*id, *state);
            }
        }
        for (before, after) in changes {
            if before.slot.is_none() && after.slot.is_some() {
                self.check_begin(now, before, after);
            }
            self.check_retry(now, before, after);
            self.check_wait(now, before, after);
        }
    }

    fn campaign_changed(&mut self, id: CampaignId, state: CampaignState) {
        let standing = self.watch.standings.entry(id).or_default();
        standing.is_active = state.is_active();
        if !standing.is_active {
            standing.ordered = None;
        }
        if state == CampaignState::Scheduled {
            self.watch.count(Feature::Scheduled);
        }
    }

    fn campaign_of(&self, task: &UpdateTask) -> Campaign {
        ready(self.store.campaign(task.campaign)).unwrap().0
    }

    /// A task is granted a slot.
    fn check_grant(
        &mut self,
        now: Now,
        entry: &TimelineEntry,
        changes: &[(UpdateTask, UpdateTask)],
    ) {
        let claim = admission::granted(&entry.detail);
        let Some(after) = self.tasks.get(&entry.task).cloned() else {
            return;
        };
        // Given back in the same commit, in which the campaign was paused: it still waits for one.
        if after.waiting_for == Some(WaitingFor::Slot) {
            return;
        }
        let mut changes = changes.iter();
        let change = changes.find(|(_, changed)| changed.id == entry.task);
        let before = change.map_or_else(|| after.clone(), |(before, _)| before.clone());
        self.check_begin(now, &before, &after);
        self.watch.granted.insert(after.id, claim);
        let campaign = self.campaign_of(&after);
        let policy = campaign.admission.unwrap_or(self.config.admission);
        if let Some(told) = admission::passed(self, claim, policy) {
            self.breach(now.instant, Check::Admission, told);
        }
        self.check_rate(now, &campaign);
        self.note_start(&campaign);
    }

    /// No minute between two restarts has more that begin than it may.
    fn check_rate(&mut self, now: Now, campaign: &Campaign) {
        let starts = &mut self.watch.starts;
        starts.retain(|(at, _)| now.instant.saturating_since(*at) < MINUTE);
        starts.push((now.instant, campaign.id));
        let of_campaign = starts.iter().filter(|(_, id)| *id == campaign.id);
        let rates = [
            (
                campaign.policy.governors.starts_per_minute_max,
                of_campaign.count(),
            ),
            (
                self.config.starts_per_minute_max.map(NonZeroU32::get),
                starts.len(),
            ),
        ];
        let is_passed =
            |(most, count): &(Option<u32>, usize)| most.is_some_and(|most| *count > most as usize);
        if rates.iter().any(is_passed) {
            let told = format!("begun in a minute: {:?}", self.watch.starts);
            self.breach(now.instant, Check::Rates, told);
        }
    }

    /// A task may begin something from now on.
    fn check_begin(&mut self, now: Now, before: &UpdateTask, after: &UpdateTask) {
        let campaign = self.campaign_of(after);
        let standing = self.watch.standings.get(&campaign.id);
        let standing = standing.cloned().unwrap_or_default();
        // It has a slot, by which it has begun: the task says so with its URI.
        let had_begun = self.watch.granted.contains_key(&after.id)
            || before.uri_intended
            || before.execute_intended_attempt.is_some();
        let is_open = calendar::is_open(&campaign.policy.schedule, now.utc)
            || self.was_set_lately(now)
            || had_begun && calendar::is_over(&campaign.policy.schedule, now.utc);
        let is_agreed = campaign.policy.conditions.consent == Consent::Silent
            || campaign.consented_at.is_some()
            || after.consented_at.is_some();
        let runs = match campaign.state {
            CampaignState::Running => true,
            CampaignState::Stopped => had_begun,
            // It began in the same commit in which the last one ended.
            CampaignState::Draft
            | CampaignState::Scheduled
            | CampaignState::Paused
            | CampaignState::Succeeded
            | CampaignState::Failed => false,
        };
        let faults = [
            (Check::Gates, !runs, "its campaign does not run"),
            (
                Check::Gates,
                standing.ordered.is_some(),
                "somebody paused its campaign",
            ),
            (Check::Gates, !is_open, "its campaign's window is closed"),
            (Check::Gates, !is_agreed, "nobody has agreed to it"),
            (
                Check::Phases,
                after.rollout_phase > standing.rollout.phase,
                "its phase has not begun",
            ),
        ];
        for (check, _, why) in faults.into_iter().filter(|(_, is_fault, _)| *is_fault) {
            let told = format!("it begins, but {why}: {after:?}, {campaign:?}");
            self.breach(now.instant, check, told);
        }
    }

    fn was_set_lately(&self, now: Now) -> bool {
        let set = self.watch.clock_set;
        set.is_some_and(|at| now.instant.saturating_since(at) <= RECHECK)
    }

    /// A rollout went on, or was paused.
    fn check_rollout(&mut self, now: Now, id: CampaignId, state: &RolloutState) {
        let standing = self.watch.standings.entry(id).or_default().clone();
        let before = &standing.rollout;
        if state.phase != before.phase {
            let (campaign, _) = ready(self.store.campaign(id)).unwrap();
            let fault = self.unproven(now, &campaign, &standing);
            let skips = state.phase != before.phase + 1;
            if let Some(why) = fault.or_else(|| skips.then(|| "phases are passed over".to_owned()))
            {
                let told = format!("phase {} begins, but {why}: {standing:?}", state.phase);
                self.breach(now.instant, Check::Phases, told);
            }
            self.watch.count(Feature::PhasePassed);
            if before.phase == 0 && campaign.policy.rollout.trial.is_some() {
                self.watch.count(Feature::TrialPassed);
            }
        }
        let goes_on = state.phase == before.phase;
        let next = Standing {
            soaks_since: match state.step {
                RolloutStep::Soaking if goes_on && before.step == RolloutStep::Soaking => {
                    standing.soaks_since
                }
                RolloutStep::Soaking => Some(now.instant),
                RolloutStep::AwaitingApproval if goes_on => standing.soaks_since,
                RolloutStep::Updating | RolloutStep::AwaitingApproval => None,
            },
            let_pass: if goes_on {
                let passed = before.paused.filter(|_| state.paused.is_none());
                standing.let_pass.iter().copied().chain(passed).collect()
            } else {
                Vec::new()
            },
            approved: standing.approved && goes_on,
            rollout: state.clone(),
            ..standing.clone()
        };
        self.note_rollout(before, state);
        self.watch.standings.insert(id, next);
    }

    /// What the running phase lacks for the next to begin.
    fn unproven(&self, now: Now, campaign: &Campaign, standing: &Standing) -> Option<String> {
        let phase = standing.rollout.phase;
        let gate = campaign.policy.rollout.gate_after(phase)?;
        let tasks = self.tasks.values();
        let tasks = tasks.filter(|it| it.campaign == campaign.id && it.rollout_phase == phase);
        let mut counts: BTreeMap<TaskState, u64> = BTreeMap::new();
        let mut lost = 0;
        for task in tasks {
            *counts.entry(task.state).or_default() += 1;
            lost += u64::from(task.lost);
        }
        let stopped = counts.remove(&TaskState::Stopped).unwrap_or_default();
        let total: u64 = counts.values().sum();
        let of = |state| counts.get(&state).copied().unwrap_or_default();
        let failed = of(TaskState::Failed) + lost;
        let failed = failed.saturating_sub(standing.rollout.phase_failures_excused);
        let let_pass = |reason| standing.let_pass.contains(&reason);
        let too_many = failed * 100 > u64::from(gate.failed_percent_max) * total;
        if too_many && !let_pass(PauseReason::PhaseSuccesses) {
            return Some(format!("{failed} of {total} have failed"));
        }
        let succeeded = of(TaskState::Succeeded);
        let is_enough = succeeded * 100 >= u64::from(gate.success_percent_min) * total
            && (total > 0 || stopped == 0);
        if !is_enough && !let_pass(PauseReason::PhaseSuccesses) {
            return Some(format!("{succeeded} of {total} have succeeded"));
        }
        let soak = Duration::from_secs(u64::from(gate.soak_hours) * 3600);
        let soaks_since = standing.soaks_since;
        let soaked = soaks_since.map_or(Duration::ZERO, |at| now.instant.saturating_since(at));
        let set_ahead = soaks_since.is_some_and(|at| self.watch.was_set_ahead(at));
        if soaked + SLACK < soak && !let_pass(PauseReason::Soak) && !set_ahead {
            return Some(format!(
                "it was to report for {soak:?}, and did for {soaked:?}"
            ));
        }
        (gate.approval_required && !standing.approved).then(|| "nobody approved it".to_owned())
    }

    /// An attempt begins no sooner behind a failed one than its delay says.
    fn check_retry(&mut self, now: Now, before: &UpdateTask, after: &UpdateTask) {
        let waits = after.waiting_for == Some(WaitingFor::RetryDelay);
        if waits && before.retry_at != after.retry_at {
            self.watch.failed.insert(after.id, now.instant);
        } else if before.attempts_before != after.attempts_before || after.state.is_final() {
            // An operator has it tried again at once.
            self.watch.failed.remove(&after.id);
        } else if after.attempt > before.attempt
            && after.state == TaskState::Running
            && let Some(failed_at) = self.watch.failed.remove(&after.id)
        {
            let campaign = self.campaign_of(after);
            let pacing = &campaign.policy.retry;
            let retries = before.attempt.saturating_sub(before.attempts_before).max(1) - 1;
            let first = campaign.retry.delay;
            let delay = match pacing.backoff {
                Backoff::Constant => {
                    self.watch.count(Feature::RetryConstant);
                    first
                }
                Backoff::Exponential => {
                    if retries > 0 {
                        self.watch.count(Feature::RetryBackedOff);
                    }
                    let most = Duration::from_secs(pacing.delay_seconds_max.into());
                    (first * 2_u32.pow(retries.into())).min(most.max(first))
                }
            };
            let waited = now.instant.saturating_since(failed_at);
            if waited + SLACK < delay && !self.watch.may_be_cut_short(failed_at) {
                let told = format!("tried again after {waited:?} and not {delay:?}: {after:?}");
                self.breach(now.instant, Check::Delays, told);
            }
        }
    }

    /// Whoever is not done says what it waits for, since when, and until when where that is known.
    fn check_wait(&mut self, now: Now, before: &UpdateTask, after: &UpdateTask) {
        if after.state.is_final() {
            return;
        }
        let Some(waiting_for) = after.waiting_for else {
            return self.breach(
                now.instant,
                Check::Waits,
                format!("it waits for nothing: {after:?}"),
            );
        };
        let since = after.since.saturating_since(now.utc);
        if since > self.watch.set_back + SLACK {
            let told = format!("it waits since {since:?} from now on: {after:?}");
            self.breach(now.instant, Check::Waits, told);
        }
        let is_open_ended = match waiting_for {
            // It has not been told yet that its campaign runs.
            WaitingFor::Activation | WaitingFor::Paused | WaitingFor::RolloutPhase => true,
            WaitingFor::Window => {
                let campaign = self.campaign_of(after);
                calendar::is_over(&campaign.policy.schedule, now.utc)
            }
            WaitingFor::Contact
            | WaitingFor::Answer
            | WaitingFor::Slot
            | WaitingFor::Block
            | WaitingFor::Notification
            | WaitingFor::RetryDelay
            | WaitingFor::Quarantine
            | WaitingFor::Settling
            | WaitingFor::Condition
            | WaitingFor::Deferred
            | WaitingFor::Start
            | WaitingFor::Rate
            | WaitingFor::Consent
            | WaitingFor::DownloadBase
            | WaitingFor::Flapping => false,
        };
        if after.until.is_none() && !is_open_ended {
            let told = format!("it does not say until when: {after:?}");
            self.breach(now.instant, Check::Waits, told);
        }
        if before.waiting_for != after.waiting_for
            && let Some(feature) = Feature::of_wait(waiting_for)
        {
            self.watch.count(feature);
        }
    }

    fn note_step(&mut self, now: Now, entry: &TimelineEntry, changes: &[(UpdateTask, UpdateTask)]) {
        if entry.step == TimelineStep::SlotGranted {
            self.watch.places.remove(&entry.task);
            self.check_grant(now, entry, changes);
        } else if entry.step == TimelineStep::SlotReleased {
            self.watch.granted.remove(&entry.task);
        } else if entry.step == TimelineStep::Held {
            self.watch.count(Feature::Held);
            let Some(device) = self.watch.devices.get(&entry.endpoint).copied() else {
                return;
            };
            let Some(task) = self.tasks.get(&entry.task) else {
                return;
            };
            let place = Place {
                campaign: task.campaign,
                device,
                since: now.instant,
            };
            self.watch.places.insert(entry.task, place);
        } else if entry.step == TimelineStep::HoldEnded {
            self.watch.places.remove(&entry.task);
        } else if entry.step == TimelineStep::SlotQueued && entry.detail.contains("are taken") {
            self.watch.count(Feature::RoomFull);
        }
    }

    /// No task comes out of nothing or is lost, and no device is in two that are not over.
    pub(super) fn check_conservation(&mut self, at: Instant) {
        let mut counts: BTreeMap<CampaignId, u64> = BTreeMap::new();
        let mut at_work: BTreeMap<&EndpointName, u32> = BTreeMap::new();
        for task in self.tasks.values() {
            *counts.entry(task.campaign).or_default() += 1;
            if !task.state.is_final() && self.activated.contains(&task.campaign) {
                *at_work.entry(&task.endpoint).or_default() += 1;
            }
        }
        let two = at_work.into_iter().find(|(_, tasks)| *tasks > 1);
        let two = two.map(|(device, tasks)| format!("{tasks} tasks of {device} are at work"));
        let lost = (counts != self.watch.tasks)
            .then(|| format!("{counts:?} tasks, and there were {:?}", self.watch.tasks));
        for told in two.into_iter().chain(lost) {
            self.breach(at, Check::Tasks, told);
        }
    }

    /// Why no device of a campaign may be told to install.
    pub(super) fn is_halted(&self, task: &UpdateTask) -> bool {
        let campaign = self.campaign_of(task);
        let standing = self.watch.standings.get(&task.campaign);
        let ordered = standing.is_some_and(|standing| standing.ordered == Some(true));
        let is_paused = campaign.state == CampaignState::Paused;
        ordered || is_paused && campaign.rollout.paused == Some(PauseReason::Halted)
    }
}
