//! `PATCH /api/v1/webhooks/{id}`.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{WebhookView, find, last_told, tag};
use crate::http::error::Problem;
use crate::http::extract::{JsonBody, PathParams};
use crate::http::precondition::IfMatch;
use crate::http::{HttpState, fields};
use crate::model::{AuditActor, WebhookId, WebhookState};

/// What to change of a receiver.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeWebhook {
    /// `active` or `disabled`.
    state: String,
}

/// Enables or disables a receiver. One that is enabled again is told of what happened meanwhile, as far as
/// it is kept; where it is not, a `narrowcast.gap` says so.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "events",
    params(("id" = u64, Path, description = "The webhook's number")), request_body = ChangeWebhook,
    responses((status = 200, description = "The webhook", body = WebhookView)))]
pub(crate) async fn change_webhook(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<ChangeWebhook>,
) -> Result<Json<WebhookView>, Problem> {
    let words = (WebhookState::ALL, WebhookState::word);
    let wanted = fields::word("state", &body.state, words.0, words.1)?;
    let _editing = state.editing.lock().await;
    let webhook = find(&state, id).await?;
    if_match.check(&tag(webhook.state))?;
    if webhook.state != wanted {
        let stamp = state.stamp(actor);
        let changed = state.store.set_webhook_state(WebhookId(id), wanted, stamp);
        let changed = changed.await;
        changed.map_err(|error| Problem::of_store(error, format_args!("webhook {id}")))?;
        state.events.change_webhooks();
    }
    let last = state.store.last_event().await?;
    let told = last_told(&state).await?;
    Ok(Json(WebhookView::of(find(&state, id).await?, last, told)))
}
