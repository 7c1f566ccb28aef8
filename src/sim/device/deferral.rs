//! An installation that its user puts off (Object 5 v1.1).

use super::super::log::DeviceEvent;
use super::update::{DOWNLOADED, UPDATING};
use super::{Presence, SimDevice};
use crate::clock::Instant;
use crate::coap::{Code, Request};
use crate::lwm2m::{Path, path};

const RESULT_DEFERRED: u8 = 11;

impl SimDevice {
    /// `PUT /5/0/11` or `/5/0/13`; `None` where it knows of neither, or it is of another.
    pub(super) fn take_deferral(&mut self, path: Path, request: &Request) -> Option<Code> {
        self.config.deferral?;
        let told = match path {
            path::FIRMWARE_SEVERITY => &mut self.update.severity,
            path::FIRMWARE_DEFER_PERIOD => &mut self.update.defer_period,
            Path { .. } => return None,
        };
        let text = std::str::from_utf8(&request.payload).ok();
        let Some(number) = text.and_then(|text| text.parse().ok()) else {
            return Some(Code::BAD_REQUEST);
        };
        *told = Some(number);
        Some(Code::CHANGED)
    }

    /// Its user puts the installation off, once for each package, and lets it go on later.
    pub(super) fn deferral_timeout(&mut self, now: Instant) {
        if let Some(until) = self.update.deferred_until
            && until <= now
            && !matches!(self.presence, Presence::Off { .. })
        {
            self.update.deferred_until = None;
            self.update.state = UPDATING;
            self.update.installed_at = Some(now + self.config.install);
            self.notify(now, path::FIRMWARE_STATE);
        }
    }

    pub(super) fn defers(&mut self, now: Instant) -> bool {
        let Some(deferral) = self.config.deferral.filter(|_| !self.update.deferred) else {
            return false;
        };
        self.update.deferred = true;
        self.update.deferred_until = Some(now + deferral);
        self.update.state = DOWNLOADED;
        self.change_result(now, RESULT_DEFERRED);
        let result = RESULT_DEFERRED;
        self.log(DeviceEvent::UpdateEnded { result });
        self.notify(now, path::FIRMWARE_STATE);
        true
    }
}
