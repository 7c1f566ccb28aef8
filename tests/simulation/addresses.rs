//! Devices behind NATs: a registration, an observation and a download belong to the device, not to an
//! address.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::lwm2m::path;
use narrowcast::model::{Peer, RetryPolicy, TaskState};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

fn peer_of(world: &World, device: usize) -> Peer {
    let endpoint = fleet::endpoint(&world.devices[device].config);
    let restored = ready(world.server.store.restore()).unwrap();
    let mut registrations = restored.registrations.into_iter();
    let registration = registrations.find(|it| it.endpoint == endpoint);
    registration.unwrap().peer
}

fn has(world: &World, device: usize, event: &DeviceEvent) -> bool {
    let mut lines = world.log.iter();
    lines.any(|line| line.device == device && line.event == *event)
}

#[test]
fn a_notification_with_a_live_token_from_a_new_address_moves_the_device() {
    let mut world = World::new(50, fleet::engine_config(), vec![fleet::device(0)]);
    world.run_until("it is registered and observed", |world| {
        let mut requests = world.requests.iter();
        requests.any(|(_, _, request)| request.path == path::UPLINK_DATA)
            && world.devices[0].core.is_registered()
    });
    world.run_for(Duration::from_secs(10));
    world.rebind(0);
    assert_ne!(peer_of(&world, 0), Peer::Address(world.devices[0].main));
    world.device(0, |core, now| core.send_uplink(now));
    world.run_for(Duration::from_secs(10));
    assert_eq!(peer_of(&world, 0), Peer::Address(world.devices[0].main));
    // Requests reach it there, with no Update in between.
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.server.engine.counters().registration_updates, 0);
}

#[test]
fn two_devices_behind_one_address_are_told_apart_though_their_ports_are_swapped() {
    let devices = vec![fleet::device(0), fleet::device(1)];
    let mut world = World::new(52, fleet::engine_config(), devices);
    let nat = |port: u16| SocketAddr::from(([203, 0, 113, 9], port));
    for (index, port) in [(0, 1_000), (1, 2_000)] {
        world.devices[index].main = nat(port);
        world.devices[index].download = nat(port + 1);
    }
    world.run_until("both are registered", |world| {
        world.devices.iter().all(|it| it.core.is_registered())
    });
    world.run_for(Duration::from_secs(10));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("both download", |world| {
        (0..2).all(|index| has(world, index, &DeviceEvent::UriAccepted))
    });
    let (first, second) = (world.devices[0].main, world.devices[1].main);
    world.devices[0].main = second;
    world.devices[1].main = first;
    world.run_to_the_end();
    for index in 0..2 {
        let task = world.task(id, index);
        assert_eq!(task.state, TaskState::Succeeded, "{task:?}");
        assert_eq!(world.devices[index].core.version(), fleet::TARGET_VERSION);
        assert_eq!(world.executes(index).len(), 1);
    }
    assert!(world.verdict().holds(), "{:?}", world.verdict());
    let end = world.now.instant + 2 * Duration::from_secs(3600);
    world.run_until("both have said an Update", |world| world.now.instant >= end);
    for index in 0..2 {
        let address = world.devices[index].main;
        assert_eq!(peer_of(&world, index), Peer::Address(address));
    }
}

#[test]
fn a_token_is_good_after_a_restart_of_the_server() {
    let mut world = World::new(53, fleet::engine_config(), vec![fleet::device(0)]);
    world.run_for(Duration::from_secs(60));
    world.restart();
    world.rebind(0);
    world.device(0, |core, now| core.send_uplink(now));
    world.run_for(Duration::from_secs(10));
    assert_eq!(peer_of(&world, 0), Peer::Address(world.devices[0].main));
}

#[test]
fn an_execute_does_not_follow_a_device_to_its_new_address() {
    let mut world = World::new(54, fleet::engine_config(), vec![fleet::device(0)]);
    world.campaign_for_all(RetryPolicy::default());
    world.run_until("Execute leaves", |world| world.executes(0).len() == 1);
    world.rebind(0);
    world.device(0, |core, now| core.speak(now));
    world.run_to_the_end();
    assert_eq!(peer_of(&world, 0), Peer::Address(world.devices[0].main));
    assert_eq!(world.executes(0).len(), 1);
}
