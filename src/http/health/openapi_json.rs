//! `GET /openapi.json`.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;

use crate::http::error::{Problem, kinds};
use crate::http::openapi;

/// The document never changes while the process runs.
static DOCUMENT: LazyLock<Option<Bytes>> =
    LazyLock::new(|| openapi().to_json().ok().map(Bytes::from));

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(crate) async fn openapi_json() -> Result<impl IntoResponse, Problem> {
    let document = DOCUMENT
        .clone()
        .ok_or_else(|| Problem::new(kinds::INTERNAL, "the document cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document))
}
