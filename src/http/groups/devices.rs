//! `GET /api/v1/groups/{id}/devices`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{find_group, members_tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{PathParams, QueryParams};
use crate::http::page::PageQuery;
use crate::model::GroupId;

/// A device of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupDevice)]
pub(crate) struct GroupDeviceView {
    /// Its endpoint client name.
    endpoint: String,
}

/// Lists the devices of a group by endpoint name.
#[utoipa::path(get, path = "/api/v1/groups/{id}/devices", tag = "groups",
    params(("id" = u64, Path, description = "The group's number"), PageQuery),
    responses((status = 200, description = "The devices", body = Vec<GroupDeviceView>)))]
pub(crate) async fn list_group_devices(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_name()?;
    let found = find_group(&state, GroupId(id)).await;
    found.map_err(|error| Problem::of_store(error, format_args!("group {id}")))?;
    // Of the whole list, on its first page. Before its rows are read: a change between the two makes
    // a change that rests on them a stale one, and never the other way round.
    let tag = if page.after().is_none() {
        Some(members_tag(&state, GroupId(id)).await?)
    } else {
        None
    };
    let listed = state
        .store
        .group_devices(GroupId(id), page.to_store())
        .await;
    let mut endpoints = listed?;
    let next = page.cut(&mut endpoints, ToString::to_string);
    let rows: Vec<_> = endpoints
        .iter()
        .map(|endpoint| GroupDeviceView {
            endpoint: endpoint.to_string(),
        })
        .collect();
    let response = next.respond(&format!("/api/v1/groups/{id}/devices"), &[], rows);
    Ok(match tag {
        Some(tag) => tag.on(response),
        None => response,
    })
}
