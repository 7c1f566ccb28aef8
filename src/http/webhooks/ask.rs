//! `POST /api/v1/webhooks/{id}/test` and `POST /api/v1/webhooks/{id}/deliveries/{number}/redeliver`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use rand::RngCore;
use rand::rngs::OsRng;

use super::{DeliveryView, find};
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::events::test_event;
use crate::http::extract::PathParams;
use crate::model::{AuditActor, DeliveryState, WebhookDelivery, WebhookId, WebhookState};

/// How many that were asked for by hand may wait at a time.
const ASKED_MAX: usize = 16;

/// Tells a receiver something that did not happen (`narrowcast.test`), to see whether it comes: at once, and
/// beside the events.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "events",
    params(("id" = u64, Path, description = "The webhook's number")),
    responses((status = 202, description = "It will be tried", body = DeliveryView)))]
pub(crate) async fn test_webhook(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams(id): PathParams<u64>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let now = state.now_utc();
    let mut random = [0; 8];
    OsRng.fill_bytes(&mut random);
    let message_id = format!("test-{}", hex::encode(random));
    let delivery = WebhookDelivery {
        number: 0,
        body: test_event(&state.events.source, &message_id, now),
        message_id,
        in_order: false,
        state: DeliveryState::Pending,
        attempts: 0,
        created_at: now,
        last_at: None,
        next_at: Some(now),
        answer_status: None,
        error: String::new(),
    };
    ask(&state, actor, id, delivery).await
}

/// Tells a receiver once more what it was told or should have been, with the same id: at once, and beside
/// the events.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{number}/redeliver", tag = "events",
    params(("id" = u64, Path, description = "The webhook's number"),
        ("number" = u64, Path, description = "The delivery's number")),
    responses((status = 202, description = "It will be tried", body = DeliveryView)))]
pub(crate) async fn redeliver(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    PathParams((id, number)): PathParams<(u64, u64)>,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let found = state.store.delivery(WebhookId(id), number).await;
    let delivery = found.map_err(|error| {
        Problem::of_store(error, format_args!("delivery {number} of webhook {id}"))
    })?;
    if delivery.state == DeliveryState::Pending {
        let detail = format!("delivery {number} is tried anyway");
        return Err(Problem::new(kinds::CONFLICT, detail));
    }
    let now = state.now_utc();
    let again = WebhookDelivery {
        in_order: false,
        state: DeliveryState::Pending,
        attempts: 0,
        created_at: now,
        next_at: Some(now),
        ..delivery
    };
    ask(&state, actor, id, again).await
}

async fn ask(
    state: &HttpState,
    actor: AuditActor,
    id: u64,
    delivery: WebhookDelivery,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    let _editing = state.editing.lock().await;
    if find(state, id).await?.state == WebhookState::Disabled {
        let detail = format!("webhook {id} is disabled; enable it first");
        return Err(Problem::new(kinds::CONFLICT, detail));
    }
    let id = WebhookId(id);
    let waiting = state.store.pending_deliveries(id).await?;
    let asked = waiting.iter().filter(|it| !it.in_order).count();
    if asked >= ASKED_MAX {
        let detail = format!("{asked} deliveries that were asked for by hand still wait");
        return Err(Problem::new(kinds::LIMIT_REACHED, detail));
    }
    let (kept, stamp) = (state.events.limits.deliveries_kept, state.stamp(actor));
    let number = state
        .store
        .ask_delivery(id, delivery.clone(), kept, stamp)
        .await?;
    state.events.change_webhooks();
    let view = WebhookDelivery { number, ..delivery }.into();
    Ok((StatusCode::ACCEPTED, Json(view)))
}
