//! What a run came to: the one thing that reports, comparisons and scripts read. Sans-IO.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::Metrics;
use super::threshold::{EXIT_BROKEN, ThresholdResult};
use crate::model::words;

/// The form of a result; another one is not read.
pub const RESULT_SCHEMA: u32 = 1;

/// Why a file is no result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not the JSON of one.
    #[error("it is no result of a run: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version wrote it.
    #[error("it is a result of form {found}, and this version reads form {RESULT_SCHEMA}")]
    Schema {
        /// What it says.
        found: u32,
    },
}

words! {
    /// How devices were run.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Mode {
        /// On the virtual clock, without sockets.
        Simulate = "simulate",
        /// On real sockets.
        Load = "load",
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum End {
    /// Every device came to its end.
    AllDone,
    /// Its time was over.
    DurationOver,
    /// It could not go on.
    DidNotFinish {
        /// Why.
        why: String,
    },
    /// Some devices could not go on: what is told of them is not all.
    DevicesLost {
        /// Which, and why.
        why: String,
    },
    /// A threshold that ends the run broke.
    Aborted {
        /// Which.
        threshold: String,
    },
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`RESULT_SCHEMA`].
    pub schema: u32,
    /// The scenario's name.
    pub name: String,
    /// How it was run.
    pub mode: Mode,
    /// The seed.
    pub seed: u64,
    /// The scenario, as it was.
    pub scenario_toml: String,
    /// The narrowcast that ran it.
    pub version: String,
    /// When it began, RFC 3339; on the virtual clock it has no such time.
    pub started_at: Option<String>,
    /// How long it lasted, on the run's own clock.
    pub duration_ms: u64,
    /// How it ended.
    pub end: End,
    /// How many devices there were.
    pub devices: u64,
    /// How many of them ran the new version at the end.
    pub updated: u64,
    /// SHA-256 of the log of a simulation, in hexadecimal: the same for the same seed.
    pub log_sha256: Option<String>,
    /// What was asked for, and whether it held.
    pub thresholds: Vec<ThresholdResult>,
    /// What was measured.
    pub metrics: Metrics,
    /// How it went over time.
    pub series: Series,
    /// Each cell and tier.
    pub cells: Vec<CellResult>,
    /// Attempts that failed, by cause; the most frequent first.
    pub failures: Vec<FailureCount>,
    /// Those whose updates took longest, the longest first.
    pub slowest: Vec<SlowDevice>,
}

impl RunResult {
    /// Whether all thresholds held and the run came to an end of its own.
    pub fn held(&self) -> bool {
        self.unfinished().is_none() && self.thresholds.iter().all(ThresholdResult::held)
    }

    /// What a command ends with that ran it: 1 where devices were lost, 99 where a threshold is broken, else
    /// 0. That a server was too slow for a load run to finish is its result; a rehearsal that does not
    /// finish has failed: 1.
    pub fn exit_code(&self) -> u8 {
        let broken = self.thresholds.iter().any(|threshold| !threshold.held());
        match &self.end {
            End::Aborted { .. } => EXIT_BROKEN,
            End::DevicesLost { .. } => 1,
            End::AllDone | End::DurationOver | End::DidNotFinish { .. } if broken => EXIT_BROKEN,
            End::DidNotFinish { .. } if self.mode == Mode::Simulate => 1,
            End::AllDone | End::DurationOver | End::DidNotFinish { .. } => 0,
        }
    }

    /// Why it came to no end of its own, if so.
    pub fn unfinished(&self) -> Option<String> {
        match &self.end {
            End::AllDone | End::DurationOver => None,
            End::DidNotFinish { why } => Some(format!("did not finish: {why}")),
            End::DevicesLost { why } => Some(format!("lost devices: {why}")),
            End::Aborted { threshold } => Some(format!("ended by the threshold {threshold}")),
        }
    }

    /// Reads one from JSON.
    ///
    /// # Errors
    /// Where it is none, or of another form.
    pub fn from_json(text: &[u8]) -> Result<Self, ReadError> {
        #[derive(Deserialize)]
        struct Form {
            schema: u32,
        }
        let Form { schema } = serde_json::from_slice(text)?;
        if schema != RESULT_SCHEMA {
            return Err(ReadError::Schema { found: schema });
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// None in practice: it holds nothing that JSON cannot say.
    pub fn to_json(&self) -> Result<Vec<u8>, ReadError> {
        Ok(serde_json::to_vec(self)?)
    }
}

/// What happened in each of the run's equal parts, the first first. All of a run's lists are equally
/// long, but for those about the server where it was not watched, which are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// How long one part is.
    pub bucket_ms: u64,
    /// Devices in each state at the part's end, by the state's word.
    pub states: BTreeMap<String, Vec<u64>>,
    /// Devices that ran the new version at the part's end.
    pub updated: Vec<u64>,
    /// Blocks that devices took.
    pub blocks: Vec<u64>,
    /// Their bytes.
    pub block_bytes: Vec<u64>,
    /// Messages that devices sent, without retransmissions.
    pub sent: Vec<u64>,
    /// Retransmissions.
    pub retransmitted: Vec<u64>,
    /// The most devices of each tier that were active at once, over all cells, by the tier's word.
    pub active: BTreeMap<String, Vec<u64>>,
    /// The server's CPU time, in milliseconds.
    pub server_cpu_ms: Vec<u64>,
    /// The most memory that it had resident.
    pub server_rss_bytes: Vec<u64>,
}

/// One tier of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellResult {
    /// The cell.
    pub cell: u32,
    /// The tier's word.
    pub tier: String,
    /// How many may be active at once.
    pub limit: u32,
    /// Devices in it.
    pub devices: u64,
    /// The most that were.
    pub peak: u32,
    /// The most in each part of the run; empty where there are more cells than are followed.
    pub active: Vec<u64>,
}

words! {
    /// By whose word an attempt failed.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum SaidBy {
        /// The device's own log.
        Device = "device",
        /// The server's tasks.
        Server = "server",
    }
}

/// How often attempts failed for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureCount {
    /// By whose word.
    pub said_by: SaidBy,
    /// The server's word for it; of a device `result_5`, `power_cut` or `version_mismatch`.
    pub cause: String,
    /// How often.
    pub count: u64,
}

words! {
    /// What stands in a device's timeline.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum StepKind {
        /// It switched on.
        Booted = "booted",
        /// The server took its registration.
        Registered = "registered",
        /// Its registration was refused or not answered.
        RegistrationLost = "registration_lost",
        /// It took a URI.
        DownloadBegan = "download_began",
        /// It went on where it had stopped.
        DownloadResumed = "download_resumed",
        /// It has the whole image.
        Downloaded = "downloaded",
        /// The download ended without one.
        DownloadFailed = "download_failed",
        /// It took an Execute.
        ExecuteTaken = "execute_taken",
        /// It wrote the image.
        Flashed = "flashed",
        /// It runs the new version.
        Updated = "updated",
        /// Its user put the installation off.
        Deferred = "deferred",
        /// The installation failed.
        UpdateFailed = "update_failed",
        /// The download began anew.
        DownloadRestarted = "download_restarted",
        /// It goes on with an install that the power cut off.
        InstallResumed = "install_resumed",
        /// The new version did not start.
        BootFailed = "boot_failed",
        /// It runs the version again that it had before.
        RolledBack = "rolled_back",
        /// It comes back no more.
        Bricked = "bricked",
        /// It was switched off for good.
        SwitchedOff = "switched_off",
        /// It was told to reboot.
        RebootTaken = "reboot_taken",
        /// Its power went.
        PowerCut = "power_cut",
    }
}

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStep {
    /// When, from the run's start.
    pub at_ms: u64,
    /// What.
    pub step: StepKind,
    /// The Update Result of what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<u8>,
}

/// A device whose update took long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowDevice {
    /// Its endpoint name.
    pub endpoint: String,
    /// Its cell.
    pub cell: u32,
    /// Its coverage enhancement level, 0 to 2.
    pub ce: u8,
    /// From the first URI to the new version, or to the run's end.
    pub took_ms: u64,
    /// Whether it runs the new version.
    pub updated: bool,
    /// Blocks that it took.
    pub blocks: u32,
    /// Its retransmissions.
    pub retransmitted: u32,
    /// What it did: the first steps and the last.
    pub steps: Vec<DeviceStep>,
    /// Steps between those that are not kept, after the fourth.
    pub steps_left_out: u32,
}
