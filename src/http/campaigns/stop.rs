//! `POST /api/v1/campaigns/{id}/stop` and `/tasks/{task}/stop`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::find;
use super::view::CampaignView;
use crate::engine::Command;
use crate::http::error::Problem;
use crate::http::extract::{OptionalJsonBody, PathParams};
use crate::http::{HttpState, fields};
use crate::model::{AuditActor, CampaignId, CampaignState, StopMode, TaskId};

/// How to stop.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stop {
    /// `soft`, unless said otherwise: what has begun may end, as it would have. `hard`: what fetches is
    /// cancelled, and no device is told to install any more; one that was told before is followed to its
    /// end. A campaign that is halted is stopped `hard` whatever is said.
    mode: Option<String>,
}

impl Stop {
    fn parse(&self) -> Result<StopMode, Problem> {
        self.mode.as_deref().map_or(Ok(StopMode::Soft), |word| {
            fields::word("mode", word, StopMode::ALL, StopMode::word)
        })
    }
}

/// Ends an active campaign: nothing new starts. One that is being stopped softly may be stopped hard.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/stop", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    request_body = Option<Stop>,
    responses((status = 200, description = "Stopped", body = CampaignView)))]
pub(crate) async fn stop_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    OptionalJsonBody(body): OptionalJsonBody<Stop>,
) -> Result<Json<CampaignView>, Problem> {
    let mode = body.parse()?;
    let (campaign, counts) = find(&state, id).await?;
    let is_stopping =
        campaign.state == CampaignState::Stopped && counts.pending + counts.running > 0;
    if !(is_stopping && mode == StopMode::Hard) {
        campaign.state.stop()?;
    }
    let command = Command::StopCampaign {
        id: campaign.id,
        mode,
    };
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(&state, id).await?.into()))
}

/// Ends the update of one device; its campaign goes on.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/tasks/{task}/stop", tag = "campaigns",
    params(
        ("id" = u64, Path, description = "The campaign's number"),
        ("task" = u64, Path, description = "The task's number"),
    ),
    request_body = Option<Stop>,
    responses((status = 200, description = "Stopped", body = CampaignView)))]
pub(crate) async fn stop_task(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams((id, task)): PathParams<(u64, u64)>,
    OptionalJsonBody(body): OptionalJsonBody<Stop>,
) -> Result<Json<CampaignView>, Problem> {
    let mode = body.parse()?;
    find(&state, id).await?;
    let command = Command::StopTask {
        campaign: CampaignId(id),
        task: TaskId(task),
        mode,
    };
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(&state, id).await?.into()))
}
