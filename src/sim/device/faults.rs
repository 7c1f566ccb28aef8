//! What goes wrong in a device's updates, by chance: at most one thing an attempt.

use std::time::Duration;

use rand::Rng;
use serde::Deserialize;

use super::super::log::DeviceEvent;
use super::update::{DOWNLOADED, UPDATING};
use super::{NEVER, SimDevice};
use crate::clock::Instant;

/// One thing that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The power goes while it downloads.
    PowerCutDownloading,
    /// The power goes when it has the package, before anybody knows.
    PowerCutDownloaded,
    /// The power goes while it installs.
    PowerCutUpdating,
    /// No room for the package: Update Result 2.
    NoSpace,
    /// Out of memory within the download: 3.
    OutOfMemory,
    /// It loses its connection within the download: 4.
    ConnectionLost,
    /// The package's hash is wrong: 5.
    WrongHash,
    /// It does not know this kind of package: 6.
    WrongType,
    /// It finds the URI bad: 7, and State stays 0.
    BadUri,
    /// The install fails: 8.
    UpdateFailed,
    /// It reports success and runs the old version.
    OldVersion,
    /// It never comes back from the reboot.
    Brick,
    /// The new version does not start; after three tries it goes back to the old one, with Result 8.
    BootLoop,
}

impl Fault {
    /// The Update Result that it ends the download with, once a block has come.
    const fn ends_download_with(self) -> Option<u8> {
        match self {
            Self::NoSpace => Some(2),
            Self::OutOfMemory => Some(3),
            Self::ConnectionLost => Some(4),
            Self::PowerCutDownloading
            | Self::PowerCutDownloaded
            | Self::PowerCutUpdating
            | Self::WrongHash
            | Self::WrongType
            | Self::BadUri
            | Self::UpdateFailed
            | Self::OldVersion
            | Self::Brick
            | Self::BootLoop => None,
        }
    }
}

/// How likely a fault is in one attempt, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(pub u32);

impl Chance {
    /// In every attempt.
    pub const ALWAYS: Self = Self(1_000_000);
}

/// What can go wrong in each attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How likely each is; together no more than [`Chance::ALWAYS`].
    pub chances: Vec<(Fault, Chance)>,
    /// How long the power is gone.
    pub power_off: Duration,
    /// What was fetched is gone with the power.
    pub loses_package: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            chances: Vec::new(),
            power_off: Duration::from_secs(60),
            loses_package: false,
        }
    }
}

/// A block of the first so many is the last before the fault.
const BLOCKS_BEFORE_MAX: u32 = 16;

/// How often a version that does not start is tried.
const BOOTS_MAX: u8 = 3;

const RESULT_UPDATE_FAILED: u8 = 8;

/// What is to go wrong in the attempt under way.
#[derive(Debug, Default)]
pub(super) struct Misfortune {
    fault: Option<Fault>,
    /// Blocks until then.
    blocks_left: u32,
    /// When the power goes.
    cut_at: Option<Instant>,
    /// The version to go back to, and how often the new one is still tried.
    rollback: Option<(String, u8)>,
    /// How much of an install was left when the power went.
    install_left: Option<Duration>,
}

impl Misfortune {
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.cut_at
    }

    pub(super) fn power_was_lost(&mut self) {
        self.cut_at = None;
    }

    pub(super) fn suffers(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

impl SimDevice {
    /// An attempt begins: what goes wrong in it is drawn.
    pub(super) fn draw_fault(&mut self) {
        if self.config.faults.chances.is_empty() {
            return;
        }
        let mut drawn = self.rng.gen_range(0..Chance::ALWAYS.0);
        let found = self.config.faults.chances.iter().find(|(_, chance)| {
            let hits = drawn < chance.0;
            drawn = drawn.saturating_sub(chance.0);
            hits
        });
        self.misfortune.fault = found.map(|(fault, _)| *fault);
        self.misfortune.blocks_left = self.rng.gen_range(1..=BLOCKS_BEFORE_MAX);
    }

    /// A block has come, the last one perhaps: whether the fault ends the download here.
    pub(super) fn block_brings_fault(&mut self, now: Instant, more: bool) -> bool {
        let Some(fault) = self.misfortune.fault else {
            return false;
        };
        let result = fault.ends_download_with();
        if result.is_none() && fault != Fault::PowerCutDownloading {
            return false;
        }
        self.misfortune.blocks_left = self.misfortune.blocks_left.saturating_sub(1);
        if more && self.misfortune.blocks_left > 0 {
            return false;
        }
        match result {
            Some(result) => {
                self.update.transfer = None;
                self.end_download(now, result);
            }
            None => self.cut_power_by_fault(now),
        }
        true
    }

    /// It took an Execute: the power may go before the install ends.
    pub(super) fn plan_power_cut(&mut self, now: Instant) {
        if self.misfortune.suffers(Fault::PowerCutUpdating) {
            let part = self.rng.gen_range(1..10);
            self.misfortune.cut_at = Some(now + self.config.install * part / 10);
            // An install that is tried again comes to its end.
            self.misfortune.fault = None;
        }
    }

    pub(super) fn power_cut_timeout(&mut self, now: Instant) {
        if self.misfortune.cut_at.is_some_and(|at| at <= now) {
            self.misfortune.cut_at = None;
            if self.update.state == UPDATING {
                self.cut_power_by_fault(now);
            }
        }
    }

    /// The power goes, and takes the package along or not.
    pub(super) fn cut_power_by_fault(&mut self, now: Instant) {
        let off = self.config.faults.power_off;
        if self.config.faults.loses_package && self.update.state != UPDATING {
            self.lose_package(now, off);
        } else {
            self.cut_power(now, off);
        }
    }

    /// It never comes back.
    pub(super) fn brick(&mut self) {
        self.log(DeviceEvent::Bricked);
        self.lose_power(NEVER);
    }

    /// It boots into a version that does not start, from `version`.
    pub(super) fn begin_boot_loop(&mut self, version: String) {
        self.misfortune.rollback = Some((version, BOOTS_MAX));
    }

    /// Whether what it boots does not start.
    pub(super) fn fails_to_boot(&mut self, now: Instant) -> bool {
        let Some((before, tries)) = self.misfortune.rollback.take() else {
            return false;
        };
        let version = self.version.clone();
        if tries > 0 {
            self.misfortune.rollback = Some((before, tries - 1));
            self.log(DeviceEvent::BootFailed { version });
            self.lose_power(now + self.config.reboot);
            return true;
        }
        self.version = before;
        self.update.fail(RESULT_UPDATE_FAILED);
        self.log(DeviceEvent::RolledBack { version });
        self.log(DeviceEvent::UpdateEnded {
            result: RESULT_UPDATE_FAILED,
        });
        false
    }

    /// The power goes: an install under way is remembered, where the device is of that kind.
    pub(super) fn keep_install(&mut self, now: Instant) {
        if self.config.quirks.resumes_install
            && self.update.state == UPDATING
            && let Some(at) = self.update.installed_at
        {
            self.misfortune.install_left = Some(at.saturating_since(now));
        }
    }

    /// An install that the power cut off goes on, where the device is of that kind.
    pub(super) fn resume_install(&mut self, now: Instant) {
        if let Some(left) = self.misfortune.install_left.take()
            && self.update.state == DOWNLOADED
        {
            self.log(DeviceEvent::InstallResumed);
            self.update.install_until(now + left);
        }
    }
}
