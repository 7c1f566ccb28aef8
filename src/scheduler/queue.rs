//! The reachable tasks of one tier of a cell in the order in which they are served, with the rank of any
//! place.

use std::collections::BTreeMap;

use crate::model::TaskId;

/// A task's place in its cell. First those of an earlier round, then by lot: neither numbers nor names of
/// devices, nor the order in which they wake, say who is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The round above [`LOT_BITS`], and below it the lot.
    order: u64,
    /// The order in which tasks first asked for a slot of the cell. Also what tells two of one lot apart.
    pub(super) arrival: u64,
}

/// How many bits a lot has.
const LOT_BITS: u32 = 30;

impl Place {
    /// The place of one that asked in `round`, whatever of `lot` fits in it.
    pub(super) fn new(round: u32, lot: u64, arrival: u64) -> Self {
        let order = u64::from(round) << LOT_BITS | lot >> (u64::BITS - LOT_BITS);
        Self { order, arrival }
    }

    /// In which round it is served.
    pub(super) const fn round(self) -> u64 {
        self.order >> LOT_BITS
    }

    /// The same, a round earlier.
    pub(super) fn lifted(self) -> Self {
        let order = match self.round() {
            0 => self.order,
            _ => self.order - (1 << LOT_BITS),
        };
        Self { order, ..self }
    }
}

/// How much of the order each level of counts takes together, as a power of two. Up to a million tasks of
/// one round a rank is about 64 steps a level; the top level has one count for every 2^16 rounds.
const LEVEL_BITS: [u32; 7] = [10, 16, 22, 28, 34, 40, 46];

/// Reachable tasks by place. Places that are not in it cost nothing, however many they are.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tasks: BTreeMap<Place, TaskId>,
    /// For each level, how many tasks stand in each run of 2^bits of the order; no zeroes.
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
            *counts.entry(place.order >> bits).or_default() += 1;
        }
    }

    /// Takes the task at this place out; whether one was reachable there.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        let was_there = self.tasks.remove(&place).is_some();
        if was_there {
            self.uncount(place);
        }
        was_there
    }

    /// Whether one is reachable at this place.
    pub(super) fn contains(&self, place: Place) -> bool {
        self.tasks.contains_key(&place)
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
        let order = (place.order >> LEVEL_BITS[0]) << LEVEL_BITS[0];
        let run_start = Place { order, arrival: 0 };
        let mut rank = self.tasks.range(run_start..place).count();
        for (level, (counts, bits)) in self.counts.iter().zip(LEVEL_BITS).enumerate() {
            // Whole runs of this level, from the start of the run of the level above.
            let first = LEVEL_BITS
                .get(level + 1)
                .map_or(0, |above| (place.order >> above) << (above - bits));
            let runs = counts.range(first..place.order >> bits);
            rank += runs.map(|(_, count)| *count as usize).sum::<usize>();
        }
        rank
    }

    fn uncount(&mut self, place: Place) {
        for (counts, bits) in self.counts.iter_mut().zip(LEVEL_BITS) {
            let run = place.order >> bits;
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

    fn any_place() -> impl Strategy<Value = (u32, u64)> {
        // Few lots, so that some meet; and all, so that every level of the counts is reached.
        let round = prop_oneof![0_u32..3, any::<u32>()];
        let lot = prop_oneof![(0_u64..4).prop_map(|lot| lot << 34), any::<u64>()];
        (round, lot)
    }

    fn places(drawn: &[(u32, u64)], first_arrival: u64) -> Vec<Place> {
        (first_arrival..)
            .zip(drawn)
            .map(|(arrival, (round, lot))| Place::new(*round, *lot, arrival))
            .collect()
    }

    proptest! {
        #[test]
        fn a_rank_is_the_number_of_tasks_before_the_place(
            drawn in prop::collection::vec(any_place(), 0..120),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
            asked in prop::collection::vec(any_place(), 1..20),
        ) {
            let mut left = places(&drawn, 0);
            let mut queue = Queue::default();
            for place in &left {
                queue.insert(*place, TaskId(place.arrival));
            }
            for index in removed {
                if !left.is_empty() {
                    prop_assert!(queue.remove(left.remove(index.index(left.len()))));
                }
            }
            for place in places(&asked, 500).into_iter().chain(left.clone()) {
                let before = left.iter().filter(|other| **other < place).count();
                prop_assert_eq!(queue.rank(place), before);
            }
            prop_assert_eq!(queue.len(), left.len());
            left.sort();
            for place in left {
                prop_assert_eq!(queue.pop_first(), Some((place, TaskId(place.arrival))));
            }
            prop_assert_eq!(queue.pop_first(), None);
            prop_assert!(queue.counts.iter().all(BTreeMap::is_empty));
        }

        #[test]
        fn an_earlier_round_goes_before_any_lot(
            (round, lot) in any_place(), other in any::<u64>(), arrivals in any::<(u64, u64)>(),
        ) {
            let place = Place::new(round, lot, arrivals.0);
            prop_assert_eq!(place.round(), u64::from(round));
            let lifted = place.lifted();
            prop_assert_eq!(lifted.round(), u64::from(round.saturating_sub(1)));
            prop_assert_eq!(lifted.arrival, place.arrival);
            if round > 0 {
                prop_assert!(lifted < Place::new(round, other, arrivals.1));
            }
        }
    }

    #[test]
    fn removing_a_place_that_is_not_reachable_changes_nothing() {
        let mut queue = Queue::default();
        queue.insert(Place::new(1, 7, 7), TaskId(7));
        assert!(!queue.remove(Place::new(1, 7, 8)));
        assert_eq!((queue.len(), queue.rank(Place::new(1, 7, 9))), (1, 1));
    }
}
