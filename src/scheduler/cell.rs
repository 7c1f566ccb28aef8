//! Slots, queues and waiting room of one cell.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::admission::{Load, TIERS};
use super::lines::Lines;
use super::owed::Owed;
use super::queue::Place;
use super::start_rates::Line;
use crate::model::{AdmissionMode, AdmissionPolicy, CoverageTier, TaskId, TierLimits};

/// The round in which the first tasks of a cell ask: so many times one may be lifted above all others.
const FIRST_ROUND: u32 = 10;

/// One cell. It does not know its limits, which an operator may change: each call is given them.
///
/// A task that waits, reachable, while its tier has a limit waits for others that are active here: so
/// there will be a [`Self::vacate`], and with it a [`Self::grant_next`]; or for its line to open, and
/// [`Self::admitted_lines`] names that.
#[derive(Debug, Default)]
pub(super) struct Cell {
    active: [u32; TIERS],
    /// All that wait, reachable or not.
    queued: [u32; TIERS],
    reachable: [Lines; TIERS],
    /// Of the reachable ones those that are kept awake.
    held: BTreeMap<Place, (TaskId, CoverageTier)>,
    held_of: [u32; TIERS],
    /// Of the reachable ones those for whom there was no place to be kept awake.
    turned_away: BTreeMap<Place, TaskId>,
    /// Whose tasks stand here, and how many: the strictest holds for all.
    policies: BTreeMap<AdmissionPolicy, u32>,
    arrivals: u64,
    /// Rounds since [`FIRST_ROUND`]: one ends with so many slots that were granted while others waited.
    rounds: u32,
    granted_in_round: u64,
    owed: Owed,
}

/// Who comes before whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    /// So many slots, given while others waited, end a round.
    pub(super) passed_over_max: u64,
    /// So many times what it takes itself are the others given, until one that waits for them comes first.
    pub(super) stretch_max: u32,
}

/// A slot that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) task: TaskId,
    pub(super) tier: CoverageTier,
    /// The line that it stood in.
    pub(super) line: Line,
    /// It was kept awake for it.
    pub(super) was_held: bool,
}

/// When a tier's first is served, among tiers that have waited as long for what they take: by its round; where
/// tiers stand in each other's way, weak coverage first; then by its lot.
type Turn = (u64, u8, Place);

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

    /// Tasks that wait and are kept awake.
    pub(super) fn held(&self, tier: CoverageTier) -> u32 {
        self.held_of[tier as usize]
    }

    /// Tasks of all tiers that are kept awake.
    pub(super) fn held_in_all(&self) -> usize {
        self.held.len()
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

    /// The place of one that asks now, with this lot.
    pub(super) fn next_place(&mut self, lot: u64) -> Place {
        self.arrivals += 1;
        Place::new(FIRST_ROUND + self.rounds, lot, self.arrivals)
    }

    /// A task waits at a place that it has not, or not any more, in the queue: it could begin now.
    pub(super) fn wait(&mut self, task: TaskId, tier: CoverageTier, line: Line, place: Place) {
        self.reachable[tier as usize].insert(line, place, task);
    }

    /// A task begins to wait.
    pub(super) fn queue(&mut self, task: TaskId, tier: CoverageTier, line: Line, place: Place) {
        self.queued[tier as usize] += 1;
        self.wait(task, tier, line, place);
    }

    /// The device of a task that waits fell asleep; whether it was reachable until now.
    pub(super) fn suspend(&mut self, tier: CoverageTier, line: Line, place: Place) -> bool {
        self.turned_away.remove(&place);
        self.reachable[tier as usize].remove(line, place)
    }

    /// A task that waits has another place from now on.
    pub(super) fn replace(
        &mut self,
        task: TaskId,
        tier: CoverageTier,
        line: Line,
        [from, to]: [Place; 2],
    ) {
        if let Some(held) = self.held.remove(&from) {
            self.held.insert(to, held);
        }
        let was_turned_away = self.turned_away.contains_key(&from);
        if self.suspend(tier, line, from) {
            self.wait(task, tier, line, to);
            if was_turned_away {
                self.turned_away.insert(to, task);
            }
        }
    }

    /// Of those for whom there was no place to be kept awake, the one whose turn is first. It is forgotten as
    /// such.
    pub(super) fn pop_turned_away(&mut self) -> Option<TaskId> {
        Some(self.turned_away.pop_first()?.1)
    }

    /// A task that waits leaves.
    pub(super) fn leave(&mut self, tier: CoverageTier, line: Line, place: Place) {
        self.suspend(tier, line, place);
        self.unqueue(tier);
    }

    fn unqueue(&mut self, tier: CoverageTier) {
        self.queued[tier as usize] -= 1;
        if self.queued[tier as usize] == 0 {
            self.owed.forget(tier);
        }
    }

    /// How many reachable tasks of its tier stand before a place.
    pub(super) fn ahead(&self, tier: CoverageTier, place: Place) -> usize {
        self.reachable[tier as usize].rank(place)
    }

    /// Keeps a reachable task awake where fewer than `places_max` are. Where as many are, one of an
    /// earlier round takes the place of the one that would be served last.
    ///
    /// # Errors
    /// [`Full`] where all places are taken, or it is not reachable.
    pub(super) fn hold(
        &mut self,
        task: TaskId,
        tier: CoverageTier,
        line: Line,
        place: Place,
        places_max: usize,
    ) -> Result<Option<TaskId>, Full> {
        if !self.reachable[tier as usize].contains(line, place) {
            return Err(Full);
        }
        if self.held.contains_key(&place) {
            return Ok(None);
        }
        let mut displaced = None;
        if self.held.len() >= places_max {
            let last = self.held.last_key_value();
            let last = last.filter(|(last, _)| last.round() > place.round());
            let Some((&last, &(other, _))) = last else {
                self.turned_away.insert(place, task);
                return Err(Full);
            };
            displaced = Some(other);
            self.end_hold(last);
        }
        self.turned_away.remove(&place);
        self.held.insert(place, (task, tier));
        self.held_of[tier as usize] += 1;
        Ok(displaced)
    }

    /// A task is kept awake no more; whether it was.
    pub(super) fn end_hold(&mut self, place: Place) -> bool {
        let held = self.held.remove(&place);
        if let Some((_, tier)) = held {
            self.held_of[tier as usize] -= 1;
        }
        held.is_some()
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
    /// Within a tier by turns; among tiers that one is first that has waited longest for what it takes. Who
    /// cannot be admitted yet is passed over, until it is due: once the others were given
    /// [`Turns::stretch_max`] times the airtime that it takes, or once it is overdue, it holds up all of them
    /// until what is active has made room for it. Of several that are overdue the one that has waited longest
    /// is first.
    ///
    /// Who stands in a line that is not open is not there.
    pub(super) fn grant_next(
        &mut self,
        limits: &TierLimits,
        turns: Turns,
        is_open: impl Fn(Line) -> bool,
    ) -> Option<Granted> {
        let tier = self.next_tier(limits, turns, &is_open)?;
        let waited = self.waiting_for_others(limits, &is_open);
        let (_, line) = self.reachable[tier as usize].first(&is_open)?;
        let (place, task) = self.reachable[tier as usize].pop_first(line)?;
        self.turned_away.remove(&place);
        let was_held = self.end_hold(place);
        let others = waited.into_iter().flatten().filter(|other| *other != tier);
        self.owed
            .note_granted(tier, others, limits, turns.stretch_max);
        self.unqueue(tier);
        self.occupy(tier);
        self.count_for_round(turns);
        Some(Granted {
            task,
            tier,
            line,
            was_held,
        })
    }

    /// Whether one of this tier could begin.
    pub(super) fn admits(&self, limits: &TierLimits, tier: CoverageTier) -> bool {
        self.load(limits).admits(tier, self.policy())
    }

    /// Lines in which one waits who could begin, were they open.
    pub(super) fn admitted_lines(&self, limits: &TierLimits) -> BTreeSet<Line> {
        let tiers = CoverageTier::ALL.iter().copied();
        tiers
            .filter(|tier| self.reachable(*tier) > 0 && self.admits(limits, *tier))
            .flat_map(|tier| self.reachable[tier as usize].iter())
            .collect()
    }

    fn count_for_round(&mut self, turns: Turns) {
        if self.queued == [0; TIERS] {
            return;
        }
        self.granted_in_round += 1;
        if self.granted_in_round >= turns.passed_over_max.max(1) {
            self.granted_in_round = 0;
            self.rounds = self.rounds.saturating_add(1).min(u32::MAX - FIRST_ROUND);
        }
    }

    /// The tiers of which one could begin, but for others: their own limit does not keep it.
    fn waiting_for_others(
        &self,
        limits: &TierLimits,
        is_open: impl Fn(Line) -> bool,
    ) -> [Option<CoverageTier>; TIERS] {
        let load = self.load(limits);
        let mut waiting = [None; TIERS];
        for tier in CoverageTier::ALL.iter().copied() {
            let first = self.reachable[tier as usize].first(&is_open);
            let waits = first.is_some() && load.has_room(tier);
            waiting[tier as usize] = waits.then_some(tier);
        }
        waiting
    }

    const fn load<'a>(&'a self, limits: &'a TierLimits) -> Load<'a> {
        Load {
            active: &self.active,
            limits,
        }
    }

    fn next_tier(
        &self,
        limits: &TierLimits,
        turns: Turns,
        is_open: impl Fn(Line) -> bool,
    ) -> Option<CoverageTier> {
        let (load, policy) = (self.load(limits), self.policy());
        let waiting = self.waiting_for_others(limits, &is_open);
        let waits = |tier| waiting[tier as usize].is_some();
        let firsts = waiting.into_iter().flatten().filter_map(|tier| {
            let (place, _) = self.reachable[tier as usize].first(&is_open)?;
            place.is_overdue().then_some((place, tier))
        });
        let overdue = firsts.min().map(|(_, tier)| tier);
        let due = overdue.or_else(|| self.owed.due(limits, turns.stretch_max, waits));
        if let Some(due) = due {
            return load.admits(due, policy).then_some(due);
        }
        let admitted = waiting.into_iter().flatten().filter_map(|tier| {
            let (place, _) = self.reachable[tier as usize].first(&is_open)?;
            let admits = load.admits(tier, policy);
            let stretch = Reverse(self.owed.stretch(tier, limits));
            admits.then(|| ((stretch, turn(place, tier, policy.mode)), tier))
        });
        admitted.min().map(|(_, tier)| tier)
    }
}

/// All places of a waiting room are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Where a whole cell counts, weak coverage waits for the longest until it may begin: of one round it is
/// the first.
pub(super) fn turn(place: Place, tier: CoverageTier, mode: AdmissionMode) -> Turn {
    let after = match (mode, tier) {
        (AdmissionMode::PerClass, _) | (_, CoverageTier::Tier2) => 0,
        (_, CoverageTier::Unknown) => 1,
        (_, CoverageTier::Tier1) => 2,
        (_, CoverageTier::Tier0) => 3,
    };
    (place.round(), after, place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AdmissionMode;
    use CoverageTier::{Tier0, Tier2};

    /// Of limits of 50 and 1: 150 of tier 0 for one of tier 2.
    const TURNS: Turns = Turns {
        passed_over_max: 3,
        stretch_max: 3,
    };

    /// The same for all: they are served as they came.
    const LOT: u64 = 7;

    fn strict() -> AdmissionPolicy {
        AdmissionPolicy {
            mode: AdmissionMode::Strictest,
            airtime: None,
        }
    }

    /// A task asks; whether it begins.
    fn ask(cell: &mut Cell, task: u64, tier: CoverageTier) -> bool {
        cell.enter(strict());
        let place = cell.next_place(LOT);
        cell.queue(TaskId(task), tier, None, place);
        let granted = cell.grant_next(&TierLimits::default(), TURNS, |_| true);
        granted.is_some_and(|granted| granted.task == TaskId(task))
    }

    fn end(cell: &mut Cell, tier: CoverageTier) -> Option<(TaskId, CoverageTier)> {
        cell.exit(strict());
        cell.vacate(tier);
        let granted = cell.grant_next(&TierLimits::default(), TURNS, |_| true);
        granted.map(|granted| (granted.task, granted.tier))
    }

    /// Of tier 0 three make as much as one of tier 2.
    const THIRDS: TierLimits = TierLimits {
        tier0: 3,
        tier1: 3,
        tier2: 1,
        unknown: 3,
    };

    #[test]
    fn weak_coverage_is_passed_over_for_a_while_and_then_comes_first() {
        let mut cell = Cell::default();
        let ask = |cell: &mut Cell, task, tier| {
            cell.enter(strict());
            let place = cell.next_place(LOT);
            cell.queue(TaskId(task), tier, None, place);
            cell.grant_next(&THIRDS, TURNS, |_| true)
                .map(|granted| granted.task)
        };
        let end = |cell: &mut Cell, tier| {
            cell.exit(strict());
            cell.vacate(tier);
            cell.grant_next(&THIRDS, TURNS, |_| true)
                .map(|granted| granted.task)
        };
        assert_eq!(ask(&mut cell, 0, Tier0), Some(TaskId(0)));
        assert_eq!(ask(&mut cell, 100, Tier2), None, "another is active");
        // Three times the whole cell.
        for task in 1..=2 {
            assert_eq!(ask(&mut cell, task, Tier0), Some(TaskId(task)));
        }
        for task in 3..=9 {
            assert_eq!(ask(&mut cell, task, Tier0), None, "tier 0 is full");
            assert_eq!(end(&mut cell, Tier0), Some(TaskId(task)));
        }
        assert_eq!(ask(&mut cell, 10, Tier0), None);
        for _ in 0..2 {
            assert_eq!(end(&mut cell, Tier0), None, "its turn has come");
        }
        assert_eq!(end(&mut cell, Tier0), Some(TaskId(100)));
        assert_eq!(end(&mut cell, Tier2), Some(TaskId(10)));
    }

    #[test]
    fn whose_turn_came_while_it_slept_comes_first_when_it_wakes() {
        let mut cell = Cell::default();
        for (task, tier) in [(0, Tier0), (100, Tier2)] {
            ask(&mut cell, task, tier);
        }
        let (place, _) = cell.reachable[Tier2 as usize].first(|_| true).unwrap();
        for task in 1..=150 {
            ask(&mut cell, task, Tier0);
            if task > 49 {
                end(&mut cell, Tier0);
            }
        }
        assert!(cell.suspend(Tier2, None, place));
        assert_eq!(end(&mut cell, Tier0), None);
        assert!(ask(&mut cell, 200, Tier0), "it sleeps and holds nobody up");
        end(&mut cell, Tier0);
        cell.wait(TaskId(100), Tier2, None, place);
        assert!(!ask(&mut cell, 201, Tier0), "it is awake, and due");
    }

    #[test]
    fn one_that_waits_for_its_own_tier_holds_no_other_up() {
        let mut cell = Cell::default();
        let policy = AdmissionPolicy::default();
        for task in 0..2 {
            cell.enter(policy);
            let place = cell.next_place(LOT);
            cell.queue(TaskId(task), Tier2, None, place);
            cell.grant_next(&TierLimits::default(), TURNS, |_| true);
        }
        for task in 10..30 {
            cell.enter(policy);
            let place = cell.next_place(LOT);
            cell.queue(TaskId(task), Tier0, None, place);
            let granted = cell.grant_next(&TierLimits::default(), TURNS, |_| true);
            assert_eq!(granted.map(|granted| granted.task), Some(TaskId(task)));
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
