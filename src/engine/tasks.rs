//! Update tasks and their sessions: when one opens, what its actions do, how it ends.

use std::sync::Arc;

use crate::clock::{Now, Utc};
use crate::fota::{Action, Contact, DeferralResources, End, Session, Terms};
use crate::lwm2m::{Answer, Links, ObjectVersion, Path, Value, path};
use crate::model::{
    AdmissionPolicy, CampaignId, EndpointName, Failure, FailureReason, Phase, ProductSettings,
    Record, SlotClaim, SuccessNote, TaskId, TaskState, TimelineEntry, TimelineStep, UpdateTask,
    WaitingFor,
};
use crate::scheduler::Admission;

use super::Engine;
use super::campaigns::RunningCampaign;
use super::operations::Purpose;
use super::timers::Timer;

/// A task of an active campaign that is not final.
#[derive(Debug)]
pub(super) enum TaskEntry {
    /// Waits for its device or for its next attempt.
    Idle(UpdateTask),
    /// An attempt runs.
    Running(Box<Session>),
}

impl TaskEntry {
    pub(super) fn task(&self) -> &UpdateTask {
        match self {
            Self::Idle(task) => task,
            Self::Running(session) => session.task(),
        }
    }
}

impl Engine {
    /// A device was heard: its session goes on, or its waiting task begins.
    pub(super) fn contact(&mut self, now: Now, endpoint: &EndpointName, contact: Contact) {
        let Some(id) = self.task_of.get(endpoint).copied() else {
            return;
        };
        self.awake_with(now, endpoint, Some(id));
        self.settle_first(now, id);
        match self.tasks.get_mut(&id) {
            Some(TaskEntry::Running(session)) => {
                session.handle_contact(now, contact);
                self.ready.push_back(id);
            }
            // Its delay is over when the timer says so, wherever the clock on the wall is set.
            Some(TaskEntry::Idle(task)) if task.waiting_for != Some(WaitingFor::RetryDelay) => {
                self.open(now, id, true);
            }
            Some(TaskEntry::Idle(_)) | None => {}
        }
    }

    /// The session of a task whose attempt runs. It has been told what its campaign came to.
    pub(super) fn session(&mut self, now: Now, id: TaskId) -> Option<&mut Session> {
        self.settle_first(now, id);
        match self.tasks.get_mut(&id) {
            Some(TaskEntry::Running(session)) => Some(session),
            Some(TaskEntry::Idle(_)) | None => None,
        }
    }

    /// The task of a device whose attempt runs.
    pub(super) fn running_task(&self, endpoint: &EndpointName) -> Option<TaskId> {
        let id = self.task_of.get(endpoint).copied()?;
        matches!(self.tasks.get(&id), Some(TaskEntry::Running(_))).then_some(id)
    }

    /// Whether a device listens without having spoken just now.
    pub(super) fn is_reachable(&self, endpoint: &EndpointName) -> bool {
        self.registry
            .by_endpoint(endpoint)
            .is_some_and(|found| !found.binding.queue_mode)
    }

    /// Begins an attempt, or goes on with the one that a restart cut off.
    /// `heard` says whether the device has just spoken, or only ought to listen.
    pub(super) fn open(&mut self, now: Now, id: TaskId, heard: bool) {
        self.settle_first(now, id);
        let Some(TaskEntry::Idle(task)) = self.tasks.get(&id) else {
            return;
        };
        let task = task.clone();
        let Some(campaign) = self.campaigns.get(&task.campaign) else {
            return;
        };
        if task.state != TaskState::Running
            && let Some((cause, mode)) = campaign.stopped_as()
        {
            return self.stop_one(now, id, &cause, mode);
        }
        let gate = self.gate(now, &task);
        if task.state != TaskState::Running
            && let Some(gate) = gate
        {
            return self.wait_at_gate(now, id, gate);
        }
        // What a restart cut off goes on: the delivery that barred the device still runs.
        if task.state != TaskState::Running
            && let Some(evidence) = self.bar_evidence(&task.endpoint)
        {
            return self.fail_idle(now, id, FailureReason::Barred, &evidence);
        }
        let settings = Arc::clone(self.products.of_package(&campaign.package));
        // Held until there is something to fetch from. What has executed fetches no more, and goes on.
        let has_executed =
            task.state == TaskState::Running && task.execute_intended_attempt == Some(task.attempt);
        if !has_executed && self.is_held(campaign) {
            return;
        }
        let base = self.download_base(&settings);
        let wanted = campaign.wanted(&task.endpoint, base, &settings);
        // Not so of one that has executed: whether it runs the version is still to be seen.
        if task.state != TaskState::Running
            && task.execute_intended_attempt.is_none()
            && let Some(failure) = wanted.expired(now.utc)
        {
            return self.fail_idle(now, id, failure.reason, &failure.evidence);
        }
        if self.flapping.is_flapping(&task.endpoint) {
            return self.hold_idle(now, id);
        }
        self.update_begins(now, &task.endpoint);
        let terms = self.terms(&task, settings);
        let report = self
            .reports
            .get(&task.endpoint)
            .cloned()
            .unwrap_or_default();
        let capability = self.new_capability();
        let open = if heard {
            Session::open
        } else {
            self.sleeps_at_its_time(id, &task.endpoint);
            Session::open_unheard
        };
        let mut session = open(now, task, wanted, terms, report, capability);
        session.handle_gate(now, gate);
        if let Some(said) = self.said.remove(&id) {
            session.handle_said(now, &said);
        }
        self.timers.set(Timer::Retry(id), None);
        self.tasks.insert(id, TaskEntry::Running(Box::new(session)));
        self.ready.push_back(id);
    }

    /// On which terms a task's device is updated.
    fn terms(&self, task: &UpdateTask, settings: Arc<ProductSettings>) -> Terms {
        let limit = self.config.registration.links_max;
        let links = self
            .registry
            .by_endpoint(&task.endpoint)
            .and_then(|registration| Links::parse(&registration.links, limit).ok());
        let names = |path| {
            let links = links.as_ref();
            links.is_some_and(|links| links.resources().contains(&path))
        };
        // They came with version 1.1, and devices say versions, hardly ever resources.
        let version = links
            .as_ref()
            .and_then(|links| links.version(path::FIRMWARE_STATE.object));
        let may_defer = version >= Some(ObjectVersion { major: 1, minor: 1 });
        let running = self.campaigns.get(&task.campaign);
        let conditions = running.map(|running| &running.campaign.policy.conditions);
        Terms {
            settings,
            cell_borders: Arc::clone(&self.config.cell_borders),
            budgets_airtime: self.admission(task.campaign).airtime.is_some(),
            names_cancel: names(path::FIRMWARE_CANCEL),
            names_deferral: DeferralResources {
                severity: may_defer || names(path::FIRMWARE_SEVERITY),
                defer_period: may_defer || names(path::FIRMWARE_DEFER_PERIOD),
            },
            preconditions: conditions.map_or_else(Default::default, |it| it.preconditions),
            severity: conditions.and_then(|it| it.severity),
            defer_seconds_max: conditions.and_then(|it| it.defer_seconds_max),
            stopped: running
                .and_then(|it| it.stopped_as())
                .map(|(cause, _)| cause),
        }
    }

    /// A device was heard: in queue mode it listens for a while longer.
    pub(super) fn awake(&mut self, now: Now, endpoint: &EndpointName) {
        let task = self.task_of.get(endpoint).copied();
        self.awake_with(now, endpoint, task);
    }

    /// As [`Self::awake`], where the device's task is known.
    fn awake_with(&mut self, now: Now, endpoint: &EndpointName, task: Option<TaskId>) {
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return;
        };
        let (slot, queue_mode) = (registration.slot, registration.binding.queue_mode);
        self.registry.hear(now.instant, slot);
        self.note_awake(endpoint);
        let Some(id) = task else {
            return;
        };
        let awake_time = self.settings_of(endpoint).awake_time;
        let asleep_at = queue_mode.then(|| now.instant + awake_time);
        self.timers.set(Timer::Asleep(id), asleep_at);
    }

    /// A device in queue mode that is tried while it listens does so as long as it would have without that.
    fn sleeps_at_its_time(&mut self, id: TaskId, endpoint: &EndpointName) {
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return;
        };
        let heard_at = self.registry.heard_at(registration.slot);
        let heard_at = heard_at.filter(|_| registration.binding.queue_mode);
        let awake_time = self.settings_of(endpoint).awake_time;
        let asleep_at = heard_at.map(|at| at + awake_time);
        self.timers.set(Timer::Asleep(id), asleep_at);
    }

    pub(super) fn block_served(&mut self, now: Now, id: TaskId, end_bytes: u64) {
        let Some(session) = self.session(now, id) else {
            return;
        };
        session.handle_block(now, end_bytes);
        let endpoint = session.task().endpoint.clone();
        self.ready.push_back(id);
        self.pace_block(now, id);
        self.awake_with(now, &endpoint, Some(id));
    }

    pub(super) fn block_taken(&mut self, now: Now, id: TaskId, taken_bytes: u64) {
        let Some(session) = self.session(now, id) else {
            return;
        };
        session.handle_block_taken(now, taken_bytes);
        self.ready.push_back(id);
        self.pace_block(now, id);
    }

    pub(super) fn session_answer(&mut self, now: Now, id: TaskId, answer: Answer) {
        let Some(session) = self.session(now, id) else {
            return;
        };
        session.handle_answer(now, answer);
        self.ready.push_back(id);
    }

    pub(super) fn notified(&mut self, now: Now, id: TaskId, observed: Path, value: &Value) {
        let Some(session) = self.session(now, id) else {
            return;
        };
        session.handle_notification(now, observed, value);
        self.ready.push_back(id);
    }

    pub(super) fn handle_timer(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::Session(id) => {
                if let Some(session) = self.session(now, id) {
                    session.handle_timeout(now);
                    self.ready.push_back(id);
                }
            }
            Timer::Asleep(id) => {
                self.leave_room(now, id);
                let granted = self.scheduler.suspend(id);
                self.grant_all(now, granted);
                if let Some(session) = self.session(now, id) {
                    session.handle_asleep(now);
                    self.ready.push_back(id);
                }
            }
            Timer::Retry(id) => self.retry_due(now, id),
            Timer::Contact(campaign) => self.contact_overdue(now, campaign),
            Timer::Soak(campaign) => self.soak_over(now, campaign),
            Timer::Schedule(campaign) => self.follow_schedule(now, campaign),
            Timer::Openings => self.open_some(now),
            // All that are under way go on after any input, where their turn has come.
            Timer::Sweeps => {}
            Timer::DeviceRequests => self.expire_device_requests(now),
            Timer::Flapping => self.settle_flapping(now),
        }
    }

    /// Carries out what a session asks for, until it asks for nothing more.
    pub(super) fn apply_actions(&mut self, now: Now, id: TaskId) {
        while let Some(session) = self.session(now, id) {
            let Some(action) = session.poll_action() else {
                let deadline = session.poll_timeout();
                self.timers.set(Timer::Session(id), deadline);
                return;
            };
            self.apply(now, id, action);
        }
    }

    fn apply(&mut self, now: Now, id: TaskId, action: Action) {
        let Some(task) = self.tasks.get(&id).map(|entry| entry.task().clone()) else {
            return;
        };
        match action {
            Action::Commit => {
                self.record(Record::Task(task));
            }
            Action::Timeline { step, detail } => self.timeline(now, &task, step, detail),
            Action::Report(report) => {
                self.reports.insert(task.endpoint.clone(), report.clone());
                self.record(Record::Report {
                    endpoint: task.endpoint,
                    report,
                });
            }
            Action::Operate(operation) => {
                self.operate(now, &task.endpoint, operation, Purpose::Task(id));
            }
            Action::AbandonOperation => self.abandon_operation(now, id),
            Action::RequestSlot(claim) => self.request_slot(now, &task, claim),
            Action::Ping => self.ping(now, id, &task.endpoint),
            Action::LeaveRoom => self.leave_room(now, id),
            Action::ReleaseSlot => {
                self.pace_released(now, id);
                self.leave_room(now, id);
                let granted = self.scheduler.withdraw(id);
                self.grant_all(now, granted);
            }
            Action::ServeDownload(capability) => {
                if let Some(campaign) = self.campaigns.get(&task.campaign) {
                    let served = campaign.served();
                    if self.serve_download(capability, id, served) {
                        self.count_delivery(now, &task);
                    }
                }
            }
            Action::CountDelivery => self.count_delivery(now, &task),
            Action::WithdrawDownload(capability) => self.withdraw_download(capability),
            Action::End(end) => self.end_attempt(now, id, end),
        }
    }

    /// How a campaign's devices are admitted.
    pub(super) fn admission(&self, campaign: CampaignId) -> AdmissionPolicy {
        self.campaigns
            .get(&campaign)
            .and_then(|running| running.campaign.admission)
            .unwrap_or(self.config.admission)
    }

    fn request_slot(&mut self, now: Now, task: &UpdateTask, claim: SlotClaim) {
        let policy = self.admission(task.campaign);
        let line = self
            .campaigns
            .get(&task.campaign)
            .and_then(RunningCampaign::line);
        let (mut admission, mut others) = self.scheduler.request(task.id, claim, policy, line);
        if matches!(admission, Admission::Queued { .. })
            && let Some(since) = self.overdue_since(now, task)
        {
            others.extend(self.scheduler.hasten(task.id, since));
            if self.scheduler.slot(task.id).is_some() {
                others.retain(|granted| *granted != task.id);
                admission = Admission::Granted;
            }
        }
        match admission {
            Admission::Granted => self.grant(now, task.id),
            Admission::Queued { ahead, for_rate } => {
                self.counters.slots_queued += 1;
                let mut detail =
                    format!("{ahead} ahead in cell {} tier {}", claim.cell, claim.tier);
                if for_rate {
                    detail += ", which has room: only so many begin a minute";
                }
                if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&task.id) {
                    session.handle_queued(now, for_rate);
                }
                if let Some(places) = self.keep_awake(now, task) {
                    detail += &format!(", all {places} places of the waiting room are taken");
                }
                self.timeline(now, task, TimelineStep::SlotQueued, detail);
            }
            // The queue holds as many as there may be tasks.
            Admission::Full => {}
        }
        self.grant_all(now, others);
    }

    /// Since when it waits for a slot, where that is too long.
    pub(super) fn overdue_since(&self, now: Now, task: &UpdateTask) -> Option<Utc> {
        let after = self.config.overdue_after;
        let since = task.queued_since?;
        (now.utc.saturating_since(since) >= after).then_some(since)
    }

    pub(super) fn grant(&mut self, now: Now, id: TaskId) {
        if self.is_kept_for(id) {
            return;
        }
        self.counters.slots_granted += 1;
        self.leave_room(now, id);
        if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&id) {
            session.handle_grant(now);
            self.ready.push_back(id);
            self.pace_granted(now, id);
        }
    }

    pub(super) fn grant_all(&mut self, now: Now, granted: Vec<TaskId>) {
        for id in granted {
            self.grant(now, id);
        }
    }

    /// An attempt is over: the task ends, or waits for its next attempt.
    fn end_attempt(&mut self, now: Now, id: TaskId, end: End) {
        self.abandon_operation(now, id);
        let Some(entry) = self.tasks.get(&id) else {
            return;
        };
        let task = entry.task().clone();
        match end {
            End::Succeeded => {
                self.counters.attempts_succeeded += 1;
                self.pace_ended(now, id, task.campaign, true);
                self.finish(now, task, TaskState::Succeeded);
            }
            End::Stopped => self.finish(now, task, TaskState::Stopped),
            End::Failed(failure) => {
                self.counters.attempts_failed += 1;
                self.pace_ended(now, id, task.campaign, false);
                self.fail_attempt(now, task, failure);
            }
            End::Withheld(failure) => {
                self.pace_ended(now, id, task.campaign, false);
                self.make_again(now, task, failure);
            }
        }
    }

    /// Whatever the task still holds is free for others.
    pub(super) fn give_back(&mut self, now: Now, task: &mut UpdateTask) {
        if let Some(capability) = task.capability {
            self.withdraw_download(capability);
        }
        task.slot = None;
        self.marks.remove(&task.id);
        self.leave_room(now, task.id);
        let granted = self.scheduler.withdraw(task.id);
        self.grant_all(now, granted);
    }

    /// A task is final. Nothing of it stays in memory. Its timeline says so already.
    pub(super) fn finish(&mut self, now: Now, mut task: UpdateTask, state: TaskState) {
        self.give_back(now, &mut task);
        // Of a device that another campaign updates they are that one's.
        if self.task_of.get(&task.endpoint) == Some(&task.id) {
            self.end_update_observations(&task.endpoint);
        }
        task.state = state;
        task.phase = Phase::Done;
        task.waiting_for = None;
        task.since = now.utc;
        task.until = None;
        task.retry_at = None;
        if state == TaskState::Succeeded {
            task.failure = None;
        }
        let is_untried = task.execute_intended_attempt.is_none();
        if task.note == Some(SuccessNote::UpToDate) && is_untried {
            self.found_up_to_date(now, task.campaign, task.rollout_phase);
        }
        if std::mem::take(&mut task.lost) {
            self.device_lost_no_more(task.campaign, task.rollout_phase);
        }
        let (id, endpoint, campaign) = (task.id, task.endpoint.clone(), task.campaign);
        let phase = task.rollout_phase;
        self.record(Record::Task(task));
        self.clear_timers(id);
        self.tasks.remove(&id);
        if let Some(running) = self.campaigns.get_mut(&campaign) {
            running.tasks.remove(&id);
        }
        self.said.remove(&id);
        if self.task_of.get(&endpoint) == Some(&id) {
            self.task_of.remove(&endpoint);
        }
        self.task_finished(now, campaign, &endpoint, phase, state);
    }

    pub(super) fn timeline(
        &mut self,
        now: Now,
        task: &UpdateTask,
        step: TimelineStep,
        detail: String,
    ) {
        self.record(Record::Timeline(TimelineEntry {
            at: now.utc,
            endpoint: task.endpoint.clone(),
            task: task.id,
            attempt: task.attempt,
            step,
            detail,
        }));
    }

    pub(super) fn clear_timers(&mut self, id: TaskId) {
        for timer in [Timer::Session(id), Timer::Asleep(id), Timer::Retry(id)] {
            self.timers.set(timer, None);
        }
    }
}

pub(super) fn told(failure: &Failure) -> String {
    format!("{}: {}", failure.reason, failure.evidence)
}
