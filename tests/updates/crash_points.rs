//! Where the server dies: at every kind of commit and of sending, and at any time between.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;

/// What a batch holds; see `src/server/failpoint.rs`. In the order of a firmware task's way.
const MARKS: [&str; 10] = [
    "registered",
    "negotiated",
    "slot_granted",
    "uri_written",
    "block",
    "downloaded",
    "execute_intended",
    "execute_answered",
    "result_read",
    "succeeded",
];

/// Around its commit; a block rests on none, and counts once it was sent.
const AROUND: [&str; POINTS] = ["before_commit", "after_commit", "after_send"];

/// How many these are.
pub(crate) const POINTS: usize = 3;

/// Deaths of one round: each mark once, and so many at a time that chance chooses.
const BY_CHANCE: usize = 2;

/// One death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// SIGKILL from outside.
    ByChance,
    /// Its own, at a failpoint.
    At {
        point: &'static str,
        mark: &'static str,
    },
}

impl Death {
    /// The marks one after the other, each at another point in the next round.
    pub(crate) fn plan(rounds: usize) -> Vec<Self> {
        (0..rounds).flat_map(Self::round).collect()
    }

    fn round(round: usize) -> Vec<Self> {
        let at = |index: usize, mark| Self::At {
            point: AROUND[(index + round) % POINTS],
            mark,
        };
        let mut deaths: Vec<_> = (0..)
            .zip(MARKS)
            .map(|(index, mark)| at(index, mark))
            .collect();
        for at in 0..BY_CHANCE {
            deaths.insert(deaths.len() / 2 * at, Self::ByChance);
        }
        deaths
    }

    /// What arms the server; it dies at one of the first `often` occasions.
    pub(crate) fn failpoint(&self, rng: &mut StdRng, often: u32) -> Option<String> {
        match self {
            Self::ByChance => None,
            Self::At { point, mark } => {
                let left = rng.gen_range(1..=often);
                Some(format!("{point}:{mark}:{left}"))
            }
        }
    }
}

/// How often it died where.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    by_mark: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
}

impl Deaths {
    pub(crate) fn count(&mut self, death: &Death) {
        let (mark, point) = match death {
            Death::ByChance => ("by chance", "at any time"),
            Death::At { point, mark } => (*mark, *point),
        };
        let by_point = self.by_mark.entry(mark).or_default();
        *by_point.entry(point).or_default() += 1;
    }

    /// Prints all of them; none that was planned is missing.
    pub(crate) fn check(&self, planned: &[Death]) {
        for (mark, by_point) in &self.by_mark {
            println!("  {mark:<17}{by_point:?}");
        }
        let total: usize = self.by_mark.values().flat_map(BTreeMap::values).sum();
        assert_eq!(total, planned.len(), "of {planned:?}");
    }

    /// Each mark has its death at each point.
    pub(crate) fn check_marks(&self) {
        for mark in MARKS {
            let points = self.by_mark.get(mark).map_or(0, BTreeMap::len);
            assert_eq!(points, POINTS, "of {mark}");
        }
    }
}
