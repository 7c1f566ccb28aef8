//! A verifier whose archives are text, and package bytes in memory.
//!
//! An archive is `signed-by <key id>\n`, then optionally `info version=<version>\n`, then the image.
//! A key is `KEY <id>`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use narrowcast::http::{
    InfoMismatch, PackageBytes, PackageClaims, PackageVerifier, Refusal, VerifiedKey,
    VerifiedPackage,
};
use narrowcast::model::Sha256Digest;
use narrowcast::store::{StoreError, StoredKey};
use sha2::{Digest, Sha256};

#[derive(Debug)]
pub(crate) struct TextVerifier;

impl PackageVerifier for TextVerifier {
    fn read_key(&self, public_key_pem: &str) -> Result<VerifiedKey, Refusal> {
        let id = public_key_pem.strip_prefix("KEY ").ok_or_else(|| Refusal {
            code: "not_a_public_key",
            message: "this is no public key in PEM".to_owned(),
        })?;
        Ok(VerifiedKey {
            id: id.to_owned(),
            algorithm: "RSA".to_owned(),
            bits: 3072,
            public_key_pem: public_key_pem.to_owned(),
        })
    }

    fn verify(
        &self,
        archive: &Bytes,
        keys: &[StoredKey],
        claims: &PackageClaims,
    ) -> Result<VerifiedPackage, Refusal> {
        let refused = |code, message: &str| Refusal {
            code,
            message: message.to_owned(),
        };
        let text =
            std::str::from_utf8(archive).map_err(|_| refused("bad_archive", "no archive"))?;
        let (key_id, mut image) = text
            .strip_prefix("signed-by ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or_else(|| refused("bad_archive", "the archive has no signature"))?;
        if keys.iter().all(|key| key.id != key_id) {
            return Err(refused(
                "bad_signature",
                "no key of the manufacturer verifies it",
            ));
        }
        let mut mismatches = Vec::new();
        if let Some((signed, rest)) = image
            .strip_prefix("info version=")
            .and_then(|rest| rest.split_once('\n'))
        {
            image = rest;
            if signed != claims.version.as_str() {
                mismatches.push(InfoMismatch {
                    field: "version",
                    signed: signed.to_owned(),
                });
            }
        }
        Ok(VerifiedPackage {
            file_name: "app.bin".to_owned(),
            image: Bytes::copy_from_slice(image.as_bytes()),
            image_sha256: sha256(image.as_bytes()),
            archive_sha256: sha256(archive),
            key_id: key_id.to_owned(),
            mismatches,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemoryBytes {
    pub(crate) kept: Mutex<BTreeMap<Sha256Digest, Bytes>>,
}

#[async_trait]
impl PackageBytes for MemoryBytes {
    async fn put(&self, bytes: Bytes) -> Result<Sha256Digest, StoreError> {
        let digest = sha256(&bytes);
        self.kept
            .lock()
            .expect("not poisoned")
            .insert(digest, bytes);
        Ok(digest)
    }

    async fn load(&self, digest: Sha256Digest) -> Result<Bytes, StoreError> {
        let kept = self.kept.lock().expect("not poisoned");
        let bytes = kept.get(&digest).ok_or(StoreError::NotFound)?;
        if sha256(bytes) == digest {
            Ok(bytes.clone())
        } else {
            Err(StoreError::Failed("the bytes are damaged".to_owned()))
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}
