//! ECDSA with SHA-256 on secp256k1, the carriers' second algorithm.
//!
//! A signature is an `ECDSA-Sig-Value` in DER (RFC 3279 §2.2.3), as OpenSSL writes it, and in no other
//! spelling. Ours are deterministic (RFC 6979) with the lower of the two values of s. Both values are
//! taken, as OpenSSL writes either: whoever has a signature can make the other one of the same bytes,
//! which is harmless here, since nothing is known by its signature.

use k256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use k256::pkcs8::{EncodePrivateKey, EncodePublicKey};
use k256::{PublicKey, SecretKey};
use pkcs8::der::asn1::ObjectIdentifier;
use pkcs8::{AlgorithmIdentifierRef, SecretDocument};
use rand::{CryptoRng, RngCore};

use super::KeyError;
use crate::model::Sha256Digest;

/// `id-ecPublicKey` (RFC 5480 §2.1.1).
pub(super) const ALGORITHM_OID: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const CURVE_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
/// Length of the curve's order.
pub(super) const BITS: usize = 256;

/// Only a curve that is named, and is ours: parameters written out could describe any curve.
pub(super) fn check_curve(algorithm: AlgorithmIdentifierRef<'_>) -> Result<(), KeyError> {
    algorithm
        .assert_oids(ALGORITHM_OID, CURVE_OID)
        .map_err(|_| KeyError::Curve)
}

/// A point of the curve, compressed or not (SEC 1 §2.3.4); never the point at infinity.
pub(super) fn public_key(point: &[u8]) -> Result<VerifyingKey, KeyError> {
    VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::NotAKey)
}

/// SPKI in DER, its point not compressed, as `openssl pkey` writes it.
pub(super) fn public_key_der(key: &VerifyingKey) -> Result<pkcs8::Document, KeyError> {
    PublicKey::from(key)
        .to_public_key_der()
        .map_err(|_| KeyError::Encoding)
}

/// An `ECPrivateKey` (RFC 5915 §3).
pub(super) fn private_key(sec1_der: &[u8]) -> Result<SecretKey, KeyError> {
    SecretKey::from_sec1_der(sec1_der).map_err(|_| KeyError::Curve)
}

/// PKCS#8 in DER.
pub(super) fn private_key_der(key: &SecretKey) -> Result<SecretDocument, KeyError> {
    key.to_pkcs8_der().map_err(|_| KeyError::Encoding)
}

pub(super) fn generate(rng: &mut (impl CryptoRng + RngCore)) -> SecretKey {
    SecretKey::random(rng)
}

pub(super) fn sign(key: &SecretKey, digest: &Sha256Digest) -> Result<Vec<u8>, KeyError> {
    let signature: Signature = SigningKey::from(key)
        .sign_prehash(&digest.0)
        .map_err(|_| KeyError::Inconsistent)?;
    let signature = signature.normalize_s().unwrap_or(signature);
    Ok(signature.to_der().as_bytes().to_vec())
}

/// Whether it holds, by its bytes: the crate reads DER in its one spelling only.
pub(super) fn holds(key: &VerifyingKey, digest: &Sha256Digest, signature: &[u8]) -> bool {
    let Ok(parsed) = Signature::from_der(signature) else {
        return false;
    };
    let low_s = parsed.normalize_s().unwrap_or(parsed);
    key.verify_prehash(&digest.0, &low_s).is_ok()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// The vectors that the wallets of this curve hold themselves to (RFC 6979 with SHA-256, lower s).
    const VECTORS: [(&str, &str, &str); 2] = [
        (
            "Satoshi Nakamoto",
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        ),
        (
            "All those moments will be lost in time, like tears in rain. Time to die...",
            "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b",
            "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
        ),
    ];

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        let one = [[0; 31].as_slice(), &[1]].concat();
        let key = SecretKey::from_slice(&one).unwrap();
        for (message, r, s) in VECTORS {
            let digest = Sha256Digest(Sha256::digest(message).into());
            let signed = sign(&key, &digest).unwrap();
            let parsed = Signature::from_der(&signed).unwrap();
            assert_eq!(hex::encode(parsed.to_bytes()), format!("{r}{s}"));
            assert!(holds(&key.public_key().into(), &digest, &signed));
        }
    }
}
