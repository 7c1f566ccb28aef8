//! What a campaign asks of its devices, of people, and of devices' users: battery and memory, consent,
//! deferral.

use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::coap::ContentFormat;
use narrowcast::engine::{CommandError, EngineConfig};
use narrowcast::lwm2m::{SenmlRecord, Value, path};
use narrowcast::model::{
    CampaignId, Consent, CoverageTier, FailureReason, Preconditions, RetryPolicy, Severity,
    TaskState, TimelineStep, WaitingFor,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{Condition, DeviceConfig};

use crate::fleet;
use crate::server::Outcome;
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);

const FULL: Condition = Condition {
    battery_percent: Some(90),
    battery_status: Some(0),
    free_kib: Some(2048),
};
const LOW: Condition = Condition {
    battery_percent: Some(12),
    ..FULL
};

fn meters(conditions: &[Condition]) -> Vec<DeviceConfig> {
    let meter = |(index, condition): (usize, &Condition)| DeviceConfig {
        condition: *condition,
        queue_mode: true,
        ..fleet::device(index)
    };
    conditions.iter().enumerate().map(meter).collect()
}

fn asking(world: &mut World) -> CampaignId {
    world.policy.conditions.preconditions = Preconditions {
        battery_percent_min: Some(30),
        free_kib_min: Some(512),
        ..Preconditions::default()
    };
    world.campaign_for_all(RetryPolicy::default())
}

fn waits(world: &World, id: CampaignId, device: usize) -> Option<WaitingFor> {
    world.task(id, device).waiting_for
}

fn executes(world: &World, device: usize) -> Vec<Instant> {
    world.executes(device)
}

#[test]
fn a_device_with_a_low_battery_waits_for_it_and_uses_no_attempt_up() {
    let scarce = Condition {
        free_kib: Some(100),
        ..FULL
    };
    let mains = Condition {
        battery_status: Some(1),
        ..LOW
    };
    let mut world = World::new(
        1500,
        fleet::engine_config(),
        meters(&[FULL, LOW, scarce, mains, Condition::default()]),
    );
    let id = asking(&mut world);
    world.run_for(6 * HOUR);
    for (device, updated) in [(0, true), (1, false), (2, false), (3, true), (4, true)] {
        let version = world.devices[device].core.version();
        assert_eq!(version == fleet::TARGET_VERSION, updated, "{device}");
    }
    assert_eq!(waits(&world, id, 1), Some(WaitingFor::Condition));
    let told = world.steps(1, TimelineStep::ConditionUnmet);
    assert_eq!(told[0].detail, "/3/0/9 = 12 %, at least 30 % is asked for");
    assert_eq!(world.server.slots_in_use(), 0);
    world.restart();
    world.run_for(2 * HOUR);
    world.devices[1].core.set_condition(FULL);
    world.devices[2].core.set_condition(FULL);
    world.run_to_the_end();
    for device in 0..5 {
        let task = world.task(id, device);
        assert_eq!((task.state, task.attempt), (TaskState::Succeeded, 1));
        assert_eq!(executes(&world, device).len(), 1);
    }
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn what_a_device_sends_of_itself_is_not_read_again() {
    let mut world = World::new(1502, fleet::engine_config(), meters(&[LOW]));
    let id = asking(&mut world);
    world.run_until("it lacks something", |world| {
        waits(world, id, 0) == Some(WaitingFor::Condition)
    });
    let reads = |world: &World, path| {
        let requests = world.requests.iter();
        requests.filter(|(_, _, it)| it.path == path).count()
    };
    let watched = [path::BATTERY_LEVEL, path::MEMORY_FREE, path::CELL_ID];
    let before = watched.map(|path| reads(&world, path));
    // What it would say if it were asked is still too little.
    let said = [
        (path::BATTERY_LEVEL, 80),
        (path::MEMORY_FREE, 900),
        (path::CELL_ID, 4711),
    ];
    let said = said.map(|(path, value)| SenmlRecord::new(path, Value::Integer(value)));
    world.device(0, |core, now| {
        core.send_values(now, ContentFormat::SENML_CBOR, &said);
    });
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(watched.map(|path| reads(&world, path)), before);
    let negotiated = world.steps(0, TimelineStep::Negotiated);
    let told = &negotiated[0].detail;
    assert!(
        told.contains("/4/0/8 = 4711") && told.contains("/3/0/9 = 80 %"),
        "{told}"
    );
    assert!(world.verdict().holds(), "{:?}", world.verdict());
}

#[test]
fn what_it_lacks_is_the_cause_once_its_time_is_over() {
    let mut world = World::new(1501, fleet::engine_config(), meters(&[LOW, FULL]));
    let id = asking(&mut world);
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::ConditionUnmet);
    assert_eq!(
        failure.evidence,
        "/3/0/9 = 12 %, at least 30 % is asked for"
    );
    assert_eq!(world.task(id, 1).state, TaskState::Succeeded);
    let took = world.now.instant.since_origin();
    assert!((24 * HOUR..26 * HOUR).contains(&took), "{took:?}");
}

fn confirmed(seed: u64, devices: usize) -> (World, CampaignId) {
    let mut world = World::new(seed, fleet::engine_config(), meters(&vec![FULL; devices]));
    world.policy.conditions.consent = Consent::Confirmed;
    let id = world.campaign_for_all(RetryPolicy::default());
    (world, id)
}

fn asked_of_object_5(world: &World, device: usize) -> bool {
    let of_object_5 = |path: narrowcast::lwm2m::Path| path.object == 5;
    let mut requests = world.requests.iter();
    requests.any(|(_, to, request)| *to == device && of_object_5(request.path))
}

#[test]
fn without_somebodys_agreement_a_device_is_asked_for_nothing() {
    let (mut world, id) = confirmed(1502, 4);
    world.run_for(3 * HOUR);
    for device in 0..4 {
        assert!(!asked_of_object_5(&world, device));
        assert_eq!(waits(&world, id, device), Some(WaitingFor::Consent));
    }
    assert_eq!(world.consent(id, Some(0), true), Outcome::Done(Ok(())));
    // Twice is as good as once.
    assert_eq!(world.consent(id, Some(0), true), Outcome::Done(Ok(())));
    assert_eq!(world.steps(0, TimelineStep::Consent).len(), 1);
    assert_eq!(world.consent(id, Some(1), false), Outcome::Done(Ok(())));
    world.restart();
    world.run_for(3 * HOUR);
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    let refused = world.task(id, 1);
    assert_eq!(refused.state, TaskState::Stopped);
    let failure = refused.failure.clone().unwrap();
    assert_eq!(failure.evidence, "ada refused the update of this device");
    assert_eq!(waits(&world, id, 2), Some(WaitingFor::Consent));
    assert_eq!(world.consent(id, None, true), Outcome::Done(Ok(())));
    let given = Outcome::Done(Err(CommandError::ConsentGiven));
    assert_eq!(world.consent(id, None, false), given);
    world.run_to_the_end();
    for device in [0, 2, 3] {
        assert_eq!(world.task(id, device).state, TaskState::Succeeded);
        assert_eq!(executes(&world, device).len(), 1);
    }
    assert!(!asked_of_object_5(&world, 1));
}

#[test]
fn an_agreement_that_is_not_committed_was_not_given() {
    let (mut world, id) = confirmed(1503, 1);
    world.run_for(HOUR);
    world.server.store.fail_after(1);
    assert_eq!(world.consent(id, Some(0), true), Outcome::Lost);
    world.server.store.fail_after(0);
    world.run_for(HOUR);
    assert!(!asked_of_object_5(&world, 0));
    assert_eq!(world.task(id, 0).consented_at, None);
}

#[test]
fn nobodys_agreement_in_time_is_a_cause_of_its_own_over_restarts() {
    for restarts in [false, true] {
        let (mut world, id) = confirmed(1504, 2);
        for _ in 0..4 {
            world.run_for(5 * HOUR);
            if restarts {
                world.restart();
            }
        }
        world.run_to_the_end();
        for device in [0, 1] {
            assert_eq!(
                world.failure(id, device).reason,
                FailureReason::ConsentMissing
            );
            assert!(!asked_of_object_5(&world, device));
        }
        let took = world.now.instant.since_origin();
        assert!((24 * HOUR..26 * HOUR).contains(&took), "{took:?}");
    }
}

#[test]
fn a_refusal_for_all_stops_those_that_nobody_agreed_to() {
    let (mut world, id) = confirmed(1505, 3);
    world.run_for(2 * HOUR);
    world.consent(id, Some(2), true);
    assert_eq!(world.consent(id, None, false), Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Stopped), 2);
    assert_eq!(world.task(id, 2).state, TaskState::Succeeded);
}

#[test]
fn after_a_refusal_for_all_those_tried_again_are_asked_for_anew() {
    let (mut world, id) = confirmed(1510, 2);
    world.cut_off = Some(1);
    world.run_until("one has failed", |world| {
        world.task(id, 1).state == TaskState::Failed
    });
    assert_eq!(world.consent(id, None, false), Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Stopped);
    world.cut_off = None;
    assert_eq!(world.retry(id, |_| true), Outcome::Done(Ok(())));
    world.run_for(HOUR);
    world.restart();
    world.run_for(HOUR);
    assert_eq!(waits(&world, id, 1), Some(WaitingFor::Consent));
    assert_eq!(world.consent(id, None, true), Outcome::Done(Ok(())));
    world.run_to_the_end();
    assert_eq!(world.task(id, 1).state, TaskState::Succeeded);
}

/// However many there are, each turn ends but some: those whose turn has not come are refused all the same.
#[test]
fn a_refusal_for_all_counts_at_once_and_over_a_restart() {
    let slow = EngineConfig {
        sweep_tasks_per_turn: 1,
        sweep_turn: HOUR,
        ..fleet::engine_config()
    };
    let mut world = World::new(1509, slow, meters(&[FULL; 8]));
    world.policy.conditions.consent = Consent::Confirmed;
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(12 * HOUR);
    assert_eq!(world.consent(id, None, false), Outcome::Done(Ok(())));
    assert!(world.count(id, TaskState::Stopped) <= 1);
    // Nobody agrees for one of them any more.
    let late = Outcome::Done(Err(CommandError::TaskNotActive));
    assert_eq!(world.consent(id, Some(7), true), late);
    world.restart();
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Stopped), 8);
    for device in 0..8 {
        let failure = world.task(id, device).failure.clone().unwrap();
        assert!(failure.evidence.contains("refused"), "{failure:?}");
        assert_eq!(world.steps(device, TimelineStep::Consent).len(), 1);
    }
}

#[test]
fn a_silent_campaign_asks_nobody() {
    let mut world = World::new(1506, fleet::engine_config(), meters(&[FULL]));
    let id = world.campaign_for_all(RetryPolicy::default());
    let refused = Outcome::Done(Err(CommandError::ConsentNotAsked));
    assert_eq!(world.consent(id, None, true), refused);
    assert_eq!(world.consent(id, Some(0), false), refused);
}

/// Names the resources that say so.
const NAMED: &str =
    r#"</>;rt="oma.lwm2m",</1/0>,</3/0>,</4/0>,</5/0/11>,</5/0/13>,</5/0/10>,</19/0>"#;
/// Says the version of Object 5, as most clients do.
const OF_1_1: &str = r#"</>;rt="oma.lwm2m",</1/0>,</3/0>,</4/0>,</5>;ver=1.1,</5/0>,</19/0>"#;

/// Two devices of one cell and tier, of which one at a time may update, and whose users are slow.
fn put_off(seed: u64, restarts: bool, links: &str) -> (World, CampaignId) {
    let device = |index: usize| DeviceConfig {
        deferral: Some(2 * HOUR),
        radio: fleet::radio(1, CoverageTier::Tier2),
        links: links.to_owned(),
        ..fleet::device(index)
    };
    let mut world = World::new(seed, fleet::engine_config(), vec![device(0), device(1)]);
    world.policy.conditions.severity = Some(Severity::Optional);
    world.policy.conditions.defer_seconds_max = Some(4 * 3600);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("both have put it off", |world| {
        let deferred = |line: &&narrowcast::sim::log::LogLine| {
            matches!(line.event, DeviceEvent::UpdateEnded { result: 11 })
        };
        world.log.iter().filter(deferred).count() == 2
    });
    world.run_for(Duration::from_secs(120));
    for device in [0, 1] {
        assert_eq!(waits(&world, id, device), Some(WaitingFor::Deferred));
        let told = world.devices[device].core.deferral_told();
        assert_eq!(told, (Some(2), Some(4 * 3600)));
    }
    if restarts {
        world.restart();
    }
    world.run_to_the_end();
    (world, id)
}

#[test]
fn a_user_may_put_the_installation_off_while_others_have_the_slot() {
    for (restarts, links) in [(false, NAMED), (true, NAMED), (false, OF_1_1)] {
        let (world, id) = put_off(1507, restarts, links);
        for device in [0, 1] {
            let task = world.task(id, device);
            assert_eq!((task.state, task.attempt), (TaskState::Succeeded, 1));
            assert_eq!(executes(&world, device).len(), 1);
        }
        // Neither waited for the other's user.
        let took = world.now.instant.since_origin();
        assert!(took < 3 * HOUR, "{took:?}");
        assert!(world.verdict().holds(), "{:?}", world.verdict());
    }
}

#[test]
fn put_off_for_longer_than_the_campaign_lets_it_the_update_has_failed() {
    let device = DeviceConfig {
        deferral: Some(48 * HOUR),
        ..fleet::device(0)
    };
    let mut world = World::new(1508, fleet::engine_config(), vec![device]);
    world.policy.conditions.defer_seconds_max = Some(3600);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::ResultTimeout);
    assert!(failure.evidence.contains("/5/0/5 = 11"), "{failure:?}");
    assert_eq!(world.devices[0].core.deferral_told(), (None, None));
}
