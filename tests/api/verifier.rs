//! A verifier whose archives are text.
//!
//! An archive is `signed-by <key id>\n`, then optionally `info version=<version>\n`, then the image.
//! A key is `KEY <id>`.

use std::io;

use narrowcast::http::{
    Archive, InfoMismatch, PackageClaims, PackageVerifier, Refusal, VerifiedKey, VerifiedPackage,
    VerifyFault,
};
use narrowcast::model::{PackageFile, Sha256Digest};
use narrowcast::signing::FirmwareSink;
use narrowcast::store::StoredKey;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Gate, watch};

#[derive(Debug, Default)]
pub(crate) struct TextVerifier {
    /// While it is held, nothing is verified.
    pub(crate) gate: Gate<()>,
    /// How many archives have come as far as the gate.
    pub(crate) reached: watch::Sender<u64>,
}

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
        to: &mut dyn FirmwareSink,
    ) -> Result<VerifiedPackage, VerifyFault> {
        self.reached.send_modify(|reached| *reached += 1);
        drop(self.gate.blocking_lock());
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
        to.begin_file()?;
        to.write_chunk(image.as_bytes())?;
        Ok(VerifiedPackage {
            file: PackageFile {
                name: "app.bin".to_owned(),
                sha256: sha256(image.as_bytes()),
                size_bytes: image.len() as u64,
            },
            more_files: Vec::new(),
            archive_sha256: sha256(text.as_bytes()),
            key_id: key_id.to_owned(),
            sequence: None,
            not_after: None,
            mismatches,
        })
    }

    fn read_unsigned(
        &self,
        upload: &mut dyn Archive,
        file_name: &str,
        _claims: &PackageClaims,
        to: &mut dyn FirmwareSink,
    ) -> Result<VerifiedPackage, VerifyFault> {
        let image = io::read_to_string(upload)?;
        to.begin_file()?;
        to.write_chunk(image.as_bytes())?;
        Ok(VerifiedPackage {
            file: PackageFile {
                name: file_name.to_owned(),
                sha256: sha256(image.as_bytes()),
                size_bytes: image.len() as u64,
            },
            more_files: Vec::new(),
            archive_sha256: sha256(image.as_bytes()),
            key_id: String::new(),
            sequence: None,
            not_after: None,
            mismatches: Vec::new(),
        })
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}
