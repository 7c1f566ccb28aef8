//! All cells: which task has or awaits a slot of which class.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::cell::{Cell, Turns};
use super::queue::Place;
use super::start_rates::{Line, StartRates};
use crate::clock::{Instant, Utc};
use crate::model::{
    AdmissionPolicy, CampaignId, CellId, CoverageTier, SlotClaim, TaskId, TierLimits,
};

/// What the scheduler goes by.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Slots per tier of every cell without limits of its own.
    pub limits: TierLimits,
    /// Cells with limits of their own.
    pub overrides: BTreeMap<CellId, TierLimits>,
    /// The most tasks that wait, over all cells.
    pub queue_max: usize,
    /// So many slots of a cell are given among those that wait before one that asks later can be behind
    /// them only.
    pub passed_over_max: u32,
    /// Where tiers of a cell stand in each other's way: once the others were given so many times the
    /// airtime that one takes itself, that one comes first, and no other begins before it. Of a tier with
    /// a limit of ten it takes a tenth of the cell, so that it waits for a tenth as long as one that takes
    /// all of it.
    pub stretch_max: u32,
    /// The most that begin a minute, over all cells; `None`: as many as cells bear.
    pub starts_per_minute_max: Option<NonZeroU32>,
    /// What the lots are drawn with by which those who wait follow each other.
    pub seed: u64,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            limits: TierLimits::default(),
            overrides: BTreeMap::new(),
            queue_max: 1_000_000,
            passed_over_max: 50,
            stretch_max: 10,
            starts_per_minute_max: None,
            seed: 0,
        }
    }
}

impl SchedulerConfig {
    fn limits(&self, cell: CellId) -> TierLimits {
        *self.overrides.get(&cell).unwrap_or(&self.limits)
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
        /// Whether its cell has room for it: it waits for its line's turn to start.
        for_rate: bool,
    },
    /// [`SchedulerConfig::queue_max`] tasks wait: nothing was kept, ask again later.
    Full,
}

/// What came of keeping a task's device awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It has a place in the waiting room of its cell, until it has a slot, sleeps, or gives it up.
    Held {
        /// The task that had the place and has it no more: it came later, or was refused less often.
        displaced: Option<TaskId>,
    },
    /// All places are taken; or it does not wait.
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
    /// Those of these that are kept awake.
    pub held: u32,
}

/// One cell, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellOccupancy {
    /// The cell.
    pub cell: CellId,
    /// How it admits now: the strictest of what the campaigns want whose tasks stand in it.
    pub policy: AdmissionPolicy,
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
    /// Cells in which a slot is used or a task waits, and no others.
    cells: BTreeMap<CellId, Cell>,
    /// Where each task is; a task is in one class at the most.
    entries: BTreeMap<TaskId, Entry>,
    rates: StartRates,
    queued: usize,
    held: usize,
    /// Cells in which one place or more to be kept awake has become free.
    vacated: BTreeSet<CellId>,
    slots_in_use: [u64; CoverageTier::ALL.len()],
}

/// Where a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// In which class.
    pub claim: SlotClaim,
    /// How many of its class that are reachable come before it.
    pub ahead: usize,
    /// Whether its cell has room for it: it waits for its line's turn to start.
    pub for_rate: bool,
}

/// Where a task is, and how its campaign wants it admitted there.
#[derive(Clone, Copy, Debug)]
struct Entry {
    claim: SlotClaim,
    policy: AdmissionPolicy,
    line: Line,
    /// `None`: it has a slot of this class, which is frozen at admission.
    waits: Option<Place>,
}

impl CellScheduler {
    /// A scheduler in which no slot is used.
    pub fn new(config: SchedulerConfig) -> Self {
        Self {
            rates: StartRates::new(config.starts_per_minute_max),
            config,
            cells: BTreeMap::new(),
            entries: BTreeMap::new(),
            queued: 0,
            held: 0,
            vacated: BTreeSet::new(),
            slots_in_use: [0; CoverageTier::ALL.len()],
        }
    }

    /// A task, whose device is reachable, asks for a slot. Beside the answer: others that have one by
    /// that, where the task left another class for this one.
    ///
    /// Asking again changes nothing but that a waiting task counts as reachable again, where it was, or
    /// a round before for each time that it fell asleep. A task that has a slot keeps it, whatever it
    /// claims now. A waiting task that claims another class (its device has moved), or comes under
    /// another policy, waits there as one that asks for the first time. `line` is of its campaign, and stays.
    pub fn request(
        &mut self,
        task: TaskId,
        claim: SlotClaim,
        policy: AdmissionPolicy,
        line: Line,
    ) -> (Admission, Vec<TaskId>) {
        let SlotClaim { cell, tier } = claim;
        let mut others = Vec::new();
        let mut place = None;
        if let Some(entry) = self.entries.get(&task).copied() {
            if entry.waits.is_none() {
                return (Admission::Granted, others);
            }
            if (entry.claim, entry.policy) == (claim, policy) {
                place = entry.waits;
            } else {
                others = self.leave(task);
            }
        }
        let is_new = place.is_none();
        let here = self.cells.entry(cell).or_default();
        let place = match place {
            Some(place) => {
                here.wait(task, tier, line, place);
                place
            }
            None => {
                here.enter(policy);
                let place = here.next_place(lot(self.config.seed, task));
                here.queue(task, tier, line, place);
                self.queued += 1;
                let waits = Some(place);
                let entry = Entry {
                    claim,
                    policy,
                    line,
                    waits,
                };
                self.entries.insert(task, entry);
                place
            }
        };
        others.extend(self.grant(cell));
        if self.slot(task).is_some() {
            others.retain(|granted| *granted != task);
            return (Admission::Granted, others);
        }
        if is_new && self.queued > self.config.queue_max {
            others.extend(self.leave(task));
            return (Admission::Full, others);
        }
        let here = self.cells.get(&cell);
        let ahead = here.map_or(0, |here| here.ahead(tier, place));
        let for_rate = self.waits_for_rate(claim, line);
        (Admission::Queued { ahead, for_rate }, others)
    }

    /// Lets time pass: lines whose turn has come may start. Returns the tasks that have a slot by that. To be
    /// called before anything else of a later time.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<TaskId> {
        self.rates.pass_time(now);
        let mut granted = Vec::new();
        while let Some(cell) = self.rates.next_cell() {
            granted.extend(self.grant(cell));
        }
        granted
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.rates.poll_timeout()
    }

    /// After a restart: the first start of all comes as late as if one had been right before it.
    pub fn resume_start_rate(&mut self) {
        self.rates.resume_of_all();
    }

    /// Tasks in the line of a campaign start at a rate of its own from now on. `is_new`: none of them has
    /// started before; else the first comes as late as if one had right now.
    pub fn set_start_rate(&mut self, id: CampaignId, per_minute_max: NonZeroU32, is_new: bool) {
        self.rates.insert(id, per_minute_max, is_new);
    }

    /// A campaign is over.
    pub fn end_start_rate(&mut self, id: CampaignId) {
        self.rates.remove(id);
    }

    fn waits_for_rate(&self, claim: SlotClaim, line: Line) -> bool {
        let limits = self.config.limits(claim.cell);
        let here = self.cells.get(&claim.cell);
        !self.rates.is_open(line) && here.is_some_and(|here| here.admits(&limits, claim.tier))
    }

    /// The device of a waiting task fell asleep: the task is passed over until it asks again, a round
    /// before the one that it was in. A task that has a slot keeps it. Returns the tasks that have a slot
    /// by that.
    pub fn suspend(&mut self, task: TaskId) -> Vec<TaskId> {
        self.end_hold(task);
        let Some(entry) = self.entries.get_mut(&task) else {
            return Vec::new();
        };
        let SlotClaim { cell, tier } = entry.claim;
        let (Some(place), Some(here)) = (entry.waits, self.cells.get_mut(&cell)) else {
            return Vec::new();
        };
        if here.suspend(tier, entry.line, place) {
            entry.waits = Some(place.lifted());
        }
        self.grant(cell)
    }

    /// A task waits since then, which is too long: it comes before all of its cell that are not overdue, and
    /// among tiers that stand in each other's way no other begins before it, as long as its device listens.
    /// So until it leaves. Returns the tasks that have a slot by that.
    pub fn hasten(&mut self, task: TaskId, since: Utc) -> Vec<TaskId> {
        let Some(entry) = self.entries.get_mut(&task) else {
            return Vec::new();
        };
        let SlotClaim { cell, tier } = entry.claim;
        let (Some(place), Some(here)) = (entry.waits, self.cells.get_mut(&cell)) else {
            return Vec::new();
        };
        let sooner = place.overdue(since);
        here.replace(task, tier, entry.line, [place, sooner]);
        entry.waits = Some(sooner);
        self.grant(cell)
    }

    /// Whether a task is overdue, and no other of its tier comes before it.
    pub fn is_next(&self, task: TaskId) -> bool {
        let place = self.entries.get(&task).and_then(|entry| entry.waits);
        let is_first = |standing: Standing| standing.ahead == 0;
        place.is_some_and(Place::is_overdue) && self.standing(task).is_some_and(is_first)
    }

    /// A task, whose device listens, that had no place to be kept awake, and of whose cell one has become
    /// free since; each is named once. To be called until `None`.
    pub fn next_for_room(&mut self) -> Option<TaskId> {
        while let Some(cell) = self.vacated.first().copied() {
            let here = self.cells.get_mut(&cell);
            match here.and_then(Cell::pop_turned_away) {
                Some(task) => return Some(task),
                None => self.vacated.remove(&cell),
            };
        }
        None
    }

    /// The device of a task that waits, and is reachable, is to be kept awake, where its cell has fewer
    /// than `places_max` of such. Where it has as many, one of an earlier round takes the place of the one
    /// that would be served last.
    pub fn hold(&mut self, task: TaskId, places_max: usize) -> Hold {
        let Some(entry) = self.entries.get(&task) else {
            return Hold::Full;
        };
        let SlotClaim { cell, tier } = entry.claim;
        let (Some(place), Some(here)) = (entry.waits, self.cells.get_mut(&cell)) else {
            return Hold::Full;
        };
        let before = here.held_in_all();
        let Ok(displaced) = here.hold(task, tier, entry.line, place, places_max) else {
            self.vacated.remove(&cell);
            return Hold::Full;
        };
        self.held = self.held + here.held_in_all() - before;
        Hold::Held { displaced }
    }

    /// A task's device is kept awake no more. It waits on, and is reachable as long as it listens.
    pub fn end_hold(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get(&task)
            && let Some(place) = entry.waits
            && let Some(here) = self.cells.get_mut(&entry.claim.cell)
            && here.end_hold(place)
        {
            self.held -= 1;
            self.vacated.insert(entry.claim.cell);
        }
    }

    /// Frees the task's slot; returns the tasks that have one by that. A task without a slot changes
    /// nothing, and stays in its queue.
    pub fn release(&mut self, task: TaskId) -> Vec<TaskId> {
        if self.slot(task).is_some() {
            self.leave(task)
        } else {
            Vec::new()
        }
    }

    /// The task is no longer interested: it leaves its queue, or frees its slot. Returns the tasks
    /// that have a slot by that.
    pub fn withdraw(&mut self, task: TaskId) -> Vec<TaskId> {
        self.leave(task)
    }

    /// After a restart: the task had this slot, so it has it, even above the limit.
    pub fn restore(&mut self, task: TaskId, claim: SlotClaim, policy: AdmissionPolicy) {
        if self.slot(task).is_some() {
            return;
        }
        // Nobody waits yet who could have a slot by that.
        self.leave(task);
        let here = self.cells.entry(claim.cell).or_default();
        here.enter(policy);
        here.occupy(claim.tier);
        let entry = Entry {
            claim,
            policy,
            line: None,
            waits: None,
        };
        self.entries.insert(task, entry);
        self.slots_in_use[claim.tier as usize] += 1;
    }

    /// The limits of cells, and those of cells with limits of their own.
    pub fn limits(&self) -> (TierLimits, BTreeMap<CellId, TierLimits>) {
        (self.config.limits, self.config.overrides.clone())
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
        let cells: Vec<CellId> = self.cells.keys().copied().collect();
        cells
            .into_iter()
            .flat_map(|cell| self.grant(cell))
            .collect()
    }

    /// The slot that a task has.
    pub fn slot(&self, task: TaskId) -> Option<SlotClaim> {
        let entry = self.entries.get(&task)?;
        entry.waits.is_none().then_some(entry.claim)
    }

    /// Where a task waits; `None` where it does not.
    pub fn standing(&self, task: TaskId) -> Option<Standing> {
        let entry = self.entries.get(&task)?;
        let (claim, place) = (entry.claim, entry.waits?);
        let here = self.cells.get(&claim.cell)?;
        Some(Standing {
            claim,
            ahead: here.ahead(claim.tier, place),
            for_rate: self.waits_for_rate(claim, entry.line),
        })
    }

    /// How many tasks wait, over all cells.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many devices of waiting tasks are kept awake, over all cells.
    pub fn held(&self) -> usize {
        self.held
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
        let page = self.cells.range(first..).take(limit);
        page.map(|(cell, here)| self.occupancy(*cell, here))
            .collect()
    }

    fn occupancy(&self, cell: CellId, here: &Cell) -> CellOccupancy {
        let limits = self.config.limits(cell);
        let of = |tier| TierOccupancy {
            tier,
            active: here.active(tier),
            limit: limits.of(tier),
            queued: here.queued(tier),
            reachable: u32::try_from(here.reachable(tier)).unwrap_or(u32::MAX),
            held: here.held(tier),
        };
        CellOccupancy {
            cell,
            policy: here.policy(),
            tiers: [
                of(CoverageTier::Tier0),
                of(CoverageTier::Tier1),
                of(CoverageTier::Tier2),
                of(CoverageTier::Unknown),
            ],
        }
    }

    /// Takes a task off where it stands; returns the tasks that have a slot by that.
    fn leave(&mut self, task: TaskId) -> Vec<TaskId> {
        self.end_hold(task);
        let Some(entry) = self.entries.remove(&task) else {
            return Vec::new();
        };
        let SlotClaim { cell, tier } = entry.claim;
        if let Some(here) = self.cells.get_mut(&cell) {
            here.exit(entry.policy);
            if let Some(place) = entry.waits {
                here.leave(tier, entry.line, place);
                self.queued -= 1;
            } else {
                here.vacate(tier);
                self.slots_in_use[tier as usize] -= 1;
            }
            if here.is_empty() {
                self.cells.remove(&cell);
            }
        }
        self.grant(cell)
    }

    /// Gives out what a cell has free.
    fn grant(&mut self, cell: CellId) -> Vec<TaskId> {
        let limits = self.config.limits(cell);
        let turns = Turns {
            passed_over_max: self.config.passed_over_max.into(),
            stretch_max: self.config.stretch_max,
        };
        let mut granted = Vec::new();
        while let Some(here) = self.cells.get_mut(&cell)
            && let Some(next) = here.grant_next(&limits, turns, |line| self.rates.is_open(line))
        {
            self.rates.note_start(next.line);
            if let Some(entry) = self.entries.get_mut(&next.task) {
                entry.waits = None;
            }
            self.queued -= 1;
            if next.was_held {
                self.held -= 1;
                self.vacated.insert(cell);
            }
            self.slots_in_use[next.tier as usize] += 1;
            granted.push(next.task);
        }
        if self.rates.is_limited()
            && let Some(here) = self.cells.get(&cell)
        {
            let lines = here.admitted_lines(&limits).into_iter();
            for line in lines
                .filter(|line| !self.rates.is_open(*line))
                .collect::<Vec<_>>()
            {
                self.rates.wait(line, cell);
            }
        }
        granted
    }
}

/// The lot of a task, which is one device of one campaign: by a seed, so that neither its number nor its
/// device's name says who is first. The finish of SplitMix64 (Steele, Lea and Flood, 2014).
fn lot(seed: u64, task: TaskId) -> u64 {
    let mut mixed = seed ^ task.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
