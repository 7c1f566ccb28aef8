//! One run: the devices of a cell that may begin in one phase, until the last is done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::model::{AdmissionPolicy, CellId, CoverageTier, RetryPolicy, TierLimits};

use super::calendar::{Calendar, Ms, NEVER};
use super::{CellLoad, Guess, ms};

/// How many tiers there are.
const TIERS: usize = CoverageTier::ALL.len();

/// How often a device is heard in vain at most, in one run, by the number of devices.
const WAKES_MAX: u64 = 50;

/// Devices of one tier of a cell that stand alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) load: CellLoad,
    /// How long a slot is held.
    pub(super) slot: Guess,
    /// What comes after it until the device is done.
    pub(super) rest: Guess,
    /// From contact to contact.
    pub(super) contact: Guess,
    /// What part of the attempts succeeds.
    pub(super) success: f64,
}

/// A cell's devices of one phase.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// `None`: each is alone in its own.
    pub(super) cell: Option<CellId>,
    pub(super) phase: u16,
    pub(super) limits: TierLimits,
    /// For how many devices each stands that is played.
    pub(super) each_for: u64,
    /// Of each tier at most one.
    pub(super) groups: Vec<Group>,
}

/// What is the same for all cells.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) calendar: Calendar,
    pub(super) admission: AdmissionPolicy,
    pub(super) retry: RetryPolicy,
    /// How long one that sleeps waits for its slot by itself.
    pub(super) awake: Duration,
    /// For how long it is kept awake for it, and how many of a cell are.
    pub(super) held: Option<(Duration, u32)>,
    /// For how long the devices could have been heard already.
    pub(super) begun_for: Duration,
}

/// What of a cell was done when.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// When each of its devices was.
    pub(super) all: Vec<Ms>,
    /// The tier of the last.
    pub(super) last_tier: Option<CoverageTier>,
}

impl Cell {
    pub(super) fn devices(&self) -> u64 {
        self.groups.iter().map(|group| group.load.devices()).sum()
    }

    /// How many of them are played, each for itself and others.
    pub(super) fn stand_ins(&self) -> u64 {
        let of = |group: &Group| {
            let load = group.load;
            let parts = [load.listening, load.sleeping, load.updating];
            parts
                .map(|part| self.stand_ins_of(part))
                .iter()
                .sum::<u64>()
        };
        self.groups.iter().map(of).sum()
    }

    const fn stand_ins_of(&self, devices: u64) -> u64 {
        devices.div_ceil(self.each_for)
    }

    /// How many of those who are played update at once.
    fn played_limits(&self) -> TierLimits {
        let of = |tier| {
            let limit = u64::from(self.limits.of(tier)).div_ceil(self.each_for);
            u32::try_from(limit).unwrap_or(u32::MAX)
        };
        TierLimits {
            tier0: of(CoverageTier::Tier0),
            tier1: of(CoverageTier::Tier1),
            tier2: of(CoverageTier::Tier2),
            unknown: of(CoverageTier::Unknown),
        }
    }

    /// How many times longer one of those who are played has its slot: where there are fewer slots than devices
    /// that it stands for, they would have followed each other.
    fn slot_stretch(&self, tier: CoverageTier) -> f64 {
        let limit = self.limits.of(tier);
        if self.cell.is_none() || limit == 0 {
            return 1.0;
        }
        let played = u64::from(self.played_limits().of(tier)) * self.each_for;
        played as f64 / f64::from(limit)
    }

    /// A time, in seconds, that its devices do not come under: the slots' work, or the wait to be heard.
    pub(super) fn at_least(&self) -> f64 {
        let of = |group: &Group| {
            let limit = u64::from(self.limits.of(group.load.tier));
            let slots = self.cell.map_or(u64::MAX, |_| limit);
            let slots = slots.clamp(1, group.load.devices().max(1));
            let work = group.load.devices() as f64 * group.slot.mean / slots as f64;
            let heard = if group.load.sleeping > 0 {
                group.contact.mean
            } else {
                0.0
            };
            work.max(heard)
        };
        self.groups.iter().map(of).fold(0.0, f64::max)
    }
}

/// Somebody who may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Device {
    group: usize,
    failures: u8,
    sleeps: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Its slot is free: to be looked at before who waits for it.
    Ends(Device),
    /// It is heard.
    Heard(Device),
    /// One that waits falls asleep: its number in the queue.
    Sleeps(usize, u64),
    /// Something may begin again.
    Opens,
}

/// When the devices of a cell are done, of which none begins before `from`, nor sooner than `gap` after the
/// one before.
pub(super) fn play(cell: &Cell, rules: &Rules, from: Ms, gap: Ms, rng: &mut StdRng) -> Ends {
    let samples = cell.groups.iter().map(|group| {
        let mut samples = Samples::of(group, rng);
        samples.slot.mean *= cell.slot_stretch(group.load.tier);
        samples
    });
    let mut run = Run {
        cell,
        limits: cell.played_limits(),
        rules,
        samples: samples.collect(),
        from,
        gap,
        next_start: from,
        looks_at: None,
        active: [0; TIERS],
        waiting: vec![BTreeMap::new(); cell.groups.len()],
        numbers: 0,
        wakes: cell.stand_ins() * WAKES_MAX,
        events: BinaryHeap::new(),
        ends: Ends::default(),
        last: 0,
    };
    run.begin(rng);
    run.finish(rng);
    run.ends
}

struct Run<'a> {
    cell: &'a Cell,
    limits: TierLimits,
    rules: &'a Rules,
    samples: Vec<Samples>,
    from: Ms,
    gap: Ms,
    next_start: Ms,
    /// When something may begin again, where that is waited for.
    looks_at: Option<Ms>,
    active: [u32; TIERS],
    /// Of each group, in the order in which they were heard.
    waiting: Vec<BTreeMap<u64, Device>>,
    numbers: u64,
    wakes: u64,
    events: BinaryHeap<Reverse<(Ms, Event)>>,
    ends: Ends,
    last: Ms,
}

impl Run<'_> {
    fn begin(&mut self, rng: &mut StdRng) {
        for group in 0..self.cell.groups.len() {
            let load = self.cell.groups[group].load;
            let device = |sleeps| Device {
                group,
                failures: 0,
                sleeps,
            };
            for _ in 0..self.cell.stand_ins_of(load.updating) {
                self.active[load.tier as usize] += 1;
                let at = part(self.samples[group].slot.draw(rng), rng);
                self.at(at, Event::Ends(device(load.listening == 0)));
            }
            for _ in 0..self.cell.stand_ins_of(load.listening) {
                self.at(self.from, Event::Heard(device(false)));
            }
            let waited = ms(self.rules.begun_for);
            for _ in 0..self.cell.stand_ins_of(load.sleeping) {
                let interval = self.samples[group].contact.draw(rng);
                // One that was not heard for a while is heard in what is left, or is late.
                let left = interval.saturating_sub(waited).max(interval / 10);
                let first = part(if self.from > 0 { interval } else { left }, rng);
                let at = self.from.saturating_add(first);
                self.at(at, Event::Heard(device(true)));
            }
        }
    }

    fn finish(&mut self, rng: &mut StdRng) {
        while let Some(Reverse((now, event))) = self.events.pop() {
            match event {
                Event::Ends(device) => self.ended(now, device, rng),
                Event::Heard(device) => self.heard(now, device, rng),
                Event::Sleeps(group, number) => {
                    if let Some(device) = self.waiting[group].remove(&number) {
                        self.sleeps(now, device, rng);
                    }
                }
                Event::Opens => {}
            }
            self.grant(now, rng);
        }
        // Whose time does not come waits until the end.
        let end = self.rules.calendar.end();
        let left: usize = self.waiting.iter().map(BTreeMap::len).sum();
        self.ends.all.extend(std::iter::repeat_n(end, left));
    }

    fn ended(&mut self, now: Ms, device: Device, rng: &mut StdRng) {
        let group = &self.cell.groups[device.group];
        self.active[group.load.tier as usize] -= 1;
        let retry = self.rules.retry;
        if rng.r#gen::<f64>() >= group.success && device.failures < retry.retries_max {
            let heard = if device.sleeps {
                self.samples[device.group].contact.draw(rng)
            } else {
                0
            };
            let again = Device {
                failures: device.failures + 1,
                ..device
            };
            self.at(now + ms(retry.delay).max(heard), Event::Heard(again));
            return;
        }
        let done = now + self.samples[device.group].rest.draw(rng);
        self.ends.all.push(done);
        if done >= self.last {
            self.last = done;
            self.ends.last_tier = Some(group.load.tier);
        }
    }

    fn heard(&mut self, now: Ms, device: Device, rng: &mut StdRng) {
        let opens = self.rules.calendar.open_from(now.max(self.from));
        let waits_until = now.saturating_add(self.stay(device));
        let is_early = opens.is_none_or(|opens| opens > waits_until);
        if device.sleeps && is_early && self.may_wake() {
            let contact = self.samples[device.group].contact.draw(rng);
            // Nothing comes of the contacts before something may begin.
            let skipped = opens.map_or(0, |opens| opens.saturating_sub(now));
            let at = match opens {
                None => return self.ends.all.push(self.rules.calendar.end()),
                Some(opens) if skipped > contact => opens.saturating_add(part(contact, rng)),
                Some(_) => now.saturating_add(contact),
            };
            self.at(at, Event::Heard(device));
            return;
        }
        self.numbers += 1;
        self.waiting[device.group].insert(self.numbers, device);
        if device.sleeps {
            self.at(waits_until, Event::Sleeps(device.group, self.numbers));
        }
    }

    /// How long it waits: as long as it listens, or is kept awake where there is a place.
    fn stay(&self, device: Device) -> Ms {
        let waiting: usize = self.waiting.iter().map(BTreeMap::len).sum();
        match self.rules.held {
            Some((hold, places))
                if device.sleeps && (waiting as u64) < self.cell.stand_ins_of(places.into()) =>
            {
                ms(hold.max(self.rules.awake))
            }
            Some(_) | None => ms(self.rules.awake),
        }
    }

    fn sleeps(&mut self, now: Ms, device: Device, rng: &mut StdRng) {
        if !self.may_wake() {
            // Enough of it: it is taken to be awake from now on.
            self.numbers += 1;
            self.waiting[device.group].insert(self.numbers, device);
            return;
        }
        let contact = self.samples[device.group].contact.draw(rng);
        self.at(now.saturating_add(contact), Event::Heard(device));
    }

    fn may_wake(&mut self) -> bool {
        let may = self.wakes > 0;
        self.wakes = self.wakes.saturating_sub(1);
        may
    }

    /// Gives slots to those who wait, as long as something may begin and the cell admits one of them.
    fn grant(&mut self, now: Ms, rng: &mut StdRng) {
        while let Some(group) = self.next() {
            let Some(opens) = self.rules.calendar.open_from(now.max(self.next_start)) else {
                return;
            };
            if opens > now {
                if self.looks_at.is_none_or(|at| at <= now || at > opens) {
                    self.looks_at = Some(opens);
                    self.at(opens, Event::Opens);
                }
                return;
            }
            if let Some((_, device)) = self.waiting[group].pop_first() {
                self.active[self.cell.groups[group].load.tier as usize] += 1;
                let held = self.samples[group].slot.draw(rng);
                self.at(now.saturating_add(held), Event::Ends(device));
                self.next_start = now.max(self.next_start) + self.gap;
            }
        }
    }

    /// The group whose first was heard before those of others, among those that the cell admits.
    fn next(&self) -> Option<usize> {
        let first = |group: usize| self.waiting[group].first_key_value().map(|(at, _)| *at);
        let waiting = (0..self.waiting.len()).filter_map(|group| Some((first(group)?, group)));
        let admitted = waiting.filter(|(_, group)| {
            let tier = self.cell.groups[*group].load.tier;
            let (limits, admission) = (&self.limits, self.rules.admission);
            // Where there is no slot for a tier at all it would wait for ever.
            self.cell.cell.is_none()
                || limits.of(tier) == 0 && self.active == [0; TIERS]
                || admission.admits(tier, &self.active, limits)
        });
        admitted.min().map(|(_, group)| group)
    }

    fn at(&mut self, at: Ms, event: Event) {
        self.events.push(Reverse((at.min(NEVER), event)));
    }
}

/// When the last of many devices is done that do not wait for each other, of which none begins before `from`
/// and one in each `gap`.
pub(super) fn last_heard(
    cells: &[&Cell],
    rules: &Rules,
    from: Ms,
    gap: f64,
    rng: &mut StdRng,
) -> Ms {
    let groups = cells.iter().flat_map(|cell| &cell.groups);
    let slowest = groups
        .clone()
        .max_by(|one, other| one.slot.mean.total_cmp(&other.slot.mean));
    let Some(slowest) = slowest else {
        return from;
    };
    let sleeping: u64 = groups.clone().map(|group| group.load.sleeping).sum();
    let devices: u64 = groups.map(|group| group.load.devices()).sum();
    let samples = Samples::of(slowest, rng);
    // The last of n times that are spread evenly.
    let last = rng.r#gen::<f64>().powf(1.0 / sleeping.max(1) as f64);
    let heard = if sleeping > 0 {
        samples.contact.draw(rng) as f64 * last
    } else {
        0.0
    };
    let begins = (from as f64 + heard.max(devices as f64 * gap)) as Ms;
    let begins = rules.calendar.open_from(begins);
    let begins = begins.unwrap_or_else(|| rules.calendar.end());
    begins + samples.slot.draw(rng) + samples.rest.draw(rng)
}

/// Times of a group, as they are in one run.
#[derive(Clone, Copy, Debug)]
struct Samples {
    slot: Sample,
    rest: Sample,
    contact: Sample,
}

impl Samples {
    fn of(group: &Group, rng: &mut StdRng) -> Self {
        Self {
            slot: Sample::of(&group.slot, rng),
            rest: Sample::of(&group.rest, rng),
            contact: Sample::of(&group.contact, rng),
        }
    }
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
