//! What the device reports, and the slot that follows from it (seed 004, steps 4 to 8).

use std::time::Duration;

use crate::clock::Now;
use crate::coap::Code;
use crate::lwm2m::{Answer, Path, Value, path};
use crate::model::{
    CellId, CoverageTier, FirmwareVersion, Phase, Rsrp, SignalReading, Sinr, SlotClaim,
    TimelineStep, WaitingFor,
};

use super::super::action::Action;
use super::super::object5::{DeliveryMethod, State, UpdateResult};
use super::super::step::{Execution, Reading, told};
use super::deadlines::Stage;
use super::{Presence, Session};

/// How long State and version hold good while a slot is waited for.
const FRESH_FOR: Duration = Duration::from_secs(3 * 60);

/// The first code of class 5.
const SERVER_ERROR: Code = Code::new(5, 0);

impl Session {
    /// The slot that was asked for is granted.
    pub fn handle_grant(&mut self, now: Now) {
        let Some(claim) = self.claim else { return };
        if self.closing.is_some() || self.progress.slot {
            return;
        }
        if self.is_away() {
            // Others need not wait for a device that sleeps; it asks again when it is heard.
            self.give_slot_back();
        } else {
            self.progress.slot = true;
            self.end_hold();
            self.timeline(
                TimelineStep::SlotGranted,
                format!("cell {}, tier {}", claim.cell, claim.tier),
            );
            // What follows rests on it, however long an answer may take on this product.
            self.refresh_identity(now, FRESH_FOR.min(self.terms.settings.read_timeout));
        }
        self.proceed(now);
        self.flush();
    }

    /// The answer to a Read.
    pub(super) fn reading(&mut self, now: Now, path: Path, answer: Answer) {
        match path {
            path::FIRMWARE_STATE => self.state_read(now, answer),
            path::DEVICE_FIRMWARE_VERSION => self.version_read(now, answer),
            path::FIRMWARE_UPDATE_RESULT => self.result_read(answer),
            path::CELL_ID => {
                // A time-out leaves it, as the next two, to be asked again while there is time.
                if let Some(reading) = interpret(answer, cell_id) {
                    self.reported.cell = reading;
                    self.cell_read_at = now.instant;
                }
            }
            path::RADIO_SIGNAL_STRENGTH => {
                let unit = self.terms.settings.radio_unit;
                let rsrp = |value: &Value| Rsrp::normalise(value.as_integer()?, unit);
                if let Some(reading) = interpret(answer, rsrp) {
                    self.reported.rsrp = reading;
                }
            }
            path::SIGNAL_SNR => {
                let sinr = |value: &Value| Sinr::normalise(value.as_integer()?);
                if let Some(reading) = interpret(answer, sinr) {
                    self.reported.sinr = reading;
                }
            }
            path::FIRMWARE_DELIVERY_METHOD => {
                let method = |value: &Value| DeliveryMethod::from_number(value.as_integer()?);
                self.reported.delivery_method =
                    interpret(answer, method).unwrap_or(Reading::Unreadable(None));
            }
            path::FIRMWARE_PROTOCOLS => {
                // A lone number may be the delivery method, as an older numbering has it (carrier flows
                // §3.2, 4): only a list says what the device cannot do.
                self.reported.protocols = match answer {
                    Answer::Integers(protocols) => Reading::Value(protocols),
                    Answer::Refused(code) => Reading::Unreadable(Some(code)),
                    Answer::Value(_)
                    | Answer::Done
                    | Answer::Unreadable
                    | Answer::TimedOut
                    | Answer::Reset => Reading::Unreadable(None),
                };
            }
            Path { .. } => self.condition_read(path, answer),
        }
    }

    /// State as an answer brought it.
    pub(super) fn state_read(&mut self, now: Now, answer: Answer) {
        let Some(reading) = self.unless_unavailable(answer, state) else {
            return;
        };
        match reading {
            Reading::Value(state) => self.learn_state(now, state),
            other @ (Reading::Unread | Reading::Awaited | Reading::Unreadable(_)) => {
                self.reported.state = other;
            }
        }
    }

    /// State as a read or a notification brought it.
    pub(super) fn learn_state(&mut self, now: Now, state: State) {
        self.reported.state = Reading::Value(state);
        if self.last_state.replace(state) != Some(state) {
            // A new outcome has its own Result, and perhaps its own version.
            self.reported.result = Reading::Unread;
            if matches!(state, State::Idle | State::Downloaded) {
                self.reported.version = Reading::Unread;
            }
        }
        let executed = self.progress.execution != Execution::NotIntended;
        match state {
            State::Downloading if !executed => self.fetch_seen(),
            State::Downloaded if !executed => self.downloaded(now),
            State::Idle | State::Downloaded if executed => self.set_phase(now, Phase::Verifying),
            State::Updating if executed => {
                self.execute_withheld = false;
                self.set_phase(now, Phase::Updating);
            }
            State::Idle | State::Downloading | State::Downloaded | State::Updating => {}
        }
    }

    fn version_read(&mut self, now: Now, answer: Answer) {
        let Some(reading) = self.unless_unavailable(answer, version) else {
            return;
        };
        self.version_read_at = now.instant;
        if let Some(version) = reading.value() {
            self.report.firmware_version = Some(version.clone());
            self.report.reported_at = Some(now.utc);
            self.actions.push_back(Action::Report(self.report.clone()));
            if self.progress.execution != Execution::NotIntended {
                let detail = format!("/3/0/3 = {version}");
                self.timeline(TimelineStep::VersionRead, detail);
            }
        }
        self.reported.version = reading;
    }

    /// `/5/0/5` is not asked for twice, even where the answer was lost: the device may have seen the
    /// first Read, and that resets some modules (carrier flows §3.2, 5).
    fn result_read(&mut self, answer: Answer) {
        let result = |value: &Value| value.as_integer().map(UpdateResult::from_number);
        self.reported.result = interpret(answer, result).unwrap_or(Reading::Unreadable(None));
        let detail = self.reported.result.value().map_or_else(
            || "/5/0/5 could not be read".to_owned(),
            |result| format!("/5/0/5 = {}", result.number()),
        );
        self.timeline(TimelineStep::ResultRead, detail);
    }

    /// What was read of the device long ago is read again.
    pub(super) fn refresh_identity(&mut self, now: Now, fresh_for: Duration) {
        let age = now.instant.saturating_since(self.version_read_at);
        if age > fresh_for {
            self.reported.state = Reading::Unread;
            self.reported.version = Reading::Unread;
        }
    }

    pub(super) fn request_slot(&mut self, now: Now, claim: SlotClaim) {
        self.condition_met();
        if self.claim != Some(claim) {
            self.claim = Some(claim);
            self.report_radio(now, claim.tier);
            let detail = self.negotiation(claim);
            self.timeline(TimelineStep::Negotiated, detail);
        }
        self.set_phase(now, Phase::WaitingSlot);
        if self.is_away() {
            self.wait_for_device(now);
            return;
        }
        self.wait(now, self.slot_wait());
        self.flush();
        self.actions.push_back(Action::RequestSlot(claim));
    }

    /// It waits for the slot that it asked for; `for_rate`: only until its campaign, or the server, may begin
    /// the next.
    pub fn handle_queued(&mut self, now: Now, for_rate: bool) {
        if self.stage == Stage::Slot && self.claim.is_some() && !self.is_away() {
            let waiting_for = if for_rate {
                WaitingFor::Rate
            } else {
                WaitingFor::Slot
            };
            if self.task.queued_since.is_none() {
                self.task.queued_since = Some(now.utc);
                self.dirty = true;
            }
            self.wait(now, waiting_for);
            self.flush();
        }
    }

    /// What it said last of what it waits for in the queue.
    pub(super) fn slot_wait(&self) -> WaitingFor {
        match self.committed_wait {
            Some(WaitingFor::Rate) => WaitingFor::Rate,
            Some(_) | None => WaitingFor::Slot,
        }
    }

    /// Gives back a slot that no intent was committed with, or leaves the queue.
    pub(super) fn give_slot_back(&mut self) {
        self.claim = None;
        self.progress.slot = false;
        self.forget_radio();
        let why = if self.held {
            "several devices register under this name: it asks again when that is over"
        } else {
            "the device sleeps: it asks again at its next contact"
        };
        self.timeline(TimelineStep::SlotReleased, why.to_owned());
        self.actions.push_back(Action::ReleaseSlot);
    }

    fn report_radio(&mut self, now: Now, tier: CoverageTier) {
        self.report.cell_id = self.reported.cell.value().copied();
        self.report.rsrp_dbm = self.reported.rsrp.value().map(|rsrp| rsrp.dbm);
        self.report.sinr_db = self.reported.sinr.value().map(|sinr| sinr.db);
        self.report.tier = Some(tier);
        self.report.reported_at = Some(now.utc);
        self.actions.push_back(Action::Report(self.report.clone()));
    }

    /// What a claim rests on, in words.
    fn negotiation(&self, claim: SlotClaim) -> String {
        let SignalReading { rsrp, sinr } = SignalReading {
            rsrp: self.reported.rsrp.value().copied(),
            sinr: self.reported.sinr.value().copied(),
        };
        let state = self
            .last_state
            .map_or_else(|| "unknown".to_owned(), |state| state.number().to_string());
        let version = self
            .reported
            .version
            .value()
            .map_or("unknown", FirmwareVersion::as_str);
        let rsrp = rsrp.map_or_else(|| "unknown".to_owned(), |rsrp| format!("{} dBm", rsrp.dbm));
        let sinr = sinr.map_or_else(|| "unknown".to_owned(), |sinr| format!("{} dB", sinr.db));
        let asked = told(&self.terms.preconditions, &self.reported);
        let asked = asked.map_or_else(String::new, |asked| format!("; asked for: {asked}"));
        format!(
            "/5/0/3 = {state}, /3/0/3 = {version}, /4/0/8 = {}, /4/0/2 = {rsrp}, /4/0/11 = {sinr}: \
             tier {}{asked}",
            claim.cell, claim.tier
        )
    }

    /// [`interpret`] for what must be learnt: a device that says 5.xx is asked at its next contact.
    fn unless_unavailable<T>(
        &mut self,
        answer: Answer,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Option<Reading<T>> {
        if matches!(answer, Answer::Refused(code) if code >= SERVER_ERROR) {
            self.presence = Presence::Unanswering;
            return None;
        }
        interpret(answer, parse)
    }
}

/// What an answer to a Read says; `None` where none came.
pub(super) fn interpret<T>(
    answer: Answer,
    parse: impl Fn(&Value) -> Option<T>,
) -> Option<Reading<T>> {
    match answer {
        Answer::Value(value) => {
            Some(parse(&value).map_or(Reading::Unreadable(None), Reading::Value))
        }
        Answer::Refused(code) => Some(Reading::Unreadable(Some(code))),
        Answer::Integers(_) | Answer::Done | Answer::Unreadable => Some(Reading::Unreadable(None)),
        Answer::TimedOut | Answer::Reset => None,
    }
}

/// `/5/0/3`.
pub(super) fn state(value: &Value) -> Option<State> {
    value.as_integer().and_then(State::from_number)
}

fn version(value: &Value) -> Option<FirmwareVersion> {
    FirmwareVersion::parse(&value.as_text()?).ok()
}

fn cell_id(value: &Value) -> Option<CellId> {
    CellId::from_number(value.as_integer()?)
}
