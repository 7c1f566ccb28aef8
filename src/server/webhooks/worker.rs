//! Tells one webhook what happens, in order.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use rand::Rng;
use rand::rngs::OsRng;
use tokio::sync::watch;

use super::client::Client;
use super::schedule::{Answer, RetrySchedule};
use crate::clock::{SystemClock, Utc};
use crate::http::{EventHub, cloud_event, gap_event};
use crate::model::{DeliveryState, Event, EventFilter, Webhook, WebhookDelivery};
use crate::store::{NotedDeliveries, Store, StoreError};

/// How many events are read at a time. What came of them is written down at the latest then; after a crash
/// those are told again, with the same ids.
const READ_AT_ONCE: u32 = 64;
/// The same in time: what a receiver takes slowly is not all told again.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// After how many events that were not for the webhook that is written down; a restart looks at fewer again.
const SKIPPED_MAX: u64 = 1000;
/// How long to wait where the store fails.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// The longest sleep: what is further away is looked at again then.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// "Gone": the receiver wants no more.
const GONE: u16 = 410;

/// What a worker works with.
pub(super) struct Worker {
    pub(super) store: Arc<dyn Store>,
    pub(super) hub: Arc<EventHub>,
    pub(super) clock: SystemClock,
    pub(super) client: Client,
    pub(super) schedule: RetrySchedule,
    pub(super) filter: EventFilter,
    pub(super) webhook: Webhook,
    /// The cursor as it is stored.
    pub(super) written: u64,
    pub(super) stop: watch::Receiver<bool>,
}

/// What follows.
#[derive(Debug)]
enum Turn {
    /// There may be more to do at once.
    Again,
    /// Nothing is due before this, or before something happens.
    Wait(Option<Utc>),
    /// The webhook is told nothing more.
    End,
}

impl Worker {
    /// Runs until it is told to stop or its receiver wants no more.
    pub(super) async fn run(mut self) {
        let mut latest = self.hub.latest();
        let mut asked = self.hub.webhooks_changed();
        let mut stop = self.stop.clone();
        loop {
            latest.borrow_and_update();
            asked.borrow_and_update();
            let turn = self.turn().await;
            let wait = match turn {
                Ok(Turn::Again) => continue,
                Ok(Turn::End) | Err(StoreError::NotFound) => return,
                Ok(Turn::Wait(until)) => until.map_or(SLEEP_MAX, |until| {
                    until.saturating_since(self.clock.now().utc).min(SLEEP_MAX)
                }),
                Err(error) => {
                    tracing::warn!(webhook = self.webhook.id.0, %error, "a webhook waits for the store");
                    STORE_PAUSE
                }
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                _ = latest.changed() => {}
                _ = asked.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, StoreError> {
        if *self.stop.borrow() {
            return Ok(Turn::End);
        }
        let pending = self.store.pending_deliveries(self.webhook.id).await?;
        let now = self.clock.now().utc;
        let is_due = |delivery: &&WebhookDelivery| self.schedule.is_due(delivery.next_at, now);
        if let Some(due) = pending.iter().find(is_due) {
            return self.try_again(due.clone()).await;
        }
        let next_at = pending.iter().filter_map(|it| it.next_at).min();
        if pending.iter().any(|delivery| delivery.in_order) {
            return Ok(Turn::Wait(next_at));
        }
        self.tell_events(next_at).await
    }

    /// Tries one that was tried before, or that was asked for by hand.
    async fn try_again(&mut self, mut delivery: WebhookDelivery) -> Result<Turn, StoreError> {
        let Some(disabled) = self.try_once(&mut delivery).await else {
            return Ok(Turn::End);
        };
        self.note(vec![delivery], disabled).await
    }

    /// Tells what happened since, up to the first that is not taken.
    async fn tell_events(&mut self, asked_at: Option<Utc>) -> Result<Turn, StoreError> {
        let page = self.store.events(self.webhook.cursor, READ_AT_ONCE).await?;
        let Some(first) = page.first() else {
            return Ok(Turn::Wait(asked_at));
        };
        let from = self.webhook.cursor;
        let told = if first.number > from + 1 {
            self.tell_gap(first.number - 1).await
        } else {
            self.tell_page(page).await
        };
        if told.is_err() {
            // What could not be written down is told again.
            self.webhook.cursor = from;
        }
        told
    }

    /// What lies between is not kept any more: the receiver is told so in its place.
    async fn tell_gap(&mut self, last: u64) -> Result<Turn, StoreError> {
        let now = self.clock.now().utc;
        let (id, body) = gap_event(&self.hub.source, now, self.webhook.cursor, last);
        let mut delivery = new_delivery(id, body, now);
        let Some(disabled) = self.try_once(&mut delivery).await else {
            return Ok(Turn::End);
        };
        self.webhook.cursor = last;
        let deliveries = vec![delivery];
        self.note(deliveries, disabled).await
    }

    async fn tell_page(&mut self, page: Vec<Event>) -> Result<Turn, StoreError> {
        let (begun, mut told) = (self.clock.now().instant, Vec::new());
        for event in page {
            let before = std::mem::replace(&mut self.webhook.cursor, event.number);
            if !self.filter.wants(&event) {
                continue;
            }
            let body = cloud_event(&self.hub.source, &event);
            let mut delivery = new_delivery(event.number.to_string(), body, event.at);
            let Some(disabled) = self.try_once(&mut delivery).await else {
                self.webhook.cursor = before;
                self.note(told, false).await?;
                return Ok(Turn::End);
            };
            let taken = delivery.state == DeliveryState::Delivered;
            told.push(delivery);
            let took = self.clock.now().instant.saturating_since(begun);
            if !taken || took >= WRITE_EVERY {
                return self.note(told, disabled).await;
            }
        }
        // That nothing was for this webhook need not be durable at once.
        let skipped = self.webhook.cursor.saturating_sub(self.written);
        if told.is_empty() && skipped < SKIPPED_MAX {
            return Ok(Turn::Again);
        }
        self.note(told, false).await
    }

    /// Posts it once, and notes in it what came of that; `None` where the server stops meanwhile. Says
    /// whether the receiver wants no more.
    async fn try_once(&mut self, delivery: &mut WebhookDelivery) -> Option<bool> {
        let mut stop = self.stop.clone();
        let now = self.clock.now().utc;
        let posted = self.client.post(&self.webhook, delivery, now);
        let answer = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return None,
            answer = posted => answer,
        };
        let is_gone = answer == Answer::Status(GONE);
        let now = self.clock.now().utc;
        self.schedule.settle(delivery, answer, now, OsRng.r#gen());
        let outcome = delivery.state.word();
        counter!("narrowcast_webhook_attempts_total", "outcome" => outcome).increment(1);
        if delivery.state == DeliveryState::Dead {
            let (webhook, message) = (self.webhook.id.0, &delivery.message_id);
            tracing::warn!(webhook, %message, "a webhook did not take a delivery, and it is given up");
        }
        Some(is_gone)
    }

    /// Writes down what came of deliveries, and how far the webhook has come.
    async fn note(
        &mut self,
        deliveries: Vec<WebhookDelivery>,
        disabled: bool,
    ) -> Result<Turn, StoreError> {
        let now = self.clock.now().utc;
        let cursor = self.webhook.cursor;
        let noted = NotedDeliveries {
            deliveries,
            cursor: Some(cursor),
            disabled: disabled.then(|| (now, "its receiver answered 410".to_owned())),
        };
        let kept = self.hub.limits.deliveries_kept;
        let id = self.webhook.id;
        self.store.note_deliveries(id, noted, kept).await?;
        self.written = cursor;
        Ok(if disabled { Turn::End } else { Turn::Again })
    }
}

fn new_delivery(message_id: String, body: String, at: Utc) -> WebhookDelivery {
    WebhookDelivery {
        number: 0,
        message_id,
        body,
        in_order: true,
        state: DeliveryState::Pending,
        attempts: 0,
        created_at: at,
        last_at: None,
        next_at: None,
        answer_status: None,
        error: String::new(),
    }
}
