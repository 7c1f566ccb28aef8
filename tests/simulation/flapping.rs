//! Two devices under one name: each Register of one throws out the other.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::coap::{Code, Message, MessageId, MessageType, Request, Token};
use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    Consent, FailureReason, Phase, ProductSettings, RetryPolicy, TaskState, TimelineStep,
    WaitingFor,
};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;

use crate::fleet;
use crate::lifecycle::retries;
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Two devices of one name, in different places; the first is on.
fn duplicates(seed: u64, config: EngineConfig) -> World {
    duplicates_of(seed, config, &fleet::device(0))
}

fn duplicates_of(seed: u64, config: EngineConfig, device: &DeviceConfig) -> World {
    let mut world = World::new(seed, config, vec![device.clone(), device.clone()]);
    world.run_until("both have registered", |world| {
        (0..2).all(|index| registers(world, index) > 0)
    });
    world.run_for(WINDOW);
    world
}

fn registers(world: &World, device: usize) -> usize {
    let lines = world.log.iter().filter(|line| line.device == device);
    lines
        .filter(|line| line.event == DeviceEvent::Registered)
        .count()
}

/// One speaks, finds its registration gone, and registers anew.
fn take_over(world: &mut World, device: usize) {
    let before = registers(world, device);
    world.device(device, |core, now| core.speak(now));
    world.run_until("it has taken over", |world| {
        registers(world, device) > before
    });
}

/// They take over from each other, the last one being `last`.
fn ping_pong(world: &mut World, takeovers: usize, last: usize) {
    for left in (0..takeovers).rev() {
        take_over(world, (last + left) % 2);
        world.run_for(Duration::from_secs(20));
    }
}

/// Which of the two holds the registration.
fn registered(world: &World) -> usize {
    let lines = world.log.iter().rev();
    let mut registered = lines.filter(|line| line.event == DeviceEvent::Registered);
    registered.next().unwrap().device
}

fn asked_since(world: &World, since: Instant) -> Vec<String> {
    let requests = world.requests.iter().filter(|(at, ..)| *at > since);
    // What is asked of whoever registers has nothing to do with an update.
    let of_an_update = requests.filter(|(_, _, it)| it.path.object != 19);
    of_an_update
        .map(|(at, device, it)| format!("{:?} {device} {}", at.since_origin(), it.path))
        .collect()
}

fn is_flagged(world: &World) -> bool {
    world.server.engine.endpoints_flapping() == 1
}

#[test]
fn what_waits_is_not_begun_while_two_devices_flap_and_then_goes_on_by_itself() {
    let mut world = duplicates(900, fleet::engine_config());
    let last = registered(&world);
    ping_pong(&mut world, 3, 1 - last);
    assert!(!is_flagged(&world), "three may be honest");
    ping_pong(&mut world, 1, last);
    assert!(is_flagged(&world));
    assert_eq!(world.server.engine.counters().endpoints_flagged, 1);
    assert_eq!(world.server.engine.counters().takeovers, 5, "one long ago");
    let flagged_at = world.now.instant;

    let id = world.draft(&[0], RetryPolicy::default());
    world.activate(id).unwrap();
    let task = world.task(id, 0).clone();
    assert_eq!(task.state, TaskState::Pending);
    assert_eq!(task.waiting_for, Some(WaitingFor::Flapping));
    ping_pong(&mut world, 4, last);
    world.device(last, |core, now| core.speak(now));
    world.run_for(MINUTE);
    assert_eq!(asked_since(&world, flagged_at), [] as [String; 0]);
    let task = world.task(id, 0);
    assert_eq!((task.attempt, task.slot), (0, None));
    assert_eq!(task.waiting_for, Some(WaitingFor::Flapping));

    // The other one is switched off. What waits goes on within a window, and without a word of it.
    world.run_for(WINDOW);
    assert!(!is_flagged(&world));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.executes(last).len(), 1);
    assert_eq!(world.executes(1 - last).len(), 0);
    assert_eq!(world.verdict().flashed, 1);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn what_waits_at_a_gate_still_does_so_while_its_devices_flap() {
    let mut world = duplicates(911, fleet::engine_config());
    let last = registered(&world);
    world.policy.conditions.consent = Consent::Confirmed;
    let id = world.draft(&[0], retries(0));
    world.activate(id).unwrap();
    world.run_for(MINUTE);
    let waiting_for = |world: &World| world.task(id, 0).waiting_for;
    assert_eq!(waiting_for(&world), Some(WaitingFor::Consent));
    ping_pong(&mut world, 4, last);
    assert!(is_flagged(&world));
    assert_eq!(waiting_for(&world), Some(WaitingFor::Consent));
    // It opens: the devices that flap are next.
    world.consent(id, None, true);
    world.device(last, |core, now| core.speak(now));
    world.run_for(Duration::from_secs(10));
    assert_eq!(waiting_for(&world), Some(WaitingFor::Flapping));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
}

#[test]
fn a_task_that_negotiates_gives_up_its_place_and_asks_nothing() {
    let config = EngineConfig {
        // Nobody is admitted: the task waits for its slot.
        tier_limits: narrowcast::model::TierLimits {
            tier0: 0,
            ..fleet::LIMITS
        },
        ..fleet::engine_config()
    };
    let mut world = duplicates(901, config);
    let id = world.draft(&[0], RetryPolicy::default());
    world.activate(id).unwrap();
    world.run_until("it queues", |world| {
        world.task(id, 0).waiting_for == Some(WaitingFor::Slot)
    });
    assert!(!world.server.engine.cells(None, 10).is_empty());
    let last = registered(&world);
    ping_pong(&mut world, 4, last);
    assert!(is_flagged(&world));
    let flagged_at = world.now.instant;
    assert_eq!(
        world.server.engine.cells(None, 10),
        [],
        "no place in a queue"
    );
    let waiting_for = |world: &World| world.task(id, 0).waiting_for;
    assert_eq!(waiting_for(&world), Some(WaitingFor::Flapping));
    world.device(last, |core, now| core.speak(now));
    world.run_for(WINDOW - MINUTE);
    assert_eq!(waiting_for(&world), Some(WaitingFor::Flapping));
    assert_eq!(asked_since(&world, flagged_at), [] as [String; 0]);
    let told = world.steps(0, TimelineStep::Note);
    let mut told = told
        .iter()
        .filter(|note| note.detail.contains("several devices"));
    assert!(told.next().is_some());
    world.run_until("it queues again", |world| {
        waiting_for(world) == Some(WaitingFor::Slot)
    });
    assert!(world.now.instant.saturating_since(flagged_at) < WINDOW + 2 * MINUTE);
}

#[test]
fn a_download_keeps_its_slot_and_no_execute_leaves_while_it_flaps() {
    let mut world = duplicates(902, fleet::engine_config());
    let id = world.draft(&[0], RetryPolicy::default());
    let device = registered(&world);
    world.activate(id).unwrap();
    world.run_until("it downloads", |world| {
        world.task(id, 0).phase == Phase::Downloading
    });
    four_registers_at_once(&mut world, 1 - device);
    assert!(is_flagged(&world));
    let flagged_at = world.now.instant;
    assert!(world.task(id, 0).slot.is_some());
    world.run_until("it has the package", |world| {
        world.devices[device].core.update_state() == 2
    });
    assert!(is_flagged(&world));
    world.run_for(5 * MINUTE);
    assert!(is_flagged(&world));
    assert!(world.task(id, 0).slot.is_some());
    assert_eq!(world.task(id, 0).attempt, 1);
    assert_eq!(world.executes(device).len(), 0);
    assert_eq!(asked_since(&world, flagged_at), [] as [String; 0]);
    // The one that downloaded has the last word.
    world.device(device, |core, now| core.speak(now));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.executes(device).len(), 1);
    assert_eq!(world.executes(1 - device).len(), 0);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

/// As of a device that is in two places.
fn four_registers_at_once(world: &mut World, device: usize) {
    let own = world.devices[device].main;
    for (id, host) in [(1, 8), (2, 9), (3, 8), (4, 9)] {
        world.devices[device].main = SocketAddr::from(([10, 9, 9, host], 40_000));
        let register = register(&world.devices[device].config, MessageId(id));
        world.deliver(device, register);
    }
    world.devices[device].main = own;
}

/// A Register as a device sends it.
fn register(device: &DeviceConfig, id: MessageId) -> Vec<u8> {
    let register = Request::new(Code::POST, "/rd")
        .with_query("lwm2m=1.0")
        .with_query(&format!("ep={}", device.endpoint));
    let message = Message {
        kind: MessageType::Confirmable,
        code: register.code,
        id,
        token: Token::EMPTY,
        options: register.options,
        payload: register.payload,
    };
    message.encode().to_vec()
}

#[test]
fn who_flaps_until_the_time_is_over_fails_for_that() {
    let config = EngineConfig {
        product: ProductSettings {
            contact_timeout: Duration::from_secs(30 * 60),
            ..ProductSettings::default()
        },
        ..fleet::engine_config()
    };
    let mut world = duplicates(903, config);
    let last = registered(&world);
    ping_pong(&mut world, 4, last);
    let id = world.draft(&[0], retries(1));
    world.activate(id).unwrap();
    while !world.task(id, 0).state.is_final() {
        ping_pong(&mut world, 2, last);
        world.run_for(2 * MINUTE);
    }
    assert_eq!(world.failure(id, 0).reason, FailureReason::Flapping);
    assert_eq!(world.task(id, 0).attempt, 2, "the retry waited for it too");
    assert_eq!(world.executes(0).len() + world.executes(1).len(), 0);
}

#[test]
fn a_restart_forgets_who_flaps_and_sees_it_again_within_a_window() {
    let mut world = duplicates(904, fleet::engine_config());
    let last = registered(&world);
    ping_pong(&mut world, 4, last);
    let id = world.draft(&[0], RetryPolicy::default());
    world.activate(id).unwrap();
    assert_eq!(world.task(id, 0).waiting_for, Some(WaitingFor::Flapping));
    world.restart();
    assert!(!is_flagged(&world));
    assert_ne!(world.task(id, 0).waiting_for, Some(WaitingFor::Flapping));
    four_registers_at_once(&mut world, 1 - last);
    assert!(
        is_flagged(&world),
        "the first one too is against what was stored"
    );
    world.run_for(MINUTE);
    assert_eq!(world.task(id, 0).waiting_for, Some(WaitingFor::Flapping));
    take_over(&mut world, last);
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn a_fleet_whose_ports_change_with_each_boot_is_not_flagged() {
    let mut device = fleet::device(0);
    device.quirks.new_port_after_reboot = true;
    let mut world = World::new(905, fleet::engine_config(), vec![device]);
    world.cut_percent = 100;
    let id = world.campaign_for_all(retries(3));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert!(registers(&world, 0) > 3, "it booted again and again");
    assert_eq!(world.server.engine.counters().takeovers, 0);
}
