//! `GET /api/v1/campaigns/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::change::tag;
use super::find;
use super::view::CampaignView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;

/// One campaign.
#[utoipa::path(get, path = "/api/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = u64, Path, description = "The campaign's number")),
    responses((status = 200, description = "The campaign", body = CampaignView)))]
pub(crate) async fn show_campaign(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
) -> Result<Response, Problem> {
    let found = find(&state, id).await?;
    let tag = tag(&found.0);
    Ok(tag.with(Json(CampaignView::from(found))))
}
