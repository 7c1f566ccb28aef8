//! The inner `NAME.zip`: the firmware files, and what the signer says of them.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::info::{InfoError, PackageInfo};
use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::zip::{self, CheckedZip, ZipError, is_file_name};
use crate::model::Sha256Digest;

/// Why an inner zip cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Not a zip file as it must be.
    #[error("the inner zip: {0}")]
    Zip(#[from] ZipError),
    /// Nothing to install.
    #[error("the inner zip has no firmware file: put the .bin into it")]
    NoFirmware,
    /// More files than a package may have.
    #[error("the inner zip has {found} firmware files, and {max} are accepted")]
    TooManyFiles {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A firmware of no bytes.
    #[error("the firmware file {0:?} is empty")]
    Empty(String),
    /// Zipped twice: no device unpacks what it receives.
    #[error("the firmware file {0:?} is itself a zip: put the .bin into the zip")]
    NestedZip(String),
    /// A signed package where a plain zip belongs.
    #[error("this zip is a signed package already: give the zip that was signed")]
    AlreadySigned,
    /// The signed statement cannot be used.
    #[error(transparent)]
    Info(#[from] InfoError),
    /// The signed statement is about another file.
    #[error("`sha256` in package-info.json is not that of the one firmware file: make it again")]
    InfoSha256,
}

/// One file that devices receive.
#[derive(Clone, PartialEq, Eq)]
pub struct FirmwareFile {
    /// Its name in the zip.
    pub name: String,
    /// Its bytes; a slice of the archive where it was stored.
    pub bytes: Bytes,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

impl std::fmt::Debug for FirmwareFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "FirmwareFile({:?}, {} bytes, {})",
            self.name,
            self.bytes.len(),
            self.sha256
        )
    }
}

/// What an inner zip holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// One to five files, in the order of the zip.
    pub firmware: Vec<FirmwareFile>,
    /// The signed statement, where there is one.
    pub info: Option<PackageInfo>,
}

impl Payload {
    /// Reads an inner zip. It says nothing about who made it: [`super::verify()`] does.
    ///
    /// # Errors
    /// Where it is anything but one to five firmware files and at most one `package-info.json`.
    pub fn decode(zip: &Bytes, limits: &PackageLimits) -> Result<Self, PayloadError> {
        let archive = CheckedZip::decode(zip, limits.entries_max())?;
        if archive
            .entries
            .iter()
            .any(|entry| entry.name == Manifest::FILE_NAME)
        {
            return Err(PayloadError::AlreadySigned);
        }
        let (mut firmware, mut info) = (Vec::new(), None);
        let mut bytes_left = limits.firmware_bytes_max;
        for entry in &archive.entries {
            if entry.name == PackageInfo::FILE_NAME {
                let json = archive.read(entry, limits.info_bytes_max, limits)?;
                info = Some(PackageInfo::parse(&json)?);
                continue;
            }
            if entry.name.to_ascii_lowercase().ends_with(".zip") {
                return Err(PayloadError::NestedZip(entry.name.clone()));
            }
            let bytes = archive.read(entry, bytes_left, limits)?;
            if bytes.is_empty() {
                return Err(PayloadError::Empty(entry.name.clone()));
            }
            bytes_left -= entry.size_bytes;
            let sha256 = Sha256Digest(Sha256::digest(&bytes).into());
            firmware.push(FirmwareFile {
                name: entry.name.clone(),
                bytes,
                sha256,
            });
        }
        if firmware.is_empty() {
            return Err(PayloadError::NoFirmware);
        }
        if firmware.len() > limits.firmware_files_max {
            return Err(PayloadError::TooManyFiles {
                found: firmware.len(),
                max: limits.firmware_files_max,
            });
        }
        check_info(info.as_ref(), &firmware)?;
        Ok(Self { firmware, info })
    }
}

/// Makes the inner zip of one firmware file, and of its `package-info.json` where there is one.
/// Stored, so that the same input gives the same bytes with any version of any packer.
///
/// # Errors
/// Where [`Payload::decode`] would refuse what came out.
pub fn zip_firmware(
    file_name: &str,
    firmware: &[u8],
    info_json: Option<&[u8]>,
    limits: &PackageLimits,
) -> Result<Bytes, PayloadError> {
    if !is_file_name(file_name) {
        return Err(ZipError::Name(file_name.to_owned()).into());
    }
    let mut files = vec![(file_name, firmware)];
    files.extend(info_json.map(|json| (PackageInfo::FILE_NAME, json)));
    let zip = Bytes::from(zip::store(&files).ok_or(ZipError::Zip64)?);
    Payload::decode(&zip, limits)?;
    Ok(zip)
}

/// Where the statement names a digest, it is that of the only file.
fn check_info(info: Option<&PackageInfo>, firmware: &[FirmwareFile]) -> Result<(), PayloadError> {
    let Some(signed) = info.and_then(|info| info.sha256.as_deref()) else {
        return Ok(());
    };
    match firmware {
        [file] if file.sha256.to_string() == signed => Ok(()),
        _ => Err(PayloadError::InfoSha256),
    }
}
