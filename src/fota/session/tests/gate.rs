//! A halt, and what was on its way when it came.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::fota::{Contact, End, Gate, Terms};
use crate::lwm2m::Answer;
use crate::model::{Delivery, FailureReason, WaitingFor};

fn gate(bench: &mut Bench, holds_execute: Option<bool>) {
    let gate = holds_execute.map(|holds_execute| Gate {
        waiting_for: WaitingFor::Paused,
        until: None,
        holds_execute,
    });
    bench.session.handle_gate(bench.now, gate);
    bench.drain();
}

fn halt(bench: &mut Bench) {
    gate(bench, Some(true));
}

fn at_execute() -> Bench {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    bench
}

fn is_withheld(bench: &Bench) -> bool {
    matches!(&bench.end, Some(End::Withheld(failure)) if failure.reason == FailureReason::UpdateFailed)
}

#[test]
fn an_execute_without_an_answer_does_not_leave_again_after_a_halt() {
    for resumes_first in [false, true] {
        let mut bench = at_execute();
        halt(&mut bench);
        assert_eq!(bench.count("abandon"), 1);
        if resumes_first {
            gate(&mut bench, None);
        }
        bench.run();
        bench.pass(secs(60));
        bench.run();
        assert_eq!(bench.count("execute /5/0/2"), 1);
        assert!(is_withheld(&bench), "{:?}", bench.end);
    }
}

#[test]
fn an_execute_that_arrived_before_a_halt_is_followed_to_its_end() {
    let mut bench = at_execute();
    halt(&mut bench);
    bench.notify(3);
    bench.run();
    bench.pass(secs(300));
    bench.device.version = Some(NEW);
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    // One that installed and failed has failed.
    let mut bench = at_execute();
    halt(&mut bench);
    bench.notify(3);
    bench.device.result = Some(0);
    bench.notify(2);
    bench.run();
    bench.pass(secs(60));
    bench.run();
    assert!(matches!(bench.end, Some(End::Failed(_))), "{:?}", bench.end);
    let mut bench = at_execute();
    bench.device.state = 2;
    bench.device.result = Some(8);
    halt(&mut bench);
    bench.run();
    assert!(matches!(bench.end, Some(End::Failed(_))), "{:?}", bench.end);
}

#[test]
fn an_execute_that_a_restart_cut_off_before_a_halt_is_withheld_too() {
    let mut bench = at_execute();
    bench.restart();
    halt(&mut bench);
    bench.run();
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 0);
    assert!(is_withheld(&bench), "{:?}", bench.end);
}

#[test]
fn a_pause_leaves_an_execute_on_its_way() {
    let mut bench = at_execute();
    gate(&mut bench, Some(false));
    assert_eq!(bench.count("abandon"), 0);
    assert!(bench.outstanding.is_some());
}

#[test]
fn a_uri_without_an_answer_is_not_written_again_until_it_goes_on() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("write /5/0/1");
    halt(&mut bench);
    assert_eq!(bench.count("abandon"), 1);
    bench.run();
    bench.pass(secs(120));
    bench.run();
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Paused));
    bench.pass(secs(24 * 3600));
    assert_eq!(bench.count("write /5/0/1"), 1);
    gate(&mut bench, None);
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 2);
    assert_eq!(bench.end, None);
}

#[test]
fn a_device_that_gives_its_download_up_is_not_told_again_while_all_is_halted() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    halt(&mut bench);
    // It has booted, and forgotten what it had.
    bench.device.state = 0;
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Paused));
    gate(&mut bench, None);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 2);
}

#[test]
fn a_device_whose_uri_had_arrived_fetches_while_all_is_halted() {
    for notifies in [false, true] {
        let mut bench = Bench::new(Device::default());
        bench.run_to("write /5/0/1");
        halt(&mut bench);
        bench.run();
        bench.pass(secs(120));
        bench.run();
        assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Paused));
        if notifies {
            bench.notify(1);
        }
        bench.block(512);
        bench.block(1024);
        assert_eq!(bench.session.task().waiting_for, Some(WaitingFor::Block));
        assert_eq!(bench.session.task().bytes_served, 1024);
        bench.notify(2);
        bench.run();
        assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Paused));
        gate(&mut bench, None);
        bench.run();
        assert_eq!(bench.count("write /5/0/1"), 1);
        assert_eq!(bench.count("execute /5/0/2"), 1);
    }
}

#[test]
fn a_push_goes_on_where_the_device_has_taken_a_block_and_is_not_begun_otherwise() {
    for has_begun in [false, true] {
        let mut terms = Terms::default();
        Arc::make_mut(&mut terms.settings).delivery = Delivery::Push;
        let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
        bench.run_to("write /5/0/0");
        if has_begun {
            bench.taken(512);
        }
        halt(&mut bench);
        assert_eq!(bench.count("abandon"), usize::from(!has_begun));
        if has_begun {
            // And where it breaks off it is not begun again.
            bench.answer(Answer::TimedOut);
        }
        bench.contact(Contact::Uplink);
        bench.run();
        bench.pass(secs(120));
        bench.run();
        assert_eq!(bench.count("write /5/0/0"), 1);
        assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Paused));
        gate(&mut bench, None);
        bench.contact(Contact::Uplink);
        bench.run();
        assert_eq!(bench.count("write /5/0/0"), 2);
    }
}
