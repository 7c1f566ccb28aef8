//! `/api/v1/webhooks`: receivers that are told of events.

mod ask;
mod change;
mod create;
mod delete;
mod deliveries;
mod list;
mod show;
mod url;

pub(super) use ask::*;
pub(super) use change::*;
pub(super) use create::*;
pub(super) use delete::*;
pub(super) use deliveries::*;
pub(super) use list::*;
pub(super) use show::*;
pub use url::{HookUrl, InvalidHookUrl};

use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use super::precondition::EntityTag;
use super::{HttpState, fields};
use crate::model::{Webhook, WebhookId, WebhookState};
use crate::store::{Page, StoreError};

/// A receiver of events. Its secret was shown once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView {
    /// Its number.
    id: u64,
    /// Where events are posted to.
    url: String,
    /// Of what it is told, `campaign:12`, `task:7` or `device:<endpoint>`; none: of all.
    topics: Vec<String>,
    /// Of which types of events, `task.failed` or `campaign.*`; none: of all.
    types: Vec<String>,
    /// `active`, or `disabled`: by an operator, or by its answer 410.
    state: &'static str,
    /// Whether `webhooks.webhooks_max` was lowered below the number of webhooks, and this is one of those
    /// that are told of nothing by that.
    beyond_limit: bool,
    /// Why it is disabled, where its receiver did that.
    reason: Option<String>,
    /// The last event that it was told of, or that is not for it. Of those that are not for it, the newest
    /// may be left out here, up to a thousand: they are noted together.
    last_event_id: u64,
    /// How many events came since; none of the newest of them need be for it.
    events_behind: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// The name of the token that it was made with.
    created_by: String,
}

impl WebhookView {
    /// `last_event` is the last that there is, `last_told` as [`last_told`] says.
    fn of(webhook: Webhook, last_event: u64, last_told: WebhookId) -> Self {
        Self {
            beyond_limit: webhook.id > last_told,
            id: webhook.id.0,
            url: webhook.url,
            topics: webhook.topics,
            types: webhook.types,
            state: webhook.state.word(),
            reason: Some(webhook.reason).filter(|reason| !reason.is_empty()),
            last_event_id: webhook.cursor,
            events_behind: last_event.saturating_sub(webhook.cursor),
            created_at: fields::time(webhook.created_at),
            created_by: webhook.created_by,
        }
    }
}

/// The last webhook that is told of anything: there may be more than the limit.
async fn last_told(state: &HttpState) -> Result<WebhookId, StoreError> {
    let max = state.events.limits.webhooks_max;
    let limit = u32::try_from(max).unwrap_or(u32::MAX);
    let told = state.store.webhooks(Page { after: None, limit }).await?;
    let last = told.last().map_or(WebhookId(0), |webhook| webhook.id);
    Ok(match told.len() < max {
        true => WebhookId(u64::MAX),
        false => last,
    })
}

async fn find(state: &HttpState, id: u64) -> Result<Webhook, Problem> {
    let found = state.store.webhook(WebhookId(id)).await;
    found.map_err(|error| Problem::of_store(error, format_args!("webhook {id}")))
}

/// What a PATCH changes.
fn tag(state: WebhookState) -> EntityTag {
    EntityTag::of([state.word()])
}
