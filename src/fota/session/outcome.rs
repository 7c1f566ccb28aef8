//! Execute and what comes of it (seed 004, steps 12 to 15).

use crate::clock::Now;
use crate::lwm2m::{Answer, Operation, path};
use crate::model::{ObservationCancel, Phase, SlotHeld, TimelineStep, WaitingFor};

use super::super::step::{Execution, Observation, Reading};
use super::Session;
use super::deadlines::Stage;

impl Session {
    /// Sends the only Execute of this attempt. The intent is committed before it leaves.
    pub(super) fn execute(&mut self, now: Now) {
        assert_ne!(
            self.task.execute_intended_attempt,
            Some(self.task.attempt),
            "Execute is sent at most once in an attempt"
        );
        if !self.may_ask() {
            self.wait_for_device(now);
            return;
        }
        self.task.execute_intended_attempt = Some(self.task.attempt);
        self.progress.execution = Execution::Open;
        self.progress.settled = false;
        self.last_reading = false;
        self.reported.state = Reading::Awaited;
        self.reported.version = Reading::Unread;
        self.reported.result = Reading::Unread;
        match self.terms.slot_held() {
            SlotHeld::UntilResult => self.hold_slot(),
            SlotHeld::UntilDownloaded => self.release_after_download(),
        }
        self.set_phase(now, Phase::Executing);
        self.enter(now, Stage::Outcome);
        let detail = format!("attempt {}", self.task.attempt);
        self.timeline(TimelineStep::ExecuteIntended, detail);
        self.dirty = true;
        self.operate(now, Operation::Execute(path::FIRMWARE_UPDATE));
    }

    /// The answer to Execute. None is not a failure: modules reboot before they answer.
    pub(super) fn execute_answered(&mut self, now: Now, answer: &Answer) {
        let detail = match answer {
            Answer::Done | Answer::Value(_) | Answer::Integers(_) | Answer::Unreadable => {
                "2.04".to_owned()
            }
            Answer::Refused(code) => {
                self.progress.execution = Execution::Over;
                self.reported.state = Reading::Unread;
                code.to_string()
            }
            Answer::TimedOut => "no answer".to_owned(),
            Answer::Reset => "reset".to_owned(),
        };
        self.set_phase(now, Phase::Updating);
        self.timeline(TimelineStep::ExecuteAnswered, detail);
    }

    /// The device gave a sign, so an Execute that is still on its way is not sent again.
    pub(super) fn stop_executing(&mut self, now: Now) {
        if matches!(self.outstanding, Some(Operation::Execute(_))) {
            self.abandon();
            self.reported.state = Reading::Unread;
            self.set_phase(now, Phase::Updating);
        }
    }

    pub(super) fn await_outcome(&mut self, now: Now) {
        if self.progress.execution != Execution::NotIntended {
            self.set_phase(now, Phase::Updating);
        }
        if self.may_ask() {
            self.wait(now, WaitingFor::Notification);
        } else {
            self.wait_for_device(now);
        }
    }

    /// Waits before an unclear outcome is read again; the stage lasts long enough for that.
    pub(super) fn settle(&mut self, now: Now) {
        let settings = &self.terms.settings;
        if self.deadlines.settle.is_none() {
            let settle = now.instant + settings.version_settle;
            self.deadlines.settle = Some(settle);
            let enough = settle + settings.read_timeout;
            self.deadlines.stage = self.deadlines.stage.max(Some(enough));
        }
        self.wait(now, WaitingFor::Settling);
    }

    /// Goes on after a restart: the time that was given to the update goes on too, and there is always
    /// enough left to ask. It begins anew where what is left is not known: the clock on the wall was
    /// set, the server was down for longer, or a shorter wait was under way.
    pub(super) fn resume_outcome(&mut self, now: Now) {
        if self.terms.settings.observation_cancel == ObservationCancel::AfterResult {
            self.progress.state_observation = Observation::Live;
        }
        let settings = &self.terms.settings;
        let settles = self.task.waiting_for == Some(WaitingFor::Settling);
        let until = self.task.until.filter(|until| *until > now.utc && !settles);
        let left = until
            .map_or(settings.result_timeout, |until| {
                until.saturating_since(now.utc)
            })
            .min(settings.result_timeout)
            .max(settings.read_timeout);
        if self.task.waiting_for == Some(WaitingFor::Deferred) {
            let left = until.map(|until| until.saturating_since(now.utc));
            return self.resume_deferral(now, left);
        }
        self.stage = Stage::Outcome;
        self.deadlines.stage = Some(now.instant + left);
    }
}
