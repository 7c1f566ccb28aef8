//! Packages that the server writes to `/5/0/0`, block by block (RFC 7959 §2.5).

use super::SimDevice;
use super::update::{DOWNLOADING, RESULT_CONNECTION_LOST, UPDATING};
use crate::clock::Instant;
use crate::coap::{Code, ContentFormat, Request};

impl SimDevice {
    /// `PUT /5/0/0`, its last block: the endpoint has put the others before it.
    pub(super) fn take_package(&mut self, now: Instant, request: &Request) -> Code {
        if !self.config.quirks.takes_only_push || self.update.state == UPDATING {
            return Code::METHOD_NOT_ALLOWED;
        }
        if request.content_format() != Some(ContentFormat::OPAQUE) {
            return Code::UNSUPPORTED_CONTENT_FORMAT;
        }
        if self.update.state != DOWNLOADING {
            self.begin_receiving(now);
        }
        self.received(now, &request.payload);
        Code::CHANGED
    }

    /// State 1 begins with the first block, and ends where no more blocks come.
    pub(super) fn watch_push(&mut self, now: Instant) {
        if !self.config.quirks.takes_only_push {
            return;
        }
        let receives = self.main.held().block1_bodies > 0;
        let received = std::mem::replace(&mut self.update.receiving, receives);
        if receives && !received && self.update.state != UPDATING {
            self.begin_receiving(now);
            self.pump(now);
        } else if received && !receives && self.update.state == DOWNLOADING {
            self.end_download(now, RESULT_CONNECTION_LOST);
            self.pump(now);
        }
    }
}
