//! How much is enough to break a threshold: bisection over runs. Sans-IO.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::result::RunResult;

/// The most runs, the two at the ends among them: the range is halved by each of the others.
const RUNS_MAX: usize = 34;

/// One run of the search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// With how many devices, or at what rate.
    pub amount: u64,
    /// Whether all thresholds held.
    pub held: bool,
    /// Those that did not.
    pub broken: Vec<String>,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FoundLimit {
    /// The most that held; `None`: not even the least did.
    pub holds: Option<u64>,
    /// The least that broke, above it; `None`: even the most held.
    pub breaks: Option<u64>,
    /// All runs, in their order.
    pub tried: Vec<Tried>,
}

/// Finds the most in a range that holds, to within `precision` (at least 1), where what holds with some
/// also holds with fewer: a run at each end, then always one in the middle of what is not known yet.
///
/// # Errors
/// As `run`.
pub fn find_limit<E>(
    range: RangeInclusive<u64>,
    precision: u64,
    mut run: impl FnMut(u64) -> Result<RunResult, E>,
) -> Result<FoundLimit, E> {
    let mut found = FoundLimit::default();
    let (least, most) = range.into_inner();
    if least > most || !found.take(least, &run(least)?) {
        return Ok(found);
    }
    if most == least || found.take(most, &run(most)?) {
        return Ok(found);
    }
    while let (Some(holds), Some(breaks)) = (found.holds, found.breaks)
        && breaks - holds > precision.max(1)
        && found.tried.len() < RUNS_MAX
    {
        let middle = holds + (breaks - holds) / 2;
        found.take(middle, &run(middle)?);
    }
    Ok(found)
}

impl FoundLimit {
    /// Notes a run, and says whether it held.
    fn take(&mut self, amount: u64, result: &RunResult) -> bool {
        let tried = Tried::of(amount, result);
        let held = tried.held;
        *(if held {
            &mut self.holds
        } else {
            &mut self.breaks
        }) = Some(amount);
        self.tried.push(tried);
        held
    }
}

impl Tried {
    /// What a run with so much came to.
    pub fn of(amount: u64, result: &RunResult) -> Self {
        let broken = result
            .thresholds
            .iter()
            .filter(|threshold| !threshold.held());
        let broken =
            broken.map(|of| format!("{}: {} ({})", of.metric, of.expression, of.observed_text));
        Self {
            amount,
            held: result.held(),
            broken: broken.chain(result.unfinished()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::harness::sample;

    fn search(range: RangeInclusive<u64>, precision: u64, limit: u64) -> FoundLimit {
        let run = |amount| {
            let active = i64::try_from(amount).unwrap();
            let bound = format!("max<={limit}");
            Ok::<_, Infallible>(sample::of_gauge("cell.active", active, &bound))
        };
        find_limit(range, precision, run).unwrap()
    }

    proptest! {
        #[test]
        fn the_limit_lies_between_what_held_and_what_broke(
            least in 1u64..1000, more in 0u64..100_000, limit in 0u64..120_000, precision in 0u64..50,
        ) {
            let most = least + more;
            let found = search(least..=most, precision, limit);
            prop_assert_eq!(found.holds.is_some(), limit >= least);
            prop_assert_eq!(found.breaks.is_none(), limit >= most);
            if let (Some(holds), Some(breaks)) = (found.holds, found.breaks) {
                prop_assert!(holds <= limit && limit < breaks);
                prop_assert!(breaks - holds <= precision.max(1));
            }
            prop_assert!(found.tried.len() <= 2 + 17);
        }
    }

    #[test]
    fn what_broke_is_told_with_each_run() {
        let found = search(10..=20, 5, 12);
        let amounts: Vec<_> = found
            .tried
            .iter()
            .map(|tried| (tried.amount, tried.held))
            .collect();
        assert_eq!(amounts, [(10, true), (20, false), (15, false)]);
        assert_eq!(found.tried[1].broken, ["cell.active: max<=12 (20)"]);
        assert_eq!((found.holds, found.breaks), (Some(10), Some(15)));
    }

    #[test]
    fn a_range_that_is_none_is_not_run() {
        let (least, most) = (20, 10);
        let found = search(least..=most, 1, 5);
        assert_eq!(found, FoundLimit::default());
    }
}
