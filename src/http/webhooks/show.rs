//! `GET /api/v1/webhooks/{id}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::{WebhookView, find, last_told, tag};
use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;

/// Shows a receiver of events.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "events",
    params(("id" = u64, Path, description = "The webhook's number")),
    responses((status = 200, description = "The webhook", body = WebhookView)))]
pub(crate) async fn show_webhook(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
) -> Result<Response, Problem> {
    let webhook = find(&state, id).await?;
    let last = state.store.last_event().await?;
    let tag = tag(webhook.state);
    let told = last_told(&state).await?;
    Ok(tag.with(Json(WebhookView::of(webhook, last, told))))
}
