//! `POST /api/v1/packages`.

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use utoipa::ToSchema;

use super::archive::{find_keys, verify_archive};
use super::form::{PackageForm, read_form};
use super::{PackageView, body_bytes_max};
use crate::http::error::{Problem, kinds};
use crate::http::extract::require_length;
use crate::http::{HttpState, PackageClaims, VerifiedPackage};
use crate::model::{Manufacturer, Package, PackageId};
use crate::store::StoredKey;

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
    let form = read_form(multipart, &state.limits).await?;
    let keys = keys_of(&state, &form.claims.manufacturer).await?;
    let PackageForm { archive, claims } = form;
    let (claims, verified) = verify_archive(&state, archive.clone(), keys, claims).await?;
    check_mismatches(&verified)?;
    let package = keep(&state, archive, claims, verified).await?;
    let location = format!("/api/v1/packages/{}", package.id.0);
    let view = Json(PackageView::from(package));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], view))
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

/// Bytes first, then the row that names them: a row never lacks its bytes.
async fn keep(
    state: &HttpState,
    archive: Bytes,
    claims: PackageClaims,
    verified: VerifiedPackage,
) -> Result<Package, Problem> {
    let image_size_bytes = u64::try_from(verified.image.len()).unwrap_or(u64::MAX);
    let image_sha256 = state.package_bytes.put(verified.image).await?;
    // Kept whole, so that its signature can be verified again.
    let archive_sha256 = state.package_bytes.put(archive).await?;
    if (image_sha256, archive_sha256) != (verified.image_sha256, verified.archive_sha256) {
        return Err(Problem::new(
            kinds::INTERNAL,
            "the bytes changed on their way",
        ));
    }
    let mut package = Package {
        id: PackageId(0),
        manufacturer: claims.manufacturer,
        model: claims.model,
        device_type: claims.device_type,
        protocol: claims.protocol,
        target_version: claims.version,
        source_versions: claims.source_versions,
        kind: claims.kind,
        component: claims.component,
        file_name: verified.file_name,
        image_sha256: verified.image_sha256,
        image_size_bytes,
        archive_sha256: verified.archive_sha256,
        key_id: verified.key_id,
        uploaded_at: state.now_utc(),
    };
    let added = state.store.add_package(package.clone()).await;
    package.id = added.map_err(|error| Problem::of_store(error, "package"))?;
    Ok(package)
}
