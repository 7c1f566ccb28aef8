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

/// A campaign, and when it will be done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownCampaign {
    #[serde(flatten)]
    campaign: CampaignView,
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
    let tag = tag(&found.0);
    let eta = eta_of_campaign(&state, &found.0).await;
    Ok(tag.with(Json(ShownCampaign {
        campaign: found.into(),
        eta_seconds: eta.as_ref().map(EtaView::p50_seconds),
        eta,
    })))
}
