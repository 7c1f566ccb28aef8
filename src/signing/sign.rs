//! Making a signed package, offline.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use rand::{CryptoRng, RngCore};

use super::archive::SignedArchive;
use super::keys::{KeyError, PrivateKey};
use super::limits::PackageLimits;
use super::manifest::Manifest;
use super::payload::{Payload, PayloadError};
use super::verify::digest;
use super::zip::{IoFault, ZipError, is_file_name};

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
    /// Nothing is said of the package.
    #[error(transparent)]
    Io(#[from] IoFault),
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
    let mut signed = Cursor::new(Vec::new());
    sign_to(&mut signed, name, Cursor::new(zip), key, limits, rng)?;
    Ok(signed.into_inner())
}

/// The same, with the zip read and the package written in pieces: how much memory it takes does not
/// depend on their sizes. The zip is read several times, and must not change meanwhile.
///
/// # Errors
/// As [`sign`], or where reading or writing failed.
pub fn sign_to(
    signed: &mut (impl Write + Seek),
    name: &str,
    mut zip: impl Read + Seek,
    key: &PrivateKey,
    limits: &PackageLimits,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), SignError> {
    let payload_name = format!("{name}.zip");
    if name.is_empty() || !is_file_name(&format!("{payload_name}.sig")) {
        return Err(SignError::Name(name.to_owned()));
    }
    Payload::decode(&mut zip, limits, &mut io::sink())?;
    let sha256 = digest(&mut zip)?;
    let size_bytes = zip.seek(SeekFrom::End(0))?;
    let manifest = Manifest::new(&payload_name, size_bytes, &sha256, key.public_key());
    let manifest = manifest.encode().map_err(|_| SignError::TooLarge)?;
    let signature = key.sign(&sha256, rng)?;
    zip.rewind()?;
    SignedArchive::encode(signed, &manifest, &payload_name, &mut zip, &signature)?;
    Ok(())
}

impl From<io::Error> for SignError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.into())
    }
}

impl From<ZipError> for SignError {
    fn from(error: ZipError) -> Self {
        if let ZipError::Io(fault) = error {
            return Self::Io(fault);
        }
        Self::TooLarge
    }
}
