//! How an update can end, and the words for it.

use narrowcast::model::{
    CoverageTier, FailureReason, RetryPolicy, SuccessNote, TaskState, TimelineStep,
};
use narrowcast::sim::{DeviceConfig, Outcome, Radio};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

/// A campaign for one device, without retries.
fn run(device: DeviceConfig) -> World {
    let mut world = World::new(11, fleet::engine_config(), vec![device]);
    world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert!(world.verdict().holds(), "{:?}", world.verdict());
    world
}

fn failure(device: DeviceConfig) -> (FailureReason, String) {
    let world = run(device);
    let task = world.server.tasks.values().next().unwrap();
    assert_eq!(task.state, TaskState::Failed, "{task:?}");
    assert_eq!(task.attempt, 1);
    let failure = task.failure.clone().unwrap();
    (failure.reason, failure.evidence)
}

fn with_outcome(outcome: Outcome) -> DeviceConfig {
    DeviceConfig {
        outcome,
        ..fleet::device(0)
    }
}

fn with_radio(radio: Radio) -> DeviceConfig {
    DeviceConfig {
        radio,
        ..fleet::device(0)
    }
}

#[test]
fn each_update_result_of_a_download_is_its_own_failure() {
    for (result, reason) in [
        (2, FailureReason::NoSpace),
        (3, FailureReason::OutOfMemory),
        (4, FailureReason::ConnectionLost),
        (5, FailureReason::IntegrityCheckFailed),
        (6, FailureReason::UnsupportedPackage),
        (7, FailureReason::InvalidUri),
    ] {
        let (found, evidence) = failure(with_outcome(Outcome::DownloadFails(result)));
        assert_eq!(found, reason, "{evidence}");
        assert!(
            evidence.contains(&format!("/5/0/5 = {result}")),
            "{evidence}"
        );
    }
}

#[test]
fn a_result_that_reads_once_is_read_once() {
    let mut device = with_outcome(Outcome::DownloadFails(5));
    device.quirks.result_reads_once = true;
    let (reason, evidence) = failure(device);
    assert_eq!(reason, FailureReason::IntegrityCheckFailed, "{evidence}");
}

#[test]
fn a_failed_install_is_told_by_result_8() {
    let (reason, evidence) = failure(with_outcome(Outcome::InstallFails(8)));
    assert_eq!(reason, FailureReason::UpdateFailed);
    assert_eq!(evidence, "/5/0/3 = 2, /5/0/5 = 8 after Execute");
}

#[test]
fn a_deferred_install_is_waited_for_until_the_time_for_a_result_is_over() {
    let (reason, evidence) = failure(with_outcome(Outcome::InstallFails(11)));
    assert_eq!(reason, FailureReason::ResultTimeout);
    let put_off = "/5/0/5 = 11: the device has put the update off for longer than 88200 s";
    assert!(evidence.starts_with(put_off), "{evidence}");
    assert!(evidence.contains("; last heard at 20"), "{evidence}");
}

#[test]
fn another_version_than_the_packages_is_a_mismatch_after_it_had_time_to_settle() {
    let (reason, evidence) = failure(with_outcome(Outcome::WrongVersion));
    assert_eq!(reason, FailureReason::VersionMismatch);
    assert!(evidence.contains("/3/0/3 = 2.0.0-other"), "{evidence}");
}

#[test]
fn without_a_cell_nothing_is_begun() {
    let (reason, evidence) = failure(with_radio(Radio {
        cell_id: None,
        ..fleet::radio(1, CoverageTier::Tier0)
    }));
    assert_eq!(reason, FailureReason::CellUnknown);
    assert_eq!(evidence, "/4/0/8 was answered 4.04");
}

#[test]
fn a_cell_beyond_28_bits_is_no_cell() {
    let (reason, evidence) = failure(with_radio(Radio {
        cell_id: Some(0x1000_0000),
        ..fleet::radio(1, CoverageTier::Tier0)
    }));
    assert_eq!(reason, FailureReason::CellUnknown, "{evidence}");
}

#[test]
fn a_device_whose_radio_is_not_understood_is_updated_in_the_class_unknown() {
    let csq_only = Radio {
        cell_id: Some(1),
        rsrp: Some(17),
        sinr: None,
    };
    let no_sinr = fleet::radio(1, CoverageTier::Unknown);
    let marker = Radio {
        cell_id: Some(1),
        rsrp: Some(-90),
        sinr: Some(127),
    };
    for radio in [csq_only, no_sinr, marker] {
        let world = run(with_radio(radio));
        let task = world.server.tasks.values().next().unwrap();
        assert_eq!(task.state, TaskState::Succeeded, "{radio:?}");
        assert_eq!(task.note, None::<SuccessNote>);
        let report = ready(world.server.store.report(&task.endpoint)).unwrap();
        assert_eq!(report.tier, Some(CoverageTier::Unknown), "{radio:?}");
        let timeline = ready(world.server.store.timeline(&task.endpoint, 100)).unwrap();
        let mut steps = timeline.iter();
        let granted = steps.find(|entry| entry.step == TimelineStep::SlotGranted);
        assert_eq!(granted.unwrap().detail, "cell 1, tier unknown");
    }
}
