//! The container `NAME_signed.zip`: three stored entries, to the byte.

use std::io::{Read, Seek, Write};
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::zip::{CheckedZip, StoredZip, ZipError};
use crate::model::Sha256Digest;

/// Why a file is not a signed package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error(transparent)]
    Zip(#[from] ZipError),
    #[error("it has no manifest.json, NAME.zip and NAME.zip.sig, in this order and nothing else")]
    Entries,
    #[error("its headers are not those of the signed format")]
    Headers,
    #[error("its manifest.json is not one: {0}")]
    Manifest(String),
}

/// The parts of a signed package. Nothing of it is verified yet.
#[derive(Debug)]
pub(super) struct SignedArchive {
    pub(super) manifest: Manifest,
    pub(super) manifest_json: Vec<u8>,
    pub(super) payload_name: String,
    /// Where in the file `NAME.zip` lies.
    pub(super) payload: Range<u64>,
    pub(super) payload_sha256: Sha256Digest,
    pub(super) signature: Vec<u8>,
}

impl SignedArchive {
    pub(super) fn decode(
        file: impl Read + Seek,
        limits: &PackageLimits,
    ) -> Result<Self, ArchiveError> {
        const ENTRIES: usize = 3;
        /// An RSA key of 4096 bits.
        const SIGNATURE_BYTES_MAX: u64 = 512;
        let archive = CheckedZip::decode(file, ENTRIES)?;
        let is_canonical = archive.is_canonical();
        let CheckedZip {
            entries,
            mut content,
        } = archive;
        let [manifest, payload, signature] = entries.as_slice() else {
            return Err(ArchiveError::Entries);
        };
        let names_fit = manifest.name == Manifest::FILE_NAME
            && payload.name.len() > ".zip".len()
            && payload.name.ends_with(".zip")
            && signature.name.strip_suffix(".sig") == Some(payload.name.as_str());
        if !names_fit {
            return Err(ArchiveError::Entries);
        }
        if !is_canonical {
            return Err(ArchiveError::Headers);
        }
        let manifest_max = limits.manifest_bytes_max as u64;
        let manifest_json = content.read(manifest, manifest_max, limits)?;
        let manifest = Manifest::decode(&manifest_json)
            .map_err(|error| ArchiveError::Manifest(error.to_string()))?;
        let mut payload_sha256 = Sha256::new();
        content.unpack(payload, limits.archive_bytes_max, limits, |chunk| {
            payload_sha256.update(chunk);
            Ok(())
        })?;
        Ok(Self {
            manifest,
            manifest_json,
            payload_name: payload.name.clone(),
            payload: payload.data.clone(),
            payload_sha256: Sha256Digest(payload_sha256.finalize().into()),
            signature: content.read(signature, SIGNATURE_BYTES_MAX, limits)?,
        })
    }

    /// Writes the file.
    pub(super) fn encode(
        file: impl Write + Seek,
        manifest: &[u8],
        payload_name: &str,
        payload: impl Read,
        signature: &[u8],
    ) -> Result<(), ZipError> {
        let mut zip = StoredZip::new(file, u64::MAX);
        zip.add(Manifest::FILE_NAME, manifest)?;
        zip.add(payload_name, payload)?;
        zip.add(&format!("{payload_name}.sig"), signature)?;
        zip.finish()
    }
}
