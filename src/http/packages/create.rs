//! `POST /api/v1/packages`.

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use utoipa::ToSchema;

use super::archive::{find_keys, unpack_archive, unpack_unsigned};
use super::form::{Arrived, PackageForm, read_form};
use super::keep::Upload;
use super::{PackageView, REASON_CHARS_MAX, body_bytes_max, check_expiry};
use crate::http::error::{Problem, kinds};
use crate::http::extract::require_length;
use crate::http::keys::check_active;
use crate::http::language::Preferred;
use crate::http::profiles::check_claims;
use crate::http::{HttpState, Role, VerifiedPackage, fields};
use crate::model::{
    AuditAction, AuditActor, AuditStamp, Language, Manufacturer, NewAuditEntry, Package,
    Provenance, Record,
};
use crate::store::StoredKey;

/// An upload, as `multipart/form-data`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
pub(crate) struct CreatePackage {
    /// `NAME_signed.zip`; with `unsigned`, a firmware file or a zip of up to five.
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
    /// The signed place among the product's releases: must be that of `package-info.json`.
    sequence: Option<u64>,
    /// SHA-256 of the one firmware file, hexadecimal: must be that of the one inside.
    sha256: Option<String>,
    /// Not to be installed after this time: must be that of `package-info.json`.
    #[schema(format = DateTime)]
    not_after: Option<String>,
    /// 备注 in Chinese; at most 4000 characters.
    release_notes_zh: Option<String>,
    /// What is new, in English; at most 4000 characters.
    release_notes_en: Option<String>,
    /// `true`: it has no signature. Only an admin may upload it, with a `reason`.
    unsigned: Option<bool>,
    /// Why it is not signed; at most 200 characters.
    reason: Option<String>,
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
    let mut arrived = Arrived::default();
    let package = match receive(&state, multipart, &stamp, &mut arrived, language).await {
        Ok(package) => package,
        Err(problem) => {
            let refused = Record::Audit(refused(stamp, &problem, arrived));
            state.store.commit(vec![refused]).await?;
            return Err(problem);
        }
    };
    let location = format!("/api/v1/packages/{}", package.id.0);
    let view = Json(PackageView::of(&state, package).await?);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], view))
}

/// What the audit log is told of an upload that is not kept.
fn refused(stamp: AuditStamp, problem: &Problem, arrived: Arrived) -> NewAuditEntry {
    let mut details = vec![
        ("code", problem.code().to_owned()),
        ("reason", problem.detail().to_owned()),
    ];
    let sha256 = arrived.sha256.map(|sha256| sha256.to_string());
    details.extend(sha256.map(|sha256| ("archive_sha256", sha256)));
    NewAuditEntry {
        stamp,
        action: AuditAction::PackageRefused,
        object: arrived.name,
        details,
    }
}

async fn receive(
    state: &HttpState,
    multipart: Multipart,
    stamp: &AuditStamp,
    arrived: &mut Arrived,
    language: Language,
) -> Result<Package, Problem> {
    let PackageForm {
        archive,
        claims,
        notes,
        unsigned,
    } = read_form(multipart, state, arrived).await?;
    let (verified, files, provenance) = if let Some(reason) = unsigned {
        let provenance = admitted(reason, &stamp.actor)?;
        let name = arrived.name.clone();
        let (read, files) = unpack_unsigned(state, &archive, name, claims.clone()).await?;
        (read, files, provenance)
    } else {
        let keys = keys_of(state, &claims.manufacturer).await?;
        let unpacked = unpack_archive(state, &archive, keys.clone(), claims.clone());
        let (verified, files) = unpacked.await?;
        let signer = keys.iter().find(|key| key.id == verified.key_id);
        signer.map_or(Ok(()), |key| {
            check_active(key).map_err(|problem| problem.with_field("file"))
        })?;
        let key_id = verified.key_id.clone();
        (verified, files, Provenance::Signed { key_id })
    };
    check_mismatches(&verified)?;
    check_expiry(verified.not_after, state.now_utc())
        .map_err(|problem| problem.with_field("file"))?;
    check_claims(state, &claims, language).await?;
    let upload = Upload {
        archive,
        files,
        claims,
        verified,
        provenance,
        notes,
        stamp: stamp.clone(),
    };
    // A client that leaves now leaves nothing half kept.
    tokio::spawn(upload.keep(state.clone()))
        .await
        .map_err(|_| Problem::new(kinds::INTERNAL, "the package was not kept"))?
}

/// Who lets a package in without a signature says why.
fn admitted(reason: String, actor: &AuditActor) -> Result<Provenance, Problem> {
    if actor.role != Role::Admin.word() {
        let detail = "only an admin may upload a package without a signature";
        return Err(Problem::new(kinds::FORBIDDEN, detail).with_field("unsigned"));
    }
    fields::title("reason", &reason, REASON_CHARS_MAX)?;
    let by = actor.name.clone();
    Ok(Provenance::Unsigned { by, reason })
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
        .map(|mismatch| match mismatch.signed.as_str() {
            "" => format!("{}: it was not signed", mismatch.field),
            signed => format!("{}: '{signed}' was signed", mismatch.field),
        })
        .collect();
    let problem = Problem::new(kinds::SIGNED_INFO_MISMATCH, faults.join("; "));
    Err(problem.with_field(first.field))
}
