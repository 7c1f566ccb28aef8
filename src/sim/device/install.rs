//! The install: from an Execute to the version that runs afterwards.

use std::time::Duration;

use super::super::log::DeviceEvent;
use super::faults::Fault;
use super::update::{DOWNLOADED, IDLE, RESULT_FAILED, RESULT_SUCCESS};
use super::{Outcome, Presence, SimDevice};
use crate::clock::Instant;
use crate::lwm2m::path;

impl SimDevice {
    /// The install ends at its time.
    pub(super) fn update_timeout(&mut self, now: Instant) {
        self.deferral_timeout(now);
        if self.update.installed_at.is_none_or(|at| now < at) {
            return;
        }
        self.update.installed_at = None;
        if matches!(self.presence, Presence::Off { .. }) {
            return;
        }
        if self.defers(now) {
            return;
        }
        match self.config.outcome {
            Outcome::InstallFails(result) => self.fail_install(now, result),
            Outcome::Succeeds | Outcome::DownloadFails(_) => self.end_install(now),
            Outcome::WrongVersion => {
                let version = format!("{}-other", self.config.next_version);
                self.flash(now, version);
            }
        }
    }

    /// It was to succeed.
    fn end_install(&mut self, now: Instant) {
        let before = self.version.clone();
        let next = self.config.next_version.clone();
        if self.misfortune.suffers(Fault::UpdateFailed) {
            self.fail_install(now, RESULT_FAILED);
        } else if self.misfortune.suffers(Fault::OldVersion) {
            self.log(DeviceEvent::OldVersionKept);
            self.succeed(now);
        } else if self.misfortune.suffers(Fault::Brick) {
            self.brick();
        } else if self.misfortune.suffers(Fault::BootLoop) {
            self.begin_boot_loop(before);
            self.log(DeviceEvent::Flashed {
                version: next.clone(),
            });
            self.version = next;
            self.update.state = IDLE;
            self.update.transfer = None;
            self.lose_power(now + self.config.reboot);
        } else {
            self.flash(now, next);
        }
    }

    fn fail_install(&mut self, now: Instant, result: u8) {
        self.update.state = DOWNLOADED;
        self.change_result(now, result);
        self.log(DeviceEvent::UpdateEnded { result });
        self.notify(now, path::FIRMWARE_STATE);
    }

    fn flash(&mut self, now: Instant, version: String) {
        self.log(DeviceEvent::Flashed {
            version: version.clone(),
        });
        self.version = version;
        self.succeed(now);
    }

    /// The update is over, as far as the device can tell: it reboots.
    fn succeed(&mut self, now: Instant) {
        self.update.deferred_until = None;
        self.update.state = IDLE;
        self.update.result = RESULT_SUCCESS;
        self.update.transfer = None;
        self.log(DeviceEvent::UpdateEnded {
            result: RESULT_SUCCESS,
        });
        let off: Duration = self.config.reboot;
        self.lose_power(now + off);
    }
}
