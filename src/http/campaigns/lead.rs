//! `POST /api/v1/campaigns/{id}/pause`, `/resume`, `/halt`, `/approve`, and `POST /api/v1/halt`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::change::tag;
use super::find;
use super::view::CampaignView;
use crate::engine::{Command, CommandError};
use crate::http::error::{Problem, kinds};
use crate::http::extract::PathParams;
use crate::http::precondition::IfMatch;
use crate::http::{EngineError, HttpState};
use crate::model::{
    AuditAction, AuditActor, Campaign, CampaignState, Milestone, NewAuditEntry, NewEvent,
    PauseReason, Record, RolloutState, RolloutStep,
};
use crate::store::Page;

/// How many campaigns are read at a time.
const CAMPAIGNS_PAGE: u32 = 1000;

/// Nothing new of a campaign starts until it is resumed; what has begun goes on.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/pause", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Paused", body = CampaignView)))]
pub(crate) async fn pause_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<Json<CampaignView>, Problem> {
    let (campaign, _) = find(&state, id).await?;
    campaign.state.pause()?;
    let command = Command::PauseCampaign {
        id: campaign.id,
        halted: false,
    };
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(&state, id).await?.into()))
}

/// 急停: as `pause`, and no device is told to install what it has. A paused campaign is halted too; one that
/// is being stopped softly is stopped hard. One whose activation, or retry, is under way does not begin by it:
/// it stays what it is.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/halt", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Halted", body = CampaignView)))]
pub(crate) async fn halt_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<Json<CampaignView>, Problem> {
    let (campaign, counts) = find(&state, id).await?;
    let is_stopping =
        campaign.state == CampaignState::Stopped && counts.pending + counts.running > 0;
    let begins = state.engine.is_about_to_begin(campaign.id);
    if campaign.state != CampaignState::Paused && !is_stopping && !begins {
        campaign.state.pause()?;
    }
    match state.engine.halt(actor, Some(campaign.id)).await {
        // It will not begin.
        Err(EngineError::Refused(CommandError::NotActive)) if begins => {}
        outcome => outcome?,
    }
    Ok(Json(find(&state, id).await?.into()))
}

/// The campaigns that are halted now.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Halted {
    /// Their numbers.
    campaigns: Vec<u64>,
    /// Those that are being stopped, hard from now on.
    stopping: Vec<u64>,
}

/// 急停: halts every active campaign. Those that are being stopped softly are stopped hard. Those whose
/// activation, or retry, is under way do not begin: that is answered 409.
#[utoipa::path(post, path = "/api/v1/halt", tag = "campaigns",
    responses((status = 200, description = "All are halted", body = Halted)))]
pub(crate) async fn halt_all(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
) -> Result<Json<Halted>, Problem> {
    state.engine.halt(actor, None).await?;
    let (mut answer, mut after) = (Halted::default(), None);
    loop {
        let limit = CAMPAIGNS_PAGE;
        let listed = state.store.campaigns(Page { after, limit }).await?;
        let halted = listed.iter().filter(|(campaign, _)| {
            campaign.state.is_active() && campaign.rollout.paused == Some(PauseReason::Halted)
        });
        let campaigns = halted.map(|(campaign, _)| campaign.id.0);
        answer.campaigns.extend(campaigns);
        let stopping = listed.iter().filter(|(campaign, counts)| {
            campaign.state == CampaignState::Stopped && counts.pending + counts.running > 0
        });
        let stopping = stopping.map(|(campaign, _)| campaign.id.0);
        answer.stopping.extend(stopping);
        let full = u32::try_from(listed.len()).is_ok_and(|count| count >= limit);
        let Some((last, _)) = listed.last().filter(|_| full) else {
            return Ok(Json(answer));
        };
        after = Some(last.id.0.to_string());
    }
}

/// A paused campaign goes on. What it was paused for by itself is let pass.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/resume", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Resumed", body = CampaignView)))]
pub(crate) async fn resume_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<Json<CampaignView>, Problem> {
    let (campaign, _) = find(&state, id).await?;
    campaign.state.resume()?;
    let command = Command::ResumeCampaign(campaign.id);
    state.engine.command_by(actor, command).await?;
    Ok(Json(find(&state, id).await?.into()))
}

/// Approves a draft whose maker asked for that, as another person than who made it or changed it since; or
/// that the next phase of a rollout begins, as another than who made the campaign. With `If-Match` only what was read is approved; a draft that is changed afterwards is to be
/// approved anew.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/approve", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Approved", body = CampaignView)))]
pub(crate) async fn approve_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
) -> Result<Json<CampaignView>, Problem> {
    let _activation = state.activation.lock().await;
    let (campaign, _) = find(&state, id).await?;
    if_match.check(&tag(&campaign))?;
    if actor.name == campaign.created_by {
        let detail = format!(
            "{} made the campaign: another person has to approve it",
            actor.name
        );
        return Err(Problem::new(kinds::FORBIDDEN, detail));
    }
    if campaign.state == CampaignState::Draft {
        approve_draft(&state, campaign, actor).await?;
    } else if campaign.state.is_active() && campaign.rollout.step == RolloutStep::AwaitingApproval {
        let command = Command::ApprovePhase(campaign.id);
        state.engine.command_by(actor, command).await?;
    } else {
        let detail = "nothing of the campaign waits for an approval";
        return Err(Problem::new(kinds::INVALID_TRANSITION, detail));
    }
    Ok(Json(find(&state, id).await?.into()))
}

async fn approve_draft(
    state: &HttpState,
    campaign: Campaign,
    actor: AuditActor,
) -> Result<(), Problem> {
    if campaign.rollout.changed_by.contains(&actor.name) {
        let detail = format!(
            "{} changed the draft: another person has to approve it",
            actor.name
        );
        return Err(Problem::new(kinds::FORBIDDEN, detail));
    }
    let approved = RolloutState {
        approved_by: Some(actor.name.clone()),
        ..campaign.rollout
    };
    let stamp = state.stamp(actor);
    let given = Milestone::ApprovalGiven;
    let told = NewEvent::of_rollout(stamp.at, campaign.id, given, String::new());
    let entry = NewAuditEntry {
        stamp,
        action: AuditAction::CampaignApproved,
        object: campaign.id.0.to_string(),
        details: Vec::new(),
    };
    let approved = Record::Rollout {
        id: campaign.id,
        state: approved,
    };
    state
        .store
        .commit(vec![approved, Record::Event(told), Record::Audit(entry)])
        .await?;
    Ok(())
}

/// That who has to approve a draft has done so.
pub(super) fn check_approved(campaign: &Campaign) -> Result<(), Problem> {
    if !campaign.policy.rollout.approval_required || campaign.rollout.approved_by.is_some() {
        return Ok(());
    }
    let detail = format!(
        "another person than {} has to approve the campaign first: POST /api/v1/campaigns/{}/approve",
        campaign.created_by, campaign.id.0
    );
    Err(Problem::new(kinds::APPROVAL_REQUIRED, detail))
}
