//! The devices, the package, and limits so small that all of them are reached.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::Utc;
use narrowcast::coap::{ContentFormat, EndpointConfig};
use narrowcast::engine::EngineConfig;
use narrowcast::lwm2m::{EndpointNameForm, RegistryConfig};
use narrowcast::model::{
    Component, Device, DeviceModel, DeviceType, EndpointName, FirmwareVersion, Manufacturer,
    Package, PackageFile, PackageId, PackageKind, Provenance, ReleaseNotes, Sha256Digest,
    TierLimits, TransmissionPreset,
};
use narrowcast::sim::{DeviceConfig, NotifyReliability, Quirks, Radio};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

pub(crate) const HONEST: usize = 24;
pub(crate) const CAPTURED: usize = 12;
/// Entered, and never switched on: names that anyone may register under.
pub(crate) const SPARE: usize = 40;
/// Entered when half of the datagrams have come: then there is no room for another.
pub(crate) const LATE: usize = 8;
/// In an honest fleet's time: the last one is switched on while datagrams still come.
const START_SPREAD: Duration = Duration::from_secs(24_000);

pub(crate) const LIMITS: TierLimits = TierLimits {
    tier0: 3,
    tier1: 2,
    tier2: 1,
    unknown: 1,
};

pub(crate) fn engine_config() -> EngineConfig {
    let mut config = EngineConfig {
        download_base: Some("coap://192.0.2.1:5683/fw/".to_owned()),
        tier_limits: LIMITS,
        devices_max: HONEST + CAPTURED + SPARE + LATE,
        tasks_max: 200,
        registry: RegistryConfig {
            registrations_max: HONEST + CAPTURED + SPARE + LATE,
            ..RegistryConfig::default()
        },
        coap: EndpointConfig {
            dedup_entries_max: 2_000,
            requests_max: 400,
            queue_per_peer_max: 4,
            message_ids_max: 1_000,
            block1_bodies_max: 16,
            block1_bodies_per_peer_max: 2,
            block1_body_bytes_max: 5_000,
            observations_max: 300,
            ..EndpointConfig::default()
        },
        ..EngineConfig::default()
    };
    config.product.transmission = TransmissionPreset::Rfc7252;
    config.coap.parameters = TransmissionPreset::Rfc7252.into();
    // The captured ones are given packages all day.
    config.loop_guard.deliveries_max = 200;
    config
}

/// Devices that are updated once; no name of another can become one of theirs by a bit or two.
pub(crate) fn honest(index: usize) -> DeviceConfig {
    let name = format!("urn:imei:{:015}", 352_099_001_761_000 + index);
    DeviceConfig {
        // Blocks of 32 bytes to 1 KiB: some take a quarter of an hour, others seconds.
        szx: u8::try_from(1 + index % 6).unwrap(),
        start_spread: START_SPREAD,
        ..device(name, index)
    }
}

/// Devices that the adversary speaks for.
pub(crate) fn captured(index: usize) -> DeviceConfig {
    let name = format!("urn:imei:{:015}", 867_725_030_000_000 + index);
    DeviceConfig {
        szx: 5,
        start_spread: Duration::from_secs(20),
        ..device(name, index)
    }
}

pub(crate) fn spare(index: usize) -> String {
    format!("spare-{index}")
}

fn device(name: String, index: usize) -> DeviceConfig {
    let mut quirks = Quirks::default();
    match index % 8 {
        1 => quirks.waits_for_notification_ack = true,
        2 => quirks.own_download_socket = true,
        3 => quirks.first_request_without_block2 = true,
        4 => quirks.remembers_observation = true,
        5 => quirks.answers_in = Some(ContentFormat::TLV),
        6 => quirks.new_port_after_reboot = true,
        7 => quirks.resumes = true,
        _ => {}
    }
    // Who waits for an acknowledgement asks for one.
    let notify = if index.is_multiple_of(3) && !quirks.waits_for_notification_ack {
        NotifyReliability::NonConfirmable
    } else {
        NotifyReliability::Confirmable
    };
    DeviceConfig {
        quirks,
        notify,
        transmission: TransmissionPreset::Rfc7252,
        update_interval: Duration::from_secs(300),
        radio: Radio {
            cell_id: Some(1),
            rsrp: Some([-95, -110, -120][index % 3]),
            sinr: Some(12),
        },
        ..DeviceConfig::new(name, SocketAddr::from(([192, 0, 2, 1], 5683)))
    }
}

pub(crate) fn endpoint(name: &str) -> EndpointName {
    EndpointNameForm::Imei.normalise(name).unwrap()
}

pub(crate) fn entered(name: &str, now: Utc) -> Device {
    Device {
        endpoint: endpoint(name),
        manufacturer: Some(Manufacturer::parse("Acme").unwrap()),
        model: Some(DeviceModel::parse("NB-1").unwrap()),
        device_type: Some(DeviceType::parse("WaterMeter").unwrap()),
        tags: Vec::new(),
        created_at: now,
    }
}

pub(crate) fn image(seed: u64) -> Bytes {
    let mut image = vec![0; 40_000];
    StdRng::seed_from_u64(seed).fill_bytes(&mut image);
    Bytes::from(image)
}

pub(crate) fn package(image: &Bytes, version: &str, now: Utc) -> Package {
    let sha256 = Sha256Digest(Sha256::digest(image).into());
    Package {
        id: PackageId(0),
        manufacturer: Manufacturer::parse("Acme").unwrap(),
        model: DeviceModel::parse("NB-1").unwrap(),
        device_type: DeviceType::parse("WaterMeter").unwrap(),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse(version).unwrap(),
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Module,
        file: PackageFile {
            name: "firmware.bin".to_owned(),
            sha256,
            size_bytes: image.len() as u64,
        },
        more_files: Vec::new(),
        archive_sha256: sha256,
        provenance: Provenance::Signed {
            key_id: "00".repeat(32),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: now,
    }
}
