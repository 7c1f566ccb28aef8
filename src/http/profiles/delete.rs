//! `DELETE /api/v1/profiles/{id}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use super::find_profile;
use crate::engine::Command;
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::PathParams;
use crate::model::{AuditActor, CampaignId, CampaignState, Package, Product};
use crate::store::{Page, TaskCounts};

/// How many campaigns are read at a time.
const CAMPAIGNS_PAGE: u32 = 1000;

/// Takes a profile away: devices of the product are treated as by the server's own settings. Refused while
/// a campaign for the product is not over.
#[utoipa::path(delete, path = "/api/v1/profiles/{id}", tag = "profiles",
    params(("id" = u64, Path, description = "The profile's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_profile(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    let _products = state.products.write().await;
    let product = find_profile(&state, id).await?.product;
    if let Some(campaign) = unfinished_campaign(&state, &product).await? {
        let detail = format!("campaign {} is for this product and not over", campaign.0);
        return Err(Problem::new(kinds::PROFILE_IN_USE, detail));
    }
    let removed = state
        .store
        .remove_profile(product.profile, state.stamp(actor));
    removed
        .await
        .map_err(|error| Problem::of_store(error, format_args!("profile {id}")))?;
    let command = Command::RemoveProduct(product.profile);
    state.engine.command(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A campaign for the product that is a draft, active, or stopped with devices still at work.
async fn unfinished_campaign(
    state: &HttpState,
    product: &Product,
) -> Result<Option<CampaignId>, Problem> {
    let mut after = None;
    loop {
        let limit = CAMPAIGNS_PAGE;
        let campaigns = state.store.campaigns(Page { after, limit }).await?;
        let Some((last, _)) = campaigns.last() else {
            return Ok(None);
        };
        after = Some(last.id.0.to_string());
        for (campaign, counts) in campaigns {
            if is_over(campaign.state, &counts) {
                continue;
            }
            let package = state.store.package(campaign.package).await?;
            if is_for(&package, product) {
                return Ok(Some(campaign.id));
            }
        }
    }
}

const fn is_over(state: CampaignState, counts: &TaskCounts) -> bool {
    match state {
        CampaignState::Succeeded | CampaignState::Failed => true,
        CampaignState::Stopped => counts.pending == 0 && counts.running == 0,
        CampaignState::Draft
        | CampaignState::Scheduled
        | CampaignState::Running
        | CampaignState::Paused => false,
    }
}

fn is_for(package: &Package, product: &Product) -> bool {
    package.manufacturer == product.manufacturer
        && package.model == product.model
        && package.device_type == product.device_type
}
