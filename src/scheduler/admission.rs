//! Whether one more may begin in a cell.

use crate::model::{AdmissionMode, AdmissionPolicy, CoverageTier, TierLimits};

/// How many tiers there are.
pub(super) const TIERS: usize = CoverageTier::ALL.len();

/// A whole cell, in the unit of [`crate::model::AirtimePermille`].
const WHOLE_PERMILLE: u128 = 1000;

/// What is active in a cell by tier, against its limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) active: &'a [u32; TIERS],
    pub(super) limits: &'a TierLimits,
}

impl Load<'_> {
    /// Whether one of `tier` may begin under this policy. A cell in which nothing is active takes one of
    /// any tier that has a limit at all: a budget of less than one device would stop it for ever.
    pub(super) fn admits(self, tier: CoverageTier, policy: AdmissionPolicy) -> bool {
        let limit = self.limits.of(tier);
        if !self.has_room(tier) {
            return false;
        }
        let all: u64 = self.active.iter().map(|active| u64::from(*active)).sum();
        if all == 0 {
            return true;
        }
        let by_mode = match policy.mode {
            AdmissionMode::PerClass => true,
            AdmissionMode::PerCell => all < u64::from(limit),
            AdmissionMode::Strictest => all < u64::from(self.lowest_limit(tier)),
        };
        by_mode
            && policy
                .airtime
                .is_none_or(|budget| self.fits(tier, budget.0.get()))
    }

    /// Whether the tier itself is below its limit, whatever the others do.
    pub(super) fn has_room(self, tier: CoverageTier) -> bool {
        self.active[tier as usize] < self.limits.of(tier)
    }

    /// The lowest limit of the tiers that would be active.
    fn lowest_limit(self, tier: CoverageTier) -> u32 {
        let is_active = |other: &CoverageTier| *other == tier || self.active[*other as usize] > 0;
        let tiers = CoverageTier::ALL.iter().filter(|other| is_active(other));
        tiers.map(|other| self.limits.of(*other)).min().unwrap_or(0)
    }

    /// Whether Σ active / limit, with one more of `tier`, is within the budget: in whole numbers, over
    /// the product of the limits, so that ten tenths are one. A limit above 65,535 counts as that.
    fn fits(self, tier: CoverageTier, budget_permille: u16) -> bool {
        let limit = |tier| u128::from(self.limits.of(tier).clamp(1, u16::MAX.into()));
        let whole: u128 = CoverageTier::ALL
            .iter()
            .map(|other| limit(*other))
            .product();
        let mut sum: u128 = 0;
        for other in CoverageTier::ALL {
            let active = self.active[*other as usize];
            let active = u128::from(active) + u128::from(*other == tier);
            sum += active * (whole / limit(*other));
        }
        sum * WHOLE_PERMILLE <= whole * u128::from(budget_permille)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::model::AirtimePermille;
    use CoverageTier::{Tier0, Tier1, Tier2, Unknown};

    fn admits(active: [u32; TIERS], tier: CoverageTier, policy: AdmissionPolicy) -> bool {
        let limits = &TierLimits::default();
        let active = &active;
        Load { active, limits }.admits(tier, policy)
    }

    fn mode(mode: AdmissionMode) -> AdmissionPolicy {
        AdmissionPolicy {
            mode,
            airtime: None,
        }
    }

    fn airtime(permille: u16) -> AdmissionPolicy {
        AdmissionPolicy {
            mode: AdmissionMode::PerClass,
            airtime: NonZeroU16::new(permille).map(AirtimePermille),
        }
    }

    #[test]
    fn per_class_counts_the_tier_alone() {
        let policy = mode(AdmissionMode::PerClass);
        assert!(admits([49, 10, 1, 10], Tier0, policy));
        assert!(!admits([50, 0, 0, 0], Tier0, policy));
        assert!(admits([50, 9, 0, 10], Tier1, policy));
        assert!(admits([50, 10, 0, 10], Tier2, policy));
    }

    #[test]
    fn per_cell_counts_all_against_the_limit_of_who_asks() {
        let policy = mode(AdmissionMode::PerCell);
        assert!(admits([39, 9, 1, 0], Tier0, policy));
        assert!(!admits([40, 10, 0, 0], Tier0, policy));
        assert!(admits([9, 0, 0, 0], Tier1, policy));
        assert!(!admits([10, 0, 0, 0], Tier1, policy));
        assert!(!admits([1, 0, 0, 0], Tier2, policy));
        assert!(!admits([5, 5, 0, 0], Unknown, policy));
    }

    #[test]
    fn strictest_counts_all_against_the_lowest_limit_of_who_is_active() {
        let policy = mode(AdmissionMode::Strictest);
        assert!(admits([49, 0, 0, 0], Tier0, policy));
        assert!(admits([8, 1, 0, 0], Tier0, policy));
        assert!(!admits([9, 1, 0, 0], Tier0, policy));
        assert!(!admits([0, 0, 1, 0], Tier0, policy));
    }

    #[test]
    fn airtime_lets_half_a_tier_and_half_of_another_run_together() {
        assert!(admits([24, 5, 0, 0], Tier0, airtime(1000)));
        assert!(!admits([25, 5, 0, 0], Tier0, airtime(1000)));
        assert!(!admits([1, 0, 0, 0], Tier2, airtime(1000)));
        assert!(admits([0, 0, 0, 0], Tier2, airtime(1)), "an empty cell");
        assert!(admits([24, 0, 0, 0], Tier0, airtime(500)));
        assert!(!admits([25, 0, 0, 0], Tier0, airtime(500)));
    }

    #[test]
    fn thirds_add_up_to_a_whole() {
        let limits = &TierLimits {
            tier0: 3,
            tier1: 7,
            tier2: 1,
            unknown: 9,
        };
        let active = &[2, 0, 0, 0];
        assert!(Load { active, limits }.admits(Tier0, airtime(1000)));
    }

    #[test]
    fn the_largest_limits_overflow_nothing() {
        let limits = &TierLimits {
            tier0: u32::MAX,
            tier1: u32::MAX,
            tier2: u32::MAX,
            unknown: u32::MAX,
        };
        let active = &[u32::MAX - 1; TIERS];
        assert!(!Load { active, limits }.admits(Tier0, airtime(1000)));
        assert!(!Load { active, limits }.admits(Tier0, mode(AdmissionMode::Strictest)));
    }

    #[test]
    fn a_tier_without_a_limit_is_never_admitted() {
        let limits = &TierLimits {
            tier2: 0,
            ..TierLimits::default()
        };
        let active = &[0; TIERS];
        for policy in [AdmissionPolicy::default(), airtime(1000)] {
            assert!(!Load { active, limits }.admits(Tier2, policy));
        }
    }
}
