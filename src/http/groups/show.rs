//! `GET /api/v1/groups/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::{GroupView, find_group, tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::GroupId;

/// One group.
#[utoipa::path(get, path = "/api/v1/groups/{id}", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")),
    responses((status = 200, description = "The group", body = GroupView)))]
pub(crate) async fn show_group(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
) -> Result<Response, Problem> {
    let found = find_group(&state, GroupId(id)).await;
    let group = found.map_err(|error| Problem::of_store(error, format_args!("group {id}")))?;
    Ok(tag(&group).with(Json(GroupView::from(group))))
}
