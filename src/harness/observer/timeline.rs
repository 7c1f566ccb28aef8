//! What one device did, in less than a hundred bytes. Sans-IO.

use std::time::Duration;

use crate::clock::Instant;
use crate::harness::result::{DeviceStep, StepKind};

/// How many of the first steps are kept for good.
const FIRST: usize = 4;

/// How many of the last ones.
const LAST: usize = 8;

/// A step in six bytes: milliseconds go up to 49 days, what is later has that time.
#[derive(Clone, Copy, Debug)]
struct Step {
    at_ms: u32,
    kind: StepKind,
    /// 0: none.
    result: u8,
}

const NONE: Step = Step {
    at_ms: 0,
    kind: StepKind::Booted,
    result: 0,
};

/// The first steps of a device and its last.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    steps: [Step; FIRST + LAST],
    /// How many there were.
    count: u32,
}

impl Timeline {
    pub(super) fn add(&mut self, at: Instant, kind: StepKind, result: Option<u8>) {
        let step = Step {
            at_ms: u32::try_from(at.since_origin().as_millis()).unwrap_or(u32::MAX),
            kind,
            result: result.unwrap_or_default(),
        };
        if let Some(place) = self.steps.get_mut(Self::place(self.count)) {
            *place = step;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Its steps in their order, and how many are missing between the first and the last.
    pub(super) fn told(&self) -> (Vec<DeviceStep>, u32) {
        let kept_max = (FIRST + LAST) as u32;
        let left_out = self.count.saturating_sub(kept_max);
        let first = 0..self.count.min(FIRST as u32);
        let last = (FIRST as u32 + left_out)..self.count;
        let steps = first.chain(last).filter_map(|number| {
            let step = self.steps.get(Self::place(number))?;
            Some(DeviceStep {
                at_ms: u64::from(step.at_ms),
                step: step.kind,
                result: (step.result != 0).then_some(step.result),
            })
        });
        (steps.collect(), left_out)
    }

    const fn place(number: u32) -> usize {
        let number = number as usize;
        if number < FIRST {
            number
        } else {
            FIRST + (number - FIRST) % LAST
        }
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            steps: [NONE; FIRST + LAST],
            count: 0,
        }
    }
}

/// An instant in eight bytes of which some are none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn set(&mut self, at: Instant) {
        let ns = u64::try_from(at.since_origin().as_nanos()).unwrap_or(u64::MAX);
        self.0 = ns.saturating_add(1);
    }

    pub(super) const fn at(self) -> Option<Instant> {
        match self.0.checked_sub(1) {
            Some(ns) => Some(Instant::from_origin(Duration::from_nanos(ns))),
            None => None,
        }
    }

    pub(super) const fn take(&mut self) -> Option<Instant> {
        let at = self.at();
        self.0 = 0;
        at
    }
}

/// A length of time in four bytes of which some are none: milliseconds go up to 49 days, what is longer
/// has that length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took(u32);

impl Took {
    pub(super) fn set(&mut self, took: Duration) {
        let ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        self.0 = ms.saturating_add(1);
    }

    pub(super) fn get(self) -> Option<Duration> {
        let ms = self.0.checked_sub(1)?;
        Some(Duration::from_millis(u64::from(ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_takes_at_most_a_hundred_bytes() {
        assert!(size_of::<Timeline>() <= 100, "{}", size_of::<Timeline>());
    }

    #[test]
    fn a_long_life_keeps_its_beginning_and_its_end() {
        let mut timeline = Timeline::default();
        for second in 0..30 {
            let at = Instant::from_origin(Duration::from_secs(second));
            timeline.add(at, StepKind::DownloadFailed, Some(5));
            let (steps, left_out) = timeline.told();
            assert_eq!(steps.len() as u64 + u64::from(left_out), second + 1);
        }
        let (steps, left_out) = timeline.told();
        let seconds: Vec<_> = steps.iter().map(|step| step.at_ms / 1000).collect();
        assert_eq!(seconds, [0, 1, 2, 3, 22, 23, 24, 25, 26, 27, 28, 29]);
        assert_eq!(left_out, 18);
        assert_eq!(steps[0].result, Some(5));
    }

    #[test]
    fn a_mark_at_the_origin_is_one() {
        let mut mark = Mark::default();
        assert_eq!(mark.at(), None);
        mark.set(Instant::ORIGIN);
        assert_eq!(mark.take(), Some(Instant::ORIGIN));
        assert_eq!(mark.at(), None);
    }
}
