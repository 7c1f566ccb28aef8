//! `GET /api/v1/groups/{id}/devices`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{find_group, members_tag};
use crate::http::error::Problem;
use crate::http::extract::{PathParams, QueryParams};
use crate::http::find::find_devices;
use crate::http::page::PageQuery;
use crate::http::{HttpState, fields};
use crate::model::{EndpointName, GroupId};

/// A device of a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupDevice)]
pub(crate) struct GroupDeviceView {
    /// Its endpoint client name.
    endpoint: String,
}

impl From<EndpointName> for GroupDeviceView {
    fn from(endpoint: EndpointName) -> Self {
        Self {
            endpoint: endpoint.to_string(),
        }
    }
}

/// Lists the devices of a group by endpoint name. Where a filter finds them, a page may have fewer rows than
/// its limit and yet another behind it.
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
    let group = found.map_err(|error| Problem::of_store(error, format_args!("group {id}")))?;
    if let Some(filter) = &group.filter {
        let filter = fields::filter("filter", filter)?;
        let found = find_devices(&state, &filter, &page).await?;
        let endpoints = found.devices.into_iter().map(|it| it.device.endpoint);
        let rows = endpoints.map(GroupDeviceView::from).collect();
        let next = page.next_after(found.next);
        return Ok(next.respond(&format!("/api/v1/groups/{id}/devices"), &[], rows));
    }
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
    let rows: Vec<_> = endpoints.into_iter().map(GroupDeviceView::from).collect();
    let response = next.respond(&format!("/api/v1/groups/{id}/devices"), &[], rows);
    Ok(match tag {
        Some(tag) => tag.on(response),
        None => response,
    })
}
