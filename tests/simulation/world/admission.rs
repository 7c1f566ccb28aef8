//! Whether a cell bears who begins in it, reckoned apart from the product.

use std::collections::BTreeMap;

use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, CellId, CoverageTier, SlotClaim, TierLimits,
};

use super::features::Feature;
use crate::server::Server;

/// The slot of which a device's timeline says that it was granted, `cell 1, tier 0`.
pub(super) fn granted(detail: &str) -> SlotClaim {
    let words: Vec<&str> = detail.split([' ', ',']).collect();
    let [_, cell, _, _, tier] = words[..] else {
        panic!("{detail}");
    };
    let mut tiers = CoverageTier::ALL.iter();
    SlotClaim {
        cell: CellId(cell.parse().unwrap()),
        tier: *tiers.find(|it| it.to_string() == tier).unwrap(),
    }
}

/// What a cell does not bear, now that one more has begun there.
pub(super) fn passed(
    server: &mut Server,
    claim: SlotClaim,
    policy: AdmissionPolicy,
) -> Option<String> {
    let mut active: BTreeMap<CoverageTier, u32> = BTreeMap::new();
    for SlotClaim { cell, tier } in server.watch.granted.values() {
        if *cell == claim.cell {
            *active.entry(*tier).or_default() += 1;
        }
    }
    if active.values().sum::<u32>() > 1 {
        server.watch.count(Feature::of_admission(policy));
    }
    let limits = server.config.tier_limits;
    (!bears(&active, claim.tier, policy, &limits))
        .then(|| format!("{active:?} are active, {claim:?} the last: {policy:?}"))
}

/// Whether one of `tier` may have been the last to begin of all that are active.
fn bears(
    active: &BTreeMap<CoverageTier, u32>,
    tier: CoverageTier,
    policy: AdmissionPolicy,
    limits: &TierLimits,
) -> bool {
    let all: u32 = active.values().sum();
    let lowest = active.keys().map(|tier| limits.of(*tier)).min();
    let by_mode = match policy.mode {
        AdmissionMode::PerClass => true,
        AdmissionMode::PerCell => all <= limits.of(tier),
        AdmissionMode::Strictest => lowest.is_none_or(|lowest| all <= lowest),
    };
    let whole: u32 = active.keys().map(|tier| limits.of(*tier)).product();
    let shares = active
        .iter()
        .map(|(tier, count)| count * whole / limits.of(*tier));
    let share: u32 = shares.sum();
    let in_budget = policy
        .airtime
        .is_none_or(|budget| share * 1000 <= whole * u32::from(budget.0.get()));
    all == 1 || by_mode && in_budget
}
