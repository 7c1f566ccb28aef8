//! The device's user may put the installation off (Object 5 v1.1: Severity, Maximum Defer Period, Update
//! Result 11). That is no failure, until the time for it is over.

use std::time::Duration;

use crate::clock::Now;
use crate::lwm2m::{Answer, Operation, Path, path};
use crate::model::{FailureReason, Phase, TimelineStep, WaitingFor};

use super::super::step::Reading;
use super::Session;
use super::deadlines::Stage;

impl Session {
    /// Writes what the device's user is told.
    pub(super) fn tell(&mut self, now: Now, path: Path, number: u32) {
        let text = number.to_string();
        self.operate(now, Operation::WriteText { path, text });
    }

    /// The answer to it. A device that refuses is not asked again: it installs as it thinks fit.
    pub(super) fn told(&mut self, path: Path, text: &str, answer: &Answer) {
        let detail = match answer {
            Answer::Done | Answer::Value(_) | Answer::Integers(_) | Answer::Unreadable => {
                format!("{path} = {text} was written")
            }
            Answer::Refused(code) => format!("{path} = {text} was answered {code}"),
            // Asked again once the device is heard.
            Answer::TimedOut | Answer::Reset => return,
        };
        self.timeline(TimelineStep::Note, detail);
        match path {
            path::FIRMWARE_SEVERITY => self.progress.severity_told = true,
            path::FIRMWARE_DEFER_PERIOD => self.progress.defer_period_told = true,
            Path { .. } => {}
        }
    }

    /// Waits for the device's user. Others may have the slot: nothing is fetched any more.
    pub(super) fn await_deferred(&mut self, now: Now) {
        let until = match self.deferred_until {
            Some(until) => until,
            None => {
                let most = self.longest_deferral();
                let detail = format!("/5/0/5 = 11: for {} s at most", most.as_secs());
                self.timeline(TimelineStep::Deferred, detail);
                self.dirty = true;
                now.instant + most
            }
        };
        self.deferred_until = Some(until);
        if until <= now.instant {
            let evidence = format!(
                "/5/0/5 = 11: the device has put the update off for longer than {} s",
                self.longest_deferral().as_secs()
            );
            return self.give_up(now, FailureReason::ResultTimeout, &evidence);
        }
        if self.claim.is_some() {
            self.release_after_download();
        }
        self.deadlines.stage = Some(until);
        self.set_phase(now, Phase::Updating);
        self.wait(now, WaitingFor::Deferred);
    }

    /// Goes on after a restart. `left` is what the task says is left, where that can be believed.
    pub(super) fn resume_deferral(&mut self, now: Now, left: Option<Duration>) {
        let most = self.longest_deferral();
        let left = left.map_or(most, |left| left.min(most));
        let until = now.instant + left.max(self.terms.settings.read_timeout);
        self.stage = Stage::Deferred;
        self.deferred_until = Some(until);
        self.deadlines.stage = Some(until);
    }

    /// The device was heard: what its user has decided is read. The result too where a change of State may
    /// have been missed.
    pub(super) fn look_at_deferred(&mut self, heard_again: bool) {
        self.reported.state = Reading::Unread;
        if heard_again {
            self.reported.version = Reading::Unread;
            self.reported.result = Reading::Unread;
        }
    }

    /// As long as the campaign lets it be put off, else as long as a device may be silent; and then the
    /// time of an installation.
    fn longest_deferral(&self) -> Duration {
        let settings = &self.terms.settings;
        let most = self.terms.defer_seconds_max;
        let most = most.map_or(settings.contact_timeout, |seconds| {
            Duration::from_secs(seconds.into())
        });
        most + settings.result_timeout
    }
}
