//! A signed package, by a fresh key.

use rand::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};

use crate::model::Sha256Digest;
use crate::signing::{
    KEY_BITS_DEFAULT, KeyError, PackageLimits, PayloadError, PrivateKey, SignError, sign,
    zip_firmware,
};

/// Why none was made.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No archive.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// No signature.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What a manufacturer hands to an operator.
#[derive(Debug)]
pub struct FreshPackage {
    /// The public key.
    pub public_key_pem: String,
    /// `firmware_signed.zip`.
    pub archive: Vec<u8>,
    /// Of the firmware file in it.
    pub image_sha256: Sha256Digest,
}

impl FreshPackage {
    /// Makes one of an image. It takes a second or more: not for a task that
    /// must not wait.
    ///
    /// # Errors
    /// Where the image is larger than a package may be.
    pub fn make(image: &[u8], rng: &mut (impl RngCore + CryptoRng)) -> Result<Self, PackageError> {
        let key = PrivateKey::generate(KEY_BITS_DEFAULT, rng)?;
        let limits = PackageLimits::default();
        let inner = zip_firmware("firmware.bin", image, None, &limits)?;
        Ok(Self {
            public_key_pem: key.public_key().to_pem()?,
            archive: sign("firmware", &inner, &key, &limits, rng)?,
            image_sha256: Sha256Digest(Sha256::digest(image).into()),
        })
    }
}
