//! Packages that are written to `/5/0/0`.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, OLD, SIZE_BYTES, new_task, secs, wanted};
use crate::coap::Code;
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::{Answer, Operation};
use crate::model::{Delivery, FailureReason, Phase, WaitingFor};

fn terms(delivery: Delivery) -> Terms {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).delivery = delivery;
    terms
}

fn bench() -> Bench {
    let terms = terms(Delivery::Push);
    Bench::with(Device::default(), wanted(), terms, new_task())
}

/// To where the device has taken half of the package.
fn halfway() -> Bench {
    let mut bench = bench();
    bench.run_to("write /5/0/0");
    bench.taken(512);
    bench.notify(1);
    bench.taken(1024);
    bench
}

/// The device takes the rest, installs, and says so.
fn goes_well(bench: &mut Bench) {
    bench.run_to("write /5/0/0");
    bench.device.state = 2;
    bench.answer(Answer::Done);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    bench.device.state = 0;
    bench.device.result = Some(1);
    bench.device.version = Some(NEW);
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));
}

#[test]
fn a_package_is_pushed_where_the_product_says_so() {
    let mut bench = halfway();
    assert_eq!(bench.session.task().phase, Phase::Downloading);
    assert_eq!(bench.committed.waiting_for, Some(WaitingFor::Block));
    let pushed = Operation::WritePackage(wanted().image);
    assert_eq!(bench.outstanding, Some(pushed));
    goes_well(&mut bench);
    assert_eq!(
        bench.operations(),
        [
            "read /5/0/3",
            "read /3/0/3",
            "read /4/0/8",
            "read /4/0/2",
            "read /4/0/11",
            "observe /5/0/3",
            "write /5/0/0",
            "read /5/0/3",
            "read /3/0/3",
            "execute /5/0/2",
            "read /5/0/3",
            "read /5/0/5",
            "read /3/0/3",
            "cancel /5/0/3",
        ]
    );
    assert_eq!(bench.committed.capability, None, "nothing is to be fetched");
    assert_eq!(bench.count("serve"), 0);
    assert_eq!(bench.count("count"), 1);
}

#[test]
fn only_a_device_that_takes_nothing_else_is_pushed_to_of_itself() {
    for (method, written) in [
        (Some(0), "write /5/0/1"),
        (Some(1), "write /5/0/0"),
        (Some(2), "write /5/0/1"),
        (Some(9), "write /5/0/1"),
        (None, "write /5/0/1"),
    ] {
        let device = Device {
            delivery_method: method,
            ..Device::default()
        };
        let mut bench = Bench::with(device, wanted(), terms(Delivery::Auto), new_task());
        bench.run_to(written);
        assert_eq!(bench.count("read /5/0/9"), 1, "{method:?}");
    }
}

#[test]
fn a_device_that_does_not_say_how_it_takes_packages_fetches() {
    let terms = terms(Delivery::Auto);
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to("read /5/0/9");
    bench.pass(secs(180));
    bench.contact(Contact::Uplink);
    bench.run_to("write /5/0/1");
    assert_eq!(bench.count("read /5/0/9"), 1);
}

#[test]
fn each_block_taken_keeps_the_push_alive() {
    let mut bench = bench();
    bench.run_to("write /5/0/0");
    for block in 1..=3 {
        bench.pass(secs(3599));
        bench.taken(block * 512);
    }
    bench.pass(secs(3599));
    assert!(bench.outstanding.is_some());
    bench.pass(secs(1));
    assert_eq!(bench.count("abandon"), 1);
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
    assert_eq!(bench.slot, None);
}

#[test]
fn a_push_that_was_cut_short_is_begun_again_after_a_look_at_the_device() {
    let cut: [fn(&mut Bench); 5] = [
        |bench| {
            bench.answer(Answer::TimedOut);
            bench.contact(Contact::Update);
        },
        |bench| {
            bench.asleep();
            bench.contact(Contact::Update);
        },
        |bench| bench.contact(Contact::Register),
        |bench| bench.restart(),
        |bench| bench.answer(Answer::Unreadable),
    ];
    for cut in cut {
        for state in [0, 1] {
            let mut bench = halfway();
            bench.log.clear();
            bench.device.state = state;
            // What an update long ago came to, or this: it is not asked for.
            bench.device.result = Some(4);
            cut(&mut bench);
            bench.run_to("write /5/0/0");
            assert!(bench.position("read /5/0/3") < bench.position("write /5/0/0"));
            assert_eq!(bench.count("read /5/0/5"), 0);
            assert_eq!(bench.count("count"), 0, "the same delivery");
            goes_well(&mut bench);
        }
    }
}

#[test]
fn a_device_that_gives_each_push_up_is_not_pushed_to_for_ever() {
    for state in [0, 1] {
        let mut bench = bench();
        for _ in 0..3 {
            bench.run_to("write /5/0/0");
            bench.taken(512);
            bench.device.state = state;
            bench.answer(Answer::TimedOut);
            bench.contact(Contact::Update);
        }
        bench.run();
        bench.pass(secs(300));
        assert_eq!(bench.failure(), FailureReason::ConnectionLost, "{state}");
        assert_eq!(bench.count("write /5/0/0"), 3);
    }
}

#[test]
fn a_refusal_is_told_by_its_result_or_else_by_its_code() {
    let too_large = Code::REQUEST_ENTITY_TOO_LARGE;
    for (code, result, reason) in [
        (too_large, Some(2), FailureReason::NoSpace),
        (too_large, Some(0), FailureReason::NoSpace),
        (
            Code::METHOD_NOT_ALLOWED,
            None,
            FailureReason::UnsupportedProtocol,
        ),
        (
            Code::UNSUPPORTED_CONTENT_FORMAT,
            Some(6),
            FailureReason::UnsupportedPackage,
        ),
        (
            Code::SERVICE_UNAVAILABLE,
            Some(0),
            FailureReason::ConnectionLost,
        ),
    ] {
        let mut bench = bench();
        bench.run_to("write /5/0/0");
        bench.device.result = result;
        bench.answer(Answer::Refused(code));
        bench.run();
        assert_eq!(bench.failure(), reason, "{code}");
        assert_eq!(bench.count("write /5/0/0"), 1);
    }
}

#[test]
fn a_package_of_someone_else_is_not_executed_because_a_push_began() {
    let device = Device {
        state: 2,
        ..Device::default()
    };
    let mut bench = Bench::with(device, wanted(), terms(Delivery::Push), new_task());
    bench.run_to("write /5/0/0");
    bench.taken(512);
    bench.answer(Answer::TimedOut);
    bench.contact(Contact::Update);
    bench.run_to("write /5/0/0");
    assert_eq!(bench.count("execute /5/0/2"), 0);
    assert_eq!(bench.device.version, Some(OLD));
}

#[test]
fn a_device_that_goes_on_with_its_state_later_is_waited_for() {
    let mut bench = bench();
    bench.run_to("write /5/0/0");
    bench.taken(SIZE_BYTES);
    bench.answer(Answer::Done);
    bench.run();
    assert_eq!(bench.count("write /5/0/0"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 0);
    bench.notify(2);
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn the_lost_answer_to_the_last_block_is_made_good_by_a_look_at_the_device() {
    let mut bench = halfway();
    bench.device.state = 2;
    bench.answer(Answer::TimedOut);
    bench.contact(Contact::Update);
    bench.run();
    assert_eq!(bench.count("write /5/0/0"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 1);
}
