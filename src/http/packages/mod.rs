//! `/api/v1/packages`: signed firmware packages.

mod archive;
mod create;
mod form;
mod list;
mod show;

pub(super) use archive::verify_archive;
pub(super) use create::*;
pub(super) use list::*;
pub(super) use show::*;

use serde::Serialize;
use utoipa::ToSchema;

use super::{HttpLimits, fields};
use crate::model::Package;

/// What a form's texts and boundaries may add to the archive, in bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;

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
    /// Name of the firmware file inside the archive.
    file_name: String,
    /// SHA-256 of the firmware file, hexadecimal.
    sha256: String,
    /// Size of the firmware file, in bytes.
    size: u64,
    /// SHA-256 of the signed archive as uploaded, hexadecimal.
    archive_sha256: String,
    /// The key that verified it.
    key_id: String,
    /// When it was uploaded.
    #[schema(format = DateTime)]
    uploaded_at: String,
}

impl From<Package> for PackageView {
    fn from(package: Package) -> Self {
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
            file_name: package.file_name,
            sha256: package.image_sha256.to_string(),
            size: package.image_size_bytes,
            archive_sha256: package.archive_sha256.to_string(),
            key_id: package.key_id,
            uploaded_at: fields::time(package.uploaded_at),
        }
    }
}
