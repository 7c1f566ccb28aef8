//! `PUT /api/v1/devices/{endpoint}`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::DeviceView;
use super::{DeviceFields, tag};
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::blocking::to_the_end;
use crate::http::campaigns::misfit;
use crate::http::error::{Problem, kinds};
use crate::http::extract::{JsonBody, PathParams};
use crate::http::language::Preferred;
use crate::http::precondition::IfMatch;
use crate::model::{AuditActor, Device, Language};

/// What the operator says of a device. What is left out is no longer said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceDevice {
    /// 厂商名称; where it is left out, what the device reports counts.
    manufacturer: Option<String>,
    /// 型号; where it is left out, what the device reports counts.
    model: Option<String>,
    /// 设备类型: no device reports it.
    device_type: Option<String>,
    /// 标签, at most 16.
    #[serde(default)]
    tags: Vec<String>,
}

/// Replaces what the operator says of a device, such as the device type that one which onboarding let in
/// lacks: campaigns made from then on may have it. A change is refused while an unfinished task of the
/// device is of a package that would then not be for it.
#[utoipa::path(put, path = "/api/v1/devices/{endpoint}", tag = "devices",
    params(("endpoint" = String, Path, description = "The endpoint client name")),
    request_body = ReplaceDevice,
    responses((status = 200, description = "Replaced", body = DeviceView)))]
pub(crate) async fn replace_device(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(endpoint): PathParams<String>,
    Preferred(language): Preferred,
    if_match: IfMatch,
    JsonBody(body): JsonBody<ReplaceDevice>,
) -> Result<Json<DeviceView>, Problem> {
    let fields = DeviceFields {
        endpoint: &endpoint,
        manufacturer: body.manufacturer.as_deref(),
        model: body.model.as_deref(),
        device_type: body.device_type.as_deref(),
        tags: body.tags,
    };
    let said = fields.parse(&state)?;
    let products = Arc::clone(&state.products).write_owned().await;
    let endpoint = said.endpoint.clone();
    let unknown = move |error| Problem::of_store(error, format_args!("device '{endpoint}'"));
    let stored = state.store.device(&said.endpoint).await.map_err(&unknown)?;
    if_match.check(&tag(&stored))?;
    let device = Device {
        created_at: stored.created_at,
        ..said.clone()
    };
    check_tasks(&state, &device, language).await?;
    to_the_end(async move {
        let _products = products;
        let stamp = state.stamp(actor);
        let replaced = state.store.replace_device(&device, stamp).await;
        replaced.map_err(unknown)?;
        state.live.note_change();
        let command = Command::AddDevices(vec![device.clone()]);
        state.engine.tell(command).await?;
        Ok(Json(DeviceView::of(&state, device).await?))
    })
    .await
}

/// A task was made because its package is for the device, and must stay so until it is final.
async fn check_tasks(
    state: &HttpState,
    device: &Device,
    language: Language,
) -> Result<(), Problem> {
    for task in state.store.unfinished_tasks(&device.endpoint).await? {
        let (campaign, _) = state.store.campaign(task.campaign).await?;
        let package = state.store.package(campaign.package).await?;
        if let Some(why) = misfit(state, device.clone(), &package, language).await? {
            let (task, campaign) = (task.id.0, campaign.id.0);
            let detail = format!("task {task} of campaign {campaign} is not finished: {why}");
            return Err(Problem::new(kinds::UPDATE_ACTIVE, detail));
        }
    }
    Ok(())
}
