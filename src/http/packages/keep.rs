//! A package's bytes and its row: both, or none.

use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::{HttpState, PackageClaims, VerifiedPackage};
use crate::model::{AuditStamp, Package, PackageId, Provenance, ReleaseNotes, Sha256Digest};
use crate::store::{BlobStore, IncomingBlob, StoreError};

/// A package that is accepted.
pub(super) struct Upload {
    pub(super) archive: IncomingBlob,
    pub(super) files: Vec<IncomingBlob>,
    pub(super) claims: PackageClaims,
    pub(super) verified: VerifiedPackage,
    pub(super) provenance: Provenance,
    pub(super) notes: ReleaseNotes,
    pub(super) stamp: AuditStamp,
}

impl Upload {
    /// Bytes first, then the row that names them: a row never lacks its bytes. Where the row is
    /// refused, those that came with it go.
    pub(super) async fn keep(self, state: HttpState) -> Result<Package, Problem> {
        let _keeping = state.keeping.lock().await;
        let mut package = Package {
            id: PackageId(0),
            manufacturer: self.claims.manufacturer,
            model: self.claims.model,
            device_type: self.claims.device_type,
            protocol: self.claims.protocol,
            target_version: self.claims.version,
            source_versions: self.claims.source_versions,
            kind: self.claims.kind,
            component: self.claims.component,
            file: self.verified.file,
            more_files: self.verified.more_files,
            archive_sha256: self.verified.archive_sha256,
            provenance: self.provenance,
            sequence: self.verified.sequence,
            not_after: self.verified.not_after,
            release_notes: self.notes,
            uploaded_at: state.now_utc(),
        };
        let expected: Vec<Sha256Digest> = package.digests().collect();
        let blobs = state.package_bytes.clone();
        // The archive is kept whole, so that its signature can be verified again.
        let mut incoming = self.files;
        incoming.push(self.archive);
        let new = blocking(move || keep_bytes(&blobs, incoming, &expected)).await?;
        match state.store.add_package(package.clone(), self.stamp).await {
            Ok(id) => {
                package.id = id;
                Ok(package)
            }
            Err(error) => {
                // Whether the row is there is known at the next start only, and then this is done.
                if !matches!(error, StoreError::Fatal(_)) {
                    let blobs = state.package_bytes.clone();
                    let removed = blocking(move || {
                        remove_bytes(&blobs, &new);
                        Ok(())
                    });
                    removed.await?;
                }
                Err(Problem::of_store(error, "package"))
            }
        }
    }
}

/// Makes bytes durable; those that were not there before. All of them, or none.
fn keep_bytes(
    blobs: &BlobStore,
    incoming: Vec<IncomingBlob>,
    expected: &[Sha256Digest],
) -> Result<Vec<Sha256Digest>, Problem> {
    let mut new = Vec::new();
    for (bytes, expected) in incoming.into_iter().zip(expected) {
        let kept = bytes.keep().map_err(StoreError::from);
        let kept = kept.map_err(Problem::from).and_then(|kept| {
            new.extend(kept.is_new.then_some(kept.sha256));
            if kept.sha256 == *expected {
                return Ok(());
            }
            let detail = "the bytes changed on their way";
            Err(Problem::new(kinds::INTERNAL, detail))
        });
        if let Err(problem) = kept {
            remove_bytes(blobs, &new);
            return Err(problem);
        }
    }
    Ok(new)
}

pub(super) fn remove_bytes(blobs: &BlobStore, new: &[Sha256Digest]) {
    for sha256 in new {
        if let Err(error) = blobs.remove(*sha256) {
            tracing::warn!(%sha256, %error, "bytes that no package has stay until the next start");
        }
    }
}
