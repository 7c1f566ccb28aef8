//! What happens at a time. Sans-IO.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{Rng, SeedableRng};

use super::document::DevicePhase;
use super::plan::DevicePlace;

/// Something that happens to devices, cells or the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedEvent {
    /// From the run's begin.
    pub at: Duration,
    /// What.
    pub what: Happening,
    /// Of a hundred devices it is about, how many it happens to.
    percent: u8,
    cells: CellsOf,
    /// Mixes, by their numbers; empty: all.
    mixes: Vec<u16>,
    /// Which of the file's events it is: chance of its own.
    pub(super) number: u64,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Devices lose their power.
    PowerCut {
        /// Until they have it again.
        off: Duration,
        /// They have it again within so much more.
        spread: Duration,
        /// What was fetched is lost.
        loses_package: bool,
        /// Only those that are there in their update; `None`: all.
        phase: Option<DevicePhase>,
    },
    /// Nothing goes through the air of cells.
    CellOutage {
        /// For so long.
        lasts: Duration,
    },
    /// NATs forget their devices, which have other ports from now on.
    NatFlush,
    /// The server is killed, and goes on from what it committed.
    ServerRestart {
        /// After so long.
        down: Duration,
    },
    /// The server's clock on the wall is set.
    TimeJump {
        /// By so much, back where negative.
        by_ms: i64,
    },
}

/// Which cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CellsOf {
    All,
    /// By their numbers in the scenario.
    These(Vec<usize>),
    Percent(u8),
}

impl TimedEvent {
    pub(super) fn new(
        number: u64,
        at: Duration,
        what: Happening,
        (percent, cells, mixes): (u8, CellsOf, Vec<u16>),
    ) -> Self {
        Self {
            at,
            what,
            percent,
            cells,
            mixes,
            number,
        }
    }

    /// Which of so many cells it is about, by their numbers.
    pub fn cells(&self, seed: u64, count: usize) -> Vec<usize> {
        match &self.cells {
            CellsOf::All => (0..count).collect(),
            CellsOf::These(these) => these.clone(),
            CellsOf::Percent(percent) => {
                let some = (count * usize::from(*percent)).div_ceil(100);
                let mut cells = sample(&mut self.stream(seed, u64::MAX), count, some).into_vec();
                cells.sort_unstable();
                cells
            }
        }
    }

    /// Whether it happens to this device: whatever the other devices are. `cells` are those that
    /// [`Self::cells`] says.
    pub fn hits(&self, seed: u64, device: DevicePlace, cells: &[usize]) -> bool {
        let is_meant = cells.binary_search(&device.cell).is_ok()
            && (self.mixes.is_empty() || self.mixes.contains(&device.mix));
        is_meant && self.stream(seed, device.index as u64).gen_range(0..100) < self.percent
    }

    /// How long after the event's own time it ends for this device, of up to `spread`.
    pub fn spread(&self, seed: u64, device: usize, spread: Duration) -> Duration {
        let mut stream = self.stream(seed, device as u64);
        let _: u8 = stream.gen_range(0..100);
        spread.mul_f64(stream.gen_range(0.0..1.0))
    }

    /// Chance of its own for each device.
    fn stream(&self, seed: u64, device: u64) -> StdRng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&device.to_le_bytes());
        key[16..24].copy_from_slice(&(self.number + 1).to_le_bytes());
        StdRng::from_seed(key)
    }
}
