//! Execute and its outcome, when answers are lost, devices reboot and servers restart.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, new_task, secs, start, wanted};
use crate::coap::Code;
use crate::fota::{Action, Contact, End, Session, Terms};
use crate::lwm2m::Answer;
use crate::model::{
    DeviceReport, DownloadCapability, FailureReason, Phase, SuccessNote, TaskState, WaitingFor,
};

fn executed() -> Bench {
    let mut bench = Bench::new(Device::default());
    bench.run_to_executed();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    bench
}

fn executed_without_answer() -> Bench {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    bench.answer(Answer::TimedOut);
    bench
}

fn reports(bench: &mut Bench, state: i64, result: i64, version: &'static str) {
    bench.device.state = state;
    bench.device.result = Some(result);
    bench.device.version = Some(version);
}

#[test]
fn a_lost_answer_to_execute_is_reconciled_by_reading() {
    let mut bench = executed_without_answer();
    assert_eq!(bench.committed.phase, Phase::Updating);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Contact));
    bench.log.clear();
    reports(&mut bench, 0, 1, NEW);
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(
        bench.operations(),
        ["read /5/0/3", "read /5/0/5", "read /3/0/3", "cancel /5/0/3"]
    );
}

#[test]
fn a_registration_while_execute_is_on_its_way_stops_it() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    reports(&mut bench, 0, 1, NEW);
    bench.contact(Contact::Register);
    assert_eq!(bench.count("abandon"), 1);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn execute_without_effect_fails_the_attempt_and_is_not_repeated() {
    let mut bench = executed_without_answer();
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::UpdateFailed);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.count("read /5/0/5"), 1);
}

#[test]
fn an_uplink_right_after_execute_does_not_fail_it() {
    let mut bench = executed();
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.session.task().waiting_for, Some(WaitingFor::Settling));
    reports(&mut bench, 3, 0, "V1");
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.end, None);
    reports(&mut bench, 0, 1, NEW);
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn a_refused_execute_is_reconciled_by_reading() {
    for code in [Code::METHOD_NOT_ALLOWED, Code::BAD_REQUEST] {
        let mut bench = Bench::new(Device {
            execute: Answer::Refused(code),
            ..Device::default()
        });
        bench.run_to_executed();
        assert_eq!(bench.failure(), FailureReason::UpdateFailed);
        assert_eq!(bench.count("execute /5/0/2"), 1);
    }
}

#[test]
fn state_2_with_result_8_is_a_failed_update() {
    let mut bench = executed();
    reports(&mut bench, 2, 8, "V1");
    bench.notify(2);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::UpdateFailed);
    assert_eq!(
        bench.timeline.last().unwrap().1,
        "update_failed: /5/0/3 = 2, /5/0/5 = 8 after Execute"
    );
}

#[test]
fn a_deferred_update_is_waited_for() {
    let mut bench = executed();
    reports(&mut bench, 2, 11, "V1");
    bench.notify(2);
    bench.run();
    bench.contact(Contact::Update);
    bench.run();
    assert_eq!((bench.end.clone(), bench.count("read /5/0/5")), (None, 1));
    bench.pass(secs(600));
    reports(&mut bench, 0, 1, NEW);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn a_version_that_differs_is_read_again_before_it_fails() {
    let mut bench = executed();
    reports(&mut bench, 0, 1, "V1");
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, None);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Settling));
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::VersionMismatch);
    assert_eq!(bench.count("read /5/0/5"), 1);

    let mut bench = executed();
    reports(&mut bench, 0, 1, "V1");
    bench.notify(0);
    bench.run();
    bench.device.version = Some(NEW);
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn result_1_alone_counts_where_the_version_cannot_be_read() {
    let mut bench = executed();
    bench.device.version = None;
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.committed.note, Some(SuccessNote::Unconfirmed));

    let mut bench = executed();
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run_to("read /3/0/3");
    bench.answer(Answer::TimedOut);
    bench.pass(secs(1800));
    bench.pass(secs(180));
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.committed.note, Some(SuccessNote::Unconfirmed));
}

#[test]
fn result_1_alone_counts_where_the_products_version_is_a_constant() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).trust_result_only = true;
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to_executed();
    reports(&mut bench, 0, 1, "V1");
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn the_target_version_is_a_success_whatever_the_result_says() {
    let mut bench = executed_without_answer();
    reports(&mut bench, 0, 8, NEW);
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.committed.note, None);
}

#[test]
fn results_after_execute_name_their_cause() {
    let mut bench = executed();
    reports(&mut bench, 0, 5, "V1");
    bench.notify(0);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::IntegrityCheckFailed);
}

#[test]
fn a_device_that_forgot_the_update_fails_the_attempt() {
    let mut bench = executed();
    reports(&mut bench, 0, 0, "V1");
    bench.contact(Contact::Register);
    bench.run();
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::UpdateFailed);
    assert_eq!(bench.count("write /5/0/1"), 1);
}

#[test]
fn a_device_that_goes_on_updating_times_out_after_a_last_question() {
    let mut bench = executed();
    bench.notify(3);
    bench.pass(secs(1799));
    assert_eq!(bench.outstanding, None);
    bench.pass(secs(1));
    bench.run();
    bench.pass(secs(180));
    assert!(!bench.serving && bench.slot.is_some());
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::ResultTimeout);
}

#[test]
fn the_last_question_finds_an_update_whose_notification_was_lost() {
    let mut bench = executed();
    reports(&mut bench, 0, 1, NEW);
    bench.pass(secs(1800));
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn a_restart_after_the_intent_never_executes_again() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    bench.restart();
    bench.run();
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::UpdateFailed);
    assert_eq!(bench.count("execute /5/0/2"), 0);
}

#[test]
fn after_a_restart_the_version_goes_before_the_result() {
    let mut bench = executed();
    reports(&mut bench, 0, 8, NEW);
    bench.restart();
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(
        bench.operations(),
        ["read /5/0/3", "read /3/0/3", "cancel /5/0/3"]
    );
    assert_eq!(bench.slot, None);
}

#[test]
fn the_time_for_the_outcome_goes_on_over_a_restart() {
    let mut bench = executed();
    bench.notify(3);
    bench.pass(secs(1200));
    bench.restart();
    bench.run();
    assert_eq!(bench.end, None);
    bench.asleep();
    bench.pass(secs(600));
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::ResultTimeout);
}

#[test]
fn a_short_wait_at_a_restart_does_not_cut_the_time_for_the_outcome() {
    let mut bench = executed();
    reports(&mut bench, 2, 0, "V1");
    bench.contact(Contact::Update);
    bench.run();
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Settling));
    bench.restart();
    bench.asleep();
    bench.pass(secs(1799));
    assert_eq!(bench.committed.failure, None);
    bench.pass(secs(1));
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Quarantine));
}

#[test]
fn a_clock_set_ahead_over_a_restart_cuts_no_wait_short() {
    let year = secs(365 * 24 * 3600);
    let mut bench = executed();
    bench.notify(3);
    bench.now.utc = bench.now.utc + year;
    bench.restart();
    bench.asleep();
    bench.pass(secs(1799));
    assert_eq!(bench.committed.failure, None);
    bench.pass(secs(1));
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Quarantine));
    bench.now.utc = bench.now.utc + year;
    bench.restart();
    bench.pass(secs(299));
    assert!(bench.slot.is_some() && bench.end.is_none());
    bench.pass(secs(1));
    assert_eq!(bench.slot, None);
}

#[test]
fn a_quarantine_goes_on_over_a_restart() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.pass(secs(3600));
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Quarantine));
    bench.pass(secs(100));
    bench.restart();
    assert_eq!(bench.operations(), [""; 0]);
    bench.contact(Contact::Register);
    bench.pass(secs(199));
    assert!(bench.slot.is_some() && bench.end.is_none());
    bench.pass(secs(1));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
    assert_eq!(bench.slot, None);
}

#[test]
fn a_retry_after_a_failed_update_executes_what_is_there() {
    let mut bench = executed();
    reports(&mut bench, 2, 8, "V1");
    bench.notify(2);
    bench.run();
    let mut task = bench.committed.clone();
    task.state = TaskState::Pending;
    let mut bench = Bench::with(bench.device, wanted(), Terms::default(), task);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 0);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.committed.execute_intended_attempt, Some(2));
    assert!(bench.slot.is_some());
}

#[test]
fn an_update_of_someone_else_is_waited_for() {
    let mut bench = Bench::new(Device {
        state: 3,
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.count("request slot"), 0);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1);
}

#[test]
fn a_lost_result_is_not_asked_for_twice() {
    let mut bench = executed();
    reports(&mut bench, 0, 1, NEW);
    bench.notify(0);
    bench.answer(Answer::TimedOut);
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("read /5/0/5"), 1);
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn a_stopped_task_holds_its_slot_over_a_restart() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.stop();
    assert_eq!(bench.committed.state, TaskState::Running, "not over yet");
    bench.restart();
    assert_eq!(bench.operations(), [""; 0]);
    bench.pass(secs(299));
    assert!(bench.slot.is_some() && bench.end.is_none());
    bench.pass(secs(1));
    assert_eq!(bench.end, Some(End::Stopped));
    assert_eq!(bench.committed.state, TaskState::Stopped);
    assert_eq!(bench.slot, None);
}

#[test]
fn a_failure_that_leaves_a_download_open_keeps_its_slot_for_a_while() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.device.state = 1;
    bench.device.version = None;
    bench.restart();
    bench.contact(Contact::Register);
    bench.run();
    assert!(!bench.serving && bench.slot.is_some() && bench.end.is_none());
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::VersionTimeout);
    assert_eq!(bench.slot, None);
}

#[test]
fn an_operation_that_was_not_handed_over_when_its_device_fell_asleep_never_leaves() {
    let mut session = Session::open(
        start(),
        new_task(),
        wanted(),
        Terms::default(),
        DeviceReport::default(),
        DownloadCapability([1; 16]),
    );
    session.handle_asleep(start());
    let actions: Vec<_> = std::iter::from_fn(|| session.poll_action()).collect();
    let spoken = |action: &Action| matches!(action, Action::Operate(_) | Action::AbandonOperation);
    assert!(!actions.iter().any(spoken), "{actions:?}");
}

#[test]
fn a_device_that_was_not_heard_is_waited_for_when_it_does_not_answer() {
    let open = |unheard: bool| {
        let open = if unheard {
            Session::open_unheard
        } else {
            Session::open
        };
        let (report, capability) = (DeviceReport::default(), DownloadCapability([1; 16]));
        let mut session = open(
            start(),
            new_task(),
            wanted(),
            Terms::default(),
            report,
            capability,
        );
        while session.poll_action().is_some() {}
        session.handle_answer(start(), Answer::TimedOut);
        session.handle_timeout(start() + secs(180));
        session
    };
    assert_eq!(open(false).task().state, TaskState::Failed);
    let waiting = open(true);
    assert_eq!(waiting.task().state, TaskState::Running);
    assert_eq!(waiting.task().waiting_for, Some(WaitingFor::Contact));
}
