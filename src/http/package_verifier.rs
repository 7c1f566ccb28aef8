//! What the API asks of package signing: to read a public key, and to verify an archive.

use std::fmt;
use std::io::{self, Read, Seek};

use crate::clock::Utc;
use crate::model::{
    Component, DeviceModel, DeviceType, FirmwareVersion, Manufacturer, Package, PackageFile,
    PackageKind, Sha256Digest,
};
use crate::signing::FirmwareSink;
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
    /// The signed sequence, where the form says one.
    pub sequence: Option<u64>,
    /// SHA-256 of the one firmware file, where the form says one.
    pub sha256: Option<Sha256Digest>,
    /// The signed end of its validity, where the form says one.
    pub not_after: Option<Utc>,
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
            sequence: package.sequence,
            sha256: None,
            not_after: package.not_after,
        }
    }
}

/// A field of the form that differs from the signed information inside the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoMismatch {
    /// Name of the form's field.
    pub field: &'static str,
    /// What the signed information says; empty where it says nothing.
    pub signed: String,
}

/// An archive whose signature holds, or one that was read without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPackage {
    /// The first firmware file.
    pub file: PackageFile,
    /// The others, in the order of the archive.
    pub more_files: Vec<PackageFile>,
    /// SHA-256 of the whole archive as uploaded.
    pub archive_sha256: Sha256Digest,
    /// Id of the key that verified it; empty where it has no signature.
    pub key_id: String,
    /// The signed place among its product's releases.
    pub sequence: Option<u64>,
    /// Not to be installed after this time, as signed.
    pub not_after: Option<Utc>,
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
    /// files to `files`. None is in memory whole at any time.
    ///
    /// # Errors
    /// Where no key verifies it, it is no archive of ours, or reading or writing failed. What was
    /// written is no firmware then.
    fn verify(
        &self,
        archive: &mut dyn Archive,
        keys: &[StoredKey],
        claims: &PackageClaims,
        files: &mut dyn FirmwareSink,
    ) -> Result<VerifiedPackage, VerifyFault>;

    /// Reads a firmware file, or a zip of some, that nobody has signed, and writes them to `files`.
    ///
    /// # Errors
    /// Where it would be refused inside a signed archive too, or reading or writing failed. What was
    /// written is no firmware then.
    fn read_unsigned(
        &self,
        upload: &mut dyn Archive,
        file_name: &str,
        claims: &PackageClaims,
        files: &mut dyn FirmwareSink,
    ) -> Result<VerifiedPackage, VerifyFault>;
}
