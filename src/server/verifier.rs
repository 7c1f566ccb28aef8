//! What the REST side asks of package signing and of the package bytes, answered.

use async_trait::async_trait;
use bytes::Bytes;

use crate::http::{
    InfoMismatch, PackageBytes, PackageClaims, PackageVerifier, Refusal, VerifiedKey,
    VerifiedPackage,
};
use crate::model::Sha256Digest;
use crate::signing::{self, FormFields, KeyError, PackageLimits, PublicKey};
use crate::store::{BlobError, BlobStore, StoreError, StoredKey};

/// Verifies with the keys that operators entered.
#[derive(Debug, Default)]
pub(super) struct SigningVerifier {
    limits: PackageLimits,
}

impl PackageVerifier for SigningVerifier {
    fn read_key(&self, public_key_pem: &str) -> Result<VerifiedKey, Refusal> {
        let key = PublicKey::from_pem(public_key_pem).map_err(key_refusal)?;
        Ok(VerifiedKey {
            id: key.id().to_string(),
            algorithm: "RSA".to_owned(),
            bits: u32::try_from(key.bits()).unwrap_or(u32::MAX),
            public_key_pem: key.to_pem().map_err(key_refusal)?,
        })
    }

    fn verify(
        &self,
        archive: &Bytes,
        keys: &[StoredKey],
        claims: &PackageClaims,
    ) -> Result<VerifiedPackage, Refusal> {
        let candidates = keys
            .iter()
            .map(|key| PublicKey::from_pem(&key.public_key_pem))
            .collect::<Result<Vec<_>, _>>()
            .map_err(key_refusal)?;
        let verified =
            signing::verify(archive, &candidates, &self.limits).map_err(|error| Refusal {
                code: error.code(),
                message: error.to_string(),
            })?;
        let [firmware] = verified.firmware.as_slice() else {
            return Err(Refusal {
                code: "package_content",
                message: "LwM2M devices take one firmware file, and this package has several"
                    .to_owned(),
            });
        };
        let mismatches = verified
            .info
            .as_ref()
            .map_or_else(Vec::new, |info| mismatches(info, claims));
        Ok(VerifiedPackage {
            file_name: firmware.name.clone(),
            image: firmware.bytes.clone(),
            image_sha256: firmware.sha256,
            archive_sha256: verified.archive_sha256,
            key_id: verified.key_id.to_string(),
            mismatches,
        })
    }
}

#[async_trait]
impl PackageBytes for BlobStore {
    async fn put(&self, bytes: Bytes) -> Result<Sha256Digest, StoreError> {
        Self::put(self, &bytes).await.map_err(StoreError::from)
    }

    async fn load(&self, sha256: Sha256Digest) -> Result<Bytes, StoreError> {
        Self::load(self, sha256).await.map_err(StoreError::from)
    }
}

impl From<BlobError> for StoreError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound(_) => Self::NotFound,
            BlobError::Full => Self::Full,
            BlobError::Changed { .. } | BlobError::Io(_) => Self::Failed(error.to_string()),
        }
    }
}

fn mismatches(info: &signing::PackageInfo, claims: &PackageClaims) -> Vec<InfoMismatch> {
    let source_versions: Vec<_> = claims
        .source_versions
        .iter()
        .map(|version| version.as_str().to_owned())
        .collect();
    let form = FormFields {
        manufacturer: claims.manufacturer.as_str(),
        model: claims.model.as_str(),
        device_type: claims.device_type.as_str(),
        protocol: &claims.protocol,
        version: claims.version.as_str(),
        source_versions: &source_versions,
        kind: claims.kind.word(),
        component: claims.component.word(),
    };
    info.agrees_with(&form)
        .into_iter()
        .map(|mismatch| InfoMismatch {
            field: mismatch.field,
            signed: mismatch.signed,
        })
        .collect()
}

fn key_refusal(error: KeyError) -> Refusal {
    Refusal {
        code: "key_refused",
        message: error.to_string(),
    }
}
