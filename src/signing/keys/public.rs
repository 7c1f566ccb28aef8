//! A manufacturer's public key.

use std::fmt;

use k256::ecdsa::VerifyingKey;
use pkcs8::{LineEnding, SubjectPublicKeyInfoRef};
use rsa::pkcs1::{self, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256};

use super::strength::{check_strength, modulus_bits};
use super::{KeyAlgorithm, KeyError, secp256k1};
use crate::model::Sha256Digest;
use crate::signing::pem::{self, PEM_BYTES_MAX, PemKind};

/// A manufacturer's public key that passed all checks: RSA of 2048 to 4096 bits with exponent 65537, or
/// ECDSA on secp256k1.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    numbers: Numbers,
    id: Sha256Digest,
}

#[derive(Clone, PartialEq, Eq)]
enum Numbers {
    Rsa(RsaPublicKey),
    Secp256k1(VerifyingKey),
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
        if text.matches("-----BEGIN ").count() > 1 {
            return Err(KeyError::Several);
        }
        match PemKind::of(text) {
            PemKind::Spki => {
                let (_, der) = pkcs8::Document::from_pem(text).map_err(|_| KeyError::NotAKey)?;
                Self::from_spki_der(der.as_bytes())
            }
            PemKind::Pkcs1Public => {
                let (_, der) = pkcs8::Document::from_pem(text).map_err(|_| KeyError::NotAKey)?;
                check_size(der.as_bytes())?;
                let key = RsaPublicKey::from_pkcs1_der(der.as_bytes());
                Self::new(key.map_err(|_| KeyError::NotAKey)?)
            }
            PemKind::Certificate => Err(KeyError::CertificateGiven),
            PemKind::EncryptedPkcs8
            | PemKind::Pkcs8
            | PemKind::Pkcs1
            | PemKind::Sec1
            | PemKind::TraditionalEncrypted
            | PemKind::OpenSsh
            | PemKind::OtherPrivate => Err(KeyError::PrivateKeyGiven),
            PemKind::Other => Err(KeyError::NotPem),
        }
    }

    fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::NotAKey)?;
        let bits = spki.subject_public_key.as_bytes();
        let bits = bits.ok_or(KeyError::NotAKey)?;
        if spki.algorithm.oid == secp256k1::ALGORITHM_OID {
            secp256k1::check_curve(spki.algorithm)?;
            return Self::on_secp256k1(secp256k1::public_key(bits)?);
        }
        // Tells a key of a wrong size before `rsa` refuses it without saying why.
        check_size(bits)?;
        let key = RsaPublicKey::from_public_key_der(der);
        Self::new(key.map_err(|_| KeyError::NotAKey)?)
    }

    pub(super) fn on_secp256k1(key: VerifyingKey) -> Result<Self, KeyError> {
        let spki = secp256k1::public_key_der(&key)?;
        let id = Sha256Digest(Sha256::digest(spki.as_bytes()).into());
        let numbers = Numbers::Secp256k1(key);
        Ok(Self { numbers, id })
    }

    pub(super) fn new(key: RsaPublicKey) -> Result<Self, KeyError> {
        check_strength(key.n().bits(), key.e() == &rsa::BigUint::from(65537_u32))?;
        let spki = key.to_public_key_der().map_err(|_| KeyError::Encoding)?;
        let id = Sha256Digest(Sha256::digest(spki.as_bytes()).into());
        let numbers = Numbers::Rsa(key);
        Ok(Self { numbers, id })
    }

    /// The key's id: SHA-256 of its SPKI in DER.
    pub fn id(&self) -> Sha256Digest {
        self.id
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> KeyAlgorithm {
        match self.numbers {
            Numbers::Rsa(_) => KeyAlgorithm::Rsa,
            Numbers::Secp256k1(_) => KeyAlgorithm::EcdsaSecp256k1,
        }
    }

    /// Length of the modulus, or of the curve's order, in bits.
    pub fn bits(&self) -> usize {
        match &self.numbers {
            Numbers::Rsa(key) => key.n().bits(),
            Numbers::Secp256k1(_) => secp256k1::BITS,
        }
    }

    /// What the carriers call a signature by this key: `RSA2048+SHA256`, `ECDSA_256K1+SHA256`.
    pub fn signature_algorithm(&self) -> String {
        let word = self.algorithm().word();
        match self.algorithm() {
            KeyAlgorithm::Rsa => format!("{word}{}+SHA256", self.bits()),
            KeyAlgorithm::EcdsaSecp256k1 => format!("{word}+SHA256"),
        }
    }

    /// Length of a signature by this key, in bytes; `None` where it differs from one to the next.
    pub fn signature_size_bytes(&self) -> Option<usize> {
        match &self.numbers {
            Numbers::Rsa(key) => Some(key.size()),
            Numbers::Secp256k1(_) => None,
        }
    }

    /// SPKI in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`KeyError::Encoding`]; does not happen with a key that was read.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        match &self.numbers {
            Numbers::Rsa(key) => key
                .to_public_key_pem(LineEnding::LF)
                .map_err(|_| KeyError::Encoding),
            Numbers::Secp256k1(key) => secp256k1::public_key_der(key)?
                .to_pem("PUBLIC KEY", LineEnding::LF)
                .map_err(|_| KeyError::Encoding),
        }
    }

    /// Whether `signature` is this key's signature over a SHA-256 digest. Of RSASSA-PKCS1-v1_5 the
    /// whole encoded message is compared (RFC 8017 §8.2.2).
    pub(in crate::signing) fn holds(&self, digest: &Sha256Digest, signature: &[u8]) -> bool {
        match &self.numbers {
            Numbers::Rsa(key) => {
                signature.len() == key.size()
                    && key
                        .verify(Pkcs1v15Sign::new::<Sha256>(), &digest.0, signature)
                        .is_ok()
            }
            Numbers::Secp256k1(key) => secp256k1::holds(key, digest, signature),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.id, self.signature_algorithm())
    }
}

fn check_size(pkcs1_der: &[u8]) -> Result<(), KeyError> {
    let parts = pkcs1::RsaPublicKey::try_from(pkcs1_der).map_err(|_| KeyError::NotAKey)?;
    check_strength(
        modulus_bits(parts.modulus.as_bytes()),
        parts.public_exponent.as_bytes() == [1, 0, 1],
    )
}
