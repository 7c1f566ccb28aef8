//! `PUT /api/v1/groups/{id}/devices`.

use axum::extract::State;
use axum::{Extension, Json};

use super::members::{GroupDevices, members_or_unknown};
use super::{GroupView, find_group, find_list, members_tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::http::precondition::IfMatch;
use crate::model::{AuditActor, GroupId};

/// Makes these known devices the group's, and no others, all or none; the same list again changes
/// nothing.
#[utoipa::path(put, path = "/api/v1/groups/{id}/devices", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")), request_body = GroupDevices,
    responses((status = 200, description = "The group", body = GroupView)))]
pub(crate) async fn replace_group_devices(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<GroupDevices>,
) -> Result<Json<GroupView>, Problem> {
    let of_group = |error| Problem::of_store(error, format_args!("group {id}"));
    find_list(&state, id).await?;
    let devices = body.parse(&state)?;
    let _editing = state.editing.lock().await;
    if if_match.is_given() {
        if_match.check(&members_tag(&state, GroupId(id)).await?)?;
    }
    let stamp = state.stamp(actor);
    let replaced = state
        .store
        .replace_group_devices(GroupId(id), &devices, stamp);
    members_or_unknown(&state, id, &devices, replaced.await).await?;
    state.live.note_change();
    let group = find_group(&state, GroupId(id)).await.map_err(of_group)?;
    Ok(Json(group.into()))
}
