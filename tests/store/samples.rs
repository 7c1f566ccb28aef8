//! Nouns to store, made from small numbers.

use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::model::{
    AuditActor, AuditStamp, BindingMode, CampaignId, CampaignTargets, CellId, Component,
    CoverageTier, DeliveryHistory, Device, DeviceModel, DeviceReport, DeviceType, EndpointName,
    FirmwareVersion, Identity, KeyPurpose, Lwm2mVersion, Manufacturer, Package, PackageFile,
    PackageId, PackageKind, Peer, Provenance, Record, Registration, RegistrationSlot, ReleaseNotes,
    RetryPolicy, Sha256Digest, StoredObservation, TaskId, TimelineEntry, TimelineStep,
};
use narrowcast::store::{NewCampaign, Page, SqliteStore, Store, StoredKey, StoredToken};

pub(crate) fn endpoint(number: u32) -> EndpointName {
    EndpointName::parse(&format!("urn:imei:{number:015}")).unwrap()
}

pub(crate) const fn utc(number: i64) -> Utc {
    Utc::from_unix_ms(1_700_000_000_000 + number)
}

pub(crate) const fn page(limit: u32) -> Page {
    Page { after: None, limit }
}

pub(crate) fn page_after(after: impl ToString, limit: u32) -> Page {
    Page {
        after: Some(after.to_string()),
        limit,
    }
}

/// Who changes what tests change straight.
pub(crate) fn stamp_at(number: i64) -> AuditStamp {
    AuditStamp {
        at: utc(number),
        ..stamp()
    }
}

pub(crate) fn stamp() -> AuditStamp {
    AuditStamp {
        at: utc(0),
        actor: AuditActor::cli(),
    }
}

pub(crate) fn device(number: u32) -> Device {
    Device {
        endpoint: endpoint(number),
        manufacturer: Some(Manufacturer::parse("水表 & Söhne").unwrap()),
        model: number
            .is_multiple_of(2)
            .then(|| DeviceModel::parse("BC95").unwrap()),
        device_type: None,
        tags: vec!["roof".to_owned(), "\"quoted\", [east]".to_owned()],
        created_at: utc(i64::from(number)),
    }
}

pub(crate) fn registration(slot: u32, number: u32) -> Registration {
    Registration {
        slot: RegistrationSlot(slot),
        secret: u128::MAX - u128::from(number),
        endpoint: endpoint(number),
        peer: if number.is_multiple_of(3) {
            Peer::Secured(Identity::new(&format!("psk-{number}")))
        } else {
            Peer::Address(([192, 0, 2, number.to_le_bytes()[0]], 5683).into())
        },
        version: if number.is_multiple_of(2) {
            Lwm2mVersion::V1_0
        } else {
            Lwm2mVersion::V1_1
        },
        binding: BindingMode {
            queue_mode: number.is_multiple_of(2),
        },
        lifetime: Duration::from_secs(86_400 + u64::from(number)),
        links: Arc::from("</>;rt=\"oma.lwm2m\",</1/0>,</3/0>,</4/0>,</5/0>,</19/0>"),
        registered_at: utc(i64::from(number)),
        expires_at: utc(i64::from(number) + 86_400_000),
    }
}

pub(crate) fn observation(token: u8, number: u32) -> StoredObservation {
    StoredObservation {
        token: [token; 8],
        endpoint: endpoint(number),
        path: "/5/0/3".to_owned(),
    }
}

pub(crate) fn report(number: u32) -> DeviceReport {
    DeviceReport {
        firmware_version: Some(FirmwareVersion::parse(&format!("V{number}")).unwrap()),
        cell_id: Some(CellId(number)),
        rsrp_dbm: Some(-97),
        tier: number.is_multiple_of(2).then_some(CoverageTier::Tier1),
        reported_at: Some(utc(i64::from(number))),
        ..DeviceReport::default()
    }
}

pub(crate) fn deliveries(count: i64, barred: bool) -> DeliveryHistory {
    DeliveryHistory {
        delivered_at: (1..=count).map(utc).collect(),
        barred_since: barred.then(|| utc(count)),
    }
}

pub(crate) fn timeline_entry(number: u32, line: i64) -> TimelineEntry {
    TimelineEntry {
        at: utc(line),
        endpoint: endpoint(number),
        task: TaskId(u64::from(number)),
        attempt: 1,
        step: TimelineStep::Negotiated,
        detail: format!("line {line}"),
    }
}

pub(crate) fn timeline(number: u32, line: i64) -> Record {
    Record::Timeline(timeline_entry(number, line))
}

pub(crate) fn package(version: &str) -> Package {
    Package {
        id: PackageId(0),
        manufacturer: Manufacturer::parse("Quectel").unwrap(),
        model: DeviceModel::parse("BC95").unwrap(),
        device_type: DeviceType::parse("WaterMeter").unwrap(),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse(version).unwrap(),
        source_versions: vec![FirmwareVersion::parse("V1").unwrap()],
        kind: PackageKind::Delta,
        component: Component::Mcu,
        file: PackageFile {
            name: "app.bin".to_owned(),
            sha256: Sha256Digest([0xab; 32]),
            size_bytes: 123_456,
        },
        more_files: Vec::new(),
        archive_sha256: Sha256Digest([0xcd; 32]),
        provenance: Provenance::Signed {
            key_id: "0123".to_owned(),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: utc(5),
    }
}

pub(crate) fn key(id: &str, manufacturer: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        manufacturer: Manufacturer::parse(manufacturer).unwrap(),
        purpose: KeyPurpose::Firmware,
        algorithm: "RSA".to_owned(),
        bits: 2048,
        public_key_pem: "-----BEGIN PUBLIC KEY-----\n".to_owned(),
        created_at: utc(1),
        created_by: Some("gate".to_owned()),
        retired: None,
        revoked: None,
    }
}

pub(crate) fn token(name: &str, byte: u8) -> StoredToken {
    StoredToken {
        name: name.to_owned(),
        role: "viewer".to_owned(),
        sha256: [byte; 32],
        created_at: utc(2),
    }
}

pub(crate) fn new_campaign(package: PackageId) -> NewCampaign {
    NewCampaign {
        name: "水表 2026".to_owned(),
        package,
        targets: CampaignTargets {
            groups: vec![narrowcast::model::GroupId(7)],
            devices: vec![endpoint(1), endpoint(2)],
            filter: Some("model==BC25".to_owned()),
            allow: Some(vec![endpoint(1), endpoint(2), endpoint(3)]),
            deny: vec![endpoint(3)],
            dynamic: false,
        },
        retry: RetryPolicy {
            retries_max: 3,
            delay: Duration::from_secs(120),
        },
        downgrade: None,
        admission: None,
        policy: Default::default(),
        phase_sizes: Vec::new(),
        created_at: utc(9),
    }
}

/// A draft for devices 1 to `tasks`.
pub(crate) async fn draft(store: &dyn Store, tasks: u32) -> CampaignId {
    let version = format!("V{}", store.packages(page(1000)).await.unwrap().len());
    let package = store.add_package(package(&version), stamp()).await.unwrap();
    let endpoints = (1..=tasks).map(endpoint).collect();
    store
        .create_campaign(new_campaign(package), endpoints, stamp())
        .await
        .unwrap()
}

/// A database in a folder that goes with it.
pub(crate) async fn sqlite() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db"))
        .await
        .unwrap();
    (folder, store)
}
