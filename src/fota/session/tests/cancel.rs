//! Stopping a task while its device downloads.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::coap::Code;
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::Answer;
use crate::model::{Delivery, TaskState, TimelineStep, UpdateCancel};

fn bench(cancel: UpdateCancel, names_cancel: bool, delivery: Delivery) -> Bench {
    let mut terms = Terms {
        names_cancel,
        ..Terms::default()
    };
    Arc::make_mut(&mut terms.settings).cancel = cancel;
    Arc::make_mut(&mut terms.settings).delivery = delivery;
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    if delivery == Delivery::Push {
        bench.run_to("write /5/0/0");
        bench.taken(512);
        bench.notify(1);
    } else {
        bench.run_to_download();
    }
    bench.log.clear();
    bench
}

#[test]
fn a_device_is_told_to_cancel_and_its_result_frees_the_slot() {
    for (cancel, named, asked, result) in [
        (UpdateCancel::Execute, false, "execute /5/0/10", 10),
        (UpdateCancel::None, true, "execute /5/0/10", 10),
        (UpdateCancel::EmptyUri, false, "empty /5/0/1", 0),
        (UpdateCancel::EmptyUri, true, "empty /5/0/1", 10),
    ] {
        for delivery in [Delivery::Pull, Delivery::Push] {
            let mut bench = bench(cancel, named, delivery);
            bench.device.result = Some(result);
            bench.device.state = 0;
            bench.stop();
            assert_eq!(bench.committed.state, TaskState::Running);
            assert!(bench.slot.is_some(), "until it has cancelled");
            bench.run();
            let says_so = result == 10;
            let expected: &[&str] = match says_so {
                true => &[asked, "read /5/0/5"],
                false => &[asked, "read /5/0/5", "read /5/0/3"],
            };
            assert_eq!(bench.operations(), expected);
            assert_eq!(bench.end, Some(End::Stopped));
            assert_eq!(bench.slot, None);
            let evidence = bench.committed.failure.clone().unwrap().evidence;
            let shown = if says_so { "/5/0/5 = 10" } else { "/5/0/3 = 0" };
            assert!(evidence.contains(shown), "{evidence}");
            assert!(bench.steps().contains(&TimelineStep::ResultRead));
        }
    }
}

#[test]
fn nobody_is_told_unless_it_is_known_to_help() {
    let mut bench = bench(UpdateCancel::None, false, Delivery::Pull);
    bench.stop();
    assert_eq!(bench.operations(), [""; 0]);
    assert!(!bench.serving && bench.slot.is_some());
    bench.pass(secs(300));
    assert_eq!(bench.end, Some(End::Stopped));
}

#[test]
fn a_device_that_does_not_cancel_keeps_its_slot_for_the_quarantine() {
    let refused = Answer::Refused(Code::METHOD_NOT_ALLOWED);
    for answer in [refused, Answer::TimedOut, Answer::Done] {
        let mut bench = bench(UpdateCancel::Execute, false, Delivery::Pull);
        // It says that it did, and does not.
        bench.device.result = Some(0);
        bench.stop();
        bench.answer(answer);
        bench.run();
        bench.pass(secs(298));
        assert!(bench.slot.is_some() && bench.end.is_none());
        bench.pass(secs(2));
        assert_eq!(bench.end, Some(End::Stopped));
    }
}

#[test]
fn a_device_that_says_that_it_cancelled_and_installs_is_running_again() {
    for (cancel, result) in [
        (UpdateCancel::Execute, Some(0)),
        (UpdateCancel::Execute, None),
        (UpdateCancel::EmptyUri, Some(0)),
    ] {
        let mut bench = bench(cancel, false, Delivery::Pull);
        bench.device.result = result;
        bench.device.state = 3;
        bench.stop();
        bench.run();
        assert_eq!(bench.committed.state, TaskState::Running);
        assert_eq!(bench.committed.failure, None, "{cancel:?}");
        // Past the quarantine, within the time of an update.
        bench.pass(secs(600));
        assert!(bench.end.is_none() && bench.slot.is_some());
        bench.device.version = Some(NEW);
        bench.device.result = Some(1);
        bench.notify(0);
        bench.run();
        assert_eq!(bench.end, Some(End::Succeeded));
    }
}

#[test]
fn a_reboot_or_sleep_in_the_middle_leaves_the_quarantine_as_it_is() {
    for reboots in [false, true] {
        let mut bench = bench(UpdateCancel::Execute, false, Delivery::Pull);
        bench.stop();
        if reboots {
            bench.contact(Contact::Register);
        } else {
            bench.asleep();
        }
        assert_eq!(bench.count("abandon"), 1);
        assert!(bench.slot.is_some() && bench.end.is_none());
        bench.pass(secs(300));
        assert_eq!(bench.end, Some(End::Stopped));
    }
}

#[test]
fn a_sleeping_device_is_not_told() {
    let mut bench = bench(UpdateCancel::Execute, false, Delivery::Pull);
    bench.asleep();
    bench.log.clear();
    bench.stop();
    assert_eq!(bench.operations(), [""; 0]);
}

#[test]
fn after_execute_nothing_is_cancelled() {
    let mut bench = bench(UpdateCancel::Execute, false, Delivery::Pull);
    bench.notify(2);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    bench.stop();
    assert_eq!(bench.count("execute /5/0/10"), 0);
}
