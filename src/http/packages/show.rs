//! `GET /api/v1/packages/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::{PackageView, tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::PackageId;

/// One package.
#[utoipa::path(get, path = "/api/v1/packages/{id}", tag = "packages",
    params(("id" = u64, Path, description = "The package's number")),
    responses((status = 200, description = "The package", body = PackageView)))]
pub(crate) async fn show_package(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
) -> Result<Response, Problem> {
    let found = state.store.package(PackageId(id)).await;
    let package = found.map_err(|error| Problem::of_store(error, format_args!("package {id}")))?;
    let tag = tag(&package);
    Ok(tag.with(Json(PackageView::of(&state, package).await?)))
}
