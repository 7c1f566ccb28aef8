//! Deadlines by progress: each download by its own pace.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, Device, NEW, new_task, secs, wanted};
use crate::fota::{Contact, End, Terms, Wanted};
use crate::model::{FailureReason, Phase, ProductSettings, TaskState, WaitingFor};

const BLOCK_BYTES: u64 = 64;

/// A device that fetches blocks, one after each of these times.
fn fetching(bench: &mut Bench, times: &[Duration]) {
    bench.run();
    bench.notify(1);
    for (block, time) in (1..).zip(times) {
        bench.pass(*time);
        bench.run();
        bench.block(block * BLOCK_BYTES);
    }
    assert_eq!((bench.end.clone(), bench.serving), (None, true));
    bench.log.clear();
}

fn bench_with(change: impl Fn(&mut ProductSettings), wanted: Wanted) -> Bench {
    let mut terms = Terms::default();
    change(Arc::make_mut(&mut terms.settings));
    Bench::with(Device::default(), wanted, terms, new_task())
}

#[test]
fn weak_coverage_with_a_block_each_49_s_goes_on_for_hours_and_is_not_even_asked() {
    let size_bytes = BLOCK_BYTES * 600;
    let mut bench = bench_with(
        |_| (),
        Wanted {
            image_size_bytes: size_bytes,
            ..wanted()
        },
    );
    fetching(&mut bench, &[secs(49); 500]);
    // Ten times its pace is 490 s: a pause of nine blocks is none.
    bench.pass(secs(440));
    bench.run();
    bench.block(501 * BLOCK_BYTES);
    assert_eq!(bench.end, None);
    assert!(bench.count("read /5/0/3") <= 1, "{:?}", bench.log);
    assert!(bench.serving);
}

#[test]
fn good_coverage_that_falls_silent_is_asked_soon_and_given_up_at_the_floor() {
    let mut bench = Bench::new(Device::default());
    fetching(&mut bench, &[Duration::from_millis(500); 20]);
    bench.pass(secs(19));
    assert_eq!(bench.operations(), [""; 0]);
    bench.pass(secs(1));
    assert_eq!(bench.operations(), ["read /5/0/3"]);
    bench.run();
    // It downloads, it says: that is no block.
    for _ in 0..57 {
        bench.pass(secs(10));
        bench.run();
    }
    assert!(bench.serving);
    bench.pass(secs(10));
    assert!(!bench.serving, "600 s without a block");
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::DownloadStalled);
    let Some(End::Failed(failure)) = &bench.end else {
        unreachable!("it has failed");
    };
    let told = "no block for 600 s where one came each 500 ms, 1280 of 2048 bytes served";
    assert!(failure.evidence.starts_with(told), "{}", failure.evidence);
}

#[test]
fn a_slow_one_is_given_its_multiple_and_never_more_than_the_longest_time() {
    for (pace_s, silent_s) in [(120, 1200), (300, 3000), (1000, 3600)] {
        let mut bench = Bench::new(Device::default());
        fetching(&mut bench, &[secs(pace_s); 5]);
        let mut gone = 0;
        while bench.serving {
            bench.pass(secs(10));
            bench.run();
            gone += 10;
        }
        // What is asked meanwhile takes its time too.
        let range = silent_s..=silent_s + 20;
        assert!(range.contains(&gone), "one each {pace_s} s: {gone} s");
    }
}

#[test]
fn multiple_and_floor_are_the_products() {
    let mut bench = bench_with(
        |settings| {
            settings.download_stall_multiple = 4;
            settings.download_stall_floor = secs(30);
        },
        wanted(),
    );
    fetching(&mut bench, &[secs(20); 5]);
    bench.pass(secs(79));
    assert!(bench.serving);
    bench.pass(secs(1));
    assert!(!bench.serving);
}

#[test]
fn a_reboot_in_between_is_not_its_pace() {
    let mut bench = Bench::new(Device::default());
    fetching(&mut bench, &[secs(2); 5]);
    for block in 6..10 {
        bench.pass(secs(500));
        bench.contact(Contact::Register);
        bench.run();
        bench.block(block * BLOCK_BYTES);
    }
    let mut gone = 0;
    while bench.serving {
        bench.pass(secs(10));
        bench.run();
        gone += 10;
    }
    assert_eq!(gone, 600);
}

#[test]
fn a_download_that_never_ends_is_over_at_its_outer_bound_and_a_restart_does_not_put_that_off() {
    for restarted in [false, true] {
        let mut bench = bench_with(|_| (), wanted());
        bench.run_to_download();
        let mut half_hours = 0;
        // It begins again and again, and so makes progress for ever.
        while bench.serving && half_hours < 400 {
            bench.block(512 * (2 - half_hours % 2));
            bench.pass(secs(1800));
            bench.run();
            half_hours += 1;
            if restarted && half_hours == 100 {
                bench.restart();
                bench.run();
            }
        }
        assert_eq!(half_hours, 7 * 48, "a week");
        bench.pass(secs(300));
        let Some(End::Failed(failure)) = &bench.end else {
            panic!("{:?}", bench.end);
        };
        assert_eq!(failure.reason, FailureReason::DownloadStalled);
        assert!(
            failure.evidence.starts_with("not done in 604800 s"),
            "{}",
            failure.evidence
        );
    }
}

#[test]
fn lost_after_execute_is_a_failure_at_its_deadline() {
    let mut bench = Bench::new(Device::default());
    bench.run_to_executed();
    assert_eq!(bench.committed.phase, Phase::Updating);
    assert_eq!(
        bench.session.task().waiting_for,
        Some(WaitingFor::Notification)
    );
    bench.asleep();
    let deadline = bench
        .session
        .task()
        .until
        .expect("a time until which it may take");
    bench.pass(secs(1799));
    assert_eq!(bench.end, None);
    bench.pass(secs(1));
    assert!(bench.now.utc >= deadline, "as it was shown");
    // What the device still does is not known: its slot is kept for a while.
    assert!(bench.end.is_none() && bench.slot.is_some());
    bench.pass(secs(300));
    assert_eq!(bench.failure(), FailureReason::ResultTimeout);
    assert_eq!(bench.slot, None);
    assert_ne!(bench.device.version, Some(NEW));
    assert_eq!(bench.session.task().state, TaskState::Failed);
}
