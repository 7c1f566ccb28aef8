//! How a run stands, for whoever watches it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DeviceState;
use crate::model::{CellId, CoverageTier};

/// How a run stands at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Since the start, on the run's clock.
    pub elapsed: Duration,
    /// How many devices of levels 0, 1 and 2 are in each state.
    pub states: BTreeMap<DeviceState, [u64; 3]>,
    /// Devices that have come to the new version.
    pub updated: u64,
    /// Attempts that failed, by the devices' word.
    pub failed_attempts: u64,
    /// Blocks that devices took so far.
    pub blocks: u64,
    /// Their bytes.
    pub block_bytes: u64,
    /// Messages that devices sent so far, without retransmissions.
    pub sent: u64,
    /// Retransmissions so far.
    pub retransmitted: u64,
    /// Round trips at 95 %, over all so far.
    pub round_trip_p95: Option<Duration>,
    /// The cells with the most active devices against their limits, the fullest first.
    pub cells: Vec<LiveCell>,
}

/// One tier of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveCell {
    /// The cell.
    pub cell: CellId,
    /// The tier.
    pub tier: CoverageTier,
    /// Devices active now.
    pub active: u32,
    /// The most that there have been.
    pub peak: u32,
    /// How many may be.
    pub limit: u32,
}

/// What happened between two looks, by the second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Blocks a second.
    pub blocks: f64,
    /// Their bytes a second.
    pub block_bytes: f64,
    /// Messages a second, retransmissions among them.
    pub sent: f64,
    /// Retransmissions, as a share of what was sent.
    pub retransmitted_share: f64,
}

impl Live {
    /// What happened since an earlier look.
    pub fn rates_since(&self, earlier: &Self) -> Rates {
        let seconds = self.elapsed.saturating_sub(earlier.elapsed).as_secs_f64();
        let grown = |now: u64, before: u64| now.saturating_sub(before) as f64;
        let per_second = |grown: f64| if seconds > 0.0 { grown / seconds } else { 0.0 };
        let retransmitted = grown(self.retransmitted, earlier.retransmitted);
        let all = grown(self.sent, earlier.sent) + retransmitted;
        Rates {
            blocks: per_second(grown(self.blocks, earlier.blocks)),
            block_bytes: per_second(grown(self.block_bytes, earlier.block_bytes)),
            sent: per_second(all),
            retransmitted_share: if all > 0.0 { retransmitted / all } else { 0.0 },
        }
    }

    /// Devices in a state, of all levels.
    pub fn in_state(&self, state: DeviceState) -> u64 {
        self.states
            .get(&state)
            .map_or(0, |levels| levels.iter().sum())
    }
}
