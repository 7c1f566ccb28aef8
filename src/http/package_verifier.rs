//! What the API asks of package signing: to read a public key, and to verify an archive.

use std::fmt;
use std::io::{self, Read, Seek, Write};

use crate::model::{
    Component, DeviceModel, DeviceType, FirmwareVersion, Manufacturer, Package, PackageKind,
    Sha256Digest,
};
use crate::store::StoredKey;

/// A public key that may be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedKey {
    /// SHA-256 of the SPKI, hexadecimal.
    pub id: String,
    /// `RSA` or `ECDSA_256K1`.
    pub algorithm: String,
    /// Length of the modulus or of the curve's order, in bits.
    pub bits: u32,
    /// The key as SPKI in PEM.
    pub public_key_pem: String,
}

/// What the upload form says of a package; where the archive has signed information, it must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageClaims {
    /// 厂商名称.
    pub manufacturer: Manufacturer,
    /// 型号.
    pub model: DeviceModel,
    /// 设备类型.
    pub device_type: DeviceType,
    /// 目标版本.
    pub version: FirmwareVersion,
    /// 支持设备源版本.
    pub source_versions: Vec<FirmwareVersion>,
    /// 协议, `LWM2M` or `CoAP`.
    pub protocol: String,
    /// Whole or difference.
    pub kind: PackageKind,
    /// Module or MCU.
    pub component: Component,
}

impl PackageClaims {
    /// What the form said of a package that was accepted.
    pub fn of(package: &Package) -> Self {
        Self {
            manufacturer: package.manufacturer.clone(),
            model: package.model.clone(),
            device_type: package.device_type.clone(),
            version: package.target_version.clone(),
            source_versions: package.source_versions.clone(),
            protocol: package.protocol.clone(),
            kind: package.kind,
            component: package.component,
        }
    }
}

/// A field of the form that differs from the signed information inside the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoMismatch {
    /// Name of the form's field.
    pub field: &'static str,
    /// What the signed information says.
    pub signed: String,
}

/// An archive whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPackage {
    /// Name of the firmware file inside the archive.
    pub file_name: String,
    /// Size of the firmware file, in bytes.
    pub image_size_bytes: u64,
    /// SHA-256 of the firmware file.
    pub image_sha256: Sha256Digest,
    /// SHA-256 of the whole archive as uploaded.
    pub archive_sha256: Sha256Digest,
    /// Id of the key that verified it.
    pub key_id: String,
    /// Where the form differs from what was signed; empty where it agrees or nothing was signed.
    pub mismatches: Vec<InfoMismatch>,
}

/// Why a key or an archive is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The stable code of the REST interface, `snake_case`.
    pub code: &'static str,
    /// What is wrong, in plain words.
    pub message: String,
}

/// Why nothing can be said for an archive.
#[derive(Debug, thiserror::Error)]
pub enum VerifyFault {
    /// It is not accepted.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It could not be read, or its firmware file not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An opened archive.
pub trait Archive: Read + Seek {}

impl<T: Read + Seek> Archive for T {}

/// Reads public keys and verifies archives. Calls are long computations: the API makes them on a
/// thread that may block.
pub trait PackageVerifier: fmt::Debug + Send + Sync + 'static {
    /// Reads a public key.
    ///
    /// # Errors
    /// Where it is no public key in PEM that is accepted, or a weak one.
    fn read_key(&self, public_key_pem: &str) -> Result<VerifiedKey, Refusal>;

    /// Verifies a signed archive against the manufacturer's keys, then opens it and writes its firmware
    /// file to `image`. Neither is in memory whole at any time.
    ///
    /// # Errors
    /// Where no key verifies it, it is no archive of ours, or reading or writing failed. What was
    /// written is no firmware file then.
    fn verify(
        &self,
        archive: &mut dyn Archive,
        keys: &[StoredKey],
        claims: &PackageClaims,
        image: &mut dyn Write,
    ) -> Result<VerifiedPackage, VerifyFault>;
}
