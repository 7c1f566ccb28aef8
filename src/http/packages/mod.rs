//! `/api/v1/packages`: signed firmware packages.

mod archive;
mod create;
mod delete;
mod edit;
mod form;
mod keep;
mod list;
mod show;

pub(super) use archive::verify_archive;
pub(super) use create::*;
pub(super) use delete::*;
pub(super) use edit::*;
pub(super) use list::*;
pub(super) use show::*;

use std::collections::BTreeMap;

use form::parse_notes;
use keep::remove_bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Problem, kinds};
use super::precondition::EntityTag;
use super::{HttpLimits, HttpState, fields};
use crate::clock::Utc;
use crate::model::{KeyState, Package, PackageId, Provenance};
use crate::store::StoreError;

/// What a form's texts and boundaries may add to the archive, in bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// The most characters of a reason that an administrator gives.
pub(super) const REASON_CHARS_MAX: usize = 200;

/// Why a package cannot be taken away or changed, with the campaign that it is of.
async fn in_use(state: &HttpState, id: PackageId) -> Result<Problem, Problem> {
    let detail = match state.store.package_use(id).await? {
        Some(of) => format!(
            "package {}: campaign {} '{}' is of it",
            id.0, of.campaign.0, of.name
        ),
        None => format!("package {}: a campaign of it is being made", id.0),
    };
    Ok(Problem::new(kinds::PACKAGE_IN_USE, detail))
}

/// A package is not installed after the time that was signed.
pub(super) fn check_expiry(not_after: Option<Utc>, now: Utc) -> Result<(), Problem> {
    match not_after {
        Some(end) if end < now => {
            let detail = format!("its signed 'notAfter' is {end}, and it is {now}");
            Err(Problem::new(kinds::PACKAGE_EXPIRED, detail))
        }
        Some(_) | None => Ok(()),
    }
}

/// The state of what may be said anew of a package.
fn tag(package: &Package) -> EntityTag {
    let (id, notes) = (package.id.0.to_string(), &package.release_notes);
    EntityTag::of([id.as_str(), &notes.zh, &notes.en])
}

/// The largest body of an upload, in bytes.
pub(super) fn body_bytes_max(limits: &HttpLimits) -> usize {
    limits.package_bytes_max.saturating_add(FORM_BYTES_MAX)
}

/// A verified firmware package.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Package)]
pub(super) struct PackageView {
    /// Its number.
    id: u64,
    /// 厂商名称.
    manufacturer: String,
    /// 型号.
    model: String,
    /// 设备类型.
    device_type: String,
    /// `LWM2M` or `CoAP`.
    protocol: String,
    /// 目标版本.
    version: String,
    /// 支持设备源版本; empty: any.
    source_versions: Vec<String>,
    /// `full` or `delta`.
    kind: &'static str,
    /// `module` or `mcu`.
    component: &'static str,
    /// Name of the firmware file inside the archive; the first, where there are several.
    file_name: String,
    /// SHA-256 of that file, hexadecimal.
    sha256: String,
    /// Size of that file, in bytes.
    size: u64,
    /// All firmware files, in the order of the archive: one, or up to five for delivery by link.
    files: Vec<PackageFileView>,
    /// SHA-256 of the signed archive as uploaded, hexadecimal.
    archive_sha256: String,
    /// The key that verified it; `null` where it is unsigned.
    key_id: Option<String>,
    /// What that key may still do: `active`; `retired`, the package stays usable; `revoked`, it is not
    /// installed any more. `null` where there is no such key.
    key_state: Option<&'static str>,
    /// Its signed place among its product's releases: a lower one than a device runs is a downgrade.
    sequence: Option<u64>,
    /// Not to be installed after this time, as signed.
    #[schema(format = DateTime)]
    not_after: Option<String>,
    /// Who let it in without a signature, and why; `null` where it is signed.
    unsigned: Option<UnsignedView>,
    /// 备注 in Chinese: what is new.
    release_notes_zh: String,
    /// What is new, in English.
    release_notes_en: String,
    /// When it was uploaded.
    #[schema(format = DateTime)]
    uploaded_at: String,
}

/// One firmware file of a package.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PackageFile)]
pub(super) struct PackageFileView {
    /// Its name.
    name: String,
    /// Its SHA-256, hexadecimal.
    sha256: String,
    /// Its size in bytes.
    size: u64,
}

/// A package that no key answers for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnsignedPackage)]
pub(super) struct UnsignedView {
    /// Name of the administrator's token.
    by: String,
    /// Why.
    reason: String,
}

impl PackageView {
    async fn of(state: &HttpState, package: Package) -> Result<Self, StoreError> {
        let keys = key_states(state, std::slice::from_ref(&package)).await?;
        Ok(Self::new(package, &keys))
    }

    async fn list(state: &HttpState, packages: Vec<Package>) -> Result<Vec<Self>, StoreError> {
        let keys = key_states(state, &packages).await?;
        let views = packages
            .into_iter()
            .map(|package| Self::new(package, &keys));
        Ok(views.collect())
    }

    fn new(package: Package, keys: &BTreeMap<String, KeyState>) -> Self {
        let key_state = package.key_id().and_then(|id| keys.get(id));
        let key_state = key_state.map(|state| state.word());
        let files = package.files().map(|file| PackageFileView {
            name: file.name.clone(),
            sha256: file.sha256.to_string(),
            size: file.size_bytes,
        });
        let files = files.collect();
        let (key_id, unsigned) = match package.provenance {
            Provenance::Signed { key_id } => (Some(key_id), None),
            Provenance::Unsigned { by, reason } => (None, Some(UnsignedView { by, reason })),
        };
        Self {
            id: package.id.0,
            manufacturer: package.manufacturer.to_string(),
            model: package.model.to_string(),
            device_type: package.device_type.to_string(),
            protocol: package.protocol,
            version: package.target_version.to_string(),
            source_versions: package
                .source_versions
                .iter()
                .map(ToString::to_string)
                .collect(),
            kind: package.kind.word(),
            component: package.component.word(),
            file_name: package.file.name,
            sha256: package.file.sha256.to_string(),
            size: package.file.size_bytes,
            files,
            archive_sha256: package.archive_sha256.to_string(),
            key_id,
            key_state,
            sequence: package.sequence,
            not_after: package.not_after.map(fields::time),
            unsigned,
            release_notes_zh: package.release_notes.zh,
            release_notes_en: package.release_notes.en,
            uploaded_at: fields::time(package.uploaded_at),
        }
    }
}

/// The states of these packages' keys, each read once.
async fn key_states(
    state: &HttpState,
    packages: &[Package],
) -> Result<BTreeMap<String, KeyState>, StoreError> {
    let mut states = BTreeMap::new();
    for id in packages.iter().filter_map(Package::key_id) {
        if states.contains_key(id) {
            continue;
        }
        match state.store.key(id).await {
            Ok(key) => drop(states.insert(id.to_owned(), key.state())),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(states)
}
