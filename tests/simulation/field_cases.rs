//! What users of other platforms suffered from, each case as a test of its own. Their threads: ThingsBoard
//! (TB), hawkBit, Leshan, OMA's LwM2M issues, Wakaama; LiteOS by its source.
//!
//! One has no counterpart yet: a DTLS Connection ID (RFC 9146) that spares a device its handshake when
//! its address changes (TB #10061), as there is no DTLS yet. What is held here is the part below it: over plain UDP
//! a download goes on from a new address.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use narrowcast::coap::{
    BlockValue, Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Options,
    Request, Token,
};
use narrowcast::engine::{EngineConfig, uri_file_name};
use narrowcast::lwm2m::{Location, path};
use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, CampaignState, CoverageTier, Delivery, FailureReason,
    FirmwareVersion, OnErrors, PauseReason, Peer, PhaseMembers, RetryPolicy, Rollout, RolloutPhase,
    SlotHeld, StopMode, TaskState, TierBorders, TierLimits, TimelineStep, UpdateCancel, WaitingFor,
};
use narrowcast::sim::log::DeviceEvent;
use narrowcast::sim::{AtRest, DeviceConfig, Judge, Limits, Outcome, SimDevice, SocketKind};
use narrowcast::store::Store;
use proptest::prelude::*;

use crate::fleet;
use crate::server::{self, ready};
use crate::wire::SentRequest;
use crate::world::{Fate, Trouble, World};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

const DONE: server::Outcome = server::Outcome::Done(Ok(()));

fn one(seed: u64, device: DeviceConfig) -> World {
    World::new(seed, fleet::engine_config(), vec![device])
}

fn has(world: &World, event: &DeviceEvent) -> bool {
    world.log.iter().any(|line| line.event == *event)
}

fn message(kind: MessageType, code: Code, id: u16, token: Token) -> Message {
    Message {
        kind,
        code,
        id: MessageId(id),
        token,
        options: Options::default(),
        payload: Bytes::new(),
    }
}

/// TB #13988: versions were looked for in each other's text.
#[test]
fn a_device_on_1_1_1_is_updated_to_1_1_10_and_one_on_1_1_10_to_1_1_1() {
    for (from, to) in [("1.1.1", "1.1.10"), ("1.1.10", "1.1.1")] {
        let device = DeviceConfig {
            version: from.to_owned(),
            next_version: to.to_owned(),
            ..fleet::device(0)
        };
        let mut world = one(2000, device);
        world.target_version = FirmwareVersion::parse(to).unwrap();
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        let task = world.task(id, 0);
        assert_eq!((task.state, task.note), (TaskState::Succeeded, None));
        assert_eq!(world.devices[0].core.version(), to);
        assert_eq!(world.executes(0).len(), 1);
    }
}

/// TB #10191, #15147, and the rule of LiteOS: the same URI goes on at the next block.
#[test]
fn a_device_that_lost_its_power_at_60_percent_goes_on_at_the_next_block() {
    const IMAGE_BYTES: usize = 64 * 1024;
    let mut device = fleet::device(0);
    device.quirks.resumes = true;
    device.szx = 5;
    let image = fleet::image_of(IMAGE_BYTES, 1);
    let mut world = World::with_image(2001, fleet::engine_config(), vec![device], image);
    let id = world.campaign_for_all(RetryPolicy {
        retries_max: 1,
        ..RetryPolicy::default()
    });
    world.run_until("it has 60 %", |world| {
        world.devices[0].core.fetched_bytes() >= IMAGE_BYTES * 60 / 100
    });
    let kept_bytes = world.devices[0].core.fetched_bytes();
    world.device(0, |core, now| core.cut_power(now, 30 * SECOND));
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert!(has(&world, &DeviceEvent::DownloadResumed { kept_bytes }));
    // The one that was under way when the power went.
    let served = world.server.engine.counters().block_bytes;
    let twice = served - IMAGE_BYTES as u64;
    assert!(twice <= 512, "{twice} bytes were served twice");
}

/// TB's source takes Result 0 after a reboot for success.
#[test]
fn a_reboot_into_the_old_version_with_state_0_and_result_0_is_a_failure() {
    let mut world = one(2002, fleet::device(0));
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it installs", |world| {
        has(world, &DeviceEvent::ExecuteAccepted)
    });
    world.device(0, |core, now| core.lose_package(now, 5 * SECOND));
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::UpdateFailed);
    assert_eq!(failure.evidence, "/5/0/3 = 0, /5/0/5 = 0, /3/0/3 = 1.0.0");
    assert_eq!(world.devices[0].core.version(), "1.0.0");
}

/// TB's source throws at Results above 9.
#[test]
fn result_11_is_a_deferral_and_the_update_goes_on_when_the_user_lets_it() {
    let device = DeviceConfig {
        deferral: Some(2 * HOUR),
        ..fleet::device(0)
    };
    let mut world = one(2003, device);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_for(HOUR);
    let task = world.task(id, 0);
    assert_eq!(task.state, TaskState::Running);
    assert_eq!(task.waiting_for, Some(WaitingFor::Deferred));
    assert_eq!(world.steps(0, TimelineStep::Deferred).len(), 1);
    world.run_to_the_end();
    let task = world.task(id, 0);
    assert_eq!((task.state, task.attempt), (TaskState::Succeeded, 1));
    assert_eq!(world.executes(0).len(), 1);
}

/// Wakaama #548: what changes twice within one pmin is told once, or not at all.
#[test]
fn states_that_follow_each_other_unnotified_still_have_their_result_read() {
    let device = DeviceConfig {
        outcome: Outcome::DownloadFails(5),
        ..fleet::device(0)
    };
    let mut world = one(2004, device);
    let id = world.campaign_for_all(RetryPolicy::default());
    // Its answer to the observation has arrived by then.
    world.run_until("it fetches", |world| has(world, &DeviceEvent::UriAccepted));
    world.plan(Duration::ZERO, Trouble::NotificationsLost(0, 24 * HOUR));
    world.run_to_the_end();
    let failure = world.failure(id, 0);
    assert_eq!(failure.reason, FailureReason::IntegrityCheckFailed);
    assert!(failure.evidence.contains("/5/0/5 = 5"), "{failure:?}");
}

/// OMA #300: a device takes its leave before it boots into what it installed.
#[test]
fn a_device_that_deregisters_before_its_reboot_is_still_being_updated() {
    let device = DeviceConfig {
        install: 600 * SECOND,
        ..fleet::device(0)
    };
    let mut world = one(2005, device);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it installs", |world| {
        has(world, &DeviceEvent::ExecuteAccepted)
    });
    world.run_for(SECOND);
    let registrations = ready(world.server.store.restore()).unwrap().registrations;
    let [registration] = &registrations[..] else {
        panic!("{registrations:?}");
    };
    let location = Location {
        slot: registration.slot,
        secret: registration.secret,
    };
    let mut leave = message(MessageType::Confirmable, Code::DELETE, 7, Token::default());
    for segment in ["rd".to_owned(), location.segment()] {
        leave.options.push(OptionNumber::URI_PATH, segment);
    }
    world.deliver(0, leave.encode().to_vec());
    assert!(
        ready(world.server.store.restore())
            .unwrap()
            .registrations
            .is_empty()
    );
    world.run_for(300 * SECOND);
    assert_eq!(world.task(id, 0).state, TaskState::Running);
    world.run_to_the_end();
    let task = world.task(id, 0);
    assert_eq!((task.state, task.attempt), (TaskState::Succeeded, 1));
}

/// LiteOS: it fetches the first block once its notification of State 1 was acknowledged, and ends with
/// Result 8 where it was not. The bound of one second at 10,000 devices is held in virtual time: the
/// acknowledgement is among what the same input leads to, behind nothing else, however many devices there are.
#[test]
fn state_is_observed_before_the_uri_is_written_and_a_notification_is_acknowledged_in_its_own_turn()
{
    let devices = (0..40).map(|index| {
        let mut device = fleet::device(index);
        device.quirks.waits_for_notification_ack = true;
        device
    });
    let mut world = World::new(2006, fleet::engine_config(), devices.collect());
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("one fetches", |world| has(world, &DeviceEvent::UriAccepted));
    let of_device = |it: &&SentRequest| it.is_observe_of(path::FIRMWARE_STATE);
    let mut observes = world.requests.iter().map(|(_, _, request)| request);
    let token = observes.find(of_device).unwrap().token;
    let fetching = world
        .log
        .iter()
        .find(|it| it.event == DeviceEvent::UriAccepted);
    let main = world.devices[fetching.unwrap().device].main;
    let mut state = message(MessageType::Confirmable, Code::CONTENT, 0x7777, token);
    state.options.push_uint(OptionNumber::OBSERVE, 90);
    let text = Request::new(Code::CONTENT, "/").with_payload(ContentFormat::TEXT, "1");
    state.payload = text.payload;
    let (now, datagram) = (world.now, state.encode().to_vec());
    let (_, transmits) = world.server.handle(now, None, |engine| {
        engine.handle_datagram(now, &Peer::Address(main), &datagram);
    });
    let first = transmits[0].datagram.to_vec();
    let acknowledgement = Message::decode(&first, 32).unwrap();
    assert_eq!(acknowledgement.kind, MessageType::Acknowledgement);
    assert_eq!(acknowledgement.id, MessageId(0x7777));
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), 40);
    for device in 0..40 {
        let of_device = world.requests.iter().filter(|(_, to, _)| *to == device);
        let requests: Vec<&SentRequest> = of_device.map(|(_, _, request)| request).collect();
        let first = |is: fn(&SentRequest) -> bool| requests.iter().position(|it| is(it)).unwrap();
        let observed = first(|it| it.is_observe_of(path::FIRMWARE_STATE));
        assert!(observed < first(SentRequest::is_uri_write), "{device}");
    }
}

/// LiteOS sends everything behind the first slash as the path: a query would be part of it.
#[test]
fn no_device_is_given_a_uri_with_a_query_or_a_fragment() {
    for base in ["coap://192.0.2.1:5683/fw/", "coap://[2001:db8::1]/fw/"] {
        let config = EngineConfig {
            download_base: Some(base.to_owned()),
            ..fleet::engine_config()
        };
        let mut world = World::new(2007, config, fleet::mixed(12));
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        assert_eq!(world.count(id, TaskState::Succeeded), 12);
        let uris = world.requests.iter();
        let uris: Vec<&String> = uris.filter_map(|(_, _, it)| it.uri.as_ref()).collect();
        assert!(uris.len() >= 12);
        for uri in uris {
            assert!(uri.starts_with(base) && !uri.contains(['?', '#']), "{uri}");
        }
    }
}

proptest! {
    /// The one part of a URI that is not ours: the name that its manufacturer gave a file.
    #[test]
    fn no_files_name_brings_a_query_or_a_fragment_into_a_uri(name in "\\PC{0,40}") {
        let in_uri = uri_file_name(&name);
        prop_assert!(!in_uri.contains(['?', '#', '/', ' ']), "{in_uri}");
    }
}

/// hawkBit #1318: a device that would not cancel was left in "canceling".
#[test]
fn a_cancel_that_is_refused_leaves_a_task_that_runs_on_to_its_end() {
    let mut config = fleet::engine_config();
    config.product.cancel = UpdateCancel::Execute;
    let device = DeviceConfig {
        install: 120 * SECOND,
        ..fleet::device(0)
    };
    let mut world = World::new(2008, config, vec![device]);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_until("it fetches", |world| has(world, &DeviceEvent::UriAccepted));
    world.plan(Duration::ZERO, Trouble::NotificationsLost(0, HOUR));
    world.run_until("it has the package", |world| {
        world.devices[0].core.update_state() == 2
    });
    // A technician on site has it install what it has; the server knows of neither.
    let mut execute = message(MessageType::Confirmable, Code::POST, 9, Token::default());
    for segment in ["5", "0", "2"] {
        execute.options.push(OptionNumber::URI_PATH, segment);
    }
    let execute = execute.encode().to_vec();
    world.device(0, |core, now| {
        core.handle_datagram(now, SocketKind::Main, &execute);
    });
    assert_eq!(world.devices[0].core.update_state(), 3);
    assert_eq!(world.stop_as(id, StopMode::Hard), DONE);
    world.run_for(30 * SECOND);
    let mut requests = world.requests.iter();
    assert!(requests.any(|(_, _, it)| it.path == path::FIRMWARE_CANCEL));
    assert_eq!(world.task(id, 0).state, TaskState::Running);
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    assert_eq!(world.executes(0).len(), 0);
}

/// hawkBit #693: devices that die stay "proceeding", and the rollout goes on over them.
#[test]
fn devices_that_fall_silent_after_execute_fail_at_their_deadline_and_halt_the_rollout() {
    let mut world = World::new(
        2009,
        fleet::engine_config(),
        (0..12).map(fleet::device).collect(),
    );
    world.policy.rollout = Rollout {
        phases: vec![RolloutPhase {
            members: PhaseMembers::Count(3),
            success_percent_min: 100,
            failed_percent_max: 30,
            on_errors: OnErrors::Pause,
            soak_hours: 0,
            approval_required: false,
        }],
        ..Rollout::default()
    };
    let id = world.campaign_for_all(RetryPolicy::default());
    for device in 0..12 {
        world.chaos.fates.insert(device, Fate::GoneInInstall);
    }
    let begun = |world: &World| {
        let executes = (0..12).map(|device| world.executes(device).len());
        executes.sum::<usize>()
    };
    world.run_until("it is paused", |world| {
        let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
        campaign.state == CampaignState::Paused
    });
    let (campaign, _) = ready(world.server.store.campaign(id)).unwrap();
    assert_eq!(campaign.rollout.paused, Some(PauseReason::PhaseErrors));
    let failed = (0..12).filter(|device| world.task(id, *device).state == TaskState::Failed);
    let failed: Vec<usize> = failed.collect();
    assert!(!failed.is_empty());
    for device in failed {
        let failure = world.failure(id, device);
        assert_eq!(failure.reason, FailureReason::ResultTimeout, "{failure:?}");
        let waited = world
            .now
            .instant
            .saturating_since(world.executes(device)[0]);
        assert!(waited >= world.server.config.product.result_timeout);
    }
    let before = begun(&world);
    assert!(before <= 3);
    world.run_for(24 * HOUR);
    assert_eq!(begun(&world), before, "nobody of the next phase began");
}

/// TB #10061, without the DTLS that is not there yet.
#[test]
fn a_device_whose_address_changes_while_it_downloads_goes_on() {
    for speaks in [false, true] {
        let mut world = one(2010, fleet::device(0));
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_until("it downloads", |world| {
            world.devices[0].core.fetched_bytes() > 1024
        });
        let fetched = world.devices[0].core.fetched_bytes();
        world.devices[0].main = SocketAddr::from(([10, 9, 9, 9], 50_000));
        world.devices[0].download = SocketAddr::from(([10, 9, 9, 9], 50_001));
        if speaks {
            world.device(0, SimDevice::speak);
        }
        world.run_to_the_end();
        let task = world.task(id, 0);
        assert_eq!((task.state, task.attempt), (TaskState::Succeeded, 1));
        assert!(world.verdict().holds());
        let served = world.server.engine.counters().block_bytes;
        let twice = served - world.image.len() as u64;
        assert!(twice <= 1024, "{twice} bytes again, at {fetched} fetched");
    }
}

/// Leshan #371: a device says that it takes smaller blocks, and again.
#[test]
fn a_push_begins_again_with_blocks_of_256_and_128_bytes_where_4_13_asks_for_them() {
    let mut config = fleet::engine_config();
    config.product.delivery = Delivery::Push;
    let mut device = fleet::device(0);
    device.quirks.takes_only_push = true;
    let mut world = World::new(2011, config, vec![device]);
    let id = world.campaign_for_all(RetryPolicy::default());
    let pushed = |world: &World| {
        let mut requests = world.requests.iter().rev();
        let found = requests.find(|(_, _, request)| request.is_package_write());
        found.map(|(_, _, request)| request.clone())
    };
    // What the device would say is said for it until it has said both.
    let mut asked = None;
    for (szx, size) in [(4_u8, 256), (3, 128)] {
        world.run_until("a block leaves", |world| {
            pushed(world).is_some_and(|request| Some(request.id) != asked)
        });
        world.cut_off = Some(0);
        let request = pushed(&world).unwrap();
        assert!(request.begins_a_body());
        asked = Some(request.id);
        let mut answer = message(
            MessageType::Acknowledgement,
            Code::REQUEST_ENTITY_TOO_LARGE,
            request.id.0,
            request.token,
        );
        let block = BlockValue {
            num: 0,
            more: true,
            szx,
        };
        block.put(&mut answer.options, OptionNumber::BLOCK1);
        world.deliver(0, answer.encode().to_vec());
        let again = pushed(&world).unwrap();
        assert!(again.begins_a_body() && again.id != request.id);
        assert_eq!(again.payload_bytes, size);
    }
    world.cut_off = None;
    world.run_to_the_end();
    assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
    let largest = pushed(&world).unwrap().payload_bytes;
    assert!(largest <= 128, "{largest}");
}

#[test]
fn a_download_is_served_in_blocks_of_256_and_128_bytes_to_whoever_asks_for_them() {
    for szx in [4, 3] {
        let device = DeviceConfig {
            szx,
            ..fleet::device(0)
        };
        let mut world = one(2012, device);
        let id = world.campaign_for_all(RetryPolicy::default());
        world.run_to_the_end();
        assert_eq!(world.task(id, 0).state, TaskState::Succeeded);
        let blocks = world.image.len().div_ceil(16 << szx);
        assert_eq!(world.server.engine.counters().blocks, blocks as u64);
    }
}

/// The most devices of each tier that were active at once in one cell, by their own logs, with the
/// carriers' limits: 50, 10 and 1.
fn peaks(tiers: &[(CoverageTier, usize)], mode: AdmissionMode) -> Vec<(CoverageTier, u32)> {
    let tiers = tiers.iter().flat_map(|(tier, count)| vec![*tier; *count]);
    let devices = tiers.enumerate().map(|(index, tier)| DeviceConfig {
        radio: fleet::radio(1, tier),
        // Slow enough that all who may are active together.
        szx: 1,
        start_spread: 10 * SECOND,
        ..fleet::device(index)
    });
    let devices: Vec<DeviceConfig> = devices.collect();
    let mut config = EngineConfig {
        tier_limits: TierLimits::default(),
        admission: AdmissionPolicy {
            mode,
            airtime: None,
        },
        ..fleet::engine_config()
    };
    config.product.slot_held = SlotHeld::UntilResult;
    let classes = devices.iter().map(|it| it.class(&TierBorders::default()));
    let mut judge = Judge::new(Limits {
        tiers: TierLimits::default(),
        image: fleet::sha256(&fleet::image(2013)),
        at_rest: AtRest::Active,
        classes: classes.collect(),
    });
    let count = devices.len();
    let mut world = World::new(2013, config, devices);
    // It is held against the small limits of other tests there.
    world.lenient = true;
    world.run_for(60 * SECOND);
    let id = world.campaign_for_all(RetryPolicy::default());
    world.run_to_the_end();
    assert_eq!(world.count(id, TaskState::Succeeded), count);
    world.log.iter().for_each(|line| judge.read(line));
    let verdict = judge.verdict();
    assert!(verdict.holds(), "{verdict:?}");
    let peaks = verdict.peaks.iter();
    peaks.map(|peak| (peak.tier, peak.peak)).collect()
}

#[test]
fn of_51_devices_of_tier_0_in_one_cell_exactly_50_are_active_at_once() {
    let peaks = peaks(&[(CoverageTier::Tier0, 51)], AdmissionMode::PerClass);
    assert_eq!(peaks, [(CoverageTier::Tier0, 50)]);
}

#[test]
fn of_tier_2_one_device_of_a_cell_is_active_at_a_time() {
    let peaks = peaks(&[(CoverageTier::Tier2, 4)], AdmissionMode::PerClass);
    assert_eq!(peaks, [(CoverageTier::Tier2, 1)]);
}

#[test]
fn beside_tier_0_ten_devices_of_tier_1_are_active_at_once() {
    let both = [(CoverageTier::Tier0, 12), (CoverageTier::Tier1, 12)];
    let per_class = [(CoverageTier::Tier0, 12), (CoverageTier::Tier1, 10)];
    assert_eq!(peaks(&both, AdmissionMode::PerClass), per_class);
    // Read the other way: ten of both together.
    let strictest = peaks(&both, AdmissionMode::Strictest);
    assert!(
        strictest.iter().all(|(_, peak)| *peak <= 10),
        "{strictest:?}"
    );
}
