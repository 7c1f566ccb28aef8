//! Rates of starts: nobody begins too soon, and nobody loses their place by it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Instant {
    Instant::ORIGIN + Duration::from_secs(seconds)
}

fn rated(limit: u32, per_minute: Option<u32>) -> CellScheduler {
    CellScheduler::new(SchedulerConfig {
        limits: uniform(limit),
        starts_per_minute_max: per_minute.and_then(NonZeroU32::new),
        seed: 9,
        ..SchedulerConfig::default()
    })
}

/// Asks as a task of a campaign whose line this is.
fn ask_in(scheduler: &mut CellScheduler, task: u64, line: Line) -> Admission {
    let claim = claim(CoverageTier::Tier0);
    let (admission, others) =
        scheduler.request(TaskId(task), claim, AdmissionPolicy::default(), line);
    assert_eq!(others, []);
    admission
}

/// Twelve ask a cell for its two slots; each that begins gives its slot back after ten seconds.
fn order(scheduler: &mut CellScheduler, seconds: u64) -> Vec<(u64, TaskId)> {
    let mut order = Vec::new();
    let mut running = VecDeque::new();
    for task in 0..12 {
        if ask_in(scheduler, task, None) == Admission::Granted {
            order.push((0, TaskId(task)));
            running.push_back((10, TaskId(task)));
        }
    }
    for second in 1..=seconds {
        let mut granted = scheduler.handle_timeout(at(second));
        while let Some((end, task)) = running.front().copied()
            && end <= second
        {
            running.pop_front();
            granted.extend(scheduler.release(task));
        }
        for task in granted {
            order.push((second, task));
            running.push_back((second + 10, task));
        }
    }
    order
}

#[test]
fn a_slot_that_comes_free_too_soon_after_a_start_waits_for_the_first_of_its_queue() {
    let plain = order(&mut rated(2, None), 70);
    assert_eq!(plain.len(), 12);
    // One in twelve seconds: each slot comes free two seconds too soon.
    let slow = order(&mut rated(2, Some(5)), 200);
    let tasks = |order: &[(u64, TaskId)]| order.iter().map(|it| it.1).collect::<Vec<_>>();
    // The second found a slot free, and with a rate waits with the others.
    let mut seen = tasks(&slow)[1..].to_vec();
    seen.retain(|task| *task != TaskId(1));
    assert_eq!(seen, tasks(&plain)[2..]);
    for pair in slow.windows(2) {
        assert_eq!(pair[1].0, pair[0].0 + 12, "{slow:?}");
    }
}

#[test]
fn who_waits_for_a_rate_says_so_and_stands_in_its_cell() {
    let mut scheduler = rated(2, Some(1));
    assert_eq!(ask_in(&mut scheduler, 1, None), Admission::Granted);
    let ahead = 0;
    let queued = |for_rate| Admission::Queued { ahead, for_rate };
    assert_eq!(ask_in(&mut scheduler, 2, None), queued(true));
    assert_eq!(scheduler.hold(TaskId(2), 1), Hold::Held { displaced: None });
    let standing = scheduler.standing(TaskId(2)).unwrap();
    assert_eq!((standing.ahead, standing.for_rate), (0, true));
    assert_eq!(scheduler.poll_timeout(), Some(at(60)));
    assert_eq!(scheduler.handle_timeout(at(59)), []);
    assert_eq!(scheduler.handle_timeout(at(60)), [TaskId(2)]);
    assert_eq!(scheduler.held(), 0);
    assert_eq!(ask_in(&mut scheduler, 3, None), queued(false));
    assert_eq!(scheduler.poll_timeout(), None, "its cell is full");
}

#[test]
fn a_campaign_that_waits_for_its_rate_holds_no_other_up() {
    let mut scheduler = rated(2, None);
    let slow = Some(CampaignId(1));
    scheduler.set_start_rate(CampaignId(1), NonZeroU32::MIN, true);
    assert_eq!(ask_in(&mut scheduler, 1, slow), Admission::Granted);
    for task in 2..6 {
        let admission = ask_in(&mut scheduler, task, slow);
        assert!(matches!(
            admission,
            Admission::Queued { for_rate: true, .. }
        ));
    }
    assert_eq!(ask_in(&mut scheduler, 10, None), Admission::Granted);
    let second = ask_in(&mut scheduler, 11, None);
    assert!(matches!(
        second,
        Admission::Queued {
            for_rate: false,
            ..
        }
    ));
    // It came last of all, and is the only one whose line may start.
    assert_eq!(scheduler.release(TaskId(10)), [TaskId(11)]);
    assert_eq!(scheduler.release(TaskId(11)), []);
    let next = scheduler.handle_timeout(at(60));
    assert_eq!(next.len(), 1);
    scheduler.end_start_rate(CampaignId(1));
    assert_eq!(scheduler.poll_timeout(), None);
}

#[test]
fn lines_take_turns_where_they_wait_for_the_rate_of_all() {
    let mut scheduler = rated(20, Some(60));
    scheduler.set_start_rate(CampaignId(1), NonZeroU32::new(1000).unwrap(), true);
    let policy = AdmissionPolicy::default();
    for task in 0..5 {
        ask_in(&mut scheduler, task, None);
        let elsewhere = SlotClaim {
            cell: CellId(8),
            tier: CoverageTier::Tier0,
        };
        let line = Some(CampaignId(1));
        scheduler.request(TaskId(100 + task), elsewhere, policy, line);
    }
    let begun: Vec<bool> = (1..9)
        .map(|second| scheduler.handle_timeout(at(second))[0] >= TaskId(100))
        .collect();
    assert_eq!(begun, [true, false, true, false, true, false, true, false]);
}

#[test]
fn nothing_starts_right_after_a_restart_that_came_right_after_a_start() {
    let mut scheduler = rated(9, Some(6));
    scheduler.handle_timeout(at(100));
    scheduler.resume_start_rate();
    scheduler.set_start_rate(CampaignId(1), NonZeroU32::new(2).unwrap(), false);
    let own = ask_in(&mut scheduler, 1, Some(CampaignId(1)));
    let other = ask_in(&mut scheduler, 2, None);
    for admission in [own, other] {
        assert!(matches!(
            admission,
            Admission::Queued { for_rate: true, .. }
        ));
    }
    assert_eq!(scheduler.handle_timeout(at(109)), []);
    assert_eq!(scheduler.handle_timeout(at(110)), [TaskId(2)]);
    assert_eq!(scheduler.handle_timeout(at(129)), []);
    assert_eq!(scheduler.handle_timeout(at(130)), [TaskId(1)]);
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u64, u32, bool),
    Sleep(u64),
    End(u64),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..40, 1_u32..5, any::<bool>()).prop_map(|(task, cell, own)| Step::Ask(task, cell, own)),
        1 => (0_u64..40).prop_map(Step::Sleep),
        2 => (0_u64..40).prop_map(Step::End),
        3 => (0_u64..8).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn no_minute_has_more_starts_than_any_rate_says_and_no_turn_is_wasted(
        steps in prop::collection::vec(any_step(), 1..300),
        per_minute in 1_u32..120,
        own_per_minute in 1_u32..120,
    ) {
        let mut scheduler = rated(2, Some(per_minute));
        scheduler.set_start_rate(CampaignId(1), NonZeroU32::new(own_per_minute).unwrap(), true);
        let mut now = at(0);
        let mut asked: BTreeMap<TaskId, (CellId, bool)> = BTreeMap::new();
        let mut asleep: BTreeSet<TaskId> = BTreeSet::new();
        let mut starts: Vec<(Instant, bool)> = Vec::new();
        for step in steps {
            let granted = match step {
                Step::Ask(task, cell, own) => {
                    let task = TaskId(task);
                    asleep.remove(&task);
                    let (cell, own) = *asked.entry(task).or_insert((CellId(cell), own));
                    let claim = SlotClaim { cell, tier: CoverageTier::Tier0 };
                    let line = own.then_some(CampaignId(1));
                    let had = scheduler.slot(task).is_some();
                    let policy = AdmissionPolicy::default();
                    let (admission, mut granted) = scheduler.request(task, claim, policy, line);
                    if admission == Admission::Granted && !had {
                        granted.push(task);
                    }
                    granted
                }
                Step::Sleep(task) => {
                    asleep.insert(TaskId(task));
                    scheduler.suspend(TaskId(task))
                }
                Step::End(task) => {
                    asked.remove(&TaskId(task));
                    asleep.remove(&TaskId(task));
                    scheduler.withdraw(TaskId(task))
                }
                Step::Pass(seconds) => {
                    // Each turn is taken in time, as an engine takes it.
                    let end = now + Duration::from_secs(seconds);
                    while let Some(due) = scheduler.poll_timeout().filter(|due| *due <= end) {
                        prop_assert!(due > now, "what is due was done");
                        now = due;
                        for task in scheduler.handle_timeout(now) {
                            starts.push((now, asked[&task].1));
                        }
                    }
                    now = end;
                    scheduler.handle_timeout(now)
                }
            };
            starts.extend(granted.into_iter().map(|task| (now, asked[&task].1)));
            let for_rate = |task| scheduler.standing(task).is_some_and(|it| it.for_rate);
            if asked.keys().any(|task| !asleep.contains(task) && for_rate(*task)) {
                prop_assert!(scheduler.poll_timeout().is_some_and(|due| due > now));
            }
        }
        for (index, (start, _)) in starts.iter().enumerate() {
            let within = || starts[index..].iter().filter(|it| it.0 < *start + MINUTE);
            prop_assert!(within().count() <= per_minute as usize);
            prop_assert!(within().filter(|it| it.1).count() <= own_per_minute as usize);
        }
    }
}
