//! Notifications that no running attempt waits for: the device was heard, and that is all.

use std::time::Duration;

use narrowcast::coap::{
    Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Request, Token,
};
use narrowcast::lwm2m::path;
use narrowcast::model::{Record, RetryPolicy, StoredObservation, TaskState, TimelineStep};
use narrowcast::sim::{DeviceConfig, Outcome, SimDevice};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::ready;
use crate::world::World;

const TOKEN: [u8; 8] = *b"observed";
const SECOND: Duration = Duration::from_secs(1);

/// `/5/0/3` = 0 on [`TOKEN`], as a device's `number`th.
fn state_notification(number: u32) -> Vec<u8> {
    let state = Request::new(Code::CONTENT, "/").with_payload(ContentFormat::TEXT, "0");
    let mut options = state.options;
    options.push_uint(OptionNumber::OBSERVE, number);
    let message = Message {
        kind: MessageType::Confirmable,
        code: Code::CONTENT,
        id: MessageId(number as u16),
        token: Token::from(TOKEN),
        options,
        payload: state.payload,
    };
    message.encode().to_vec()
}

/// The server has observed the first device's `/5/0/3` on [`TOKEN`], before its last start.
fn observe(world: &mut World) {
    let observed = Record::Observed(StoredObservation {
        token: TOKEN,
        endpoint: fleet::endpoint(&world.devices[0].config),
        path: path::FIRMWARE_STATE.to_string(),
    });
    ready(world.server.store.commit(vec![observed])).unwrap();
    world.restart();
}

/// The device notifies; whether the server takes it as a sign of life.
fn is_heard(world: &mut World, number: u32) -> bool {
    let resets = world.server.engine.coap_counters().resets;
    world.deliver(0, state_notification(number));
    assert_eq!(world.server.engine.coap_counters().resets, resets);
    let endpoint = fleet::endpoint(&world.devices[0].config);
    world.server.heard.get(&endpoint) == Some(&world.now.utc)
}

#[test]
fn a_notification_opens_a_task_that_waits_for_its_device() {
    let sleeper = DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    };
    let mut world = World::new(70, fleet::engine_config(), vec![sleeper]);
    world.run_for(600 * SECOND);
    observe(&mut world);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(60 * SECOND);
    let asked = world.requests.len();
    assert_eq!(world.task(id, 0).attempt, 0);
    // Its radio is on, as it has just sent.
    world.device(0, SimDevice::speak);
    assert!(is_heard(&mut world, 1));
    assert_eq!(world.requests.len(), asked + 1);
    assert_eq!(world.task(id, 0).attempt, 1);
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.task(id, 0).attempt, 1);
}

#[test]
fn a_notification_does_not_cut_a_retry_delay_short() {
    let device = DeviceConfig {
        outcome: Outcome::DownloadFails(3),
        ..fleet::device(0)
    };
    let mut world = World::new(71, fleet::engine_config(), vec![device]);
    let id = world.campaign_for_all(RetryPolicy {
        retries_max: 1,
        delay: 600 * SECOND,
    });
    world.run_until("a retry is planned", |world| {
        world.task(id, 0).retry_at.is_some()
    });
    let retry_at = world.now.instant + 600 * SECOND;
    observe(&mut world);
    world.run_for(SECOND);
    let (task, asked) = (world.task(id, 0).clone(), world.requests.len());
    assert!(is_heard(&mut world, 1));
    world.run_for(60 * SECOND);
    assert_eq!(world.task(id, 0), &task);
    assert_eq!(world.requests.len(), asked);
    world.run_until("it is tried again", |world| world.task(id, 0).attempt == 2);
    // Chance adds up to a tenth.
    let late = world.now.instant.saturating_since(retry_at);
    assert!(
        world.now.instant >= retry_at && late <= 60 * SECOND,
        "{late:?}"
    );
}

#[test]
fn a_notification_after_the_end_of_a_task_changes_nothing() {
    let mut world = World::new(72, fleet::engine_config(), vec![fleet::device(0)]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    observe(&mut world);
    world.run_for(60 * SECOND);
    let (task, asked) = (world.task(id, 0).clone(), world.requests.len());
    let commits = world.server.commits;
    assert!(is_heard(&mut world, 1));
    world.run_for(60 * SECOND);
    assert_eq!(world.task(id, 0), &task);
    assert_eq!(world.requests.len(), asked);
    assert_eq!(world.server.commits, commits);
    assert_eq!(world.steps(0, TimelineStep::Succeeded).len(), 1);
}

#[test]
fn a_device_that_registers_again_may_count_its_notifications_from_the_start() {
    let mut world = World::new(73, fleet::engine_config(), vec![fleet::device(0)]);
    world.run_for(60 * SECOND);
    observe(&mut world);
    world.run_for(SECOND);
    assert!(is_heard(&mut world, 9));
    world.run_for(SECOND);
    assert!(!is_heard(&mut world, 2), "it is older than the ninth");
    world.device(0, |core, now| core.cut_power(now, SECOND));
    world.run_until("it is registered again", |world| {
        world.devices[0].core.is_registered()
    });
    world.run_for(SECOND);
    assert!(is_heard(&mut world, 3));
}
