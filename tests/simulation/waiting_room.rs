//! Sleeping devices in one full cell, with and without a waiting room.

use std::collections::BTreeMap;
use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, CampaignId, CoverageTier, ProductSettings, RetryPolicy,
    TaskState, TierLimits, TimelineStep, WaitingFor, WaitingPing, WaitingRoomPolicy,
};
use narrowcast::sim::DeviceConfig;
use narrowcast::sim::log::DeviceEvent;

use crate::fleet;
use crate::world::World;

const DEVICES: usize = 24;

const HOUR: Duration = Duration::from_secs(3600);

/// As long as four hours, and with a place for each.
const LONG: WaitingRoomPolicy = WaitingRoomPolicy {
    hold_seconds_max: 4 * 3600,
    pings_max: 300,
    places_per_cell: 50,
};

fn config(waiting_room: WaitingRoomPolicy) -> EngineConfig {
    EngineConfig {
        waiting_room,
        product: ProductSettings {
            // Longer than a day: who is not held may come back.
            contact_timeout: 30 * HOUR,
            ..ProductSettings::default()
        },
        ..fleet::engine_config()
    }
}

/// Meters of tier 1 of one cell, of which two may update at once. They report every four hours, all within
/// less than one, and listen for 93 s then. An update takes a quarter of an hour.
fn meters(count: usize) -> Vec<DeviceConfig> {
    (0..count)
        .map(|index| DeviceConfig {
            queue_mode: true,
            radio: fleet::radio(1, CoverageTier::Tier1),
            lifetime: 60 * HOUR,
            update_interval: 4 * HOUR,
            install: Duration::from_secs(900),
            ..fleet::device(index)
        })
        .collect()
}

/// Registered, and back to sleep; the campaign begins before they report again.
fn asleep(seed: u64, config: EngineConfig, devices: Vec<DeviceConfig>) -> World {
    let mut world = World::new(seed, config, devices);
    world.run_for(HOUR);
    assert!(
        world
            .devices
            .iter()
            .all(|device| device.core.is_registered())
    );
    world
}

/// How often a device spoke of itself, waited for a slot, and fell asleep without one.
fn in_vain(world: &World, device: usize) -> usize {
    let granted = world.steps(device, TimelineStep::SlotGranted);
    let held = !world.steps(device, TimelineStep::Held).is_empty();
    if held {
        return world.steps(device, TimelineStep::HoldEnded).len();
    }
    let queued = world.steps(device, TimelineStep::SlotQueued);
    let awake = Duration::from_secs(100);
    let is_vain = |at| !granted.iter().any(|it| it.at >= at && it.at < at + awake);
    queued.iter().filter(|entry| is_vain(entry.at)).count()
}

/// How many wakes all devices needed for their updates.
fn wakes(world: &World) -> usize {
    (0..DEVICES).map(|device| 1 + in_vain(world, device)).sum()
}

/// How long the campaign took.
fn took(world: &World, begun: Duration) -> Duration {
    world.now.instant.since_origin() - begun
}

/// The pings of each device, as its timeline tells them.
fn told_pings(world: &World, device: usize) -> u32 {
    let ended = world.steps(device, TimelineStep::HoldEnded);
    let pings = ended.iter().filter_map(|entry| {
        let words: Vec<&str> = entry.detail.split([' ', '(']).collect();
        let at = words.iter().rposition(|word| word.starts_with("pings"))?;
        words[at - 1].parse::<u32>().ok()
    });
    pings.sum()
}

#[test]
fn with_a_waiting_room_a_campaign_ends_in_a_fraction_of_the_wakes() {
    let mut results = Vec::new();
    for room in [WaitingRoomPolicy::OFF, LONG] {
        let mut world = asleep(70, config(room), meters(DEVICES));
        let begun = world.now.instant.since_origin();
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        let verdict = world.verdict();
        assert!(verdict.holds(), "{verdict:?}");
        assert_eq!(verdict.peaks[0].peak, fleet::LIMITS.tier1);
        let pings = world.server.engine.counters().pings;
        results.push((wakes(&world), took(&world, begun), pings));
    }
    let [
        (wakes_without, took_without, none),
        (wakes_with, took_with, pings),
    ] = results[..]
    else {
        unreachable!("two runs");
    };
    println!(
        "without: {wakes_without} wakes in {took_without:?}; with: {wakes_with} in {took_with:?}, {pings} pings"
    );
    assert_eq!(none, 0);
    assert_eq!(wakes_with, DEVICES, "each at its first wake");
    assert!(wakes_without >= 3 * wakes_with / 2, "{wakes_without}");
    assert!(2 * took_without >= 3 * took_with, "{took_without:?}");
    // One each 55 s, and nobody was pinged for longer than the campaign lasted.
    let most = DEVICES as u64 * (took_with.as_secs() / 55);
    assert!(pings > 0 && pings <= most, "{pings} of {most}");
}

#[test]
fn no_attempt_costs_more_pings_than_it_may() {
    let room = WaitingRoomPolicy {
        pings_max: 3,
        ..LONG
    };
    for ping in WaitingPing::ALL {
        let mut config = config(room);
        config.product.waiting_ping = *ping;
        let mut world = asleep(71, config, meters(DEVICES));
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        assert!(world.verdict().holds());
        let attempts: u64 = (0..DEVICES)
            .map(|index| u64::from(world.task(id, index).attempt))
            .sum();
        let pings = world.server.engine.counters().pings;
        assert!(
            (10..=3 * attempts).contains(&pings),
            "{pings} in {attempts} attempts"
        );
        let spent = (0..DEVICES).filter(|index| told_pings(&world, *index) == 3);
        assert!(spent.count() > 3, "some are let go when theirs are spent");
    }
}

#[test]
fn where_all_places_are_taken_the_rest_sleeps_as_without_a_room() {
    let room = WaitingRoomPolicy {
        places_per_cell: 3,
        ..LONG
    };
    let mut world = asleep(72, config(room), meters(DEVICES));
    let id = world.campaign_for_all(RetryPolicy::default());
    let mut most = 0;
    let mut refused = 0;
    world.run_until("every task ends", |world| {
        let cells = world.server.engine.cells(None, 10);
        let held = cells
            .iter()
            .flat_map(|cell| cell.tiers)
            .map(|tier| tier.held);
        let held: u32 = held.sum();
        assert_eq!(held as usize, world.server.engine.waiting_room_devices());
        assert!(held <= 3, "{held} are held");
        most = most.max(held);
        world.count(id, TaskState::Succeeded) == DEVICES
    });
    assert_eq!(most, 3);
    assert!(world.verdict().holds());
    for index in 0..DEVICES {
        let queued = world.steps(index, TimelineStep::SlotQueued);
        let full = queued
            .iter()
            .filter(|entry| entry.detail.contains("all 3 places"));
        refused += full.count();
    }
    assert!(refused > 5, "{refused} were told that the room is full");
}

#[test]
fn a_held_task_says_what_it_waits_for_since_when_and_until_when() {
    let mut world = asleep(73, config(WaitingRoomPolicy::default()), meters(DEVICES));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("one is held", |world| {
        world.server.engine.waiting_room_devices() > 0
    });
    let held = (0..DEVICES).find(|index| !world.steps(*index, TimelineStep::Held).is_empty());
    let held = held.unwrap();
    let entry = &world.steps(held, TimelineStep::Held)[0];
    assert_eq!(entry.at, world.now.utc);
    let task = world.task(id, held);
    assert_eq!(task.waiting_for, Some(WaitingFor::Slot));
    let until = task.until.unwrap();
    assert_eq!(until, entry.at + Duration::from_secs(600));
    assert!(
        entry.detail.contains(&until.to_string()),
        "{}",
        entry.detail
    );
    let row = world.server.engine.cells(None, 10)[0].tiers[CoverageTier::Tier1 as usize];
    assert_eq!((row.active, row.held), (2, 1));
    world.run_to_the_end();
    assert_eq!(world.server.engine.waiting_room_devices(), 0);
}

#[test]
fn a_restart_goes_on_keeping_awake_whom_it_finds_awake() {
    for ping in WaitingPing::ALL {
        let mut config = config(LONG);
        config.product.waiting_ping = *ping;
        let mut world = asleep(74, config, meters(DEVICES));
        let id = world.campaign_for_all(RetryPolicy::default());
        for _ in 0..4 {
            world.run_until("some are held", |world| {
                world.server.engine.waiting_room_devices() >= 3
            });
            let before = held(&world, id);
            world.restart();
            assert_eq!(world.server.engine.waiting_room_devices(), 0);
            assert_eq!(world.server.engine.held().pings, 0);
            world.run_for(Duration::from_secs(20));
            let after = held(&world, id);
            for (device, until) in &before {
                let has_slot = !world.steps(*device, TimelineStep::SlotGranted).is_empty();
                assert!(
                    has_slot || after.get(device) == Some(until),
                    "{device} was held until {until}: {after:?}"
                );
            }
        }
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        assert_eq!(wakes(&world), DEVICES, "each at its first wake");
        let verdict = world.verdict();
        assert!(verdict.holds(), "{verdict:?}");
        let held = world.server.engine.held();
        assert_eq!((held.tasks, held.pings, held.operations), (0, 0, 0));
    }
}

/// Until when each device is kept awake that is.
fn held(world: &World, id: CampaignId) -> BTreeMap<usize, Utc> {
    let of = |index| {
        let task = world.task(id, index);
        task.held_since.and(task.until).map(|until| (index, until))
    };
    (0..DEVICES).filter_map(of).collect()
}

#[test]
fn no_restart_makes_a_hold_longer_nor_an_attempt_cost_more_pings() {
    let room = WaitingRoomPolicy {
        hold_seconds_max: 300,
        pings_max: 4,
        places_per_cell: 50,
    };
    let mut world = asleep(79, config(room), meters(DEVICES));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("some are held", |world| {
        world.server.engine.waiting_room_devices() > 0
    });
    let mut pings = 0;
    for _ in 0..60 {
        world.run_for(Duration::from_secs(47));
        let held_for: Vec<Duration> = (0..DEVICES)
            .filter_map(|index| world.task(id, index).held_since)
            .map(|since| world.now.utc.saturating_since(since))
            .collect();
        assert!(
            held_for.iter().all(|it| it.as_secs() <= 300 + 47),
            "{held_for:?}"
        );
        pings += world.server.engine.counters().pings;
        world.restart();
    }
    world.run_to_the_end();
    pings += world.server.engine.counters().pings;
    assert!(pings > 0);
    let attempts: u64 = (0..DEVICES)
        .map(|index| u64::from(world.task(id, index).attempt))
        .sum();
    assert!(pings <= 4 * attempts, "{pings} in {attempts} attempts");
    assert!(world.verdict().holds());
}

#[test]
fn after_the_clock_was_set_back_over_a_restart_nobody_is_held_on() {
    let mut world = asleep(80, config(LONG), meters(DEVICES));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("some are held", |world| {
        world.server.engine.waiting_room_devices() >= 3
    });
    world.now.utc = Utc::from_unix_ms(world.now.utc.unix_ms() - 86_400_000);
    world.restart();
    world.run_for(Duration::from_secs(20));
    assert_eq!(held(&world, id), BTreeMap::new());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
}

#[test]
fn a_held_device_out_of_coverage_sleeps_and_its_place_is_free() {
    let mut world = asleep(75, config(LONG), meters(12));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("one is held", |world| {
        world.server.engine.waiting_room_devices() > 0
    });
    let held = (0..12).find(|index| !world.steps(*index, TimelineStep::Held).is_empty());
    let held = held.unwrap();
    world.cut_off = Some(held);
    let pings = world.server.engine.counters().pings;
    world.run_for(Duration::from_secs(100));
    let ended = world.steps(held, TimelineStep::HoldEnded);
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].detail.contains("fell asleep"), "{ended:?}");
    assert_eq!(world.task(id, held).waiting_for, Some(WaitingFor::Contact));
    assert!(world.server.engine.counters().pings >= pings);
    world.cut_off = None;
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 12);
}

/// Who waits longest in a cell that counts as a whole is weak coverage: it needs the cell for itself.
#[test]
fn weak_coverage_is_not_starved_by_those_who_come_every_day() {
    for room in [WaitingRoomPolicy::default(), LONG] {
        let mut devices = meters(DEVICES);
        for (index, device) in devices.iter_mut().enumerate() {
            let tier = if index % 8 == 0 {
                CoverageTier::Tier2
            } else {
                CoverageTier::Tier0
            };
            device.radio = fleet::radio(1, tier);
        }
        let config = EngineConfig {
            admission: AdmissionPolicy {
                mode: AdmissionMode::Strictest,
                airtime: None,
            },
            stretch_max: 1,
            ..config(room)
        };
        let mut world = asleep(76, config, devices);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
        assert!(world.verdict().holds());
        // Not the last of all: others come after them.
        let mut flashed = Vec::new();
        for line in &world.log {
            if matches!(line.event, DeviceEvent::Flashed { .. }) {
                flashed.push(line.device);
            }
        }
        let weak = flashed.iter().position(|device| device % 8 == 0).unwrap();
        assert!(weak < DEVICES - 6, "{flashed:?}");
    }
}

/// Good coverage is asked for all day and night, so that there is never a moment at which weak coverage, which
/// needs the cell for itself, could begin.
#[test]
fn weak_coverage_has_its_turn_at_its_second_wake_however_many_others_come() {
    for restarts in [false, true] {
        let mut devices = meters(100);
        for (index, device) in devices.iter_mut().enumerate() {
            let tier = match index {
                0 => CoverageTier::Tier2,
                _ => CoverageTier::Tier0,
            };
            device.radio = fleet::radio(1, tier);
        }
        let config = EngineConfig {
            admission: AdmissionPolicy {
                mode: AdmissionMode::Strictest,
                airtime: None,
            },
            tier_limits: TierLimits {
                tier0: 2,
                tier2: 1,
                ..TierLimits::default()
            },
            overdue_after: 3 * HOUR,
            ..config(WaitingRoomPolicy::default())
        };
        let mut world = asleep(81, config, devices);
        let id = world.campaign_for_all(RetryPolicy::default());
        if restarts {
            for _ in 0..2 {
                world.run_for(3 * HOUR);
                world.restart();
            }
        }
        world.run_until("weak coverage is updated", |world| {
            world.task(id, 0).state == TaskState::Succeeded
        });
        let took = world.now.instant.since_origin();
        assert!(took < 11 * HOUR, "{took:?}");
        let others = world.count(id, TaskState::Succeeded) - 1;
        assert!(others < 60, "{others} came before");
        assert!(world.verdict().holds());
    }
}

#[test]
fn a_place_that_becomes_free_goes_to_one_that_listens_and_found_none() {
    let one = WaitingRoomPolicy {
        places_per_cell: 1,
        ..LONG
    };
    let hourly = meters(DEVICES).into_iter().map(|device| DeviceConfig {
        update_interval: HOUR,
        ..device
    });
    let mut world = asleep(82, config(one), hourly.collect());
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), DEVICES);
    let was_offered = |device: &usize| {
        let queued = world.steps(*device, TimelineStep::SlotQueued);
        let turned_away = queued.iter().filter(|it| it.detail.contains("are taken"));
        let held = world.steps(*device, TimelineStep::Held);
        let mut turned_away = turned_away.map(|it| it.at);
        turned_away.any(|at| {
            let soon = at + Duration::from_secs(93);
            held.iter().any(|it| it.at > at && it.at < soon)
        })
    };
    assert!((0..DEVICES).any(|device| was_offered(&device)));
    // Each is asked while it listens yet, and so stays.
    for device in (0..DEVICES).filter(was_offered) {
        let ended = world.steps(device, TimelineStep::HoldEnded);
        let unasked = ended
            .iter()
            .filter(|it| it.detail.contains("after 0 pings"));
        assert_eq!(unasked.count(), 0, "{ended:?}");
    }
}

#[test]
fn a_campaign_says_how_its_own_devices_are_held() {
    let mut world = asleep(77, config(WaitingRoomPolicy::OFF), meters(12));
    world.policy.waiting_room = Some(LONG);
    world.campaign_for_all(RetryPolicy::default());
    world.run_until("one is held", |world| {
        world.server.engine.waiting_room_devices() > 0
    });
    let mut world = asleep(77, config(LONG), meters(12));
    world.policy.waiting_room = Some(WaitingRoomPolicy::OFF);
    world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.server.engine.counters().pings, 0);
}

#[test]
fn the_same_seed_holds_the_same_devices() {
    let held = |seed| {
        let mut world = asleep(seed, config(LONG), meters(DEVICES));
        world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        let mut order = BTreeMap::new();
        for line in &world.log {
            if line.event == DeviceEvent::UriAccepted {
                order.insert(line.at, line.device);
            }
        }
        order
    };
    let first = held(78);
    assert_eq!(first, held(78));
    let order: Vec<usize> = first.values().copied().collect();
    assert!(!order.is_sorted(), "nor by their numbers: {order:?}");
}
