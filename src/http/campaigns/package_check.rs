//! What was verified when a package came is verified again when a campaign of it begins: its bytes and
//! its row lay on a disk meanwhile, and its key may be gone.

use metrics::counter;

use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::keys::check_not_revoked;
use crate::http::packages::{check_expiry, verify_archive};
use crate::http::{HttpState, PackageClaims, VerifiedPackage};
use crate::model::{Component, Package};
use crate::store::{BlobError, StoreError, StoredKey};

/// Verifies a package's signed archive again, with the key that verified it and no other.
pub(super) async fn verify_again(state: &HttpState, package: &Package) -> Result<(), Problem> {
    let id = package.id.0;
    check_deliverable(package)?;
    check_expiry(package.not_after, state.now_utc())?;
    let key = signing_key(state, package).await?;
    let (blobs, stored) = (state.package_bytes.clone(), package.clone());
    let archive = blocking(move || {
        let archive = blobs.open_file(stored.archive_sha256);
        archive.map_err(|error| damaged(&stored, &error))
    })
    .await?;
    // One without a signature is what came, and nothing more can be said for it.
    let Some(key) = key else {
        return Ok(());
    };
    let claims = PackageClaims::of(package);
    let verified = verify_archive(state, archive, vec![key], claims).await?;
    if is_described_by(&verified, package) {
        return check_expiry(verified.not_after, state.now_utc());
    }
    tracing::error!(package = id, "the package is not what was signed");
    let detail = format!("package {id} is no longer what was signed: upload it again");
    Err(Problem::new(kinds::PACKAGE_REFUSED, detail).with_code("package_changed"))
}

/// A campaign writes one file to the module's firmware update object; what it would do with a second, or
/// with what is meant for the MCU behind the module, nobody knows.
pub(super) fn check_deliverable(package: &Package) -> Result<(), Problem> {
    let id = package.id.0;
    let files = package.files().count();
    if files > 1 {
        let detail = format!("package {id} has {files} files, and a campaign delivers one");
        return Err(Problem::new(kinds::PACKAGE_BY_LINK, detail));
    }
    match package.component {
        Component::Module => Ok(()),
        Component::Mcu => {
            let detail = format!(
                "package {id} is for the MCU, and object 5 updates the module's own firmware"
            );
            Err(Problem::new(kinds::PACKAGE_BY_LINK, detail))
        }
    }
}

/// The key that verified a package when it came, unless it is revoked; `None` where it is unsigned.
pub(super) async fn signing_key(
    state: &HttpState,
    package: &Package,
) -> Result<Option<StoredKey>, Problem> {
    let Some(key_id) = package.key_id() else {
        return Ok(None);
    };
    let key = match state.store.key(key_id).await {
        Ok(key) if key.manufacturer == package.manufacturer => key,
        Ok(_) | Err(StoreError::NotFound) => {
            let detail = format!(
                "package {} was signed with the key {}, which is no longer among those of {}",
                package.id.0, key_id, package.manufacturer
            );
            return Err(Problem::new(kinds::PACKAGE_REFUSED, detail).with_code("package_key_gone"));
        }
        Err(error) => return Err(error.into()),
    };
    check_not_revoked(&key)?;
    Ok(Some(key))
}

/// The package's bytes cannot be read as they were stored.
pub(super) fn damaged(package: &Package, error: &BlobError) -> Problem {
    let id = package.id.0;
    counter!("narrowcast_packages_damaged_total").increment(1);
    tracing::error!(%error, package = id, "the package's bytes cannot be read as they were");
    let detail = format!("the bytes of package {id} are missing or damaged: upload it again");
    Problem::new(kinds::INTERNAL, detail).with_code("package_damaged")
}

fn is_described_by(verified: &VerifiedPackage, package: &Package) -> bool {
    verified.mismatches.is_empty()
        && verified.file == package.file
        && verified.more_files == package.more_files
        // A package that came before these were kept has none.
        && package.sequence.is_none_or(|it| verified.sequence == Some(it))
        && package.not_after.is_none_or(|it| verified.not_after == Some(it))
        && verified.archive_sha256 == package.archive_sha256
}
