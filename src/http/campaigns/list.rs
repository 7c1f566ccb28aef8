//! `GET /api/v1/campaigns`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::view::CampaignView;
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;

/// Which campaigns.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CampaignsQuery {
    /// `true`: those that were put away; else those that were not.
    archived: Option<bool>,
    /// The most rows, 1 to 1000; 100 unless said otherwise.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where to go on: taken from the `Link` header of the page before.
    cursor: Option<String>,
}

/// Lists campaigns by number.
#[utoipa::path(get, path = "/api/v1/campaigns", tag = "campaigns", params(CampaignsQuery),
    responses((status = 200, description = "The campaigns", body = Vec<CampaignView>)))]
pub(crate) async fn list_campaigns(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<CampaignsQuery>,
) -> Result<Response, Problem> {
    let page = PageQuery::new(query.limit, query.cursor).by_number()?;
    let archived = query.archived.unwrap_or(false);
    let listed = state.store.campaigns_archived(archived, page.to_store());
    let mut campaigns = listed.await?;
    let next = page.cut(&mut campaigns, |(campaign, _)| campaign.id.0.to_string());
    let rows: Vec<_> = campaigns.into_iter().map(CampaignView::from).collect();
    let shown = query
        .archived
        .map(|archived| if archived { "true" } else { "false" });
    Ok(next.respond("/api/v1/campaigns", &[("archived", shown)], rows))
}
