//! Firmware that nobody has signed, read within the same bounds as what is signed.

use std::io::{self, Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use super::limits::PackageLimits;
use super::payload::{FirmwareFile, FirmwareSink, Payload, PayloadError, check_name};
use super::zip::{ZipError, is_file_name};
use crate::model::Sha256Digest;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads a `.zip` of firmware files, or any other firmware file as it stands, and writes them to
/// `firmware`. Nobody vouches for it, nor for what a `package-info.json` in it says.
///
/// # Errors
/// Where it would be refused inside a signed package too. What was written is nothing then.
pub fn read_unsigned(
    file_name: &str,
    mut file: impl Read + Seek,
    limits: &PackageLimits,
    firmware: &mut dyn FirmwareSink,
) -> Result<Payload, PayloadError> {
    if !is_file_name(file_name) {
        return Err(ZipError::Name(file_name.to_owned()).into());
    }
    check_name(file_name)?;
    if file_name.to_ascii_lowercase().ends_with(".zip") {
        return Payload::decode(file, limits, firmware);
    }
    let size_bytes = file.seek(SeekFrom::End(0)).map_err(ZipError::from)?;
    if size_bytes == 0 {
        return Err(PayloadError::Empty(file_name.to_owned()));
    }
    if size_bytes > limits.firmware_bytes_max {
        return Err(PayloadError::Zip(ZipError::TooLarge {
            name: file_name.to_owned(),
            size_bytes,
            max_bytes: limits.firmware_bytes_max,
        }));
    }
    let sha256 = copy(file, firmware).map_err(ZipError::from)?;
    Ok(Payload {
        firmware: vec![FirmwareFile {
            name: file_name.to_owned(),
            size_bytes,
            sha256,
        }],
        info: None,
    })
}

fn copy(mut file: impl Read + Seek, firmware: &mut dyn FirmwareSink) -> io::Result<Sha256Digest> {
    file.rewind()?;
    firmware.begin_file()?;
    let mut sha256 = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(Sha256Digest(sha256.finalize().into()));
        }
        sha256.update(&chunk[..count]);
        firmware.write_chunk(&chunk[..count])?;
    }
}
