//! `POST /api/v1/groups`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};

use super::{GroupFields, GroupView};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::JsonBody;
use crate::model::AuditActor;
use crate::store::DeviceGroup;

/// Makes an empty group, or one of what a filter finds.
#[utoipa::path(post, path = "/api/v1/groups", tag = "groups", request_body = GroupFields,
    responses((status = 201, description = "Made", body = GroupView)))]
pub(crate) async fn create_group(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    JsonBody(body): JsonBody<GroupFields>,
) -> Result<impl IntoResponse, Problem> {
    body.check()?;
    let stamp = state.stamp(actor);
    let created_at = stamp.at;
    let added = match &body.filter {
        None => state.store.add_group(&body.name, stamp).await,
        Some(filter) => {
            let added = state
                .store
                .add_filter_group(&body.name, filter, stamp)
                .await;
            state.live.note_change();
            added
        }
    };
    let id = added.map_err(|error| {
        Problem::of_store(error, format_args!("group '{}'", body.name)).with_field("name")
    })?;
    let location = format!("/api/v1/groups/{}", id.0);
    let view = GroupView::from(DeviceGroup {
        id,
        name: body.name,
        devices: 0,
        filter: body.filter,
        created_at,
    });
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::CREATED, headers, Json(view)))
}
