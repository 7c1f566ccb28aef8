//! The stream of events, and the webhooks that are told of it.

use std::collections::VecDeque;

use async_trait::async_trait;
use tokio::sync::watch;

use super::state::State;
use super::{MemoryStore, limit, next};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, DeliveryState, Event, EventKind, Happening, NewEvent, Webhook, WebhookDelivery,
    WebhookId, WebhookState,
};
use crate::store::{EventStore, NotedDeliveries, Page, StoreError, audit};

/// A webhook with its deliveries, the oldest first.
#[derive(Debug)]
pub(super) struct StoredWebhook {
    pub(super) webhook: Webhook,
    pub(super) last_delivery: u64,
    pub(super) deliveries: VecDeque<WebhookDelivery>,
}

#[async_trait]
impl EventStore for MemoryStore {
    fn events_changed(&self) -> watch::Receiver<u64> {
        self.lock().events_changed.subscribe()
    }

    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let state = self.lock();
        let begin = state.events.partition_point(|event| event.number <= after);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(state
            .events
            .iter()
            .skip(begin)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn last_event(&self) -> Result<u64, StoreError> {
        Ok(self.lock().last_event())
    }

    async fn trim_events(
        &self,
        kept_max: u64,
        before: Utc,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let last = state.last_event();
        let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
        let looked_at = state.events.iter().take(at_most);
        let looked_at = looked_at.filter(|event| event.number < last);
        let old = looked_at
            .filter(|event| event.number <= last.saturating_sub(kept_max) || event.at < before);
        let Some(up_to) = old.map(|event| event.number).max() else {
            return Ok(0);
        };
        let end = state.events.partition_point(|event| event.number <= up_to);
        Ok(state.events.drain(..end).count() as u64)
    }

    async fn add_webhook(
        &self,
        webhook: Webhook,
        stamp: AuditStamp,
    ) -> Result<WebhookId, StoreError> {
        let mut state = self.lock();
        let id = WebhookId(next(&mut state.last_webhook));
        let cursor = state.last_event();
        state.audited(audit::webhook_created(id, &webhook, &stamp));
        let stored = StoredWebhook {
            webhook: Webhook {
                id,
                cursor,
                ..webhook
            },
            last_delivery: 0,
            deliveries: VecDeque::new(),
        };
        state.webhooks.insert(id, stored);
        Ok(id)
    }

    async fn webhook(&self, id: WebhookId) -> Result<Webhook, StoreError> {
        self.lock().stored_webhook(id).map(|it| it.webhook.clone())
    }

    async fn webhooks(&self, page: Page) -> Result<Vec<Webhook>, StoreError> {
        let after = WebhookId(page.after_number()?);
        let state = self.lock();
        let webhooks = state.webhooks.values().map(|stored| &stored.webhook);
        let webhooks = webhooks.filter(|webhook| webhook.id > after);
        Ok(webhooks.take(limit(&page)).cloned().collect())
    }

    async fn set_webhook_state(
        &self,
        id: WebhookId,
        state: WebhookState,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut tables = self.lock();
        let webhook = &mut tables.stored_webhook(id)?.webhook;
        webhook.state = state;
        webhook.reason = String::new();
        tables.audited(audit::webhook_changed(id, state, &stamp));
        Ok(())
    }

    async fn remove_webhook(&self, id: WebhookId, stamp: AuditStamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.webhooks.remove(&id).ok_or(StoreError::NotFound)?;
        state.audited(audit::webhook_deleted(id, &stamp));
        Ok(())
    }

    async fn deliveries_of(
        &self,
        id: WebhookId,
        page: Page,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let before = match &page.after {
            Some(_) => page.after_number()?,
            None => u64::MAX,
        };
        let mut state = self.lock();
        let Ok(stored) = state.stored_webhook(id) else {
            return Ok(Vec::new());
        };
        let deliveries = stored.deliveries.iter().rev();
        let deliveries = deliveries.filter(|delivery| delivery.number < before);
        Ok(deliveries.take(limit(&page)).cloned().collect())
    }

    async fn delivery(&self, id: WebhookId, number: u64) -> Result<WebhookDelivery, StoreError> {
        let mut state = self.lock();
        let mut deliveries = state.stored_webhook(id)?.deliveries.iter();
        let found = deliveries.find(|delivery| delivery.number == number);
        found.cloned().ok_or(StoreError::NotFound)
    }

    async fn pending_deliveries(&self, id: WebhookId) -> Result<Vec<WebhookDelivery>, StoreError> {
        let mut state = self.lock();
        let Ok(stored) = state.stored_webhook(id) else {
            return Ok(Vec::new());
        };
        let pending = |delivery: &&WebhookDelivery| delivery.state == DeliveryState::Pending;
        Ok(stored.deliveries.iter().filter(pending).cloned().collect())
    }

    async fn ask_delivery(
        &self,
        id: WebhookId,
        delivery: WebhookDelivery,
        kept: u32,
        stamp: AuditStamp,
    ) -> Result<u64, StoreError> {
        let mut state = self.lock();
        let entry = audit::delivery_asked(id, &delivery, &stamp);
        let number = state.stored_webhook(id)?.put(delivery, kept);
        state.audited(entry);
        Ok(number)
    }

    async fn note_deliveries(
        &self,
        id: WebhookId,
        noted: NotedDeliveries,
        kept: u32,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let stored = state.stored_webhook(id)?;
        for delivery in noted.deliveries {
            stored.put(delivery, kept);
        }
        if let Some(cursor) = noted.cursor {
            stored.webhook.cursor = cursor;
        }
        if let Some((at, reason)) = noted.disabled {
            stored.webhook.state = WebhookState::Disabled;
            stored.webhook.reason.clone_from(&reason);
            state.happened(NewEvent {
                object: Some(id.0.to_string()),
                detail: reason,
                ..NewEvent::new(at, EventKind::Other(Happening::WebhookDisabled))
            });
        }
        Ok(())
    }
}

impl StoredWebhook {
    fn put(&mut self, delivery: WebhookDelivery, kept: u32) -> u64 {
        let number = match delivery.number {
            0 => next(&mut self.last_delivery),
            number => number,
        };
        let delivery = WebhookDelivery { number, ..delivery };
        match self.deliveries.iter_mut().find(|it| it.number == number) {
            Some(known) => *known = delivery,
            None => self.deliveries.push_back(delivery),
        }
        let gone = self.last_delivery.saturating_sub(u64::from(kept));
        self.deliveries
            .retain(|it| it.state == DeliveryState::Pending || it.number > gone);
        number
    }
}

impl State {
    /// Adds an event behind the last.
    pub(super) fn happened(&mut self, event: NewEvent) {
        let number = self.last_event() + 1;
        let task = event.task.and_then(|task| self.tasks.get(&task));
        let campaign = task.map(|task| task.campaign);
        self.events
            .push_back(Event::numbered(number, event, campaign));
        self.events_changed.send_replace(number);
    }

    fn last_event(&self) -> u64 {
        self.events.back().map_or(0, |event| event.number)
    }

    fn stored_webhook(&mut self, id: WebhookId) -> Result<&mut StoredWebhook, StoreError> {
        self.webhooks.get_mut(&id).ok_or(StoreError::NotFound)
    }
}
