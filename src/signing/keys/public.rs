//! A manufacturer's public key.

use std::fmt;

use pkcs8::{LineEnding, SubjectPublicKeyInfoRef};
use rsa::pkcs1::{self, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256};

use super::KeyError;
use super::strength::{check_strength, modulus_bits};
use crate::model::Sha256Digest;
use crate::signing::pem::{self, PEM_BYTES_MAX, PemKind};

/// A manufacturer's RSA public key that passed all checks: 2048 to 4096 bits, exponent 65537.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: RsaPublicKey,
    id: Sha256Digest,
}

impl PublicKey {
    /// Reads an SPKI (`PUBLIC KEY`) or PKCS#1 (`RSA PUBLIC KEY`) PEM text.
    ///
    /// # Errors
    /// Where it is no such key, or a weak one; a private key is told apart and not looked into.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if pem::holds_private_key(text) {
            return Err(KeyError::PrivateKeyGiven);
        }
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let text = text.trim();
        match PemKind::of(text) {
            PemKind::Spki => {
                let (_, der) = pkcs8::Document::from_pem(text).map_err(|_| KeyError::NotRsa)?;
                check_spki_size(der.as_bytes())?;
                let key = RsaPublicKey::from_public_key_der(der.as_bytes());
                Self::new(key.map_err(|_| KeyError::NotRsa)?)
            }
            PemKind::Pkcs1Public => {
                let (_, der) = pkcs8::Document::from_pem(text).map_err(|_| KeyError::NotRsa)?;
                check_size(der.as_bytes())?;
                let key = RsaPublicKey::from_pkcs1_der(der.as_bytes());
                Self::new(key.map_err(|_| KeyError::NotRsa)?)
            }
            PemKind::Certificate => Err(KeyError::CertificateGiven),
            PemKind::EncryptedPkcs8
            | PemKind::Pkcs8
            | PemKind::Pkcs1
            | PemKind::TraditionalEncrypted
            | PemKind::OtherPrivate => Err(KeyError::PrivateKeyGiven),
            PemKind::Other => Err(KeyError::NotPem),
        }
    }

    pub(super) fn new(key: RsaPublicKey) -> Result<Self, KeyError> {
        check_strength(key.n().bits(), key.e() == &rsa::BigUint::from(65537_u32))?;
        let spki = key.to_public_key_der().map_err(|_| KeyError::Encoding)?;
        let id = Sha256Digest(Sha256::digest(spki.as_bytes()).into());
        Ok(Self { key, id })
    }

    /// The key's id: SHA-256 of its SPKI in DER.
    pub fn id(&self) -> Sha256Digest {
        self.id
    }

    /// Length of the modulus, in bits.
    pub fn bits(&self) -> usize {
        self.key.n().bits()
    }

    /// Length of a signature by this key, in bytes.
    pub fn signature_size_bytes(&self) -> usize {
        self.key.size()
    }

    /// SPKI in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`KeyError::Encoding`]; does not happen with a key that was read.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.key
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| KeyError::Encoding)
    }

    /// Whether `signature` is this key's RSASSA-PKCS1-v1_5 signature over a SHA-256 digest: the whole
    /// encoded message is compared (RFC 8017 §8.2.2).
    pub(in crate::signing) fn holds(&self, digest: &Sha256Digest, signature: &[u8]) -> bool {
        signature.len() == self.key.size()
            && self
                .key
                .verify(Pkcs1v15Sign::new::<Sha256>(), &digest.0, signature)
                .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {} bits)", self.id, self.bits())
    }
}

/// Tells a key of a wrong size before `rsa` refuses it without saying why.
fn check_spki_size(der: &[u8]) -> Result<(), KeyError> {
    let spki = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::NotRsa)?;
    check_size(spki.subject_public_key.as_bytes().ok_or(KeyError::NotRsa)?)
}

fn check_size(pkcs1_der: &[u8]) -> Result<(), KeyError> {
    let parts = pkcs1::RsaPublicKey::try_from(pkcs1_der).map_err(|_| KeyError::NotRsa)?;
    check_strength(
        modulus_bits(parts.modulus.as_bytes()),
        parts.public_exponent.as_bytes() == [1, 0, 1],
    )
}
