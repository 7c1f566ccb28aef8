//! How many devices begin a minute: of one campaign, and of all. Whose turn has not come waits at its place
//! in its cell's queue; a slot that comes free meanwhile goes to the line of somebody else, or stays free
//! until the turn comes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

use super::StartRate;
use crate::clock::Instant;
use crate::model::{CampaignId, CellId};

/// By which rate a task begins: its campaign's own, or with `None` that of all alone.
pub type Line = Option<CampaignId>;

/// The rates, and who waits for them.
#[derive(Debug)]
pub(super) struct StartRates {
    now: Instant,
    of_all: Option<StartRate>,
    of_campaign: BTreeMap<CampaignId, StartRate>,
    /// When each line began something last: lines take turns where they wait for the rate of all.
    started: BTreeMap<Line, Instant>,
    /// Cells in which one of a line could begin, but for the rate.
    cells: BTreeMap<Line, CellQueue>,
}

impl StartRates {
    pub(super) fn new(per_minute_max: Option<NonZeroU32>) -> Self {
        Self {
            now: Instant::ORIGIN,
            of_all: per_minute_max.map(|max| StartRate::new(max, Instant::ORIGIN)),
            of_campaign: BTreeMap::new(),
            started: BTreeMap::new(),
            cells: BTreeMap::new(),
        }
    }

    pub(super) fn pass_time(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Others may have begun right before: nobody does for as long as one start takes.
    pub(super) fn resume_of_all(&mut self) {
        if let Some(rate) = &mut self.of_all {
            rate.note_start(self.now);
        }
    }

    /// A campaign has a rate of its own from now on. `is_new`: nothing of it has begun before.
    pub(super) fn insert(&mut self, id: CampaignId, per_minute_max: NonZeroU32, is_new: bool) {
        let mut rate = StartRate::new(per_minute_max, self.now);
        if !is_new {
            rate.note_start(self.now);
        }
        self.of_campaign.insert(id, rate);
    }

    pub(super) fn remove(&mut self, id: CampaignId) {
        self.of_campaign.remove(&id);
        self.started.remove(&Some(id));
        self.cells.remove(&Some(id));
    }

    /// Whether there is any.
    pub(super) fn is_limited(&self) -> bool {
        self.of_all.is_some() || !self.of_campaign.is_empty()
    }

    /// Whether one of a line may start now.
    pub(super) fn is_open(&self, line: Line) -> bool {
        self.next(line).is_none_or(|next| next <= self.now)
    }

    /// One of a line starts now.
    pub(super) fn note_start(&mut self, line: Line) {
        let own = line.and_then(|id| self.of_campaign.get_mut(&id));
        for rate in self.of_all.iter_mut().chain(own) {
            rate.note_start(self.now);
        }
        if self.of_all.is_some() {
            self.started.insert(line, self.now);
        }
    }

    /// One of a line could begin in a cell, but for the rate.
    pub(super) fn wait(&mut self, line: Line, cell: CellId) {
        self.cells.entry(line).or_default().push(cell);
    }

    /// The next cell in which one may begin now that could not before.
    pub(super) fn next_cell(&mut self) -> Option<CellId> {
        let lines = self.cells.keys().copied();
        let open = lines.filter(|line| self.is_open(*line));
        let line = open.min_by_key(|line| (self.started.get(line).copied(), *line))?;
        let queue = self.cells.get_mut(&line)?;
        let cell = queue.pop();
        if queue.order.is_empty() {
            self.cells.remove(&line);
        }
        cell
    }

    /// When [`Self::next_cell`] is to be asked again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let lines = self.cells.keys();
        lines.filter_map(|line| self.next(*line)).min()
    }

    /// When the next of a line may start; `None`: at once.
    fn next(&self, line: Line) -> Option<Instant> {
        let own = line.and_then(|id| self.of_campaign.get(&id));
        let rates = self.of_all.iter().chain(own);
        rates.map(StartRate::next).max()
    }
}

/// Cells in the order in which they came, each once.
#[derive(Debug, Default)]
struct CellQueue {
    order: VecDeque<CellId>,
    members: BTreeSet<CellId>,
}

impl CellQueue {
    fn push(&mut self, cell: CellId) {
        if self.members.insert(cell) {
            self.order.push_back(cell);
        }
    }

    fn pop(&mut self) -> Option<CellId> {
        let cell = self.order.pop_front()?;
        self.members.remove(&cell);
        Some(cell)
    }
}
