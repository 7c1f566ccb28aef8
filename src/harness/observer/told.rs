//! What an observer is told.

use std::time::Duration;

use crate::campaign::Windows;
use crate::clock::Utc;
use crate::harness::result::Mode;
use crate::harness::threshold::Threshold;
use crate::model::{CellId, Sha256Digest, SlotClaim, TierLimits, words};
use crate::sim::{AtRest, CeLevel, CoapKind};

words! {
    /// Where a device is, by its own log.
    #[derive(Default)]
    pub enum DeviceState {
        /// Switched off, or without power.
        #[default]
        Off = "off",
        /// It has no registration that the server takes.
        Registering = "registering",
        /// Registered, and not at an update.
        Registered = "registered",
        /// It has a URI.
        Downloading = "downloading",
        /// It has the image.
        Downloaded = "downloaded",
        /// It was told to install.
        Updating = "updating",
        /// It runs the new version.
        Updated = "updated",
        /// Its last attempt failed.
        Failed = "failed",
    }
}

/// One device, as it is planned.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its endpoint name.
    pub endpoint: String,
    /// Its cell.
    pub cell: CellId,
    /// How well it hears it.
    pub level: CeLevel,
    /// The class in which a server is to count it.
    pub class: SlotClaim,
    /// The mix of the scenario that it is of.
    pub mix: u16,
}

/// What CoAP did on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoapSample {
    /// A message went out for the first time.
    Sent,
    /// One went out again.
    Retransmitted,
    /// An answer came, so long after the first transmission.
    RoundTrip(Duration),
    /// No answer came to any transmission.
    GaveUp,
    /// A block of an image came.
    BlockReceived {
        /// Its size.
        size_bytes: u32,
    },
}

impl From<CoapKind> for CoapSample {
    fn from(kind: CoapKind) -> Self {
        match kind {
            CoapKind::Sent => Self::Sent,
            CoapKind::Retransmitted => Self::Retransmitted,
            CoapKind::RoundTrip(took) => Self::RoundTrip(took),
            CoapKind::GaveUp => Self::GaveUp,
            CoapKind::Block { size_bytes } => Self::BlockReceived { size_bytes },
        }
    }
}

/// What the server's process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSample {
    /// CPU time since it started.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// What an observer is told beforehand.
#[derive(Clone, Debug)]
pub struct ObserverConfig {
    /// The scenario's name.
    pub name: String,
    /// How it is run.
    pub mode: Mode,
    /// The seed.
    pub seed: u64,
    /// The scenario, as it was.
    pub scenario_toml: String,
    /// When the run began, in a load run.
    pub started_at: Option<Utc>,
    /// The UTC time at the run's origin, by which push windows are open.
    pub epoch: Utc,
    /// The limits of every cell.
    pub limits: TierLimits,
    /// The image that devices must end up with, where it is known.
    pub image: Option<Sha256Digest>,
    /// The version that it is, where that is known: a device that runs another one has failed.
    pub target_version: Option<String>,
    /// What a device counts as between download and Execute.
    pub at_rest: AtRest,
    /// When updates may begin; `None`: always.
    pub windows: Option<Windows>,
    /// How long one part of the series is at first.
    pub bucket: Duration,
    /// What is asked of the run.
    pub thresholds: Vec<Threshold>,
}

impl DeviceState {
    /// Between URI and result.
    pub(super) const fn is_at_update(self) -> bool {
        matches!(self, Self::Downloading | Self::Downloaded | Self::Updating)
    }
}
