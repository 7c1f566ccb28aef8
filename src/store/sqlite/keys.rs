//! Manufacturers' keys.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::audit::append_if;
use super::error::{or_conflict, store_error};
use super::rows::{self, select};
use super::writer::Writer;
use crate::model::{AuditStamp, KeyChange, Manufacturer};
use crate::store::{Page, StoreError, StoredKey, audit};

pub(super) async fn add_key(
    writer: &Arc<Writer>,
    key: StoredKey,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let entry = audit::key_created(&key, stamp);
    let mut write = writer.begin().await?;
    let added = sqlx::query(
        "INSERT INTO keys (id, manufacturer, purpose, algorithm, bits, public_key_pem, created_at, created_by)
         VALUES (?,?,?,?,?,?,?,?)",
    )
    .bind(key.id)
    .bind(key.manufacturer.as_str().to_owned())
    .bind(key.purpose.word())
    .bind(key.algorithm)
    .bind(key.bits)
    .bind(key.public_key_pem)
    .bind(key.created_at.unix_ms())
    .bind(key.created_by)
    .execute(write.connection())
    .await
    .map_err(or_conflict("this key is there already"));
    let added = append_if(write.connection(), added, Some(entry)).await;
    write.finish(1, added).await.map(drop)
}

pub(super) async fn keys(
    readers: &SqlitePool,
    of: Option<&Manufacturer>,
    page: Page,
) -> Result<Vec<StoredKey>, StoreError> {
    sqlx::query(select(
        rows::KEY,
        "FROM keys WHERE id > ?1 AND (?3 IS NULL OR manufacturer = ?3) ORDER BY id LIMIT ?2",
    ))
    .bind(page.after.unwrap_or_default())
    .bind(page.limit)
    .bind(of.map(|manufacturer| manufacturer.as_str().to_owned()))
    .try_map(|row| rows::key(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn key(readers: &SqlitePool, id: &str) -> Result<StoredKey, StoreError> {
    sqlx::query(select(rows::KEY, "FROM keys WHERE id = ?"))
        .bind(id.to_owned())
        .try_map(|row| rows::key(&row))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn retire_key(
    writer: &Arc<Writer>,
    id: &str,
    change: KeyChange,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let entry = audit::key_retired(id, &change, stamp);
    let mut write = writer.begin().await?;
    let retired = retire(write.connection(), id, change).await;
    let retired = append_if(write.connection(), retired, Some(entry)).await;
    write.finish(1, retired).await
}

async fn retire(
    connection: &mut SqliteConnection,
    id: &str,
    change: KeyChange,
) -> Result<(), StoreError> {
    let retired = sqlx::query(
        "UPDATE keys SET retired_at = ?2, retired_by = ?3, retired_reason = ?4
         WHERE id = ?1 AND retired_at IS NULL AND revoked_at IS NULL",
    )
    .bind(id.to_owned())
    .bind(change.at.unix_ms())
    .bind(change.by)
    .bind(change.reason)
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    if retired.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query("SELECT 1 FROM keys WHERE id = ?")
        .bind(id.to_owned())
        .fetch_one(connection)
        .await
        .map_err(store_error)?;
    Err(StoreError::Conflict("only an active key can be retired"))
}

/// Revokes a key; a transaction is open. The first word on it counts.
pub(super) async fn revoke_key(
    connection: &mut SqliteConnection,
    id: String,
    change: KeyChange,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE keys SET revoked_at = ?2, revoked_by = ?3, revoked_reason = ?4
         WHERE id = ?1 AND revoked_at IS NULL",
    )
    .bind(id)
    .bind(change.at.unix_ms())
    .bind(change.by)
    .bind(change.reason)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}
