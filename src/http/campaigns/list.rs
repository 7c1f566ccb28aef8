//! `GET /api/v1/campaigns`.

use axum::extract::State;
use axum::response::Response;

use super::view::CampaignView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;

/// Lists campaigns by number.
#[utoipa::path(get, path = "/api/v1/campaigns", tag = "campaigns", params(PageQuery),
    responses((status = 200, description = "The campaigns", body = Vec<CampaignView>)))]
pub(crate) async fn list_campaigns(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let mut campaigns = state.store.campaigns(page.to_store()).await?;
    let next = page.cut(&mut campaigns, |(campaign, _)| campaign.id.0.to_string());
    let rows: Vec<_> = campaigns.into_iter().map(CampaignView::from).collect();
    Ok(next.respond("/api/v1/campaigns", &[], rows))
}
