//! What operators ask of devices, on the virtual clock: when it leaves, how often, and what becomes of it.

use std::time::Duration;

use bytes::Bytes;
use narrowcast::coap::Code;
use narrowcast::engine::{Command, CommandError, DeviceRequestLimits, EngineConfig};
use narrowcast::lwm2m::{Path, SenmlRecord, Value, decode_kept, encode_kept, path};
use narrowcast::model::{
    DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState, NewDeviceRequest,
    RetryPolicy, TaskState,
};
use narrowcast::sim::{DeviceConfig, SimDevice};
use narrowcast::store::Store;

use crate::fleet;
use crate::server::{Crash, Outcome, ready};
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn sleeper() -> DeviceConfig {
    DeviceConfig {
        queue_mode: true,
        ..fleet::device(0)
    }
}

/// One device, registered and, in queue mode, asleep.
fn settled(seed: u64, device: DeviceConfig) -> World {
    settled_with(seed, device, fleet::engine_config())
}

fn settled_with(seed: u64, device: DeviceConfig, config: EngineConfig) -> World {
    let mut world = World::new(seed, config, vec![device]);
    world.run_for(600 * SECOND);
    assert!(world.devices[0].core.is_registered());
    world
}

fn asked(
    world: &World,
    operation: DeviceOperation,
    path: &str,
    content: Bytes,
) -> NewDeviceRequest {
    NewDeviceRequest {
        endpoint: fleet::endpoint(&world.devices[0].config),
        operation,
        path: path.to_owned(),
        content,
        expires_at: world.now.utc + 24 * HOUR,
    }
}

fn ask_for(
    world: &mut World,
    crash: Option<Crash>,
    asked: NewDeviceRequest,
) -> Option<Result<DeviceRequestId, CommandError>> {
    let now = world.now;
    world.input(crash, |engine| engine.request_of_device(now, asked))
}

fn ask(world: &mut World, operation: DeviceOperation, path: &str) -> DeviceRequestId {
    let asked = asked(world, operation, path, Bytes::new());
    ask_for(world, None, asked).unwrap().unwrap()
}

fn downlink(byte: u8) -> Bytes {
    let path = Path::parse("/19/1/0").unwrap();
    encode_kept(&[SenmlRecord::new(path, Value::Opaque(vec![byte].into()))]).unwrap()
}

fn send_down(world: &mut World, byte: u8, crash: Option<Crash>) -> Option<DeviceRequestId> {
    let asked = asked(world, DeviceOperation::Write, "/19/1/0", downlink(byte));
    ask_for(world, crash, asked).map(Result::unwrap)
}

fn stored(world: &World, id: DeviceRequestId) -> DeviceRequest {
    let endpoint = fleet::endpoint(&world.devices[0].config);
    ready(world.server.store.device_request(&endpoint, id)).unwrap()
}

fn state(world: &World, id: DeviceRequestId) -> DeviceRequestState {
    stored(world, id).state
}

fn value(world: &World, id: DeviceRequestId) -> Value {
    let answer = stored(world, id).answer.unwrap();
    decode_kept(&answer.content).unwrap().remove(0).value
}

#[test]
fn a_device_that_listens_is_asked_at_once() {
    let mut world = settled(80, fleet::device(0));
    let id = ask(&mut world, DeviceOperation::Read, "/3/0/3");
    assert_eq!(state(&world, id), DeviceRequestState::Sent);
    world.run_for(2 * SECOND);
    assert_eq!(state(&world, id), DeviceRequestState::Done);
    assert_eq!(value(&world, id), Value::Text("1.0.0".into()));
    let missing = ask(&mut world, DeviceOperation::Read, "/3/0/99");
    world.run_for(2 * SECOND);
    let request = stored(&world, missing);
    assert_eq!(request.state, DeviceRequestState::Failed);
    assert_eq!(request.answer.unwrap().coap_code, Code::NOT_FOUND.0);
}

#[test]
fn a_sleeping_device_is_asked_in_order_when_it_is_heard_one_at_a_time() {
    let mut world = settled(81, sleeper());
    let sent = world.requests.len();
    let ids: Vec<_> = (1..=4)
        .map(|byte| send_down(&mut world, byte, None).unwrap())
        .collect();
    let read = ask(&mut world, DeviceOperation::Read, "/3/0/3");
    world.run_for(60 * SECOND);
    assert_eq!(world.requests.len(), sent);
    assert_eq!(state(&world, ids[0]), DeviceRequestState::Queued);
    world.device(0, SimDevice::speak);
    world.run_for(30 * SECOND);
    for id in ids.into_iter().chain([read]) {
        assert_eq!(state(&world, id), DeviceRequestState::Done);
    }
    let arrived = world.devices[0].core.downlinks();
    assert_eq!(arrived.concat(), [1, 2, 3, 4]);
}

#[test]
fn nothing_leaves_once_the_awake_time_is_over() {
    let mut world = settled(82, sleeper());
    world.device(0, SimDevice::speak);
    let awake = world.server.config.product.awake_time;
    world.run_for(awake + SECOND);
    let id = ask(&mut world, DeviceOperation::Read, "/3/0/3");
    assert_eq!(state(&world, id), DeviceRequestState::Queued);
}

#[test]
fn a_request_whose_time_is_over_is_never_sent() {
    let mut world = settled(83, sleeper());
    let mut short = asked(&world, DeviceOperation::Write, "/19/1/0", downlink(1));
    short.expires_at = world.now.utc + 60 * SECOND;
    let id = ask_for(&mut world, None, short).unwrap().unwrap();
    world.run_for(61 * SECOND);
    assert_eq!(state(&world, id), DeviceRequestState::Expired);
    assert!(stored(&world, id).ended_at.is_some());
    world.device(0, SimDevice::speak);
    world.run_for(30 * SECOND);
    assert!(world.devices[0].core.downlinks().is_empty());
}

#[test]
fn what_waits_can_be_taken_back_and_what_left_cannot() {
    let mut world = settled(84, sleeper());
    let id = send_down(&mut world, 1, None).unwrap();
    let cancel = |world: &World| Command::CancelDeviceRequest {
        endpoint: fleet::endpoint(&world.devices[0].config),
        id,
    };
    let command = cancel(&world);
    let done = Outcome::Done(Ok(()));
    assert_eq!(world.command(command), done);
    assert_eq!(state(&world, id), DeviceRequestState::Cancelled);
    let command = cancel(&world);
    let refused = Outcome::Done(Err(CommandError::RequestNotQueued));
    assert_eq!(world.command(command), refused);
    world.device(0, SimDevice::speak);
    world.run_for(30 * SECOND);
    assert!(world.devices[0].core.downlinks().is_empty());
}

#[test]
fn queued_requests_outlive_the_server_and_keep_their_order() {
    let mut world = settled(85, sleeper());
    for byte in 1..=3 {
        send_down(&mut world, byte, None);
    }
    world.restart();
    let later = send_down(&mut world, 4, None).unwrap();
    assert_eq!(later, DeviceRequestId(4));
    world.device(0, SimDevice::speak);
    world.run_for(30 * SECOND);
    assert_eq!(world.devices[0].core.downlinks().concat(), [1, 2, 3, 4]);
}

#[test]
fn a_write_that_a_crash_cut_off_is_unknown_and_never_sent_again() {
    let mut world = settled(86, fleet::device(0));
    // Its intent was committed; nobody knows whether it left.
    assert_eq!(send_down(&mut world, 1, Some(Crash::AfterCommit)), None);
    let id = DeviceRequestId(1);
    assert_eq!(state(&world, id), DeviceRequestState::Unknown);
    let read = ask(&mut world, DeviceOperation::Read, "/3/0/3");
    world.run_for(24 * HOUR);
    assert!(world.devices[0].core.downlinks().is_empty());
    assert_eq!(state(&world, read), DeviceRequestState::Done);
    // What was never committed was never asked.
    assert_eq!(send_down(&mut world, 2, Some(Crash::BeforeCommit)), None);
    world.run_for(HOUR);
    assert!(world.devices[0].core.downlinks().is_empty());
}

#[test]
fn a_read_that_a_crash_cut_off_is_sent_again() {
    let mut world = settled(87, fleet::device(0));
    let read = asked(&world, DeviceOperation::Read, "/3/0/3", Bytes::new());
    assert!(ask_for(&mut world, Some(Crash::AfterCommit), read).is_none());
    world.run_for(2 * SECOND);
    assert_eq!(state(&world, DeviceRequestId(1)), DeviceRequestState::Done);
}

#[test]
fn without_an_answer_a_write_is_unknown_and_a_read_waits_for_the_next_contact() {
    let mut world = settled(88, fleet::device(0));
    world.cut_off = Some(0);
    let read = ask(&mut world, DeviceOperation::Read, "/3/0/3");
    let write = send_down(&mut world, 1, None).unwrap();
    world.run_for(600 * SECOND);
    assert_eq!(state(&world, read), DeviceRequestState::Queued);
    // It has not had its turn: the device is silent.
    assert_eq!(state(&world, write), DeviceRequestState::Queued);
    world.cut_off = None;
    world.device(0, SimDevice::speak);
    world.run_for(10 * SECOND);
    assert_eq!(state(&world, read), DeviceRequestState::Done);
    assert_eq!(state(&world, write), DeviceRequestState::Done);
    world.cut_off = Some(0);
    let lost = send_down(&mut world, 2, None).unwrap();
    world.run_for(600 * SECOND);
    let request = stored(&world, lost);
    assert_eq!(request.state, DeviceRequestState::Unknown);
    assert_eq!(request.detail, "no answer came");
    world.cut_off = None;
    world.run_for(HOUR);
    assert_eq!(world.devices[0].core.downlinks().concat(), [1]);
}

#[test]
fn a_reboot_is_executed_once_also_where_its_answer_is_lost() {
    let mut world = settled(89, fleet::device(0));
    let reboot = ask(&mut world, DeviceOperation::Execute, "/3/0/4");
    // It arrives, and no answer comes back before the device has booted.
    world.run_until("it reboots", |world| world.devices[0].core.reboots() > 0);
    world.lose_what_is_under_way();
    world.run_for(HOUR);
    assert_eq!(world.devices[0].core.reboots(), 1);
    let request = stored(&world, reboot);
    assert_eq!(request.state, DeviceRequestState::Unknown);
    assert!(request.detail.contains("registered anew"), "{request:?}");
}

#[test]
fn an_update_comes_first_and_its_object_is_left_alone() {
    let mut world = settled(90, sleeper());
    let early = asked(&world, DeviceOperation::Execute, "/5/0/2", Bytes::new());
    let early = ask_for(&mut world, None, early).unwrap().unwrap();
    let read = ask(&mut world, DeviceOperation::Read, "/3/0/0");
    let id = world.campaign_for_all(RetryPolicy::default());
    for (operation, path) in [
        (DeviceOperation::Execute, "/5/0/2"),
        (DeviceOperation::Write, "/5/0/1"),
        (DeviceOperation::Write, "/5/0"),
        (DeviceOperation::WriteAttributes, "/5"),
        (DeviceOperation::Read, "/5/0/5"),
        (DeviceOperation::Read, "/5"),
    ] {
        let asked = asked(&world, operation, path, Bytes::new());
        let refused = ask_for(&mut world, None, asked).unwrap();
        assert_eq!(
            refused,
            Err(CommandError::UpdateActive),
            "{operation} {path}"
        );
    }
    let state_read = ask(&mut world, DeviceOperation::Read, "/5/0/3");
    world.device(0, SimDevice::speak);
    let first = world.requests.len();
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(state(&world, early), DeviceRequestState::Failed);
    assert!(stored(&world, early).detail.contains("update"));
    assert_eq!(state(&world, read), DeviceRequestState::Done);
    assert_eq!(state(&world, state_read), DeviceRequestState::Done);
    // Until the session waits for the device, it asks alone.
    let position = |asked: Path| {
        let mut since = world.requests[first..].iter();
        since.position(|(_, _, request)| request.path == asked)
    };
    let own = position(path::DEVICE_MANUFACTURER).unwrap();
    assert!(own > position(path::FIRMWARE_PACKAGE_URI).unwrap());
}

#[test]
fn what_reaches_into_an_update_is_not_sent_again_once_one_begins() {
    let mut world = settled(91, fleet::device(0));
    world.cut_off = Some(0);
    let pmin = Bytes::from_static(b"pmin=1");
    let asked = asked(&world, DeviceOperation::WriteAttributes, "/5/0/3", pmin);
    let id = ask_for(&mut world, None, asked).unwrap().unwrap();
    world.run_for(5 * SECOND);
    world.campaign_for_all(RetryPolicy::default());
    world.run_for(SECOND);
    assert_eq!(state(&world, id), DeviceRequestState::Unknown);
    world.cut_off = None;
    world.run_to_the_end();
}

#[test]
fn queues_are_bounded_for_each_device_and_in_all() {
    let config = EngineConfig {
        device_requests: DeviceRequestLimits {
            waiting_per_device_max: 2,
            waiting_max: 3,
            ended_per_device_max: 2,
            ended_max: 3,
        },
        ..fleet::engine_config()
    };
    let mut world = settled_with(92, sleeper(), config);
    send_down(&mut world, 1, None);
    send_down(&mut world, 2, None);
    let third = asked(&world, DeviceOperation::Read, "/3/0/3", Bytes::new());
    let full = ask_for(&mut world, None, third.clone()).unwrap();
    assert_eq!(full, Err(CommandError::DeviceQueueFull { limit: 2 }));
    let of_others = |number: u32| NewDeviceRequest {
        endpoint: narrowcast::model::EndpointName::parse(&format!("other-{number}")).unwrap(),
        ..third.clone()
    };
    assert!(ask_for(&mut world, None, of_others(1)).unwrap().is_ok());
    let full = ask_for(&mut world, None, of_others(2)).unwrap();
    assert_eq!(full, Err(CommandError::DeviceRequestsFull { limit: 3 }));
    world.device(0, SimDevice::speak);
    world.run_for(30 * SECOND);
    for byte in 3..=5 {
        send_down(&mut world, byte, None);
        world.run_for(5 * SECOND);
    }
    let kept = ready(world.server.store.restore()).unwrap().device_requests;
    let ended: Vec<_> = kept
        .iter()
        .filter(|it| it.state.is_final())
        .map(|it| it.id.0)
        .collect();
    assert_eq!(ended, [5, 6]);
    assert_eq!(world.server.engine.held().device_requests, 3);
}

#[test]
fn uplinks_are_kept_before_they_are_acknowledged_and_observed_again_after_a_restart() {
    let mut world = settled(93, sleeper());
    let endpoint = fleet::endpoint(&world.devices[0].config);
    let kept = |world: &World| -> Vec<u8> {
        let uplinks = ready(world.server.store.uplinks(&endpoint, 99)).unwrap();
        uplinks.iter().map(|uplink| uplink.payload[3]).collect()
    };
    world.device(0, SimDevice::send_uplink);
    world.run_for(5 * SECOND);
    assert_eq!(kept(&world), [1]);
    // Nothing is acknowledged that is not kept: the device sends it again.
    world.server.store.fail_after(1);
    world.device(0, SimDevice::send_uplink);
    world.run_for(60 * SECOND);
    assert_eq!(kept(&world), [2, 1]);
    world.restart();
    world.device(0, SimDevice::send_uplink);
    world.run_for(5 * SECOND);
    assert_eq!(kept(&world), [3, 2, 1]);
    for _ in 0..20 {
        world.device(0, SimDevice::send_uplink);
        world.run_for(5 * SECOND);
    }
    let newest: Vec<u8> = (8..=23).rev().collect();
    assert_eq!(kept(&world), newest);
}

#[test]
fn an_uplink_is_contact_in_which_what_waits_is_sent() {
    let mut world = settled(94, sleeper());
    let id = send_down(&mut world, 7, None).unwrap();
    world.device(0, SimDevice::send_uplink);
    world.run_for(5 * SECOND);
    assert_eq!(state(&world, id), DeviceRequestState::Done);
}
