//! What the REST side asks of package signing, answered.

use std::io;

use sha2::{Digest, Sha256};

use crate::http::{
    Archive, InfoMismatch, PackageClaims, PackageVerifier, Refusal, VerifiedKey, VerifiedPackage,
    VerifyFault,
};
use crate::model::{PackageFile, Sha256Digest};
use crate::signing::{
    self, FirmwareFile, FirmwareSink, FormFields, KeyError, PackageInfo, PackageLimits,
    PayloadError, PublicKey, VerifyError,
};
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
        files: &mut dyn FirmwareSink,
    ) -> Result<VerifiedPackage, VerifyFault> {
        let candidates = keys
            .iter()
            .map(|key| PublicKey::from_pem(&key.public_key_pem))
            .collect::<Result<Vec<_>, _>>()
            .map_err(key_refusal)?;
        let verified =
            signing::verify(archive, &candidates, &self.limits, files).map_err(package_fault)?;
        let mut files = verified.firmware.into_iter().map(package_file);
        let Some(file) = files.next() else {
            return Err(package_fault(VerifyError::Payload(
                PayloadError::NoFirmware,
            )));
        };
        let more_files: Vec<PackageFile> = files.collect();
        let mismatches = all_mismatches(verified.info.as_ref(), &file, &more_files, claims);
        Ok(VerifiedPackage {
            file,
            more_files,
            archive_sha256: verified.archive_sha256,
            key_id: verified.key_id.to_string(),
            sequence: verified.info.as_ref().and_then(|info| info.sequence),
            not_after: verified.info.as_ref().and_then(PackageInfo::expires_at),
            mismatches,
        })
    }

    fn read_unsigned(
        &self,
        upload: &mut dyn Archive,
        file_name: &str,
        claims: &PackageClaims,
        files: &mut dyn FirmwareSink,
    ) -> Result<VerifiedPackage, VerifyFault> {
        let read = signing::read_unsigned(file_name, &mut *upload, &self.limits, files)
            .map_err(|error| package_fault(error.into()))?;
        let mut read_files = read.firmware.into_iter().map(package_file);
        let Some(file) = read_files.next() else {
            return Err(package_fault(VerifyError::Payload(
                PayloadError::NoFirmware,
            )));
        };
        let more_files: Vec<PackageFile> = read_files.collect();
        let mut mismatches = all_mismatches(read.info.as_ref(), &file, &more_files, claims);
        if claims.sequence.is_some() && mismatches.iter().all(|it| it.field != "sequence") {
            let signed = String::new();
            let field = "sequence";
            mismatches.push(InfoMismatch { field, signed });
        }
        upload.rewind()?;
        let mut hash = Sha256::new();
        io::copy(upload, &mut hash)?;
        Ok(VerifiedPackage {
            file,
            more_files,
            archive_sha256: Sha256Digest(hash.finalize().into()),
            key_id: String::new(),
            // Only a signature makes these hold.
            sequence: None,
            not_after: read.info.as_ref().and_then(PackageInfo::expires_at),
            mismatches,
        })
    }
}

/// Where the form differs from what was signed, and from the file itself.
fn all_mismatches(
    info: Option<&PackageInfo>,
    file: &PackageFile,
    more_files: &[PackageFile],
    claims: &PackageClaims,
) -> Vec<InfoMismatch> {
    let mut found = info.map_or_else(Vec::new, |info| mismatches(info, claims));
    let mut differs = |field, signed: Option<String>| {
        let signed = signed.unwrap_or_default();
        found.push(InfoMismatch { field, signed });
    };
    let sequence = info.and_then(|info| info.sequence);
    if claims.sequence.is_some() && claims.sequence != sequence {
        differs("sequence", sequence.map(|sequence| sequence.to_string()));
    }
    let not_after = info.and_then(PackageInfo::expires_at);
    if claims.not_after.is_some() && claims.not_after != not_after {
        differs("not_after", not_after.map(|end| end.to_string()));
    }
    if let Some(sha256) = claims.sha256
        && (sha256 != file.sha256 || !more_files.is_empty())
    {
        let only = more_files.is_empty().then(|| file.sha256.to_string());
        differs("sha256", only);
    }
    found
}

fn package_file(file: FirmwareFile) -> PackageFile {
    PackageFile {
        name: file.name,
        sha256: file.sha256,
        size_bytes: file.size_bytes,
    }
}

fn mismatches(info: &PackageInfo, claims: &PackageClaims) -> Vec<InfoMismatch> {
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
