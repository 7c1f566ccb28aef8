//! An operator ends a task, or its campaign.
//!
//! - Softly: what has begun may end, as it would have. What has not is stopped.
//! - Hard: no Execute leaves any more; what fetches is withdrawn from, and told to cancel where that is
//!   known to help. A device that was told to install before, or says that it installs, is followed to its
//!   end: nobody is told that it was stopped while it flashes.

use crate::clock::Now;
use crate::lwm2m::{Answer, Operation, path};
use crate::model::{Failure, FailureReason, StopMode, TimelineStep, UpdateCancel};

use super::super::action::End;
use super::super::object5::State;
use super::super::step::{Execution, Reading, Step};
use super::deadlines::Stage;
use super::{Session, negotiate};

impl Session {
    /// It is stopped for this cause. The first cause counts, and the harder way.
    pub fn handle_stop(&mut self, now: Now, cause: Failure, mode: StopMode) {
        if self.is_over() {
            return;
        }
        if self.task.stop.is_none_or(|before| before < mode) {
            self.task.stop = Some(mode);
            self.dirty = true;
        }
        let goes_on = match mode {
            StopMode::Soft => self.has_begun() || self.closing.is_some(),
            StopMode::Hard => self.may_install() && self.closing.is_none(),
        };
        if goes_on {
            self.end_by_itself(now, cause, mode);
        } else {
            self.stop_now(now, cause);
        }
        self.flush();
    }

    /// Goes on after a restart with what an operator had asked for.
    pub(super) fn resume_stop(&mut self) {
        if self.task.stop.is_some() {
            let cause = self.terms.stopped.clone();
            self.stopping = Some(cause.unwrap_or_else(|| Failure {
                reason: FailureReason::Stopped,
                evidence: "an operator stopped it".to_owned(),
            }));
        }
    }

    /// Why this step is not taken any more: nothing begins that had not begun before the stop.
    pub(super) fn stopped_before(&self, next: &Step) -> Option<Failure> {
        let cause = self.stopping.clone()?;
        let goes_on = self.task.stop == Some(StopMode::Soft) && self.has_begun();
        let is_hard = self.task.stop == Some(StopMode::Hard);
        let begins = is_hard && *next == Step::AwaitDownload
            || matches!(
                next,
                Step::RequestSlot(_)
                    | Step::AwaitCondition(_)
                    | Step::AwaitIdle
                    | Step::WriteUri
                    | Step::Push
                    | Step::Tell(..)
                    | Step::Execute
            );
        (begins && !goes_on).then_some(cause)
    }

    /// Ends the attempt; the package is withdrawn.
    pub(super) fn stop_now(&mut self, now: Now, cause: Failure) {
        let waits = self.closing.is_some() && self.task.slot.is_some();
        self.abandon();
        // Running until its slot is free: only then may a restart forget it.
        self.task.failure = Some(cause);
        self.dirty = true;
        if waits {
            self.condemn(End::Stopped);
        } else if self.task.slot.is_some() && self.may_be_active() {
            self.quarantine(now, End::Stopped);
            self.cancel_download();
        } else {
            self.finish(now, End::Stopped);
        }
    }

    /// The device refused to give its download up, or does not say that it did: what it does is asked.
    pub(super) fn ask_what_it_does(&mut self) {
        if self.may_ask() {
            self.send_cancellation(Operation::Read(path::FIRMWARE_STATE));
        }
    }

    /// What a device does that was told to cancel.
    pub(super) fn state_after_cancel(&mut self, now: Now, answer: Answer) {
        let Some(Reading::Value(state)) = negotiate::interpret(answer, negotiate::state) else {
            return;
        };
        match state {
            State::Updating => self.runs_again(now),
            // LwM2M 1.0: an empty URI resets the device to it.
            State::Idle if self.terms.settings.cancel == UpdateCancel::EmptyUri => {
                self.gave_up(now, "/5/0/3 = 0");
            }
            State::Idle | State::Downloaded => self.finish_closing(now),
            // What it fetches is not there any more.
            State::Downloading => {}
        }
    }

    /// A device that was to be stopped installs all the same.
    pub(super) fn runs_again(&mut self, now: Now) {
        let is_stopped = self.closing.take_if(|closing| closing.is_of_stop());
        if is_stopped.is_none() {
            return;
        }
        self.abandon();
        let cause = self.task.failure.take().unwrap_or_else(|| Failure {
            reason: FailureReason::Stopped,
            evidence: String::new(),
        });
        self.stage = Stage::Idle;
        self.reported.version = Reading::Unread;
        self.reported.result = Reading::Unread;
        self.learn_state(now, State::Updating);
        self.end_by_itself(now, cause, StopMode::Hard);
    }

    fn end_by_itself(&mut self, now: Now, cause: Failure, mode: StopMode) {
        if self.stopping.is_none() {
            let why = match mode {
                StopMode::Soft => "stopped, and ends by itself: it has begun",
                StopMode::Hard => "stopped, and ends by itself: the device installs already",
            };
            let detail = format!("{why} ({})", cause.evidence);
            self.timeline(TimelineStep::Note, detail);
            self.stopping = Some(cause);
        }
        self.dirty = true;
        if mode == StopMode::Hard {
            // It may have arrived; it does not leave once more.
            self.stop_executing(now);
        }
        self.proceed(now);
    }

    /// Whether the device was told anything in this attempt, or has a slot to be told.
    pub fn has_begun(&self) -> bool {
        self.progress.slot
            || self.task.uri_intended
            || self.progress.execution != Execution::NotIntended
            || self.last_state == Some(State::Updating)
    }

    /// Whether the device may be at installing, whoever told it to.
    fn may_install(&self) -> bool {
        self.progress.execution != Execution::NotIntended
            || self.last_state == Some(State::Updating)
    }
}
