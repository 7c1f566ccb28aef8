//! Devices, and the campaign's package.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::Utc;
use narrowcast::coap::ContentFormat;
use narrowcast::engine::EngineConfig;
use narrowcast::lwm2m::EndpointNameForm;
use narrowcast::model::{
    Component, CoverageTier, Device, DeviceModel, DeviceType, EndpointName, FirmwareVersion,
    Manufacturer, Package, PackageFile, PackageId, PackageKind, Provenance, ReleaseNotes,
    Sha256Digest, TierBorders, TierLimits,
};
use narrowcast::sim::{AtRest, DeviceConfig, Limits, Quirks, Radio};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// Of devices, unless one says otherwise.
pub(crate) const MODEL: &str = "NB-1";

pub(crate) const TARGET_VERSION: &str = "2.0.0";

/// Small enough that every class of [`mixed`] has more devices than slots in the first cell.
pub(crate) const LIMITS: TierLimits = TierLimits {
    tier0: 3,
    tier1: 2,
    tier2: 1,
    unknown: 1,
};

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5683))
}

/// Campaigns of a few devices are told in several turns what they came to.
pub(crate) fn engine_config() -> EngineConfig {
    EngineConfig {
        download_base: Some("coap://192.0.2.1:5683/fw/".to_owned()),
        tier_limits: LIMITS,
        sweep_tasks_per_turn: 2,
        ..EngineConfig::default()
    }
}

/// A well-behaved device in tier 0 of cell 1, which asks for blocks of 1,024 bytes.
pub(crate) fn device(index: usize) -> DeviceConfig {
    DeviceConfig {
        szx: 6,
        next_version: TARGET_VERSION.to_owned(),
        start_spread: Duration::from_secs(30),
        ..DeviceConfig::new(
            format!("urn:imei:{:015}", 860_000_000_000_000 + index),
            server_address(),
        )
    }
}

/// Devices of every habit, in classes of two cells.
pub(crate) fn mixed(devices: usize) -> Vec<DeviceConfig> {
    (0..devices)
        .map(|index| {
            let tiers = [
                CoverageTier::Tier0,
                CoverageTier::Tier1,
                CoverageTier::Tier0,
                CoverageTier::Tier2,
                CoverageTier::Tier0,
                CoverageTier::Unknown,
                CoverageTier::Tier1,
            ];
            let cell = if index % 5 == 4 { 2 } else { 1 };
            DeviceConfig {
                radio: radio(cell, tiers[index % tiers.len()]),
                quirks: quirks(index),
                ..device(index)
            }
        })
        .collect()
}

pub(crate) fn radio(cell: u32, tier: CoverageTier) -> Radio {
    let (rsrp, sinr) = match tier {
        CoverageTier::Tier0 => (Some(-95), Some(12)),
        CoverageTier::Tier1 => (Some(-1100), Some(2)),
        CoverageTier::Tier2 => (Some(-121), Some(-60)),
        CoverageTier::Unknown => (Some(-95), None),
    };
    Radio {
        cell_id: Some(cell),
        rsrp,
        sinr,
    }
}

/// Each habit alone, then none, then those that a carrier's module has together.
pub(crate) fn quirks(index: usize) -> Quirks {
    let mut quirks = Quirks::default();
    match index % 12 {
        0 => {}
        1 => quirks.waits_for_notification_ack = true,
        2 => quirks.own_download_socket = true,
        3 => quirks.first_request_without_block2 = true,
        4 => quirks.reboots_before_execute_answer = true,
        5 => quirks.remembers_observation = true,
        6 => quirks.result_reads_once = true,
        7 => quirks.ignores_uri_unless_idle = true,
        8 => quirks.answers_in = Some(ContentFormat::TLV),
        9 => quirks.new_port_after_reboot = true,
        10 => quirks.resumes = true,
        _ => {
            quirks.own_download_socket = true;
            quirks.reboots_before_execute_answer = true;
            quirks.ignores_uri_unless_idle = true;
            quirks.new_port_after_reboot = true;
            quirks.remembers_observation = true;
            quirks.waits_for_notification_ack = true;
        }
    }
    quirks
}

pub(crate) fn limits(devices: &[DeviceConfig], image: &Bytes, at_rest: AtRest) -> Limits {
    Limits {
        tiers: LIMITS,
        image: sha256(image),
        at_rest,
        classes: devices
            .iter()
            .map(|device| device.class(&TierBorders::default()))
            .collect(),
    }
}

pub(crate) fn endpoint(device: &DeviceConfig) -> EndpointName {
    EndpointNameForm::Imei.normalise(&device.endpoint).unwrap()
}

pub(crate) fn known(device: &DeviceConfig, now: Utc) -> Device {
    Device {
        endpoint: endpoint(device),
        manufacturer: Some(Manufacturer::parse(&device.manufacturer).unwrap()),
        model: Some(DeviceModel::parse(&device.model).unwrap()),
        device_type: Some(DeviceType::parse("WaterMeter").unwrap()),
        tags: Vec::new(),
        created_at: now,
    }
}

/// An image whose last block is a short one.
pub(crate) fn image(seed: u64) -> Bytes {
    image_of(5_000, seed)
}

pub(crate) fn image_of(size_bytes: usize, seed: u64) -> Bytes {
    let mut image = vec![0; size_bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut image);
    Bytes::from(image)
}

pub(crate) fn sha256(image: &Bytes) -> Sha256Digest {
    Sha256Digest(Sha256::digest(image).into())
}

pub(crate) fn package(image: &Bytes, now: Utc) -> Package {
    Package {
        id: PackageId(0),
        manufacturer: Manufacturer::parse("Acme").unwrap(),
        model: DeviceModel::parse(MODEL).unwrap(),
        device_type: DeviceType::parse("WaterMeter").unwrap(),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse(TARGET_VERSION).unwrap(),
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Module,
        file: PackageFile {
            name: "firmware.bin".to_owned(),
            sha256: sha256(image),
            size_bytes: image.len() as u64,
        },
        more_files: Vec::new(),
        archive_sha256: sha256(image),
        provenance: Provenance::Signed {
            key_id: "00".repeat(32),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: now,
    }
}
