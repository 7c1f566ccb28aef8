//! The end of an attempt: the observation is cancelled, the slot given back, or kept for a while
//! where the device has fallen silent and may still fetch.

use crate::clock::{Instant, Now};
use crate::lwm2m::{Operation, path};
use crate::model::{
    Failure, FailureReason, Phase, SuccessNote, TaskState, TimelineStep, WaitingFor,
};

use super::super::action::{Action, End};
use super::super::object5::State;
use super::super::step::{Execution, Observation, Reading};
use super::Session;

/// An attempt whose end is known.
#[derive(Debug)]
pub(super) struct Closing {
    end: End,
    /// When it is over at the latest; `None` when it is.
    deadline: Option<Instant>,
}

impl Closing {
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether an operator ends it, and it is not over yet.
    pub(super) fn is_of_stop(&self) -> bool {
        self.end == End::Stopped && self.deadline.is_some()
    }
}

impl Session {
    /// Whether nothing changes its end any more.
    pub(super) fn is_over(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| {
            matches!(closing.end, End::Succeeded | End::Stopped) || closing.deadline.is_none()
        })
    }

    /// What it is closing for is another end now.
    pub(super) fn condemn(&mut self, end: End) {
        if let Some(closing) = &mut self.closing {
            closing.end = end;
        }
    }

    pub(super) fn succeed(&mut self, now: Now, note: Option<SuccessNote>) {
        self.task.state = TaskState::Succeeded;
        self.task.note = note;
        self.task.failure = None;
        self.set_phase(now, Phase::Done);
        self.cancel_observation(now, End::Succeeded);
    }

    /// Fails for what was read. Where that says nothing of a download, one may still be under way.
    pub(super) fn fail(&mut self, now: Now, failure: Failure) {
        self.task.failure = Some(failure.clone());
        let at_rest = matches!(
            self.reported.state,
            Reading::Value(State::Idle | State::Downloaded)
        );
        if self.task.slot.is_some() && !at_rest {
            self.quarantine(now, End::Failed(failure));
        } else {
            let end = self.end_of(failure);
            self.cancel_observation(now, end);
        }
    }

    /// Fails for want of any word: what the device still does is not known.
    pub(super) fn give_up(&mut self, now: Now, reason: FailureReason, evidence: &str) {
        let last = self.last_heard(reason);
        let failure = Failure {
            reason,
            evidence: format!("{evidence}{last}"),
        };
        self.task.failure = Some(failure.clone());
        if self.task.slot.is_some() {
            self.quarantine(now, End::Failed(failure));
        } else {
            self.finish(now, End::Failed(failure));
        }
    }

    /// When the last word of the device came, where its silence is why the attempt is over.
    fn last_heard(&self, reason: FailureReason) -> String {
        let of_silence = matches!(
            reason,
            FailureReason::DeviceOffline
                | FailureReason::ContactTimeout
                | FailureReason::VersionTimeout
                | FailureReason::DownloadStalled
                | FailureReason::ResultTimeout
                | FailureReason::VerificationTimeout
        );
        match self.heard_at {
            Some(at) if of_silence => format!("; last heard at {at}"),
            None if of_silence && self.progress.resumed => {
                "; not heard since the server began".to_owned()
            }
            Some(_) | None => String::new(),
        }
    }

    /// Takes up an attempt whose end was known before a restart; what is left is its quarantine.
    pub(super) fn close_condemned(&mut self, now: Now, end: End) {
        self.claim = self.task.slot;
        if self.task.slot.is_none() {
            self.finish(now, end);
            return;
        }
        // What is left of it is not known where the clock on the wall was set: it begins anew.
        let quarantine = self.terms.settings.quarantine;
        let until = self.task.until.filter(|until| *until > now.utc);
        let left = until
            .map_or(quarantine, |until| until.saturating_since(now.utc))
            .min(quarantine);
        self.withdraw_download();
        self.close(end, now.instant + left);
    }

    pub(super) fn closing_timeout(&mut self, now: Now) {
        let due = self
            .closing
            .as_ref()
            .and_then(Closing::deadline)
            .is_some_and(|deadline| deadline <= now.instant);
        if due {
            self.abandon();
            self.finish_closing(now);
        }
    }

    /// The device has rebooted or sleeps: the observation is not worth another contact. A quarantine
    /// goes on.
    pub(super) fn stop_closing_operation(&mut self, now: Now) {
        if let Some(Operation::CancelObservation(_)) = self.abandon() {
            self.finish_closing(now);
        }
    }

    /// The answer to a cancellation, whatever it is, ends that observation.
    pub(super) fn observation_cancelled(&mut self, now: Now, operation: &Operation) {
        let more = *operation == Operation::CancelObservation(path::FIRMWARE_STATE)
            && self.progress.result_observation == Observation::Live
            && self.may_ask();
        if more {
            self.send_cancellation(Operation::CancelObservation(path::FIRMWARE_UPDATE_RESULT));
        } else {
            self.finish_closing(now);
        }
    }

    /// The result is known: the slot is free, and the device need not notify any more.
    fn cancel_observation(&mut self, now: Now, end: End) {
        self.release_slot();
        if end == End::Succeeded {
            // In the commit that makes the task final: behind it nobody would write it any more.
            let note = self.task.note.map_or("", SuccessNote::word);
            self.timeline(TimelineStep::Succeeded, note.to_owned());
        }
        self.task.waiting_for = Some(WaitingFor::Answer);
        self.dirty = true;
        let first = [
            (self.progress.state_observation, path::FIRMWARE_STATE),
            (
                self.progress.result_observation,
                path::FIRMWARE_UPDATE_RESULT,
            ),
        ]
        .into_iter()
        .find(|(observation, _)| observation.may_be_live());
        match first {
            Some((_, path)) if self.may_ask() => {
                self.flush();
                self.close(end, now.instant + self.terms.settings.read_timeout);
                self.send_cancellation(Operation::CancelObservation(path));
            }
            Some(_) | None => self.finish(now, end),
        }
    }

    /// Withdraws the capability, then keeps the slot until no fetch can be under way any more.
    pub(super) fn quarantine(&mut self, now: Now, end: End) {
        self.withdraw_download();
        self.close(end, now.instant + self.terms.settings.quarantine);
        self.dirty = true;
        self.wait(now, WaitingFor::Quarantine);
    }

    pub(super) fn may_be_active(&self) -> bool {
        let at_rest = self.reported.state.value() == Some(&State::Downloaded)
            && self.progress.own_package
            && self.progress.execution == Execution::NotIntended;
        !at_rest
    }

    fn close(&mut self, end: End, deadline: Instant) {
        self.closing = Some(Closing {
            end,
            deadline: Some(deadline),
        });
    }

    pub(super) fn send_cancellation(&mut self, operation: Operation) {
        self.outstanding = Some(operation.clone());
        self.actions.push_back(Action::Operate(operation));
    }

    pub(super) fn finish_closing(&mut self, now: Now) {
        if let Some(closing) = self.closing.take() {
            self.finish(now, closing.end);
        }
    }

    pub(super) fn finish(&mut self, now: Now, end: End) {
        self.release_slot();
        self.task.state = match &end {
            End::Succeeded => TaskState::Succeeded,
            End::Failed(failure) | End::Withheld(failure) => {
                let detail = format!("{}: {}", failure.reason, failure.evidence);
                self.timeline(TimelineStep::Failed, detail);
                TaskState::Failed
            }
            End::Stopped => {
                self.timeline(TimelineStep::Stopped, self.why_stopped());
                TaskState::Stopped
            }
        };
        self.task.uri_intended = self.progress.own_package;
        self.task.waiting_for = None;
        self.task.until = None;
        self.task.queued_since = None;
        self.set_phase(now, Phase::Done);
        self.dirty = true;
        self.flush();
        self.actions.push_back(Action::End(end.clone()));
        self.closing = Some(Closing {
            end,
            deadline: None,
        });
    }

    /// Nothing where an operator stopped it: the step says so.
    fn why_stopped(&self) -> String {
        match &self.task.failure {
            Some(failure) if failure.reason == FailureReason::KeyRevoked => {
                format!("{}: {}", failure.reason, failure.evidence)
            }
            Some(_) | None => String::new(),
        }
    }

    pub(super) fn release_slot(&mut self) {
        self.withdraw_download();
        if self.claim.take().is_some() {
            if self.progress.slot {
                self.timeline(TimelineStep::SlotReleased, String::new());
            }
            self.actions.push_back(Action::ReleaseSlot);
        }
        self.progress.slot = false;
        self.task.slot = None;
    }

    /// Blocks are answered 4.04 from now on.
    fn withdraw_download(&mut self) {
        if let Some(capability) = self.served.take() {
            self.actions.push_back(Action::WithdrawDownload(capability));
        }
    }
}
