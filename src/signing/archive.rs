//! The container `NAME_signed.zip`: three stored entries, to the byte.

use bytes::Bytes;

use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::zip::{self, CheckedZip, ZipError};

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
    pub(super) payload_name: String,
    pub(super) payload: Bytes,
    pub(super) signature: Bytes,
}

impl SignedArchive {
    pub(super) fn decode(bytes: &Bytes, limits: &PackageLimits) -> Result<Self, ArchiveError> {
        const ENTRIES: usize = 3;
        /// An RSA key of 4096 bits.
        const SIGNATURE_BYTES_MAX: u64 = 512;
        let archive = CheckedZip::decode(bytes, ENTRIES)?;
        let [manifest, payload, signature] = archive.entries.as_slice() else {
            return Err(ArchiveError::Entries);
        };
        let names_fit = manifest.name == Manifest::FILE_NAME
            && payload.name.len() > ".zip".len()
            && payload.name.ends_with(".zip")
            && signature.name.strip_suffix(".sig") == Some(payload.name.as_str());
        if !names_fit {
            return Err(ArchiveError::Entries);
        }
        if !archive.is_canonical() {
            return Err(ArchiveError::Headers);
        }
        let manifest_max = limits.manifest_bytes_max as u64;
        let manifest = archive.read(manifest, manifest_max, limits)?;
        Ok(Self {
            manifest: Manifest::decode(&manifest)
                .map_err(|error| ArchiveError::Manifest(error.to_string()))?,
            payload_name: payload.name.clone(),
            payload: archive.read(payload, limits.archive_bytes_max, limits)?,
            signature: archive.read(signature, SIGNATURE_BYTES_MAX, limits)?,
        })
    }

    /// The file's bytes; `None` where they would not fit the zip format.
    pub(super) fn encode(
        manifest: &[u8],
        payload_name: &str,
        payload: &[u8],
        signature: &[u8],
    ) -> Option<Vec<u8>> {
        zip::store(&[
            (Manifest::FILE_NAME, manifest),
            (payload_name, payload),
            (&format!("{payload_name}.sig"), signature),
        ])
    }
}
