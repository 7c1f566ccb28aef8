//! Devices are not taken back to a lower signed sequence, nor updated from a version that the package is
//! not for, nor after the time that was signed.

use narrowcast::model::{
    AuditActor, AuditStamp, DowngradeAllowed, FailureReason, FirmwareVersion, TaskState,
};
use narrowcast::store::Store;

use crate::fleet;
use crate::lifecycle::retries;
use crate::server::{self, ready};
use crate::world::World;

/// Devices whose version is of a release with this sequence; the package to come has 5.
fn world(running: u64) -> World {
    let devices = (0..3).map(fleet::device).collect();
    let mut world = World::new(running, fleet::engine_config(), devices);
    world.sequence = Some(5);
    let mut released = fleet::package(&world.image, world.now.utc);
    released.target_version = FirmwareVersion::parse("1.0.0").unwrap();
    released.sequence = Some(running);
    let stamp = AuditStamp {
        at: world.now.utc,
        actor: AuditActor::server(),
    };
    ready(world.server.store.add_package(released, stamp)).unwrap();
    world
}

/// How the tasks ended, and whether anything was asked of a device that changes it.
fn run(world: &mut World, restarts: bool) -> (Vec<(TaskState, Option<FailureReason>)>, bool) {
    let id = world.campaign_for_all(retries(0));
    if restarts {
        world.restart();
    }
    world.run_to_the_end();
    let tasks = ready(world.server.store.tasks(id, None, server::ALL)).unwrap();
    let ends = tasks.iter().map(|task| {
        let reason = task.failure.as_ref().map(|failure| failure.reason);
        (task.state, reason)
    });
    let mut requests = world.requests.iter();
    let touched = requests.any(|(_, _, it)| it.is_execute() || it.is_uri_write());
    (ends.collect(), touched)
}

#[test]
fn a_device_of_a_higher_sequence_ends_untouched_also_after_a_restart() {
    for restarts in [false, true] {
        let (ends, touched) = run(&mut world(7), restarts);
        let refused = (TaskState::Failed, Some(FailureReason::NotEligible));
        assert_eq!(ends, [refused; 3]);
        assert!(!touched);
    }
}

#[test]
fn a_lower_or_equal_sequence_is_updated_and_so_is_any_where_that_is_allowed() {
    for running in [4, 5] {
        let (ends, _) = run(&mut world(running), false);
        assert_eq!(ends, [(TaskState::Succeeded, None); 3]);
    }
    for restarts in [false, true] {
        let mut world = world(7);
        world.downgrade = Some(DowngradeAllowed {
            by: "root".to_owned(),
            reason: "7 drains the battery".to_owned(),
        });
        let (ends, _) = run(&mut world, restarts);
        assert_eq!(ends, [(TaskState::Succeeded, None); 3]);
    }
}

#[test]
fn a_delta_package_leaves_devices_of_other_versions_alone_and_says_why() {
    let devices = (0..3).map(fleet::device).collect();
    let mut world = World::new(1, fleet::engine_config(), devices);
    world.source_versions = vec![FirmwareVersion::parse("0.9.0").unwrap()];
    let (ends, touched) = run(&mut world, false);
    let refused = (TaskState::Failed, Some(FailureReason::NotEligible));
    assert_eq!(ends, [refused; 3]);
    assert!(!touched);
}

#[test]
fn after_the_signed_time_no_device_is_touched() {
    for restarts in [false, true] {
        let devices = (0..3).map(fleet::device).collect();
        let mut world = World::new(1, fleet::engine_config(), devices);
        // Activated in the last moment: no device was heard yet.
        world.not_after = Some(world.now.utc);
        let (ends, touched) = run(&mut world, restarts);
        let refused = (TaskState::Failed, Some(FailureReason::NotEligible));
        assert_eq!(ends, [refused; 3]);
        assert!(!touched);
    }
}
