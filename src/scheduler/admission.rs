//! Whether one more may begin in a cell.

use crate::model::{AdmissionPolicy, CoverageTier, TierLimits};

/// How many tiers there are.
pub(super) const TIERS: usize = CoverageTier::ALL.len();

/// What is active in a cell by tier, against its limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) active: &'a [u32; TIERS],
    pub(super) limits: &'a TierLimits,
}

impl Load<'_> {
    /// Whether one of `tier` may begin under this policy.
    pub(super) fn admits(self, tier: CoverageTier, policy: AdmissionPolicy) -> bool {
        policy.admits(tier, self.active, self.limits)
    }

    /// Whether the tier itself is below its limit, whatever the others do.
    pub(super) fn has_room(self, tier: CoverageTier) -> bool {
        self.active[tier as usize] < self.limits.of(tier)
    }
}
