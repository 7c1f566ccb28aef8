//! `POST /api/v1/packages`.

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use utoipa::ToSchema;

use super::archive::{find_keys, unpack_archive};
use super::form::{PackageForm, read_form};
use super::{PackageView, body_bytes_max};
use crate::http::blocking::blocking;
use crate::http::error::{Problem, kinds};
use crate::http::extract::require_length;
use crate::http::keys::check_active;
use crate::http::language::Preferred;
use crate::http::profiles::check_claims;
use crate::http::{HttpState, PackageClaims, VerifiedPackage};
use crate::model::{
    AuditAction, AuditActor, AuditStamp, Language, Manufacturer, NewAuditEntry, Package, PackageId,
    Record, Sha256Digest,
};
use crate::store::{BlobStore, IncomingBlob, StoreError, StoredKey};

/// An upload, as `multipart/form-data`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct CreatePackage {
    /// `NAME_signed.zip`.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// 厂商名称.
    manufacturer: String,
    /// 型号.
    model: String,
    /// 设备类型.
    device_type: String,
    /// `LWM2M` or `CoAP`.
    protocol: String,
    /// 目标版本.
    version: String,
    /// 支持设备源版本: repeated, or separated by commas; none: any.
    source_versions: Option<Vec<String>>,
    /// `full` (default) or `delta`.
    kind: Option<String>,
    /// `module` (default) or `mcu`.
    component: Option<String>,
}

/// Uploads a signed package: its signature is verified before it is opened.
#[utoipa::path(post, path = "/api/v1/packages", tag = "packages",
    request_body(content = CreatePackage, content_type = "multipart/form-data"),
    responses((status = 201, description = "Verified and kept", body = PackageView)))]
pub(crate) async fn create_package(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    Preferred(language): Preferred,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    require_length(request.headers(), body_bytes_max(&state.limits))?;
    let _upload = state.uploads.try_acquire().map_err(|_| {
        let detail = format!("{} uploads are under way", state.limits.uploads_max);
        Problem::new(kinds::UNAVAILABLE, detail)
    })?;
    let multipart = Multipart::from_request(request, &state)
        .await
        .map_err(|rejection| Problem::new(kinds::UNSUPPORTED_MEDIA_TYPE, rejection.body_text()))?;
    let stamp = state.stamp(actor);
    let package = match receive(&state, multipart, &stamp, language).await {
        Ok(package) => package,
        Err(problem) => {
            let refused = Record::Audit(refused(stamp, &problem));
            state.store.commit(vec![refused]).await?;
            return Err(problem);
        }
    };
    let location = format!("/api/v1/packages/{}", package.id.0);
    let view = Json(PackageView::from(package));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], view))
}

/// What the audit log is told of an upload that is not kept.
fn refused(stamp: AuditStamp, problem: &Problem) -> NewAuditEntry {
    let details = vec![
        ("code", problem.code().to_owned()),
        ("reason", problem.detail().to_owned()),
    ];
    NewAuditEntry {
        stamp,
        action: AuditAction::PackageRefused,
        object: String::new(),
        details,
    }
}

async fn receive(
    state: &HttpState,
    multipart: Multipart,
    stamp: &AuditStamp,
    language: Language,
) -> Result<Package, Problem> {
    let PackageForm { archive, claims } = read_form(multipart, state).await?;
    let keys = keys_of(state, &claims.manufacturer).await?;
    let (verified, image) = unpack_archive(state, &archive, keys.clone(), claims.clone()).await?;
    let signer = keys.iter().find(|key| key.id == verified.key_id);
    signer.map_or(Ok(()), |key| {
        check_active(key).map_err(|problem| problem.with_field("file"))
    })?;
    check_mismatches(&verified)?;
    check_claims(state, &claims, language).await?;
    let upload = Upload {
        archive,
        image,
        claims,
        verified,
        stamp: stamp.clone(),
    };
    // A client that leaves now leaves nothing half kept.
    tokio::spawn(upload.keep(state.clone()))
        .await
        .map_err(|_| Problem::new(kinds::INTERNAL, "the package was not kept"))?
}

async fn keys_of(
    state: &HttpState,
    manufacturer: &Manufacturer,
) -> Result<Vec<StoredKey>, Problem> {
    let keys = find_keys(state, manufacturer).await?;
    if keys.is_empty() {
        let fault = "has no public key here; a key administrator enters one at /api/v1/keys";
        return Err(Problem::invalid_field("manufacturer", fault));
    }
    Ok(keys)
}

/// The form agrees with what was signed.
fn check_mismatches(verified: &VerifiedPackage) -> Result<(), Problem> {
    let Some(first) = verified.mismatches.first() else {
        return Ok(());
    };
    let faults: Vec<_> = verified
        .mismatches
        .iter()
        .map(|mismatch| format!("{}: '{}' was signed", mismatch.field, mismatch.signed))
        .collect();
    let problem = Problem::new(kinds::SIGNED_INFO_MISMATCH, faults.join("; "));
    Err(problem.with_field(first.field))
}

/// A package that is accepted.
struct Upload {
    archive: IncomingBlob,
    image: IncomingBlob,
    claims: PackageClaims,
    verified: VerifiedPackage,
    stamp: AuditStamp,
}

impl Upload {
    /// Bytes first, then the row that names them: a row never lacks its bytes. Where the row is
    /// refused, those that came with it go.
    async fn keep(self, state: HttpState) -> Result<Package, Problem> {
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
            file_name: self.verified.file_name,
            image_sha256: self.verified.image_sha256,
            image_size_bytes: self.verified.image_size_bytes,
            archive_sha256: self.verified.archive_sha256,
            key_id: self.verified.key_id,
            uploaded_at: state.now_utc(),
        };
        let expected = [package.image_sha256, package.archive_sha256];
        let blobs = state.package_bytes.clone();
        // The archive is kept whole, so that its signature can be verified again.
        let incoming = [self.image, self.archive];
        let new = blocking(move || keep_bytes(&blobs, incoming, expected)).await?;
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
    incoming: [IncomingBlob; 2],
    expected: [Sha256Digest; 2],
) -> Result<Vec<Sha256Digest>, Problem> {
    let mut new = Vec::new();
    for (bytes, expected) in incoming.into_iter().zip(expected) {
        let kept = bytes.keep().map_err(StoreError::from);
        let kept = kept.map_err(Problem::from).and_then(|kept| {
            new.extend(kept.is_new.then_some(kept.sha256));
            if kept.sha256 == expected {
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

fn remove_bytes(blobs: &BlobStore, new: &[Sha256Digest]) {
    for sha256 in new {
        if let Err(error) = blobs.remove(*sha256) {
            tracing::warn!(%sha256, %error, "bytes that no package has stay until the next start");
        }
    }
}
