//! The way of an update that works, and what is decided before a slot is asked for.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, OLD, new_task, secs, wanted};
use crate::coap::Code;
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::{Answer, Operation, path};
use crate::model::{
    CellId, CoverageTier, FailureReason, FirmwareVersion, ObservationCancel, Phase, SlotClaim,
    SuccessNote, TaskState, TimelineStep, WaitingFor,
};

fn update_succeeds(bench: &mut Bench) {
    bench.run_to_executed();
    bench.device.version = Some(NEW);
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded), "{:?}", bench.log);
}

#[test]
fn an_update_goes_the_seeds_way() {
    let mut bench = Bench::new(Device::default());
    update_succeeds(&mut bench);
    assert_eq!(
        bench.operations(),
        [
            "read /5/0/3",
            "read /3/0/3",
            "read /4/0/8",
            "read /4/0/2",
            "read /4/0/11",
            "observe /5/0/3",
            "write /5/0/1",
            "read /5/0/3",
            "read /3/0/3",
            "execute /5/0/2",
            "read /5/0/5",
            "read /3/0/3",
            "cancel /5/0/3",
        ]
    );
    assert_eq!(bench.committed.state, TaskState::Succeeded);
    assert_eq!(bench.committed.phase, Phase::Done);
    assert_eq!(bench.committed.note, None);
    assert_eq!((bench.slot, bench.serving), (None, false));
}

#[test]
fn a_success_stands_in_the_timeline_once_it_is_committed() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_executed();
    bench.device.version = Some(NEW);
    bench.device.result = Some(1);
    bench.notify(0);
    bench.run_to("cancel /5/0/3");
    assert_eq!(bench.committed.state, TaskState::Succeeded);
    // The server may die before the cancellation is answered.
    assert!(bench.steps().contains(&TimelineStep::Succeeded));
}

#[test]
fn the_timeline_tells_the_way() {
    let mut bench = Bench::new(Device::default());
    update_succeeds(&mut bench);
    assert_eq!(
        bench.steps(),
        [
            TimelineStep::Contact,
            TimelineStep::Negotiated,
            TimelineStep::SlotGranted,
            TimelineStep::Observed,
            TimelineStep::UriWritten,
            TimelineStep::DownloadBegun,
            TimelineStep::Downloaded,
            TimelineStep::ExecuteIntended,
            TimelineStep::ExecuteAnswered,
            TimelineStep::ResultRead,
            TimelineStep::VersionRead,
            TimelineStep::SlotReleased,
            TimelineStep::Succeeded,
        ]
    );
    let negotiated = "/5/0/3 = 0, /3/0/3 = V1, /4/0/8 = 21103, /4/0/2 = -97 dBm, \
                      /4/0/11 = 9 dB: tier 0";
    assert_eq!(bench.timeline[1].1, negotiated);
    assert_eq!(
        bench.report.firmware_version,
        FirmwareVersion::parse(NEW).ok()
    );
    assert_eq!(bench.report.cell_id, Some(CellId(21103)));
}

#[test]
fn slot_and_intent_are_committed_together_before_the_write() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("observe /5/0/3");
    assert_eq!(
        (bench.committed.slot, bench.committed.uri_intended),
        (None, false)
    );
    bench.run_to("write /5/0/1");
    let claim = SlotClaim {
        cell: CellId(21103),
        tier: CoverageTier::Tier0,
    };
    assert_eq!(bench.committed.slot, Some(claim));
    assert!(bench.committed.uri_intended && bench.serving);
    let Some(Operation::WriteText { text, .. }) = &bench.outstanding else {
        panic!("no write");
    };
    assert_eq!(
        text,
        "coap://203.0.113.5:5683/fw/07070707070707070707070707070707"
    );
}

#[test]
fn the_intent_to_execute_is_committed_before_execute() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    assert_eq!(bench.committed.execute_intended_attempt, Some(1));
    assert_eq!(bench.committed.phase, Phase::Executing);
    assert!(bench.committed.slot.is_some());
}

#[test]
fn a_device_that_runs_the_target_is_up_to_date_without_a_slot() {
    let mut bench = Bench::new(Device {
        version: Some(NEW),
        state: 2,
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.operations(), ["read /5/0/3", "read /3/0/3"]);
    assert_eq!(bench.count("request slot"), 0);
    assert_eq!(bench.committed.note, Some(SuccessNote::UpToDate));
}

#[test]
fn a_version_that_only_contains_the_target_is_not_the_target() {
    let mut bench = Bench::new(Device {
        version: Some("V2.1"),
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.end, None);
}

#[test]
fn a_source_version_that_is_not_listed_is_not_eligible() {
    let mut wanted = wanted();
    wanted.source_versions = vec![FirmwareVersion::parse("V0").unwrap()];
    let mut bench = Bench::with(Device::default(), wanted, Terms::default(), new_task());
    bench.run();
    assert_eq!(bench.failure(), FailureReason::NotEligible);
    assert_eq!(bench.count("request slot"), 0);
}

#[test]
fn a_device_without_the_firmware_object_is_not_eligible() {
    let mut bench = Bench::new(Device::default());
    bench.answer(Answer::Refused(Code::NOT_FOUND));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::NotEligible);
}

#[test]
fn without_a_cell_the_attempt_fails_with_its_own_cause() {
    let mut bench = Bench::new(Device {
        cell: None,
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.failure(), FailureReason::CellUnknown);
}

#[test]
fn a_radio_value_that_cannot_be_read_is_tier_unknown() {
    let mut bench = Bench::new(Device {
        sinr: None,
        ..Device::default()
    });
    bench.run();
    assert_eq!(bench.slot.unwrap().tier, CoverageTier::Unknown);
    assert_eq!(bench.report.rsrp_dbm, Some(-97));
    assert_eq!(bench.report.sinr_db, None);
}

#[test]
fn radio_values_that_are_not_answered_in_time_are_unknown() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("read /4/0/2");
    bench.answer(Answer::TimedOut);
    assert_eq!(
        bench.outstanding, None,
        "a device that does not answer is left alone"
    );
    bench.pass(secs(181));
    assert_eq!(bench.requested.unwrap().tier, CoverageTier::Unknown);
}

#[test]
fn a_radio_value_whose_answer_was_lost_is_asked_for_again_when_the_device_is_heard() {
    for value in ["read /4/0/2", "read /4/0/11"] {
        let mut bench = Bench::new(Device::default());
        bench.run_to(value);
        bench.answer(Answer::TimedOut);
        bench.contact(Contact::Update);
        bench.run();
        assert_eq!(bench.count(value), 2);
        assert_eq!(bench.slot.unwrap().tier, CoverageTier::Tier0);
    }
}

#[test]
fn a_silent_device_is_offline_and_a_silent_version_has_its_own_cause() {
    let mut bench = Bench::new(Device::default());
    bench.answer(Answer::TimedOut);
    bench.pass(secs(179));
    assert_eq!(bench.end, None);
    bench.pass(secs(2));
    assert_eq!(bench.failure(), FailureReason::DeviceOffline);

    let mut bench = Bench::new(Device::default());
    bench.run_to("read /3/0/3");
    bench.answer(Answer::TimedOut);
    bench.pass(secs(181));
    assert_eq!(bench.failure(), FailureReason::VersionTimeout);
}

#[test]
fn a_sleeping_device_is_waited_for_and_asked_on_at_its_next_contact() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("read /4/0/8");
    bench.asleep();
    assert_eq!(bench.outstanding, None);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Contact));
    bench.pass(secs(3600));
    assert_eq!(
        bench.outstanding, None,
        "nothing is sent to a sleeping device"
    );
    bench.contact(Contact::Update);
    update_succeeds(&mut bench);
}

#[test]
fn a_device_that_never_comes_back_is_a_contact_timeout() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("read /3/0/3");
    bench.asleep();
    bench.pass(secs(24 * 3600 - 1));
    assert_eq!(bench.end, None);
    bench.pass(secs(1));
    assert_eq!(bench.failure(), FailureReason::ContactTimeout);
}

#[test]
fn a_granted_slot_is_not_kept_for_a_device_that_sleeps_before_its_uri() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("observe /5/0/3");
    bench.asleep();
    assert_eq!((bench.slot, bench.count("release slot")), (None, 1));
    bench.contact(Contact::Uplink);
    update_succeeds(&mut bench);
    assert_eq!(bench.count("write /5/0/1"), 1);
}

#[test]
fn after_a_long_queue_state_and_version_are_read_again() {
    let mut bench = Bench::new(Device::default());
    while bench.requested.is_none() {
        assert!(bench.turn());
    }
    assert_eq!(bench.committed.phase, Phase::WaitingSlot);
    bench.pass(secs(7200));
    bench.device.version = Some(NEW);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.count("write /5/0/1"), 0);
}

#[test]
fn the_observation_ends_before_execute_where_the_product_wants_it() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).observation_cancel = ObservationCancel::AfterDownload;
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    update_succeeds(&mut bench);
    assert!(bench.position("cancel /5/0/3") < bench.position("execute /5/0/2"));
    assert_eq!(bench.count("cancel /5/0/3"), 1);
}

#[test]
fn the_result_is_observed_only_where_the_product_says_so() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).observe_result = true;
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    update_succeeds(&mut bench);
    assert_eq!(bench.count("observe /5/0/5"), 1);
    assert_eq!(bench.count("cancel /5/0/5"), 1);
}

#[test]
fn the_version_before_the_uri_is_checked_again_after_a_long_wait_for_a_slot() {
    let mut wanted = wanted();
    wanted.source_versions = vec![FirmwareVersion::parse(OLD).unwrap()];
    let mut bench = Bench::with(Device::default(), wanted, Terms::default(), new_task());
    bench.run_to("read /4/0/11");
    assert!(bench.turn());
    assert_eq!(bench.count("request slot"), 1);
    bench.device.version = Some("V0");
    bench.pass(secs(4 * 60));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::NotEligible);
    assert_eq!(bench.count("write /5/0/1"), 0);
}

#[test]
fn the_version_before_execute_is_checked_again() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.device.version = Some(NEW);
    bench.notify(2);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
    assert_eq!(bench.count("execute /5/0/2"), 0);

    let mut wanted = wanted();
    wanted.source_versions = vec![FirmwareVersion::parse(OLD).unwrap()];
    let mut bench = Bench::with(Device::default(), wanted, Terms::default(), new_task());
    bench.run_to_download();
    bench.device.version = Some("V0");
    bench.notify(2);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::NotEligible);
    assert_eq!(bench.count("execute /5/0/2"), 0);
}

#[test]
fn a_stopped_task_ends_at_once_where_nothing_was_given_to_the_device() {
    let mut bench = Bench::new(Device::default());
    bench.run_to("read /4/0/8");
    bench.stop();
    assert_eq!(bench.end, Some(End::Stopped));
    assert_eq!(bench.committed.state, TaskState::Stopped);
}

#[test]
fn no_execute_leaves_after_a_stop_and_a_busy_slot_is_quarantined() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.stop();
    assert!(!bench.serving && bench.slot.is_some());
    bench.notify(2);
    bench.run();
    bench.pass(secs(300));
    assert_eq!(bench.end, Some(End::Stopped));
    assert_eq!((bench.slot, bench.count("execute /5/0/2")), (None, 0));

    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    bench.stop();
    let state = Operation::Read(path::FIRMWARE_STATE);
    assert_eq!(bench.outstanding, Some(state), "retransmission stops");
    assert!(bench.slot.is_some(), "the device may have heard it");
}

#[test]
fn a_device_that_is_heard_but_never_answers_does_not_hold_its_attempt_for_ever() {
    let mut bench = Bench::new(Device::default());
    for hour in 0..=24 {
        assert_eq!(bench.end, None, "hour {hour}");
        assert!(bench.outstanding.is_some());
        bench.asleep();
        bench.pass(secs(3600));
        if bench.end.is_none() {
            bench.contact(Contact::Uplink);
        } else {
            break;
        }
    }
    assert_eq!(bench.failure(), FailureReason::ContactTimeout);
}
