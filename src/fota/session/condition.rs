//! A device that lacks what its campaign asks for is waited for. Nothing of the attempt is used up: it is
//! looked at again at its next contact, until the time is over.

use std::time::Duration;

use crate::clock::{Instant, Now};
use crate::lwm2m::{Answer, Path, Value, path};
use crate::model::{FailureReason, Phase, TimelineStep, WaitingFor};

use super::super::said::Said;
use super::super::step::{BatteryStatus, Reading};
use super::Session;
use super::negotiate::interpret;

/// How long what was read holds good, however often the device is heard.
const FRESH_FOR: Duration = Duration::from_secs(3 * 60);

/// The wait of a device for what it lacks.
#[derive(Debug, Default)]
pub(super) struct ConditionWait {
    /// What it lacked when it was last looked at.
    evidence: String,
    /// When what was read of it then began to age.
    seen_at: Option<Instant>,
}

impl Session {
    /// The answer to a Read of what a precondition is about.
    pub(super) fn condition_read(&mut self, path: Path, answer: Answer) {
        match path {
            path::BATTERY_LEVEL => {
                let percent = |value: &Value| {
                    let percent = u8::try_from(value.as_integer()?).ok()?;
                    (percent <= 100).then_some(percent)
                };
                if let Some(reading) = interpret(answer, percent) {
                    self.reported.battery_percent = reading;
                }
            }
            path::BATTERY_STATUS => {
                let status = |value: &Value| value.as_integer().map(BatteryStatus);
                if let Some(reading) = interpret(answer, status) {
                    self.reported.battery_status = reading;
                }
            }
            path::MEMORY_FREE => {
                let kib = |value: &Value| value.as_integer().filter(|kib| *kib >= 0);
                if let Some(reading) = interpret(answer, kib) {
                    self.reported.free_kib = reading;
                }
            }
            Path { .. } => {}
        }
    }

    /// Waits until the device has what is asked for. The time for it does not begin anew.
    pub(super) fn await_condition(&mut self, now: Now, evidence: String) {
        let until = now.instant + self.terms.settings.contact_timeout;
        self.deadlines.condition.get_or_insert(until);
        if self.condition.evidence != evidence {
            self.timeline(TimelineStep::ConditionUnmet, evidence.clone());
            self.condition.evidence = evidence;
        }
        self.condition.seen_at.get_or_insert(now.instant);
        self.set_phase(now, Phase::Negotiating);
        self.wait(now, WaitingFor::Condition);
    }

    /// It has it.
    pub(super) fn condition_met(&mut self) {
        self.deadlines.condition = None;
        self.condition = ConditionWait::default();
    }

    /// The device was heard while it lacks something.
    pub(super) fn look_again(&mut self, now: Now) {
        let seen_at = self.condition.seen_at;
        if seen_at.is_none_or(|at| now.instant.saturating_since(at) >= FRESH_FOR) {
            self.condition.seen_at = None;
            self.forget_radio();
            self.reported.state = Reading::Unread;
            self.reported.version = Reading::Unread;
        }
    }

    /// The device slept in the queue, maybe for days, and is heard: its cell, its signal and its battery may
    /// be others by now. Its place in the queue is kept, where that is of the same cell and tier.
    pub(super) fn look_again_in_queue(&mut self, now: Now) {
        if now.instant.saturating_since(self.cell_read_at) >= FRESH_FOR {
            self.forget_radio();
        }
    }

    /// Goes on after a restart: the time that is left is that of before, unless the clock was set.
    pub(super) fn resume_condition(&mut self, now: Now) {
        if self.task.waiting_for != Some(WaitingFor::Condition) {
            return;
        }
        let most = self.terms.settings.contact_timeout;
        let left = self
            .task
            .until
            .map_or(most, |until| until.saturating_since(now.utc));
        // It is looked at once more at least.
        let left = left.clamp(self.terms.settings.read_timeout.min(most), most);
        self.deadlines.condition = Some(now.instant + left);
    }

    pub(super) fn condition_overdue(&mut self, now: Now) {
        self.deadlines.condition = None;
        self.abandon();
        let evidence = if self.condition.evidence.is_empty() {
            "what is asked for could not be seen to be there in time".to_owned()
        } else {
            self.condition.evidence.clone()
        };
        self.give_up(now, FailureReason::ConditionUnmet, &evidence);
    }

    /// One of these is read anew.
    pub(super) fn forget(&mut self, resource: Path) {
        match resource {
            path::CELL_ID => self.reported.cell = Reading::Unread,
            path::RADIO_SIGNAL_STRENGTH => self.reported.rsrp = Reading::Unread,
            path::SIGNAL_SNR => self.reported.sinr = Reading::Unread,
            path::BATTERY_LEVEL => self.reported.battery_percent = Reading::Unread,
            path::BATTERY_STATUS => self.reported.battery_status = Reading::Unread,
            path::MEMORY_FREE => self.reported.free_kib = Reading::Unread,
            Path { .. } => {}
        }
    }

    /// What was read of the radio and of what the campaign asks for is read anew.
    pub(super) fn forget_radio(&mut self) {
        for resource in Said::RESOURCES {
            self.forget(resource);
        }
    }

    /// What could not be read of it in time is unknown.
    pub(super) fn conditions_timeout(&mut self) {
        fn unknown<T>(reading: &mut Reading<T>) {
            if reading.value().is_none() {
                *reading = Reading::Unreadable(None);
            }
        }
        unknown(&mut self.reported.battery_percent);
        unknown(&mut self.reported.battery_status);
        unknown(&mut self.reported.free_kib);
    }

    /// Whether it waits for what the device lacks, whatever it does at the moment.
    pub(super) const fn lacks_condition(&self) -> bool {
        self.deadlines.condition.is_some()
    }
}
