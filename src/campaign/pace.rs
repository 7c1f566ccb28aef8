//! How fast a campaign's devices were seen to go: a few sums for each cell and tier.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{CellId, CoverageTier};

/// The number of times that something took, and what they come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    count: u64,
    sum_ms: u64,
    /// Of milliseconds squared.
    squares: u128,
}

/// What was seen in one tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierPace {
    /// From block to block of one device.
    pub block: Times,
    /// From a slot's being granted to its being free, of attempts that succeeded.
    pub slot: Times,
    /// Attempts with a slot that succeeded.
    pub succeeded: u64,
    /// Attempts with a slot that failed.
    pub failed: u64,
}

/// What was seen of a campaign's devices. It is not persisted: after a restart it begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    tiers: [TierPace; CoverageTier::ALL.len()],
    cells: BTreeMap<(CellId, CoverageTier), TierPace>,
    contact: Times,
}

impl Pace {
    /// The most cells and tiers that are told apart; the others count only for their tier.
    pub const CELLS_MAX: usize = 4096;

    /// Devices' pauses between being heard are longer than this: what comes sooner is of the same wake.
    pub const PAUSE_MIN: Duration = Duration::from_secs(5 * 60);

    /// A device was heard that had been silent for so long.
    pub fn heard(&mut self, silent: Duration) {
        if silent >= Self::PAUSE_MIN {
            self.contact.add(silent);
        }
    }

    /// A device fetched its next block so long after the one before.
    pub fn block(&mut self, cell: CellId, tier: CoverageTier, took: Duration) {
        self.each(cell, tier, |pace| pace.block.add(took));
    }

    /// A device's attempt succeeded, whose slot was held for so long.
    pub fn succeeded(&mut self, cell: CellId, tier: CoverageTier, slot_held: Duration) {
        self.each(cell, tier, |pace| {
            pace.slot.add(slot_held);
            pace.succeeded += 1;
        });
    }

    /// A device's attempt failed that had a slot.
    pub fn failed(&mut self, cell: CellId, tier: CoverageTier) {
        self.each(cell, tier, |pace| pace.failed += 1);
    }

    /// What was seen in a tier, over all cells.
    pub fn tier(&self, tier: CoverageTier) -> &TierPace {
        &self.tiers[tier as usize]
    }

    /// What was seen in a tier of a cell.
    pub fn cell(&self, cell: CellId, tier: CoverageTier) -> Option<&TierPace> {
        self.cells.get(&(cell, tier))
    }

    /// How long devices were silent between being heard.
    pub fn contact(&self) -> &Times {
        &self.contact
    }

    fn each(&mut self, cell: CellId, tier: CoverageTier, mut note: impl FnMut(&mut TierPace)) {
        note(&mut self.tiers[tier as usize]);
        let has_room = self.cells.len() < Self::CELLS_MAX;
        if has_room || self.cells.contains_key(&(cell, tier)) {
            note(self.cells.entry((cell, tier)).or_default());
        }
    }
}

impl Times {
    /// One more.
    pub fn add(&mut self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.count = self.count.saturating_add(1);
        self.sum_ms = self.sum_ms.saturating_add(ms);
        self.squares = self.squares.saturating_add(u128::from(ms) * u128::from(ms));
    }

    /// How many there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their mean in seconds; `None` without any.
    pub fn mean_seconds(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ms as f64 / 1000.0 / self.count as f64)
    }

    /// By what part of their mean they differ: the standard deviation over the mean.
    pub fn spread(&self) -> Option<f64> {
        let mean = self.mean_seconds().filter(|mean| *mean > 0.0)?;
        let variance = self.squares as f64 / 1e6 / self.count as f64 - mean * mean;
        (self.count > 1).then(|| variance.max(0.0).sqrt() / mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_mean_and_a_spread_are_those_of_what_was_added() {
        let mut times = Times::default();
        assert_eq!((times.mean_seconds(), times.spread()), (None, None));
        for seconds in [2, 4, 4, 4, 5, 5, 7, 9] {
            times.add(seconds * SECOND);
        }
        assert_eq!(times.count(), 8);
        assert_eq!(times.mean_seconds(), Some(5.0));
        assert_eq!(times.spread(), Some(0.4));
    }

    #[test]
    fn what_is_of_the_same_wake_is_no_pause() {
        let mut pace = Pace::default();
        pace.heard(Pace::PAUSE_MIN - SECOND);
        assert_eq!(pace.contact().count(), 0);
        pace.heard(Pace::PAUSE_MIN);
        assert_eq!(pace.contact().mean_seconds(), Some(300.0));
    }

    #[test]
    fn cells_beyond_the_most_count_for_their_tier() {
        let (mut pace, tier) = (Pace::default(), CoverageTier::Tier1);
        let cells = u32::try_from(Pace::CELLS_MAX).unwrap();
        for cell in 0..=cells {
            pace.succeeded(CellId(cell), tier, SECOND);
        }
        pace.failed(CellId(0), tier);
        assert_eq!(pace.cell(CellId(cells), tier), None);
        let first = pace.cell(CellId(0), tier).unwrap();
        assert_eq!((first.succeeded, first.failed), (1, 1));
        assert_eq!(pace.tier(tier).succeeded, u64::from(cells) + 1);
        assert_eq!(pace.tier(CoverageTier::Tier0), &TierPace::default());
    }
}
