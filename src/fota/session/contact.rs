//! The device is heard, or falls asleep.

use crate::clock::Now;
use crate::lwm2m::{Operation, Path, Value, path};
use crate::model::DeviceReport;

use super::super::action::Contact;
use super::super::object5::{State, UpdateResult};
use super::super::step::{Execution, Observation, Reading, UriWrite};
use super::deadlines::Stage;
use super::{Presence, Session, negotiate};

impl Session {
    /// The device was heard: it listens now.
    pub fn handle_contact(&mut self, now: Now, contact: Contact) {
        if self.closing.is_some() {
            if contact == Contact::Register {
                self.stop_closing_operation(now);
            }
            self.flush();
            return;
        }
        let heard_again = self.presence != Presence::Listening;
        self.is_heard(now);
        self.woke_by_itself();
        self.presence_changed(now, Presence::Listening);
        if self.stage == Stage::Slot {
            self.restart_stage(now);
        }
        match contact {
            Contact::Register => self.rebooted(now),
            Contact::Update | Contact::Uplink => self.heard(now, heard_again),
        }
        self.proceed(now);
        self.flush();
    }

    /// It was not heard, but ought to listen: it is asked, and waited for unless it answers.
    pub fn handle_reachable(&mut self, now: Now) {
        if self.closing.is_some() || self.presence == Presence::Listening {
            return;
        }
        self.heard = false;
        self.presence_changed(now, Presence::Listening);
        self.heard(now, true);
        self.proceed(now);
        self.flush();
    }

    /// Its awake time is over. What is outstanding is moot; the next contact goes on from here.
    pub fn handle_asleep(&mut self, now: Now) {
        if self.closing.is_some() {
            self.stop_closing_operation(now);
            self.flush();
            return;
        }
        self.drop_outstanding(now);
        self.asleep_in_room();
        if self.progress.slot && self.task.slot.is_none() {
            self.give_slot_back();
        }
        self.presence_changed(now, Presence::Asleep);
        self.proceed(now);
        self.flush();
    }

    /// The device said something of itself that is not an answer: what this session reports goes on
    /// from there.
    pub fn handle_report(&mut self, report: DeviceReport) {
        self.report = report;
    }

    /// A notification: a hint that the device gave of itself.
    pub fn handle_notification(&mut self, now: Now, path: Path, value: &Value) {
        if self.closing.is_some() {
            if path == path::FIRMWARE_STATE && negotiate::state(value) == Some(State::Updating) {
                self.runs_again(now);
                self.flush();
            }
            return;
        }
        let heard_again = self.presence != Presence::Listening;
        self.is_heard(now);
        self.woke_by_itself();
        self.presence_changed(now, Presence::Listening);
        match path {
            path::FIRMWARE_STATE => {
                if let Some(state) = negotiate::state(value) {
                    self.state_notified(now, state);
                }
            }
            path::FIRMWARE_UPDATE_RESULT => self.result_notified(value),
            Path { .. } => self.heard(now, heard_again),
        }
        self.proceed(now);
        self.flush();
    }

    fn state_notified(&mut self, now: Now, state: State) {
        self.stop_executing(now);
        self.execute_withheld &= state != State::Updating;
        if let Some(Operation::Read(path) | Operation::Observe(path)) = &self.outstanding
            && *path == path::FIRMWARE_STATE
        {
            // Its answer may be older than this: read once more after it.
            self.state_doubtful = true;
            return;
        }
        self.deadlines.silences = 0;
        match state {
            State::Idle | State::Downloading | State::Updating => self.learn_state(now, state),
            // Before Execute both are read again anyway (threat T12).
            State::Downloaded => {
                self.reported.state = Reading::Unread;
                self.reported.version = Reading::Unread;
            }
        }
    }

    fn result_notified(&mut self, value: &Value) {
        let Some(number) = value.as_integer() else {
            return;
        };
        let result = UpdateResult::from_number(number);
        if result == UpdateResult::Initial {
            return;
        }
        match &self.outstanding {
            None => {
                self.reported.result = Reading::Value(result);
                self.reported.state = Reading::Unread;
            }
            // Of what is being written, or older: both are read when that is answered.
            Some(Operation::WriteText { .. } | Operation::WritePackage(_)) => {
                self.reported.state = Reading::Unread;
            }
            Some(
                Operation::Read(_)
                | Operation::Observe(_)
                | Operation::CancelObservation(_)
                | Operation::Execute(_),
            ) => {}
        }
    }

    /// A new registration: what was asked is lost, what was known may be old.
    fn rebooted(&mut self, now: Now) {
        self.stop_executing(now);
        self.abandon();
        self.pace.interrupt();
        self.last_state = None;
        self.state_doubtful = false;
        self.reported.state = Reading::Unread;
        self.reported.version = Reading::Unread;
        self.reported.result = Reading::Unread;
        self.deadlines.silence = None;
        self.deadlines.settle = None;
        if self.progress.execution != Execution::NotIntended {
            self.progress.execution = Execution::Over;
            return;
        }
        self.progress.state_observation = Observation::Absent;
        self.progress.result_observation = Observation::Absent;
        if self.progress.uri == UriWrite::Accepted {
            self.progress.uri = UriWrite::Uncertain;
        }
        if self.claim.is_none() {
            self.forget_radio();
        }
    }

    /// Any other sign: what the device may have done since it was last heard is read.
    pub(super) fn heard(&mut self, now: Now, heard_again: bool) {
        self.stop_executing(now);
        if self.outstanding.is_some() {
            return;
        }
        match self.stage {
            Stage::Idle | Stage::Slot => {}
            Stage::Identify | Stage::Radio | Stage::Start | Stage::Gate => {
                self.refresh_identity(now, self.terms.settings.read_timeout);
            }
            Stage::Condition => self.look_again(now),
            Stage::Deferred => self.look_at_deferred(heard_again),
            Stage::Foreign | Stage::Outcome => self.reported.state = Reading::Unread,
            Stage::Download => {
                if heard_again || self.deadlines.silences > 0 {
                    self.reported.state = Reading::Unread;
                }
            }
            Stage::Confirm => {
                if heard_again {
                    self.reported.state = Reading::Unread;
                    self.reported.version = Reading::Unread;
                }
            }
        }
    }
}
