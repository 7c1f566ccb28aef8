//! Packages.

use std::sync::Arc;

use sqlx::sqlite::SqlitePool;

use super::audit::append_if;
use super::error::{or_conflict, store_error};
use super::rows::{self, Columns, integer, json_list, select};
use super::writer::Writer;
use crate::model::{AuditStamp, FirmwareVersion, Package, PackageId};
use crate::store::{Page, StoreError, audit};

pub(super) async fn add_package(
    writer: &Arc<Writer>,
    package: Package,
    stamp: &AuditStamp,
) -> Result<PackageId, StoreError> {
    let source_versions = json_list(package.source_versions.iter().map(FirmwareVersion::as_str));
    let mut write = writer.begin().await?;
    let added = sqlx::query(
        "INSERT INTO packages
             (manufacturer, model, device_type, protocol, target_version, source_versions, kind,
              component, file_name, image_sha256, image_size_bytes, archive_sha256, key_id,
              uploaded_at)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
    )
    .bind(package.manufacturer.as_str().to_owned())
    .bind(package.model.as_str().to_owned())
    .bind(package.device_type.as_str().to_owned())
    .bind(package.protocol.clone())
    .bind(package.target_version.as_str().to_owned())
    .bind(source_versions)
    .bind(package.kind.word())
    .bind(package.component.word())
    .bind(package.file_name.clone())
    .bind(package.image_sha256.0.to_vec())
    .bind(integer(package.image_size_bytes))
    .bind(package.archive_sha256.0.to_vec())
    .bind(package.key_id.clone())
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
