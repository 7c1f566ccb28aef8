//! `POST` and `DELETE /api/v1/campaigns/{id}/archive`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};

use super::find;
use super::view::CampaignView;
use crate::clock::Utc;
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::PathParams;
use crate::model::{AuditAction, AuditActor, Campaign, NewAuditEntry, Record};

/// Puts a draft or an ended campaign away: it is kept with all that is known of it, and no longer among
/// those that are listed, unless asked for with `?archived=true`.
#[utoipa::path(post, path = "/api/v1/campaigns/{id}/archive", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Put away", body = CampaignView)))]
pub(crate) async fn archive_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<Json<CampaignView>, Problem> {
    let now = state.now_utc();
    change(&state, actor, id, Some(now), AuditAction::CampaignArchived).await
}

/// Takes a campaign out again that was put away.
#[utoipa::path(delete, path = "/api/v1/campaigns/{id}/archive", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "Taken out", body = CampaignView)))]
pub(crate) async fn unarchive_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<Json<CampaignView>, Problem> {
    change(&state, actor, id, None, AuditAction::CampaignUnarchived).await
}

/// That a campaign is not put away: nothing of one begins that is not listed.
pub(super) fn check_not_archived(campaign: &Campaign) -> Result<(), Problem> {
    if campaign.archived_at.is_none() {
        return Ok(());
    }
    let detail = "the campaign was put away: take it out first (DELETE .../archive)";
    Err(Problem::new(kinds::INVALID_TRANSITION, detail))
}

/// Nobody activates it, nor tries its tasks again, meanwhile.
async fn change(
    state: &HttpState,
    actor: AuditActor,
    id: u64,
    at: Option<Utc>,
    action: AuditAction,
) -> Result<Json<CampaignView>, Problem> {
    let _activation = Arc::clone(&state.activation).lock_owned().await;
    let (campaign, _) = find(state, id).await?;
    campaign.state.archive()?;
    if campaign.archived_at.is_some() != at.is_some() {
        let entry = NewAuditEntry {
            stamp: state.stamp(actor),
            action,
            object: id.to_string(),
            details: Vec::new(),
        };
        let archived = Record::CampaignArchived {
            id: campaign.id,
            at,
        };
        let records = vec![archived, Record::Audit(entry)];
        state.store.commit(records).await?;
    }
    Ok(Json(find(state, id).await?.into()))
}
