//! Observing State, writing the URI, and the download (seed 004, steps 9 to 11).

use std::time::Duration;

use crate::clock::Now;
use crate::lwm2m::{Answer, Operation, Path, path};
use crate::model::{DownloadCapability, FailureReason, Phase, TimelineStep, WaitingFor};

use super::super::object5::State;
use super::super::step::{Observation, Reading, UriWrite, is_past_download};
use super::deadlines::Stage;
use super::{Presence, Session, URI_WRITES_MAX};

/// The silence before State is read doubles with each reading, up to this many times.
const SILENCE_DOUBLINGS_MAX: u32 = 6;

impl Session {
    /// A block of the image was served to the device, ending before byte `end_offset_bytes`.
    pub fn handle_block(&mut self, now: Now, end_offset_bytes: u64) {
        // Its URI had arrived, though it was said to be idle still when the gate closed.
        let had_uri = self.stage == Stage::Gate
            && self.task.uri_intended
            && self.reported.state.value() == Some(&State::Idle);
        if had_uri && self.closing.is_none() {
            self.reported.state = Reading::Awaited;
        }
        if (self.stage == Stage::Foreign || had_uri) && self.closing.is_none() {
            // Whoever fetches under our capability has our URI, whatever it answered to the Write.
            self.progress.uri = UriWrite::Accepted;
            self.stage = Stage::Download;
            self.restart_stage(now);
            self.bound_download(now);
        }
        if self.closing.is_some() || self.stage != Stage::Download {
            return;
        }
        self.is_heard(now);
        self.presence_changed(now, Presence::Listening);
        if self.bytes_served == 0 {
            let detail = format!(
                "{end_offset_bytes} of {} bytes served",
                self.wanted.image_size_bytes
            );
            self.timeline(TimelineStep::DownloadBegun, detail);
        }
        if self.bytes_served != end_offset_bytes {
            self.progressed(now, end_offset_bytes);
        }
        self.fetch_seen();
        self.deadlines.silence = None;
        self.deadlines.silences = 0;
        self.proceed(now);
        self.flush();
    }

    /// A block came that had not come before, or the device has begun again.
    pub(super) fn progressed(&mut self, now: Now, end_offset_bytes: u64) {
        self.served_up_to(end_offset_bytes);
        self.pace.block(now.instant);
        self.restart_stage(now);
    }

    /// How far the package was served; committed with what is committed next.
    pub(super) const fn served_up_to(&mut self, end_bytes: u64) {
        self.bytes_served = end_bytes;
        self.task.bytes_served = end_bytes;
    }

    /// How far it was when the task was last committed.
    pub const fn committed_bytes(&self) -> u64 {
        self.committed_bytes
    }

    /// The answer to an Observe.
    pub(super) fn observe_answered(&mut self, now: Now, path: Path, answer: Answer) {
        let observation = match &answer {
            Answer::Value(_) | Answer::Integers(_) | Answer::Done | Answer::Unreadable => {
                Observation::Live
            }
            Answer::Refused(_) => Observation::Refused,
            Answer::TimedOut | Answer::Reset => return,
        };
        let detail = match &answer {
            Answer::Refused(code) => format!("observing {path} was answered {code}"),
            Answer::Value(_)
            | Answer::Integers(_)
            | Answer::Done
            | Answer::Unreadable
            | Answer::TimedOut
            | Answer::Reset => format!("{path} is observed"),
        };
        self.timeline(TimelineStep::Observed, detail);
        if path == path::FIRMWARE_UPDATE_RESULT {
            // What it says now is of an update before this one.
            self.progress.result_observation = observation;
            return;
        }
        self.progress.state_observation = observation;
        if matches!(answer, Answer::Value(_)) {
            self.state_read(now, answer);
        }
    }

    /// Writes the Package URI. The intent and the slot are in one commit, before it leaves.
    pub(super) fn write_uri(&mut self, now: Now) {
        if !self.may_ask() {
            self.wait_for_device(now);
            return;
        }
        self.begin_delivery(now);
        let capability = self.intend_download();
        let (base, suffix) = (&self.wanted.uri_base, &self.wanted.uri_suffix);
        let text = format!("{base}{}{suffix}", capability.to_hex());
        let path = path::FIRMWARE_PACKAGE_URI;
        self.operate(now, Operation::WriteText { path, text });
    }

    /// What holds once the device is told of the package, by URI or by push.
    pub(super) fn begin_delivery(&mut self, now: Now) {
        // Where another's package lies in the device, State 2 says nothing of ours until a fetch
        // is seen; the phase says so after a restart.
        self.progress.own_package = self.last_state == Some(State::Idle);
        let phase = if self.progress.own_package {
            Phase::Downloading
        } else {
            Phase::Negotiating
        };
        self.set_phase(now, phase);
        self.progress.uri = UriWrite::Uncertain;
        self.uri_writes = self.uri_writes.saturating_add(1);
        self.progress.may_write_uri = self.uri_writes < URI_WRITES_MAX;
        self.progress.download_begun = false;
        self.bytes_served = 0;
        self.pace.interrupt();
        self.reported.state = Reading::Awaited;
        self.reported.result = Reading::Unread;
        self.restart_stage(now);
    }

    /// The answer to the Write.
    pub(super) fn uri_answered(&mut self, now: Now, answer: &Answer) {
        match answer {
            Answer::Done | Answer::Value(_) | Answer::Integers(_) | Answer::Unreadable => {
                self.progress.uri = UriWrite::Accepted;
                self.timeline(
                    TimelineStep::UriWritten,
                    "/5/0/1 was answered 2.04".to_owned(),
                );
            }
            Answer::Refused(code) => {
                self.timeline(TimelineStep::Note, format!("/5/0/1 was answered {code}"));
                if !self.progress.download_begun {
                    self.progress.uri = UriWrite::Refused(*code);
                    // What it has next may be another's.
                    self.progress.own_package = false;
                    self.set_phase(now, Phase::Negotiating);
                    self.reported.state = Reading::Unread;
                }
            }
            Answer::TimedOut | Answer::Reset => {
                self.timeline(TimelineStep::Note, "/5/0/1 was not answered".to_owned());
            }
        }
    }

    pub(super) fn await_download(&mut self, now: Now) {
        if self.task.slot.is_none() && self.pushes() {
            self.hold_slot();
        } else if self.task.slot.is_none() {
            // The device fetches what an earlier attempt told it to, or fetches once more.
            self.progress.uri = UriWrite::Accepted;
            self.intend_download();
        }
        if self.progress.own_package {
            self.set_phase(now, Phase::Downloading);
        }
        // What the device fetches by itself goes on while nothing may be asked of it.
        if self.held || self.presence == Presence::Asleep {
            self.deadlines.silence = None;
        } else {
            self.ask_after_silence(now);
        }
        if self.presence != Presence::Listening || (self.held && self.pushes()) {
            self.wait_for_device(now);
            return;
        }
        let complete = self.bytes_served >= self.wanted.image_size_bytes;
        let waiting_for = if complete && self.bytes_served > 0 {
            WaitingFor::Notification
        } else {
            WaitingFor::Block
        };
        self.wait(now, waiting_for);
    }

    /// What it does is asked once it has said nothing for a while.
    pub(super) fn ask_after_silence(&mut self, now: Now) {
        if self.deadlines.silence.is_none() {
            let doublings = self.deadlines.silences.min(SILENCE_DOUBLINGS_MAX);
            let silence = self.pace.silent_after(&self.terms.settings) * (1 << doublings);
            self.deadlines.silence = Some(now.instant + silence);
        }
    }

    /// The device fetches: it has our URI.
    pub(super) fn fetch_seen(&mut self) {
        if self.pushes() {
            self.push_seen();
            return;
        }
        let ours = match self.progress.uri {
            UriWrite::Uncertain | UriWrite::Accepted => true,
            UriWrite::NotIntended => self.progress.uri_known,
            UriWrite::Refused(_) => {
                // It is busy with another's URI: ours is written when that is over.
                if !self.progress.uri_known {
                    self.progress.uri = UriWrite::NotIntended;
                }
                self.progress.uri_known
            }
        };
        if ours {
            self.progress.download_begun = true;
            self.progress.own_package = true;
            if self.task.uri_intended {
                self.progress.uri = UriWrite::Accepted;
            }
        }
    }

    /// State 2 before Execute.
    pub(super) fn downloaded(&mut self, now: Now) {
        if self.progress.own_package && self.task.phase != Phase::Downloaded {
            self.set_phase(now, Phase::Downloaded);
            self.timeline(TimelineStep::Downloaded, "/5/0/3 = 2".to_owned());
        }
        if self.claim.is_some() && is_past_download(&self.terms, &self.progress) {
            self.release_after_download();
        }
    }

    /// The package is there and is fetched no more: others may have the slot. Should the device fetch
    /// again, wherever it is by then, a slot is asked for anew.
    pub(super) fn release_after_download(&mut self) {
        self.release_slot();
        self.progress.download_begun = true;
        self.forget_radio();
        self.dirty = true;
    }

    /// Persists the slot that was granted, with what it is used for.
    pub(super) fn hold_slot(&mut self) {
        if self.task.slot.is_none() {
            self.task.slot = self.claim;
            self.task.queued_since = None;
            self.dirty = true;
        }
    }

    pub(super) fn stall_evidence(&self) -> String {
        let state = self
            .last_state
            .map_or_else(|| "unknown".to_owned(), |state| state.number().to_string());
        let usual = self.pace.usual().map_or_else(String::new, |usual| {
            format!(" where one came each {} ms", usual.as_millis())
        });
        format!(
            "no block for {} s{usual}, {} of {} bytes served, last /5/0/3 = {state}",
            self.pace.stalled_after(&self.terms.settings).as_secs(),
            self.bytes_served,
            self.wanted.image_size_bytes
        )
    }

    /// The download has an end in any case, which a restart does not put off; but where the clock on the
    /// wall was set, it has the time to fetch a block at least.
    pub(super) fn bound_download(&mut self, now: Now) {
        let settings = &self.terms.settings;
        let gone = if self.task.phase == Phase::Downloading {
            now.utc.saturating_since(self.task.since)
        } else {
            Duration::ZERO
        };
        let most = settings.download_timeout_max;
        let left = most.saturating_sub(gone);
        let least = settings.download_stall_timeout.min(most);
        self.deadlines.download = Some(now.instant + left.max(least));
    }

    /// It has gone on for all of the time that there is.
    pub(super) fn download_overdue(&mut self, now: Now) {
        self.deadlines.download = None;
        self.abandon();
        let evidence = format!(
            "not done in {} s, {} of {} bytes served",
            self.terms.settings.download_timeout_max.as_secs(),
            self.bytes_served,
            self.wanted.image_size_bytes
        );
        self.give_up(now, FailureReason::DownloadStalled, &evidence);
    }

    fn intend_download(&mut self) -> DownloadCapability {
        let capability = *self.task.capability.get_or_insert(self.capability_if_none);
        self.task.uri_intended = true;
        self.hold_slot();
        self.dirty = true;
        self.flush();
        self.serve(capability);
        capability
    }
}
