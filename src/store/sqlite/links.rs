//! Links to package files.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::audit::{append, append_if};
use super::error::{found, or_conflict, store_error};
use super::rows::{Columns, integer, select};
use super::writer::Writer;
use crate::clock::Utc;
use crate::model::{
    AuditStamp, ByteRanges, DownloadLink, LinkId, LinkProgress, PackageId, Sha256Digest,
};
use crate::store::{Page, StoreError, audit};

const COLUMNS: &str = "id, package, capability_sha256, file_name, file_sha256, size_bytes, device,
    created_at, expires_at, budget_bytes, revoked_at, bytes_served, first_fetch_at, last_fetch_at,
    taken, served_whole_at";

pub(super) async fn add_link(
    writer: &Arc<Writer>,
    link: DownloadLink,
    stamp: &AuditStamp,
) -> Result<LinkId, StoreError> {
    let mut write = writer.begin().await?;
    let added = insert(write.connection(), &link).await;
    let entry = added.as_ref().ok();
    let entry = entry.map(|id| audit::link_created(*id, &link, stamp));
    let added = append_if(write.connection(), added, entry).await;
    write.finish(1, added).await
}

async fn insert(
    connection: &mut SqliteConnection,
    link: &DownloadLink,
) -> Result<LinkId, StoreError> {
    // Asked for by itself: a foreign key that fails does not say which.
    sqlx::query("SELECT id FROM packages WHERE id = ?")
        .bind(integer(link.package.0))
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?;
    sqlx::query(
        "INSERT INTO links
             (package, capability_sha256, file_name, file_sha256, size_bytes, device, created_at,
              expires_at, budget_bytes, revoked_at, bytes_served, first_fetch_at, last_fetch_at,
              taken, served_whole_at)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
    )
    .bind(integer(link.package.0))
    .bind(link.capability_sha256.0.to_vec())
    .bind(link.file_name.clone())
    .bind(link.file_sha256.0.to_vec())
    .bind(integer(link.size_bytes))
    .bind(link.device.clone())
    .bind(link.created_at.unix_ms())
    .bind(link.expires_at.unix_ms())
    .bind(integer(link.budget_bytes))
    .bind(link.revoked_at.map(Utc::unix_ms))
    .bind(integer(link.progress.bytes_served))
    .bind(link.progress.first_fetch_at.map(Utc::unix_ms))
    .bind(link.progress.last_fetch_at.map(Utc::unix_ms))
    .bind(link.progress.taken.to_text())
    .bind(link.progress.served_whole_at.map(Utc::unix_ms))
    .try_map(|row| Ok(LinkId(Columns::of(&row).number()?)))
    .fetch_one(connection)
    .await
    .map_err(or_conflict("a link of this capability is there already"))
}

pub(super) async fn links(
    readers: &SqlitePool,
    of: Option<PackageId>,
    page: Page,
) -> Result<Vec<DownloadLink>, StoreError> {
    let after = integer(page.after_number()?);
    let query = match of {
        Some(package) => sqlx::query(select(
            COLUMNS,
            "FROM links WHERE package = ? AND id > ? ORDER BY id LIMIT ?",
        ))
        .bind(integer(package.0)),
        None => sqlx::query(select(
            COLUMNS,
            "FROM links WHERE id > ? ORDER BY id LIMIT ?",
        )),
    };
    query
        .bind(after)
        .bind(page.limit)
        .try_map(|row| read(&row))
        .fetch_all(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn revoke_link(
    writer: &Arc<Writer>,
    id: LinkId,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let revoked =
        sqlx::query("UPDATE links SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL")
            .bind(stamp.at.unix_ms())
            .bind(integer(id.0))
            .execute(write.connection())
            .await
            .map_err(store_error)
            .and_then(found);
    let entry = audit::link_revoked(id, stamp);
    let revoked = append_if(write.connection(), revoked, Some(entry)).await;
    write.finish(1, revoked).await
}

pub(super) async fn note_links(
    writer: &Arc<Writer>,
    fetched: Vec<(LinkId, LinkProgress)>,
) -> Result<(), StoreError> {
    let rows = fetched.len();
    let mut write = writer.begin().await?;
    let noted = note(write.connection(), fetched).await;
    write.finish(rows, noted).await
}

async fn note(
    connection: &mut SqliteConnection,
    fetched: Vec<(LinkId, LinkProgress)>,
) -> Result<(), StoreError> {
    let mut entries = Vec::new();
    for (id, progress) in fetched {
        let whole_before =
            sqlx::query("SELECT served_whole_at IS NOT NULL FROM links WHERE id = ?")
                .bind(integer(id.0))
                .try_map(|row: SqliteRow| Columns::of(&row).value::<bool>())
                .fetch_optional(&mut *connection)
                .await
                .map_err(store_error)?;
        // One that was taken away meanwhile stays away.
        let Some(whole_before) = whole_before else {
            continue;
        };
        if let Some(at) = progress.served_whole_at.filter(|_| !whole_before) {
            entries.push(audit::link_served_whole(id, at));
        }
        sqlx::query(
            "UPDATE links SET bytes_served = ?, first_fetch_at = ?, last_fetch_at = ?, taken = ?,
                 served_whole_at = ? WHERE id = ?",
        )
        .bind(integer(progress.bytes_served))
        .bind(progress.first_fetch_at.map(Utc::unix_ms))
        .bind(progress.last_fetch_at.map(Utc::unix_ms))
        .bind(progress.taken.to_text())
        .bind(progress.served_whole_at.map(Utc::unix_ms))
        .bind(integer(id.0))
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    }
    append(connection, entries).await
}

pub(super) async fn remove_links(writer: &Arc<Writer>, ids: Vec<LinkId>) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let mut removed = Ok(());
    for id in &ids {
        let delete = sqlx::query("DELETE FROM links WHERE id = ?").bind(integer(id.0));
        if removed.is_ok() {
            let deleted = delete.execute(write.connection()).await;
            removed = deleted.map(drop).map_err(store_error);
        }
    }
    write.finish(ids.len(), removed).await
}

fn read(row: &SqliteRow) -> Result<DownloadLink, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(DownloadLink {
        id: LinkId(columns.number()?),
        package: PackageId(columns.number()?),
        capability_sha256: Sha256Digest(columns.bytes()?),
        file_name: columns.value()?,
        file_sha256: Sha256Digest(columns.bytes()?),
        size_bytes: columns.number()?,
        device: columns.value()?,
        created_at: columns.utc()?,
        expires_at: columns.utc()?,
        budget_bytes: columns.number()?,
        revoked_at: columns.optional_utc()?,
        progress: LinkProgress {
            bytes_served: columns.number()?,
            first_fetch_at: columns.optional_utc()?,
            last_fetch_at: columns.optional_utc()?,
            taken: columns.parsed(ByteRanges::parse)?,
            served_whole_at: columns.optional_utc()?,
        },
    })
}
