//! Firmware packages.

use std::fmt;

use bytes::Bytes;

use super::words::words;
use super::{DeviceModel, DeviceType, FirmwareVersion, Manufacturer};
use crate::clock::Utc;

/// A package's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub u64);

/// The SHA-256 of some bytes; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

/// The bytes of a firmware file, shared: what devices receive.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Image(Bytes);

impl Image {
    /// All of it.
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl From<Bytes> for Image {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({} bytes)", self.0.len())
    }
}

words! {
    /// 差分包 or 整包.
    pub enum PackageKind {
        /// The whole image; any source version unless some are listed.
        Full = "full",
        /// A difference against listed source versions.
        Delta = "delta",
    }
}

words! {
    /// What is updated.
    pub enum Component {
        /// 模组固件.
        Module = "module",
        /// MCU 固件.
        Mcu = "mcu",
    }
}

/// One firmware file of a package. Its bytes lie under their SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Its name inside the archive.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Who answers for a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// Its manufacturer: a signature by one of their keys held when it came.
    Signed {
        /// Id of the key that verified it.
        key_id: String,
    },
    /// An administrator alone.
    Unsigned {
        /// Name of the token that it came with.
        by: String,
        /// Why there is no signature.
        reason: String,
    },
}

/// 备注: what is new, for those who choose the package and those who consent to it. Empty: nothing said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseNotes {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

impl ReleaseNotes {
    /// The most characters of each.
    pub const CHARS_MAX: usize = 4000;
}

/// A firmware package. The bytes lie under their SHA-256; this is what is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its number.
    pub id: PackageId,
    /// 厂商名称 that it is for.
    pub manufacturer: Manufacturer,
    /// 型号.
    pub model: DeviceModel,
    /// 设备类型.
    pub device_type: DeviceType,
    /// 协议, as the form said: `LWM2M` or `CoAP`.
    pub protocol: String,
    /// 目标版本.
    pub target_version: FirmwareVersion,
    /// 支持设备源版本; empty: any.
    pub source_versions: Vec<FirmwareVersion>,
    /// Whole or difference.
    pub kind: PackageKind,
    /// Module or MCU.
    pub component: Component,
    /// The firmware file: what LwM2M devices receive. The first, where there are several.
    pub file: PackageFile,
    /// The others, in the order of the archive.
    pub more_files: Vec<PackageFile>,
    /// SHA-256 of the whole archive as uploaded.
    pub archive_sha256: Sha256Digest,
    /// Who answers for it.
    pub provenance: Provenance,
    /// Its signed place among its product's releases, where it has one: what tells a downgrade, as
    /// version strings have no order.
    pub sequence: Option<u64>,
    /// Not to be installed after this time, as signed.
    pub not_after: Option<Utc>,
    /// What is new in it.
    pub release_notes: ReleaseNotes,
    /// When it was uploaded.
    pub uploaded_at: Utc,
}

impl Package {
    /// All its firmware files, in the order of the archive.
    pub fn files(&self) -> impl Iterator<Item = &PackageFile> {
        std::iter::once(&self.file).chain(&self.more_files)
    }

    /// The key that verified it; `None` where it is unsigned.
    pub fn key_id(&self) -> Option<&str> {
        match &self.provenance {
            Provenance::Signed { key_id } => Some(key_id),
            Provenance::Unsigned { .. } => None,
        }
    }

    /// The bytes that it rests on: its files and the archive that they came in.
    pub fn digests(&self) -> impl Iterator<Item = Sha256Digest> {
        let files = self.files().map(|file| file.sha256);
        files.chain(std::iter::once(self.archive_sha256))
    }
}
