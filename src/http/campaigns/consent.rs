//! `POST /api/v1/campaigns/{id}/consent` and `/tasks/{task}/consent`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::find;
use super::view::CampaignView;
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::model::{AuditActor, CampaignId, TaskId};

/// What somebody says to an update.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsentGiven {
    /// Whether it is agreed to. Refused, it is stopped.
    granted: bool,
}

/// 用户确认升级: agrees to the update of all of a campaign's devices, those that come later among them; or
/// refuses it for all that nobody has agreed to.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/consent", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    request_body = ConsentGiven,
    responses((status = 200, description = "Taken", body = CampaignView)))]
pub(crate) async fn consent_to_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    JsonBody(body): JsonBody<ConsentGiven>,
) -> Result<Json<CampaignView>, Problem> {
    decide(&state, actor, id, None, &body).await
}

/// 用户确认升级: agrees to the update of one device, or refuses it.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/tasks/{task}/consent", tag = "campaigns",
    params(
        ("id" = u64, Path, description = "The campaign's number"),
        ("task" = u64, Path, description = "The task's number"),
    ),
    request_body = ConsentGiven,
    responses((status = 200, description = "Taken", body = CampaignView)))]
pub(crate) async fn consent_to_task(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams((id, task)): PathParams<(u64, u64)>,
    JsonBody(body): JsonBody<ConsentGiven>,
) -> Result<Json<CampaignView>, Problem> {
    decide(&state, actor, id, Some(TaskId(task)), &body).await
}

async fn decide(
    state: &HttpState,
    actor: AuditActor,
    id: u64,
    task: Option<TaskId>,
    body: &ConsentGiven,
) -> Result<Json<CampaignView>, Problem> {
    find(state, id).await?;
    // Whose tasks the engine is still being given are meant too.
    let _activation = match task {
        None => Some(state.activation.lock().await),
        Some(_) => None,
    };
    let command = Command::Consent {
        campaign: CampaignId(id),
        task,
        granted: body.granted,
        by: actor.name.clone(),
    };
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(state, id).await?.into()))
}
