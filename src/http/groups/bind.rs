//! `POST /api/v1/groups/{id}/devices`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{GroupView, find_group};
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams};
use crate::model::{EndpointName, GroupId};
use crate::store::StoreError;

/// Devices to put into a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BindDevices {
    /// Their endpoint client names.
    devices: Vec<String>,
}

/// 绑定设备: puts known devices into a group, all or none. Those already in it are left as they are.
#[utoipa::path(post, path = "/api/v1/groups/{id}/devices", tag = "groups",
    params(("id" = u64, Path, description = "The group's number")), request_body = BindDevices,
    responses((status = 200, description = "The group", body = GroupView)))]
pub(crate) async fn bind_devices(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
    JsonBody(body): JsonBody<BindDevices>,
) -> Result<Json<GroupView>, Problem> {
    let of_group = |error| Problem::of_store(error, format_args!("group {id}"));
    find_group(&state, GroupId(id)).await.map_err(of_group)?;
    let devices = parse_devices(&state, &body.devices)?;
    match state.store.bind_devices(GroupId(id), &devices).await {
        Ok(()) => {}
        Err(StoreError::NotFound) => return Err(unknown_device(&state, &devices).await),
        Err(error) => return Err(of_group(error)),
    }
    let group = find_group(&state, GroupId(id)).await.map_err(of_group)?;
    Ok(Json(group.into()))
}

fn parse_devices(state: &HttpState, texts: &[String]) -> Result<Vec<EndpointName>, Problem> {
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| state.endpoint(&format!("devices[{index}]"), text))
        .collect()
}

/// Names the first device that is not there.
async fn unknown_device(state: &HttpState, devices: &[EndpointName]) -> Problem {
    for (index, endpoint) in devices.iter().enumerate() {
        if let Err(StoreError::NotFound) = state.store.device(endpoint).await {
            let detail = format!("devices[{index}]: there is no device '{endpoint}'");
            let problem = Problem::new(kinds::UNKNOWN_REFERENCE, detail);
            return problem.with_field(format!("devices[{index}]"));
        }
    }
    StoreError::NotFound.into()
}
