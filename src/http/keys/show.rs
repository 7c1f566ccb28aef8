//! `GET /api/v1/keys/{id}`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::affected::Affected;
use super::{KeyView, find_key};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;

/// A key, and what rests on it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyDetails {
    /// The key.
    #[serde(flatten)]
    key: KeyView,
    /// What it signed.
    #[serde(flatten)]
    affected: Affected,
}

/// Shows a key: its state, by whom it was entered, retired or revoked, when and why, and the packages
/// and campaigns that a revocation concerns or has concerned.
#[utoipa::path(get, path = "/api/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The key's id")),
    responses((status = 200, description = "The key, and what rests on it", body = KeyDetails)))]
pub(crate) async fn show_key(
    State(state): State<HttpState>,
    PathParams(id): PathParams<String>,
) -> Result<Json<KeyDetails>, Problem> {
    let key = find_key(&state, &id).await?.into();
    // Any role may ask, and each asks for all: the others wait.
    let _reading = state.reading_key.lock().await;
    let affected = Affected::of(&state, &id).await?.cut();
    Ok(Json(KeyDetails { key, affected }))
}
