//! 预计完成时间: when a campaign will be done, from what was seen of its devices, and from what is known
//! of the radio where nothing was seen yet.
//!
//! A campaign is played out some hundred times: devices are heard, wait for a slot of their cell and
//! tier, update, fail and come again. What the runs have in common is the estimate, and what they
//! differ in is its doubt. The cells that take longest are played out device by device; of the others
//! only the last to be heard counts.

mod play;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::clock::Utc;
use crate::model::{CellId, CoverageTier, RetryPolicy};

use super::Timetable;
use super::pace::{Pace, TierPace, Times};

use play::{Calendar, Group, play};

/// How many devices of a campaign stand alike in one tier of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellLoad {
    /// The cell; `None`: it is not known yet.
    pub cell: Option<CellId>,
    /// The tier.
    pub tier: CoverageTier,
    /// How many of it update at once.
    pub limit: u32,
    /// Devices that listen all the time and have no slot.
    pub listening: u64,
    /// Devices that sleep, were not heard yet or are not registered, and have no slot.
    pub sleeping: u64,
    /// Devices that have a slot.
    pub updating: u64,
}

/// What an estimate is made of.
#[derive(Clone, Copy, Debug)]
pub struct EtaInput<'a> {
    /// The time.
    pub now: Utc,
    /// When its devices could be heard first; `None`: not yet.
    pub begun_at: Option<Utc>,
    /// When something may begin.
    pub timetable: &'a Timetable,
    /// What each device fetches.
    pub size_bytes: u64,
    /// How failures are tried again.
    pub retry: RetryPolicy,
    /// The devices that are not done.
    pub loads: &'a [CellLoad],
    /// How long a device that sleeps waits for its slot before it falls asleep.
    pub awake: Duration,
    /// What was seen so far.
    pub pace: &'a Pace,
}

/// When a campaign will be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Eta {
    /// In half of the runs it was done by then.
    pub p50: Duration,
    /// In nine of ten runs it was done by then.
    pub p90: Duration,
    /// What took longest.
    pub limiting: Option<LimitingCell>,
    /// What was not seen, and taken as given.
    pub assumed: Vec<Assumption>,
}

/// The tier of a cell that ends last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitingCell {
    /// The cell; `None`: of devices whose cell is not known yet.
    pub cell: Option<CellId>,
    /// The tier.
    pub tier: CoverageTier,
    /// How many of it update at once.
    pub limit: u32,
    /// How many of its devices are not done.
    pub tasks: u64,
    /// In half of the runs they were done by then.
    pub p50: Duration,
}

/// A figure that was taken as given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumption {
    /// Which.
    pub figure: Figure,
    /// Of which tier, where it is of one.
    pub tier: Option<CoverageTier>,
    /// What it was taken for, in the figure's own unit.
    pub value: f64,
}

/// What an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Seconds from one 512-byte block to the next of a device that is alone in its cell.
    BlockSeconds,
    /// Seconds from the whole package to the result.
    InstallSeconds,
    /// Seconds from contact to contact of a device that sleeps.
    ContactSeconds,
    /// Of attempts that begin, the part that succeeds.
    SuccessShare,
    /// How many devices have no known cell: they are taken as if each were alone in its own.
    CellUnknown,
}

impl Figure {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BlockSeconds => "block_seconds",
            Self::InstallSeconds => "install_seconds",
            Self::ContactSeconds => "contact_seconds",
            Self::SuccessShare => "success_share",
            Self::CellUnknown => "cell_unknown",
        }
    }
}

/// The blocks that figures of the radio are given for.
const BLOCK_BYTES: u64 = 512;
/// Update and reboot (radio-sim-ux.md B3, an assumption there).
const INSTALL_SECONDS: f64 = 120.0;
/// Meters report once a day.
const CONTACT_SECONDS: f64 = 24.0 * 60.0 * 60.0;
/// Without a source.
const SUCCESS_SHARE: f64 = 0.98;
/// How much of what a cell can carry is for firmware (B3).
const FIRMWARE_SHARE: f64 = 0.7;

/// So many of something seen weigh more than what is assumed.
const SEEN_MIN: u64 = 3;
/// The same of blocks, of which each device fetches many.
const BLOCKS_SEEN_MIN: u64 = 50;
/// By what part devices of one tier differ where that was not seen.
const SPREAD: f64 = 0.3;
/// What comes is never quite like what was seen.
const DOUBT_MIN: f64 = 0.05;
/// By what part a figure may be wrong that was not seen.
const DOUBT: f64 = 0.4;

const RUNS_MAX: u64 = 200;
const RUNS_MIN: u64 = 50;
/// How many devices are played out over all runs: the work of an estimate.
const PLAYED_MAX: u64 = 500_000;

/// When the devices that are left will be done; `None` where there are none.
pub fn estimate(input: &EtaInput<'_>) -> Option<Eta> {
    let mut assumed = Vec::new();
    let mut groups: Vec<Group> = (input.loads.iter())
        .filter(|load| load.devices() > 0)
        .map(|load| group(input, load, &mut assumed))
        .collect();
    let devices: u64 = groups.iter().map(|group| group.load.devices()).sum();
    if devices == 0 {
        return None;
    }
    groups.sort_by(|one, other| other.at_least().total_cmp(&one.at_least()));
    let runs = (PLAYED_MAX / devices).clamp(RUNS_MIN, RUNS_MAX);
    let mut room = PLAYED_MAX / runs;
    let played = groups.iter().take_while(|group| {
        let fits = group.load.devices() <= room;
        room = room.saturating_sub(group.load.devices());
        fits
    });
    let (played, rest) = groups.split_at(played.count().max(1).min(groups.len()));
    let calendar = Calendar::new(input.timetable, input.now);
    let mut ends = vec![Vec::new(); played.len()];
    let mut lasts = Vec::new();
    for run in 0..runs {
        let mut rng = StdRng::seed_from_u64(run);
        let mut last = play::last_heard(rest, &calendar, &mut rng);
        for (group, ends) in played.iter().zip(&mut ends) {
            let end = play(group, &calendar, &mut rng);
            ends.push(end);
            last = last.max(end);
        }
        lasts.push(last);
    }
    let limiting = (played.iter().zip(&mut ends))
        .map(|(group, ends)| limiting(group, quantile(ends, 50)))
        .max_by_key(|cell| cell.p50);
    Some(Eta {
        p50: quantile(&mut lasts, 50),
        p90: quantile(&mut lasts, 90),
        limiting,
        assumed: summed(assumed),
    })
}

impl CellLoad {
    /// How many devices it is of.
    pub const fn devices(&self) -> u64 {
        self.listening + self.sleeping + self.updating
    }
}

/// Times of devices that stand alike, as they were seen or else as they are assumed.
fn group(input: &EtaInput<'_>, load: &CellLoad, assumed: &mut Vec<Assumption>) -> Group {
    let (pace, tier) = (input.pace, load.tier);
    let of_tier = pace.tier(tier);
    let of_cell = load.cell.and_then(|cell| pace.cell(cell, tier));
    let mut assume = |figure, tier, value| {
        assumed.push(Assumption {
            figure,
            tier,
            value,
        });
        value
    };
    if load.cell.is_none() {
        assume(Figure::CellUnknown, None, load.devices() as f64);
    }
    let seen = |of: fn(&TierPace) -> &Times, min| {
        let all = [of_cell.map(of), Some(of(of_tier))];
        let mut all = all.into_iter().flatten();
        all.find(|times| times.count() >= min).copied()
    };
    let slot = if let Some(times) = seen(|pace| &pace.slot, SEEN_MIN) {
        Guess::seen(&times)
    } else {
        let blocks = input.size_bytes.div_ceil(BLOCK_BYTES).max(1) as f64;
        let block = if let Some(times) = seen(|pace| &pace.block, BLOCKS_SEEN_MIN) {
            Guess::seen(&times)
        } else {
            let alone = assume(Figure::BlockSeconds, Some(tier), alone_seconds(tier));
            Guess::assumed(alone * crowding(load))
        };
        let install = assume(Figure::InstallSeconds, None, INSTALL_SECONDS);
        Guess {
            mean: block.mean * blocks + install,
            spread: SPREAD,
            doubt: block.doubt.max(DOUBT / 2.0),
        }
    };
    let contact = if pace.contact().count() >= SEEN_MIN {
        Guess::seen(pace.contact())
    } else if load.sleeping > 0 {
        Guess::assumed(assume(Figure::ContactSeconds, None, CONTACT_SECONDS))
    } else {
        Guess::assumed(CONTACT_SECONDS)
    };
    let ended = of_tier.succeeded + of_tier.failed;
    let success = if ended >= SEEN_MIN {
        // One more of each, as nothing is certain.
        (of_tier.succeeded + 1) as f64 / (ended + 2) as f64
    } else {
        assume(Figure::SuccessShare, None, SUCCESS_SHARE)
    };
    let begun_for = input.begun_at.map_or(Duration::ZERO, |begun_at| {
        input.now.saturating_since(begun_at)
    });
    Group {
        load: *load,
        slot,
        contact,
        success,
        retry: input.retry,
        awake: input.awake,
        begun_for,
    }
}

/// Something of which each device has its own.
#[derive(Clone, Copy, Debug)]
struct Guess {
    /// The mean, in seconds.
    mean: f64,
    /// By what part of it devices differ.
    spread: f64,
    /// By what part of it the mean may be wrong.
    doubt: f64,
}

impl Guess {
    fn seen(times: &Times) -> Self {
        let spread = times.spread().unwrap_or(SPREAD);
        Self {
            mean: times.mean_seconds().unwrap_or_default(),
            spread,
            doubt: (spread / (times.count().max(1) as f64).sqrt()).max(DOUBT_MIN),
        }
    }

    fn assumed(mean: f64) -> Self {
        Self {
            mean,
            spread: SPREAD,
            doubt: DOUBT,
        }
    }
}

/// How long a block takes a device that is alone in its cell (radio-sim-ux.md A1, standalone carrier).
fn alone_seconds(tier: CoverageTier) -> f64 {
    match tier {
        CoverageTier::Tier0 => 0.49,
        CoverageTier::Tier1 | CoverageTier::Unknown => 1.6,
        CoverageTier::Tier2 => 10.0,
    }
}

/// How many times longer a block takes where so many share the cell: B3's `max(1, n·a/ρ)`.
fn crowding(load: &CellLoad) -> f64 {
    // What part of the carrier one device takes: as many as saturate it, A1.
    let share = match load.tier {
        CoverageTier::Tier0 => 0.24,
        CoverageTier::Tier1 | CoverageTier::Unknown => 0.33,
        CoverageTier::Tier2 => 0.7,
    };
    let active = load.devices().min(load.limit.into()) as f64;
    if load.cell.is_none() {
        return 1.0;
    }
    (active * share / FIRMWARE_SHARE).max(1.0)
}

fn limiting(group: &Group, p50: Duration) -> LimitingCell {
    LimitingCell {
        cell: group.load.cell,
        tier: group.load.tier,
        limit: group.load.limit,
        tasks: group.load.devices(),
        p50,
    }
}

/// The time that so many of a hundred runs do not exceed.
fn quantile(ends: &mut [Duration], percent: usize) -> Duration {
    ends.sort_unstable();
    let last = ends.len().saturating_sub(1);
    ends.get(last * percent / 100).copied().unwrap_or_default()
}

/// Each once. Of devices without a known cell: how many in all.
fn summed(mut all: Vec<Assumption>) -> Vec<Assumption> {
    all.sort_by_key(|assumption| (assumption.figure, assumption.tier));
    let unknown = |one: &&Assumption| one.figure == Figure::CellUnknown;
    let devices: f64 = all.iter().filter(unknown).map(|one| one.value).sum();
    all.dedup_by_key(|assumption| (assumption.figure, assumption.tier));
    for one in &mut all {
        if one.figure == Figure::CellUnknown {
            one.value = devices;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Schedule;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn load(cell: u32, tier: CoverageTier, limit: u32, listening: u64, sleeping: u64) -> CellLoad {
        CellLoad {
            cell: Some(CellId(cell)),
            tier,
            limit,
            listening,
            sleeping,
            updating: 0,
        }
    }

    struct Case {
        pace: Pace,
        timetable: Timetable,
        loads: Vec<CellLoad>,
        retry: RetryPolicy,
    }

    impl Case {
        fn new(loads: Vec<CellLoad>) -> Self {
            Self {
                pace: Pace::default(),
                timetable: Timetable::default(),
                loads,
                retry: RetryPolicy::default(),
            }
        }

        fn eta(&self) -> Eta {
            estimate(&EtaInput {
                now: Utc::from_unix_ms(1_795_000_000_000),
                begun_at: None,
                timetable: &self.timetable,
                size_bytes: 100 * 1024,
                retry: self.retry,
                loads: &self.loads,
                awake: 93 * SECOND,
                pace: &self.pace,
            })
            .unwrap()
        }
    }

    fn close(time: Duration, to: Duration) -> bool {
        time.abs_diff(to) * 10 < to
    }

    #[test]
    fn slots_that_are_full_take_the_work_over_their_number() {
        let mut case = Case::new(vec![load(1, CoverageTier::Tier1, 10, 400, 0)]);
        for seconds in [290, 295, 300, 305, 310] {
            let held = seconds * SECOND;
            case.pace.succeeded(CellId(7), CoverageTier::Tier1, held);
        }
        let eta = case.eta();
        assert!(close(eta.p50, 400 / 10 * 300 * SECOND), "{eta:?}");
        assert!(eta.p90 >= eta.p50 && eta.p90 < eta.p50 * 5 / 4, "{eta:?}");
        let limiting = eta.limiting.unwrap();
        assert_eq!((limiting.cell, limiting.tasks), (Some(CellId(1)), 400));
        assert_eq!(eta.assumed, []);
    }

    #[test]
    fn the_cell_that_ends_last_limits() {
        let case = Case::new(vec![
            load(1, CoverageTier::Tier0, 50, 100, 0),
            load(2, CoverageTier::Tier2, 1, 20, 0),
            load(3, CoverageTier::Tier1, 10, 30, 0),
        ]);
        let eta = case.eta();
        let limiting = eta.limiting.unwrap();
        let (cell, tier) = (Some(CellId(2)), CoverageTier::Tier2);
        assert_eq!((limiting.cell, limiting.tier), (cell, tier));
        assert_eq!((limiting.limit, limiting.tasks), (1, 20));
        let figures: Vec<_> = eta
            .assumed
            .iter()
            .map(|one| (one.figure, one.tier))
            .collect();
        assert_eq!(
            figures,
            [
                (Figure::BlockSeconds, Some(CoverageTier::Tier0)),
                (Figure::BlockSeconds, Some(CoverageTier::Tier1)),
                (Figure::BlockSeconds, Some(CoverageTier::Tier2)),
                (Figure::InstallSeconds, None),
                (Figure::SuccessShare, None),
            ]
        );
    }

    #[test]
    fn sleeping_devices_are_done_when_the_last_was_heard() {
        let case = Case::new(vec![load(1, CoverageTier::Tier0, 50, 0, 200)]);
        let eta = case.eta();
        assert!(eta.p50 > 18 * HOUR && eta.p50 < 48 * HOUR, "{eta:?}");
        let mut seen = Case::new(case.loads);
        for minutes in [55, 58, 60, 62, 65] {
            seen.pace.heard(minutes * 60 * SECOND);
            (seen.pace).succeeded(CellId(1), CoverageTier::Tier0, 60 * SECOND);
        }
        let eta = seen.eta();
        assert!(eta.p50 > HOUR / 2 && eta.p50 < 2 * HOUR, "{eta:?}");
    }

    #[test]
    fn windows_stretch_the_same_work_over_days() {
        let mut case = Case::new(vec![load(1, CoverageTier::Tier2, 1, 24, 0)]);
        for _ in 0..20 {
            case.pace.succeeded(CellId(1), CoverageTier::Tier2, HOUR);
        }
        let at_once = case.eta().p50;
        assert!(close(at_once, 24 * HOUR), "{at_once:?}");
        case.timetable = Timetable::parse(&Schedule {
            windows: vec![crate::model::PushWindow {
                time_zone: "Asia/Shanghai".to_owned(),
                from_hour: 0,
                to_hour: 4,
                weekdays: crate::model::Weekdays::ALL,
            }],
            ..Schedule::default()
        })
        .unwrap();
        let eta = case.eta();
        // Four begin in each window, five where the first begins with it.
        assert!(
            eta.p50 > 4 * 24 * HOUR && eta.p50 < 7 * 24 * HOUR,
            "{eta:?}"
        );
    }

    #[test]
    fn the_same_question_has_the_same_answer_and_no_devices_none() {
        let case = Case::new(vec![load(1, CoverageTier::Tier1, 10, 100, 100)]);
        assert_eq!(case.eta(), case.eta());
        let none = EtaInput {
            now: Utc::default(),
            begun_at: None,
            timetable: &case.timetable,
            size_bytes: 1,
            retry: case.retry,
            loads: &[load(1, CoverageTier::Tier0, 50, 0, 0)],
            awake: SECOND,
            pace: &case.pace,
        };
        assert_eq!(estimate(&none), None);
    }

    #[test]
    fn a_million_devices_cost_no_more_than_a_bound() {
        let cells = 0..4000;
        let loads = cells.map(|cell| load(cell, CoverageTier::Tier0, 50, 0, 250));
        let eta = Case::new(loads.collect()).eta();
        assert!(eta.p50 > 18 * HOUR, "{eta:?}");
    }
}
