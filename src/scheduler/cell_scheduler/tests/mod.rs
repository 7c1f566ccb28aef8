//! What the scheduler promises, case by case.

mod rates;
mod reference;

use super::*;
use crate::model::AdmissionMode;

const CELL: CellId = CellId(7);

fn claim(tier: CoverageTier) -> SlotClaim {
    SlotClaim { cell: CELL, tier }
}

fn scheduler(limit: u32, queue_max: usize) -> CellScheduler {
    CellScheduler::new(SchedulerConfig {
        limits: uniform(limit),
        overrides: BTreeMap::new(),
        queue_max,
        passed_over_max: 3,
        starts_per_minute_max: None,
        stretch_max: 2,
        seed: 0,
    })
}

/// Asks as a campaign without a policy of its own does.
fn ask(scheduler: &mut CellScheduler, task: TaskId, claim: SlotClaim) -> Admission {
    let (admission, others) = scheduler.request(task, claim, AdmissionPolicy::default(), None);
    assert_eq!(others, [], "no tier stands in another's way");
    admission
}

fn strictest() -> AdmissionPolicy {
    AdmissionPolicy {
        mode: AdmissionMode::Strictest,
        airtime: None,
    }
}

fn uniform(limit: u32) -> TierLimits {
    TierLimits {
        tier0: limit,
        tier1: limit,
        tier2: limit,
        unknown: limit,
    }
}

#[test]
fn each_tier_of_a_cell_has_the_carriers_limit() {
    for (tier, limit) in [
        (CoverageTier::Tier0, 50),
        (CoverageTier::Tier1, 10),
        (CoverageTier::Tier2, 1),
        (CoverageTier::Unknown, 10),
    ] {
        let mut scheduler = CellScheduler::new(SchedulerConfig::default());
        for task in 0..limit {
            let admission = ask(&mut scheduler, TaskId(task), claim(tier));
            assert_eq!(admission, Admission::Granted, "{tier} {task}");
        }
        for waiting in 0..3 {
            let admission = ask(&mut scheduler, TaskId(limit + waiting), claim(tier));
            let Admission::Queued {
                ahead,
                for_rate: false,
            } = admission
            else {
                panic!("{tier}: {admission:?}");
            };
            assert!(ahead as u64 <= waiting, "{tier}");
        }
        assert_eq!(scheduler.slots_in_use(tier), limit);
    }
}

#[test]
fn tiers_and_cells_do_not_share_slots() {
    let mut scheduler = scheduler(1, 10);
    let mut task = 0;
    for cell in [CellId(1), CellId(2)] {
        for &tier in CoverageTier::ALL {
            task += 1;
            let admission = ask(&mut scheduler, TaskId(task), SlotClaim { cell, tier });
            assert_eq!(admission, Admission::Granted);
        }
    }
}

#[test]
fn a_full_queue_refuses_and_keeps_nothing() {
    let mut scheduler = scheduler(1, 1);
    let tier = claim(CoverageTier::Tier2);
    ask(&mut scheduler, TaskId(1), tier);
    ask(&mut scheduler, TaskId(2), tier);
    assert_eq!(ask(&mut scheduler, TaskId(3), tier), Admission::Full);
    let queued = Admission::Queued {
        ahead: 0,
        for_rate: false,
    };
    assert_eq!(
        ask(&mut scheduler, TaskId(2), tier),
        queued,
        "it has its place"
    );
    assert_eq!(scheduler.release(TaskId(1)), [TaskId(2)]);
    assert_eq!(scheduler.release(TaskId(2)), []);
    assert_eq!(ask(&mut scheduler, TaskId(3), tier), Admission::Granted);
}

#[test]
fn a_slot_is_free_when_the_queue_is_full() {
    let mut scheduler = scheduler(1, 0);
    let tier = claim(CoverageTier::Tier0);
    assert_eq!(ask(&mut scheduler, TaskId(1), tier), Admission::Granted);
    assert_eq!(ask(&mut scheduler, TaskId(2), tier), Admission::Full);
    assert_eq!(scheduler.release(TaskId(1)), []);
    assert!(
        scheduler.cells.is_empty(),
        "a refusal leaves nothing behind"
    );
}

#[test]
fn the_class_is_frozen_at_admission_but_not_before() {
    let mut scheduler = scheduler(1, 10);
    let (good, bad) = (claim(CoverageTier::Tier0), claim(CoverageTier::Tier2));
    ask(&mut scheduler, TaskId(1), good);
    assert_eq!(ask(&mut scheduler, TaskId(1), bad), Admission::Granted);
    assert_eq!(scheduler.slot(TaskId(1)), Some(good));
    ask(&mut scheduler, TaskId(2), good);
    assert_eq!(ask(&mut scheduler, TaskId(2), bad), Admission::Granted);
    assert_eq!(scheduler.slot(TaskId(2)), Some(bad));
    assert_eq!(scheduler.queued(), 0);
}

#[test]
fn raised_limits_grant_and_lowered_ones_wait() {
    let mut scheduler = scheduler(1, 10);
    let tier = claim(CoverageTier::Tier2);
    for task in 1..=4 {
        ask(&mut scheduler, TaskId(task), tier);
    }
    let overrides = BTreeMap::from([(CELL, uniform(3))]);
    let granted = scheduler.set_limits(uniform(1), overrides);
    let last = (2..=4).map(TaskId).find(|task| !granted.contains(task));
    assert_eq!(granted.len(), 2);
    assert_eq!(scheduler.set_limits(uniform(1), BTreeMap::new()), []);
    let row = scheduler.cells(None, 1)[0].tiers[CoverageTier::Tier2 as usize];
    assert_eq!((row.active, row.limit, row.queued), (3, 1, 1));
    assert_eq!(scheduler.release(TaskId(1)), []);
    assert_eq!(scheduler.release(granted[0]), []);
    assert_eq!(scheduler.release(granted[1]), last.as_slice());
}

#[test]
fn cells_are_listed_in_order_and_in_pages() {
    let mut scheduler = scheduler(1, 10);
    for (task, cell) in [30, 10, 20, 10, u32::MAX].into_iter().enumerate() {
        let claim = SlotClaim {
            cell: CellId(cell),
            tier: CoverageTier::ALL[task % CoverageTier::ALL.len()],
        };
        ask(&mut scheduler, TaskId(task as u64), claim);
    }
    let cells = |after: Option<u32>, limit| -> Vec<u32> {
        let rows = scheduler.cells(after.map(CellId), limit);
        rows.iter().map(|row| row.cell.0).collect()
    };
    assert_eq!(cells(None, 10), [10, 20, 30, u32::MAX]);
    assert_eq!(cells(None, 2), [10, 20]);
    assert_eq!(cells(Some(20), 2), [30, u32::MAX]);
    assert_eq!(cells(Some(u32::MAX), 2), [0_u32; 0]);
    assert_eq!(cells(None, 0), [0_u32; 0]);
    let row = scheduler.cells(None, 1)[0];
    let active: Vec<u32> = row.tiers.iter().map(|tier| tier.active).collect();
    assert_eq!(active, [0, 1, 0, 1]);
}

#[test]
fn a_stricter_campaign_holds_for_all_in_the_cell_until_it_has_left() {
    let mut scheduler = CellScheduler::new(SchedulerConfig::default());
    let (good, bad) = (claim(CoverageTier::Tier0), claim(CoverageTier::Tier2));
    let (first, _) = scheduler.request(TaskId(1), bad, strictest(), None);
    assert_eq!(first, Admission::Granted);
    let queued = Admission::Queued {
        ahead: 0,
        for_rate: false,
    };
    assert_eq!(ask(&mut scheduler, TaskId(2), good), queued);
    assert_eq!(scheduler.cells(None, 1)[0].policy, strictest());
    assert_eq!(scheduler.release(TaskId(1)), [TaskId(2)]);
    assert_eq!(
        scheduler.cells(None, 1)[0].policy,
        AdmissionPolicy::default()
    );
    assert_eq!(ask(&mut scheduler, TaskId(3), bad), Admission::Granted);
}

#[test]
fn one_that_sleeps_or_moves_no_longer_holds_others_up() {
    for moves in [false, true] {
        let mut scheduler = CellScheduler::new(SchedulerConfig {
            stretch_max: 0,
            ..SchedulerConfig::default()
        });
        let (good, bad) = (claim(CoverageTier::Tier0), claim(CoverageTier::Tier2));
        scheduler.request(TaskId(1), good, strictest(), None);
        scheduler.request(TaskId(2), bad, strictest(), None);
        let (third, _) = scheduler.request(TaskId(3), good, strictest(), None);
        assert_eq!(
            third,
            Admission::Queued {
                ahead: 0,
                for_rate: false
            },
            "behind weak coverage"
        );
        let granted = if moves {
            let elsewhere = SlotClaim {
                cell: CellId(8),
                ..bad
            };
            let (second, others) = scheduler.request(TaskId(2), elsewhere, strictest(), None);
            assert_eq!(second, Admission::Granted);
            others
        } else {
            scheduler.suspend(TaskId(2))
        };
        assert_eq!(granted, [TaskId(3)]);
    }
}

/// So many wait, of one tier, behind one that is active.
fn waiting(count: u64) -> CellScheduler {
    let mut scheduler = scheduler(1, 100);
    for task in 0..=count {
        ask(&mut scheduler, TaskId(task), claim(CoverageTier::Tier1));
    }
    scheduler
}

#[test]
fn a_waiting_room_has_so_many_places_and_no_slots() {
    let mut scheduler = waiting(5);
    let held = Hold::Held { displaced: None };
    for task in [1, 2, 2] {
        assert_eq!(scheduler.hold(TaskId(task), 2), held);
    }
    assert_eq!(scheduler.hold(TaskId(3), 2), Hold::Full);
    assert_eq!(scheduler.hold(TaskId(0), 2), Hold::Full, "it has a slot");
    assert_eq!(scheduler.hold(TaskId(99), 2), Hold::Full, "it is unknown");
    let row = scheduler.cells(None, 1)[0].tiers[CoverageTier::Tier1 as usize];
    assert_eq!((row.active, row.reachable, row.held), (1, 5, 2));
    scheduler.end_hold(TaskId(1));
    assert_eq!(scheduler.hold(TaskId(3), 2), held);
    scheduler.suspend(TaskId(3));
    assert_eq!(scheduler.hold(TaskId(3), 9), Hold::Full, "it sleeps");
    scheduler.withdraw(TaskId(2));
    assert_eq!(scheduler.held(), 0);
    for task in [1, 4, 5] {
        assert_eq!(scheduler.hold(TaskId(task), 3), held);
    }
    let granted = scheduler.release(TaskId(0));
    assert_eq!((granted.len(), scheduler.held()), (1, 2));
}

#[test]
fn one_that_slept_without_a_slot_comes_before_those_of_its_round_and_takes_a_place_of_theirs() {
    let mut scheduler = waiting(5);
    for task in 1..=3 {
        scheduler.hold(TaskId(task), 3);
    }
    scheduler.suspend(TaskId(4));
    let queued = Admission::Queued {
        ahead: 0,
        for_rate: false,
    };
    let tier = claim(CoverageTier::Tier1);
    assert_eq!(ask(&mut scheduler, TaskId(4), tier), queued);
    let Hold::Held {
        displaced: Some(displaced),
    } = scheduler.hold(TaskId(4), 3)
    else {
        panic!("it was refused a wake, the others were not");
    };
    assert_eq!(scheduler.hold(displaced, 3), Hold::Full);
    assert_eq!(scheduler.hold(TaskId(5), 3), Hold::Full);
    assert_eq!(scheduler.held(), 3);
    assert_eq!(scheduler.release(TaskId(0)), [TaskId(4)]);
}

#[test]
fn who_has_waited_too_long_comes_first_by_the_length_of_its_wait() {
    let hour = |hour: i64| Utc::from_unix_ms(hour * 3_600_000);
    let mut scheduler = waiting(4);
    assert!(!scheduler.is_next(TaskId(3)));
    assert_eq!(scheduler.hasten(TaskId(3), hour(2)), []);
    assert!(scheduler.is_next(TaskId(3)));
    assert_eq!(scheduler.hasten(TaskId(4), hour(1)), []);
    assert!(scheduler.is_next(TaskId(4)) && !scheduler.is_next(TaskId(3)));
    scheduler.suspend(TaskId(4));
    assert_eq!(
        scheduler.release(TaskId(0)),
        [TaskId(3)],
        "the other sleeps"
    );
    ask(&mut scheduler, TaskId(4), claim(CoverageTier::Tier1));
    assert_eq!(
        scheduler.release(TaskId(3)),
        [TaskId(4)],
        "it keeps its place"
    );
    assert_eq!(scheduler.hasten(TaskId(4), hour(0)), [], "it has its slot");
    assert_eq!(scheduler.hasten(TaskId(99), hour(0)), [], "it is unknown");
}

#[test]
fn nothing_else_begins_while_one_that_has_waited_too_long_listens() {
    use CoverageTier::{Tier0, Tier2};
    let mut scheduler = CellScheduler::new(SchedulerConfig::default());
    let ask = |scheduler: &mut CellScheduler, task, tier| {
        let asked = scheduler.request(TaskId(task), claim(tier), strictest(), None);
        asked.0 == Admission::Granted
    };
    assert!(ask(&mut scheduler, 1, Tier0));
    assert!(!ask(&mut scheduler, 100, Tier2));
    assert!(ask(&mut scheduler, 2, Tier0), "it is passed over");
    assert_eq!(scheduler.hasten(TaskId(100), Utc::default()), []);
    assert!(!ask(&mut scheduler, 3, Tier0));
    assert_eq!(scheduler.suspend(TaskId(100)), [TaskId(3)], "it sleeps");
    assert!(!ask(&mut scheduler, 100, Tier2));
    for task in [1, 2] {
        assert_eq!(scheduler.release(TaskId(task)), []);
    }
    assert_eq!(scheduler.release(TaskId(3)), [TaskId(100)]);
}

#[test]
fn a_place_in_the_waiting_room_that_becomes_free_is_offered_to_those_who_found_none() {
    let mut scheduler = waiting(4);
    for task in [1, 2] {
        scheduler.hold(TaskId(task), 2);
    }
    for task in [3, 4] {
        assert_eq!(scheduler.hold(TaskId(task), 2), Hold::Full);
    }
    assert_eq!(scheduler.next_for_room(), None, "none is free");
    scheduler.suspend(TaskId(1));
    let first = scheduler.next_for_room().unwrap();
    assert!([TaskId(3), TaskId(4)].contains(&first));
    assert_eq!(scheduler.hold(first, 2), Hold::Held { displaced: None });
    let other = TaskId(7 - first.0);
    assert_eq!(scheduler.next_for_room(), Some(other));
    assert_eq!(scheduler.hold(other, 2), Hold::Full);
    assert_eq!(scheduler.next_for_room(), None, "there is one place alone");
    scheduler.end_hold(first);
    scheduler.suspend(other);
    assert_eq!(scheduler.next_for_room(), None, "it sleeps");
}

#[test]
fn where_the_whole_cell_counts_tiers_follow_each_other_by_what_they_take() {
    use CoverageTier::{Tier0, Tier1, Tier2, Unknown};
    for mode in [AdmissionMode::PerCell, AdmissionMode::Strictest] {
        let policy = AdmissionPolicy {
            mode,
            airtime: None,
        };
        let mut scheduler = CellScheduler::new(SchedulerConfig {
            limits: uniform(1),
            ..SchedulerConfig::default()
        });
        let (first, _) = scheduler.request(TaskId(0), claim(Tier0), policy, None);
        assert_eq!(first, Admission::Granted);
        for task in 1..=40 {
            let tier = claim(CoverageTier::ALL[task as usize % CoverageTier::ALL.len()]);
            scheduler.request(TaskId(task), tier, policy, None);
        }
        let mut turn = TaskId(0);
        // All take as much; of those who have waited as long, weak coverage is first.
        for tier in [Tier2, Unknown, Tier1, Tier0, Tier2, Unknown, Tier1, Tier0] {
            let granted = scheduler.release(turn);
            assert_eq!(granted.len(), 1);
            turn = granted[0];
            assert_eq!(scheduler.slot(turn), Some(claim(tier)));
        }
    }
}
