//! How many devices of one cell may update at once, where the carriers' text can be read in more than
//! one way (seed 004, steps 6 to 8).

use std::fmt;
use std::num::NonZeroU16;

use super::words::words;
use super::{CoverageTier, TierLimits};

/// How many tiers there are.
const TIERS: usize = CoverageTier::ALL.len();

/// A whole cell, in the unit of [`AirtimePermille`].
const WHOLE_PERMILLE: u128 = 1000;

words! {
    /// Whom a tier's limit counts. Later ones admit less: where campaigns differ in a cell, the
    /// strictest holds there.
    pub enum AdmissionMode {
        /// Devices of the same cell and tier: the seed's "50个相同信号覆盖区间的设备", word for word.
        PerClass = "per_class",
        /// All devices of the cell, against the limit of the tier of the one that asks.
        PerCell = "per_cell",
        /// All devices of the cell, against the lowest limit of the tiers that are active there and of
        /// the one that asks.
        Strictest = "strictest",
    }
}

/// A share of a cell's downlink, in thousandths: 1000 is what a full tier takes, be it 50 devices of
/// tier 0 or one of tier 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AirtimePermille(pub NonZeroU16);

/// How a campaign wants its devices admitted. Each tier's own limit holds whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdmissionPolicy {
    /// Whom a limit counts.
    pub mode: AdmissionMode,
    /// All tiers together take at most so much: each device counts as the part of its tier's limit that
    /// it is. Without it each tier may be full by itself.
    pub airtime: Option<AirtimePermille>,
}

impl Default for AdmissionPolicy {
    fn default() -> Self {
        Self {
            mode: AdmissionMode::PerClass,
            airtime: None,
        }
    }
}

impl AdmissionPolicy {
    /// What both allow.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            airtime: [self.airtime, other.airtime].into_iter().flatten().min(),
        }
    }

    /// Whether one more of `tier` may begin in a cell where so many of each tier, in the order of
    /// [`CoverageTier::ALL`], are active. A cell in which nothing is active takes one of any tier that has a
    /// limit at all: a budget of less than one device would stop it for ever.
    pub fn admits(self, tier: CoverageTier, active: &[u32; TIERS], limits: &TierLimits) -> bool {
        let limit = limits.of(tier);
        if active[tier as usize] >= limit {
            return false;
        }
        let all: u64 = active.iter().map(|active| u64::from(*active)).sum();
        if all == 0 {
            return true;
        }
        let by_mode = match self.mode {
            AdmissionMode::PerClass => true,
            AdmissionMode::PerCell => all < u64::from(limit),
            AdmissionMode::Strictest => all < u64::from(lowest_limit(tier, active, limits)),
        };
        by_mode
            && self
                .airtime
                .is_none_or(|budget| fits(tier, active, limits, budget.0.get()))
    }
}

/// The lowest limit of the tiers that would be active.
fn lowest_limit(tier: CoverageTier, active: &[u32; TIERS], limits: &TierLimits) -> u32 {
    let is_active = |other: &CoverageTier| *other == tier || active[*other as usize] > 0;
    let tiers = CoverageTier::ALL.iter().filter(|other| is_active(other));
    tiers.map(|other| limits.of(*other)).min().unwrap_or(0)
}

/// Whether Σ active / limit, with one more of `tier`, is within the budget: in whole numbers, over the
/// product of the limits, so that ten tenths are one. A limit above 65,535 counts as that.
fn fits(
    tier: CoverageTier,
    active: &[u32; TIERS],
    limits: &TierLimits,
    budget_permille: u16,
) -> bool {
    let limit = |tier| u128::from(limits.of(tier).clamp(1, u16::MAX.into()));
    let whole: u128 = CoverageTier::ALL
        .iter()
        .map(|other| limit(*other))
        .product();
    let mut sum: u128 = 0;
    for other in CoverageTier::ALL {
        let active = active[*other as usize];
        let active = u128::from(active) + u128::from(*other == tier);
        sum += active * (whole / limit(*other));
    }
    sum * WHOLE_PERMILLE <= whole * u128::from(budget_permille)
}

impl fmt::Display for AdmissionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mode)?;
        match self.airtime {
            Some(budget) => write!(f, ", airtime {} permille", budget.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use CoverageTier::{Tier0, Tier1, Tier2, Unknown};

    fn admits(active: [u32; TIERS], tier: CoverageTier, policy: AdmissionPolicy) -> bool {
        policy.admits(tier, &active, &TierLimits::default())
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
        assert!(airtime(1000).admits(Tier0, &[2, 0, 0, 0], limits));
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
        assert!(!airtime(1000).admits(Tier0, active, limits));
        assert!(!mode(AdmissionMode::Strictest).admits(Tier0, active, limits));
    }

    #[test]
    fn a_tier_without_a_limit_is_never_admitted() {
        let limits = &TierLimits {
            tier2: 0,
            ..TierLimits::default()
        };
        let active = &[0; TIERS];
        for policy in [AdmissionPolicy::default(), airtime(1000)] {
            assert!(!policy.admits(Tier2, active, limits));
        }
    }
}
