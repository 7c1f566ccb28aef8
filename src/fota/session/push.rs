//! The package written to `/5/0/0`, for a device that takes it in no other way.
//!
//! What differs from a download: the blocks are ours to send, nothing is served under a capability, and
//! what is cut short, by whatever, is begun again.

use crate::clock::Now;
use crate::lwm2m::{Answer, Operation};
use crate::model::{TimelineStep, WaitingFor};

use super::super::action::Action;
use super::super::object5::State;
use super::super::step::{Reading, UriWrite, is_pushed};
use super::deadlines::Stage;
use super::{Presence, Session};

impl Session {
    /// The device has taken a block of the package, all before byte `taken_bytes` with it.
    pub fn handle_block_taken(&mut self, now: Now, taken_bytes: u64) {
        let is_pushing = matches!(self.outstanding, Some(Operation::WritePackage(_)));
        if !is_pushing || self.stage != Stage::Download {
            return;
        }
        self.is_heard(now);
        self.presence_changed(now, Presence::Listening);
        if self.bytes_served == 0 {
            let size_bytes = self.wanted.image_size_bytes;
            let detail = format!("{taken_bytes} of {size_bytes} bytes pushed");
            self.timeline(TimelineStep::DownloadBegun, detail);
        }
        // Begun again, it has less than it had: that is progress too.
        if self.bytes_served != taken_bytes {
            self.progressed(now, taken_bytes);
        }
        self.wait(now, WaitingFor::Block);
        self.flush();
    }

    /// Whether the package is written to the device.
    pub(super) fn pushes(&self) -> bool {
        is_pushed(&self.terms.settings, &self.reported)
    }

    /// Writes the Package. The intent and the slot are in one commit, before the first block leaves.
    pub(super) fn push(&mut self, now: Now) {
        if !self.may_ask() {
            self.wait_for_device(now);
            return;
        }
        self.begin_delivery(now);
        if !self.task.uri_intended {
            self.actions.push_back(Action::CountDelivery);
        }
        self.task.uri_intended = true;
        self.hold_slot();
        self.dirty = true;
        self.operate(now, Operation::WritePackage(self.wanted.image.clone()));
    }

    /// The answer to the last block, or to one that was refused.
    pub(super) fn push_answered(&mut self, now: Now, answer: &Answer) {
        let detail = match answer {
            Answer::Done | Answer::Value(_) | Answer::Integers(_) => {
                self.progress.uri = UriWrite::Accepted;
                self.progress.own_package = true;
                self.served_up_to(self.wanted.image_size_bytes);
                self.restart_stage(now);
                format!("/5/0/0 was answered 2.04 after {} bytes", self.bytes_served)
            }
            Answer::Refused(code) => {
                self.progress.uri = UriWrite::Refused(*code);
                self.progress.own_package = false;
                format!(
                    "/5/0/0 was answered {code} after {} bytes",
                    self.bytes_served
                )
            }
            // An answer that fits no block: the device is asked what it has.
            Answer::Unreadable => "the answer to a block of /5/0/0 does not fit it".to_owned(),
            Answer::TimedOut | Answer::Reset => {
                format!("/5/0/0 was not answered after {} bytes", self.bytes_served)
            }
        };
        self.timeline(TimelineStep::Note, detail);
        self.reported.state = Reading::Unread;
    }

    /// State 1: what the device had before is gone, and what it gets is ours.
    pub(super) fn push_seen(&mut self) {
        let is_ours = matches!(self.progress.uri, UriWrite::Uncertain | UriWrite::Accepted)
            && self.last_state == Some(State::Downloading);
        self.progress.own_package |= is_ours;
    }
}
