//! `DELETE /api/v1/groups/{id}/devices`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::find_list;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::{AuditActor, GroupId};

/// Takes every device out of a group; the group and the devices stay.
#[utoipa::path(delete, path = "/api/v1/groups/{id}/devices", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")),
    responses((status = 204, description = "The group is empty")))]
pub(crate) async fn clear_group_devices(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    find_list(&state, id).await?;
    let _editing = state.editing.lock().await;
    let stamp = state.stamp(actor);
    let cleared = state.store.replace_group_devices(GroupId(id), &[], stamp);
    let cleared = cleared.await;
    cleared.map_err(|error| Problem::of_store(error, format_args!("group {id}")))?;
    Ok(StatusCode::NO_CONTENT)
}
