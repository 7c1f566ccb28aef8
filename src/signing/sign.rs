//! Making a signed package, offline.

use std::io::{self, Cursor};

use bytes::Bytes;
use rand::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};

use super::archive::SignedArchive;
use super::keys::{KeyError, PrivateKey};
use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::payload::{Payload, PayloadError};
use super::zip::is_file_name;
use crate::model::Sha256Digest;

/// Why a package was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A name that could not stand in the archive.
    #[error(
        "{0:?} is not an accepted package name: 1 to 120 of A-Z a-z 0-9 . _ - and no leading dot; \
         rename the file"
    )]
    Name(String),
    /// What would be refused on upload is not signed.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The key cannot sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// More than 4 GiB.
    #[error("the package is too large for the zip format")]
    TooLarge,
}

/// Signs the bytes of `NAME.zip` (`name` is `NAME`) and returns those of `NAME_signed.zip`. The same
/// key and zip give the same bytes, whatever `rng` gives.
///
/// # Errors
/// Where the name or the zip would be refused on upload, or the key cannot sign.
pub fn sign(
    name: &str,
    zip: &Bytes,
    key: &PrivateKey,
    limits: &PackageLimits,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, SignError> {
    let payload_name = format!("{name}.zip");
    if name.is_empty() || !is_file_name(&format!("{payload_name}.sig")) {
        return Err(SignError::Name(name.to_owned()));
    }
    Payload::decode(Cursor::new(zip), limits, &mut io::sink())?;
    let sha256 = Sha256Digest(Sha256::digest(zip).into());
    let manifest = Manifest::new(&payload_name, zip.len() as u64, &sha256, key.public_key());
    let manifest = manifest.encode().map_err(|_| SignError::TooLarge)?;
    let signature = key.sign(&sha256, rng)?;
    SignedArchive::encode(&manifest, &payload_name, zip, &signature).ok_or(SignError::TooLarge)
}
