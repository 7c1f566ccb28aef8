//! 预计完成时间: when a campaign will be done, from what was seen of its devices, and from what is known
//! of the radio where nothing was seen yet.
//!
//! A campaign is played out some hundred times, phase after phase: devices are heard, wait for a slot as
//! their cell admits them, awake or kept awake, no more of them begin a minute than may, they update, fail
//! and come again. What the runs have in common is the estimate, and what they differ in is its doubt. The
//! cells that take longest are played out device by device; of the others only the last to be heard counts.
//! In a cell of very many one stands for several, in as many fewer slots.

mod calendar;
mod guess;
mod play;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::clock::Utc;
use crate::model::{
    AdmissionPolicy, CellId, CoverageTier, RetryPolicy, Rollout, RolloutState, RolloutStep,
    TierLimits, WaitingRoomPolicy,
};

use super::Timetable;
use super::pace::Pace;

use calendar::{Calendar, Ms};
use guess::{Guess, group};
use play::{Cell, Ends, Rules, play};

/// How many devices of a campaign stand alike in one tier of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellLoad {
    /// The cell; `None`: it is not known yet.
    pub cell: Option<CellId>,
    /// The tier.
    pub tier: CoverageTier,
    /// The phase of the rollout.
    pub phase: u16,
    /// How many of each tier update at once.
    pub limits: TierLimits,
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
    /// Whom the limits count.
    pub admission: AdmissionPolicy,
    /// How many devices begin a minute at most, where that is bounded.
    pub starts_per_minute_max: Option<u32>,
    /// In which steps the devices follow each other.
    pub rollout: &'a Rollout,
    /// How far it is.
    pub rollout_state: &'a RolloutState,
    /// How long a device that sleeps waits for its slot before it falls asleep.
    pub awake: Duration,
    /// Whether somebody has yet to agree before any device of it is updated.
    pub lacks_consent: bool,
    /// How it is kept awake for it.
    pub waiting_room: WaitingRoomPolicy,
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
    /// How many devices sleep, whose contacts are taken to be spread evenly over the time from one to the
    /// next: where all report in the same hour, slots are shorter in that hour and the end is later.
    ContactsEven,
    /// Seconds until somebody approves a phase.
    ApprovalSeconds,
    /// Seconds until somebody resumes the campaign, which is paused.
    ResumeSeconds,
    /// Seconds until somebody agrees to the update.
    ConsentSeconds,
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
            Self::ContactsEven => "contacts_even",
            Self::ApprovalSeconds => "approval_seconds",
            Self::ResumeSeconds => "resume_seconds",
            Self::ConsentSeconds => "consent_seconds",
        }
    }
}

const RUNS_MAX: u64 = 200;
const RUNS_MIN: u64 = 50;
/// How many devices are played out over all runs: the work of an estimate.
const PLAYED_MAX: u64 = 500_000;

/// When the devices that are left will be done; `None` where there are none.
pub fn estimate(input: &EtaInput<'_>) -> Option<Eta> {
    let mut assumed = Vec::new();
    let mut cells = cells(input, &mut assumed);
    let devices: u64 = cells.iter().map(Cell::stand_ins).sum();
    if devices == 0 {
        return None;
    }
    if input.rollout_state.paused.is_some() {
        assumed.push(at_once(Figure::ResumeSeconds));
    }
    if input.lacks_consent {
        assumed.push(at_once(Figure::ConsentSeconds));
    }
    cells.sort_by(|one, other| other.at_least().total_cmp(&one.at_least()));
    let runs = (PLAYED_MAX / devices).clamp(RUNS_MIN, RUNS_MAX);
    let mut room = PLAYED_MAX / runs;
    let played = cells.iter().take_while(|cell| {
        let fits = cell.stand_ins() <= room;
        room = room.saturating_sub(cell.stand_ins());
        fits
    });
    let (played, rest) = cells.split_at(played.count().max(1).min(cells.len()));
    let plan = Plan::of(input, played, rest, &mut assumed);
    let mut ends = vec![Vec::new(); played.len()];
    let mut last_tiers = vec![[0_u64; CoverageTier::ALL.len()]; played.len()];
    let mut lasts = Vec::new();
    for run in 0..runs {
        let mut rng = StdRng::seed_from_u64(run);
        let last = plan.run(&mut rng, |cell, of_cell| {
            ends[cell].push(time(of_cell.all.iter().max().copied().unwrap_or_default()));
            if let Some(tier) = of_cell.last_tier {
                last_tiers[cell][tier as usize] += 1;
            }
        });
        lasts.push(time(last));
    }
    let limiting = (played.iter().zip(&mut ends).zip(&last_tiers))
        .filter_map(|((cell, ends), tiers)| limiting(cell, tiers, quantile(ends, 50)))
        .max_by_key(|cell| cell.p50);
    Some(Eta {
        p50: quantile(&mut lasts, 50),
        p90: quantile(&mut lasts, 90),
        limiting,
        assumed: summed(assumed),
    })
}

/// The devices that are left, by cell and phase; of phases that are past, with those of the one that runs.
fn cells(input: &EtaInput<'_>, assumed: &mut Vec<Assumption>) -> Vec<Cell> {
    let mut cells: BTreeMap<(u16, Option<CellId>), Cell> = BTreeMap::new();
    for load in input.loads.iter().filter(|load| load.devices() > 0) {
        let phase = load.phase.max(input.rollout_state.phase);
        let cell = cells.entry((phase, load.cell)).or_insert_with(|| Cell {
            cell: load.cell,
            phase,
            limits: load.limits,
            each_for: 1,
            groups: Vec::new(),
        });
        cell.groups.push(group(input, load, assumed));
    }
    let mut cells: Vec<Cell> = cells.into_values().collect();
    for cell in &mut cells {
        cell.each_for = cell.devices().div_ceil(PLAYED_MAX / RUNS_MIN).max(1);
    }
    cells
}

/// What is played out in each run.
struct Plan<'a> {
    rules: Rules,
    /// With their places among what is played out device by device.
    played: &'a [Cell],
    rest: &'a [Cell],
    gates: Vec<Gate>,
    /// The phase that runs, and the last that has devices.
    phases: std::ops::RangeInclusive<u16>,
    /// From one start to the next over all cells, in milliseconds.
    gap_ms: f64,
}

/// What lets the phase after one begin.
#[derive(Clone, Copy, Debug)]
enum Gate {
    /// So many of a hundred of its devices are done, and so much more has passed.
    After { percent: u64, soak: Ms },
    /// It is past but for this.
    In(Ms),
}

impl<'a> Plan<'a> {
    fn of(
        input: &EtaInput<'_>,
        played: &'a [Cell],
        rest: &'a [Cell],
        assumed: &mut Vec<Assumption>,
    ) -> Self {
        let state = input.rollout_state;
        let last = played.iter().chain(rest).map(|cell| cell.phase).max();
        let phases = state.phase..=last.unwrap_or_default();
        let of_rollout = input.rollout.gates();
        let mut gates = Vec::new();
        // A gate stands between two phases.
        for (phase, gate) in phases
            .clone()
            .zip(of_rollout.iter().skip(state.phase.into()))
        {
            if gate.approval_required && phase < *phases.end() {
                assumed.push(at_once(Figure::ApprovalSeconds));
            }
            let soak = Duration::from_secs(u64::from(gate.soak_hours) * 3600);
            let is_running = phase == state.phase;
            gates.push(match state.step {
                RolloutStep::Soaking if is_running => {
                    let over = state.since() + soak;
                    Gate::In(ms(over.saturating_since(input.now)))
                }
                RolloutStep::AwaitingApproval if is_running => Gate::In(0),
                RolloutStep::Updating | RolloutStep::Soaking | RolloutStep::AwaitingApproval => {
                    Gate::After {
                        percent: gate.success_percent_min.into(),
                        soak: ms(soak),
                    }
                }
            });
        }
        let room = input.waiting_room;
        Self {
            gates,
            rules: Rules {
                calendar: Calendar::new(input.timetable, input.now),
                admission: input.admission,
                retry: input.retry,
                awake: input.awake,
                held: room.is_on().then(|| {
                    // Three fifths of the time for which it listens pass between two pings.
                    let pinged = (input.awake * 3 / 5).saturating_mul(room.pings_max);
                    (room.hold_max().min(pinged), room.places_per_cell)
                }),
                begun_for: input.begun_at.map_or(Duration::ZERO, |begun_at| {
                    input.now.saturating_since(begun_at)
                }),
            },
            played,
            rest,
            phases,
            gap_ms: input
                .starts_per_minute_max
                .map_or(0.0, |starts| 60_000.0 / f64::from(starts.max(1))),
        }
    }

    /// One run: when the last is done. Each cell that is played is told when its devices are.
    fn run(&self, rng: &mut StdRng, mut done: impl FnMut(usize, &Ends)) -> Ms {
        let (mut from, mut last) = (0, 0);
        for (phase, gate) in self
            .phases
            .clone()
            .zip(self.gates.iter().map(Some).chain(std::iter::repeat(None)))
        {
            let of_phase = |cell: &&Cell| cell.phase == phase;
            let rest: Vec<&Cell> = self.rest.iter().filter(of_phase).collect();
            let devices: u64 = (self.played.iter().filter(of_phase))
                .chain(rest.iter().copied())
                .map(Cell::devices)
                .sum();
            let mut ends = Vec::new();
            for (index, cell) in self.played.iter().enumerate() {
                if cell.phase == phase {
                    // Its part of the starts.
                    let gap = self.gap_ms * devices as f64 / cell.stand_ins() as f64;
                    let of_cell = play(cell, &self.rules, from, gap as Ms, rng);
                    done(index, &of_cell);
                    ends.extend(of_cell.all);
                }
            }
            if !rest.is_empty() {
                ends.push(play::last_heard(&rest, &self.rules, from, self.gap_ms, rng));
            }
            ends.sort_unstable();
            last = last.max(ends.last().copied().unwrap_or_default());
            from = match gate {
                Some(Gate::In(opens)) => *opens,
                Some(Gate::After { percent, soak }) => {
                    let needed = (ends.len() as u64 * percent).div_ceil(100);
                    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
                    let enough = needed.checked_sub(1).and_then(|at| ends.get(at));
                    enough.map_or(from, |at| *at) + soak
                }
                None => from,
            };
        }
        last
    }
}

fn time(at: Ms) -> Duration {
    Duration::from_millis(at)
}

fn ms(time: Duration) -> Ms {
    u64::try_from(time.as_millis()).unwrap_or(calendar::NEVER)
}

impl CellLoad {
    /// How many devices it is of.
    pub const fn devices(&self) -> u64 {
        self.listening + self.sleeping + self.updating
    }
}

fn limiting(cell: &Cell, last_tiers: &[u64], p50: Duration) -> Option<LimitingCell> {
    let ends_last = |group: &&play::Group| last_tiers[group.load.tier as usize];
    let group = cell.groups.iter().max_by_key(ends_last)?;
    Some(LimitingCell {
        cell: cell.cell,
        tier: group.load.tier,
        limit: cell.limits.of(group.load.tier),
        tasks: group.load.devices(),
        p50,
    })
}

/// The time that so many of a hundred runs do not exceed.
fn quantile(ends: &mut [Duration], percent: usize) -> Duration {
    ends.sort_unstable();
    let last = ends.len().saturating_sub(1);
    ends.get(last * percent / 100).copied().unwrap_or_default()
}

/// Each once. Of what counts devices: how many in all.
/// What somebody has to do is taken to be done at once.
const fn at_once(figure: Figure) -> Assumption {
    Assumption {
        figure,
        tier: None,
        value: 0.0,
    }
}

fn summed(all: Vec<Assumption>) -> Vec<Assumption> {
    let mut each: BTreeMap<_, f64> = BTreeMap::new();
    for one in all {
        let value = each.entry((one.figure, one.tier)).or_default();
        *value = match one.figure {
            Figure::CellUnknown | Figure::ContactsEven => *value + one.value,
            Figure::BlockSeconds
            | Figure::InstallSeconds
            | Figure::ContactSeconds
            | Figure::SuccessShare
            | Figure::ApprovalSeconds
            | Figure::ResumeSeconds
            | Figure::ConsentSeconds => one.value,
        };
    }
    let assumption = |((figure, tier), value)| Assumption {
        figure,
        tier,
        value,
    };
    each.into_iter().map(assumption).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    use crate::model::{
        AdmissionMode, AirtimePermille, OnErrors, PauseReason, PhaseMembers, RolloutPhase, Schedule,
    };

    const NOW_UNIX_MS: i64 = 1_795_000_000_000;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn load(cell: u32, tier: CoverageTier, limit: u32, listening: u64, sleeping: u64) -> CellLoad {
        CellLoad {
            cell: Some(CellId(cell)),
            tier,
            phase: 0,
            limits: TierLimits {
                tier0: limit,
                tier1: limit,
                tier2: limit,
                unknown: limit,
            },
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
        admission: AdmissionPolicy,
        starts_per_minute_max: Option<u32>,
        rollout: Rollout,
        state: RolloutState,
        lacks_consent: bool,
        waiting_room: WaitingRoomPolicy,
    }

    impl Case {
        fn new(loads: Vec<CellLoad>) -> Self {
            Self {
                pace: Pace::default(),
                timetable: Timetable::default(),
                loads,
                retry: RetryPolicy::default(),
                admission: AdmissionPolicy::default(),
                starts_per_minute_max: None,
                rollout: Rollout::default(),
                lacks_consent: false,
                state: RolloutState::default(),
                waiting_room: WaitingRoomPolicy::OFF,
            }
        }

        /// Slots are held for so many minutes by all that were seen.
        fn slots_of(mut self, minutes: u32) -> Self {
            for tier in CoverageTier::ALL {
                for _ in 0..20 {
                    self.pace.succeeded(CellId(1), *tier, minutes * 60 * SECOND);
                }
            }
            self
        }

        fn eta(&self) -> Eta {
            estimate(&self.input()).unwrap()
        }

        fn input(&self) -> EtaInput<'_> {
            EtaInput {
                now: Utc::from_unix_ms(NOW_UNIX_MS),
                begun_at: None,
                timetable: &self.timetable,
                size_bytes: 100 * 1024,
                retry: self.retry,
                loads: &self.loads,
                admission: self.admission,
                starts_per_minute_max: self.starts_per_minute_max,
                rollout: &self.rollout,
                rollout_state: &self.state,
                awake: 93 * SECOND,
                lacks_consent: self.lacks_consent,
                waiting_room: self.waiting_room,
                pace: &self.pace,
            }
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
    fn what_somebody_has_yet_to_do_is_named() {
        let mut case = Case::new(vec![load(1, CoverageTier::Tier0, 50, 100, 0)]);
        let figures = |case: &Case| -> Vec<_> {
            let assumed = case.eta().assumed;
            let figures = assumed.iter().map(|one| one.figure);
            figures
                .filter(|it| matches!(it, Figure::ResumeSeconds | Figure::ConsentSeconds))
                .collect()
        };
        assert_eq!(figures(&case), []);
        case.lacks_consent = true;
        assert_eq!(figures(&case), [Figure::ConsentSeconds]);
        case.state.paused = Some(PauseReason::Halted);
        assert_eq!(
            figures(&case),
            [Figure::ResumeSeconds, Figure::ConsentSeconds]
        );
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
            loads: &[load(1, CoverageTier::Tier0, 50, 0, 0)],
            ..case.input()
        };
        assert_eq!(estimate(&none), None);
    }

    /// Thirty of tier 1 and three of tier 2, an hour each, two of tier 1 and one of tier 2 at once.
    fn mixed(admission: AdmissionPolicy) -> Duration {
        let limits = TierLimits {
            tier0: 4,
            tier1: 2,
            tier2: 1,
            unknown: 2,
        };
        let of = |tier, listening| CellLoad {
            limits,
            ..load(1, tier, 0, listening, 0)
        };
        let loads = vec![of(CoverageTier::Tier1, 30), of(CoverageTier::Tier2, 3)];
        let mut case = Case::new(loads).slots_of(60);
        case.admission = admission;
        case.eta().p50
    }

    #[test]
    fn tiers_that_stand_in_each_others_way_take_longer_than_beside_each_other() {
        let policy = |mode, permille| AdmissionPolicy {
            mode,
            airtime: NonZeroU16::new(permille).map(AirtimePermille),
        };
        let beside = mixed(AdmissionPolicy::default());
        assert!(close(beside, 15 * HOUR), "{beside:?}");
        for admission in [
            policy(AdmissionMode::PerCell, 0),
            policy(AdmissionMode::Strictest, 0),
            policy(AdmissionMode::PerClass, 1000),
        ] {
            let after = mixed(admission);
            assert!(close(after, (15 + 3) * HOUR), "{admission:?}: {after:?}");
        }
        let half = mixed(policy(AdmissionMode::PerClass, 500));
        assert!(close(half, (30 + 3) * HOUR), "{half:?}");
    }

    #[test]
    fn a_phase_begins_when_the_one_before_it_has_shown_enough_and_soaked() {
        let phased = |phase, listening| CellLoad {
            phase,
            ..load(1, CoverageTier::Tier1, 10, listening, 0)
        };
        let mut case = Case::new(vec![phased(1, 40), phased(2, 100)]).slots_of(60);
        case.rollout.phases = [50, 100]
            .map(|success_percent_min| RolloutPhase {
                members: PhaseMembers::Count(40),
                success_percent_min,
                failed_percent_max: 100,
                on_errors: OnErrors::Pause,
                soak_hours: 5,
                approval_required: true,
            })
            .into();
        // The first is done, but for its soak, of which three hours are over.
        case.state = RolloutState {
            step: RolloutStep::Soaking,
            since_unix_ms: NOW_UNIX_MS - 3 * 60 * 60 * 1000,
            ..RolloutState::default()
        };
        let eta = case.eta();
        assert!(close(eta.p50, (2 + 4 + 5 + 10) * HOUR), "{eta:?}");
        let approval = eta.assumed.iter();
        let approval: Vec<_> = approval
            .filter(|one| one.figure == Figure::ApprovalSeconds)
            .collect();
        assert_eq!(approval.len(), 1, "{eta:?}");
    }

    #[test]
    fn no_more_begin_than_the_rate_of_starts_lets() {
        let loads = (0..10).map(|cell| load(cell, CoverageTier::Tier0, 50, 60, 0));
        let mut case = Case::new(loads.collect()).slots_of(6);
        assert!(case.eta().p50 < HOUR / 2, "{:?}", case.eta());
        case.starts_per_minute_max = Some(2);
        let p50 = case.eta().p50;
        assert!(p50 > 5 * HOUR && p50 < 6 * HOUR, "{p50:?}");
    }

    #[test]
    fn a_waiting_room_spares_devices_their_next_contact() {
        let mut case = Case::new(vec![load(1, CoverageTier::Tier1, 1, 0, 60)]).slots_of(20);
        for _ in 0..10 {
            case.pace.heard(8 * HOUR);
        }
        let asleep = case.eta().p50;
        case.waiting_room = WaitingRoomPolicy {
            hold_seconds_max: 4 * 3600,
            ..WaitingRoomPolicy::default()
        };
        let held = case.eta();
        assert!(held.p50 > 20 * HOUR, "{held:?}");
        assert!(held.p50 * 3 < asleep * 2, "{:?}, {asleep:?}", held.p50);
        let even = held.assumed.iter();
        let even: Vec<_> = even.map(|one| (one.figure, one.value)).collect();
        assert_eq!(even, [(Figure::ContactsEven, 60.0)]);
    }

    #[test]
    fn a_million_devices_cost_no_more_than_a_bound() {
        let cells = 0..4000;
        let loads = cells.map(|cell| load(cell, CoverageTier::Tier0, 50, 0, 250));
        let eta = Case::new(loads.collect()).eta();
        assert!(eta.p50 > 18 * HOUR, "{eta:?}");
    }

    #[test]
    fn in_a_cell_of_a_million_one_stands_for_many() {
        let all = |devices, limit| {
            let loads = vec![load(1, CoverageTier::Tier0, limit, devices, 0)];
            Case::new(loads).slots_of(20)
        };
        let few = all(10_000, 1).eta();
        let many = all(1_000_000, 100).eta();
        assert!(close(many.p50, few.p50), "{many:?}, {few:?}");
        assert_eq!(many.limiting.map(|cell| cell.tasks), Some(1_000_000));
        let mut rated = all(1_000_000, 2_000_000);
        rated.starts_per_minute_max = Some(1000);
        let eta = rated.eta();
        assert!(close(eta.p50, 1000 * 60 * SECOND), "{eta:?}");
        for each in [few, many, eta] {
            assert!(each.p90 >= each.p50, "{each:?}");
        }
    }

    #[test]
    fn devices_of_unknown_cells_stand_for_others_too_and_do_not_wait_for_them() {
        let unknown = CellLoad {
            cell: None,
            ..load(1, CoverageTier::Unknown, 10, 0, 1_000_000)
        };
        let eta = Case::new(vec![unknown]).eta();
        assert!(eta.p50 > 18 * HOUR && eta.p50 < 48 * HOUR, "{eta:?}");
    }
}
