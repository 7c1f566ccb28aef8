//! What is owed to the tiers of a cell that wait for each other: how much airtime the others were given
//! meanwhile, against what one of their own takes.
//!
//! Limits are shares of one cell: of a tier with a limit of 50 one takes a fiftieth of it, of a tier with a
//! limit of 1 all of it. So weak coverage, for which others must stop, waits longer for its turn than one
//! that asks for little, in proportion to what it asks for: every tier that waits is given one part of the
//! airtime for each `stretch_max` parts that the others are given, be its devices few or many.

use super::admission::TIERS;
use crate::model::{CoverageTier, TierLimits};

/// The airtime of a whole cell, in the unit of this file: so that limits up to 16, tens and hundreds divide
/// it.
const WHOLE: u64 = 720_720_000;

/// Tiers in the order in which their due turns come: for weak coverage most others must have ended, so that
/// it would be due again and again behind others.
const WEAK_FIRST: [CoverageTier; TIERS] = [
    CoverageTier::Tier2,
    CoverageTier::Unknown,
    CoverageTier::Tier1,
    CoverageTier::Tier0,
];

/// The airtime that others were given while a tier waited, for each tier, less its own turns.
#[derive(Debug, Default)]
pub(super) struct Owed([u64; TIERS]);

impl Owed {
    /// One of a tier was given a slot, while one of each of these others waited that their own limit did
    /// not keep from it.
    pub(super) fn note_granted(
        &mut self,
        tier: CoverageTier,
        others: impl Iterator<Item = CoverageTier>,
        limits: &TierLimits,
        stretch_max: u32,
    ) {
        let airtime = airtime(tier, limits);
        for other in others {
            let owed = &mut self.0[other as usize];
            *owed = owed.saturating_add(airtime);
        }
        let paid = airtime.saturating_mul(stretch_max.into());
        self.0[tier as usize] = self.0[tier as usize].saturating_sub(paid);
    }

    /// How many times what one of a tier takes the others were given meanwhile, in parts of [`WHOLE`]: who
    /// waits longer for what it asks for comes first.
    pub(super) fn stretch(&self, tier: CoverageTier, limits: &TierLimits) -> u128 {
        u128::from(self.0[tier as usize]) * u128::from(limits.of(tier).max(1))
    }

    /// Nobody of a tier waits any more.
    pub(super) fn forget(&mut self, tier: CoverageTier) {
        self.0[tier as usize] = 0;
    }

    /// Of these tiers, of which one waits, the one that comes before whatever else there is.
    pub(super) fn due(
        &self,
        limits: &TierLimits,
        stretch_max: u32,
        waits: impl Fn(CoverageTier) -> bool,
    ) -> Option<CoverageTier> {
        let is_due = |tier: &CoverageTier| {
            let due_at = airtime(*tier, limits).saturating_mul(stretch_max.into());
            waits(*tier) && self.0[*tier as usize] >= due_at
        };
        WEAK_FIRST.into_iter().find(is_due)
    }
}

/// What one of a tier takes.
fn airtime(tier: CoverageTier, limits: &TierLimits) -> u64 {
    let limit = u64::from(limits.of(tier).max(1));
    (WHOLE / limit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CoverageTier::{Tier0, Tier1, Tier2};

    const STRETCH_MAX: u32 = 10;

    /// How many of tier 0 are given a slot until a tier that waits is due.
    fn passes(owed: &mut Owed, waits: CoverageTier) -> u32 {
        let limits = TierLimits::default();
        let due = |owed: &Owed| owed.due(&limits, STRETCH_MAX, |tier| tier == waits);
        let mut passed = 0;
        while due(owed).is_none() {
            owed.note_granted(Tier0, [waits].into_iter(), &limits, STRETCH_MAX);
            passed += 1;
        }
        assert_eq!(due(owed), Some(waits));
        owed.note_granted(waits, [].into_iter(), &limits, STRETCH_MAX);
        passed
    }

    #[test]
    fn who_asks_for_more_waits_for_longer_in_proportion() {
        let mut owed = Owed::default();
        for _ in 0..3 {
            // A tenth of a cell, and all of it.
            assert_eq!(passes(&mut owed, Tier1), 50);
            assert_eq!(passes(&mut owed, Tier2), 500);
        }
    }

    #[test]
    fn of_two_that_are_due_weak_coverage_is_first_and_then_the_other() {
        let (limits, mut owed) = (TierLimits::default(), Owed::default());
        for _ in 0..600 {
            owed.note_granted(Tier0, [Tier1, Tier2].into_iter(), &limits, STRETCH_MAX);
        }
        let due = |owed: &Owed| owed.due(&limits, STRETCH_MAX, |_| true);
        assert_eq!(due(&owed), Some(Tier2));
        owed.note_granted(Tier2, [Tier1].into_iter(), &limits, STRETCH_MAX);
        assert_eq!(due(&owed), Some(Tier1));
        owed.forget(Tier1);
        assert_eq!(due(&owed), None);
    }

    #[test]
    fn without_a_wait_weak_coverage_is_always_first() {
        let owed = Owed::default();
        assert_eq!(owed.due(&TierLimits::default(), 0, |_| true), Some(Tier2));
    }

    #[test]
    fn the_longest_wait_that_can_be_set_overflows_nothing() {
        let (limits, mut owed) = (TierLimits::default(), Owed::default());
        for _ in 0..100 {
            owed.note_granted(Tier2, [Tier2].into_iter(), &limits, u32::MAX);
        }
        assert_eq!(owed.due(&limits, u32::MAX, |_| true), None);
    }
}
