//! A verifier whose archives are text.
//!
//! An archive is `signed-by <key id>\n`, then optionally `info version=<version>\n`, then the image.
//! A key is `KEY <id>`.

use std::io::{self, Write};

use narrowcast::http::{
    Archive, InfoMismatch, PackageClaims, PackageVerifier, Refusal, VerifiedKey, VerifiedPackage,
    VerifyFault,
};
use narrowcast::model::Sha256Digest;
use narrowcast::store::StoredKey;
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
        archive: &mut dyn Archive,
        keys: &[StoredKey],
        claims: &PackageClaims,
        to: &mut dyn Write,
    ) -> Result<VerifiedPackage, VerifyFault> {
        let refused = |code, message: &str| Refusal {
            code,
            message: message.to_owned(),
        };
        let text = io::read_to_string(archive)?;
        let (key_id, mut image) = text
            .strip_prefix("signed-by ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or_else(|| refused("bad_archive", "the archive has no signature"))?;
        if keys.iter().all(|key| key.id != key_id) {
            let refusal = refused("bad_signature", "no key of the manufacturer verifies it");
            return Err(refusal.into());
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
        to.write_all(image.as_bytes())?;
        Ok(VerifiedPackage {
            file_name: "app.bin".to_owned(),
            image_size_bytes: image.len() as u64,
            image_sha256: sha256(image.as_bytes()),
            archive_sha256: sha256(text.as_bytes()),
            key_id: key_id.to_owned(),
            mismatches,
        })
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}
