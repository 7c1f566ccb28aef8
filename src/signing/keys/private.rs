//! The private key: only the offline commands ever hold one.

use std::fmt;

use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo};
use rand::{CryptoRng, RngCore};
use rsa::pkcs1::{self, DecodeRsaPrivateKey};
use rsa::pkcs8::EncodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::strength::{check_bits, modulus_bits};
use super::{KeyError, PublicKey, secp256k1};
use crate::model::Sha256Digest;
use crate::signing::passphrase::Passphrase;
use crate::signing::pem::{PEM_BYTES_MAX, PemKind, behind_parameters};

/// The modulus lengths that new keys may have.
pub const KEY_BITS: [usize; 3] = [2048, 3072, 4096];
/// The modulus length of a new key where none is asked for: the carriers' `RSA2048+SHA256`.
pub const KEY_BITS_DEFAULT: usize = 2048;
/// OWASP's figure for PBKDF2 with HMAC-SHA-256.
const PBKDF2_ITERATIONS: u32 = 600_000;

/// A private key, in the offline commands only. Wiped from memory when dropped.
pub struct PrivateKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    Rsa(Box<RsaPrivateKey>),
    Secp256k1(k256::SecretKey),
}

impl PrivateKey {
    /// Makes a new RSA key of `bits`, one of [`KEY_BITS`].
    ///
    /// # Errors
    /// [`KeyError::Bits`] for any other length.
    pub fn generate(bits: usize, rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, KeyError> {
        if !KEY_BITS.contains(&bits) {
            return Err(KeyError::Bits { bits });
        }
        Self::new(RsaPrivateKey::new(rng, bits).map_err(|_| KeyError::Encoding)?)
    }

    /// Makes a new key on secp256k1.
    ///
    /// # Errors
    /// [`KeyError::Encoding`]; does not happen.
    pub fn generate_secp256k1(rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, KeyError> {
        Self::on_secp256k1(secp256k1::generate(rng))
    }

    /// Reads encrypted or plain PKCS#8, plain PKCS#1, or plain SEC 1. A pass-phrase given for a key that is not
    /// encrypted is not used.
    ///
    /// # Errors
    /// Where it is no such key, a weak one, or does not open.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let text = behind_parameters(text.trim());
        match PemKind::of(text) {
            PemKind::EncryptedPkcs8 => {
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                Self::from_pkcs8_der(decrypt(text, passphrase)?.as_bytes())
            }
            PemKind::Pkcs8 => Self::from_pkcs8_der(secret_document(text)?.as_bytes()),
            PemKind::Pkcs1 => Self::from_pkcs1_der(secret_document(text)?.as_bytes()),
            PemKind::Sec1 => Self::from_sec1_der(secret_document(text)?.as_bytes()),
            PemKind::TraditionalEncrypted => Err(KeyError::UnsupportedEncryption),
            PemKind::OpenSsh => Err(KeyError::OpenSsh),
            PemKind::OtherPrivate => Err(KeyError::OtherForm),
            PemKind::Spki | PemKind::Pkcs1Public | PemKind::Certificate => {
                Err(KeyError::PublicKeyGiven)
            }
            PemKind::Other => Err(KeyError::NotPem),
        }
    }

    fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyError::NotAKey)?;
        if info.algorithm.oid == secp256k1::ALGORITHM_OID {
            secp256k1::check_curve(info.algorithm)?;
            return Self::from_sec1_der(info.private_key);
        }
        info.algorithm
            .assert_algorithm_oid(pkcs1::ALGORITHM_OID)
            .map_err(|_| KeyError::NotAKey)?;
        Self::from_pkcs1_der(info.private_key)
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let parts = pkcs1::RsaPrivateKey::try_from(der).map_err(|_| KeyError::NotAKey)?;
        check_bits(modulus_bits(parts.modulus.as_bytes()))?;
        Self::new(RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Inconsistent)?)
    }

    fn from_sec1_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::on_secp256k1(secp256k1::private_key(der)?)
    }

    fn new(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let public = PublicKey::new(key.to_public_key())?;
        let secret = Secret::Rsa(Box::new(key));
        Ok(Self { secret, public })
    }

    fn on_secp256k1(key: k256::SecretKey) -> Result<Self, KeyError> {
        let public = PublicKey::on_secp256k1(key.public_key().into())?;
        let secret = Secret::Secp256k1(key);
        Ok(Self { secret, public })
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Encrypted PKCS#8 in PEM: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC, which `openssl pkey`
    /// opens (its memory limit refuses the crate's default, scrypt). The salt and the initial vector
    /// come from `rng`.
    ///
    /// # Errors
    /// [`KeyError::Encoding`]; does not happen with a key that was read or made.
    pub fn to_encrypted_pem(
        &self,
        passphrase: &Passphrase,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Zeroizing<String>, KeyError> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut iv);
        let parameters = pbes2::Parameters::pbkdf2_sha256_aes256cbc(PBKDF2_ITERATIONS, &salt, &iv)
            .map_err(|_| KeyError::Encoding)?;
        let plain = match &self.secret {
            Secret::Rsa(key) => key.to_pkcs8_der().map_err(|_| KeyError::Encoding)?,
            Secret::Secp256k1(key) => secp256k1::private_key_der(key)?,
        };
        PrivateKeyInfo::try_from(plain.as_bytes())
            .and_then(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
            .and_then(|document| Ok(document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?))
            .map_err(|_| KeyError::Encoding)
    }

    /// Signs a SHA-256 digest with RSASSA-PKCS1-v1_5 or ECDSA (RFC 6979). The signature does not
    /// depend on `rng`, which only blinds the RSA operation against timing (RUSTSEC-2023-0071).
    pub(in crate::signing) fn sign(
        &self,
        digest: &Sha256Digest,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<u8>, KeyError> {
        match &self.secret {
            Secret::Rsa(key) => key
                .sign_with_rng(rng, Pkcs1v15Sign::new::<Sha256>(), &digest.0)
                .map_err(|_| KeyError::Inconsistent),
            Secret::Secp256k1(key) => secp256k1::sign(key, digest),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(.., {:?})", self.public)
    }
}

fn secret_document(pem: &str) -> Result<pkcs8::SecretDocument, KeyError> {
    let (_, der) = pkcs8::SecretDocument::from_pem(pem).map_err(|_| KeyError::NotAKey)?;
    Ok(der)
}

fn decrypt(text: &str, passphrase: &Passphrase) -> Result<pkcs8::SecretDocument, KeyError> {
    let der = secret_document(text)?;
    // Of a sound PEM text, the only part that is not understood is the encryption's algorithm.
    let info = EncryptedPrivateKeyInfo::try_from(der.as_bytes())
        .map_err(|_| KeyError::UnsupportedEncryption)?;
    info.decrypt(passphrase.as_bytes()).map_err(|error| {
        use pkcs8::pkcs5::Error::{
            AlgorithmParametersInvalid, NoPbes1CryptSupport, UnsupportedAlgorithm,
        };
        let unsupported = matches!(
            error,
            pkcs8::Error::EncryptedPrivateKey(
                NoPbes1CryptSupport
                    | UnsupportedAlgorithm { .. }
                    | AlgorithmParametersInvalid { .. }
            )
        );
        if unsupported {
            KeyError::UnsupportedEncryption
        } else {
            // One wrong pass-phrase in 256 leaves a padding that looks right, and then no DER.
            KeyError::WrongPassphrase
        }
    })
}
