//! `POST /api/v1/devices`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::DeviceView;
use super::{DeviceFields, enter};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::JsonBody;
use crate::http::page::percent;
use crate::model::AuditActor;

/// A device to enter.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDevice {
    /// The LwM2M endpoint client name.
    endpoint: String,
    /// 厂商名称.
    manufacturer: Option<String>,
    /// 型号.
    model: Option<String>,
    /// 设备类型.
    device_type: Option<String>,
    /// 标签, at most 16.
    #[serde(default)]
    tags: Vec<String>,
}

/// Enters a device: it may register from now on.
#[utoipa::path(post, path = "/api/v1/devices", tag = "devices", request_body = CreateDevice,
    responses((status = 201, description = "Entered", body = DeviceView)))]
pub(crate) async fn create_device(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    JsonBody(body): JsonBody<CreateDevice>,
) -> Result<impl IntoResponse, Problem> {
    let fields = DeviceFields {
        endpoint: &body.endpoint,
        manufacturer: body.manufacturer.as_deref(),
        model: body.model.as_deref(),
        device_type: body.device_type.as_deref(),
        tags: body.tags,
    };
    let device = fields.parse(&state)?;
    enter(&state, actor, vec![device.clone()]).await?;
    let location = format!("/api/v1/devices/{}", percent(device.endpoint.as_str()));
    let view = Json(DeviceView::of(&state, device).await?);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], view))
}
