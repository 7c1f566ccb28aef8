//! The numbered stream of events. Each row is added behind the last, which dirties hardly a page more
//! than a commit does anyway.

use std::sync::{Arc, LazyLock};

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::bulk::{BulkStatement, Query};
use super::error::store_error;
use super::rows::{Columns, endpoint_name, integer, select};
use super::writer::Writer;
use crate::clock::Utc;
use crate::model::{CampaignId, Event, NewEvent, TaskId};
use crate::store::StoreError;

static INSERT: LazyLock<BulkStatement> = LazyLock::new(|| {
    BulkStatement::new(
        "INSERT INTO events (number, at, kind, campaign, task, endpoint, attempt, object, detail)
         SELECT new.column1, new.column2, new.column3,
                coalesce(new.column4, (SELECT campaign FROM tasks WHERE id = new.column5)),
                new.column5, new.column6, new.column7, new.column8, new.column9
         FROM (",
        9,
        ") AS new",
    )
});

/// Adds events behind the last; a transaction is open, so what is read as the last stays so.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    events: Vec<NewEvent>,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let last = last(&mut *connection).await?;
    let numbered: Vec<(u64, NewEvent)> = (last + 1..).zip(events).collect();
    INSERT.execute(connection, &numbered, bind).await
}

pub(super) async fn last(executor: impl sqlx::SqliteExecutor<'_>) -> Result<u64, StoreError> {
    sqlx::query("SELECT coalesce(max(number), 0) FROM events")
        .try_map(|row: SqliteRow| Columns::of(&row).number())
        .fetch_one(executor)
        .await
        .map_err(store_error)
}

pub(super) async fn events(
    readers: &SqlitePool,
    after: u64,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    sqlx::query(select(
        "number, at, kind, campaign, task, endpoint, attempt, object, detail",
        "FROM events WHERE number > ? ORDER BY number LIMIT ?",
    ))
    .bind(integer(after))
    .bind(limit)
    .try_map(|row| read(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// What is too old lies at the front, up to the first event that is not.
pub(super) async fn trim(
    writer: &Arc<Writer>,
    readers: &SqlitePool,
    kept_max: u64,
    before: Utc,
    at_most: u32,
) -> Result<u64, StoreError> {
    // Looked for beside the writer: as a rule there is nothing to do.
    let last = last(readers).await?;
    let found: Option<u64> = sqlx::query(
        "SELECT max(number) FROM
             (SELECT number, at FROM events WHERE number < ?1 ORDER BY number LIMIT ?2)
         WHERE number <= ?3 OR at < ?4",
    )
    .bind(integer(last))
    .bind(at_most)
    .bind(integer(last.saturating_sub(kept_max)))
    .bind(before.unix_ms())
    .try_map(|row: SqliteRow| Columns::of(&row).optional_number())
    .fetch_one(readers)
    .await
    .map_err(store_error)?;
    let Some(up_to) = found else {
        return Ok(0);
    };
    let mut write = writer.begin().await?;
    let deleted = sqlx::query("DELETE FROM events WHERE number <= ?")
        .bind(integer(up_to))
        .execute(write.connection())
        .await
        .map_err(store_error);
    let rows = deleted.as_ref().map_or(0, |done| done.rows_affected());
    let rows_written = usize::try_from(rows).unwrap_or(usize::MAX);
    write.finish(rows_written, deleted).await?;
    Ok(rows)
}

fn bind(query: Query, (number, event): &(u64, NewEvent)) -> Query {
    query
        .bind(integer(*number))
        .bind(event.at.unix_ms())
        .bind(event.kind.to_string())
        .bind(event.campaign.map(|campaign| integer(campaign.0)))
        .bind(event.task.map(|task| integer(task.0)))
        .bind(event.endpoint.as_ref().map(|name| name.as_str().to_owned()))
        .bind(event.attempt)
        .bind(event.object.clone())
        .bind(event.detail.clone())
}

fn read(row: &SqliteRow) -> Result<Event, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Event {
        number: columns.number()?,
        at: columns.utc()?,
        kind: columns.value()?,
        campaign: columns.optional_number()?.map(CampaignId),
        task: columns.optional_number()?.map(TaskId),
        endpoint: columns.optional(endpoint_name)?,
        attempt: columns.optional_number()?,
        object: columns.value()?,
        detail: columns.value()?,
    })
}
