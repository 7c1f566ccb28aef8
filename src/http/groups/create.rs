//! `POST /api/v1/groups`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{GroupView, NAME_CHARS_MAX};
use crate::http::error::Problem;
use crate::http::extract::JsonBody;
use crate::http::{HttpState, fields};
use crate::store::DeviceGroup;

/// A group to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateGroup {
    /// Its name, unique, at most 50 characters.
    name: String,
}

/// Makes an empty group.
#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = CreateGroup,
    responses((status = 201, description = "Made", body = GroupView)))]
pub(crate) async fn create_group(
    State(state): State<HttpState>,
    JsonBody(body): JsonBody<CreateGroup>,
) -> Result<impl IntoResponse, Problem> {
    fields::title("name", &body.name, NAME_CHARS_MAX)?;
    let created_at = state.now_utc();
    let added = state.store.add_group(&body.name, created_at).await;
    let id = added.map_err(|error| {
        Problem::of_store(error, format_args!("group '{}'", body.name)).with_field("name")
    })?;
    let location = format!("/api/v1/groups/{}", id.0);
    let view = GroupView::from(DeviceGroup {
        id,
        name: body.name,
        devices: 0,
        created_at,
    });
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(view)))
}
