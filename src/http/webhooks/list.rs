//! `GET /api/v1/webhooks`.

use axum::extract::State;
use axum::response::Response;

use super::{WebhookView, last_told};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::QueryParams;
use crate::http::page::PageQuery;

/// Lists receivers of events by number.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "events", params(PageQuery),
    responses((status = 200, description = "The webhooks", body = Vec<WebhookView>)))]
pub(crate) async fn list_webhooks(
    State(state): State<HttpState>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    let mut webhooks = state.store.webhooks(page.to_store()).await?;
    let next = page.cut(&mut webhooks, |webhook| webhook.id.0.to_string());
    let last = state.store.last_event().await?;
    let told = last_told(&state).await?;
    let rows: Vec<_> = webhooks
        .into_iter()
        .map(|webhook| WebhookView::of(webhook, last, told))
        .collect();
    Ok(next.respond("/api/v1/webhooks", &[], rows))
}
