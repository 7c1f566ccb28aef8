//! What goes wrong in a run, from its seed.

use std::time::Duration;

use narrowcast::coap::EndpointConfig;
use narrowcast::engine::{DeviceRequestLimits, EngineConfig};
use narrowcast::lwm2m::path;
use narrowcast::model::{
    CampaignId, Conditions, Consent, Delivery, Preconditions, ProductSettings, PushWindow,
    RetryPolicy, Schedule, Sha256Digest, SlotHeld, StopMode, UpdateCancel, WaitingRoomPolicy,
    Weekdays,
};
use narrowcast::sim::{DeviceConfig, NotifyReliability, Outcome};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fleet;
use crate::link::{Link, percent};
use crate::world::{Ask, Fate, Trouble, World};

pub(crate) const DEVICES: usize = 12;

const MINUTE: Duration = Duration::from_secs(60);

/// The commonest time in which the first campaign is at work.
const BUSY_SECONDS: u64 = 90 * 60;

/// Small enough that bounds are reached.
pub(crate) fn config(rng: &mut StdRng) -> EngineConfig {
    let defaults = fleet::engine_config();
    EngineConfig {
        coap: EndpointConfig {
            dedup_entries_max: 24,
            requests_max: 32,
            queue_per_peer_max: 4,
            message_ids_max: 16,
            block1_bodies_max: 8,
            observations_max: 3 * DEVICES,
            ..EndpointConfig::default()
        },
        product: ProductSettings {
            slot_held: if percent(rng, 50) {
                SlotHeld::UntilResult
            } else {
                SlotHeld::UntilDownloaded
            },
            delivery: Delivery::Auto,
            cancel: UpdateCancel::ALL[rng.gen_range(0..UpdateCancel::ALL.len())],
            contact_timeout: 180 * MINUTE,
            download_stall_timeout: 30 * MINUTE,
            ..ProductSettings::default()
        },
        device_requests: DeviceRequestLimits {
            waiting_per_device_max: 3,
            waiting_max: 10,
            ended_per_device_max: 3,
            ended_max: 15,
        },
        devices_max: DEVICES,
        tasks_max: 3 * DEVICES,
        ..defaults
    }
}

/// What one device is like beside its habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lot {
    Sound,
    Fails(u8),
    InstallFails(u8),
    WrongVersion,
    NoCell,
    BadUris,
    Absent,
    AnotherVersion,
    Dumb,
    LowBattery,
    Defers,
    Of(Fate),
}

const LOTS: [Lot; 23] = [
    Lot::LowBattery,
    Lot::Defers,
    Lot::Fails(2),
    Lot::Fails(3),
    Lot::Fails(3),
    Lot::Fails(4),
    Lot::Fails(5),
    Lot::Fails(6),
    Lot::Fails(7),
    Lot::Fails(9),
    Lot::Fails(10),
    Lot::InstallFails(8),
    Lot::InstallFails(11),
    Lot::WrongVersion,
    Lot::WrongVersion,
    Lot::NoCell,
    Lot::BadUris,
    Lot::Absent,
    Lot::AnotherVersion,
    Lot::Dumb,
    Lot::Of(Fate::GoneInDownload),
    Lot::Of(Fate::GoneInInstall),
    Lot::Of(Fate::DumbInInstall),
];

/// A device and what goes wrong with it at last; `None`: nothing must keep it from its update.
pub(crate) struct Drawn {
    pub(crate) device: DeviceConfig,
    lot: Lot,
}

impl Drawn {
    pub(crate) fn is_sound(&self) -> bool {
        self.lot == Lot::Sound
    }
}

pub(crate) fn devices(rng: &mut StdRng, image: Sha256Digest) -> Vec<Drawn> {
    let turn = rng.gen_range(0..12);
    let mut devices = fleet::mixed(DEVICES);
    for (index, device) in devices.iter_mut().enumerate() {
        device.quirks = fleet::quirks(index + turn);
    }
    let draw = |mut device: DeviceConfig| {
        device.image_sha256 = Some(image);
        if percent(rng, 30) {
            device.queue_mode = true;
            device.update_interval = Duration::from_secs(rng.gen_range(300..3_000));
        }
        if percent(rng, 20) && !device.quirks.waits_for_notification_ack {
            device.notify = NotifyReliability::NonConfirmable;
        }
        device.quirks.takes_only_push = percent(rng, 15);
        let lot = if percent(rng, 60) {
            Lot::Sound
        } else {
            LOTS[rng.gen_range(0..LOTS.len())]
        };
        match lot {
            Lot::Fails(result) => device.outcome = Outcome::DownloadFails(result),
            Lot::InstallFails(result) => device.outcome = Outcome::InstallFails(result),
            Lot::WrongVersion => device.outcome = Outcome::WrongVersion,
            Lot::NoCell => device.radio.cell_id = None,
            Lot::BadUris => device.quirks.finds_uris_bad = true,
            Lot::LowBattery => {
                device.condition.battery_percent = Some(rng.gen_range(0..30));
            }
            Lot::Defers => {
                let minutes = rng.gen_range(1..400);
                device.deferral = Some(minutes * MINUTE);
            }
            Lot::Absent => device.start_spread = 10_000 * 60 * MINUTE,
            Lot::AnotherVersion => "0.9.0".clone_into(&mut device.version),
            Lot::Sound | Lot::Dumb | Lot::Of(_) => {}
        }
        Drawn { device, lot }
    };
    devices.into_iter().map(draw).collect()
}

/// What the first campaign asks of its devices and of people.
pub(crate) fn conditions(rng: &mut StdRng) -> Conditions {
    Conditions {
        preconditions: Preconditions {
            battery_percent_min: Some(30),
            ..Preconditions::default()
        },
        consent: if percent(rng, 10) {
            Consent::Confirmed
        } else {
            Consent::Silent
        },
        ..Conditions::default()
    }
}

/// How devices that wait for a slot are kept awake. Apart from what else is drawn.
pub(crate) fn waiting_room(seed: u64) -> Option<WaitingRoomPolicy> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x700d);
    percent(&mut rng, 60).then(|| WaitingRoomPolicy {
        hold_seconds_max: rng.gen_range(0..4 * 3600),
        pings_max: rng.gen_range(0..200),
        places_per_cell: rng.gen_range(0..4),
    })
}

/// Everything that goes wrong of itself, in a world whose campaign has just been activated.
pub(crate) fn plan(world: &mut World, rng: &mut StdRng, drawn: &[Drawn], first: CampaignId) {
    world.link = if percent(rng, 50) {
        Link::bad(rng)
    } else {
        Link::clean()
    };
    world.link.stalls = rng.gen_range(0..3);
    world.link.damaged_permille = rng.gen_range(0..10);
    world.crash_permille = rng.gen_range(0..10);
    world.cut_percent = rng.gen_range(0..20);
    world.chaos.forget_percent = 30;
    for (index, drawn) in drawn.iter().enumerate() {
        if let Lot::Of(fate) = drawn.lot {
            world.chaos.fates.insert(index, fate);
        } else if drawn.lot == Lot::Dumb {
            let paths = [path::FIRMWARE_STATE, path::DEVICE_FIRMWARE_VERSION];
            let path = paths[rng.gen_range(0..paths.len())];
            let trouble = Trouble::AnswersLost(index, path, 180 * MINUTE);
            world.plan(Duration::ZERO, trouble);
        }
    }
    for _ in 0..rng.gen_range(10..30) {
        let at = Duration::from_secs(rng.gen_range(0..BUSY_SECONDS));
        let trouble = trouble(rng);
        world.plan(at, trouble);
    }
    if percent(rng, 40) {
        let devices = (0..DEVICES).filter(|_| percent(rng, 30)).collect();
        let at = Duration::from_secs(rng.gen_range(60..BUSY_SECONDS));
        let trouble = Trouble::Campaign(devices, retries(rng));
        world.plan(at, trouble);
    }
    if percent(rng, 15) {
        let at = Duration::from_secs(rng.gen_range(60..BUSY_SECONDS));
        let mode = StopMode::ALL[rng.gen_range(0..StopMode::ALL.len())];
        world.plan(at, Trouble::Stop(first, mode));
    }
    for _ in 0..rng.gen_range(0..3) {
        let at = Duration::from_secs(rng.gen_range(60..2 * BUSY_SECONDS));
        world.plan(at, Trouble::Retry(first));
    }
    if world.policy.conditions.consent == Consent::Confirmed {
        for device in 0..DEVICES {
            if percent(rng, 30) {
                let at = Duration::from_secs(rng.gen_range(0..BUSY_SECONDS));
                world.plan(at, Trouble::Consent(first, Some(device)));
            }
        }
        world.plan(30 * MINUTE, Trouble::Consent(first, None));
    }
    for _ in 0..rng.gen_range(10..40) {
        let at = Duration::from_secs(rng.gen_range(0..BUSY_SECONDS));
        let device = rng.gen_range(0..DEVICES);
        for _ in 0..[1, 1, 1, 5][rng.gen_range(0..4)] {
            let within = Duration::from_secs(rng.gen_range(30..3 * 3_600));
            world.plan(at, Trouble::Asked(device, Ask::draw(rng), within));
        }
    }
    let calm_at = MINUTE * rng.gen_range(120..360);
    world.plan(calm_at, Trouble::Calm);
    if percent(rng, 5) {
        let at = Duration::from_secs(rng.gen_range(60..BUSY_SECONDS));
        world.plan(at, Trouble::Revoke);
    }
}

/// Most campaigns may begin something at any time; some end while they are at work, some have windows.
pub(crate) fn schedule(world: &World, rng: &mut StdRng) -> Schedule {
    let mut schedule = Schedule::default();
    if percent(rng, 8) {
        let end = Duration::from_secs(rng.gen_range(5 * 60..BUSY_SECONDS));
        schedule.end_at = Some(world.now.utc + end);
    }
    if percent(rng, 8) {
        let from_hour = rng.gen_range(0..24);
        schedule.windows.push(PushWindow {
            time_zone: "Asia/Kolkata".to_owned(),
            from_hour,
            to_hour: (from_hour + rng.gen_range(6..20)) % 24,
            weekdays: Weekdays::ALL,
        });
    }
    schedule
}

fn trouble(rng: &mut StdRng) -> Trouble {
    const HOUR_MS: i64 = 60 * 60 * 1000;
    const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
    let device = rng.gen_range(0..DEVICES);
    let time = Duration::from_secs(rng.gen_range(30..3_600));
    match rng.gen_range(0..9) {
        0 | 1 => Trouble::PowerCut {
            device,
            off: time / 10,
            forgets: percent(rng, 30),
        },
        2 => Trouble::OutOfCoverage(device, time),
        3 => {
            let paths = [
                path::FIRMWARE_STATE,
                path::DEVICE_FIRMWARE_VERSION,
                path::FIRMWARE_UPDATE_RESULT,
                path::CELL_ID,
                path::SIGNAL_SNR,
                path::FIRMWARE_PACKAGE_URI,
                path::FIRMWARE_UPDATE,
            ];
            Trouble::AnswersLost(device, paths[rng.gen_range(0..paths.len())], time)
        }
        4 => Trouble::NotificationsLost(device, time),
        5 | 6 => Trouble::Rebinding(device),
        7 => Trouble::StoreError,
        _ => Trouble::Clock([YEAR_MS, -HOUR_MS][rng.gen_range(0..2)]),
    }
}

pub(crate) fn retries(rng: &mut StdRng) -> RetryPolicy {
    RetryPolicy {
        retries_max: rng.gen_range(0..=RetryPolicy::RETRIES_MAX),
        delay: 2 * MINUTE,
    }
}
