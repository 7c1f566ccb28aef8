//! `PATCH /api/v1/packages/{id}`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{PackageView, in_use, parse_notes, tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::http::precondition::IfMatch;
use crate::model::{AuditActor, Package, PackageId};
use crate::store::StoreError;

/// What may be said anew of a package: what was signed may not.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditPackage {
    /// 备注 in Chinese; at most 4000 characters. Left out: as it is.
    #[schema(max_length = 4000)]
    release_notes_zh: Option<String>,
    /// What is new, in English; at most 4000 characters. Left out: as it is.
    #[schema(max_length = 4000)]
    release_notes_en: Option<String>,
}

/// Changes what is said of a package, until a campaign of it is activated.
#[utoipa::path(patch, path = "/api/v1/packages/{id}", tag = "packages",
    params(("id" = u64, Path, description = "The package's number")),
    request_body = EditPackage,
    responses((status = 200, description = "As it is now", body = PackageView)))]
pub(crate) async fn edit_package(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<EditPackage>,
) -> Result<Json<PackageView>, Problem> {
    let not_found = |error| Problem::of_store(error, format_args!("package {id}"));
    let id = PackageId(id);
    let _editing = state.editing.lock().await;
    let package = state.store.package(id).await.map_err(not_found)?;
    if_match.check(&tag(&package))?;
    let before = package.release_notes.clone();
    let notes = parse_notes(
        body.release_notes_zh.unwrap_or(before.zh),
        body.release_notes_en.unwrap_or(before.en),
    )?;
    let package = Package {
        release_notes: notes.clone(),
        ..package
    };
    let stamp = state.stamp(actor);
    match state.store.set_release_notes(id, notes, stamp).await {
        Ok(()) => Ok(Json(PackageView::of(&state, package).await?)),
        Err(StoreError::Conflict(_)) => Err(in_use(&state, id).await?),
        Err(error) => Err(not_found(error)),
    }
}
