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

/// A verified firmware package. The bytes lie under their SHA-256; this is what is known of them.
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
    /// Name of the firmware file inside the archive.
    pub file_name: String,
    /// SHA-256 of the firmware file: what devices receive, and the key of the stored bytes.
    pub image_sha256: Sha256Digest,
    /// Size of the firmware file, in bytes.
    pub image_size_bytes: u64,
    /// SHA-256 of the whole signed archive as uploaded.
    pub archive_sha256: Sha256Digest,
    /// Id of the key that verified it.
    pub key_id: String,
    /// When it was uploaded.
    pub uploaded_at: Utc,
}
