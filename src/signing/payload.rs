//! The inner `NAME.zip`: the firmware files, and what the signer says of them.

use std::collections::BTreeSet;
use std::io::{self, Cursor, Read, Seek, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::firmware_name::{FIRMWARE_EXTENSIONS, FIRMWARE_NAME_BYTES_MAX, firmware_stem};
use super::info::{InfoError, PackageInfo};
use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::zip::{CheckedZip, StoredZip, ZipError, is_file_name};
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
    /// No kind of file that modules or MCUs take.
    #[error("{0:?} is no firmware file: its name must end with one of {extensions}", extensions = FIRMWARE_EXTENSIONS.join(" "))]
    Kind(String),
    /// A name that some modules cannot ask for.
    #[error(
        "the name {0:?} has more than {FIRMWARE_NAME_BYTES_MAX} bytes, which is all that modules ask \
         for: rename the file"
    )]
    NameTooLong(String),
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

/// Where the firmware files of a package go, one after the other. What takes plain bytes takes them one
/// behind the other.
pub trait FirmwareSink {
    /// The next file begins.
    ///
    /// # Errors
    /// Where there is no place for it.
    fn begin_file(&mut self) -> io::Result<()>;

    /// More bytes of the file that began last.
    ///
    /// # Errors
    /// Where they cannot be written.
    fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<()>;
}

impl<W: Write> FirmwareSink for W {
    fn begin_file(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write_chunk(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.write_all(chunk)
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
    /// Reads an inner zip, and writes its firmware files to `firmware`, in the order of the zip. It says
    /// nothing about who made it: [`super::verify()`] does.
    ///
    /// # Errors
    /// Where it is anything but one to five firmware files and at most one `package-info.json`. What
    /// was written is nothing then.
    pub fn decode(
        zip: impl Read + Seek,
        limits: &PackageLimits,
        firmware: &mut dyn FirmwareSink,
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
            check_name(&entry.name)?;
            let mut sha256 = Sha256::new();
            firmware.begin_file().map_err(ZipError::from)?;
            content.unpack(entry, bytes_left, limits, |chunk| {
                sha256.update(chunk);
                firmware.write_chunk(chunk)
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
    mut firmware: &[u8],
    info_json: Option<&[u8]>,
    limits: &PackageLimits,
) -> Result<Bytes, PayloadError> {
    let mut zip = Cursor::new(Vec::new());
    zip_firmware_to(
        &mut zip,
        vec![(file_name, &mut firmware)],
        info_json,
        limits,
    )?;
    Ok(zip.into_inner().into())
}

/// The same of one to five files, in this order, written to `zip`. They are read in pieces: how much
/// memory it takes does not depend on their sizes.
///
/// # Errors
/// Where [`Payload::decode`] would refuse what came out, or reading or writing failed.
pub fn zip_firmware_to(
    zip: &mut (impl Read + Write + Seek),
    files: Vec<(&str, &mut dyn Read)>,
    info_json: Option<&[u8]>,
    limits: &PackageLimits,
) -> Result<(), PayloadError> {
    let mut names = BTreeSet::new();
    for (name, _) in &files {
        if !is_file_name(name) {
            return Err(ZipError::Name((*name).to_owned()).into());
        }
        check_name(name)?;
        if !names.insert(*name) {
            return Err(ZipError::Duplicate((*name).to_owned()).into());
        }
    }
    // One byte more than is accepted shows that there is too much.
    let bytes_max = limits.firmware_bytes_max + limits.info_bytes_max + 1;
    let mut writer = StoredZip::new(&mut *zip, bytes_max);
    for (name, content) in files {
        writer.add(name, content)?;
    }
    if let Some(json) = info_json {
        writer.add(PackageInfo::FILE_NAME, json)?;
    }
    writer.finish()?;
    Payload::decode(zip, limits, &mut io::sink())?;
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), PayloadError> {
    if firmware_stem(name).is_none() {
        return Err(PayloadError::Kind(name.to_owned()));
    }
    if name.len() > FIRMWARE_NAME_BYTES_MAX {
        return Err(PayloadError::NameTooLong(name.to_owned()));
    }
    Ok(())
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
