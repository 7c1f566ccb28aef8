//! Data that the meter's own processor sends while its module downloads, against the rules of FOTA
//! (seed 000).

use super::update::DOWNLOADING;
use super::{SimDevice, SocketKind};
use crate::clock::Instant;
use crate::coap::{Code, ContentFormat, Request};

/// Readings of a meter, as they are sent.
const DATA: &[u8] = &[0x5a; 64];

impl SimDevice {
    /// A download begins.
    pub(super) fn plan_data(&mut self, now: Instant) {
        self.data_at = self.config.data_every.map(|every| now + every);
    }

    /// When it sends next, while it downloads.
    pub(super) fn data_deadline(&self) -> Option<Instant> {
        self.data_at.filter(|_| self.update.state() == DOWNLOADING)
    }

    pub(super) fn data_timeout(&mut self, now: Instant) {
        if self.data_deadline().is_some_and(|at| at <= now) {
            let request = Request::new(Code::POST, "/dp")
                .with_payload(ContentFormat::OPAQUE, bytes::Bytes::from_static(DATA));
            self.send(now, SocketKind::Main, request);
            self.plan_data(now);
        }
    }
}
