//! `POST /api/v1/campaigns/{id}/stop`.

use axum::extract::State;
use axum::{Extension, Json};

use super::find;
use super::view::CampaignView;
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::AuditActor;

/// Ends an active campaign: nothing new starts, and no device is told to flash any more.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/stop", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Stopped", body = CampaignView)))]
pub(crate) async fn stop_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<Json<CampaignView>, Problem> {
    let (campaign, _) = find(&state, id).await?;
    campaign.state.stop()?;
    let command = Command::StopCampaign(campaign.id);
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(&state, id).await?.into()))
}
