//! Opening the package bytes: what a crash left without a row is removed.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::Sha256Digest;
use crate::store::{BlobStore, Page, Store, StoreError};

use super::run::RunError;

/// The package bytes within the data directory.
const FOLDER: &str = "packages";

/// The most bytes of packages on disk; an upload beyond is refused with 507.
const BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// How many packages are read at a time.
const PACKAGES_PAGE: u32 = 1000;

/// Opens the folder and removes what no package of the store names: an upload that a crash cut off
/// between its bytes and its row.
///
/// Where the store has no package at all nothing is removed: more likely than a crash in the very first
/// upload is a database that was lost or not put back, and then the signed archives are all there is.
///
/// # Errors
/// Where the folder cannot be used or the store not read.
pub(super) async fn open_packages(
    data_dir: &Path,
    store: &dyn Store,
) -> Result<BlobStore, RunError> {
    let path = data_dir.join(FOLDER);
    let named = named(store).await?;
    let opened = BlobStore::open(&path, BYTES_MAX).and_then(|blobs| {
        if named.is_empty() {
            return Ok(blobs);
        }
        let removed = blobs.remove_unnamed(&named)?;
        if removed > 0 {
            tracing::warn!(removed, "removed files that no package names");
        }
        Ok(blobs)
    });
    opened.map_err(|source| RunError::DataDir { path, source })
}

/// What the packages' rows name.
async fn named(store: &dyn Store) -> Result<BTreeSet<Sha256Digest>, StoreError> {
    let mut named = BTreeSet::new();
    let mut after = None;
    loop {
        let page = Page {
            after,
            limit: PACKAGES_PAGE,
        };
        let packages = store.packages(page).await?;
        let Some(last) = packages.last() else {
            return Ok(named);
        };
        after = Some(last.id.0.to_string());
        for package in packages {
            named.extend(package.digests());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Utc;
    use crate::model::{
        Component, DeviceModel, DeviceType, FirmwareVersion, Manufacturer, Package, PackageFile,
        PackageId, PackageKind, Provenance, ReleaseNotes,
    };
    use crate::store::MemoryStore;

    fn package(image_sha256: Sha256Digest, archive_sha256: Sha256Digest) -> Package {
        Package {
            id: PackageId(0),
            manufacturer: Manufacturer::parse("Acme").unwrap(),
            model: DeviceModel::parse("NB-1").unwrap(),
            device_type: DeviceType::parse("WaterMeter").unwrap(),
            protocol: "LWM2M".to_owned(),
            target_version: FirmwareVersion::parse("2.0.0").unwrap(),
            source_versions: Vec::new(),
            kind: PackageKind::Full,
            component: Component::Module,
            file: PackageFile {
                name: "firmware.bin".to_owned(),
                sha256: image_sha256,
                size_bytes: 5,
            },
            more_files: Vec::new(),
            archive_sha256,
            provenance: Provenance::Signed {
                key_id: "00".repeat(32),
            },
            sequence: None,
            not_after: None,
            release_notes: ReleaseNotes::default(),
            uploaded_at: Utc::from_unix_ms(0),
        }
    }

    #[tokio::test]
    async fn what_a_crash_left_without_a_row_is_gone_after_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::new();
        let blobs = open_packages(folder.path(), &store).await.unwrap();
        let [image, second, archive, orphan] =
            [b"image", b"secnd", b"signd", b"orphn"].map(|bytes| blobs.put(bytes).unwrap());
        drop(blobs);

        let blobs = open_packages(folder.path(), &store).await.unwrap();
        assert_eq!(blobs.bytes(), 20, "without any package nothing is removed");
        drop(blobs);

        let stamp = crate::model::AuditStamp {
            at: Utc::from_unix_ms(0),
            actor: crate::model::AuditActor::server(),
        };
        let mut package = package(image, archive);
        package.more_files.push(PackageFile {
            sha256: second,
            ..package.file.clone()
        });
        store.add_package(package, stamp).await.unwrap();
        let blobs = open_packages(folder.path(), &store).await.unwrap();
        assert_eq!(blobs.bytes(), 15);
        for sha256 in [image, second, archive] {
            assert!(blobs.load(sha256).is_ok());
        }
        assert!(blobs.load(orphan).is_err());
    }
}
