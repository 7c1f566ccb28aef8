//! `DELETE /api/v1/groups/{id}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::{AuditActor, GroupId};

/// Takes a group away; its devices stay.
#[utoipa::path(delete, path = "/api/v1/groups/{id}", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_group(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    let _editing = state.editing.lock().await;
    let removed = state
        .store
        .remove_group(GroupId(id), state.stamp(actor))
        .await;
    removed.map_err(|error| Problem::of_store(error, format_args!("group {id}")))?;
    Ok(StatusCode::NO_CONTENT)
}
