//! A package whose signed time ends while it is rolled out.

use std::time::Duration;

use super::bench::{Bench, Device, NEW, new_task, secs, start, wanted};
use crate::fota::{End, Terms, Wanted};
use crate::model::FailureReason;

const LEFT: Duration = Duration::from_secs(60);

fn ending(device: Device) -> Bench {
    let wanted = Wanted {
        not_after: Some(start().utc + LEFT),
        ..wanted()
    };
    Bench::with(device, wanted, Terms::default(), new_task())
}

/// The signed time passes; nothing else does.
fn expire(bench: &mut Bench) {
    bench.now.utc = start().utc + LEFT + secs(1);
}

fn is_refused(bench: &Bench) {
    assert_eq!(bench.failure(), FailureReason::NotEligible);
    let failure = bench.committed.failure.as_ref().unwrap();
    assert!(failure.evidence.contains("notAfter"), "{failure:?}");
    assert_eq!((bench.slot, bench.serving), (None, false));
}

#[test]
fn in_time_it_is_installed() {
    let mut bench = ending(Device::default());
    bench.run_to_executed();
    assert_eq!(bench.count("execute /5/0/2"), 1);
}

#[test]
fn before_execute_the_time_is_looked_at() {
    let mut bench = ending(Device::default());
    bench.run_to_download();
    expire(&mut bench);
    // What is fetched may be fetched to the end.
    bench.block(1024);
    assert!(bench.serving && bench.end.is_none());
    bench.notify(2);
    bench.run();
    is_refused(&bench);
    assert_eq!(bench.count("execute /5/0/2"), 0);
}

#[test]
fn before_the_uri_the_time_is_looked_at() {
    for operation in ["read /5/0/3", "observe /5/0/3"] {
        let mut bench = ending(Device::default());
        bench.run_to(operation);
        expire(&mut bench);
        bench.run();
        is_refused(&bench);
        assert_eq!(bench.count("write /5/0/1"), 0);
    }
}

#[test]
fn a_device_that_runs_the_version_or_installs_it_is_waited_for() {
    let mut bench = ending(Device {
        version: Some(NEW),
        ..Device::default()
    });
    expire(&mut bench);
    bench.run();
    assert_eq!(bench.end, Some(End::Succeeded));

    for restarts in [false, true] {
        let mut bench = ending(Device::default());
        bench.run_to_executed();
        expire(&mut bench);
        if restarts {
            bench.restart();
        }
        bench.device.version = Some(NEW);
        bench.device.result = Some(1);
        bench.notify(0);
        bench.run();
        assert_eq!(bench.end, Some(End::Succeeded), "{:?}", bench.log);
    }
}
