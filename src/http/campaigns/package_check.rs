//! What was verified when a package came is verified again when a campaign of it begins: its bytes and
//! its row lay on a disk meanwhile, and its key may be gone.

use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::keys::check_not_revoked;
use crate::http::packages::verify_archive;
use crate::http::{HttpState, PackageClaims, VerifiedPackage};
use crate::model::Package;
use crate::store::{BlobError, StoreError, StoredKey};

/// Verifies a package's signed archive again, with the key that verified it and no other.
pub(super) async fn verify_again(state: &HttpState, package: &Package) -> Result<(), Problem> {
    let id = package.id.0;
    let key = signing_key(state, package).await?;
    let (blobs, stored) = (state.package_bytes.clone(), package.clone());
    let archive = blocking(move || {
        let archive = blobs.open_file(stored.archive_sha256);
        archive.map_err(|error| damaged(&stored, &error))
    })
    .await?;
    let claims = PackageClaims::of(package);
    let verified = verify_archive(state, archive, vec![key], claims).await?;
    if is_described_by(&verified, package) {
        return Ok(());
    }
    tracing::error!(package = id, "the package is not what was signed");
    let detail = format!("package {id} is no longer what was signed: upload it again");
    Err(Problem::new(kinds::PACKAGE_REFUSED, detail).with_code("package_changed"))
}

/// The key that verified a package when it came, unless it is revoked.
pub(super) async fn signing_key(
    state: &HttpState,
    package: &Package,
) -> Result<StoredKey, Problem> {
    let key = match state.store.key(&package.key_id).await {
        Ok(key) if key.manufacturer == package.manufacturer => key,
        Ok(_) | Err(StoreError::NotFound) => {
            let detail = format!(
                "package {} was signed with the key {}, which is no longer among those of {}",
                package.id.0, package.key_id, package.manufacturer
            );
            return Err(Problem::new(kinds::PACKAGE_REFUSED, detail).with_code("package_key_gone"));
        }
        Err(error) => return Err(error.into()),
    };
    check_not_revoked(&key)?;
    Ok(key)
}

/// The package's bytes cannot be read as they were stored.
pub(super) fn damaged(package: &Package, error: &BlobError) -> Problem {
    let id = package.id.0;
    tracing::error!(%error, package = id, "the package's bytes cannot be read as they were");
    let detail = format!("the bytes of package {id} are missing or damaged: upload it again");
    Problem::new(kinds::INTERNAL, detail).with_code("package_damaged")
}

fn is_described_by(verified: &VerifiedPackage, package: &Package) -> bool {
    verified.mismatches.is_empty()
        && verified.image_sha256 == package.image_sha256
        && verified.archive_sha256 == package.archive_sha256
        && verified.file_name == package.file_name
}
