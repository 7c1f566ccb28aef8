//! What came of a trial, in figures.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::air::{CeLevel, Direction};
use super::super::judge::Verdict;
use super::super::network::Network;
use super::Trial;
use crate::model::{FailureReason, Sha256Digest};

/// What came of a trial. Times are from the campaign's activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Devices that the campaign is for.
    pub devices: usize,
    /// How many of them run the new version.
    pub succeeded: usize,
    /// When each of these was known to, the first first.
    pub succeeded_after: Vec<Duration>,
    /// Attempts that failed, by cause.
    pub failures: BTreeMap<FailureReason, u64>,
    /// The most devices of one cell between URI and package at once.
    pub downloads_peak: u32,
    /// The median time from URI to package of the downloads of each level that came to their end.
    pub download_median: BTreeMap<CeLevel, Duration>,
    /// How long the downlinks were in use, in thousandths of the time.
    pub downlink_busy_permille: u64,
    /// Datagrams to the server, the lost ones among them.
    pub datagrams_up: u64,
    /// Datagrams to devices.
    pub datagrams_down: u64,
    /// Blocks that the server served, those asked for again among them.
    pub blocks: u64,
    /// What the devices' logs say of limits, flashes and images.
    pub verdict: Verdict,
    /// SHA-256 of all that devices did and the server committed, with its times.
    pub log_sha256: Sha256Digest,
    /// How much time passed, on the run's clock.
    pub lasted: Duration,
}

impl Report {
    pub(super) fn of(network: &Network, trial: &Trial) -> Self {
        let account = network.account();
        let succeeded = account.succeeded();
        let medians = CeLevel::ALL.into_iter().filter_map(|level| {
            let mut times = account.download_times(level).to_vec();
            times.sort_unstable();
            Some((level, *times.get(times.len() / 2)?))
        });
        Self {
            devices: trial.devices,
            succeeded: succeeded.len(),
            succeeded_after: succeeded.iter().map(|at| at.since_origin()).collect(),
            failures: account.failures().clone(),
            downloads_peak: account.downloads_peak(),
            download_median: medians.collect(),
            downlink_busy_permille: network.downlink_busy_permille(),
            datagrams_up: account.traffic(Direction::Uplink).0,
            datagrams_down: account.traffic(Direction::Downlink).0,
            blocks: network.engine().counters().blocks,
            verdict: account.verdict(),
            log_sha256: account.log_sha256(),
            lasted: network.now().instant.since_origin(),
        }
    }

    /// When so many per cent of all devices were updated; `None` where that was not reached.
    pub fn updated_percent(&self, percent: usize) -> Option<Duration> {
        let needed = (self.devices * percent).div_ceil(100).max(1);
        self.succeeded_after.get(needed - 1).copied()
    }

    /// Attempts that failed.
    pub fn failed_attempts(&self) -> u64 {
        self.failures.values().sum()
    }
}
