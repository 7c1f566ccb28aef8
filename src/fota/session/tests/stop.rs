//! Softly and hard, and devices that install all the same.

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::coap::Code;
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::Answer;
use crate::model::{Failure, FailureReason, StopMode, TaskState, WaitingFor};

fn cancels() -> Bench {
    let terms = Terms {
        names_cancel: true,
        ..Terms::default()
    };
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to_download();
    bench
}

fn succeed(bench: &mut Bench) {
    bench.device.version = Some(NEW);
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded), "{:?}", bench.log);
}

#[test]
fn softly_stopped_what_fetches_goes_on_to_its_end() {
    for restarts in [false, true] {
        let mut bench = cancels();
        bench.stop_as(StopMode::Soft);
        assert_eq!(bench.committed.stop, Some(StopMode::Soft));
        assert!(bench.serving && bench.end.is_none());
        if restarts {
            bench.restart();
            assert!(bench.serving);
            bench.contact(Contact::Uplink);
            bench.run();
        }
        bench.notify(2);
        bench.run();
        assert_eq!(bench.count("execute /5/0/2"), 1);
        assert_eq!(bench.count("execute /5/0/10"), 0);
        succeed(&mut bench);
    }
}

#[test]
fn softly_stopped_what_waits_is_stopped_at_once() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("read /4/0/2");
    bench.stop_as(StopMode::Soft);
    assert_eq!(bench.end, Some(End::Stopped));
    let mut queued = Bench::new(Device::default());
    while queued.requested.is_none() {
        assert!(queued.turn());
    }
    queued.stop_as(StopMode::Soft);
    assert_eq!(
        (queued.end.clone(), queued.requested),
        (Some(End::Stopped), None)
    );
}

#[test]
fn softly_stopped_a_slot_that_was_not_used_is_not_asked_for_again() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("observe /5/0/3");
    bench.stop_as(StopMode::Soft);
    assert!(bench.end.is_none(), "it has a slot");
    bench.asleep();
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Stopped));
    assert_eq!(bench.count("write /5/0/1"), 0);
}

#[test]
fn hard_after_softly_cancels_what_fetches() {
    let mut bench = cancels();
    bench.stop_as(StopMode::Soft);
    bench.device.result = Some(10);
    bench.stop_as(StopMode::Hard);
    assert!(!bench.serving);
    bench.run();
    assert_eq!(bench.end, Some(End::Stopped));
    assert_eq!(bench.count("execute /5/0/10"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 0);
    // The other way round nothing is softened.
    let mut bench = cancels();
    bench.stop_as(StopMode::Hard);
    bench.stop_as(StopMode::Soft);
    assert_eq!(bench.committed.stop, Some(StopMode::Hard));
}

#[test]
fn a_device_that_was_told_to_install_is_running_until_its_real_end() {
    for restarts in [false, true] {
        for succeeds in [true, false] {
            let mut bench = cancels();
            bench.notify(2);
            bench.run();
            assert_eq!(bench.count("execute /5/0/2"), 1);
            bench.stop_as(StopMode::Hard);
            bench.notify(3);
            if restarts {
                bench.restart();
            }
            bench.pass(secs(600));
            assert_eq!(bench.committed.state, TaskState::Running);
            assert!(bench.end.is_none());
            if succeeds {
                succeed(&mut bench);
            } else {
                bench.device.result = Some(8);
                bench.notify(2);
                bench.run();
                assert_eq!(bench.failure(), FailureReason::UpdateFailed);
            }
        }
    }
}

#[test]
fn an_execute_that_was_not_answered_is_not_sent_once_more() {
    let mut bench = cancels();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    bench.stop_as(StopMode::Hard);
    assert_eq!(bench.count("abandon"), 1);
    bench.device.state = 2;
    bench.run();
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.failure(), FailureReason::UpdateFailed);
}

#[test]
fn a_device_that_refuses_to_cancel_because_it_installs_is_running_again() {
    for restarts in [false, true] {
        let mut bench = cancels();
        bench.stop_as(StopMode::Hard);
        assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Quarantine));
        bench.device.state = 3;
        bench.answer(Answer::Refused(Code::METHOD_NOT_ALLOWED));
        bench.run();
        assert_eq!(bench.committed.state, TaskState::Running);
        assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Notification));
        assert_eq!(bench.committed.failure, None);
        // Past the quarantine, within the time of an update.
        bench.pass(secs(600));
        assert!(bench.end.is_none() && bench.slot.is_some());
        if restarts {
            bench.restart();
            assert!(!bench.serving);
        }
        bench.contact(Contact::Uplink);
        bench.run();
        assert!(bench.end.is_none(), "{:?}", bench.end);
        succeed(&mut bench);
        assert_eq!(bench.count("execute /5/0/2"), 0);
    }
}

#[test]
fn one_that_comes_back_from_it_with_its_old_version_is_told_nothing_more() {
    let mut bench = cancels();
    bench.stop_as(StopMode::Hard);
    bench.device.state = 3;
    bench.answer(Answer::Refused(Code::METHOD_NOT_ALLOWED));
    bench.run();
    bench.device.result = Some(0);
    bench.notify(0);
    bench.run();
    bench.pass(secs(301));
    assert_eq!(bench.end, Some(End::Stopped));
    assert_eq!(bench.count("write /5/0/1"), 1);
}

#[test]
fn why_it_was_stopped_is_known_after_a_restart_too() {
    let revoked = Failure {
        reason: FailureReason::KeyRevoked,
        evidence: "key 3 was revoked".to_owned(),
    };
    for restarts in [false, true] {
        let mut bench = cancels();
        let (now, cause) = (bench.now, revoked.clone());
        bench.session.handle_stop(now, cause, StopMode::Hard);
        bench.drain();
        bench.device.state = 3;
        bench.answer(Answer::Refused(Code::METHOD_NOT_ALLOWED));
        bench.run();
        if restarts {
            bench.terms.stopped = Some(revoked.clone());
            bench.restart();
            bench.contact(Contact::Uplink);
            bench.run();
        }
        bench.device.result = Some(0);
        bench.notify(0);
        bench.run();
        bench.pass(secs(301));
        assert_eq!(bench.end, Some(End::Stopped));
        assert_eq!(bench.committed.failure.as_ref(), Some(&revoked));
    }
}

#[test]
fn a_refusal_of_a_device_at_rest_frees_its_slot_at_once() {
    for state in [0, 2] {
        let mut bench = cancels();
        bench.stop_as(StopMode::Hard);
        bench.device.state = state;
        bench.answer(Answer::Refused(Code::METHOD_NOT_ALLOWED));
        bench.run();
        assert_eq!((bench.end.clone(), bench.slot), (Some(End::Stopped), None));
    }
}

#[test]
fn a_device_that_says_that_it_installs_while_it_is_being_stopped_is_running_again() {
    let mut bench = cancels();
    bench.stop_as(StopMode::Hard);
    bench.answer(Answer::TimedOut);
    bench.notify(3);
    bench.run();
    assert_eq!(bench.committed.failure, None);
    bench.pass(secs(600));
    assert!(bench.end.is_none());
    succeed(&mut bench);
}

#[test]
fn a_quarantine_of_a_stop_outlives_a_restart_as_such() {
    let mut bench = cancels();
    bench.stop_as(StopMode::Hard);
    bench.restart();
    assert!(!bench.serving && bench.slot.is_some());
    bench.pass(secs(300));
    assert_eq!(bench.end, Some(End::Stopped));
}
