//! Slots and queues of one cell.

use std::collections::{BTreeMap, BTreeSet};

use super::admission::{Load, TIERS};
use super::queue::{Place, Queue};
use crate::model::{AdmissionPolicy, CoverageTier, TaskId, TierLimits};

/// One cell. It does not know its limits, which an operator may change: each call is given them.
///
/// A task that waits, reachable, while its tier has a limit waits for others that are active here: so
/// there will be a [`Self::vacate`], and with it a [`Self::grant_next`].
#[derive(Debug, Default)]
pub(super) struct Cell {
    active: [u32; TIERS],
    /// All that wait, reachable or not.
    queued: [u32; TIERS],
    reachable: [Queue; TIERS],
    /// Whose tasks stand here, and how many: the strictest holds for all.
    policies: BTreeMap<AdmissionPolicy, u32>,
    next_place: u64,
    /// Of the places that were granted while others waited, the last by place: `passed_over_max` of them
    /// at the most, which tell whether so many were granted behind any other place.
    granted: BTreeSet<Place>,
}

impl Cell {
    /// Slots in use.
    pub(super) fn active(&self, tier: CoverageTier) -> u32 {
        self.active[tier as usize]
    }

    /// Tasks that wait, reachable or not.
    pub(super) fn queued(&self, tier: CoverageTier) -> u32 {
        self.queued[tier as usize]
    }

    /// Tasks that wait and could take a slot now.
    pub(super) fn reachable(&self, tier: CoverageTier) -> usize {
        self.reachable[tier as usize].len()
    }

    /// Whether nothing is known of it that a new cell would not know.
    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// What holds in it.
    pub(super) fn policy(&self) -> AdmissionPolicy {
        let policies = self.policies.keys().copied();
        policies.fold(AdmissionPolicy::default(), AdmissionPolicy::stricter)
    }

    /// A task comes to stand here: it will wait, or hold a slot.
    pub(super) fn enter(&mut self, policy: AdmissionPolicy) {
        *self.policies.entry(policy).or_default() += 1;
    }

    /// A task that stood here goes.
    pub(super) fn exit(&mut self, policy: AdmissionPolicy) {
        if let Some(count) = self.policies.get_mut(&policy) {
            *count -= 1;
            if *count == 0 {
                self.policies.remove(&policy);
            }
        }
    }

    /// The place behind all others.
    pub(super) fn next_place(&mut self) -> Place {
        self.next_place += 1;
        Place(self.next_place)
    }

    /// A task waits at a place that it has not, or not any more, in the queue: it could begin now.
    pub(super) fn wait(&mut self, task: TaskId, tier: CoverageTier, place: Place) {
        self.reachable[tier as usize].insert(place, task);
    }

    /// A task begins to wait.
    pub(super) fn queue(&mut self, task: TaskId, tier: CoverageTier, place: Place) {
        self.queued[tier as usize] += 1;
        self.wait(task, tier, place);
    }

    /// The device of a task that waits fell asleep.
    pub(super) fn suspend(&mut self, tier: CoverageTier, place: Place) {
        self.reachable[tier as usize].remove(place);
    }

    /// A task that waits leaves.
    pub(super) fn leave(&mut self, tier: CoverageTier, place: Place) {
        self.suspend(tier, place);
        self.queued[tier as usize] -= 1;
    }

    /// How many reachable tasks of its tier stand before a place.
    pub(super) fn ahead(&self, tier: CoverageTier, place: Place) -> usize {
        self.reachable[tier as usize].rank(place)
    }

    /// A slot is taken, or was in use before this cell knew of it: counted whatever the limit.
    pub(super) fn occupy(&mut self, tier: CoverageTier) {
        self.active[tier as usize] += 1;
    }

    /// A task gives its slot back.
    pub(super) fn vacate(&mut self, tier: CoverageTier) {
        self.active[tier as usize] -= 1;
    }

    /// Gives a slot to the task whose turn it is. To be called until `None` after anything by which one
    /// may have become free, or admissible.
    ///
    /// First come, first served, but who cannot be admitted yet is passed over. Where tiers stand in each
    /// other's way, one that was passed over by `passed_over_max` comes before all others, which wait until
    /// what is active has made room for it.
    pub(super) fn grant_next(
        &mut self,
        limits: &TierLimits,
        passed_over_max: u64,
    ) -> Option<(TaskId, CoverageTier)> {
        let tier = self.next_tier(limits, passed_over_max)?;
        let (place, task) = self.reachable[tier as usize].pop_first()?;
        self.queued[tier as usize] -= 1;
        self.occupy(tier);
        self.note_granted(place, passed_over_max);
        Some((task, tier))
    }

    fn note_granted(&mut self, place: Place, passed_over_max: u64) {
        if self.queued == [0; TIERS] {
            self.granted.clear();
            return;
        }
        self.granted.insert(place);
        if self.granted.len() as u64 > passed_over_max {
            self.granted.pop_first();
        }
    }

    /// Whether `passed_over_max` that came later were given a slot.
    fn is_passed_over(&self, place: Place, passed_over_max: u64) -> bool {
        let first = self.granted.first();
        self.granted.len() as u64 >= passed_over_max && first.is_none_or(|first| *first > place)
    }

    fn next_tier(&self, limits: &TierLimits, passed_over_max: u64) -> Option<CoverageTier> {
        let policy = self.policy();
        let load = Load {
            active: &self.active,
            limits,
        };
        let mut first: Option<(Place, CoverageTier)> = None;
        let mut aged: Option<(Place, CoverageTier)> = None;
        for tier in CoverageTier::ALL.iter().copied() {
            let Some(place) = self.reachable[tier as usize].first() else {
                continue;
            };
            let is_admitted = load.admits(tier, policy);
            let earlier = |than: Option<(Place, _)>| than.is_none_or(|(other, _)| place < other);
            if is_admitted && earlier(first) {
                first = Some((place, tier));
            }
            let is_passed_over = self.is_passed_over(place, passed_over_max);
            // Where its own tier is full it waits for its like, whom others do not hold up.
            if !is_admitted && is_passed_over && load.has_room(tier) && earlier(aged) {
                aged = Some((place, tier));
            }
        }
        match (first, aged) {
            (Some((place, _)), Some((before, _))) if before < place => None,
            (first, _) => first.map(|(_, tier)| tier),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AdmissionMode;
    use CoverageTier::{Tier0, Tier2};

    const PASSED_OVER_MAX: u64 = 3;

    fn strict() -> AdmissionPolicy {
        AdmissionPolicy {
            mode: AdmissionMode::Strictest,
            airtime: None,
        }
    }

    /// A task asks; whether it begins.
    fn ask(cell: &mut Cell, task: u64, tier: CoverageTier) -> bool {
        cell.enter(strict());
        let place = cell.next_place();
        cell.queue(TaskId(task), tier, place);
        let granted = cell.grant_next(&TierLimits::default(), PASSED_OVER_MAX);
        granted.is_some_and(|(granted, _)| granted == TaskId(task))
    }

    fn end(cell: &mut Cell, tier: CoverageTier) -> Option<(TaskId, CoverageTier)> {
        cell.exit(strict());
        cell.vacate(tier);
        cell.grant_next(&TierLimits::default(), PASSED_OVER_MAX)
    }

    #[test]
    fn weak_coverage_is_passed_over_for_a_while_and_then_comes_first() {
        let mut cell = Cell::default();
        assert!(ask(&mut cell, 0, Tier0));
        assert!(!ask(&mut cell, 100, Tier2), "another is active");
        for task in 1..=3 {
            assert!(ask(&mut cell, task, Tier0), "{task} passes it over");
        }
        assert!(!ask(&mut cell, 4, Tier0), "it waits no longer for such");
        for _ in 0..3 {
            assert_eq!(end(&mut cell, Tier0), None);
        }
        assert_eq!(end(&mut cell, Tier0), Some((TaskId(100), Tier2)));
        assert_eq!(end(&mut cell, Tier2), Some((TaskId(4), Tier0)));
    }

    #[test]
    fn those_who_came_later_and_wait_themselves_have_passed_nobody_over() {
        let mut cell = Cell::default();
        let limits = TierLimits {
            tier0: 2,
            ..TierLimits::default()
        };
        let policy = AdmissionPolicy {
            mode: AdmissionMode::PerCell,
            airtime: None,
        };
        let ask = |cell: &mut Cell, task, tier| {
            cell.enter(policy);
            let place = cell.next_place();
            cell.queue(TaskId(task), tier, place);
            cell.grant_next(&limits, PASSED_OVER_MAX)
        };
        for task in 0..2 {
            assert!(ask(&mut cell, task, Tier0).is_some());
        }
        assert_eq!(ask(&mut cell, 100, Tier2), None);
        for task in 2..20 {
            assert_eq!(ask(&mut cell, task, Tier0), None, "the cell is full");
        }
        let end = |cell: &mut Cell, tier| {
            cell.exit(policy);
            cell.vacate(tier);
            cell.grant_next(&limits, PASSED_OVER_MAX)
        };
        for task in 2..5 {
            assert_eq!(end(&mut cell, Tier0), Some((TaskId(task), Tier0)));
        }
        assert_eq!(end(&mut cell, Tier0), None, "three have passed it over");
        assert_eq!(end(&mut cell, Tier0), Some((TaskId(100), Tier2)));
    }

    #[test]
    fn one_that_waits_for_its_own_tier_holds_no_other_up() {
        let mut cell = Cell::default();
        let policy = AdmissionPolicy::default();
        for task in 0..2 {
            cell.enter(policy);
            let place = cell.next_place();
            cell.queue(TaskId(task), Tier2, place);
            cell.grant_next(&TierLimits::default(), PASSED_OVER_MAX);
        }
        for task in 10..30 {
            cell.enter(policy);
            let place = cell.next_place();
            cell.queue(TaskId(task), Tier0, place);
            let granted = cell.grant_next(&TierLimits::default(), PASSED_OVER_MAX);
            assert_eq!(granted, Some((TaskId(task), Tier0)));
        }
    }

    #[test]
    fn the_strictest_of_those_who_stand_in_it_holds() {
        let mut cell = Cell::default();
        assert_eq!(cell.policy(), AdmissionPolicy::default());
        cell.enter(strict());
        cell.enter(AdmissionPolicy::default());
        assert_eq!(cell.policy(), strict());
        cell.exit(strict());
        assert_eq!(cell.policy(), AdmissionPolicy::default());
        cell.exit(AdmissionPolicy::default());
        assert!(cell.is_empty());
    }
}
