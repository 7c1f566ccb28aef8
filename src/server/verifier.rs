//! What the REST side asks of package signing, answered.

use std::io::Write;

use crate::http::{
    Archive, InfoMismatch, PackageClaims, PackageVerifier, Refusal, VerifiedKey, VerifiedPackage,
    VerifyFault,
};
use crate::signing::{self, FormFields, KeyError, PackageLimits, PublicKey, VerifyError};
use crate::store::StoredKey;

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
            algorithm: key.algorithm().word().to_owned(),
            bits: u32::try_from(key.bits()).unwrap_or(u32::MAX),
            public_key_pem: key.to_pem().map_err(key_refusal)?,
        })
    }

    fn verify(
        &self,
        archive: &mut dyn Archive,
        keys: &[StoredKey],
        claims: &PackageClaims,
        mut image: &mut dyn Write,
    ) -> Result<VerifiedPackage, VerifyFault> {
        let candidates = keys
            .iter()
            .map(|key| PublicKey::from_pem(&key.public_key_pem))
            .collect::<Result<Vec<_>, _>>()
            .map_err(key_refusal)?;
        let verified =
            signing::verify(archive, &candidates, &self.limits, &mut image).map_err(package_fault)?;
        let [firmware] = verified.firmware.as_slice() else {
            let refusal = Refusal {
                code: "package_content",
                message: "LwM2M devices take one firmware file, and this package has several"
                    .to_owned(),
            };
            return Err(refusal.into());
        };
        let mismatches = verified
            .info
            .as_ref()
            .map_or_else(Vec::new, |info| mismatches(info, claims));
        Ok(VerifiedPackage {
            file_name: firmware.name.clone(),
            image_size_bytes: firmware.size_bytes,
            image_sha256: firmware.sha256,
            archive_sha256: verified.archive_sha256,
            key_id: verified.key_id.to_string(),
            mismatches,
        })
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

fn package_fault(error: VerifyError) -> VerifyFault {
    let code = error.code();
    if let VerifyError::Io(fault) = error {
        return VerifyFault::Io(fault.into());
    }
    let message = error.to_string();
    Refusal { code, message }.into()
}

fn key_refusal(error: KeyError) -> Refusal {
    let code = if error == KeyError::PrivateKeyGiven {
        "private_key_refused"
    } else {
        "key_refused"
    };
    Refusal {
        code,
        message: error.to_string(),
    }
}
