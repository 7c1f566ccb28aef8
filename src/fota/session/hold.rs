//! Several devices answer to the name, and nobody can tell which of them an answer comes from: nothing is
//! asked, and above all nothing is executed, until that is over.
//!
//! What was granted and not yet used is given back. A download that is under way goes on, as what is
//! fetched is named by its capability; its slot and its deadlines stay. A stage that waits for a sleeping
//! device waits for this too, as long; the others end in their own time.

use crate::clock::Now;
use crate::lwm2m::{Operation, path};
use crate::model::{Phase, WaitingFor};

use super::super::step::Reading;
use super::deadlines::Stage;
use super::{Presence, Session};

/// Why an attempt failed that was held for too long.
pub const HELD_EVIDENCE: &str = "several devices registered under this name all the while";

impl Session {
    /// From now on nothing is asked of the device. What is outstanding is abandoned.
    pub fn handle_hold(&mut self, now: Now) {
        let was_away = self.is_away();
        if std::mem::replace(&mut self.held, true) {
            return;
        }
        if self.closing.is_some() {
            self.stop_closing_operation(now);
            self.flush();
            return;
        }
        self.drop_outstanding(now);
        if self.claim.is_some() && self.task.slot.is_none() {
            self.give_slot_back();
        }
        self.away_changed(now, was_away);
        self.proceed(now);
        self.flush();
    }

    /// One device answers to the name again: whichever it is, what is known of it is read anew.
    pub fn handle_release(&mut self, now: Now) {
        let was_away = self.is_away();
        if !std::mem::replace(&mut self.held, false) || self.closing.is_some() {
            return;
        }
        self.away_changed(now, was_away);
        if self.presence == Presence::Listening {
            self.heard(now, true);
        }
        self.proceed(now);
        self.flush();
    }

    /// Whether an operation may leave.
    pub(super) fn may_ask(&self) -> bool {
        self.presence == Presence::Listening && !self.held
    }

    /// Whether it is waited for as a sleeping device is.
    pub(super) fn is_away(&self) -> bool {
        self.presence == Presence::Asleep || self.held
    }

    /// Waits until the device may be asked.
    pub(super) fn wait_for_device(&mut self, now: Now) {
        let waiting_for = if self.held {
            WaitingFor::Flapping
        } else if self.stage == Stage::Deferred {
            WaitingFor::Deferred
        } else if self.lacks_condition() {
            WaitingFor::Condition
        } else {
            WaitingFor::Contact
        };
        self.wait(now, waiting_for);
    }

    /// What is outstanding is moot.
    pub(super) fn drop_outstanding(&mut self, now: Now) {
        match self.abandon() {
            // It may have been answered: not asked twice.
            Some(Operation::Read(path::FIRMWARE_UPDATE_RESULT)) => {
                self.reported.result = Reading::Unreadable(None);
            }
            Some(Operation::Execute(_)) => self.set_phase(now, Phase::Updating),
            Some(
                Operation::Read(_)
                | Operation::WriteText { .. }
                | Operation::WritePackage(_)
                | Operation::Observe(_)
                | Operation::CancelObservation(_),
            )
            | None => {}
        }
    }
}
