//! Webhooks and their deliveries.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use tokio::sync::watch;

use super::audit::append_if;
use super::error::{found, store_error};
use super::rows::{Columns, integer, json_list, select};
use super::{SqliteStore, events};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, DeliveryState, Event, EventKind, Happening, NewEvent, Webhook, WebhookDelivery,
    WebhookId, WebhookState,
};
use crate::store::{EventStore, NotedDeliveries, Page, StoreError, audit};

const WEBHOOK: &str =
    "id, url, secret, topics, types, state, reason, cursor, created_at, created_by";

const DELIVERY: &str = "number, message_id, body, in_order, state, attempts, created_at, last_at, \
     next_at, answer_status, error";

#[async_trait]
impl EventStore for SqliteStore {
    fn events_changed(&self) -> watch::Receiver<u64> {
        self.writer.commits()
    }

    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        events::events(&self.readers, after, limit).await
    }

    async fn last_event(&self) -> Result<u64, StoreError> {
        events::last(&self.readers).await
    }

    async fn trim_events(
        &self,
        kept_max: u64,
        before: Utc,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        events::trim(&self.writer, &self.readers, kept_max, before, at_most).await
    }

    async fn add_webhook(
        &self,
        webhook: Webhook,
        stamp: AuditStamp,
    ) -> Result<WebhookId, StoreError> {
        let mut write = self.writer.begin().await?;
        let added = insert(write.connection(), &webhook).await;
        let entry = added.as_ref().ok();
        let entry = entry.map(|id| audit::webhook_created(*id, &webhook, &stamp));
        let added = append_if(write.connection(), added, entry).await;
        write.finish(1, added).await
    }

    async fn webhook(&self, id: WebhookId) -> Result<Webhook, StoreError> {
        sqlx::query(select(WEBHOOK, "FROM webhooks WHERE id = ?"))
            .bind(integer(id.0))
            .try_map(|row| read(&row))
            .fetch_one(&self.readers)
            .await
            .map_err(store_error)
    }

    async fn webhooks(&self, page: Page) -> Result<Vec<Webhook>, StoreError> {
        sqlx::query(select(
            WEBHOOK,
            "FROM webhooks WHERE id > ? ORDER BY id LIMIT ?",
        ))
        .bind(integer(page.after_number()?))
        .bind(page.limit)
        .try_map(|row| read(&row))
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn set_webhook_state(
        &self,
        id: WebhookId,
        state: WebhookState,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut write = self.writer.begin().await?;
        let changed = sqlx::query("UPDATE webhooks SET state = ?2, reason = '' WHERE id = ?1")
            .bind(integer(id.0))
            .bind(state.word())
            .execute(write.connection())
            .await
            .map_err(store_error)
            .and_then(found);
        let entry = audit::webhook_changed(id, state, &stamp);
        let changed = append_if(write.connection(), changed, Some(entry)).await;
        write.finish(1, changed).await
    }

    async fn remove_webhook(&self, id: WebhookId, stamp: AuditStamp) -> Result<(), StoreError> {
        let mut write = self.writer.begin().await?;
        let removed = sqlx::query("DELETE FROM webhooks WHERE id = ?")
            .bind(integer(id.0))
            .execute(write.connection())
            .await
            .map_err(store_error)
            .and_then(found);
        let entry = audit::webhook_deleted(id, &stamp);
        let removed = append_if(write.connection(), removed, Some(entry)).await;
        write.finish(1, removed).await
    }

    async fn deliveries_of(
        &self,
        id: WebhookId,
        page: Page,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let after = match &page.after {
            Some(_) => integer(page.after_number()?),
            None => i64::MAX,
        };
        sqlx::query(select(
            DELIVERY,
            "FROM webhook_deliveries WHERE webhook = ? AND number < ? ORDER BY number DESC LIMIT ?",
        ))
        .bind(integer(id.0))
        .bind(after)
        .bind(page.limit)
        .try_map(|row| read_delivery(&row))
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn delivery(&self, id: WebhookId, number: u64) -> Result<WebhookDelivery, StoreError> {
        sqlx::query(select(
            DELIVERY,
            "FROM webhook_deliveries WHERE webhook = ? AND number = ?",
        ))
        .bind(integer(id.0))
        .bind(integer(number))
        .try_map(|row| read_delivery(&row))
        .fetch_one(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn pending_deliveries(&self, id: WebhookId) -> Result<Vec<WebhookDelivery>, StoreError> {
        pending(&self.readers, id).await
    }

    async fn ask_delivery(
        &self,
        id: WebhookId,
        delivery: WebhookDelivery,
        kept: u32,
        stamp: AuditStamp,
    ) -> Result<u64, StoreError> {
        let mut write = self.writer.begin().await?;
        let entry = audit::delivery_asked(id, &delivery, &stamp);
        let asked = put(write.connection(), id, delivery, kept).await;
        let asked = append_if(write.connection(), asked, Some(entry)).await;
        write.finish(2, asked).await
    }

    async fn note_deliveries(
        &self,
        id: WebhookId,
        noted: NotedDeliveries,
        kept: u32,
    ) -> Result<(), StoreError> {
        let rows = noted.deliveries.len() + 1;
        let mut write = self.writer.begin().await?;
        let noted = note(write.connection(), id, noted, kept).await;
        write.finish(rows, noted).await
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    webhook: &Webhook,
) -> Result<WebhookId, StoreError> {
    let cursor = events::last(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO webhooks
             (url, secret, topics, types, state, reason, cursor, last_delivery, created_at, created_by)
         VALUES (?,?,?,?,?,?,?,0,?,?) RETURNING id",
    )
    .bind(webhook.url.clone())
    .bind(webhook.secret.clone())
    .bind(json_list(webhook.topics.iter().map(String::as_str)))
    .bind(json_list(webhook.types.iter().map(String::as_str)))
    .bind(webhook.state.word())
    .bind(webhook.reason.clone())
    .bind(integer(cursor))
    .bind(webhook.created_at.unix_ms())
    .bind(webhook.created_by.clone())
    .try_map(|row| Ok(WebhookId(Columns::of(&row).number()?)))
    .fetch_one(connection)
    .await
    .map_err(store_error)
}

async fn pending(readers: &SqlitePool, id: WebhookId) -> Result<Vec<WebhookDelivery>, StoreError> {
    sqlx::query(select(
        DELIVERY,
        "FROM webhook_deliveries WHERE webhook = ? AND state = 'pending' ORDER BY number",
    ))
    .bind(integer(id.0))
    .try_map(|row| read_delivery(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// Writes one delivery down and lets the oldest give way; its number.
async fn put(
    connection: &mut SqliteConnection,
    id: WebhookId,
    delivery: WebhookDelivery,
    kept: u32,
) -> Result<u64, StoreError> {
    let number: u64 = if delivery.number == 0 {
        sqlx::query(
            "UPDATE webhooks SET last_delivery = last_delivery + 1 WHERE id = ?
             RETURNING last_delivery",
        )
        .bind(integer(id.0))
        .try_map(|row: SqliteRow| Columns::of(&row).number())
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?
    } else {
        delivery.number
    };
    sqlx::query(
        "INSERT OR REPLACE INTO webhook_deliveries
             (webhook, number, message_id, body, in_order, state, attempts, created_at, last_at, next_at,
              answer_status, error)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    )
    .bind(integer(id.0))
    .bind(integer(number))
    .bind(delivery.message_id)
    .bind(delivery.body)
    .bind(delivery.in_order)
    .bind(delivery.state.word())
    .bind(delivery.attempts)
    .bind(delivery.created_at.unix_ms())
    .bind(delivery.last_at.map(Utc::unix_ms))
    .bind(delivery.next_at.map(Utc::unix_ms))
    .bind(delivery.answer_status)
    .bind(delivery.error)
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    sqlx::query(
        "DELETE FROM webhook_deliveries
         WHERE webhook = ?1 AND state <> 'pending' AND number <=
             (SELECT last_delivery FROM webhooks WHERE id = ?1) - ?2",
    )
    .bind(integer(id.0))
    .bind(kept)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(number)
}

async fn note(
    connection: &mut SqliteConnection,
    id: WebhookId,
    noted: NotedDeliveries,
    kept: u32,
) -> Result<(), StoreError> {
    for delivery in noted.deliveries {
        put(connection, id, delivery, kept).await?;
    }
    if let Some(cursor) = noted.cursor {
        sqlx::query("UPDATE webhooks SET cursor = ?2 WHERE id = ?1")
            .bind(integer(id.0))
            .bind(integer(cursor))
            .execute(&mut *connection)
            .await
            .map_err(store_error)
            .and_then(found)?;
    }
    if let Some((at, reason)) = noted.disabled {
        sqlx::query("UPDATE webhooks SET state = 'disabled', reason = ?2 WHERE id = ?1")
            .bind(integer(id.0))
            .bind(reason.clone())
            .execute(&mut *connection)
            .await
            .map_err(store_error)
            .and_then(found)?;
        let event = NewEvent {
            object: Some(id.0.to_string()),
            detail: reason,
            ..NewEvent::new(at, EventKind::Other(Happening::WebhookDisabled))
        };
        events::append(connection, vec![event]).await?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Result<Webhook, sqlx::Error> {
    let mut columns = Columns::of(row);
    let text = |text: &str| Some(text.to_owned());
    Ok(Webhook {
        id: WebhookId(columns.number()?),
        url: columns.value()?,
        secret: columns.value()?,
        topics: columns.list(text)?,
        types: columns.list(text)?,
        state: columns.parsed(WebhookState::from_word)?,
        reason: columns.value()?,
        cursor: columns.number()?,
        created_at: columns.utc()?,
        created_by: columns.value()?,
    })
}

fn read_delivery(row: &SqliteRow) -> Result<WebhookDelivery, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(WebhookDelivery {
        number: columns.number()?,
        message_id: columns.value()?,
        body: columns.value()?,
        in_order: columns.value()?,
        state: columns.parsed(DeliveryState::from_word)?,
        attempts: columns.number()?,
        created_at: columns.utc()?,
        last_at: columns.optional_utc()?,
        next_at: columns.optional_utc()?,
        answer_status: columns.optional_number()?,
        error: columns.value()?,
    })
}
