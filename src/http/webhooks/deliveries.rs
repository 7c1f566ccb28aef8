//! `GET /api/v1/webhooks/{id}/deliveries`.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::find;
use crate::http::error::Problem;
use crate::http::extract::{PathParams, QueryParams};
use crate::http::page::PageQuery;
use crate::http::{HttpState, fields};
use crate::model::{WebhookDelivery, WebhookId};

/// What a receiver was told, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView {
    /// Its place among those of the webhook, from 1 on.
    number: u64,
    /// `webhook-id`: the same at each try.
    message_id: String,
    /// `pending`, `delivered` or `dead`.
    state: &'static str,
    /// Whether later events wait for it; not where it was asked for by hand.
    in_order: bool,
    /// How often it was tried.
    attempts: u32,
    /// When what it tells of happened, or when it was asked for by hand.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last tried.
    #[schema(format = DateTime)]
    last_attempt_at: Option<String>,
    /// When it is tried next.
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// The HTTP status of the last answer.
    answer_status: Option<u16>,
    /// Why there was no answer.
    error: Option<String>,
    /// What is posted.
    #[schema(value_type = Object)]
    event: Value,
}

impl From<WebhookDelivery> for DeliveryView {
    fn from(delivery: WebhookDelivery) -> Self {
        Self {
            number: delivery.number,
            message_id: delivery.message_id,
            state: delivery.state.word(),
            in_order: delivery.in_order,
            attempts: delivery.attempts,
            created_at: fields::time(delivery.created_at),
            last_attempt_at: delivery.last_at.map(fields::time),
            next_attempt_at: delivery.next_at.map(fields::time),
            answer_status: delivery.answer_status,
            error: Some(delivery.error).filter(|error| !error.is_empty()),
            event: serde_json::from_str(&delivery.body).unwrap_or_default(),
        }
    }
}

/// Lists what a receiver was told of late, the newest first: the last 200 (webhooks.deliveries_kept), and
/// what is still to be tried.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "events",
    params(("id" = u64, Path, description = "The webhook's number"), PageQuery),
    responses((status = 200, description = "The deliveries", body = Vec<DeliveryView>)))]
pub(crate) async fn list_deliveries(
    State(state): State<HttpState>,
    PathParams(id): PathParams<u64>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.by_number()?;
    find(&state, id).await?;
    let listed = state.store.deliveries_of(WebhookId(id), page.to_store());
    let mut deliveries = listed.await?;
    let next = page.cut(&mut deliveries, |delivery| delivery.number.to_string());
    let rows: Vec<_> = deliveries.into_iter().map(DeliveryView::from).collect();
    let path = format!("/api/v1/webhooks/{id}/deliveries");
    Ok(next.respond(&path, &[], rows))
}
