//! Which part of the way a session is on, and how long that may take.

use std::time::Duration;

use crate::clock::{Instant, Now};
use crate::lwm2m::path;
use crate::model::{
    Delivery, DownloadProtocol, FailureReason, Phase, ProductSettings, SuccessNote,
};

use super::super::object5::{State, UpdateResult};
use super::super::step::{Execution, Progress, Reading, Step, UriWrite};
use super::hold::HELD_EVIDENCE;
use super::{Presence, Session};

/// A part of the way with a deadline of its own (carrier flows §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was begun.
    Idle,
    /// State and version are read.
    Identify,
    /// The delivery method, cell, RSRP and SINR are read.
    Radio,
    /// Waits for a slot.
    Slot,
    /// The device lacks what is asked for: it is looked at again when it is heard.
    Condition,
    /// The campaign lets nothing begin. It has no deadline of its own.
    Gate,
    /// A slot is granted; State is being observed.
    Start,
    /// Waits for the end of a download that is not ours.
    Foreign,
    /// From the URI to the whole package; the deadline moves with every block.
    Download,
    /// The package is there; State and version are read again.
    Confirm,
    /// From Execute to the outcome.
    Outcome,
    /// The device's user has put the installation off.
    Deferred,
}

/// When something is due without an input.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// The end of the stage.
    pub(super) stage: Option<Instant>,
    /// Beyond this the stage is not prolonged, however often the device is heard.
    limit: Option<Instant>,
    /// No block came for a while: State is read.
    pub(super) silence: Option<Instant>,
    /// How often the silence was broken by a question since the last block.
    pub(super) silences: u32,
    /// Until when the device may lack what is asked for, whatever it does meanwhile.
    pub(super) condition: Option<Instant>,
    /// However steadily the download goes on, it is to be done by then.
    pub(super) download: Option<Instant>,
    /// The next ping in the waiting room, or the end of the hold.
    pub(super) ping: Option<Instant>,
    /// An unclear outcome is read again.
    pub(super) settle: Option<Instant>,
}

impl Deadlines {
    pub(super) fn earliest(&self) -> Option<Instant> {
        [
            self.stage,
            self.silence,
            self.settle,
            self.condition,
            self.download,
            self.ping,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Stage {
    /// The stage in which `step` is done.
    pub(super) fn next(self, step: &Step, progress: &Progress, phase: Phase) -> Self {
        if progress.execution != Execution::NotIntended {
            let asks = matches!(step, Step::Read(_)) && self == Self::Deferred;
            return if asks || *step == Step::AwaitDeferred {
                Self::Deferred
            } else {
                Self::Outcome
            };
        }
        match step {
            Step::Succeed(_) | Step::Fail(_) => self,
            Step::AwaitCondition(_) => Self::Condition,
            Step::RequestSlot(_) => Self::Slot,
            Step::AwaitIdle => Self::Foreign,
            Step::AwaitOutcome | Step::AwaitDeferred | Step::Settle => Self::Outcome,
            Step::CancelObservation(_) | Step::Tell(..) | Step::Execute => Self::Confirm,
            Step::AwaitDownload | Step::WriteUri | Step::Push => Self::Download,
            // What cannot be learnt in time is unknown, and the way goes on without it.
            Step::Read(
                path::CELL_ID
                | path::RADIO_SIGNAL_STRENGTH
                | path::SIGNAL_SNR
                | path::FIRMWARE_DELIVERY_METHOD
                | path::FIRMWARE_PROTOCOLS
                | path::BATTERY_LEVEL
                | path::BATTERY_STATUS
                | path::MEMORY_FREE,
            ) => Self::Radio,
            Step::Read(_) | Step::Observe(_) if phase == Phase::Downloaded => Self::Confirm,
            Step::Read(_) | Step::Observe(_) if progress.uri != UriWrite::NotIntended => {
                Self::Download
            }
            Step::Observe(_) => Self::Start,
            // Questions while another's work is awaited do not prolong the wait.
            Step::Read(_) if matches!(self, Self::Foreign | Self::Outcome) => self,
            Step::Read(_) => Self::Identify,
        }
    }

    /// How long it may take while the device listens.
    const fn duration(self, settings: &ProductSettings) -> Duration {
        match self {
            Self::Idle | Self::Identify | Self::Radio | Self::Start => settings.read_timeout,
            Self::Slot | Self::Gate | Self::Condition | Self::Deferred => settings.contact_timeout,
            Self::Foreign | Self::Download => settings.download_stall_timeout,
            Self::Confirm | Self::Outcome => settings.result_timeout,
        }
    }

    /// Whether a sleeping device is given as long as it takes to be heard again.
    const fn waits_for_contact(self) -> bool {
        match self {
            Self::Idle | Self::Identify | Self::Radio | Self::Start | Self::Confirm => true,
            Self::Slot
            | Self::Gate
            | Self::Condition
            | Self::Foreign
            | Self::Download
            | Self::Outcome
            | Self::Deferred => false,
        }
    }
}

impl Session {
    /// A deadline has come.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.closing.is_some() {
            self.closing_timeout(now);
            self.flush();
            return;
        }
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now.instant);
        // Nothing comes of a ping but its answer: there is no need to look at the whole of it.
        if self.ping_if_due(now) && !due(self.deadlines.earliest()) {
            self.flush();
            return;
        }
        if due(self.deadlines.settle) {
            self.deadlines.settle = None;
            self.progress.settled = true;
            self.reported.state = Reading::Unread;
            self.reported.version = Reading::Unread;
        }
        if due(self.deadlines.silence) {
            self.deadlines.silence = None;
            self.deadlines.silences = self.deadlines.silences.saturating_add(1);
            if self.presence == Presence::Unanswering {
                // It ought to listen, and may have all of the image: only the answer was lost.
                self.presence = Presence::Listening;
            }
            self.reported.state = Reading::Unread;
        }
        if due(self.deadlines.condition) {
            self.condition_overdue(now);
        }
        if due(self.deadlines.download) && self.closing.is_none() {
            self.download_overdue(now);
        }
        if due(self.deadlines.stage) && self.closing.is_none() {
            self.expire(now);
        }
        self.proceed(now);
        self.flush();
    }

    /// Enters a stage; its time begins anew only where it is another one.
    pub(super) fn enter(&mut self, now: Now, stage: Stage) {
        if self.stage != stage {
            self.stage = stage;
            self.restart_stage(now);
            if stage == Stage::Download {
                self.bound_download(now);
            } else {
                self.deadlines.silence = None;
                self.deadlines.download = None;
            }
            if stage != Stage::Slot {
                self.leave_room();
            }
        }
    }

    /// Gives the stage its whole time again.
    pub(super) fn restart_stage(&mut self, now: Now) {
        if matches!(self.stage, Stage::Gate | Stage::Condition) {
            (self.deadlines.stage, self.deadlines.limit) = (None, None);
            return;
        }
        let settings = &self.terms.settings;
        let duration = self.stage.duration(settings);
        self.deadlines.limit = Some(now.instant + duration.max(settings.contact_timeout));
        self.deadlines.stage = Some(now.instant + self.stage_time());
    }

    /// The device was heard, did not answer, or has fallen asleep. A sleeping device is waited for;
    /// once it is heard, the time in which it should answer begins anew.
    pub(super) fn presence_changed(&mut self, now: Now, presence: Presence) {
        let was_away = self.is_away();
        let wakes = self.presence == Presence::Asleep && presence == Presence::Listening;
        self.presence = presence;
        if wakes && self.stage == Stage::Slot {
            self.look_again_in_queue(now);
        }
        if presence == Presence::Listening {
            self.ping_later(now);
        }
        self.away_changed(now, was_away);
    }

    /// Whether it is away from now on, or is no longer; `was_away` says how it was.
    pub(super) fn away_changed(&mut self, now: Now, was_away: bool) {
        if was_away != self.is_away() && self.stage.waits_for_contact() {
            let limit = self.deadlines.limit;
            let deadline = Some(now.instant + self.stage_time());
            self.deadlines.stage = if limit.is_some() {
                deadline.min(limit)
            } else {
                deadline
            };
        }
    }

    fn stage_time(&self) -> Duration {
        let settings = &self.terms.settings;
        if self.is_away() && self.stage.waits_for_contact() {
            settings.contact_timeout
        } else if self.stage == Stage::Download {
            self.pace.stalled_after(settings)
        } else {
            self.stage.duration(settings)
        }
    }

    fn expire(&mut self, now: Now) {
        self.deadlines.stage = None;
        if self.abandon().is_some() {
            self.presence = Presence::Unanswering;
        }
        let away = self.is_away();
        match self.stage {
            Stage::Idle | Stage::Gate | Stage::Condition => {}
            // Binding U says only that it may listen (decisions, 1): its next word is waited for.
            Stage::Identify if !self.heard && !away => {
                self.end_hold();
                self.presence_changed(now, Presence::Asleep);
            }
            Stage::Identify | Stage::Start | Stage::Radio | Stage::Confirm | Stage::Slot
                if self.held =>
            {
                self.give_up(now, FailureReason::Flapping, HELD_EVIDENCE);
            }
            Stage::Identify | Stage::Start | Stage::Radio | Stage::Confirm if away => {
                self.give_up(
                    now,
                    FailureReason::ContactTimeout,
                    "the device was not heard again",
                );
            }
            Stage::Slot => {
                let evidence = "the device was not heard while it waited for a slot";
                self.give_up(now, FailureReason::ContactTimeout, evidence);
            }
            Stage::Identify if self.reported.state.value().is_some() => {
                self.give_up(
                    now,
                    FailureReason::VersionTimeout,
                    "/3/0/3 was not answered",
                );
            }
            Stage::Identify => {
                self.give_up(now, FailureReason::DeviceOffline, "/5/0/3 was not answered");
            }
            Stage::Radio => self.radio_timeout(now),
            Stage::Start => {
                self.give_up(
                    now,
                    FailureReason::DeviceOffline,
                    "observing /5/0/3 was not answered",
                );
            }
            Stage::Confirm => {
                let evidence = "not answered between the download and Execute";
                self.give_up(now, FailureReason::DeviceOffline, evidence);
            }
            Stage::Foreign => {
                let evidence = "/5/0/3 = 1: a download that is not ours did not end";
                self.give_up(now, FailureReason::DownloadStalled, evidence);
            }
            Stage::Download => {
                let evidence = self.stall_evidence();
                self.give_up(now, FailureReason::DownloadStalled, &evidence);
            }
            Stage::Outcome | Stage::Deferred => self.outcome_timeout(now),
        }
    }

    /// What could not be read in time is unknown.
    fn radio_timeout(&mut self, now: Now) {
        let auto = self.terms.settings.delivery == Delivery::Auto;
        if auto && self.reported.delivery_method.is_unread() {
            // It may know of no such resource and still listen: the cell is asked for.
            self.reported.delivery_method = Reading::Unreadable(None);
            self.presence = Presence::Listening;
            self.restart_stage(now);
            return;
        }
        let http = self.terms.settings.download == DownloadProtocol::Http && !self.pushes();
        if http && self.reported.protocols.is_unread() {
            // The same of its protocols: it is told a URL then, and says itself what it makes of it.
            self.reported.protocols = Reading::Unreadable(None);
            self.presence = Presence::Listening;
            self.restart_stage(now);
            return;
        }
        if self.reported.cell.value().is_none() {
            // Where it stands in a queue already, it is taken to be there still.
            let claimed = self.claim.map(|claim| Reading::Value(claim.cell));
            self.reported.cell = claimed.unwrap_or(Reading::Unreadable(None));
        }
        if self.reported.rsrp.value().is_none() {
            self.reported.rsrp = Reading::Unreadable(None);
        }
        if self.reported.sinr.value().is_none() {
            self.reported.sinr = Reading::Unreadable(None);
        }
        self.conditions_timeout();
    }

    /// No outcome in time. The device is asked once more, where it may listen (carrier flows §3.5,
    /// "Updating timeout and query device version"); then the attempt is over.
    fn outcome_timeout(&mut self, now: Now) {
        if !self.last_reading && !self.is_away() {
            self.last_reading = true;
            if self.stage == Stage::Deferred {
                self.reported.result = Reading::Unread;
            }
            self.presence = Presence::Listening;
            self.reported.state = Reading::Unread;
            self.reported.version = Reading::Unread;
            self.deadlines.stage = Some(now.instant + self.terms.settings.read_timeout);
            return;
        }
        let over = self.reported.state.value() == Some(&State::Idle);
        if self.progress.execution == Execution::NotIntended {
            let evidence = "an update that is not ours did not end";
            self.give_up(now, FailureReason::ResultTimeout, evidence);
        } else if self.reported.result.value() == Some(&UpdateResult::Success)
            && self.reported.version.value().is_none()
            && !self.progress.settled
        {
            self.succeed(now, Some(SuccessNote::Unconfirmed));
        } else if over {
            let evidence = "/5/0/3 = 0, and /3/0/3 could not be checked in time";
            self.give_up(now, FailureReason::VerificationTimeout, evidence);
        } else {
            let evidence = self.last_state.map_or_else(
                || "no word of the device after Execute".to_owned(),
                |state| format!("no outcome in time; last /5/0/3 = {}", state.number()),
            );
            self.give_up(now, FailureReason::ResultTimeout, &evidence);
        }
    }
}
