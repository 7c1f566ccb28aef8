//! One run: the devices of a tier of a cell, until the last is done.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::clock::Utc;
use crate::model::RetryPolicy;

use super::super::{Timetable, Timing};
use super::{CellLoad, Guess};

/// Devices that stand alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) load: CellLoad,
    /// How long a slot is held.
    pub(super) slot: Guess,
    /// From contact to contact.
    pub(super) contact: Guess,
    /// What part of the attempts succeeds.
    pub(super) success: f64,
    pub(super) retry: RetryPolicy,
    /// How long one that sleeps waits for its slot.
    pub(super) awake: Duration,
    /// For how long its devices could have been heard already.
    pub(super) begun_for: Duration,
}

/// Milliseconds from the time of the estimate.
type Ms = u64;

/// No wait is longer: what does not come by then does not come.
const NEVER: Ms = 10 * 365 * 24 * 60 * 60 * 1000;

/// How often a device is heard in vain at most, in one run, by the number of devices.
const WAKES_MAX: u64 = 50;

/// When something may begin.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    /// From, inclusive, and to, exclusive, in order.
    open: Vec<(Ms, Ms)>,
}

impl Calendar {
    /// As many openings as are looked at: those of two years, day by day.
    const OPENINGS_MAX: usize = 730;

    pub(super) fn new(timetable: &Timetable, now: Utc) -> Self {
        let mut open = Vec::new();
        let mut at = now;
        let ms = |at: Utc| u64::try_from(at.saturating_since(now).as_millis()).unwrap_or(NEVER);
        while open.len() < Self::OPENINGS_MAX {
            match timetable.timing(at) {
                Timing::Open { until: Some(until) } => {
                    open.push((ms(at), ms(until)));
                    at = until;
                }
                Timing::Open { until: None } => {
                    open.push((ms(at), NEVER));
                    break;
                }
                Timing::Ahead { opens_at }
                | Timing::Closed {
                    opens_at: Some(opens_at),
                } => at = opens_at,
                Timing::Closed { opens_at: None } | Timing::Over => break,
            }
        }
        Self { open }
    }

    /// The first moment from `at` on at which something may begin.
    fn open_from(&self, at: Ms) -> Option<Ms> {
        let next = self.open.partition_point(|(_, to)| *to <= at);
        self.open.get(next).map(|(from, _)| at.max(*from))
    }

    /// From then on nothing begins.
    fn end(&self) -> Ms {
        self.open.last().map_or(0, |(_, to)| *to)
    }
}

/// Somebody who may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: Ms,
    failures: u8,
    sleeps: bool,
}

impl Group {
    /// A time, in seconds, that its devices do not come under: the slots' work, or the wait to be heard.
    pub(super) fn at_least(&self) -> f64 {
        let work = self.load.devices() as f64 * self.slot.mean / self.slots() as f64;
        let heard = if self.load.sleeping > 0 {
            self.contact.mean
        } else {
            0.0
        };
        work.max(heard)
    }

    fn slots(&self) -> u64 {
        let limit = self.load.cell.map_or(u64::MAX, |_| self.load.limit.into());
        limit.clamp(1, self.load.devices().max(1))
    }
}

/// When the last of its devices is done.
pub(super) fn play(group: &Group, calendar: &Calendar, rng: &mut StdRng) -> Duration {
    let slot = Sample::of(&group.slot, rng);
    let contact = Sample::of(&group.contact, rng);
    let mut end = 0;
    let mut slots = BinaryHeap::new();
    for _ in 0..group.load.updating {
        let at = part(slot.draw(rng), rng);
        slots.push(Reverse(at));
        end = end.max(at);
    }
    while (slots.len() as u64) < group.slots() {
        slots.push(Reverse(0));
    }
    while slots.len() as u64 > group.slots() {
        slots.pop();
    }
    let mut arrivals = arrivals(group, contact, rng);
    let awake = ms(group.awake);
    let mut wakes = group.load.devices() * WAKES_MAX;
    while let Some(Reverse(one)) = arrivals.pop() {
        let free = slots.peek().map_or(0, |Reverse(at)| *at);
        let Some(begins) = calendar.open_from(one.at.max(free)) else {
            // Its time does not come: it waits until the end.
            end = end.max(calendar.end());
            continue;
        };
        if one.sleeps && begins > one.at.saturating_add(awake) && wakes > 0 {
            wakes -= 1;
            let at = one.at.saturating_add(contact.draw(rng));
            arrivals.push(Reverse(Arrival { at, ..one }));
            continue;
        }
        let ends = begins.saturating_add(slot.draw(rng));
        slots.pop();
        slots.push(Reverse(ends));
        end = end.max(ends);
        if rng.r#gen::<f64>() >= group.success && one.failures < group.retry.retries_max {
            let heard = if one.sleeps { contact.draw(rng) } else { 0 };
            arrivals.push(Reverse(Arrival {
                at: ends + ms(group.retry.delay).max(heard),
                failures: one.failures + 1,
                ..one
            }));
        }
    }
    Duration::from_millis(end)
}

/// When the devices are heard first.
fn arrivals(group: &Group, contact: Sample, rng: &mut StdRng) -> BinaryHeap<Reverse<Arrival>> {
    let mut arrivals = BinaryHeap::new();
    let arrival = |at, sleeps| {
        Reverse(Arrival {
            at,
            failures: 0,
            sleeps,
        })
    };
    for _ in 0..group.load.listening {
        arrivals.push(arrival(0, false));
    }
    let waited = ms(group.begun_for);
    for _ in 0..group.load.sleeping {
        let interval = contact.draw(rng);
        // One that was not heard for a while is heard in what is left, or is late.
        let left = interval.saturating_sub(waited).max(interval / 10);
        arrivals.push(arrival(part(left, rng), true));
    }
    arrivals
}

/// When the last of many devices is done that do not wait for each other.
pub(super) fn last_heard(groups: &[Group], calendar: &Calendar, rng: &mut StdRng) -> Duration {
    let Some(slowest) = groups.first() else {
        return Duration::ZERO;
    };
    let sleeping: u64 = groups.iter().map(|group| group.load.sleeping).sum();
    let (slot, contact) = (
        Sample::of(&slowest.slot, rng),
        Sample::of(&slowest.contact, rng),
    );
    // The last of n times that are spread evenly.
    let last = rng.r#gen::<f64>().powf(1.0 / sleeping.max(1) as f64);
    let heard = if sleeping > 0 {
        contact.draw(rng) as f64 * last
    } else {
        0.0
    };
    let begins = calendar.open_from(heard as Ms);
    let begins = begins.unwrap_or_else(|| calendar.end());
    Duration::from_millis(begins + slot.draw(rng))
}

/// A mean, as it is in one run, and by what part of it devices differ.
#[derive(Clone, Copy, Debug)]
struct Sample {
    mean: f64,
    spread: f64,
}

impl Sample {
    fn of(guess: &Guess, rng: &mut StdRng) -> Self {
        Self {
            mean: guess.mean * (1.0 + guess.doubt * normal(rng)).max(0.1),
            spread: guess.spread,
        }
    }

    fn draw(self, rng: &mut StdRng) -> Ms {
        let seconds = self.mean * (1.0 + self.spread * normal(rng)).max(0.1);
        ((seconds * 1000.0) as Ms).min(NEVER)
    }
}

/// Nearly normal, of mean 0 and deviation 1: the sum of three that are spread evenly over −1 to 1.
fn normal(rng: &mut StdRng) -> f64 {
    (0..3).map(|_| rng.gen_range(-1.0..1.0)).sum()
}

/// Some time up to this.
fn part(whole: Ms, rng: &mut StdRng) -> Ms {
    rng.gen_range(0..=whole)
}

fn ms(time: Duration) -> Ms {
    u64::try_from(time.as_millis()).unwrap_or(NEVER)
}
