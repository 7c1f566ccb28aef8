//! One attempt of one update task (seed 004, steps 3 to 16).
//!
//! Every input ends in `proceed`: ask `step` what comes next and do it. A session has at most one
//! operation outstanding, and when it has none it waits for something that has a deadline.
//!
//! ```text
//! Identify -> Radio -> Slot -> Start -> Download -> Confirm -> Outcome -> closing
//! (versions)  (cell)   (queue) (observe) (blocks)   (re-read)  (result)   (cancel, quarantine)
//! ```

mod cancel;
mod close;
mod condition;
mod contact;
mod deadlines;
mod deferral;
mod download;
mod gate;
mod hold;
mod negotiate;
mod outcome;
mod pace;
mod push;
mod said;
mod stop;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::clock::{Instant, Now, Utc};
use crate::lwm2m::{Answer, Operation, path};
use crate::model::{
    DeviceReport, DownloadCapability, Failure, Phase, ProductSettings, SlotClaim, StopMode,
    TaskState, TimelineStep, UpdateTask, WaitingFor,
};

use super::action::{Action, End};
use super::object5::State;
use super::said::Said;
use super::step::{
    Execution, Observation, Progress, Reading, Reported, Step, Terms, UriWrite, Wanted,
};
use close::Closing;
use condition::ConditionWait;
use deadlines::{Deadlines, Stage};
pub use gate::Gate;
pub use hold::HELD_EVIDENCE;
use pace::Pace;
use waiting::Room;

/// How often one session writes the URI: a device that gives each download up is not fed for ever.
const URI_WRITES_MAX: u8 = 3;

/// Whether the device may be asked something now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// Heard, and neither asleep nor silent since.
    Listening,
    /// Did not answer the last operation: asked again when it is heard.
    Unanswering,
    /// Its awake time is over.
    Asleep,
}

/// Drives one attempt of one update task. See the module's text.
#[derive(Debug)]
pub struct Session {
    task: UpdateTask,
    /// Of one campaign's devices most share it.
    wanted: Arc<Wanted>,
    terms: Terms,
    report: DeviceReport,
    capability_if_none: DownloadCapability,

    reported: Reported,
    /// What the device said of itself, before it is asked.
    said: Said,
    progress: Progress,
    presence: Presence,
    /// Several devices answer to its name: nothing is asked, whoever is heard.
    held: bool,
    /// A hold has ended since its device last spoke of itself.
    was_held: bool,
    /// Why nothing of its campaign begins.
    gate: Option<Gate>,
    /// A halt came while the Execute of this attempt was on its way, and the device shows no sign of it.
    execute_withheld: bool,
    /// Why an operator ends it: no attempt follows, and nothing begins.
    stopping: Option<Failure>,
    /// What the device lacks.
    condition: ConditionWait,
    /// Until when its user may put the installation off.
    deferred_until: Option<Instant>,
    /// Whether it was heard since the session was opened, or only ought to listen.
    heard: bool,
    /// When it was last heard, as far as this session knows.
    heard_at: Option<Utc>,
    outstanding: Option<Operation>,
    closing: Option<Closing>,

    stage: Stage,
    deadlines: Deadlines,
    /// The last State that was learnt: a change of it is a new outcome.
    last_state: Option<State>,
    /// When the version was last learnt.
    version_read_at: Instant,
    /// When its cell was.
    cell_read_at: Instant,
    /// A notification came while State was being read, so the answer may be older than it.
    state_doubtful: bool,
    /// What was asked of the scheduler.
    claim: Option<SlotClaim>,
    /// The capability that may be fetched under.
    served: Option<DownloadCapability>,
    uri_writes: u8,
    /// How far the package was served since the device was last told of it. The task says how far it was
    /// before, until the first block shows where the device goes on.
    bytes_served: u64,
    /// What the task says, as it was last committed.
    committed_bytes: u64,
    pace: Pace,
    /// Where it is kept awake while it waits for a slot, and how many pings that has cost in this attempt.
    room: Option<Room>,
    pings: u32,
    /// The final reading at the end of the wait for an outcome was begun.
    last_reading: bool,

    /// What waits were last committed.
    committed_wait: Option<WaitingFor>,
    dirty: bool,
    actions: VecDeque<Action>,
}

impl Session {
    /// Takes a task up while its device is in contact: begins its next attempt, or goes on with the
    /// one that a restart interrupted. `capability_if_none` is for a task that has none yet. Of a
    /// task that has ended, only its slot's quarantine is seen to the end.
    pub fn open(
        now: Now,
        task: UpdateTask,
        wanted: impl Into<Arc<Wanted>>,
        terms: Terms,
        report: DeviceReport,
        capability_if_none: DownloadCapability,
    ) -> Self {
        let resumed = task.state != TaskState::Pending && task.attempt > 0;
        let bytes_served = if resumed { task.bytes_served } else { 0 };
        let mut session = Self {
            progress: Progress::of(&task, resumed),
            committed_wait: task.waiting_for,
            committed_bytes: task.bytes_served,
            task,
            wanted: wanted.into(),
            terms,
            report,
            capability_if_none,
            reported: Reported::default(),
            said: Said::default(),
            presence: Presence::Listening,
            held: false,
            was_held: false,
            gate: None,
            execute_withheld: false,
            stopping: None,
            condition: ConditionWait::default(),
            deferred_until: None,
            heard: true,
            heard_at: Some(now.utc),
            outstanding: None,
            closing: None,
            stage: Stage::Idle,
            deadlines: Deadlines::default(),
            last_state: None,
            version_read_at: now.instant,
            cell_read_at: now.instant,
            state_doubtful: false,
            claim: None,
            served: None,
            uri_writes: 0,
            bytes_served,
            pace: Pace::default(),
            room: None,
            pings: 0,
            last_reading: false,
            dirty: false,
            actions: VecDeque::new(),
        };
        if resumed {
            session.resume(now);
        } else {
            session.begin_attempt(now);
        }
        session.proceed(now);
        session.flush();
        session
    }

    /// As [`Self::open`], for a device that was not heard but ought to listen. Unless it answers, it is
    /// waited for.
    pub fn open_unheard(
        now: Now,
        task: UpdateTask,
        wanted: impl Into<Arc<Wanted>>,
        terms: Terms,
        report: DeviceReport,
        capability_if_none: DownloadCapability,
    ) -> Self {
        let mut session = Self::open(now, task, wanted, terms, report, capability_if_none);
        session.heard = false;
        session.heard_at = None;
        session
    }

    /// What is to be done next; drain it after every input.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > 0 {
            // A download goes on for hours without an action: ten thousand keep no room for them.
            self.actions = VecDeque::new();
        }
        action
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.closing
            .as_ref()
            .map_or_else(|| self.deadlines.earliest(), Closing::deadline)
    }

    /// How its device is treated.
    pub const fn settings(&self) -> &Arc<ProductSettings> {
        &self.terms.settings
    }

    /// The task as it stands now.
    pub const fn task(&self) -> &UpdateTask {
        &self.task
    }

    /// What the outstanding operation came to.
    pub fn handle_answer(&mut self, now: Now, answer: Answer) {
        let Some(operation) = self.outstanding.take() else {
            return;
        };
        let answered = !matches!(answer, Answer::TimedOut | Answer::Reset);
        self.presence = if answered {
            self.is_heard(now);
            Presence::Listening
        } else {
            Presence::Unanswering
        };
        if self.closing.is_some() {
            self.closing_answered(now, &operation, answer);
        } else {
            match operation {
                Operation::Read(path) => self.reading(now, path, answer),
                Operation::Observe(path) => self.observe_answered(now, path, answer),
                Operation::CancelObservation(_) => {
                    self.progress.state_observation = Observation::Absent;
                }
                Operation::WriteText {
                    path: path::FIRMWARE_PACKAGE_URI,
                    ..
                } => self.uri_answered(now, &answer),
                Operation::WriteText { path, text } => self.told(path, &text, &answer),
                Operation::WritePackage(_) => self.push_answered(now, &answer),
                Operation::Execute(_) => self.execute_answered(now, &answer),
            }
            self.clear_doubt();
            self.proceed(now);
        }
        self.flush();
    }

    fn is_heard(&mut self, now: Now) {
        self.heard = true;
        self.heard_at = Some(now.utc);
    }

    fn begin_attempt(&mut self, now: Now) {
        let task = &mut self.task;
        task.state = TaskState::Running;
        task.attempt = task.attempt.saturating_add(1);
        task.uri_intended = false;
        task.retry_at = None;
        task.failure = None;
        task.note = None;
        task.pings = 0;
        self.dirty = true;
        let detail = format!("attempt {} begins", self.task.attempt);
        self.timeline(TimelineStep::Contact, detail);
        self.set_phase(now, Phase::Negotiating);
    }

    fn resume(&mut self, now: Now) {
        self.served = self.task.capability;
        if let Some(end) = self.known_end() {
            self.close_condemned(now, end);
            return;
        }
        let detail = format!(
            "attempt {} goes on after a restart, {}",
            self.task.attempt, self.task.phase
        );
        self.timeline(TimelineStep::Note, detail);
        self.claim = self.task.slot;
        self.resume_stop();
        self.resume_hold(now);
        if self.task.uri_intended
            && self.task.slot.is_some()
            && self.task.stop != Some(StopMode::Hard)
            && let Some(capability) = self.task.capability
        {
            self.serve(capability);
        }
        self.resume_condition(now);
        if self.progress.execution == Execution::Open {
            self.resume_outcome(now);
        }
    }

    /// The end that the attempt had come to before the restart.
    fn known_end(&self) -> Option<End> {
        let of_failure = |failure: Failure| {
            if failure.reason.is_stop() {
                End::Stopped
            } else {
                End::Failed(failure)
            }
        };
        match self.task.state {
            TaskState::Pending => None,
            TaskState::Running | TaskState::Failed => self.task.failure.clone().map(of_failure),
            TaskState::Succeeded => Some(End::Succeeded),
            TaskState::Stopped => Some(End::Stopped),
        }
    }

    fn serve(&mut self, capability: DownloadCapability) {
        self.served = Some(capability);
        self.actions.push_back(Action::ServeDownload(capability));
    }

    /// Does what comes next, until an operation is outstanding or only waiting is left.
    fn proceed(&mut self, now: Now) {
        if self.outstanding.is_some() || self.closing.is_some() {
            return;
        }
        let next = self.next_step(now);
        let next = self.unless_expired(now, next);
        if let Some(cause) = self.stopped_before(&next) {
            return self.stop_now(now, cause);
        }
        if let Some(gate) = self.gate_before(&next) {
            return self.wait_at_gate(now, gate);
        }
        self.enter(now, self.stage.next(&next, &self.progress, self.task.phase));
        match next {
            Step::Read(path) => self.operate(now, Operation::Read(path)),
            Step::Observe(path) => self.operate(now, Operation::Observe(path)),
            Step::CancelObservation(path) => self.operate(now, Operation::CancelObservation(path)),
            Step::AwaitCondition(evidence) => self.await_condition(now, evidence),
            Step::Tell(path, number) => self.tell(now, path, number),
            Step::RequestSlot(claim) => self.request_slot(now, claim),
            Step::WriteUri => self.write_uri(now),
            Step::Push => self.push(now),
            Step::AwaitDownload => self.await_download(now),
            Step::AwaitIdle => self.wait(now, WaitingFor::Notification),
            Step::Execute => self.execute(now),
            Step::AwaitOutcome => self.await_outcome(now),
            Step::AwaitDeferred => self.await_deferred(now),
            Step::Settle => self.settle(now),
            Step::Succeed(note) => self.succeed(now, note),
            Step::Fail(failure) => self.fail(now, failure),
        }
    }

    /// What would begin something with a package that is not to be installed any more fails. What a
    /// device fetches meanwhile it may fetch to the end, and what it installs is waited for.
    fn unless_expired(&self, now: Now, next: Step) -> Step {
        let begins = matches!(
            next,
            Step::RequestSlot(_) | Step::WriteUri | Step::Push | Step::Execute
        );
        match self.wanted.expired(now.utc) {
            Some(failure) if begins => Step::Fail(failure),
            Some(_) | None => next,
        }
    }

    /// Sends an operation if the device listens; else its next contact brings the session back here.
    fn operate(&mut self, now: Now, operation: Operation) {
        if !self.may_ask() {
            if self.stage == Stage::Download && self.presence == Presence::Unanswering && !self.held
            {
                self.ask_after_silence(now);
            }
            self.wait_for_device(now);
            return;
        }
        self.wait(now, WaitingFor::Answer);
        self.flush();
        self.outstanding = Some(operation.clone());
        self.actions.push_back(Action::Operate(operation));
    }

    fn abandon(&mut self) -> Option<Operation> {
        let operation = self.outstanding.take()?;
        let is_operate = |action: &Action| matches!(action, Action::Operate(_));
        match self.actions.iter().rposition(is_operate) {
            // It was not even handed over: it does not leave at all.
            Some(index) => drop(self.actions.remove(index)),
            None => self.actions.push_back(Action::AbandonOperation),
        }
        self.clear_doubt();
        Some(operation)
    }

    /// Whatever became of the operation: what was notified meanwhile may be newer.
    fn clear_doubt(&mut self) {
        if std::mem::take(&mut self.state_doubtful) {
            self.reported.state = Reading::Unread;
        }
    }

    /// Notes what the session waits for, and until when. Only waits of some length are committed.
    fn wait(&mut self, now: Now, waiting_for: WaitingFor) {
        self.task.waiting_for = Some(waiting_for);
        let of_room = self.room_until();
        self.task.until = of_room
            .filter(|_| matches!(waiting_for, WaitingFor::Slot | WaitingFor::Rate))
            .or_else(|| {
                let deadline = self.poll_timeout()?;
                Some(now.utc + deadline.saturating_since(now.instant))
            });
        if waiting_for != WaitingFor::Answer && self.committed_wait != Some(waiting_for) {
            self.dirty = true;
            // A download's outer bound is counted from where it began, over restarts.
            if self.task.phase != Phase::Downloading {
                self.task.since = now.utc;
            }
        }
    }

    fn set_phase(&mut self, now: Now, phase: Phase) {
        if self.task.phase != phase {
            self.task.phase = phase;
            self.task.since = now.utc;
            self.dirty = true;
        }
    }

    fn timeline(&mut self, step: TimelineStep, detail: String) {
        self.actions.push_back(Action::Timeline { step, detail });
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.dirty) {
            self.committed_wait = self.task.waiting_for;
            self.committed_bytes = self.task.bytes_served;
            self.actions.push_back(Action::Commit);
        }
    }
}

impl Progress {
    /// What the persisted task says.
    fn of(task: &UpdateTask, resumed: bool) -> Self {
        let executed_before = task.execute_intended_attempt.is_some();
        let executed = resumed && task.execute_intended_attempt == Some(task.attempt);
        let uri_intended = resumed && task.uri_intended;
        Self {
            uri: if uri_intended {
                UriWrite::Uncertain
            } else {
                UriWrite::NotIntended
            },
            may_write_uri: true,
            uri_known: task.capability.is_some(),
            download_begun: false,
            // While a package of someone else may still lie there, the phase stays behind.
            own_package: executed_before
                || (task.uri_intended && (!resumed || has_begun(task.phase))),
            execution: if executed {
                Execution::Open
            } else {
                Execution::NotIntended
            },
            executed_before,
            resumed,
            slot: resumed && task.slot.is_some(),
            // No URI is written before the observation was answered.
            state_observation: if uri_intended {
                Observation::Presumed
            } else {
                Observation::Absent
            },
            result_observation: Observation::Absent,
            severity_told: false,
            defer_period_told: false,
            settled: false,
        }
    }
}

/// Whether a task in this phase has made its device fetch our package.
const fn has_begun(phase: Phase) -> bool {
    match phase {
        Phase::WaitingContact | Phase::Negotiating | Phase::WaitingSlot | Phase::Done => false,
        Phase::Downloading
        | Phase::Downloaded
        | Phase::Executing
        | Phase::Updating
        | Phase::Verifying => true,
    }
}

#[cfg(test)]
mod tests;
