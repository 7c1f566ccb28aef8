//! Verification of a signed package: signature first, content afterwards.

use std::io::{self, Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use super::archive::{ArchiveError, SignedArchive};
use super::info::PackageInfo;
use super::keys::PublicKey;
use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::payload::{FirmwareFile, FirmwareSink, Payload, PayloadError};
use super::zip::{IoFault, Section, ZipError};
use crate::model::Sha256Digest;

/// Why a package is not accepted, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The whole file is too large.
    #[error("the file has {size_bytes} bytes, and {max_bytes} are accepted")]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The container is broken.
    #[error("this is not a signed package: {0}; sign the zip with `narrowcast sign`")]
    Zip(ZipError),
    /// A zip, but not of three entries with the right names.
    #[error(
        "this is not a signed package: manifest.json, NAME.zip and NAME.zip.sig are expected, in \
         this order and nothing else; sign the zip with `narrowcast sign`"
    )]
    NotSigned,
    /// The container's headers were touched, or another tool wrote them.
    #[error(
        "the package was packed again or changed after signing: take the file that `narrowcast \
         sign` wrote"
    )]
    Repacked,
    /// `manifest.json` is not one of ours.
    #[error("manifest.json cannot be read ({0}): sign the zip again")]
    Manifest(String),
    /// `manifest.json` says something that is not so.
    #[error("`{0}` in manifest.json is not what the package holds: it was changed after signing")]
    ManifestMismatch(&'static str),
    /// Nothing to verify with.
    #[error("there is no public key to verify with: enter the manufacturer's public key first")]
    NoKey,
    /// None of the keys is the one it names, and none holds.
    #[error(
        "it was signed with the key {key_id}, which is not among the manufacturer's keys: enter \
         that public key, or sign with a known one"
    )]
    UnknownKey {
        /// What the manifest names; the first 64 characters.
        key_id: String,
    },
    /// The signature has not the key's length.
    #[error("the signature has {found} bytes, and the key makes {expected}: sign the zip again")]
    SignatureLength {
        /// Bytes found.
        found: usize,
        /// Bytes of a signature by that key.
        expected: usize,
    },
    /// The signature does not hold.
    #[error(
        "the signature by the key {key_id} does not hold: the content was changed after signing, \
         or another key signed it"
    )]
    BadSignature {
        /// The key it should be from.
        key_id: Sha256Digest,
    },
    /// The signature holds, but what was signed cannot be used.
    #[error(transparent)]
    Payload(PayloadError),
    /// Not the package's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
}

impl VerifyError {
    /// A stable word for this reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "package_too_large",
            Self::Zip(_) | Self::NotSigned => "package_not_signed",
            Self::Repacked => "package_repacked",
            Self::Manifest(_) | Self::ManifestMismatch(_) => "package_manifest",
            Self::NoKey => "package_no_key",
            Self::UnknownKey { .. } => "package_unknown_key",
            Self::SignatureLength { .. } | Self::BadSignature { .. } => "package_bad_signature",
            Self::Payload(PayloadError::Info(_) | PayloadError::InfoSha256) => "package_info",
            Self::Payload(_) => "package_content",
            Self::Io(_) => "package_io",
        }
    }
}

impl From<ArchiveError> for VerifyError {
    fn from(error: ArchiveError) -> Self {
        match error {
            // All was in its place but the content.
            ArchiveError::Zip(ZipError::Damaged(_)) | ArchiveError::Headers => Self::Repacked,
            ArchiveError::Zip(ZipError::Io(fault)) => Self::Io(fault),
            ArchiveError::Zip(error) => Self::Zip(error),
            ArchiveError::Entries => Self::NotSigned,
            ArchiveError::Manifest(error) => Self::Manifest(error),
        }
    }
}

impl From<PayloadError> for VerifyError {
    fn from(error: PayloadError) -> Self {
        if let PayloadError::Zip(ZipError::Io(fault)) = error {
            return Self::Io(fault);
        }
        Self::Payload(error)
    }
}

impl From<io::Error> for VerifyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.into())
    }
}

/// A package whose signature holds and whose content was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPackage {
    /// The key that verified it.
    pub key_id: Sha256Digest,
    /// `NAME.zip`.
    pub inner_zip_name: String,
    /// One to five files.
    pub firmware: Vec<FirmwareFile>,
    /// The signed statement, where there is one.
    pub info: Option<PackageInfo>,
    /// SHA-256 of the whole signed file.
    pub archive_sha256: Sha256Digest,
}

/// Verifies a signed package with the keys of its manufacturer, and writes its firmware files to
/// `firmware`, in the order of the inner zip. The manifest's key id only says which key to try first; the
/// algorithm is the key's. The inner zip is parsed only once the signature held.
///
/// How much memory it takes does not depend on the package's size: `archive` is read several times, in
/// pieces, and must not change meanwhile.
///
/// # Errors
/// The first reason not to accept it. What was written to `firmware` is nothing then.
pub fn verify(
    mut archive: impl Read + Seek,
    candidates: &[PublicKey],
    limits: &PackageLimits,
    firmware: &mut dyn FirmwareSink,
) -> Result<VerifiedPackage, VerifyError> {
    check_size(archive.seek(SeekFrom::End(0))?, limits)?;
    let signed = SignedArchive::decode(&mut archive, limits)?;
    let sha256 = signed.payload_sha256;
    let key = verifying_key(&signed, &sha256, candidates)?;

    let size_bytes = signed.payload.end - signed.payload.start;
    let name = &signed.payload_name;
    let actual = Manifest::new(name, size_bytes, &sha256, key);
    if let Some(field) = signed.manifest.mismatch(&actual) {
        return Err(VerifyError::ManifestMismatch(field));
    }
    let inner_zip = Section::new(&mut archive, signed.payload);
    let payload = Payload::decode(inner_zip, limits, firmware)?;
    Ok(VerifiedPackage {
        key_id: key.id(),
        inner_zip_name: signed.payload_name,
        firmware: payload.firmware,
        info: payload.info,
        archive_sha256: digest(&mut archive)?,
    })
}

pub(super) fn check_size(size_bytes: u64, limits: &PackageLimits) -> Result<(), VerifyError> {
    let max_bytes = limits.archive_bytes_max;
    if size_bytes > max_bytes {
        return Err(VerifyError::TooLarge {
            size_bytes,
            max_bytes,
        });
    }
    Ok(())
}

/// The SHA-256 of a whole file.
pub(super) fn digest(file: &mut (impl Read + Seek)) -> io::Result<Sha256Digest> {
    let mut sha256 = Sha256::new();
    file.rewind()?;
    io::copy(file, &mut sha256)?;
    Ok(Sha256Digest(sha256.finalize().into()))
}

fn verifying_key<'a>(
    signed: &SignedArchive,
    sha256: &Sha256Digest,
    candidates: &'a [PublicKey],
) -> Result<&'a PublicKey, VerifyError> {
    let named = &signed.manifest.key_id;
    let hinted = candidates.iter().find(|key| key.id().to_string() == *named);
    let holding = hinted
        .into_iter()
        .chain(candidates)
        .find(|key| key.holds(sha256, &signed.signature));
    if let Some(key) = holding {
        return Ok(key);
    }
    if candidates.is_empty() {
        return Err(VerifyError::NoKey);
    }
    let Some(key) = hinted else {
        let key_id = named.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(VerifyError::UnknownKey { key_id });
    };
    let found = signed.signature.len();
    if let Some(expected) = key.signature_size_bytes()
        && found != expected
    {
        return Err(VerifyError::SignatureLength { found, expected });
    }
    Err(VerifyError::BadSignature { key_id: key.id() })
}
