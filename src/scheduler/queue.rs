//! The reachable tasks of one tier of a cell in the order in which they are served, with the rank of any
//! place.

use std::collections::VecDeque;

use crate::clock::Utc;
use crate::model::TaskId;

/// A task's place in its cell. First those that are overdue, as they came; then those of an earlier round,
/// then by lot: neither numbers nor names of devices, nor the order in which they wake, say who is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The round above [`LOT_BITS`], and below it the lot.
    order: u64,
    /// The order in which tasks first asked for a slot of the cell. Also what tells two of one lot apart.
    pub(super) arrival: u64,
}

/// How many bits a lot has.
const LOT_BITS: u32 = 30;
/// No other stands in this round. In the place of a lot it has the minute since which a task waits.
const OVERDUE: u64 = 0;

impl Place {
    /// The place of one that asked in `round`, whatever of `lot` fits in it.
    pub(super) fn new(round: u32, lot: u64, arrival: u64) -> Self {
        let order = u64::from(round) << LOT_BITS | lot >> (u64::BITS - LOT_BITS);
        Self { order, arrival }
    }

    /// The same of one that waits since then, which is too long.
    pub(super) fn overdue(self, since: Utc) -> Self {
        let minute = u64::try_from(since.unix_ms() / 60_000).unwrap_or(0);
        let order = OVERDUE << LOT_BITS | minute.min((1 << LOT_BITS) - 1);
        Self { order, ..self }
    }

    /// Whether it comes before all that are not.
    pub(super) const fn is_overdue(self) -> bool {
        self.round() == OVERDUE
    }

    /// In which round it is served.
    pub(super) const fn round(self) -> u64 {
        self.order >> LOT_BITS
    }

    /// The same, a round earlier.
    pub(super) fn lifted(self) -> Self {
        let order = match self.round() {
            OVERDUE => self.order,
            round if round == OVERDUE + 1 => self.order,
            _ => self.order - (1 << LOT_BITS),
        };
        Self { order, ..self }
    }
}

/// How many tasks stand together at the most. Half as many are moved when one comes between them, and one
/// number for each so many is added up for a rank.
const BLOCK_MAX: usize = if cfg!(test) { 8 } else { 512 };

/// Reachable tasks by place. Places that are not in it cost nothing, however many they are.
///
/// What a tree would spread over the memory lies together here: a task that comes, or goes, costs a few
/// cache lines however many wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// None is empty; each is in order, and before the next.
    blocks: Vec<VecDeque<(Place, TaskId)>>,
    len: usize,
}

impl Queue {
    /// How many reachable tasks wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts a task at its place.
    pub(super) fn insert(&mut self, place: Place, task: TaskId) {
        let mut index = self.block_of(place);
        if self.blocks.is_empty() {
            self.blocks.push(VecDeque::new());
        }
        if self.blocks[index].len() >= BLOCK_MAX {
            let behind = self.blocks[index].split_off(BLOCK_MAX / 2);
            self.blocks.insert(index + 1, behind);
            index = self.block_of(place);
        }
        let block = &mut self.blocks[index];
        match search(block, place) {
            Ok(at) => block[at].1 = task,
            Err(at) => {
                block.insert(at, (place, task));
                self.len += 1;
            }
        }
    }

    /// Takes the task at this place out; whether one was reachable there.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        let index = self.block_of(place);
        let Some(block) = self.blocks.get_mut(index) else {
            return false;
        };
        let Ok(at) = search(block, place) else {
            return false;
        };
        block.remove(at);
        self.len -= 1;
        self.join(index);
        if let Some(before) = index.checked_sub(1) {
            self.join(before);
        }
        true
    }

    /// Whether one is reachable at this place.
    pub(super) fn contains(&self, place: Place) -> bool {
        let block = self.blocks.get(self.block_of(place));
        block.is_some_and(|block| search(block, place).is_ok())
    }

    /// The first place at which one waits.
    pub(super) fn first(&self) -> Option<Place> {
        Some(self.blocks.first()?.front()?.0)
    }

    /// Takes the first task out.
    pub(super) fn pop_first(&mut self) -> Option<(Place, TaskId)> {
        let first = self.blocks.first_mut()?.pop_front()?;
        self.len -= 1;
        self.join(0);
        Some(first)
    }

    /// How many reachable tasks stand before this place.
    pub(super) fn rank(&self, place: Place) -> usize {
        let index = self.block_of(place);
        let (before, behind) = self.blocks.split_at(index);
        let in_block = behind
            .first()
            .map_or(0, |block| match search(block, place) {
                Ok(at) | Err(at) => at,
            });
        before.iter().map(VecDeque::len).sum::<usize>() + in_block
    }

    /// The block that has this place, or would have it.
    fn block_of(&self, place: Place) -> usize {
        let begins_by = |block: &VecDeque<(Place, TaskId)>| {
            let first = block.front();
            first.is_some_and(|(first, _)| *first <= place)
        };
        self.blocks.partition_point(begins_by).saturating_sub(1)
    }

    /// Joins a block with the next where both are small: there are at most four where there need be one.
    fn join(&mut self, index: usize) {
        let len = self.blocks[index].len();
        let next = self.blocks.get_mut(index + 1);
        let next = next.filter(|next| len + next.len() <= BLOCK_MAX / 2);
        if let Some(next) = next {
            let mut behind = std::mem::take(next);
            self.blocks[index].append(&mut behind);
            self.blocks.remove(index + 1);
        } else if len == 0 {
            self.blocks.remove(index);
        }
    }
}

fn search(block: &VecDeque<(Place, TaskId)>, place: Place) -> Result<usize, usize> {
    block.binary_search_by_key(&place, |(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_place() -> impl Strategy<Value = (u32, u64)> {
        // Few lots, so that some meet; and all.
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
            prop_assert!(queue.blocks.len() <= 4 * left.len() / BLOCK_MAX + 1);
            left.sort();
            for place in left {
                prop_assert_eq!(queue.pop_first(), Some((place, TaskId(place.arrival))));
            }
            prop_assert_eq!(queue.pop_first(), None);
            prop_assert!(queue.blocks.is_empty());
        }

        #[test]
        fn an_earlier_round_goes_before_any_lot(
            (round, lot) in any_place(), other in any::<u64>(), arrivals in any::<(u64, u64)>(),
        ) {
            let round = round.max(1);
            let place = Place::new(round, lot, arrivals.0);
            prop_assert_eq!(place.round(), u64::from(round));
            let lifted = place.lifted();
            prop_assert_eq!(lifted.round(), u64::from(round.saturating_sub(1).max(1)));
            prop_assert_eq!(lifted.arrival, place.arrival);
            if round > 1 {
                prop_assert!(lifted < Place::new(round, other, arrivals.1));
            }
            let overdue = place.overdue(Utc::from_unix_ms(i64::MAX));
            prop_assert!(overdue.is_overdue() && !lifted.is_overdue());
            prop_assert!(overdue < lifted && overdue.lifted() == overdue);
            prop_assert!(place.overdue(Utc::default()) < overdue);
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
