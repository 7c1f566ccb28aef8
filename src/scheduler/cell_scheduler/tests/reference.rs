//! The scheduler against its rules in their plainest form, whatever happens in whatever order.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::model::{AdmissionMode, AirtimePermille};

/// The rules in their plainest form: every queue is a list, every question a scan.
struct Reference {
    limits: TierLimits,
    queue_max: usize,
    held: BTreeMap<TaskId, (SlotClaim, AdmissionPolicy)>,
    waiting: Vec<Waits>,
    arrivals: BTreeMap<CellId, u64>,
    /// What others were given while those of a class waited, less their own turns.
    owed: BTreeMap<SlotClaim, u64>,
    /// How many were given a slot while others waited, since the cell was last forgotten.
    granted_while_waited: BTreeMap<CellId, u64>,
}

/// As the schedulers of these tests have it.
const PASSED_OVER_MAX: u64 = 3;
const STRETCH_MAX: u64 = 2;

/// The most rounds by which sleep lifts one above those that asked first of all.
const FIRST_ROUND: u64 = 10;

const WEAK_FIRST: [CoverageTier; 4] = [
    CoverageTier::Tier2,
    CoverageTier::Unknown,
    CoverageTier::Tier1,
    CoverageTier::Tier0,
];

#[derive(Clone, Copy)]
struct Waits {
    task: TaskId,
    claim: SlotClaim,
    policy: AdmissionPolicy,
    round: u64,
    lot: u64,
    arrival: u64,
    reachable: bool,
    held: bool,
}

impl Waits {
    /// What it is served by, among those of its tier.
    fn place(&self) -> (u64, u64, u64) {
        (self.round, self.lot >> 34, self.arrival)
    }

    /// And among tiers.
    fn turn(&self, mode: AdmissionMode) -> (u64, usize, (u64, u64, u64)) {
        let of_tier = (WEAK_FIRST.iter()).position(|tier| *tier == self.claim.tier);
        let after = of_tier.filter(|_| mode != AdmissionMode::PerClass);
        (self.round, after.unwrap_or(0), self.place())
    }
}

impl Reference {
    fn active(&self, claim: SlotClaim) -> u32 {
        let held = self.held.values();
        held.filter(|(held, _)| *held == claim).count() as u32
    }

    fn policy(&self, cell: CellId) -> AdmissionPolicy {
        let held = self.held.values().filter(|(claim, _)| claim.cell == cell);
        let waiting = self.waiting.iter().filter(|one| one.claim.cell == cell);
        (held.map(|(_, policy)| *policy))
            .chain(waiting.map(|one| one.policy))
            .fold(AdmissionPolicy::default(), AdmissionPolicy::stricter)
    }

    fn has_room(&self, claim: SlotClaim) -> bool {
        self.active(claim) < self.limits.of(claim.tier)
    }

    fn admits(&self, claim: SlotClaim) -> bool {
        let SlotClaim { cell, tier } = claim;
        let rows: Vec<(u32, u32, bool)> = (CoverageTier::ALL.iter())
            .map(|&other| {
                let active = self.active(SlotClaim { cell, tier: other });
                (active, self.limits.of(other), other == tier)
            })
            .collect();
        let all: u32 = rows.iter().map(|row| row.0).sum();
        if !self.has_room(claim) {
            return false;
        }
        if all == 0 {
            return true;
        }
        let policy = self.policy(cell);
        let by_mode = match policy.mode {
            AdmissionMode::PerClass => true,
            AdmissionMode::PerCell => all < self.limits.of(tier),
            AdmissionMode::Strictest => {
                let counted = rows.iter().filter(|row| row.0 > 0 || row.2);
                counted
                    .map(|row| row.1)
                    .min()
                    .is_some_and(|least| all < least)
            }
        };
        let share = |(active, limit, asks): &(u32, u32, bool)| {
            f64::from(*active + u32::from(*asks)) / f64::from((*limit).max(1))
        };
        let load: f64 = rows.iter().map(share).sum();
        by_mode
            && policy
                .airtime
                .is_none_or(|budget| load * 1000.0 <= f64::from(budget.0.get()) + 1e-6)
    }

    fn next(&self, cell: CellId) -> Option<usize> {
        let mut order: Vec<usize> = (0..self.waiting.len())
            .filter(|&at| self.waiting[at].claim.cell == cell && self.waiting[at].reachable)
            .collect();
        let mode = self.policy(cell).mode;
        order.sort_by_key(|&at| self.waiting[at].turn(mode));
        let mut firsts = BTreeSet::new();
        order.retain(|&at| firsts.insert(self.waiting[at].claim.tier));
        order.retain(|&at| self.has_room(self.waiting[at].claim));
        let mut due = order.clone();
        due.retain(|&at| {
            let claim = self.waiting[at].claim;
            let owed = self.owed.get(&claim).unwrap_or(&0);
            *owed >= STRETCH_MAX * self.airtime(claim)
        });
        let weak_first = |at: &usize| {
            let tier = self.waiting[*at].claim.tier;
            WEAK_FIRST.iter().position(|other| *other == tier)
        };
        if let Some(due) = due.into_iter().min_by_key(weak_first) {
            return self.admits(self.waiting[due].claim).then_some(due);
        }
        // Who waits longer for what it asks for; else by turns.
        order.sort_by_key(|&at| {
            let claim = self.waiting[at].claim;
            let owed = self.owed.get(&claim).unwrap_or(&0);
            std::cmp::Reverse(owed * u64::from(self.limits.of(claim.tier).max(1)))
        });
        order
            .into_iter()
            .find(|&at| self.admits(self.waiting[at].claim))
    }

    /// What one takes of its cell, in parts of which limits up to 4 make a whole number.
    fn airtime(&self, claim: SlotClaim) -> u64 {
        12 / u64::from(self.limits.of(claim.tier).max(1))
    }

    /// One is given a slot: whoever else could begin but for others is owed what it takes.
    fn note_granted(&mut self, claim: SlotClaim) {
        let airtime = self.airtime(claim);
        let waits = |tier: &&CoverageTier| {
            let other = SlotClaim {
                tier: **tier,
                ..claim
            };
            let mut waiting = self.waiting.iter();
            **tier != claim.tier
                && self.has_room(other)
                && waiting.any(|one| one.claim == other && one.reachable)
        };
        let others: Vec<_> = CoverageTier::ALL.iter().filter(waits).copied().collect();
        for tier in others {
            let other = SlotClaim { tier, ..claim };
            *self.owed.entry(other).or_default() += airtime;
        }
        let own = self.owed.entry(claim).or_default();
        *own = own.saturating_sub(STRETCH_MAX * airtime);
    }

    fn grant(&mut self, cell: CellId) -> Vec<TaskId> {
        let mut granted = Vec::new();
        while let Some(at) = self.next(cell) {
            let Waits {
                task,
                claim,
                policy,
                ..
            } = self.waiting.remove(at);
            self.note_granted(claim);
            if self.waiting.iter().any(|one| one.claim.cell == cell) {
                *self.granted_while_waited.entry(cell).or_default() += 1;
            }
            self.held.insert(task, (claim, policy));
            granted.push(task);
        }
        self.forget(cell);
        granted
    }

    /// A cell of which nothing is known counts its places anew.
    fn forget(&mut self, cell: CellId) {
        let held = self.held.values().any(|(claim, _)| claim.cell == cell);
        if !held && !self.waiting.iter().any(|one| one.claim.cell == cell) {
            self.arrivals.remove(&cell);
            self.granted_while_waited.remove(&cell);
        }
        let waiting: BTreeSet<_> = self.waiting.iter().map(|one| one.claim).collect();
        self.owed.retain(|claim, _| waiting.contains(claim));
    }

    fn leave(&mut self, task: TaskId) -> Vec<TaskId> {
        let place = self.waiting.iter().position(|one| one.task == task);
        let claim = match place {
            Some(place) => self.waiting.remove(place).claim,
            None => match self.held.remove(&task) {
                Some((claim, _)) => claim,
                None => return Vec::new(),
            },
        };
        self.forget(claim.cell);
        self.grant(claim.cell)
    }

    fn request(
        &mut self,
        task: TaskId,
        claim: SlotClaim,
        policy: AdmissionPolicy,
    ) -> (Admission, Vec<TaskId>) {
        if self.held.contains_key(&task) {
            return (Admission::Granted, Vec::new());
        }
        let mut others = Vec::new();
        let waits = self.waiting.iter_mut().find(|one| one.task == task);
        let is_new = match waits {
            Some(one) if (one.claim, one.policy) == (claim, policy) => {
                one.reachable = true;
                false
            }
            Some(_) => {
                others = self.leave(task);
                true
            }
            None => true,
        };
        if is_new {
            let arrival = self.arrivals.entry(claim.cell).or_default();
            *arrival += 1;
            let granted = self.granted_while_waited.get(&claim.cell);
            self.waiting.push(Waits {
                task,
                claim,
                policy,
                round: FIRST_ROUND + granted.unwrap_or(&0) / PASSED_OVER_MAX,
                lot: lot(0, task),
                arrival: *arrival,
                reachable: true,
                held: false,
            });
        }
        others.extend(self.grant(claim.cell));
        if self.held.contains_key(&task) {
            others.retain(|granted| *granted != task);
            return (Admission::Granted, others);
        }
        if is_new && self.waiting.len() > self.queue_max {
            others.extend(self.leave(task));
            return (Admission::Full, others);
        }
        let asks = self.waiting.iter().find(|one| one.task == task).unwrap();
        let place = asks.place();
        let before = |one: &&Waits| one.claim == claim && one.reachable && one.place() < place;
        let ahead = self.waiting.iter().filter(before).count();
        (
            Admission::Queued {
                ahead,
                for_rate: false,
            },
            others,
        )
    }

    fn suspend(&mut self, task: TaskId) -> Vec<TaskId> {
        let waits = self.waiting.iter_mut().find(|one| one.task == task);
        let Some(one) = waits else {
            return Vec::new();
        };
        one.held = false;
        if std::mem::take(&mut one.reachable) {
            one.round = one.round.saturating_sub(1);
        }
        let cell = one.claim.cell;
        self.grant(cell)
    }

    fn hold(&mut self, task: TaskId, places_max: usize) -> Hold {
        let waits = self.waiting.iter().position(|one| one.task == task);
        let Some(at) = waits.filter(|at| self.waiting[*at].reachable) else {
            return Hold::Full;
        };
        let cell = self.waiting[at].claim.cell;
        let is_held = |at: &usize| self.waiting[*at].held && self.waiting[*at].claim.cell == cell;
        let mut held: Vec<usize> = (0..self.waiting.len()).filter(is_held).collect();
        held.sort_by_key(|at| self.waiting[*at].place());
        let mut displaced = None;
        if !held.contains(&at) && held.len() >= places_max {
            let last = held.pop();
            let Some(last) = last.filter(|last| self.waiting[*last].round > self.waiting[at].round)
            else {
                return Hold::Full;
            };
            self.waiting[last].held = false;
            displaced = Some(self.waiting[last].task);
        }
        self.waiting[at].held = true;
        Hold::Held { displaced }
    }

    fn release(&mut self, task: TaskId) -> Vec<TaskId> {
        if self.held.contains_key(&task) {
            self.leave(task)
        } else {
            Vec::new()
        }
    }

    fn restore(&mut self, task: TaskId, claim: SlotClaim, policy: AdmissionPolicy) {
        if !self.held.contains_key(&task) {
            self.leave(task);
            self.held.insert(task, (claim, policy));
        }
    }

    fn set_limits(&mut self, limits: TierLimits) -> Vec<TaskId> {
        self.limits = limits;
        let cells: BTreeSet<CellId> = self.waiting.iter().map(|one| one.claim.cell).collect();
        cells
            .into_iter()
            .flat_map(|cell| self.grant(cell))
            .collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Request(TaskId, SlotClaim, AdmissionPolicy),
    Suspend(TaskId),
    Hold(TaskId, usize),
    EndHold(TaskId),
    Release(TaskId),
    Withdraw(TaskId),
    Restore(TaskId, SlotClaim, AdmissionPolicy),
    SetLimits(TierLimits),
}

fn any_claim() -> impl Strategy<Value = SlotClaim> {
    (0_u32..2, prop::sample::select(CoverageTier::ALL)).prop_map(|(cell, tier)| SlotClaim {
        cell: CellId(cell),
        tier,
    })
}

fn any_policy() -> impl Strategy<Value = AdmissionPolicy> {
    let airtime = prop_oneof![3 => Just(0_u16), 1 => 1_u16..1500];
    let mode = prop::sample::select(AdmissionMode::ALL);
    // Most campaigns say nothing of it.
    prop_oneof![
        2 => Just(AdmissionPolicy::default()),
        1 => (mode, airtime).prop_map(|(mode, permille)| AdmissionPolicy {
            mode,
            airtime: NonZeroU16::new(permille).map(AirtimePermille),
        }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let task = || (0_u64..24).prop_map(TaskId);
    prop_oneof![
        8 => (task(), any_claim(), any_policy())
            .prop_map(|(task, claim, policy)| Step::Request(task, claim, policy)),
        // Few classes, so that queues grow long.
        8 => (task(), any_policy()).prop_map(|(task, policy)| {
            Step::Request(task, claim(CoverageTier::Tier1), policy)
        }),
        3 => task().prop_map(Step::Suspend),
        6 => (task(), 0_usize..4).prop_map(|(task, places)| Step::Hold(task, places)),
        1 => task().prop_map(Step::EndHold),
        5 => task().prop_map(Step::Release),
        2 => task().prop_map(Step::Withdraw),
        1 => (task(), any_claim(), any_policy())
            .prop_map(|(task, claim, policy)| Step::Restore(task, claim, policy)),
        1 => prop::array::uniform4(0_u32..4).prop_map(|[tier0, tier1, tier2, unknown]| {
            Step::SetLimits(TierLimits { tier0, tier1, tier2, unknown })
        }),
    ]
}

/// What must hold whatever happened: no class above its limit but by restoring or lowering, no
/// slot leaked, nobody reachable waiting beside a free slot, no memory kept for nothing.
fn check(scheduler: &CellScheduler, reference: &Reference) -> Result<(), TestCaseError> {
    let known = reference.held.len() + reference.waiting.len();
    prop_assert_eq!(scheduler.entries.len(), known);
    prop_assert_eq!(scheduler.queued(), reference.waiting.len());
    for (task, (claim, _)) in &reference.held {
        prop_assert_eq!(scheduler.slot(*task), Some(*claim));
    }
    let known: BTreeSet<CellId> = (reference.held.values().map(|(claim, _)| claim.cell))
        .chain(reference.waiting.iter().map(|one| one.claim.cell))
        .collect();
    let cells: BTreeSet<CellId> = scheduler.cells.keys().copied().collect();
    prop_assert_eq!(&cells, &known);
    for (&cell, here) in &scheduler.cells {
        prop_assert_eq!(here.policy(), reference.policy(cell));
        let mut active = 0;
        let mut could_begin = false;
        for &tier in CoverageTier::ALL {
            let claim = SlotClaim { cell, tier };
            let waiting = || reference.waiting.iter().filter(|one| one.claim == claim);
            let reachable = waiting().filter(|one| one.reachable).count();
            prop_assert_eq!(here.active(tier), reference.active(claim));
            prop_assert_eq!(here.queued(tier) as usize, waiting().count());
            prop_assert_eq!(here.reachable(tier), reachable);
            let held = waiting().filter(|one| one.held).count();
            prop_assert_eq!(here.held(tier) as usize, held);
            active += here.active(tier);
            could_begin |= reachable > 0 && reference.limits.of(tier) > 0;
        }
        prop_assert!(active > 0 || !could_begin, "nobody waits in an idle cell");
    }
    let held = reference.waiting.iter().filter(|one| one.held);
    prop_assert_eq!(scheduler.held(), held.count());
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
            arrivals: BTreeMap::new(),
            owed: BTreeMap::new(),
            granted_while_waited: BTreeMap::new(),
        };
        for step in steps {
            match step {
                Step::Request(task, claim, policy) => prop_assert_eq!(
                    scheduler.request(task, claim, policy, None),
                    reference.request(task, claim, policy)),
                Step::Suspend(task) =>
                    prop_assert_eq!(scheduler.suspend(task), reference.suspend(task)),
                Step::Hold(task, places_max) => prop_assert_eq!(
                    scheduler.hold(task, places_max),
                    reference.hold(task, places_max)),
                Step::EndHold(task) => {
                    scheduler.end_hold(task);
                    for one in &mut reference.waiting {
                        one.held &= one.task != task;
                    }
                }
                Step::Release(task) =>
                    prop_assert_eq!(scheduler.release(task), reference.release(task)),
                Step::Withdraw(task) =>
                    prop_assert_eq!(scheduler.withdraw(task), reference.leave(task)),
                Step::Restore(task, claim, policy) => {
                    scheduler.restore(task, claim, policy);
                    reference.restore(task, claim, policy);
                }
                Step::SetLimits(limits) => prop_assert_eq!(
                    scheduler.set_limits(limits, BTreeMap::new()),
                    reference.set_limits(limits)),
            }
            check(&scheduler, &reference)?;
        }
    }

    /// Without restoring and lowering, no class is above its limit at any instant, and nobody starves:
    /// while a task waits, reachable, no other goes before it that first asked so many slots later, but
    /// for as many again for each time that the other fell asleep without one.
    #[test]
    fn nobody_waits_for_all_who_come_after(
        limit in 1_u32..4,
        steps in prop::collection::vec((0_u8..6, 0_u64..40), 1..400),
    ) {
        let class = claim(CoverageTier::Tier0);
        let mut scheduler = scheduler(limit, 100);
        // How many slots had been given when it first asked, how often it fell asleep, and whether it is
        // awake.
        let mut waiting: BTreeMap<TaskId, (u64, u64, bool)> = BTreeMap::new();
        let mut holders: BTreeSet<TaskId> = BTreeSet::new();
        let mut given = 0;
        for (kind, number) in steps {
            let task = TaskId(number);
            let granted = match kind {
                0..=2 if holders.contains(&task) => Vec::new(),
                0..=2 => {
                    waiting.entry(task).or_insert((given, 0, true)).2 = true;
                    match ask(&mut scheduler, task, class) {
                        Admission::Granted => vec![task],
                        Admission::Queued { .. } => Vec::new(),
                        Admission::Full => unreachable!("the queue is longer than the tasks"),
                    }
                }
                3 => {
                    if let Some((_, sleeps, awake)) = waiting.get_mut(&task) {
                        *sleeps += u64::from(std::mem::take(awake));
                    }
                    scheduler.suspend(task)
                }
                _ => {
                    holders.remove(&task);
                    scheduler.release(task)
                }
            };
            for task in granted {
                let (asked, sleeps, _) = waiting.remove(&task).unwrap();
                for (other, (before, _, awake)) in &waiting {
                    let later = asked.saturating_sub(*before);
                    prop_assert!(
                        !awake || later < PASSED_OVER_MAX * (1 + sleeps),
                        "{task:?} goes before {other:?}, {later} slots later, {sleeps} sleeps"
                    );
                }
                given += u64::from(!waiting.is_empty());
                holders.insert(task);
            }
            prop_assert!(holders.len() <= limit as usize);
            prop_assert_eq!(scheduler.slots_in_use(CoverageTier::Tier0), holders.len() as u64);
        }
    }

    /// The order is one of lots: whatever numbers devices have, and in whatever order they ask, it is the
    /// same, and it is another with another seed.
    #[test]
    fn who_asks_first_is_not_first(numbers in prop::collection::btree_set(any::<u64>(), 20..60)) {
        let served = |order: Vec<u64>, seed| {
            let mut scheduler = CellScheduler::new(SchedulerConfig {
                seed,
                limits: uniform(1),
                ..SchedulerConfig::default()
            });
            let class = claim(CoverageTier::Tier1);
            let (first, mut served) = (TaskId(order[0]), Vec::new());
            for number in order {
                ask(&mut scheduler, TaskId(number), class);
            }
            let mut turn = first;
            while let Some(next) = scheduler.release(turn).first().copied() {
                served.push(next);
                turn = next;
            }
            served
        };
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let mut backwards = numbers.clone();
        backwards[1..].reverse();
        let by_lot = served(numbers.clone(), 1);
        prop_assert_eq!(by_lot.len(), numbers.len() - 1);
        prop_assert_eq!(&served(backwards, 1), &by_lot);
        prop_assert_ne!(&served(numbers.clone(), 2), &by_lot);
        let by_number: Vec<TaskId> = numbers[1..].iter().copied().map(TaskId).collect();
        prop_assert_ne!(&by_lot, &by_number);
    }
}
