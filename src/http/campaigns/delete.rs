//! `DELETE /api/v1/campaigns/{id}`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::find;
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::PathParams;
use crate::model::{AuditActor, CampaignState};

/// Takes a draft or an ended campaign away, with its tasks. One that was stopped is refused while devices of
/// it are still at work.
#[utoipa::path(delete, path = "/api/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_campaign(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    // Nobody has its tasks tried again meanwhile.
    let _activation = Arc::clone(&state.activation).lock_owned().await;
    let (campaign, counts) = find(&state, id).await?;
    campaign.state.delete()?;
    if campaign.state == CampaignState::Stopped && counts.pending + counts.running > 0 {
        let detail =
            "devices of the stopped campaign are still at work: delete it when they have ended";
        return Err(Problem::new(kinds::INVALID_TRANSITION, detail));
    }
    let stamp = state.stamp(actor);
    let removed = state
        .store
        .remove_campaign(campaign.id, campaign.state, stamp);
    let removed = removed.await;
    removed.map_err(|error| Problem::of_store(error, format_args!("campaign {id}")))?;
    Ok(StatusCode::NO_CONTENT)
}
