//! `/api/v1/devices/{endpoint}/requests`: what was asked of a device, and what became of it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Extension, Json};

use super::view::DeviceRequestView;
use super::{known, requests_of};
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{PathParams, QueryParams};
use crate::http::page::PageQuery;
use crate::model::{AuditActor, DeviceRequestId};

/// Requests to a device by number: those that wait, and the last that have ended.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}/requests", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name"), PageQuery),
    responses((status = 200, description = "A page of requests", body = Vec<DeviceRequestView>)))]
pub(crate) async fn list_device_requests(
    State(state): State<HttpState>,
    PathParams(endpoint): PathParams<String>,
    QueryParams(page): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = page.by_number()?;
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    known(&state, &endpoint).await?;
    let mut requests = state
        .store
        .device_requests(&endpoint, page.to_store())
        .await?;
    let next = page.cut(&mut requests, |request| request.id.0.to_string());
    let views: Vec<_> = requests.iter().map(DeviceRequestView::of).collect();
    Ok(next.respond(&requests_of(&endpoint), &[], views))
}

/// One request to a device.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}/requests/{id}", tag = "devices",
    params(
        ("endpoint" = String, Path, description = "The endpoint client name"),
        ("id" = u64, Path, description = "The request's number"),
    ),
    responses((status = 200, description = "The request", body = DeviceRequestView)))]
pub(crate) async fn show_device_request(
    State(state): State<HttpState>,
    PathParams((endpoint, id)): PathParams<(String, u64)>,
) -> Result<Json<DeviceRequestView>, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    let found = state
        .store
        .device_request(&endpoint, DeviceRequestId(id))
        .await;
    let request = found.map_err(|error| Problem::of_store(error, format_args!("request {id}")))?;
    Ok(Json(DeviceRequestView::of(&request)))
}

/// Takes back a request that still waits.
#[utoipa::path(delete, path = "/api/v1/devices/{endpoint}/requests/{id}", tag = "devices",
    params(
        ("endpoint" = String, Path, description = "The endpoint client name"),
        ("id" = u64, Path, description = "The request's number"),
    ),
    responses((status = 204, description = "Taken back")))]
pub(crate) async fn cancel_device_request(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams((endpoint, id)): PathParams<(String, u64)>,
) -> Result<StatusCode, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    let id = DeviceRequestId(id);
    let found = state.store.device_request(&endpoint, id).await;
    found.map_err(|error| Problem::of_store(error, format_args!("request {}", id.0)))?;
    let command = Command::CancelDeviceRequest {
        endpoint: endpoint.clone(),
        id,
    };
    tracing::info!(%endpoint, id = id.0, token = actor.name, "a request to a device is taken back");
    state.engine.command_by(actor, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
