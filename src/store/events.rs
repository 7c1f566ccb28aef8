//! What is told to those who follow the server from outside: events, and the webhooks that get them.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Page, StoreError};
use crate::clock::Utc;
use crate::model::{AuditStamp, Event, Webhook, WebhookDelivery, WebhookId, WebhookState};

/// The numbered stream of what happened, and who is told of it. An event is committed with what it
/// tells of, by [`Store::commit`](super::Store::commit) and by whatever else changes the store: nothing
/// is told that is not so, and nothing is left out. The oldest are taken away; the last never is.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Changes after each commit that may have added an event.
    fn events_changed(&self) -> watch::Receiver<u64>;
    /// Events after the number, by number, at most `limit`. Where the first is not the next number,
    /// what lies between is no longer kept.
    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError>;
    /// The number of the last event; 0 where nothing has happened yet.
    async fn last_event(&self) -> Result<u64, StoreError>;
    /// Takes away the oldest events beyond `kept_max` and those from before `before`, at most
    /// `at_most` of them, so that no commit waits long. Returns how many went.
    async fn trim_events(
        &self,
        kept_max: u64,
        before: Utc,
        at_most: u32,
    ) -> Result<u64, StoreError>;

    /// Enters a webhook; its `id` and `cursor` are ignored: it is told of what happens from now on.
    async fn add_webhook(
        &self,
        webhook: Webhook,
        stamp: AuditStamp,
    ) -> Result<WebhookId, StoreError>;
    /// One webhook.
    async fn webhook(&self, id: WebhookId) -> Result<Webhook, StoreError>;
    /// Webhooks by number.
    async fn webhooks(&self, page: Page) -> Result<Vec<Webhook>, StoreError>;
    /// An operator enables or disables a webhook.
    async fn set_webhook_state(
        &self,
        id: WebhookId,
        state: WebhookState,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Takes a webhook away with its deliveries.
    async fn remove_webhook(&self, id: WebhookId, stamp: AuditStamp) -> Result<(), StoreError>;

    /// A webhook's deliveries by number, the newest first; `after` is the last of the page before.
    async fn deliveries_of(
        &self,
        id: WebhookId,
        page: Page,
    ) -> Result<Vec<WebhookDelivery>, StoreError>;
    /// One delivery.
    async fn delivery(&self, id: WebhookId, number: u64) -> Result<WebhookDelivery, StoreError>;
    /// Those that are to be tried, by number.
    async fn pending_deliveries(&self, id: WebhookId) -> Result<Vec<WebhookDelivery>, StoreError>;
    /// Writes a delivery down that an operator asks for: a new one where its number is 0, which is then
    /// given, else instead of the one of its number.
    async fn ask_delivery(
        &self,
        id: WebhookId,
        delivery: WebhookDelivery,
        kept: u32,
        stamp: AuditStamp,
    ) -> Result<u64, StoreError>;
    /// Writes down, in one commit, what came of deliveries and how far the webhook has come.
    async fn note_deliveries(
        &self,
        id: WebhookId,
        noted: NotedDeliveries,
        kept: u32,
    ) -> Result<(), StoreError>;
}

/// What a webhook's deliveries came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotedDeliveries {
    /// New ones (number 0) and those that were tried again. The oldest that are not pending give way.
    pub deliveries: Vec<WebhookDelivery>,
    /// The last event that it was told of, or that was not for it.
    pub cursor: Option<u64>,
    /// That the receiver wants no more, when it said so and how.
    pub disabled: Option<(Utc, String)>,
}
