//! Those of one tier of a cell who wait, reachable, in lines: one for each campaign with a rate of starts of
//! its own, and one for all others. A line whose turn to start has not come is passed over as a whole, and
//! everybody in it keeps their place.

use std::collections::BTreeMap;

use super::queue::{Place, Queue};
use super::start_rates::Line;
use crate::model::TaskId;

/// The lines of a tier; none is empty.
#[derive(Debug, Default)]
pub(super) struct Lines {
    queues: BTreeMap<Line, Queue>,
}

impl Lines {
    /// How many reachable tasks wait, in all lines.
    pub(super) fn len(&self) -> usize {
        self.queues.values().map(Queue::len).sum()
    }

    /// Puts a task at its place.
    pub(super) fn insert(&mut self, line: Line, place: Place, task: TaskId) {
        self.queues.entry(line).or_default().insert(place, task);
    }

    /// Takes the task at this place out; whether one was reachable there.
    pub(super) fn remove(&mut self, line: Line, place: Place) -> bool {
        let was_there = self
            .queues
            .get_mut(&line)
            .is_some_and(|queue| queue.remove(place));
        self.drop_empty(line);
        was_there
    }

    /// Whether one is reachable at this place.
    pub(super) fn contains(&self, line: Line, place: Place) -> bool {
        let queue = self.queues.get(&line);
        queue.is_some_and(|queue| queue.contains(place))
    }

    /// The first place of all lines that are open.
    pub(super) fn first(&self, is_open: impl Fn(Line) -> bool) -> Option<(Place, Line)> {
        let open = self.queues.iter().filter(|(line, _)| is_open(**line));
        open.filter_map(|(line, queue)| Some((queue.first()?, *line)))
            .min()
    }

    /// Takes the first task of a line out.
    pub(super) fn pop_first(&mut self, line: Line) -> Option<(Place, TaskId)> {
        let first = self.queues.get_mut(&line)?.pop_first();
        self.drop_empty(line);
        first
    }

    /// How many reachable tasks stand before this place, in all lines.
    pub(super) fn rank(&self, place: Place) -> usize {
        self.queues.values().map(|queue| queue.rank(place)).sum()
    }

    /// Which lines somebody waits in.
    pub(super) fn iter(&self) -> impl Iterator<Item = Line> {
        self.queues.keys().copied()
    }

    fn drop_empty(&mut self, line: Line) {
        if self.queues.get(&line).is_some_and(|it| it.len() == 0) {
            self.queues.remove(&line);
        }
    }
}
