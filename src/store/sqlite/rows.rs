//! Rows to nouns and back.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

use crate::clock::Utc;
use crate::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, BindingMode, CampaignId, CellId, Component,
    CoverageTier, DeliveryHistory, Device, DeviceModel, DeviceReport, DeviceType, DowngradeAllowed,
    DownloadCapability, EndpointName, Failure, FailureReason, FirmwareVersion, Identity, KeyChange,
    KeyPurpose, Lwm2mVersion, Manufacturer, Package, PackageFile, PackageId, PackageKind, Peer,
    Phase, Provenance, Registration, RegistrationSlot, ReleaseNotes, Sha256Digest, SlotClaim,
    StopMode, StoredObservation, SuccessNote, TaskId, TaskState, TimelineEntry, TimelineStep,
    UpdateTask, WaitingFor,
};
use crate::store::{DeviceGroup, StoreError, StoredKey, StoredToken};

/// `SELECT columns rest`.
pub(super) fn select(columns: &'static str, rest: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("SELECT {columns} {rest}"))
}

type Decoded<T> = Result<T, sqlx::Error>;

/// An id or a size as SQLite holds it. No row has a number that does not fit.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What has no columns of its own, as JSON.
pub(super) fn document(document: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|error| StoreError::Fatal(error.to_string()))
}

/// A list of texts as a JSON array.
pub(super) fn json_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    serde_json::Value::from_iter(items).to_string()
}

/// A peer as text: `udp <address>`, with the flow information of IPv6 where there is some, or
/// `id <identity>`.
pub(super) fn peer_text(peer: &Peer) -> String {
    match peer {
        Peer::Address(SocketAddr::V6(address)) if address.flowinfo() != 0 => {
            format!("udp {address} {}", address.flowinfo())
        }
        Peer::Address(address) => format!("udp {address}"),
        Peer::Secured(identity) => format!("id {}", identity.as_str()),
    }
}

fn parse_peer(text: &str) -> Option<Peer> {
    if let Some(identity) = text.strip_prefix("id ") {
        return Some(Peer::Secured(Identity::new(identity)));
    }
    let text = text.strip_prefix("udp ")?;
    let Some((address, flowinfo)) = text.split_once(' ') else {
        return Some(Peer::Address(text.parse().ok()?));
    };
    let SocketAddr::V6(mut address) = address.parse().ok()? else {
        return None;
    };
    address.set_flowinfo(flowinfo.parse().ok()?);
    Some(Peer::Address(SocketAddr::V6(address)))
}

/// A row, read column by column in the order of the query.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    /// From the first column on.
    pub(super) const fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    /// The next column as it is.
    pub(super) fn value<T>(&mut self) -> Decoded<T>
    where
        T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index)
    }

    /// The next column, an integer, as the number that it was.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Decoded<T> {
        let value: i64 = self.value()?;
        T::try_from(value).map_err(|_| self.unreadable())
    }

    /// As [`Self::number`], where the column may be empty.
    pub(super) fn optional_number<T: TryFrom<i64>>(&mut self) -> Decoded<Option<T>> {
        let value: Option<i64> = self.value()?;
        value
            .map(|value| T::try_from(value).map_err(|_| self.unreadable()))
            .transpose()
    }

    /// The next column, a text, as `parse` understands it.
    pub(super) fn parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Decoded<T> {
        let text: &str = self.value()?;
        parse(text).ok_or_else(|| self.unreadable())
    }

    /// As [`Self::parsed`], where the column may be empty.
    pub(super) fn optional<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Decoded<Option<T>> {
        let text: Option<&str> = self.value()?;
        text.map(|text| parse(text).ok_or_else(|| self.unreadable()))
            .transpose()
    }

    /// The next column, a JSON document; nothing is said where it is empty.
    pub(super) fn document<T: DeserializeOwned + Default>(&mut self) -> Decoded<T> {
        let parsed = self.optional(|text| serde_json::from_str(text).ok())?;
        Ok(parsed.unwrap_or_default())
    }

    /// The next column, bytes of a known length.
    pub(super) fn bytes<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let bytes: &[u8] = self.value()?;
        bytes.try_into().map_err(|_| self.unreadable())
    }

    /// The next column, a time.
    pub(super) fn utc(&mut self) -> Decoded<Utc> {
        Ok(Utc::from_unix_ms(self.value()?))
    }

    /// As [`Self::utc`], where the column may be empty.
    pub(super) fn optional_utc(&mut self) -> Decoded<Option<Utc>> {
        Ok(self.value::<Option<i64>>()?.map(Utc::from_unix_ms))
    }

    /// The next column, milliseconds.
    pub(super) fn duration(&mut self) -> Decoded<Duration> {
        Ok(Duration::from_millis(self.number()?))
    }

    /// The next column, a JSON array of texts.
    pub(super) fn list<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Decoded<Vec<T>> {
        self.parsed(|json| {
            let texts: Vec<String> = serde_json::from_str(json).ok()?;
            texts.iter().map(|text| parse(text)).collect()
        })
    }

    /// As [`Self::list`], where the column may be empty.
    pub(super) fn optional_list<T>(
        &mut self,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Decoded<Option<Vec<T>>> {
        self.optional(|json| {
            let texts: Vec<String> = serde_json::from_str(json).ok()?;
            texts.iter().map(|text| parse(text)).collect()
        })
    }

    /// The error for a value that no noun has: the file was changed by something else.
    pub(super) fn unreadable(&self) -> sqlx::Error {
        sqlx::Error::ColumnDecode {
            index: self.next.saturating_sub(1).to_string(),
            source: "not a value of this column".into(),
        }
    }
}

/// An endpoint name from its text.
pub(super) fn endpoint_name(text: &str) -> Option<EndpointName> {
    EndpointName::parse(text).ok()
}

fn manufacturer(text: &str) -> Option<Manufacturer> {
    Manufacturer::parse(text).ok()
}

fn device_model(text: &str) -> Option<DeviceModel> {
    DeviceModel::parse(text).ok()
}

fn device_type(text: &str) -> Option<DeviceType> {
    DeviceType::parse(text).ok()
}

pub(super) fn firmware_version(text: &str) -> Option<FirmwareVersion> {
    FirmwareVersion::parse(text).ok()
}

/// The columns that [`registration`] reads.
pub(super) const REGISTRATION: &str = "slot, secret, endpoint, peer, version, queue_mode, \
     lifetime_ms, links, registered_at, expires_at";

/// A registration; `intern` gives equal links one place in memory.
pub(super) fn registration(
    row: &SqliteRow,
    intern: impl FnOnce(&str) -> Arc<str>,
) -> Decoded<Registration> {
    let mut columns = Columns::of(row);
    Ok(Registration {
        slot: RegistrationSlot(columns.number()?),
        secret: u128::from_be_bytes(columns.bytes()?),
        endpoint: columns.parsed(endpoint_name)?,
        peer: columns.parsed(parse_peer)?,
        version: columns.parsed(Lwm2mVersion::from_word)?,
        binding: BindingMode {
            queue_mode: columns.value()?,
        },
        lifetime: columns.duration()?,
        links: columns.parsed(|text| Some(intern(text)))?,
        registered_at: columns.utc()?,
        expires_at: columns.utc()?,
    })
}

/// The columns that [`observation`] reads.
pub(super) const OBSERVATION: &str = "token, endpoint, path";

/// An observation.
pub(super) fn observation(row: &SqliteRow) -> Decoded<StoredObservation> {
    let mut columns = Columns::of(row);
    Ok(StoredObservation {
        token: columns.bytes()?,
        endpoint: columns.parsed(endpoint_name)?,
        path: columns.value()?,
    })
}

/// The columns that [`device`] reads.
pub(super) const DEVICE: &str = "endpoint, manufacturer, model, device_type, tags, created_at";

/// A device.
pub(super) fn device(row: &SqliteRow) -> Decoded<Device> {
    device_columns(&mut Columns::of(row))
}

pub(super) fn device_columns(columns: &mut Columns<'_>) -> Decoded<Device> {
    Ok(Device {
        endpoint: columns.parsed(endpoint_name)?,
        manufacturer: columns.optional(manufacturer)?,
        model: columns.optional(device_model)?,
        device_type: columns.optional(device_type)?,
        tags: columns.list(|tag| Some(tag.to_owned()))?,
        created_at: columns.utc()?,
    })
}

/// The columns that [`report`] reads.
pub(super) const REPORT: &str = "endpoint, firmware_version, manufacturer, model, cell_id, \
     rsrp_dbm, sinr_db, tier, reported_at";

/// A device's report.
pub(super) fn report(row: &SqliteRow) -> Decoded<(EndpointName, DeviceReport)> {
    let mut columns = Columns::of(row);
    let endpoint = columns.parsed(endpoint_name)?;
    Ok((endpoint, report_columns(&mut columns)?))
}

/// All of them but the endpoint.
pub(super) fn report_columns(columns: &mut Columns<'_>) -> Decoded<DeviceReport> {
    Ok(DeviceReport {
        firmware_version: columns.optional(firmware_version)?,
        manufacturer: columns.optional(manufacturer)?,
        model: columns.optional(device_model)?,
        cell_id: columns.optional_number()?.map(CellId),
        rsrp_dbm: columns.optional_number()?,
        sinr_db: columns.optional_number()?,
        tier: columns.optional(CoverageTier::from_word)?,
        reported_at: columns.optional_utc()?,
    })
}

/// Times as a JSON array of milliseconds.
pub(super) fn json_times(times: &[Utc]) -> String {
    serde_json::Value::from_iter(times.iter().map(|at| at.unix_ms())).to_string()
}

/// The columns that [`deliveries`] reads.
pub(super) const DELIVERIES: &str = "endpoint, delivered_at, barred_since";

/// A device's deliveries.
pub(super) fn deliveries(row: &SqliteRow) -> Decoded<(EndpointName, DeliveryHistory)> {
    let mut columns = Columns::of(row);
    let endpoint = columns.parsed(endpoint_name)?;
    let times = columns.parsed(|json| serde_json::from_str::<Vec<i64>>(json).ok())?;
    let history = DeliveryHistory {
        delivered_at: times.into_iter().map(Utc::from_unix_ms).collect(),
        barred_since: columns.optional_utc()?,
    };
    Ok((endpoint, history))
}

/// The columns that [`task`] reads.
pub(super) const TASK: &str = "id, campaign, endpoint, rollout_phase, state, phase, attempt, \
     attempts_before, stop, consented_at, capability, uri_intended, execute_intended_attempt, lost, slot_cell, slot_tier, \
     queued_since, held_since, pings, bytes_served, waiting_for, since, \
     until, retry_at, failure_reason, failure_evidence, note";

/// A task.
pub(super) fn task(row: &SqliteRow) -> Decoded<UpdateTask> {
    let mut columns = Columns::of(row);
    Ok(UpdateTask {
        id: TaskId(columns.number()?),
        campaign: CampaignId(columns.number()?),
        endpoint: columns.parsed(endpoint_name)?,
        rollout_phase: columns.number()?,
        state: columns.parsed(TaskState::from_word)?,
        phase: columns.parsed(Phase::from_word)?,
        attempt: columns.number()?,
        attempts_before: columns.number()?,
        stop: columns.optional(StopMode::from_word)?,
        consented_at: columns.optional_utc()?,
        capability: capability(&mut columns)?,
        uri_intended: columns.value()?,
        execute_intended_attempt: columns.optional_number()?,
        lost: columns.value()?,
        slot: slot(&mut columns)?,
        queued_since: columns.optional_utc()?,
        held_since: columns.optional_utc()?,
        pings: columns.number()?,
        bytes_served: columns.number()?,
        waiting_for: columns.optional(WaitingFor::from_word)?,
        since: columns.utc()?,
        until: columns.optional_utc()?,
        retry_at: columns.optional_utc()?,
        failure: failure(&mut columns)?,
        note: columns.optional(SuccessNote::from_word)?,
    })
}

fn capability(columns: &mut Columns<'_>) -> Decoded<Option<DownloadCapability>> {
    let bytes: Option<&[u8]> = columns.value()?;
    bytes
        .map(|bytes| {
            let bytes = bytes.try_into().map_err(|_| columns.unreadable())?;
            Ok(DownloadCapability(bytes))
        })
        .transpose()
}

fn slot(columns: &mut Columns<'_>) -> Decoded<Option<SlotClaim>> {
    let cell = columns.optional_number()?.map(CellId);
    let tier = columns.optional(CoverageTier::from_word)?;
    Ok(cell.zip(tier).map(|(cell, tier)| SlotClaim { cell, tier }))
}

fn failure(columns: &mut Columns<'_>) -> Decoded<Option<Failure>> {
    let reason = columns.optional(FailureReason::from_word)?;
    let evidence: Option<String> = columns.value()?;
    Ok(reason
        .zip(evidence)
        .map(|(reason, evidence)| Failure { reason, evidence }))
}

/// The columns that [`timeline_entry`] reads.
pub(super) const TIMELINE_ENTRY: &str = "at, endpoint, task, attempt, step, detail";

/// A line of history.
pub(super) fn timeline_entry(row: &SqliteRow) -> Decoded<TimelineEntry> {
    let mut columns = Columns::of(row);
    Ok(TimelineEntry {
        at: columns.utc()?,
        endpoint: columns.parsed(endpoint_name)?,
        task: TaskId(columns.number()?),
        attempt: columns.number()?,
        step: columns.parsed(TimelineStep::from_word)?,
        detail: columns.value()?,
    })
}

/// The columns that [`package`] reads.
pub(super) const PACKAGE: &str = "id, manufacturer, model, device_type, protocol, target_version, \
     source_versions, kind, component, file_name, image_sha256, image_size_bytes, more_files, \
     archive_sha256, key_id, unsigned_by, unsigned_reason, sequence, not_after, release_notes_zh, \
     release_notes_en, uploaded_at";

/// A package.
pub(super) fn package(row: &SqliteRow) -> Decoded<Package> {
    let mut columns = Columns::of(row);
    Ok(Package {
        id: PackageId(columns.number()?),
        manufacturer: columns.parsed(manufacturer)?,
        model: columns.parsed(device_model)?,
        device_type: columns.parsed(device_type)?,
        protocol: columns.value()?,
        target_version: columns.parsed(firmware_version)?,
        source_versions: columns.list(firmware_version)?,
        kind: columns.parsed(PackageKind::from_word)?,
        component: columns.parsed(Component::from_word)?,
        file: PackageFile {
            name: columns.value()?,
            sha256: Sha256Digest(columns.bytes()?),
            size_bytes: columns.number()?,
        },
        more_files: columns.parsed(package_files)?,
        archive_sha256: Sha256Digest(columns.bytes()?),
        provenance: provenance(&mut columns)?,
        sequence: columns.optional_number()?,
        not_after: columns.optional_utc()?,
        release_notes: ReleaseNotes {
            zh: columns.value()?,
            en: columns.value()?,
        },
        uploaded_at: columns.utc()?,
    })
}

/// The files of a package beside the first, as they are kept.
#[derive(Serialize, Deserialize)]
struct FileRow {
    name: String,
    sha256: String,
    size_bytes: u64,
}

/// Files as a JSON array.
pub(super) fn json_files(files: &[PackageFile]) -> Result<String, StoreError> {
    let rows = files.iter().map(|file| FileRow {
        name: file.name.clone(),
        sha256: file.sha256.to_string(),
        size_bytes: file.size_bytes,
    });
    serde_json::to_string(&rows.collect::<Vec<_>>())
        .map_err(|error| StoreError::Failed(error.to_string()))
}

fn package_files(json: &str) -> Option<Vec<PackageFile>> {
    let rows: Vec<FileRow> = serde_json::from_str(json).ok()?;
    let file = |row: FileRow| {
        let mut sha256 = [0; 32];
        hex::decode_to_slice(&row.sha256, &mut sha256).ok()?;
        Some(PackageFile {
            name: row.name,
            sha256: Sha256Digest(sha256),
            size_bytes: row.size_bytes,
        })
    };
    rows.into_iter().map(file).collect()
}

fn provenance(columns: &mut Columns<'_>) -> Decoded<Provenance> {
    let key_id: String = columns.value()?;
    let by: Option<String> = columns.value()?;
    let reason: Option<String> = columns.value()?;
    Ok(match by {
        Some(by) => Provenance::Unsigned {
            by,
            reason: reason.unwrap_or_default(),
        },
        None => Provenance::Signed { key_id },
    })
}

/// Who let a campaign downgrade devices.
pub(super) fn downgrade(columns: &mut Columns<'_>) -> Decoded<Option<DowngradeAllowed>> {
    let by: Option<String> = columns.value()?;
    let reason: Option<String> = columns.value()?;
    Ok(by.map(|by| DowngradeAllowed {
        by,
        reason: reason.unwrap_or_default(),
    }))
}

/// How a campaign wants its devices admitted.
pub(super) fn admission(columns: &mut Columns<'_>) -> Decoded<Option<AdmissionPolicy>> {
    let mode = columns.optional(AdmissionMode::from_word)?;
    let airtime: Option<u16> = columns.value()?;
    let airtime = airtime.and_then(NonZeroU16::new).map(AirtimePermille);
    Ok(mode.map(|mode| AdmissionPolicy { mode, airtime }))
}

/// The columns that [`key`] reads.
pub(super) const KEY: &str = "id, manufacturer, purpose, algorithm, bits, public_key_pem, created_at, \
     created_by, retired_at, retired_by, retired_reason, revoked_at, revoked_by, revoked_reason";

/// A manufacturer's key.
pub(super) fn key(row: &SqliteRow) -> Decoded<StoredKey> {
    let mut columns = Columns::of(row);
    Ok(StoredKey {
        id: columns.value()?,
        manufacturer: columns.parsed(manufacturer)?,
        purpose: columns.parsed(KeyPurpose::from_word)?,
        algorithm: columns.value()?,
        bits: columns.number()?,
        public_key_pem: columns.value()?,
        created_at: columns.utc()?,
        created_by: columns.value()?,
        retired: key_change(&mut columns)?,
        revoked: key_change(&mut columns)?,
    })
}

fn key_change(columns: &mut Columns<'_>) -> Decoded<Option<KeyChange>> {
    let at = columns.optional_utc()?;
    let by: Option<String> = columns.value()?;
    let reason: Option<String> = columns.value()?;
    Ok(at.map(|at| KeyChange {
        at,
        by: by.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
    }))
}

/// The columns that [`group`] reads.
pub(super) const GROUP: &str = "id, name, devices, filter, created_at";

/// A device group.
pub(super) fn group(row: &SqliteRow) -> Decoded<DeviceGroup> {
    let mut columns = Columns::of(row);
    Ok(DeviceGroup {
        id: crate::model::GroupId(columns.number()?),
        name: columns.value()?,
        devices: columns.number()?,
        filter: columns.value()?,
        created_at: columns.utc()?,
    })
}

/// The columns that [`token`] reads.
pub(super) const TOKEN: &str = "name, role, sha256, created_at";

/// An API token.
pub(super) fn token(row: &SqliteRow) -> Decoded<StoredToken> {
    let mut columns = Columns::of(row);
    Ok(StoredToken {
        name: columns.value()?,
        role: columns.value()?,
        sha256: columns.bytes()?,
        created_at: columns.utc()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_comes_back_as_it_was() {
        let v6 = |text: &str, flowinfo| {
            let mut address: std::net::SocketAddrV6 = text.parse().unwrap();
            address.set_flowinfo(flowinfo);
            Peer::Address(SocketAddr::V6(address))
        };
        let peers = [
            Peer::Address("192.0.2.1:5683".parse().unwrap()),
            v6("[2001:db8::1]:5683", 0),
            v6("[fe80::1%3]:5683", 0),
            v6("[fe80::1%3]:5683", 77),
            Peer::Secured(Identity::new("urn:imei:860000000000001")),
            Peer::Secured(Identity::new("udp 192.0.2.1:5683")),
            Peer::Secured(Identity::new("")),
            Peer::Secured(Identity::new("a b\n\u{0}ü")),
        ];
        for peer in peers {
            assert_eq!(parse_peer(&peer_text(&peer)), Some(peer));
        }
    }
}
