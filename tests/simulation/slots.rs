//! Slots that are held until the device has the package: the limits are of downloads alone.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    CampaignId, CoverageTier, Peer, RetryPolicy, SlotHeld, TaskState, TimelineStep,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{AtRest, DeviceConfig};

use crate::fleet;
use crate::world::World;

fn config() -> EngineConfig {
    let mut config = fleet::engine_config();
    config.product.slot_held = SlotHeld::UntilDownloaded;
    config
}

/// Of one class, so that they stand in one queue; each installs for much longer than it downloads.
pub(crate) fn slow_installers(count: usize) -> Vec<DeviceConfig> {
    (0..count)
        .map(|index| DeviceConfig {
            start_spread: Duration::ZERO,
            install: Duration::from_secs(600),
            ..fleet::device(index)
        })
        .collect()
}

/// The most devices at any moment that have taken an Execute and have not come to its end.
pub(crate) fn installing_at_once(world: &World) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in &world.log {
        if line.event == DeviceEvent::ExecuteAccepted {
            now += 1;
        } else if matches!(line.event, DeviceEvent::UpdateEnded { .. }) {
            now -= 1;
        }
        most = most.max(now);
    }
    most
}

/// How many tasks have a slot by what is committed.
fn committed_slots(world: &World) -> u64 {
    let tasks = world.server.tasks.values();
    tasks.filter(|task| task.slot.is_some()).count() as u64
}

/// Which devices have the package, in the order in which they got it.
fn downloaded(world: &World) -> Vec<usize> {
    let lines = world.log.iter();
    lines
        .filter(|line| matches!(line.event, DeviceEvent::Downloaded { .. }))
        .map(|line| line.device)
        .collect()
}

/// Whether a block is served to whoever has the device's capability.
fn is_served(world: &mut World, id: CampaignId, device: usize) -> bool {
    const GET_FW: [u8; 9] = [0x40, 1, 0, 1, 0xb2, b'f', b'w', 0x0d, 32 - 13];
    const CONTENT: u8 = 0x45;
    const NOT_FOUND: u8 = 0x84;
    let capability = world.task(id, device).capability.unwrap().to_hex();
    let request = [&GET_FW[..], capability.as_bytes()].concat();
    let anyone = Peer::Address(SocketAddr::from(([192, 0, 2, 9], 50_000)));
    let now = world.now;
    let (_, answers) = world.server.handle(now, None, |engine| {
        engine.handle_datagram(now, &anyone, &request);
    });
    match answers[0].datagram.to_vec()[1] {
        CONTENT => true,
        NOT_FOUND => false,
        other => panic!("{other:#x}"),
    }
}

#[test]
fn more_devices_than_the_limit_install_at_once_while_downloads_keep_it() {
    let mut world = World::new(60, config(), slow_installers(9));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 9);
    assert_eq!(installing_at_once(&world), 9);
    let verdict = world.verdict_with(AtRest::Done);
    assert!(verdict.holds(), "{verdict:?}");
    assert_eq!((verdict.peaks[0].peak, verdict.peaks[0].limit), (3, 3));
    assert!(!world.verdict_with(AtRest::Active).holds());
    for index in 0..9 {
        let [granted, downloaded, released, executed] = [
            TimelineStep::SlotGranted,
            TimelineStep::Downloaded,
            TimelineStep::SlotReleased,
            TimelineStep::ExecuteIntended,
        ]
        .map(|step| {
            let told = world.steps(index, step);
            assert_eq!(told.len(), 1, "{told:?}");
            told[0].at
        });
        assert!(granted < downloaded && downloaded == released && released <= executed);
    }
}

#[test]
fn the_judge_finds_downloads_beyond_the_limit() {
    let mut config = config();
    config.tier_limits.tier0 += 1;
    let mut world = World::new(61, config, slow_installers(9));
    world.lenient = true;
    world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    let verdict = world.verdict_with(AtRest::Done);
    assert_eq!((verdict.peaks[0].peak, verdict.peaks[0].limit), (4, 3));
    assert!(!verdict.holds());
}

#[test]
fn a_restart_gives_back_the_slots_of_downloads_and_no_others() {
    for past in 1..=9 {
        for later_ms in [0, 300, 900, 30_000] {
            let mut world = World::new(62, config(), slow_installers(9));
            let id = world.campaign_for_all(RetryPolicy::default());
            world.run_until("some downloads", |world| downloaded(world).len() >= past);
            world.run_for(Duration::from_millis(later_ms));
            let before = committed_slots(&world);
            world.restart();
            assert_eq!(committed_slots(&world), before);
            assert_eq!(world.server.slots_in_use(), before);
            world.run_to_the_end();
            assert_eq!(world.count(id, TaskState::Succeeded), 9);
            assert!(world.verdict().holds(), "{:?}", world.verdict());
            for index in 0..9 {
                let task = world.task(id, index);
                assert_eq!((task.attempt, world.executes(index).len()), (1, 1));
            }
        }
    }
}

#[test]
fn a_device_that_loses_the_package_waits_for_a_slot_again() {
    for restarted in [false, true] {
        let mut devices = slow_installers(2);
        for device in &mut devices {
            device.radio = fleet::radio(1, CoverageTier::Tier2);
        }
        let mut world = World::new(63, config(), devices);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("one has the package, and no slot any more", |world| {
            let mut first = downloaded(world).into_iter();
            first.any(|index| world.task(id, index).slot.is_none())
        });
        let first = downloaded(&world)[0];
        assert!(world.executes(first).is_empty());
        assert!(!is_served(&mut world, id, first));
        world.device(first, |core, now| {
            core.lose_package(now, Duration::from_secs(1));
        });
        if restarted {
            world.restart();
            assert!(!is_served(&mut world, id, first));
        }
        world.run_until("it has a slot again", |world| {
            world.task(id, first).slot.is_some()
        });
        assert!(is_served(&mut world, id, first));
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), 2);
        let verdict = world.verdict();
        assert!(verdict.holds(), "{verdict:?}");
        assert_eq!(verdict.peaks[0].peak, 1);
        let granted = world.steps(first, TimelineStep::SlotGranted);
        let released = world.steps(first, TimelineStep::SlotReleased);
        assert_eq!((granted.len(), released.len()), (2, 2), "{granted:?}");
    }
}
