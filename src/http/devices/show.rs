//! `GET /api/v1/devices/{endpoint}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::tag;
use super::view::DeviceView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;

/// One device.
#[utoipa::path(get, path = "/api/v1/devices/{endpoint}", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name")),
    responses((status = 200, description = "The device", body = DeviceView)))]
pub(crate) async fn show_device(
    State(state): State<HttpState>,
    PathParams(endpoint): PathParams<String>,
) -> Result<Response, Problem> {
    let endpoint = state.endpoint("endpoint", &endpoint)?;
    let found = state.store.device(&endpoint).await;
    let device =
        found.map_err(|error| Problem::of_store(error, format_args!("device '{endpoint}'")))?;
    let tag = tag(&device);
    Ok(tag.with(Json(DeviceView::of(&state, device).await?)))
}
