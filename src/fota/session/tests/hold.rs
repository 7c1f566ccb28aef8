//! Several devices answer to the name: nothing is asked until that is over.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, SIZE_BYTES, new_task, secs, wanted};
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::Answer;
use crate::model::{Delivery, FailureReason, Phase, WaitingFor};

fn waiting_for(bench: &Bench) -> Option<WaitingFor> {
    assert_eq!(
        bench.committed.waiting_for,
        bench.session.task().waiting_for
    );
    bench.committed.waiting_for
}

fn succeed(bench: &mut Bench) {
    bench.device = Device {
        result: Some(1),
        version: Some(NEW),
        ..Device::default()
    };
    bench.contact(Contact::Register);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded), "{:?}", bench.log);
}

#[test]
fn execute_waits_with_the_slot_until_one_device_is_left() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.hold();
    assert_eq!(waiting_for(&bench), Some(WaitingFor::Block), "it goes on");
    bench.log.clear();
    bench.block(SIZE_BYTES);
    bench.notify(2);
    assert_eq!(waiting_for(&bench), Some(WaitingFor::Flapping));
    for contact in [Contact::Register, Contact::Update, Contact::Uplink] {
        bench.contact(contact);
    }
    bench.pass(secs(1800));
    assert_eq!(bench.operations(), [] as [&str; 0]);
    assert!(bench.committed.slot.is_some() && bench.serving);
    bench.release();
    bench.run();
    assert_eq!(bench.operations()[..2], ["read /5/0/3", "read /3/0/3"]);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    succeed(&mut bench);
}

#[test]
fn an_execute_that_is_on_its_way_is_not_sent_again() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("execute /5/0/2");
    bench.hold();
    assert_eq!(bench.outstanding, None);
    assert_eq!(bench.committed.phase, Phase::Updating);
    bench.release();
    bench.run();
    succeed(&mut bench);
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_slot_that_is_waited_for_or_not_yet_used_is_given_back_and_asked_for_anew() {
    for is_granted in [false, true] {
        let mut bench = Bench::new(Device::default());
        while bench.requested.is_none() {
            assert!(bench.turn());
        }
        if is_granted {
            bench.turn();
        }
        bench.hold();
        assert_eq!((bench.slot, bench.requested), (None, None));
        assert_eq!(waiting_for(&bench), Some(WaitingFor::Flapping));
        bench.contact(Contact::Register);
        assert_eq!((bench.outstanding.clone(), bench.requested), (None, None));
        bench.release();
        bench.device.cell = Some(7);
        bench.run_to_download();
        let claim = bench.committed.slot.expect("a slot");
        assert_eq!(claim.cell.0, 7, "whoever is left may be in another cell");
    }
}

#[test]
fn who_is_held_for_as_long_as_a_device_may_stay_away_fails_for_it() {
    let mut bench = Bench::new(Device::default());
    bench.hold();
    let timeout = Terms::default().settings.contact_timeout;
    bench.pass(timeout - secs(1));
    assert_eq!(bench.end, None);
    bench.pass(secs(1));
    assert_eq!(bench.failure(), FailureReason::Flapping);
}

#[test]
fn what_sleeps_when_that_is_over_is_waited_for() {
    let mut bench = Bench::new(Device::default());
    bench.hold();
    bench.asleep();
    bench.log.clear();
    bench.release();
    assert_eq!(waiting_for(&bench), Some(WaitingFor::Contact));
    assert_eq!(bench.operations(), [] as [&str; 0]);
    bench.contact(Contact::Update);
    assert_eq!(bench.operations(), ["read /5/0/3"]);
}

#[test]
fn a_push_stops_and_begins_again() {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).delivery = Delivery::Push;
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to("write /5/0/0");
    bench.taken(512);
    bench.device.state = 1;
    bench.hold();
    assert_eq!(bench.outstanding, None);
    assert_eq!(waiting_for(&bench), Some(WaitingFor::Flapping));
    assert!(bench.committed.slot.is_some());
    bench.release();
    bench.run_to("write /5/0/0");
    assert_eq!(bench.count("write /5/0/0"), 2);
}

#[test]
fn a_stop_tells_nobody_to_give_a_download_up() {
    let terms = Terms {
        names_cancel: true,
        ..Terms::default()
    };
    let mut bench = Bench::with(Device::default(), wanted(), terms, new_task());
    bench.run_to_download();
    bench.hold();
    bench.log.clear();
    bench.stop();
    assert_eq!(bench.operations(), [] as [&str; 0]);
    assert!(!bench.serving);
    bench.pass_to_deadline();
    assert_eq!(bench.end, Some(End::Stopped));
}

#[test]
fn an_answer_that_was_under_way_when_it_began_changes_nothing() {
    let mut bench = Bench::new(Device::default());
    bench.hold();
    bench.session.handle_answer(bench.now, Answer::Done);
    bench.drain();
    assert_eq!(waiting_for(&bench), Some(WaitingFor::Flapping));
}
