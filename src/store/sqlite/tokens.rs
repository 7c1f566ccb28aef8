//! API tokens.

use std::sync::Arc;

use sqlx::sqlite::SqlitePool;

use super::audit::append_if;
use super::error::{or_conflict, store_error};
use super::rows::{self, select};
use super::writer::Writer;
use crate::model::AuditStamp;
use crate::store::{Page, StoreError, StoredToken, audit};

pub(super) async fn add_token(
    writer: &Arc<Writer>,
    token: StoredToken,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let entry = audit::token_created(&token, stamp);
    let mut write = writer.begin().await?;
    let added = sqlx::query("INSERT INTO tokens (name, role, sha256, created_at) VALUES (?,?,?,?)")
        .bind(token.name)
        .bind(token.role)
        .bind(token.sha256.to_vec())
        .bind(token.created_at.unix_ms())
        .execute(write.connection())
        .await
        .map_err(or_conflict("a token of this name is there already"));
    let added = append_if(write.connection(), added, Some(entry)).await;
    write.finish(1, added).await.map(drop)
}

pub(super) async fn token(
    readers: &SqlitePool,
    sha256: &[u8; 32],
) -> Result<StoredToken, StoreError> {
    sqlx::query(select(rows::TOKEN, "FROM tokens WHERE sha256 = ?"))
        .bind(sha256.to_vec())
        .try_map(|row| rows::token(&row))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn tokens(
    readers: &SqlitePool,
    page: Page,
) -> Result<Vec<StoredToken>, StoreError> {
    sqlx::query(select(
        rows::TOKEN,
        "FROM tokens WHERE name > ? ORDER BY name LIMIT ?",
    ))
    .bind(page.after.unwrap_or_default())
    .bind(page.limit)
    .try_map(|row| rows::token(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn remove_token(
    writer: &Arc<Writer>,
    name: &str,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let removed = sqlx::query("DELETE FROM tokens WHERE name = ?")
        .bind(name.to_owned())
        .execute(write.connection())
        .await
        .map_err(store_error)
        .and_then(super::error::found);
    let entry = audit::token_deleted(name, stamp);
    let removed = append_if(write.connection(), removed, Some(entry)).await;
    write.finish(1, removed).await
}
