//! `PUT /api/v1/groups/{id}`.

use axum::extract::State;
use axum::{Extension, Json};

use super::{GroupFields, GroupView, find_group, tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::http::precondition::IfMatch;
use crate::model::{AuditActor, GroupId};
use crate::store::StoreError;

/// Gives a group another name, and one of what a filter finds another filter; the devices of a list stay. A
/// filter that is left out stays.
#[utoipa::path(put, path = "/api/v1/groups/{id}", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")), request_body = GroupFields,
    responses((status = 200, description = "The group", body = GroupView)))]
pub(crate) async fn rename_group(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<GroupFields>,
) -> Result<Json<GroupView>, Problem> {
    body.check()?;
    let of_group = |error| Problem::of_store(error, format_args!("group {id}"));
    let _editing = state.editing.lock().await;
    let group = find_group(&state, GroupId(id)).await.map_err(of_group)?;
    if_match.check(&tag(&group))?;
    let stamp = state.stamp(actor);
    let renamed = match (group.filter, body.filter) {
        (None, None) => {
            state
                .store
                .rename_group(GroupId(id), &body.name, stamp)
                .await
        }
        (None, Some(_)) => {
            let fault = "the group is a list, and does not become a filter";
            return Err(Problem::invalid_field("filter", fault));
        }
        (Some(before), after) => {
            let filter = after.unwrap_or(before);
            let store = &state.store;
            let replaced = store.replace_filter_group(GroupId(id), &body.name, &filter, stamp);
            let replaced = replaced.await;
            state.live.note_change();
            replaced
        }
    };
    match renamed {
        Ok(()) => {}
        Err(error @ StoreError::Conflict(_)) => {
            let thing = format_args!("group '{}'", body.name);
            return Err(Problem::of_store(error, thing).with_field("name"));
        }
        Err(error) => return Err(of_group(error)),
    }
    let group = find_group(&state, GroupId(id)).await.map_err(of_group)?;
    Ok(Json(group.into()))
}
