//! What a device did, in the order in which it did it.

use std::fmt;

use bytes::Bytes;

use crate::clock::Instant;
use crate::coap::Code;
use crate::model::Sha256Digest;

/// One thing that happened on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// It switched on, running this version.
    Booted {
        /// `/3/0/3`.
        version: String,
    },
    /// The server took its registration.
    Registered,
    /// The server refused to prolong its registration, so it registers anew.
    RegistrationRefused {
        /// The answer to the Update.
        code: Code,
    },
    /// No answer came to its Update, so it registers anew.
    RegistrationUnanswered,
    /// It took a Package URI, or the first block of a pushed package: from here it is active in its cell.
    UriAccepted,
    /// It fetches from where it stopped, not from the start: it was given the same URI again.
    DownloadResumed {
        /// What it has already.
        kept_bytes: usize,
    },
    /// The whole image is there.
    Downloaded {
        /// Of all bytes in order.
        sha256: Sha256Digest,
    },
    /// The download ended without an image, with this Update Result.
    DownloadFailed {
        /// `/5/0/5`.
        result: u8,
    },
    /// It took an Execute of `/5/0/2`.
    ExecuteAccepted,
    /// It wrote the new image and will boot into it.
    Flashed {
        /// The version it will run.
        version: String,
    },
    /// The update ended with this Update Result: it is no longer active.
    UpdateEnded {
        /// `/5/0/5`.
        result: u8,
    },
    /// It switched off, and what the server observed is gone with it.
    ObservationsForgotten,
    /// It took data that was written to `/19/1/0`.
    DownlinkTaken {
        /// The data.
        data: Bytes,
    },
    /// It took an Execute of `/3/0/4`, and loses its power.
    RebootTaken {
        /// What the Execute said beside.
        arguments: Bytes,
    },
    /// Its power went without warning. What was active and not persisted has ended.
    PowerCut,
    /// It was switched off for good.
    SwitchedOff,
    /// It wrote the new image and comes back no more.
    Bricked,
    /// The new version did not start: it resets.
    BootFailed {
        /// The version that does not run.
        version: String,
    },
    /// It runs the version that it had before, as the new one did not start.
    RolledBack {
        /// The version that it gave up.
        version: String,
    },
    /// It takes the update for done, and runs the version that it had.
    OldVersionKept,
    /// It goes on with the install that the power cut off.
    InstallResumed,
    /// It asked for a block twice, and fetches from the start again.
    DownloadRestarted,
    /// Its NAT had forgotten it: it sends from another port.
    PortChanged,
    /// Its radio reports something else than the last time.
    SignalTold {
        /// `/4/0/2`, as it reports it.
        rsrp: Option<i64>,
        /// `/4/0/11`.
        sinr: Option<i64>,
    },
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, on the run's clock.
    pub at: Instant,
    /// The device's index in its fleet.
    pub device: usize,
    /// What happened.
    pub event: DeviceEvent,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} device {} {:?}",
            self.at.since_origin(),
            self.device,
            self.event
        )
    }
}
