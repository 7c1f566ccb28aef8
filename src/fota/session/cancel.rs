//! A device is told to give up the download of a task that was stopped (Object 5 v1.1, Cancel).
//!
//! The package is withdrawn and the slot in quarantine, whatever the device does; that it says Result 10, or
//! that it is at rest, ends the quarantine early. One that installs has not cancelled, whatever it answered.

use crate::clock::Now;
use crate::lwm2m::{Answer, Operation, Value, path};
use crate::model::{TimelineStep, UpdateCancel};

use super::super::object5::UpdateResult;
use super::super::step::{Execution, Reading};
use super::{Session, negotiate};

impl Session {
    /// Tells a device that downloads, and listens.
    pub(super) fn cancel_download(&mut self) {
        let downloads = self.task.uri_intended && self.progress.execution == Execution::NotIntended;
        if !downloads || !self.may_ask() {
            return;
        }
        let operation = match self.terms.settings.cancel {
            UpdateCancel::EmptyUri => Operation::WriteText {
                path: path::FIRMWARE_PACKAGE_URI,
                text: String::new(),
            },
            UpdateCancel::None if !self.terms.names_cancel => return,
            UpdateCancel::None | UpdateCancel::Execute => Operation::Execute(path::FIRMWARE_CANCEL),
        };
        self.flush();
        self.send_cancellation(operation);
    }

    /// What came of an operation while the attempt is closed.
    pub(super) fn closing_answered(&mut self, now: Now, operation: &Operation, answer: Answer) {
        match operation {
            Operation::CancelObservation(_) => self.observation_cancelled(now, operation),
            Operation::Execute(path) | Operation::WriteText { path, .. } => {
                let path = *path;
                match answer {
                    Answer::Done | Answer::Value(_) | Answer::Integers(_) | Answer::Unreadable => {
                        self.note(format!("{path} was answered 2.04"));
                        self.send_cancellation(Operation::Read(path::FIRMWARE_UPDATE_RESULT));
                    }
                    Answer::Refused(code) => {
                        self.note(format!("{path} was answered {code}"));
                        self.ask_what_it_does();
                    }
                    Answer::TimedOut | Answer::Reset => {
                        self.note(format!("{path} was not answered"));
                    }
                }
            }
            Operation::Read(path::FIRMWARE_STATE) => self.state_after_cancel(now, answer),
            Operation::Read(_) => self.cancelled_result(now, answer),
            Operation::Observe(_) | Operation::WritePackage(_) => {}
        }
    }

    fn cancelled_result(&mut self, now: Now, answer: Answer) {
        let result = |value: &Value| value.as_integer().map(UpdateResult::from_number);
        let Some(Reading::Value(result)) = negotiate::interpret(answer, result) else {
            self.timeline(
                TimelineStep::ResultRead,
                "/5/0/5 could not be read".to_owned(),
            );
            return self.ask_what_it_does();
        };
        let number = result.number();
        self.timeline(TimelineStep::ResultRead, format!("/5/0/5 = {number}"));
        if result != UpdateResult::Cancelled {
            // LwM2M 1.0: an empty URI resets the device to Result 0, and Cancel is not yet known to it; but
            // that is the Result of a device that installs, too.
            return self.ask_what_it_does();
        }
        self.gave_up(now, &format!("/5/0/5 = {number}"));
    }

    /// It downloads no more, as this shows.
    pub(super) fn gave_up(&mut self, now: Now, shown: &str) {
        if let Some(failure) = &mut self.task.failure {
            failure.evidence = format!(
                "{}; the device gave its download up, {shown}",
                failure.evidence
            );
        }
        self.finish_closing(now);
    }

    fn note(&mut self, detail: String) {
        self.timeline(TimelineStep::Note, detail);
    }
}
