//! Kept awake while it waits for a slot.

use std::sync::Arc;

use super::bench::{Bench, Device, new_task, secs, wanted};
use crate::fota::{Contact, Gate, Terms};
use crate::model::{
    CoverageTier, FailureReason, Phase, Preconditions, SlotClaim, TimelineStep, WaitingFor,
    WaitingRoomPolicy,
};

/// A device of the usual awake time, 93 s, in a queue.
fn queued() -> (Bench, SlotClaim) {
    let mut bench = Bench::new(Device::default());
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    let claim = bench.requested.take().unwrap();
    bench.log.clear();
    bench.timeline.clear();
    (bench, claim)
}

/// The same, with a place in the waiting room.
fn in_room() -> (Bench, SlotClaim) {
    let (mut bench, claim) = queued();
    bench.room(WaitingRoomPolicy::default());
    (bench, claim)
}

/// It answers each ping in this time at once; how many there were.
fn wait(bench: &mut Bench, seconds: u64) -> usize {
    let before = bench.count("ping");
    for _ in 0..seconds {
        bench.pass(secs(1));
        if bench.pinged {
            bench.pong();
        }
    }
    bench.count("ping") - before
}

#[test]
fn it_is_pinged_within_its_awake_time_and_says_until_when() {
    let (mut bench, _) = in_room();
    let task = bench.committed.clone();
    assert_eq!(task.phase, Phase::WaitingSlot);
    assert_eq!(task.waiting_for, Some(WaitingFor::Slot));
    assert_eq!(task.until, Some(bench.now.utc + secs(600)), "committed");
    let (step, detail) = &bench.timeline[0];
    assert_eq!(*step, TimelineStep::Held);
    assert!(detail.contains("by a ping each 55 s"), "{detail}");
    bench.pass(secs(55));
    assert_eq!(bench.count("ping"), 0);
    bench.pass(secs(1));
    assert!(bench.pinged);
    bench.pong();
    assert_eq!(wait(&mut bench, 500), 8);
    assert_eq!(
        bench.log,
        ["commit"]
            .into_iter()
            .chain(["ping"; 9])
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_ping_that_is_answered_behind_the_end_of_the_hold_ends_it() {
    let (mut bench, _) = queued();
    bench.room(WaitingRoomPolicy {
        hold_seconds_max: 60,
        ..WaitingRoomPolicy::default()
    });
    bench.pass(secs(56));
    assert!(bench.pinged);
    bench.pass(secs(20));
    bench.pong();
    let due = bench.session.poll_timeout();
    assert_eq!(due, Some(bench.now.instant), "no deadline lies in the past");
    bench.pass(secs(1));
    assert!(!bench.session.is_kept_awake());
}

#[test]
fn a_slot_that_is_free_is_taken_at_once() {
    let (mut bench, claim) = in_room();
    wait(&mut bench, 170);
    bench.log.clear();
    bench.slot = Some(claim);
    bench.session.handle_grant(bench.now);
    bench.drain();
    bench.run();
    assert_eq!(bench.operations()[..2], ["observe /5/0/3", "write /5/0/1"]);
    assert!(!bench.session.is_kept_awake());
    bench.pass(secs(50));
    assert_eq!(bench.count("ping"), 0, "not any more");
}

#[test]
fn a_slot_that_is_free_while_a_ping_is_under_way_is_taken_at_once() {
    let (mut bench, claim) = in_room();
    bench.pass(secs(56));
    assert!(bench.pinged);
    bench.slot = Some(claim);
    bench.session.handle_grant(bench.now);
    bench.drain();
    assert_eq!(bench.operations(), ["observe /5/0/3"]);
    bench.session.handle_pong(bench.now);
    bench.drain();
    assert_eq!(bench.operations(), ["observe /5/0/3"]);
}

#[test]
fn an_answer_behind_the_end_of_the_hold_ends_it_and_leaves_no_deadline_in_the_past() {
    let (mut bench, _) = in_room();
    wait(&mut bench, 550);
    while !bench.pinged {
        bench.pass(secs(1));
    }
    bench.pass(secs(60));
    bench.pong();
    let deadline = bench.session.poll_timeout().unwrap();
    assert!(deadline >= bench.now.instant, "{deadline:?}");
    bench.pass(secs(1));
    assert!(!bench.session.is_kept_awake());
}

#[test]
fn the_hold_has_an_end_and_a_new_contact_begins_another() {
    let (mut bench, _) = in_room();
    assert_eq!(wait(&mut bench, 599), 10);
    assert!(bench.session.is_kept_awake());
    assert_eq!(wait(&mut bench, 1), 0);
    assert!(!bench.session.is_kept_awake());
    assert_eq!(bench.count("leave room"), 1);
    let (step, detail) = bench.timeline.last().unwrap();
    assert_eq!(*step, TimelineStep::HoldEnded);
    assert!(detail.contains("(10 pings)"), "{detail}");
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Slot));
    assert_eq!(wait(&mut bench, 60), 0);
    bench.asleep();
    assert_eq!(bench.session.task().waiting_for, Some(WaitingFor::Contact));
    bench.pass(secs(80_000));
    bench.contact(Contact::Update);
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    assert_eq!(bench.count("request slot"), 1);
    bench.requested = None;
    bench.room(WaitingRoomPolicy::default());
    assert_eq!(wait(&mut bench, 600), 10);
    assert_eq!(bench.session.pings(), 20);
}

#[test]
fn the_pings_of_an_attempt_are_counted_over_all_its_wakes() {
    let (mut bench, _) = queued();
    let policy = WaitingRoomPolicy {
        pings_max: 14,
        hold_seconds_max: 4 * 3600,
        ..WaitingRoomPolicy::default()
    };
    bench.room(policy);
    assert_eq!(wait(&mut bench, 500), 8);
    bench.asleep();
    bench.contact(Contact::Update);
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    bench.requested = None;
    bench.room(policy);
    assert_eq!(wait(&mut bench, 4 * 3600), 6);
    assert!(!bench.session.is_kept_awake());
    let (_, detail) = bench.timeline.last().unwrap();
    assert!(
        detail.starts_with("no slot was free by 14 pings"),
        "{detail}"
    );
}

#[test]
fn one_that_does_not_answer_sleeps_and_is_not_pinged_again() {
    let (mut bench, _) = in_room();
    bench.pass(secs(56));
    assert!(bench.pinged);
    bench.pass(secs(37));
    assert_eq!(bench.count("ping"), 1);
    bench.asleep();
    assert!(!bench.session.is_kept_awake());
    let (step, detail) = bench.timeline.last().unwrap();
    assert_eq!(*step, TimelineStep::HoldEnded);
    assert!(detail.contains("after 1 pings"), "{detail}");
    // Late: it is the owner that says whether it was heard.
    bench.session.handle_pong(bench.now);
    bench.drain();
    bench.pass(secs(1000));
    assert_eq!(bench.count("ping"), 1);
    bench.pass(secs(24 * 3600));
    assert_eq!(bench.failure(), FailureReason::ContactTimeout);
}

#[test]
fn a_device_that_speaks_need_not_be_asked() {
    let (mut bench, _) = in_room();
    for _ in 0..10 {
        bench.pass(secs(50));
        bench.contact(Contact::Uplink);
        bench.requested = None;
    }
    assert_eq!(bench.count("ping"), 0);
    assert!(bench.session.is_kept_awake());
    wait(&mut bench, 100);
    assert!(!bench.session.is_kept_awake(), "it began 600 s ago");
}

#[test]
fn its_place_may_go_to_one_that_has_waited_longer() {
    let (mut bench, claim) = in_room();
    bench.pass(secs(30));
    bench.session.handle_room_lost(bench.now);
    bench.drain();
    assert!(!bench.session.is_kept_awake());
    assert_eq!(wait(&mut bench, 60), 0);
    // As long as it listens a slot is taken.
    bench.slot = Some(claim);
    bench.session.handle_grant(bench.now);
    bench.drain();
    assert_eq!(bench.operations(), ["observe /5/0/3"]);
}

#[test]
fn one_that_listens_for_long_is_pinged_seldom_and_one_that_does_not_wait_never() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).awake_time = secs(300);
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    bench.requested = None;
    bench.room(WaitingRoomPolicy::default());
    assert_eq!(wait(&mut bench, 600), 3);

    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.room(WaitingRoomPolicy::default());
    assert!(!bench.session.is_kept_awake());
    let (mut bench, _) = queued();
    bench.asleep();
    bench.room(WaitingRoomPolicy::default());
    assert!(!bench.session.is_kept_awake());
}

#[test]
fn a_stop_a_reboot_and_a_restart_leave_nothing_behind() {
    let (mut bench, _) = in_room();
    bench.stop();
    assert!(bench.end.is_some());

    let (mut bench, _) = in_room();
    bench.contact(Contact::Register);
    assert!(!bench.session.is_kept_awake(), "it is asked who it is");
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }

    let (mut bench, _) = in_room();
    bench.restart();
    assert!(!bench.session.is_kept_awake());
    bench.log.clear();
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    assert_eq!(bench.count("ping"), 0);
}

#[test]
fn since_when_it_waits_is_of_the_wait_and_not_of_the_phase() {
    let (mut bench, _) = queued();
    let queued_at = bench.committed.since;
    bench.pass(secs(1000));
    assert_eq!(bench.committed.since, queued_at);
    let gate = Gate {
        waiting_for: WaitingFor::Paused,
        until: None,
        holds_execute: false,
    };
    bench.session.handle_gate(bench.now, Some(gate));
    let task = bench.session.task();
    assert_eq!(task.waiting_for, Some(WaitingFor::Paused));
    assert_eq!(task.since, bench.now.utc);
}

#[test]
fn what_was_read_before_a_long_sleep_in_the_queue_is_read_again() {
    let terms = Terms {
        preconditions: Preconditions {
            battery_percent_min: Some(30),
            ..Preconditions::default()
        },
        ..Terms::default()
    };
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    let ask = |bench: &mut Bench| {
        while bench.requested.is_none() {
            assert!(bench.turn(), "{:?}", bench.log);
        }
        bench.requested.take().unwrap()
    };
    let first = ask(&mut bench);
    bench.asleep();
    bench.pass(secs(60));
    bench.contact(Contact::Update);
    assert_eq!(bench.requested, Some(first), "a minute changes nothing");
    bench.requested = None;

    bench.asleep();
    bench.pass(secs(80_000));
    bench.device.cell = Some(4711);
    bench.device.rsrp = Some(-125);
    bench.contact(Contact::Register);
    let moved = ask(&mut bench);
    assert_eq!((moved.cell.0, moved.tier), (4711, CoverageTier::Tier2));
    assert_ne!(first.tier, moved.tier);
    assert_eq!(bench.committed.phase, Phase::WaitingSlot);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Slot));

    bench.asleep();
    bench.pass(secs(80_000));
    bench.device.battery_percent = Some(8);
    bench.contact(Contact::Update);
    bench.run();
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Condition));
    bench.asleep();
    bench.pass(secs(80_000));
    bench.device.battery_percent = Some(90);
    bench.contact(Contact::Update);
    assert_eq!(ask(&mut bench), moved);
}
