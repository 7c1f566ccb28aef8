//! `DELETE /api/v1/webhooks/{id}`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;

use crate::http::HttpState;
use crate::http::error::Problem;
use crate::http::extract::PathParams;
use crate::model::{AuditActor, WebhookId};

/// Takes a receiver away, with its deliveries.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "events",
    params(("id" = u64, Path, description = "The webhook's number")),
    responses((status = 204, description = "Taken away")))]
pub(crate) async fn delete_webhook(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    let removed = state
        .store
        .remove_webhook(WebhookId(id), state.stamp(actor));
    let removed = removed.await;
    removed.map_err(|error| Problem::of_store(error, format_args!("webhook {id}")))?;
    state.events.change_webhooks();
    Ok(StatusCode::NO_CONTENT)
}
