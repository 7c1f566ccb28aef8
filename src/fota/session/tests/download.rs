//! Downloads that stall, are refused, or are not ours.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, SIZE_BYTES, new_task, secs};
use crate::coap::Code;
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::{Answer, path};
use crate::model::{FailureReason, Phase, TaskState, TimelineStep, UpdateTask, WaitingFor};

#[test]
fn a_notification_may_come_before_the_answer_to_the_write() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("write /5/0/1");
    bench.notify(1);
    bench.answer(Answer::TimedOut);
    bench.block(512);
    bench.notify(2);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.count("write /5/0/1"), 1);
}

#[test]
fn a_bad_uri_is_found_by_silence_and_both_are_read_once() {
    let mut bench = Bench::new(Device::default());
    bench.run();
    bench.device.result = Some(7);
    bench.log.clear();
    bench.pass(secs(59));
    assert_eq!(bench.log, [""; 0]);
    bench.pass(secs(1));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::InvalidUri);
    assert_eq!(
        bench.operations(),
        ["read /5/0/3", "read /5/0/5", "cancel /5/0/3"]
    );
}

#[test]
fn an_observed_result_tells_of_a_bad_uri_at_once() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).observe_result = true;
    let mut bench = Bench::with(Device::default(), super::bench::wanted(), terms, new_task());
    bench.run();
    bench.device.result = Some(9);
    bench.notify_other(path::FIRMWARE_UPDATE_RESULT, 9);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::UnsupportedProtocol);
}

#[test]
fn a_bad_uri_may_be_told_before_the_write_is_answered() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).observe_result = true;
    let mut bench = Bench::with(Device::default(), super::bench::wanted(), terms, new_task());
    bench.run_to("write /5/0/1");
    bench.device.result = Some(7);
    bench.notify_other(path::FIRMWARE_UPDATE_RESULT, 7);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::InvalidUri);
    assert_eq!(bench.count("read /5/0/5"), 1);
}

#[test]
fn a_device_that_begins_late_is_not_failed_and_its_result_is_read_once() {
    let mut bench = Bench::new(Device::default());
    bench.run();
    for _ in 0..30 {
        bench.pass(secs(60));
        bench.run();
    }
    assert_eq!(bench.count("read /5/0/5"), 1);
    assert!(bench.count("read /5/0/3") < 9, "{:?}", bench.log);
    assert_eq!(bench.count("write /5/0/1"), 1);
    bench.notify(1);
    bench.block(512);
    bench.notify(2);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_download_that_fetches_is_alive_and_one_that_does_not_has_stalled() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    for block in 2..=4 {
        bench.pass(secs(3000));
        bench.run();
        bench.block(block * 512);
    }
    assert_eq!(bench.end, None);
    assert_eq!(
        bench.session.task().waiting_for,
        Some(WaitingFor::Notification)
    );
    bench.pass(secs(3599));
    assert_eq!((bench.end.clone(), bench.serving), (None, true));
    bench.pass(secs(1));
    assert!(!bench.serving, "the capability goes first");
    assert!(bench.slot.is_some() && bench.end.is_none());
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Quarantine));
    assert_eq!(bench.committed.phase, Phase::Downloading);
    bench.pass(secs(299));
    assert!(bench.slot.is_some());
    bench.pass(secs(1));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
    assert_eq!(bench.slot, None);
}

#[test]
fn one_block_again_and_again_is_no_progress() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    for _ in 0..40 {
        bench.pass(secs(100));
        bench.block(512);
    }
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
}

#[test]
fn a_missed_notification_is_made_good_by_a_read() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.block(SIZE_BYTES);
    bench.device.state = 2;
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_failed_download_is_told_by_its_result() {
    for (result, reason) in [
        (2, FailureReason::NoSpace),
        (4, FailureReason::ConnectionLost),
        (5, FailureReason::IntegrityCheckFailed),
        (42, FailureReason::UpdateFailed),
    ] {
        let mut bench = Bench::new(Device::default());
        bench.run_to_download();
        bench.device.result = Some(result);
        bench.notify(0);
        bench.run();
        assert_eq!(bench.failure(), reason);
        assert_eq!(bench.count("read /5/0/5"), 1);
        assert_eq!(bench.committed.state, TaskState::Failed);
        assert_eq!((bench.slot, bench.serving), (None, false));
    }
}

#[test]
fn a_device_that_forgets_its_download_gets_the_uri_again_but_not_for_ever() {
    let mut bench = Bench::new(Device::default());
    for _ in 0..3 {
        bench.run_to_download();
        bench.device.state = 0;
        bench.contact(Contact::Register);
    }
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 3);
    assert_eq!(bench.failure(), FailureReason::ConnectionLost);
}

#[test]
fn the_uri_is_not_written_over_a_running_download_of_ours() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.restart();
    bench.run();
    // Nor is it observed under another token: what it notifies on the one it has is heard.
    assert_eq!(bench.operations(), ["read /5/0/3", "read /3/0/3"]);
    assert!(bench.serving && bench.slot.is_some());
    bench.notify(2);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.count("request slot"), 0);
}

#[test]
fn an_intent_that_had_no_effect_is_carried_out_after_a_restart() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("write /5/0/1");
    bench.restart();
    bench.run();
    assert_eq!(
        bench.operations(),
        [
            "read /5/0/3",
            "read /3/0/3",
            "read /5/0/5",
            "observe /5/0/3",
            "write /5/0/1"
        ]
    );
    assert_eq!(bench.committed.attempt, 1);
}

#[test]
fn a_finished_download_of_ours_goes_straight_to_execute_after_a_restart() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.device.state = 2;
    bench.restart();
    bench.run();
    assert_eq!(
        bench.operations(),
        ["read /5/0/3", "read /3/0/3", "execute /5/0/2"]
    );
}

#[test]
fn a_package_of_someone_else_is_never_executed() {
    let mut bench = Bench::new(Device {
        state: 2,
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1);
    bench.notify(2);
    bench.run();
    bench.restart();
    bench.run();
    bench.pass(secs(3600));
    bench.run();
    bench.pass(secs(3600));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
    assert!(!bench.log.contains(&"execute /5/0/2".to_owned()));
}

#[test]
fn a_package_of_someone_else_is_replaced_where_the_device_takes_ours() {
    let mut bench = Bench::new(Device {
        state: 2,
        ..Device::default()
    });
    bench.run_to_download();
    bench.notify(2);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_download_of_someone_else_is_waited_for_without_a_slot() {
    let mut bench = Bench::new(Device {
        state: 1,
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.count("request slot"), 0);
    bench.contact(Contact::Update);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 0);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1);

    let mut bench = Bench::new(Device {
        state: 1,
        ..Device::default()
    });
    bench.run();
    bench.pass(secs(3600));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
}

#[test]
fn a_retry_takes_up_the_download_that_an_earlier_attempt_began() {
    let mut task = new_task();
    task.attempt = 1;
    task.capability = Some(crate::model::DownloadCapability([9; 16]));
    let device = Device {
        state: 1,
        ..Device::default()
    };
    let mut bench = Bench::with(device, super::bench::wanted(), Terms::default(), task);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 0);
    assert!(bench.serving && bench.committed.slot.is_some() && bench.committed.uri_intended);
    bench.notify(2);
    bench.run();
    assert_eq!(bench.committed.execute_intended_attempt, Some(2));
}

/// Nothing is answered until the attempt is over; then the next one begins.
fn lose_every_answer_and_retry(mut bench: Bench) -> Bench {
    while bench.end.is_none() {
        if bench.outstanding.is_some() {
            bench.answer(Answer::TimedOut);
        } else {
            bench.pass_to_deadline();
        }
    }
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
    let mut task = bench.committed;
    task.state = TaskState::Pending;
    task.phase = Phase::WaitingContact;
    let mut bench = Bench::with(bench.device, bench.wanted, bench.terms, task);
    bench.run();
    bench
}

#[test]
fn what_an_earlier_attempt_brought_whole_is_executed_and_not_fetched_again() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.block(SIZE_BYTES);
    bench.device.state = 2;
    let bench = lose_every_answer_and_retry(bench);
    assert_eq!(bench.count("write /5/0/1"), 0);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert!(bench.committed.slot.is_some());
}

#[test]
fn what_was_read_before_a_long_wait_for_a_slot_is_read_again_before_execute() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).read_timeout = secs(90 * 60);
    let mut task = new_task();
    (task.attempt, task.uri_intended) = (1, true);
    let device = Device {
        state: 2,
        ..Device::default()
    };
    let mut bench = Bench::with(device, super::bench::wanted(), terms, task);
    while bench.requested.is_none() {
        assert!(bench.turn());
    }
    bench.pass(secs(30 * 60));
    bench.run_to("execute /5/0/2");
    assert_eq!(bench.count("read /5/0/3"), 2);
    assert_eq!(bench.count("read /3/0/3"), 2);
}

#[test]
fn a_package_of_someone_else_is_not_executed_in_a_later_attempt_either() {
    let mut bench = Bench::new(Device {
        state: 2,
        ..Device::default()
    });
    bench.run();
    let bench = lose_every_answer_and_retry(bench);
    assert_eq!(bench.count("write /5/0/1"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 0);
}

#[test]
fn a_device_that_left_a_question_unanswered_in_its_download_is_asked_again() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.block(SIZE_BYTES);
    bench.device.state = 2;
    bench.pass_to_deadline();
    bench.answer(Answer::TimedOut);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Contact));
    bench.pass_to_deadline();
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_refused_uri_is_explained_by_state_and_result() {
    let mut bench = Bench::new(Device {
        write: Answer::Refused(Code::BAD_REQUEST),
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.failure(), FailureReason::InvalidUri);
    assert_eq!(bench.count("write /5/0/1"), 1);
}

#[test]
fn a_download_of_someone_else_that_ours_was_refused_for_is_never_executed() {
    for restarted in [false, true] {
        let mut bench = Bench::new(Device {
            write: Answer::Refused(Code::METHOD_NOT_ALLOWED),
            ..Device::default()
        });
        bench.run_to("write /5/0/1");
        bench.device.state = 1;
        bench.run();
        assert_eq!(bench.end, None);
        if restarted {
            bench.restart();
        }
        bench.notify(2);
        bench.run();
        assert_eq!(bench.count("execute /5/0/2"), 0);
    }
}

#[test]
fn a_lost_write_is_reconciled_at_the_next_contact() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("write /5/0/1");
    bench.answer(Answer::TimedOut);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Contact));
    bench.device.state = 1;
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 1);

    let mut bench = Bench::new(Device::default());
    bench.run_to("write /5/0/1");
    bench.answer(Answer::Reset);
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("write /5/0/1"), 2);
}

#[test]
fn a_device_that_refuses_to_be_observed_is_asked_instead() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("observe /5/0/3");
    bench.answer(Answer::Refused(Code::METHOD_NOT_ALLOWED));
    bench.run();
    bench.device.state = 1;
    bench.block(512);
    bench.device.state = 2;
    bench.pass(secs(60));
    bench.run();
    bench.device = Device {
        version: Some(NEW),
        result: Some(1),
        ..Device::default()
    };
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.count("cancel /5/0/3"), 0);
}

#[test]
fn a_uri_that_is_written_again_has_a_result_of_its_own() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.device.state = 0;
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(
        (bench.count("write /5/0/1"), bench.count("read /5/0/5")),
        (2, 1)
    );
    bench.device.result = Some(7);
    bench.pass(secs(60));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::InvalidUri);
}

#[test]
fn how_far_it_is_outlives_a_restart_and_the_next_attempts_uri() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.block(1024);
    bench.asleep();
    assert_eq!(bench.committed.bytes_served, 1024);
    bench.restart();
    bench.timeline.clear();
    bench.run();
    bench.block(1024);
    assert!(!bench.steps().contains(&TimelineStep::DownloadBegun));
    let heard_at = bench.now.utc;
    let day = secs(24 * 3600);
    while bench.end.is_none() {
        bench.pass(day);
    }
    let failure = bench.committed.failure.clone().unwrap();
    assert_eq!(failure.reason, FailureReason::DownloadStalled);
    let evidence = &failure.evidence;
    assert!(evidence.contains("1024 of 2048 bytes served"), "{evidence}");
    let last = format!("; last heard at {heard_at}");
    assert!(evidence.ends_with(&last), "{evidence}");

    let task = UpdateTask {
        state: TaskState::Pending,
        ..bench.committed.clone()
    };
    let (wanted, terms) = (bench.wanted.clone(), bench.terms.clone());
    let mut next = Bench::with(Device::default(), wanted, terms, task);
    next.run();
    assert_eq!(next.count("write /5/0/1"), 1);
    assert_eq!(next.committed.bytes_served, 1024, "until it goes on");
    next.notify(1);
    next.block(512);
    assert_eq!(next.session.task().bytes_served, 512, "it began anew");
}
