//! What a package says of itself, read without a key: nothing of it is verified.

use std::io::{self, Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use super::archive::SignedArchive;
use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::payload::Payload;
use super::verify::{VerifyError, check_size, digest};
use super::zip::Section;
use crate::model::Sha256Digest;

/// One file of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEntry {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

/// What is in a package, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// `manifest.json`, `NAME.zip` and `NAME.zip.sig`.
    pub entries: [ContainerEntry; 3],
    /// The fields of `manifest.json`. Those about `NAME.zip` are so; `algorithm` and `keyId` are what
    /// it says.
    pub manifest: serde_json::Value,
    /// The firmware files, and the statement about them.
    pub payload: Payload,
    /// SHA-256 of the whole file.
    pub archive_sha256: Sha256Digest,
}

/// Reads a package as [`super::verify()`] does, but for its signature. For the eyes of a person at the
/// offline command: only there is an inner zip opened that nobody vouches for.
///
/// # Errors
/// What [`super::verify()`] would refuse with any key.
pub fn inspect(
    mut archive: impl Read + Seek,
    limits: &PackageLimits,
) -> Result<Inspection, VerifyError> {
    check_size(archive.seek(SeekFrom::End(0))?, limits)?;
    let signed = SignedArchive::decode(&mut archive, limits)?;
    let name = &signed.payload_name;
    let size_bytes = signed.payload.end - signed.payload.start;
    let sha256 = signed.payload_sha256;
    let mut actual = Manifest::unsigned(name, size_bytes, &sha256);
    actual.algorithm.clone_from(&signed.manifest.algorithm);
    actual.key_id.clone_from(&signed.manifest.key_id);
    if let Some(field) = signed.manifest.mismatch(&actual) {
        return Err(VerifyError::ManifestMismatch(field));
    }
    let entries = [
        entry(Manifest::FILE_NAME, &signed.manifest_json),
        ContainerEntry {
            name: name.clone(),
            size_bytes,
            sha256,
        },
        entry(&format!("{name}.sig"), &signed.signature),
    ];
    let inner_zip = Section::new(&mut archive, signed.payload);
    let payload = Payload::decode(inner_zip, limits, &mut io::sink())?;
    let manifest = serde_json::to_value(&signed.manifest)
        .map_err(|error| VerifyError::Manifest(error.to_string()))?;
    Ok(Inspection {
        entries,
        manifest,
        payload,
        archive_sha256: digest(&mut archive)?,
    })
}

fn entry(name: &str, content: &[u8]) -> ContainerEntry {
    ContainerEntry {
        name: name.to_owned(),
        size_bytes: content.len() as u64,
        sha256: Sha256Digest(Sha256::digest(content).into()),
    }
}
