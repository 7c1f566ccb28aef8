//! How a cell's carrier is operated.

use std::num::NonZeroU8;
use std::time::Duration;

use serde::Deserialize;

use super::CeLevel;

/// Where the carrier is (3GPP TS 36.331, operationModeInfo).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationMode {
    /// On spectrum of its own, with 43 dBm: what the figures of [`CeLevel`] are of.
    #[default]
    Standalone,
    /// In a resource block of an LTE carrier, with 35 dBm, and without what that carrier needs itself. Of a
    /// device of CE2 the figures are those of a coupling loss of 164 dB, the worst.
    InBand,
}

/// The carrier of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Where it is.
    pub operation_mode: OperationMode,
    /// The part of the downlink that is there for what this server sends, in per cent, above 100 as 100;
    /// the rest is the meters' own traffic.
    pub downlink_share_percent: NonZeroU8,
}

impl OperationMode {
    /// How long a datagram takes the whole downlink that takes so long on one standalone: the capacities
    /// computed from the block error tables (the head of `level.rs`) are 27 for 35 kbit/s, 5 for 8, and
    /// 0.17 for 0.8.
    pub(super) fn downlink(self, level: CeLevel, airtime: Duration) -> Duration {
        self.times(airtime, level, [1_296, 1_600, 4_706])
    }

    /// A round trip that is so long standalone: computed times of a block alone of 0.57 for 0.49 s, as long,
    /// and 49 for 10 s.
    pub(super) fn round_trip(self, level: CeLevel, round_trip: Duration) -> Duration {
        self.times(round_trip, level, [1_163, 1_000, 4_900])
    }

    fn times(self, time: Duration, level: CeLevel, permille: [u32; 3]) -> Duration {
        match self {
            Self::Standalone => time,
            Self::InBand => time * permille[level as usize] / 1000,
        }
    }
}
