//! `GET /api/v1/devices`.

use axum::extract::State;
use axum::response::Response;

use super::view::DeviceView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;

/// Lists devices by endpoint name.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(PageQuery),
    responses((status = 200, description = "The devices", body = Vec<DeviceView>)))]
pub(crate) async fn list_devices(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_name()?;
    let mut devices = state.store.devices(page.to_store()).await?;
    let next = page.cut(&mut devices, |device| device.endpoint.to_string());
    let mut rows = Vec::with_capacity(devices.len());
    for device in devices {
        rows.push(DeviceView::of(&state, device).await?);
    }
    Ok(next.respond("/api/v1/devices", &[], rows))
}
