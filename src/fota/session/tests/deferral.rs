//! The device's user puts the installation off.

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::coap::Code;
use crate::fota::{Contact, DeferralResources, End, Terms};
use crate::lwm2m::{Answer, Operation, path};
use crate::model::{FailureReason, Severity, SlotHeld, TimelineStep, WaitingFor};

const DAY: u64 = 24 * 3600;

fn terms() -> Terms {
    Terms {
        severity: Some(Severity::Mandatory),
        defer_seconds_max: Some(7200),
        names_deferral: DeferralResources {
            severity: true,
            defer_period: true,
        },
        ..Terms::default()
    }
}

fn downloaded(terms: Terms) -> Bench {
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to_download();
    bench.device.state = 2;
    bench.log.clear();
    bench.notify(2);
    bench
}

/// To the point where the device has said that it installs later.
fn deferred(terms: Terms) -> Bench {
    let mut bench = downloaded(terms);
    bench.run();
    bench.notify(3);
    bench.device.result = Some(11);
    bench.notify(2);
    bench.run();
    bench
}

fn waits(bench: &Bench) -> bool {
    bench.committed.waiting_for == Some(WaitingFor::Deferred)
}

#[test]
fn a_device_that_names_them_is_told_severity_and_defer_period_before_execute() {
    let mut bench = downloaded(terms());
    bench.run_to("write /5/0/11");
    let Some(Operation::WriteText { path, text }) = bench.outstanding.clone() else {
        panic!("a write");
    };
    assert_eq!((path, text.as_str()), (path::FIRMWARE_SEVERITY, "1"));
    bench.run_to("write /5/0/13");
    let Some(Operation::WriteText { path, text }) = bench.outstanding.clone() else {
        panic!("a write");
    };
    assert_eq!((path, text.as_str()), (path::FIRMWARE_DEFER_PERIOD, "7200"));
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert!(bench.position("write /5/0/13") < bench.position("execute /5/0/2"));
}

#[test]
fn one_that_does_not_name_them_or_refuses_them_is_told_to_install_all_the_same() {
    let mut unnamed = downloaded(Terms {
        names_deferral: DeferralResources::default(),
        ..terms()
    });
    unnamed.run();
    assert_eq!(
        unnamed.count("write /5/0/11") + unnamed.count("write /5/0/13"),
        0
    );
    assert_eq!(unnamed.count("execute /5/0/2"), 1);
    let mut bench = downloaded(terms());
    bench.device.write = Answer::Refused(Code::METHOD_NOT_ALLOWED);
    bench.run();
    assert_eq!(bench.count("write /5/0/11"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    let told = "/5/0/11 = 1 was answered 4.05".to_owned();
    assert!(
        bench.timeline.contains(&(TimelineStep::Note, told)),
        "{:?}",
        bench.timeline
    );
}

#[test]
fn what_was_not_answered_is_written_again_at_the_next_contact_before_execute() {
    let mut bench = downloaded(terms());
    bench.run_to("write /5/0/11");
    bench.answer(Answer::TimedOut);
    assert_eq!(bench.count("execute /5/0/2"), 0);
    bench.pass(secs(60));
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.count("write /5/0/11"), 2);
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_deferred_update_waits_without_a_slot_and_succeeds_when_the_user_lets_it() {
    for slot_held in [SlotHeld::UntilResult, SlotHeld::UntilDownloaded] {
        let mut terms = terms();
        std::sync::Arc::make_mut(&mut terms.settings).slot_held = slot_held;
        let mut bench = deferred(terms);
        assert!(waits(&bench), "{:?}", bench.log);
        assert_eq!((bench.slot, bench.serving), (None, false));
        let told = "/5/0/5 = 11: for 9000 s at most".to_owned();
        assert!(bench.timeline.contains(&(TimelineStep::Deferred, told)));
        // Longer than an installation may take.
        bench.pass(secs(7000));
        assert!(bench.end.is_none());
        bench.notify(3);
        bench.pass(secs(60));
        bench.device.version = Some(NEW);
        bench.device.result = Some(1);
        bench.notify(0);
        bench.run();
        assert_eq!(bench.end, Some(End::Succeeded));
        assert_eq!(bench.count("execute /5/0/2"), 1);
    }
}

#[test]
fn a_deferral_beyond_its_time_and_a_margin_is_a_failure_however_often_it_is_heard() {
    for heard in [false, true] {
        let mut bench = deferred(terms());
        for _ in 0..14 {
            bench.pass(secs(600));
            if heard {
                bench.contact(Contact::Uplink);
                bench.run();
            }
            assert!(waits(&bench) && bench.end.is_none());
        }
        bench.pass(secs(600));
        bench.run();
        bench.pass(secs(180));
        assert_eq!(bench.failure(), FailureReason::ResultTimeout);
        let evidence = bench.committed.failure.clone().unwrap().evidence;
        assert!(
            evidence.contains("/5/0/5 = 11") && evidence.contains("9000 s"),
            "{evidence}"
        );
    }
}

#[test]
fn without_a_period_a_device_may_put_it_off_as_long_as_it_may_be_silent() {
    let mut bench = deferred(Terms {
        defer_seconds_max: None,
        ..terms()
    });
    bench.pass(secs(DAY));
    assert!(waits(&bench) && bench.end.is_none());
}

#[test]
fn a_user_who_gives_up_or_an_installation_that_fails_is_seen_at_the_next_contact() {
    let mut bench = deferred(terms());
    bench.asleep();
    bench.pass(secs(3600));
    bench.device.result = Some(8);
    bench.contact(Contact::Uplink);
    bench.run();
    assert_eq!(bench.failure(), FailureReason::UpdateFailed);
}

#[test]
fn a_deferral_goes_on_over_restarts_with_the_time_that_is_left() {
    let mut bench = deferred(terms());
    let until = bench.committed.until;
    for _ in 0..3 {
        bench.pass(secs(1800));
        bench.restart();
        bench.asleep();
        assert!(waits(&bench), "{:?}", bench.committed);
        let left = bench
            .committed
            .until
            .unwrap()
            .saturating_since(until.unwrap());
        assert!(left < secs(1), "{left:?}");
        bench.contact(Contact::Uplink);
        bench.run();
        assert!(waits(&bench));
    }
    assert_eq!(bench.count("execute /5/0/2"), 0);
    bench.pass(secs(3700));
    bench.run();
    assert_eq!(bench.failure(), FailureReason::ResultTimeout);
}
