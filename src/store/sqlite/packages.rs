//! Packages.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::audit::append_if;
use super::error::{or_conflict, store_error};
use super::installed;
use super::rows::{self, Columns, integer, json_list, select};
use super::writer::Writer;
use crate::clock::Utc;
use crate::model::{
    AuditStamp, CampaignId, FirmwareVersion, Package, PackageId, Provenance, ReleaseNotes,
    Sha256Digest,
};
use crate::store::{PackageUse, Page, StoreError, audit};

/// Why a package stays as it is.
const IN_USE: &str = "a campaign is of this package";

pub(super) async fn add_package(
    writer: &Arc<Writer>,
    package: Package,
    stamp: &AuditStamp,
) -> Result<PackageId, StoreError> {
    let source_versions = json_list(package.source_versions.iter().map(FirmwareVersion::as_str));
    let more_files = rows::json_files(&package.more_files)?;
    let unsigned = match &package.provenance {
        Provenance::Unsigned { by, reason } => Some((by, reason)),
        Provenance::Signed { .. } => None,
    };
    let mut write = writer.begin().await?;
    let added = sqlx::query(
        "INSERT INTO packages
             (manufacturer, model, device_type, protocol, target_version, source_versions, kind,
              component, file_name, image_sha256, image_size_bytes, more_files, archive_sha256,
              key_id, unsigned_by, unsigned_reason, sequence, not_after, release_notes_zh,
              release_notes_en, uploaded_at)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
    )
    .bind(package.manufacturer.as_str().to_owned())
    .bind(package.model.as_str().to_owned())
    .bind(package.device_type.as_str().to_owned())
    .bind(package.protocol.clone())
    .bind(package.target_version.as_str().to_owned())
    .bind(source_versions)
    .bind(package.kind.word())
    .bind(package.component.word())
    .bind(package.file.name.clone())
    .bind(package.file.sha256.0.to_vec())
    .bind(integer(package.file.size_bytes))
    .bind(more_files)
    .bind(package.archive_sha256.0.to_vec())
    .bind(package.key_id().unwrap_or_default().to_owned())
    .bind(unsigned.map(|(by, _)| by.clone()))
    .bind(unsigned.map(|(_, reason)| reason.clone()))
    .bind(package.sequence.map(integer))
    .bind(package.not_after.map(Utc::unix_ms))
    .bind(package.release_notes.zh.clone())
    .bind(package.release_notes.en.clone())
    .bind(package.uploaded_at.unix_ms())
    .try_map(|row| Ok(PackageId(Columns::of(&row).number()?)))
    .fetch_one(write.connection())
    .await
    .map_err(or_conflict(
        "this image for this product and version is there already",
    ));
    let id = added.as_ref().ok();
    let entry = id.map(|id| audit::package_accepted(*id, &package, stamp));
    let added = append_if(write.connection(), added, entry).await;
    let added = match added {
        Ok(id) => installed::note_release(write.connection(), &package)
            .await
            .map(|()| id),
        Err(error) => Err(error),
    };
    write.finish(1, added).await
}

pub(super) async fn package(readers: &SqlitePool, id: PackageId) -> Result<Package, StoreError> {
    sqlx::query(select(rows::PACKAGE, "FROM packages WHERE id = ?"))
        .bind(integer(id.0))
        .try_map(|row| rows::package(&row))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn packages(readers: &SqlitePool, page: Page) -> Result<Vec<Package>, StoreError> {
    let after = page.after_number()?;
    sqlx::query(select(
        rows::PACKAGE,
        "FROM packages WHERE id > ? ORDER BY id LIMIT ?",
    ))
    .bind(integer(after))
    .bind(page.limit)
    .try_map(|row| rows::package(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn package_use(
    readers: &SqlitePool,
    id: PackageId,
) -> Result<Option<PackageUse>, StoreError> {
    sqlx::query(
        "SELECT id, name, activated_at IS NOT NULL FROM campaigns WHERE package = ? AND whole = 1
         ORDER BY activated_at IS NULL, id LIMIT 1",
    )
    .bind(integer(id.0))
    .try_map(|row| {
        let mut columns = Columns::of(&row);
        Ok(PackageUse {
            campaign: CampaignId(columns.number()?),
            name: columns.value()?,
            activated: columns.value()?,
        })
    })
    .fetch_optional(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn set_release_notes(
    writer: &Arc<Writer>,
    id: PackageId,
    notes: ReleaseNotes,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let set = set_notes(write.connection(), id, &notes).await;
    let entry = audit::package_edited(id, stamp);
    let set = append_if(write.connection(), set, Some(entry)).await;
    write.finish(1, set).await
}

async fn set_notes(
    connection: &mut SqliteConnection,
    id: PackageId,
    notes: &ReleaseNotes,
) -> Result<(), StoreError> {
    let set = sqlx::query(
        "UPDATE packages SET release_notes_zh = ?, release_notes_en = ? WHERE id = ?
         AND NOT EXISTS (SELECT 1 FROM campaigns
                         WHERE package = packages.id AND activated_at IS NOT NULL)",
    )
    .bind(notes.zh.clone())
    .bind(notes.en.clone())
    .bind(integer(id.0))
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    if set.rows_affected() == 1 {
        return Ok(());
    }
    find(connection, id).await?;
    Err(StoreError::Conflict(IN_USE))
}

pub(super) async fn remove_package(
    writer: &Arc<Writer>,
    id: PackageId,
    stamp: &AuditStamp,
) -> Result<Vec<Sha256Digest>, StoreError> {
    let mut write = writer.begin().await?;
    let removed = remove(write.connection(), id).await;
    let entry = removed
        .as_ref()
        .ok()
        .map(|(package, _)| audit::package_deleted(package, stamp));
    let unnamed = removed.map(|(_, unnamed)| unnamed);
    let unnamed = append_if(write.connection(), unnamed, entry).await;
    write.finish(1, unnamed).await
}

async fn remove(
    connection: &mut SqliteConnection,
    id: PackageId,
) -> Result<(Package, Vec<Sha256Digest>), StoreError> {
    let package = find(connection, id).await?;
    // Also one that is being made.
    let in_use: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM campaigns WHERE package = ?)")
            .bind(integer(id.0))
            .fetch_one(&mut *connection)
            .await
            .map_err(store_error)?;
    if in_use {
        return Err(StoreError::Conflict(IN_USE));
    }
    sqlx::query("DELETE FROM packages WHERE id = ?")
        .bind(integer(id.0))
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    let mut unnamed = Vec::new();
    for sha256 in package.digests() {
        let named: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM packages WHERE image_sha256 = ?1 OR archive_sha256 = ?1
             OR instr(more_files, ?2) > 0)",
        )
        .bind(sha256.0.to_vec())
        .bind(sha256.to_string())
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?;
        if !named {
            unnamed.push(sha256);
        }
    }
    Ok((package, unnamed))
}

async fn find(connection: &mut SqliteConnection, id: PackageId) -> Result<Package, StoreError> {
    sqlx::query(select(rows::PACKAGE, "FROM packages WHERE id = ?"))
        .bind(integer(id.0))
        .try_map(|row| rows::package(&row))
        .fetch_one(connection)
        .await
        .map_err(store_error)
}
