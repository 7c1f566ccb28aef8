//! The audit log.

use std::sync::LazyLock;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::bulk::{BulkStatement, Query};
use super::error::store_error;
use super::events;
use super::rows::{Columns, integer, select};
use crate::model::{NewAuditEntry, NewEvent};
use crate::store::{AuditChain, AuditEntry, AuditHead, Page, StoreError};

static INSERT: LazyLock<BulkStatement> = LazyLock::new(|| {
    BulkStatement::new(
        "INSERT INTO audit
             (number, at, actor, role, action, kind, object, details, previous, sha256)",
        10,
        "",
    )
});

/// Adds entries behind the last, and what others are told of them; a transaction is open. The head is
/// read each time: another process may have added to it.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    entries: Vec<NewAuditEntry>,
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let told = entries.iter().filter_map(NewEvent::of_audit).collect();
    events::append(connection, told).await?;
    let AuditHead {
        entries: last,
        sha256,
    } = head(&mut *connection).await?;
    let mut chain = AuditChain {
        entries: last,
        head: sha256,
    };
    let entries = entries.into_iter().map(|entry| chain.append(entry));
    let entries: Vec<AuditEntry> = entries.collect();
    INSERT.execute(connection, &entries, bind).await
}

pub(super) async fn head(executor: impl sqlx::SqliteExecutor<'_>) -> Result<AuditHead, StoreError> {
    let head = sqlx::query("SELECT number, sha256 FROM audit ORDER BY number DESC LIMIT 1")
        .try_map(|row: SqliteRow| {
            let mut columns = Columns::of(&row);
            Ok(AuditHead {
                entries: columns.number()?,
                sha256: columns.bytes()?,
            })
        })
        .fetch_optional(executor)
        .await
        .map_err(store_error)?;
    Ok(head.unwrap_or_default())
}

/// Adds an entry where what it tells of was done.
pub(super) async fn append_if<T>(
    connection: &mut SqliteConnection,
    done: Result<T, StoreError>,
    entry: Option<NewAuditEntry>,
) -> Result<T, StoreError> {
    let done = done?;
    append(connection, entry.into_iter().collect()).await?;
    Ok(done)
}

pub(super) async fn entries(
    readers: &SqlitePool,
    page: Page,
) -> Result<Vec<AuditEntry>, StoreError> {
    let after = page.after_number()?;
    sqlx::query(select(
        "number, at, actor, role, action, kind, object, details, previous, sha256",
        "FROM audit WHERE number > ? ORDER BY number LIMIT ?",
    ))
    .bind(integer(after))
    .bind(page.limit)
    .try_map(|row| read(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

fn bind(query: Query, entry: &AuditEntry) -> Query {
    query
        .bind(integer(entry.number))
        .bind(entry.at.unix_ms())
        .bind(entry.actor.clone())
        .bind(entry.role.clone())
        .bind(entry.action.clone())
        .bind(entry.kind.clone())
        .bind(entry.object.clone())
        .bind(entry.details.clone())
        .bind(entry.previous.to_vec())
        .bind(entry.sha256.to_vec())
}

fn read(row: &SqliteRow) -> Result<AuditEntry, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(AuditEntry {
        number: columns.number()?,
        at: columns.utc()?,
        actor: columns.value()?,
        role: columns.value()?,
        action: columns.value()?,
        kind: columns.value()?,
        object: columns.value()?,
        details: columns.value()?,
        previous: hash(&mut columns)?,
        sha256: hash(&mut columns)?,
    })
}

/// One that has another length was altered, and must be read to be found: it fits nothing.
fn hash(columns: &mut Columns<'_>) -> Result<[u8; 32], sqlx::Error> {
    let bytes: Vec<u8> = columns.value()?;
    Ok(bytes.try_into().unwrap_or([0xff; 32]))
}
