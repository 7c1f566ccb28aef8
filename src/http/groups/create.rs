//! `POST /api/v1/groups`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::{GroupFields, GroupView};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::JsonBody;
use crate::store::DeviceGroup;

/// Makes an empty group.
#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = GroupFields,
    responses((status = 201, description = "Made", body = GroupView)))]
pub(crate) async fn create_group(
    State(state): State<HttpState>,
    JsonBody(body): JsonBody<GroupFields>,
) -> Result<impl IntoResponse, Problem> {
    body.check()?;
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
