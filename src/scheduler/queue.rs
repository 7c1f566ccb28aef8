//! The reachable tasks of one tier of a cell in the order of their places, with the rank of any place.

use std::collections::BTreeMap;

use crate::model::TaskId;

/// A task's place: the order in which tasks first asked for a slot of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

/// How many places each level of counts takes together, as a power of two. With 2^6 places a level
/// a rank is at most 63 steps a level, and the top level has one count for every 2^24 places.
const LEVEL_BITS: [u32; 4] = [6, 12, 18, 24];

/// Reachable tasks by place. Places that are not in it cost nothing, however many they are.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tasks: BTreeMap<Place, TaskId>,
    /// For each level, how many tasks stand in each run of 2^bits places; no zeroes.
    counts: [BTreeMap<u64, u32>; LEVEL_BITS.len()],
}

impl Queue {
    /// How many reachable tasks wait.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Puts a task at its place.
    pub(super) fn insert(&mut self, place: Place, task: TaskId) {
        if self.tasks.insert(place, task).is_some() {
            return;
        }
        for (counts, bits) in self.counts.iter_mut().zip(LEVEL_BITS) {
            *counts.entry(place.0 >> bits).or_default() += 1;
        }
    }

    /// Takes the task at this place out, where one is reachable there.
    pub(super) fn remove(&mut self, place: Place) {
        if self.tasks.remove(&place).is_some() {
            self.uncount(place);
        }
    }

    /// The first place at which one waits.
    pub(super) fn first(&self) -> Option<Place> {
        self.tasks.keys().next().copied()
    }

    /// Takes the first task out.
    pub(super) fn pop_first(&mut self) -> Option<(Place, TaskId)> {
        let (place, task) = self.tasks.pop_first()?;
        self.uncount(place);
        Some((place, task))
    }

    /// How many reachable tasks stand before this place.
    pub(super) fn rank(&self, place: Place) -> usize {
        let run_start = (place.0 >> LEVEL_BITS[0]) << LEVEL_BITS[0];
        let mut rank = self.tasks.range(Place(run_start)..place).count();
        for (level, (counts, bits)) in self.counts.iter().zip(LEVEL_BITS).enumerate() {
            // Whole runs of this level, from the start of the run of the level above.
            let first = LEVEL_BITS
                .get(level + 1)
                .map_or(0, |above| (place.0 >> above) << (above - bits));
            let runs = counts.range(first..place.0 >> bits);
            rank += runs.map(|(_, count)| *count as usize).sum::<usize>();
        }
        rank
    }

    fn uncount(&mut self, place: Place) {
        for (counts, bits) in self.counts.iter_mut().zip(LEVEL_BITS) {
            let run = place.0 >> bits;
            if let Some(count) = counts.get_mut(&run) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&run);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Places far apart reach every level of the counts.
        #[test]
        fn a_rank_is_the_number_of_tasks_before_the_place(
            places in prop::collection::btree_set(
                prop_oneof![0_u64..200, 0_u64..100_000, 0_u64..1 << 40], 0..120),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
            asked in prop::collection::vec(prop_oneof![0_u64..300, 0_u64..1 << 40], 1..20),
        ) {
            let mut left: Vec<u64> = places.iter().copied().collect();
            let mut queue = Queue::default();
            for place in &left {
                queue.insert(Place(*place), TaskId(*place));
            }
            for index in removed {
                if !left.is_empty() {
                    queue.remove(Place(left.remove(index.index(left.len()))));
                }
            }
            for place in asked.into_iter().chain(left.clone()) {
                let before = left.iter().filter(|other| **other < place).count();
                prop_assert_eq!(queue.rank(Place(place)), before);
            }
            prop_assert_eq!(queue.len(), left.len());
            for place in left {
                prop_assert_eq!(queue.pop_first(), Some((Place(place), TaskId(place))));
            }
            prop_assert_eq!(queue.pop_first(), None);
            prop_assert!(queue.counts.iter().all(BTreeMap::is_empty));
        }
    }

    #[test]
    fn removing_a_place_that_is_not_reachable_changes_nothing() {
        let mut queue = Queue::default();
        queue.insert(Place(7), TaskId(7));
        queue.remove(Place(8));
        assert_eq!((queue.len(), queue.rank(Place(9))), (1, 1));
    }
}
