//! `GET /api/v1/campaigns/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::change::tag;
use super::eta::{EtaView, eta_of_campaign};
use super::find;
use super::view::CampaignView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::Campaign;
use crate::store::TaskCounts;

/// How much of a campaign's packages devices were served.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServedBytes)]
pub(crate) struct ServedBytes {
    /// By the blocks that devices fetched or took: of each how far it is. What a device fetches anew counts
    /// anew.
    bytes_served: u64,
    /// The package's size for each of the campaign's tasks. A device that ran the version already, or is not
    /// updated, is served nothing of it.
    bytes_total: u64,
}

/// A campaign, and when it will be done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownCampaign {
    #[serde(flatten)]
    campaign: CampaignView,
    /// How far it is by the blocks that were served.
    progress: ServedBytes,
    /// As likely as not it is done by then: seconds from now; null as `eta`.
    eta_seconds: Option<u64>,
    /// When it will be done; reckoned anew once a minute. Null: it is over, or it cannot be said just
    /// now.
    eta: Option<EtaView>,
}

/// One campaign.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "The campaign", body = ShownCampaign)))]
pub(crate) async fn show_campaign(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
) -> Result<Response, Problem> {
    let found = find(&state, id).await?;
    let progress = ServedBytes::of(&state, &found).await?;
    let tag = tag(&found.0);
    let eta = eta_of_campaign(&state, &found.0).await;
    Ok(tag.with(Json(ShownCampaign {
        campaign: found.into(),
        progress,
        eta_seconds: eta.as_ref().map(EtaView::p50_seconds),
        eta,
    })))
}

impl ServedBytes {
    async fn of(
        state: &HttpState,
        (campaign, counts): &(Campaign, TaskCounts),
    ) -> Result<Self, Problem> {
        let package = state.store.package(campaign.package).await?;
        let tasks = [
            counts.pending,
            counts.running,
            counts.succeeded,
            counts.failed,
            counts.stopped,
        ];
        let tasks: u64 = tasks.iter().sum();
        let live = state.live.uncommitted_bytes(campaign.id);
        Ok(Self {
            bytes_served: counts.bytes_served.saturating_add_signed(live),
            bytes_total: tasks.saturating_mul(package.file.size_bytes),
        })
    }
}
