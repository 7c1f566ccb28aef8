//! `DELETE /api/v1/groups/{id}/devices/{endpoint}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::find_list;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::{AuditActor, GroupId};

/// Takes a device out of a group; the device stays.
#[utoipa::path(delete, path = "/api/v1/groups/{id}/devices/{endpoint}", tag = "groups",
    params(
        ("id" = u64, Path, description = "The group's number"),
        ("endpoint" = String, Path, description = "The endpoint client name"),
    ),
    responses((status = 204, description = "Taken out")))]
pub(crate) async fn unbind_device(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams((id, endpoint)): PathParams<(u64, String)>,
) -> Result<StatusCode, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    find_list(&state, id).await?;
    let _editing = state.editing.lock().await;
    let stamp = state.stamp(actor);
    let unbound = state.store.unbind_device(GroupId(id), &endpoint, stamp);
    let unbound = unbound.await;
    unbound.map_err(|error| {
        Problem::of_store(error, format_args!("device '{endpoint}' in group {id}"))
    })?;
    Ok(StatusCode::NO_CONTENT)
}
