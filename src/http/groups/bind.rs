//! `POST /api/v1/groups/{id}/devices`.

use axum::extract::State;
use axum::{Extension, Json};

use super::members::{GroupDevices, members_or_unknown};
use super::{GroupView, find_group, find_list};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::model::{AuditActor, GroupId};

/// 绑定设备: puts known devices into a group, all or none. Those already in it are left as they are.
#[utoipa::path(post, path = "/api/v1/groups/{id}/devices", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")), request_body = GroupDevices,
    responses((status = 200, description = "The group", body = GroupView)))]
pub(crate) async fn bind_devices(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    JsonBody(body): JsonBody<GroupDevices>,
) -> Result<Json<GroupView>, Problem> {
    let of_group = |error| Problem::of_store(error, format_args!("group {id}"));
    find_list(&state, id).await?;
    let devices = body.parse(&state)?;
    let _editing = state.editing.lock().await;
    let stamp = state.stamp(actor);
    let bound = state.store.bind_devices(GroupId(id), &devices, stamp).await;
    members_or_unknown(&state, id, &devices, bound).await?;
    state.live.note_change();
    let group = find_group(&state, GroupId(id)).await.map_err(of_group)?;
    Ok(Json(group.into()))
}
