//! The inner `NAME.zip`: the firmware files, and what the signer says of them.

use std::io::{self, Cursor, Read, Seek, Write};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareFile {
    /// Its name in the zip.
    pub name: String,
    /// Its size in bytes, unpacked.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
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
    /// Reads an inner zip, and writes its firmware files to `firmware`, one behind the other. It says
    /// nothing about who made it: [`super::verify()`] does.
    ///
    /// # Errors
    /// Where it is anything but one to five firmware files and at most one `package-info.json`. What
    /// was written is nothing then.
    pub fn decode(
        zip: impl Read + Seek,
        limits: &PackageLimits,
        firmware: &mut dyn Write,
    ) -> Result<Self, PayloadError> {
        let CheckedZip {
            entries,
            mut content,
        } = CheckedZip::decode(zip, limits.entries_max())?;
        if entries
            .iter()
            .any(|entry| entry.name == Manifest::FILE_NAME)
        {
            return Err(PayloadError::AlreadySigned);
        }
        let (mut files, mut info) = (Vec::new(), None);
        let mut bytes_left = limits.firmware_bytes_max;
        for entry in &entries {
            if entry.name == PackageInfo::FILE_NAME {
                let json = content.read(entry, limits.info_bytes_max, limits)?;
                info = Some(PackageInfo::parse(&json)?);
                continue;
            }
            if entry.name.to_ascii_lowercase().ends_with(".zip") {
                return Err(PayloadError::NestedZip(entry.name.clone()));
            }
            let mut sha256 = Sha256::new();
            content.unpack(entry, bytes_left, limits, |chunk| {
                sha256.update(chunk);
                firmware.write_all(chunk)
            })?;
            if entry.size_bytes == 0 {
                return Err(PayloadError::Empty(entry.name.clone()));
            }
            bytes_left -= entry.size_bytes;
            files.push(FirmwareFile {
                name: entry.name.clone(),
                size_bytes: entry.size_bytes,
                sha256: Sha256Digest(sha256.finalize().into()),
            });
        }
        if files.is_empty() {
            return Err(PayloadError::NoFirmware);
        }
        if files.len() > limits.firmware_files_max {
            return Err(PayloadError::TooManyFiles {
                found: files.len(),
                max: limits.firmware_files_max,
            });
        }
        check_info(info.as_ref(), &files)?;
        Ok(Self {
            firmware: files,
            info,
        })
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
    Payload::decode(Cursor::new(&zip), limits, &mut io::sink())?;
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
