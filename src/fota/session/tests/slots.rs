//! A slot that is held until the device has the package, and no longer.

use std::sync::Arc;

use super::bench::{Bench, Device, NEW, SIZE_BYTES, new_task, wanted};
use crate::fota::{Contact, End, Terms};
use crate::lwm2m::Answer;
use crate::model::{CellId, FailureReason, Phase, SlotHeld, TaskState, TimelineStep};

fn terms() -> Terms {
    let mut terms = Terms::default();
    Arc::make_mut(&mut terms.settings).slot_held = SlotHeld::UntilDownloaded;
    terms
}

fn bench() -> Bench {
    Bench::with(Device::default(), wanted(), terms(), new_task())
}

/// To the point where the device has said State 2, and the version is being read again.
fn downloaded() -> Bench {
    let mut bench = bench();
    bench.run_to_download();
    bench.block(SIZE_BYTES);
    assert!(bench.slot.is_some() && bench.committed.slot.is_some());
    bench.notify(2);
    bench.log.clear();
    bench.run_to("read /3/0/3");
    bench
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

/// The next attempt, as a retry policy would have it.
fn retry(bench: &mut Bench) {
    assert_eq!(bench.committed.state, TaskState::Failed);
    bench.committed.state = TaskState::Pending;
    bench.committed.uri_intended = false;
    bench.end = None;
    bench.restart();
}

#[test]
fn the_slot_is_free_with_the_commit_that_the_device_has_the_package() {
    let mut bench = downloaded();
    assert_eq!(
        bench.log,
        ["withdraw", "release slot", "commit", "read /3/0/3"]
    );
    assert_eq!(bench.committed.phase, Phase::Downloaded);
    assert_eq!(
        (bench.committed.slot, bench.slot, bench.serving),
        (None, None, false)
    );
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.count("request slot"), 0);
    succeed(&mut bench);
    assert_eq!(bench.count("release slot"), 1);
    assert_eq!(
        bench.steps()[5..],
        [
            TimelineStep::DownloadBegun,
            TimelineStep::Downloaded,
            TimelineStep::SlotReleased,
            TimelineStep::ExecuteIntended,
            TimelineStep::ExecuteAnswered,
            TimelineStep::ResultRead,
            TimelineStep::VersionRead,
            TimelineStep::Succeeded,
        ]
    );
}

#[test]
fn a_task_past_its_download_takes_no_slot_back_after_a_restart() {
    let mut bench = downloaded();
    bench.restart();
    bench.run();
    assert_eq!(
        bench.operations(),
        ["read /5/0/3", "read /3/0/3", "execute /5/0/2"]
    );
    assert!(!bench.serving && bench.count("serve") == 0);
    bench.restart();
    succeed(&mut bench);
    assert_eq!((bench.count("request slot"), bench.count("serve")), (0, 0));
}

#[test]
fn a_task_that_downloads_keeps_its_slot_over_a_restart() {
    let mut bench = bench();
    bench.run_to_download();
    bench.restart();
    bench.run();
    assert!(bench.serving && bench.slot.is_some());
    bench.notify(2);
    bench.run();
    assert_eq!((bench.slot, bench.committed.slot), (None, None));
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn a_device_that_lost_the_package_gets_the_uri_with_a_new_slot_where_it_is_now() {
    for restarted in [false, true] {
        let mut bench = downloaded();
        bench.device.state = 0;
        bench.device.cell = Some(4711);
        if restarted {
            bench.restart();
        }
        bench.contact(Contact::Register);
        bench.run_to("write /5/0/1");
        assert_eq!(bench.count("request slot"), 1);
        let claim = bench.committed.slot.expect("a slot with the intent");
        assert_eq!((claim.cell, bench.slot), (CellId(4711), Some(claim)));
        assert!(bench.serving);
        bench.run();
        bench.notify(2);
        bench.run();
        assert_eq!((bench.slot, bench.serving), (None, false));
        succeed(&mut bench);
        assert_eq!(bench.count("execute /5/0/2"), 1);
    }
}

#[test]
fn a_restart_while_it_waits_for_a_new_slot_serves_nothing() {
    let mut bench = downloaded();
    bench.device.state = 0;
    bench.contact(Contact::Register);
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    assert_eq!(bench.committed.phase, Phase::WaitingSlot);
    bench.restart();
    assert!(!bench.serving && bench.count("serve") == 0);
    bench.run_to("write /5/0/1");
    assert!(bench.serving && bench.committed.slot.is_some());
}

#[test]
fn a_device_that_fetches_once_more_by_itself_is_served_with_a_new_slot() {
    let mut bench = downloaded();
    bench.notify(1);
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    assert!(!bench.serving);
    bench.run();
    assert!(bench.serving && bench.committed.slot.is_some());
    bench.notify(2);
    bench.run();
    assert_eq!((bench.slot, bench.count("execute /5/0/2")), (None, 1));
}

#[test]
fn a_device_that_has_the_package_again_leaves_the_queue() {
    let mut bench = downloaded();
    bench.notify(1);
    while bench.requested.is_none() {
        assert!(bench.turn(), "{:?}", bench.log);
    }
    bench.log.clear();
    bench.notify(2);
    let queued = bench.requested.take();
    assert!(queued.is_some());
    bench.run();
    assert_eq!(bench.count("release slot"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert_eq!(bench.committed.slot, None);
}

#[test]
fn a_retry_after_a_failed_execute_asks_for_a_slot_anew() {
    for state in [2, 0] {
        let mut bench = downloaded();
        bench.run_to("execute /5/0/2");
        bench.answer(Answer::Done);
        bench.device.result = Some(8);
        bench.notify(2);
        bench.run();
        assert_eq!(bench.failure(), FailureReason::UpdateFailed);
        bench.device.state = state;
        retry(&mut bench);
        while bench.requested.is_none() {
            assert!(bench.turn(), "{:?}", bench.log);
        }
        assert_eq!(bench.committed.attempt, 2);
        assert_eq!(bench.count("execute /5/0/2"), 0);
        if state == 0 {
            bench.run_to_download();
            assert!(bench.committed.slot.is_some());
            bench.notify(2);
        }
        bench.run();
        assert_eq!(bench.count("write /5/0/1"), usize::from(state == 0));
        assert_eq!(bench.count("execute /5/0/2"), 1);
        assert_eq!((bench.slot, bench.committed.slot), (None, None));
        succeed(&mut bench);
    }
}

#[test]
fn a_stop_past_the_download_ends_at_once() {
    let mut bench = downloaded();
    bench.stop();
    assert_eq!(bench.end, Some(End::Stopped));

    let mut bench = downloaded();
    bench.run();
    assert_eq!(bench.count("execute /5/0/2"), 1);
    bench.stop();
    assert!(bench.end.is_none(), "it installs");

    let mut bench = bench_in_download();
    bench.stop();
    assert!(bench.end.is_none() && bench.slot.is_some(), "quarantine");
}

fn bench_in_download() -> Bench {
    let mut bench = bench();
    bench.run_to_download();
    bench
}

#[test]
fn another_setting_after_a_restart_is_taken_up_where_the_task_is() {
    let mut bench = downloaded();
    bench.terms = Terms::default();
    bench.restart();
    bench.run();
    assert_eq!(bench.count("request slot"), 1);
    assert_eq!(bench.count("execute /5/0/2"), 1);
    assert!(bench.committed.slot.is_some());

    let mut bench = Bench::new(Device::default());
    bench.run_to_download();
    bench.notify(2);
    bench.run_to("read /3/0/3");
    assert!(bench.committed.slot.is_some());
    bench.terms = terms();
    bench.restart();
    bench.run();
    assert_eq!((bench.slot, bench.committed.slot), (None, None));
    assert_eq!(bench.count("execute /5/0/2"), 1);
}
