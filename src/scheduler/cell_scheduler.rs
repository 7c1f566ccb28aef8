//! All cells: which task has or awaits a slot of which class.

use std::collections::BTreeMap;

use super::bucket::{Bucket, Turn};
use super::queue::Place;
use crate::model::{CellId, CoverageTier, SlotClaim, TaskId, TierLimits};

/// What the scheduler goes by.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Slots per tier of every cell without limits of its own.
    pub limits: TierLimits,
    /// Cells with limits of their own.
    pub overrides: BTreeMap<CellId, TierLimits>,
    /// The most tasks that wait, over all cells.
    pub queue_max: usize,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            limits: TierLimits::default(),
            overrides: BTreeMap::new(),
            queue_max: 1_000_000,
        }
    }
}

impl SchedulerConfig {
    fn limit(&self, claim: SlotClaim) -> u32 {
        self.overrides
            .get(&claim.cell)
            .unwrap_or(&self.limits)
            .of(claim.tier)
    }
}

/// What a request for a slot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The task has a slot, now or already.
    Granted,
    /// The task waits. It will be named by the release that frees its slot.
    Queued {
        /// How many reachable tasks of its class are served before it.
        ahead: usize,
    },
    /// [`SchedulerConfig::queue_max`] tasks wait: nothing was kept, ask again later.
    Full,
}

/// One tier of a cell, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierOccupancy {
    /// Which tier.
    pub tier: CoverageTier,
    /// Slots in use. Above the limit where it was lowered, or after a restart.
    pub active: u32,
    /// The limit.
    pub limit: u32,
    /// Tasks that wait.
    pub queued: u32,
    /// Those of them whose devices could begin at once.
    pub reachable: u32,
}

/// One cell, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellOccupancy {
    /// The cell.
    pub cell: CellId,
    /// Its tiers, in the order of [`CoverageTier::ALL`].
    pub tiers: [TierOccupancy; CoverageTier::ALL.len()],
}

/// Admission to all cells, across campaigns.
///
/// Each call but [`Self::set_limits`] and [`Self::cells`] takes O(log n) in the tasks known, for each
/// task that it grants.
#[derive(Debug)]
pub struct CellScheduler {
    config: SchedulerConfig,
    /// Classes in which a slot is used or a task waits, and no others.
    buckets: BTreeMap<SlotClaim, Bucket>,
    /// Where each task stands; a task stands in one class at the most.
    standings: BTreeMap<TaskId, Standing>,
    queued: usize,
    slots_in_use: [u64; CoverageTier::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    /// Has a slot of this class: frozen at admission.
    Holds(SlotClaim),
    /// Waits for one.
    Waits(SlotClaim, Place),
}

impl CellScheduler {
    /// A scheduler in which no slot is used.
    pub fn new(config: SchedulerConfig) -> Self {
        Self {
            config,
            buckets: BTreeMap::new(),
            standings: BTreeMap::new(),
            queued: 0,
            slots_in_use: [0; CoverageTier::ALL.len()],
        }
    }

    /// A task, whose device is reachable, asks for a slot.
    ///
    /// Asking again changes nothing but that a waiting task counts as reachable again, in its old
    /// place. A task that has a slot keeps it, whatever it claims now. A waiting task that claims
    /// another class (its device has moved) waits at the end of that class.
    pub fn request(&mut self, task: TaskId, claim: SlotClaim) -> Admission {
        let place = match self.standings.get(&task).copied() {
            Some(Standing::Holds(_)) => return Admission::Granted,
            Some(Standing::Waits(held, place)) if held == claim => Some(place),
            Some(Standing::Waits(held, place)) => {
                self.leave_queue(task, held, place);
                None
            }
            None => None,
        };
        let limit = self.config.limit(claim);
        let turn = match place {
            Some(place) => self.bucket(claim).resume(task, place, limit),
            None if self.would_exceed_queue(claim, limit) => return Admission::Full,
            None => self.bucket(claim).request(task, limit),
        };
        match (place, turn) {
            (_, Turn::Granted) => {
                self.queued -= usize::from(place.is_some());
                self.note_held(task, claim);
                Admission::Granted
            }
            (Some(_), Turn::Waits { ahead, .. }) => Admission::Queued { ahead },
            (None, Turn::Waits { place, ahead }) => {
                self.queued += 1;
                self.standings.insert(task, Standing::Waits(claim, place));
                Admission::Queued { ahead }
            }
        }
    }

    /// The device of a waiting task fell asleep: the task keeps its place and is passed over until
    /// it asks again. A task that has a slot keeps it.
    pub fn suspend(&mut self, task: TaskId) {
        if let Some(Standing::Waits(claim, place)) = self.standings.get(&task).copied() {
            self.bucket(claim).suspend(place);
        }
    }

    /// Frees the task's slot; returns the tasks that have one by that. A task without a slot changes
    /// nothing, and stays in its queue.
    pub fn release(&mut self, task: TaskId) -> Vec<TaskId> {
        let Some(Standing::Holds(claim)) = self.standings.get(&task).copied() else {
            return Vec::new();
        };
        self.standings.remove(&task);
        self.slots_in_use[claim.tier as usize] -= 1;
        self.bucket(claim).vacate();
        let granted = self.grant(claim);
        self.drop_if_empty(claim);
        granted
    }

    /// The task is no longer interested: it leaves its queue, or frees its slot. Returns the tasks
    /// that have a slot by that.
    pub fn withdraw(&mut self, task: TaskId) -> Vec<TaskId> {
        match self.standings.get(&task).copied() {
            Some(Standing::Holds(_)) => self.release(task),
            Some(Standing::Waits(claim, place)) => {
                self.leave_queue(task, claim, place);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// After a restart: the task had this slot, so it has it, even above the limit.
    pub fn restore(&mut self, task: TaskId, claim: SlotClaim) {
        match self.standings.get(&task).copied() {
            Some(Standing::Holds(_)) => return,
            Some(Standing::Waits(held, place)) => self.leave_queue(task, held, place),
            None => {}
        }
        self.bucket(claim).restore();
        self.note_held(task, claim);
    }

    /// Sets the limits of all cells; returns the tasks that have a slot by that, in the order of
    /// their cells. A slot in use is never taken away: a lowered limit waits for releases.
    pub fn set_limits(
        &mut self,
        limits: TierLimits,
        overrides: BTreeMap<CellId, TierLimits>,
    ) -> Vec<TaskId> {
        self.config.limits = limits;
        self.config.overrides = overrides;
        let claims: Vec<SlotClaim> = self.buckets.keys().copied().collect();
        claims
            .into_iter()
            .flat_map(|claim| self.grant(claim))
            .collect()
    }

    /// The slot that a task has.
    pub fn slot(&self, task: TaskId) -> Option<SlotClaim> {
        match self.standings.get(&task)? {
            Standing::Holds(claim) => Some(*claim),
            Standing::Waits(..) => None,
        }
    }

    /// How many tasks wait, over all cells.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Slots in use of one tier, over all cells.
    pub fn slots_in_use(&self, tier: CoverageTier) -> u64 {
        self.slots_in_use[tier as usize]
    }

    /// A page of the cells in which a slot is used or a task waits, by number: at most `limit`, after
    /// the cell `after`.
    pub fn cells(&self, after: Option<CellId>, limit: usize) -> Vec<CellOccupancy> {
        let first = match after {
            None => CellId(0),
            Some(CellId(last)) => match last.checked_add(1) {
                Some(next) => CellId(next),
                None => return Vec::new(),
            },
        };
        let tier = CoverageTier::Tier0;
        let mut rows: Vec<CellOccupancy> = Vec::new();
        for (claim, bucket) in self.buckets.range(SlotClaim { cell: first, tier }..) {
            if rows.last().is_none_or(|row| row.cell != claim.cell) {
                if rows.len() == limit {
                    break;
                }
                rows.push(self.free_cell(claim.cell));
            }
            if let Some(row) = rows.last_mut() {
                let tier = &mut row.tiers[claim.tier as usize];
                tier.active = bucket.active();
                tier.queued = bucket.queued();
                tier.reachable = u32::try_from(bucket.reachable()).unwrap_or(u32::MAX);
            }
        }
        rows
    }

    fn free_cell(&self, cell: CellId) -> CellOccupancy {
        let free = |tier| TierOccupancy {
            tier,
            active: 0,
            limit: self.config.limit(SlotClaim { cell, tier }),
            queued: 0,
            reachable: 0,
        };
        CellOccupancy {
            cell,
            tiers: [
                free(CoverageTier::Tier0),
                free(CoverageTier::Tier1),
                free(CoverageTier::Tier2),
                free(CoverageTier::Unknown),
            ],
        }
    }

    fn bucket(&mut self, claim: SlotClaim) -> &mut Bucket {
        self.buckets.entry(claim).or_default()
    }

    fn would_exceed_queue(&self, claim: SlotClaim, limit: u32) -> bool {
        let free = self
            .buckets
            .get(&claim)
            .map_or(limit > 0, |bucket| bucket.has_free_slot(limit));
        !free && self.queued >= self.config.queue_max
    }

    fn leave_queue(&mut self, task: TaskId, claim: SlotClaim, place: Place) {
        self.standings.remove(&task);
        self.queued -= 1;
        self.bucket(claim).leave(place);
        self.drop_if_empty(claim);
    }

    fn note_held(&mut self, task: TaskId, claim: SlotClaim) {
        self.slots_in_use[claim.tier as usize] += 1;
        self.standings.insert(task, Standing::Holds(claim));
    }

    fn grant(&mut self, claim: SlotClaim) -> Vec<TaskId> {
        let limit = self.config.limit(claim);
        let mut granted = Vec::new();
        while let Some(task) = self.bucket(claim).grant_next(limit) {
            self.queued -= 1;
            self.note_held(task, claim);
            granted.push(task);
        }
        granted
    }

    fn drop_if_empty(&mut self, claim: SlotClaim) {
        if self.buckets.get(&claim).is_some_and(Bucket::is_empty) {
            self.buckets.remove(&claim);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    const CELL: CellId = CellId(7);

    fn claim(tier: CoverageTier) -> SlotClaim {
        SlotClaim { cell: CELL, tier }
    }

    fn scheduler(limit: u32, queue_max: usize) -> CellScheduler {
        CellScheduler::new(SchedulerConfig {
            limits: uniform(limit),
            overrides: BTreeMap::new(),
            queue_max,
        })
    }

    fn uniform(limit: u32) -> TierLimits {
        TierLimits {
            tier0: limit,
            tier1: limit,
            tier2: limit,
            unknown: limit,
        }
    }

    #[test]
    fn each_tier_of_a_cell_has_the_carriers_limit() {
        for (tier, limit) in [
            (CoverageTier::Tier0, 50),
            (CoverageTier::Tier1, 10),
            (CoverageTier::Tier2, 1),
            (CoverageTier::Unknown, 10),
        ] {
            let mut scheduler = CellScheduler::new(SchedulerConfig::default());
            for task in 0..limit {
                let admission = scheduler.request(TaskId(task), claim(tier));
                assert_eq!(admission, Admission::Granted, "{tier} {task}");
            }
            for ahead in 0..3 {
                let admission = scheduler.request(TaskId(limit + ahead), claim(tier));
                let ahead = ahead as usize;
                assert_eq!(admission, Admission::Queued { ahead }, "{tier}");
            }
            assert_eq!(scheduler.slots_in_use(tier), limit);
        }
    }

    #[test]
    fn tiers_and_cells_do_not_share_slots() {
        let mut scheduler = scheduler(1, 10);
        let mut task = 0;
        for cell in [CellId(1), CellId(2)] {
            for &tier in CoverageTier::ALL {
                task += 1;
                let admission = scheduler.request(TaskId(task), SlotClaim { cell, tier });
                assert_eq!(admission, Admission::Granted);
            }
        }
    }

    #[test]
    fn a_full_queue_refuses_and_keeps_nothing() {
        let mut scheduler = scheduler(1, 1);
        let tier = claim(CoverageTier::Tier2);
        scheduler.request(TaskId(1), tier);
        scheduler.request(TaskId(2), tier);
        assert_eq!(scheduler.request(TaskId(3), tier), Admission::Full);
        let queued = Admission::Queued { ahead: 0 };
        assert_eq!(
            scheduler.request(TaskId(2), tier),
            queued,
            "it has its place"
        );
        assert_eq!(scheduler.release(TaskId(1)), [TaskId(2)]);
        assert_eq!(scheduler.release(TaskId(2)), []);
        assert_eq!(scheduler.request(TaskId(3), tier), Admission::Granted);
    }

    #[test]
    fn a_slot_is_free_when_the_queue_is_full() {
        let mut scheduler = scheduler(1, 0);
        let tier = claim(CoverageTier::Tier0);
        assert_eq!(scheduler.request(TaskId(1), tier), Admission::Granted);
        assert_eq!(scheduler.request(TaskId(2), tier), Admission::Full);
        assert_eq!(scheduler.release(TaskId(1)), []);
        assert!(
            scheduler.buckets.is_empty(),
            "a refusal leaves nothing behind"
        );
    }

    #[test]
    fn the_class_is_frozen_at_admission_but_not_before() {
        let mut scheduler = scheduler(1, 10);
        let (good, bad) = (claim(CoverageTier::Tier0), claim(CoverageTier::Tier2));
        scheduler.request(TaskId(1), good);
        assert_eq!(scheduler.request(TaskId(1), bad), Admission::Granted);
        assert_eq!(scheduler.slot(TaskId(1)), Some(good));
        scheduler.request(TaskId(2), good);
        assert_eq!(scheduler.request(TaskId(2), bad), Admission::Granted);
        assert_eq!(scheduler.slot(TaskId(2)), Some(bad));
        assert_eq!(scheduler.queued(), 0);
    }

    #[test]
    fn raised_limits_grant_and_lowered_ones_wait() {
        let mut scheduler = scheduler(1, 10);
        let tier = claim(CoverageTier::Tier2);
        for task in 1..=4 {
            scheduler.request(TaskId(task), tier);
        }
        let overrides = BTreeMap::from([(CELL, uniform(3))]);
        let granted = scheduler.set_limits(uniform(1), overrides);
        assert_eq!(granted, [TaskId(2), TaskId(3)]);
        assert_eq!(scheduler.set_limits(uniform(1), BTreeMap::new()), []);
        let row = scheduler.cells(None, 1)[0].tiers[CoverageTier::Tier2 as usize];
        assert_eq!((row.active, row.limit, row.queued), (3, 1, 1));
        assert_eq!(scheduler.release(TaskId(1)), []);
        assert_eq!(scheduler.release(TaskId(2)), []);
        assert_eq!(scheduler.release(TaskId(3)), [TaskId(4)]);
    }

    #[test]
    fn cells_are_listed_in_order_and_in_pages() {
        let mut scheduler = scheduler(1, 10);
        for (task, cell) in [30, 10, 20, 10, u32::MAX].into_iter().enumerate() {
            let claim = SlotClaim {
                cell: CellId(cell),
                tier: CoverageTier::ALL[task % CoverageTier::ALL.len()],
            };
            scheduler.request(TaskId(task as u64), claim);
        }
        let cells = |after: Option<u32>, limit| -> Vec<u32> {
            let rows = scheduler.cells(after.map(CellId), limit);
            rows.iter().map(|row| row.cell.0).collect()
        };
        assert_eq!(cells(None, 10), [10, 20, 30, u32::MAX]);
        assert_eq!(cells(None, 2), [10, 20]);
        assert_eq!(cells(Some(20), 2), [30, u32::MAX]);
        assert_eq!(cells(Some(u32::MAX), 2), [0_u32; 0]);
        assert_eq!(cells(None, 0), [0_u32; 0]);
        let row = scheduler.cells(None, 1)[0];
        let active: Vec<u32> = row.tiers.iter().map(|tier| tier.active).collect();
        assert_eq!(active, [0, 1, 0, 1]);
    }

    /// The rules in their plainest form: every queue is a list, every question a scan.
    struct Reference {
        limits: TierLimits,
        queue_max: usize,
        held: BTreeMap<TaskId, SlotClaim>,
        /// In order of arrival, over all classes; whether reachable.
        waiting: Vec<(TaskId, SlotClaim, bool)>,
    }

    impl Reference {
        fn active(&self, claim: SlotClaim) -> u32 {
            self.held.values().filter(|held| **held == claim).count() as u32
        }

        fn request(&mut self, task: TaskId, claim: SlotClaim) -> Admission {
            if self.held.contains_key(&task) {
                return Admission::Granted;
            }
            self.waiting
                .retain(|(other, held, _)| *other != task || *held == claim);
            let place = self.waiting.iter().position(|(other, ..)| *other == task);
            if self.active(claim) < self.limits.of(claim.tier) {
                self.waiting.retain(|(other, ..)| *other != task);
                self.held.insert(task, claim);
                return Admission::Granted;
            }
            let place = match place {
                Some(place) => place,
                None if self.waiting.len() >= self.queue_max => return Admission::Full,
                None => {
                    self.waiting.push((task, claim, true));
                    self.waiting.len() - 1
                }
            };
            self.waiting[place].2 = true;
            let before = self.waiting[..place].iter();
            let ahead = before
                .filter(|(_, held, reachable)| *held == claim && *reachable)
                .count();
            Admission::Queued { ahead }
        }

        fn suspend(&mut self, task: TaskId) {
            for (other, _, reachable) in &mut self.waiting {
                *reachable &= *other != task;
            }
        }

        fn grant(&mut self, claim: SlotClaim) -> Vec<TaskId> {
            let mut granted = Vec::new();
            while self.active(claim) < self.limits.of(claim.tier) {
                let next = self
                    .waiting
                    .iter()
                    .position(|(_, held, reachable)| *held == claim && *reachable);
                let Some(next) = next else { break };
                let (task, ..) = self.waiting.remove(next);
                self.held.insert(task, claim);
                granted.push(task);
            }
            granted
        }

        fn release(&mut self, task: TaskId) -> Vec<TaskId> {
            match self.held.remove(&task) {
                Some(claim) => self.grant(claim),
                None => Vec::new(),
            }
        }

        fn withdraw(&mut self, task: TaskId) -> Vec<TaskId> {
            self.waiting.retain(|(other, ..)| *other != task);
            self.release(task)
        }

        fn restore(&mut self, task: TaskId, claim: SlotClaim) {
            self.waiting.retain(|(other, ..)| *other != task);
            self.held.entry(task).or_insert(claim);
        }

        fn set_limits(&mut self, limits: TierLimits) -> Vec<TaskId> {
            self.limits = limits;
            let claims: BTreeSet<SlotClaim> = self.waiting.iter().map(|waits| waits.1).collect();
            claims
                .into_iter()
                .flat_map(|claim| self.grant(claim))
                .collect()
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Request(TaskId, SlotClaim),
        Suspend(TaskId),
        Release(TaskId),
        Withdraw(TaskId),
        Restore(TaskId, SlotClaim),
        SetLimits(TierLimits),
    }

    fn any_claim() -> impl Strategy<Value = SlotClaim> {
        (0_u32..2, prop::sample::select(CoverageTier::ALL)).prop_map(|(cell, tier)| SlotClaim {
            cell: CellId(cell),
            tier,
        })
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let task = || (0_u64..24).prop_map(TaskId);
        prop_oneof![
            8 => (task(), any_claim()).prop_map(|(task, claim)| Step::Request(task, claim)),
            // Few classes, so that queues grow long.
            8 => task().prop_map(|task| Step::Request(task, claim(CoverageTier::Tier1))),
            3 => task().prop_map(Step::Suspend),
            5 => task().prop_map(Step::Release),
            2 => task().prop_map(Step::Withdraw),
            1 => (task(), any_claim()).prop_map(|(task, claim)| Step::Restore(task, claim)),
            1 => prop::array::uniform4(0_u32..4).prop_map(|[tier0, tier1, tier2, unknown]| {
                Step::SetLimits(TierLimits { tier0, tier1, tier2, unknown })
            }),
        ]
    }

    /// What must hold whatever happened: no class above its limit but by restoring or lowering, no
    /// slot leaked, nobody reachable waiting beside a free slot, no memory kept for nothing.
    fn check(scheduler: &CellScheduler, reference: &Reference) -> Result<(), TestCaseError> {
        let known = reference.held.len() + reference.waiting.len();
        prop_assert_eq!(scheduler.standings.len(), known);
        prop_assert_eq!(scheduler.queued(), reference.waiting.len());
        for (task, claim) in &reference.held {
            prop_assert_eq!(scheduler.slot(*task), Some(*claim));
        }
        let classes: BTreeSet<SlotClaim> = (reference.held.values().copied())
            .chain(reference.waiting.iter().map(|waits| waits.1))
            .collect();
        let buckets: BTreeSet<SlotClaim> = scheduler.buckets.keys().copied().collect();
        prop_assert_eq!(&buckets, &classes);
        for (claim, bucket) in &scheduler.buckets {
            let waiting = || reference.waiting.iter().filter(|waits| waits.1 == *claim);
            prop_assert_eq!(bucket.active(), reference.active(*claim));
            prop_assert_eq!(bucket.queued() as usize, waiting().count());
            prop_assert_eq!(
                bucket.reachable(),
                waiting().filter(|waits| waits.2).count()
            );
            let limit = reference.limits.of(claim.tier);
            prop_assert!(bucket.active() >= limit || bucket.reachable() == 0);
        }
        let in_use: u64 = (CoverageTier::ALL.iter())
            .map(|tier| scheduler.slots_in_use(*tier))
            .sum();
        prop_assert_eq!(in_use, reference.held.len() as u64);
        Ok(())
    }

    proptest! {
        #[test]
        fn any_sequence_comes_to_what_the_plain_rules_say(
            steps in prop::collection::vec(any_step(), 1..200),
        ) {
            const QUEUE_MAX: usize = 14;
            let mut scheduler = scheduler(2, QUEUE_MAX);
            let mut reference = Reference {
                limits: uniform(2),
                queue_max: QUEUE_MAX,
                held: BTreeMap::new(),
                waiting: Vec::new(),
            };
            for step in steps {
                match step {
                    Step::Request(task, claim) => prop_assert_eq!(
                        scheduler.request(task, claim), reference.request(task, claim)),
                    Step::Suspend(task) => {
                        scheduler.suspend(task);
                        reference.suspend(task);
                    }
                    Step::Release(task) =>
                        prop_assert_eq!(scheduler.release(task), reference.release(task)),
                    Step::Withdraw(task) =>
                        prop_assert_eq!(scheduler.withdraw(task), reference.withdraw(task)),
                    Step::Restore(task, claim) => {
                        scheduler.restore(task, claim);
                        reference.restore(task, claim);
                    }
                    Step::SetLimits(limits) => prop_assert_eq!(
                        scheduler.set_limits(limits, BTreeMap::new()),
                        reference.set_limits(limits)),
                }
                check(&scheduler, &reference)?;
            }
        }

        /// Without restoring and lowering, no class is above its limit at any instant, and a task
        /// that stays reachable is granted after as many releases of its class as tasks had an
        /// earlier place when it asked, plus one.
        #[test]
        fn a_reachable_task_is_granted_within_its_position(
            limit in 1_u32..4,
            steps in prop::collection::vec((0_u8..5, 0_u64..16), 1..300),
        ) {
            let class = claim(CoverageTier::Tier0);
            let mut scheduler = scheduler(limit, 100);
            // Releases that a waiting task may still have to see.
            let mut patience: BTreeMap<TaskId, usize> = BTreeMap::new();
            let mut places: Vec<TaskId> = Vec::new();
            let mut holders: BTreeSet<TaskId> = BTreeSet::new();
            for (kind, number) in steps {
                let task = TaskId(number);
                let granted = match kind {
                    0..=2 => match scheduler.request(task, class) {
                        Admission::Granted => vec![task],
                        Admission::Queued { ahead } => {
                            if !places.contains(&task) {
                                places.push(task);
                            }
                            let place = places.iter().position(|other| *other == task).unwrap();
                            prop_assert!(ahead <= place);
                            patience.entry(task).or_insert(place + 1);
                            Vec::new()
                        }
                        Admission::Full => unreachable!("the queue is longer than the tasks"),
                    },
                    3 => {
                        scheduler.suspend(task);
                        patience.remove(&task);
                        Vec::new()
                    }
                    _ => {
                        let held = holders.remove(&task);
                        let granted = scheduler.release(task);
                        if held {
                            for (waiting, releases) in &mut patience {
                                *releases -= 1;
                                let served = granted.contains(waiting);
                                prop_assert!(*releases > 0 || served, "{:?} waits too long", waiting);
                            }
                        }
                        granted
                    }
                };
                for task in granted {
                    patience.remove(&task);
                    places.retain(|other| *other != task);
                    holders.insert(task);
                }
                prop_assert!(holders.len() <= limit as usize);
                prop_assert_eq!(scheduler.slots_in_use(CoverageTier::Tier0), holders.len() as u64);
            }
        }
    }
}
