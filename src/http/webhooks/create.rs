//! `POST /api/v1/webhooks`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{HookUrl, WebhookView, last_told};
use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::extract::JsonBody;
use crate::model::{AuditActor, EventFilter, Webhook, WebhookId, WebhookState};
use crate::store::Page;

/// What secrets begin with (Standard Webhooks).
const SECRET_PREFIX: &str = "whsec_";
/// How long they are, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A receiver to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateWebhook {
    /// Where events are posted to, by HTTPS or HTTP. Redirects are not followed.
    url: String,
    /// Of what it is told: `campaign:12`, `task:7` or `device:<endpoint>`; of all, where left out.
    #[serde(default)]
    topics: Vec<String>,
    /// Of which types of events: `task.failed` or `campaign.*`; of all, where left out.
    #[serde(default)]
    types: Vec<String>,
    /// What deliveries are signed with: `whsec_` and 24 to 64 bytes in base64. Made, where left out.
    secret: Option<String>,
}

/// A receiver that was made. `Debug` is left out: it holds the secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedWebhook {
    /// What its deliveries are signed with: shown this once.
    secret: String,
    /// What it is.
    #[serde(flatten)]
    webhook: WebhookView,
}

/// Makes a receiver of what happens from now on. Each event is posted as a CloudEvent 1.0 in JSON
/// (`application/cloudevents+json`) with the headers `webhook-id`, `webhook-timestamp` and
/// `webhook-signature: v1,<base64>`, the HMAC-SHA256 over `{id}.{timestamp}.{body}` (Standard Webhooks). An
/// answer 2xx within 15 seconds (webhooks.timeout) takes it, 410 disables the webhook, anything else is
/// tried again for 7 days (webhooks.retry_for), ever less often. Events come in their order: the next waits
/// until one was taken or is given up. One may come twice, with the same id. The secret is shown this once,
/// and no `Idempotency-Key` shows it again.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "events", request_body = CreateWebhook,
    responses((status = 201, description = "Made", body = CreatedWebhook)))]
pub(crate) async fn create_webhook(
    State(state): State<HttpState>,
    Extension(actor): Extension<AuditActor>,
    JsonBody(body): JsonBody<CreateWebhook>,
) -> Result<(StatusCode, Json<CreatedWebhook>), Problem> {
    let url = HookUrl::parse(&body.url).map_err(|fault| Problem::invalid_field("url", fault))?;
    if let Some(address) = url.address() {
        let checked = state.events.destinations.check(address);
        checked.map_err(|fault| Problem::invalid_field("url", fault))?;
    }
    EventFilter::default()
        .with_topics(body.topics.iter().map(String::as_str), |text| {
            (state.parse_endpoint)(text).ok()
        })
        .map_err(|fault| Problem::invalid_field("topics", fault))?
        .with_kinds(body.types.iter().map(String::as_str))
        .map_err(|fault| Problem::invalid_field("types", fault))?;
    let secret = secret(body.secret.as_deref())?;
    // Two at the same time must not both be the last that there is room for.
    let _editing = state.editing.lock().await;
    check_room(&state).await?;
    let webhook = Webhook {
        id: WebhookId(0),
        url: body.url,
        secret: secret.clone(),
        topics: body.topics,
        types: body.types,
        state: WebhookState::Active,
        reason: String::new(),
        cursor: 0,
        created_at: state.now_utc(),
        created_by: actor.name.clone(),
    };
    let id = state.store.add_webhook(webhook, state.stamp(actor)).await?;
    state.events.change_webhooks();
    let webhook = state.store.webhook(id).await?;
    let last = webhook.cursor;
    let created = CreatedWebhook {
        secret: format!("{SECRET_PREFIX}{}", STANDARD.encode(&secret)),
        webhook: WebhookView::of(webhook, last, last_told(&state).await?),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

fn secret(given: Option<&str>) -> Result<Vec<u8>, Problem> {
    let Some(text) = given else {
        let mut secret = vec![0; 32];
        OsRng.fill_bytes(&mut secret);
        return Ok(secret);
    };
    let encoded = text.strip_prefix(SECRET_PREFIX);
    let secret = encoded.and_then(|encoded| STANDARD.decode(encoded).ok());
    let secret = secret.filter(|secret| SECRET_BYTES.contains(&secret.len()));
    secret.ok_or_else(|| {
        let fault = format!(
            "must be '{SECRET_PREFIX}' and {} to {} bytes in base64",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        );
        Problem::invalid_field("secret", fault)
    })
}

async fn check_room(state: &HttpState) -> Result<(), Problem> {
    let max = state.events.limits.webhooks_max;
    let all = Page {
        after: None,
        limit: u32::try_from(max).unwrap_or(u32::MAX),
    };
    if state.store.webhooks(all).await?.len() >= max {
        let detail = format!("there are {max} webhooks (webhooks.webhooks_max)");
        return Err(Problem::new(kinds::LIMIT_REACHED, detail));
    }
    Ok(())
}
