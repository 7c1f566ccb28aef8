//! Campaigns of a product that are not over.

use crate::http::HttpState;
use crate::http::error::Problem;
use crate::model::{CampaignId, CampaignState, Package, Product};
use crate::store::{Page, TaskCounts};

/// How many campaigns are read at a time.
const CAMPAIGNS_PAGE: u32 = 1000;

/// The first campaign for the product that is wanted.
pub(super) async fn campaign_of(
    state: &HttpState,
    product: &Product,
    is_wanted: impl Fn(CampaignState, &TaskCounts) -> bool,
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
            if !is_wanted(campaign.state, &counts) {
                continue;
            }
            let package = state.store.package(campaign.package).await?;
            if is_for(&package, product) {
                return Ok(Some(campaign.id));
            }
        }
    }
}

/// Whether devices of it are at work, or may begin without an activation.
pub(super) fn is_under_way(state: CampaignState, counts: &TaskCounts) -> bool {
    state != CampaignState::Draft && !is_over(state, counts)
}

/// Whether it is neither a draft nor active, nor stopped with devices still at work.
pub(super) const fn is_over(state: CampaignState, counts: &TaskCounts) -> bool {
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
