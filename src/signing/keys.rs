//! RSA key pairs: made and used offline, public halves checked by the server.

use std::fmt;

use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SubjectPublicKeyInfoRef};
use rand::{CryptoRng, RngCore};
use rsa::pkcs1::{self, DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::pem::{self, PEM_BYTES_MAX, PemKind};
use crate::model::Sha256Digest;

/// The modulus lengths that new keys may have.
pub const KEY_BITS: [usize; 3] = [2048, 3072, 4096];
/// The modulus length of a new key where none is asked for: the carriers' `RSA2048+SHA256`.
pub const KEY_BITS_DEFAULT: usize = 2048;
/// OWASP's figure for PBKDF2 with HMAC-SHA-256.
const PBKDF2_ITERATIONS: u32 = 600_000;

/// Why a key cannot be used. No text of a key is ever in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A public key was wanted.
    #[error(
        "this holds a private key, which must never leave its owner: give the public key \
         (public.pem); if this one went to other hands, make a new pair"
    )]
    PrivateKeyGiven,
    /// A private key was wanted.
    #[error("this is a public key or a certificate: give the private key (private.pem)")]
    PublicKeyGiven,
    /// A public key was wanted.
    #[error(
        "this is a certificate: take its public key with \
         `openssl x509 -in CERT.pem -pubkey -noout -out public.pem`"
    )]
    CertificateGiven,
    /// Neither.
    #[error("this is not a key in PEM (a text that begins with -----BEGIN … KEY-----)")]
    NotPem,
    /// Far larger than any key.
    #[error("a key file has at most {PEM_BYTES_MAX} bytes")]
    TooLarge,
    /// PEM, with something else inside.
    #[error(
        "the PEM text is damaged, or holds no RSA key: RSA keys only (2048, 3072 or 4096 bits)"
    )]
    NotRsa,
    /// A key that can be broken, or that nobody uses.
    #[error("an RSA key of {bits} bits: 2048 to 4096 are accepted")]
    Bits {
        /// Length of its modulus.
        bits: usize,
    },
    /// Any other exponent weakens some padding checks.
    #[error("the key's public exponent is not 65537: make the key with `narrowcast keygen`")]
    Exponent,
    /// The numbers of a private key do not belong together.
    #[error("the private key is damaged: its numbers do not belong together")]
    Inconsistent,
    /// An encrypted key without its pass-phrase.
    #[error("the private key is encrypted: its pass-phrase is needed")]
    PassphraseNeeded,
    /// Does not open with it.
    #[error("the private key does not open with this pass-phrase")]
    WrongPassphrase,
    /// Encrypted in a way that is not read here.
    #[error(
        "the private key is encrypted in an outdated way: convert it with `openssl pkcs8 -topk8 \
         -in OLD.pem -out private.pem -v2 aes-256-cbc -v2prf hmacWithSHA256 -iter 600000`"
    )]
    UnsupportedEncryption,
    /// The pass-phrase could not be turned into a key; does not happen with sound arguments.
    #[error("the key could not be made or encoded")]
    Encoding,
}

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

    fn new(key: RsaPublicKey) -> Result<Self, KeyError> {
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
    pub(super) fn holds(&self, digest: &Sha256Digest, signature: &[u8]) -> bool {
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

/// An RSA private key, in the offline commands only. Wiped from memory when dropped.
pub struct PrivateKey {
    key: RsaPrivateKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a new key of `bits`, one of [`KEY_BITS`].
    ///
    /// # Errors
    /// [`KeyError::Bits`] for any other length.
    pub fn generate(bits: usize, rng: &mut (impl CryptoRng + RngCore)) -> Result<Self, KeyError> {
        if !KEY_BITS.contains(&bits) {
            return Err(KeyError::Bits { bits });
        }
        Self::new(RsaPrivateKey::new(rng, bits).map_err(|_| KeyError::Encoding)?)
    }

    /// Reads encrypted or plain PKCS#8, or plain PKCS#1. A pass-phrase given for a key that is not
    /// encrypted is not used.
    ///
    /// # Errors
    /// Where it is no such key, a weak one, or does not open.
    pub fn from_pem(text: &str, passphrase: Option<&Passphrase>) -> Result<Self, KeyError> {
        if text.len() > PEM_BYTES_MAX {
            return Err(KeyError::TooLarge);
        }
        let text = text.trim();
        match PemKind::of(text) {
            PemKind::EncryptedPkcs8 => {
                let passphrase = passphrase.ok_or(KeyError::PassphraseNeeded)?;
                Self::from_pkcs8_der(decrypt(text, passphrase)?.as_bytes())
            }
            PemKind::Pkcs8 => {
                let (_, der) =
                    pkcs8::SecretDocument::from_pem(text).map_err(|_| KeyError::NotRsa)?;
                Self::from_pkcs8_der(der.as_bytes())
            }
            PemKind::Pkcs1 => {
                let (_, der) =
                    pkcs8::SecretDocument::from_pem(text).map_err(|_| KeyError::NotRsa)?;
                Self::from_pkcs1_der(der.as_bytes())
            }
            PemKind::TraditionalEncrypted => Err(KeyError::UnsupportedEncryption),
            PemKind::OtherPrivate => Err(KeyError::NotRsa),
            PemKind::Spki | PemKind::Pkcs1Public | PemKind::Certificate => {
                Err(KeyError::PublicKeyGiven)
            }
            PemKind::Other => Err(KeyError::NotPem),
        }
    }

    fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfo::try_from(der).map_err(|_| KeyError::NotRsa)?;
        info.algorithm
            .assert_algorithm_oid(pkcs1::ALGORITHM_OID)
            .map_err(|_| KeyError::NotRsa)?;
        Self::from_pkcs1_der(info.private_key)
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let parts = pkcs1::RsaPrivateKey::try_from(der).map_err(|_| KeyError::NotRsa)?;
        check_bits(modulus_bits(parts.modulus.as_bytes()))?;
        Self::new(RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Inconsistent)?)
    }

    fn new(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let public = PublicKey::new(key.to_public_key())?;
        Ok(Self { key, public })
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
        let plain = self.key.to_pkcs8_der().map_err(|_| KeyError::Encoding)?;
        PrivateKeyInfo::try_from(plain.as_bytes())
            .and_then(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
            .and_then(|document| Ok(document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?))
            .map_err(|_| KeyError::Encoding)
    }

    /// Signs a SHA-256 digest with RSASSA-PKCS1-v1_5. The signature does not depend on `rng`, which
    /// only blinds the operation against timing (RUSTSEC-2023-0071).
    pub(super) fn sign(
        &self,
        digest: &Sha256Digest,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Vec<u8>, KeyError> {
        self.key
            .sign_with_rng(rng, Pkcs1v15Sign::new::<Sha256>(), &digest.0)
            .map_err(|_| KeyError::Inconsistent)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(.., {:?})", self.public)
    }
}

fn decrypt(text: &str, passphrase: &Passphrase) -> Result<pkcs8::SecretDocument, KeyError> {
    let (_, der) = pkcs8::SecretDocument::from_pem(text).map_err(|_| KeyError::NotRsa)?;
    // Of a sound PEM text, the only part that is not understood is the encryption's algorithm.
    let info = EncryptedPrivateKeyInfo::try_from(der.as_bytes())
        .map_err(|_| KeyError::UnsupportedEncryption)?;
    let plain = info.decrypt(passphrase.as_bytes()).map_err(|error| {
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
            KeyError::WrongPassphrase
        }
    })?;
    // One wrong pass-phrase in 256 leaves a padding that looks right, and then garbage.
    PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| KeyError::WrongPassphrase)?;
    Ok(plain)
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

fn check_strength(bits: usize, exponent_is_65537: bool) -> Result<(), KeyError> {
    check_bits(bits)?;
    if !exponent_is_65537 {
        return Err(KeyError::Exponent);
    }
    Ok(())
}

fn check_bits(bits: usize) -> Result<(), KeyError> {
    if !(2048..=4096).contains(&bits) {
        return Err(KeyError::Bits { bits });
    }
    Ok(())
}

/// The length of a big-endian number without leading zero bytes.
fn modulus_bits(bytes: &[u8]) -> usize {
    bytes
        .first()
        .map_or(0, |top| bytes.len() * 8 - top.leading_zeros() as usize)
}
