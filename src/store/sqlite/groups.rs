//! Device groups.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::audit::append_if;
use super::bulk::BulkStatement;
use super::error::{found, or_conflict, store_error};
use super::rows::{self, Columns, integer, select};
use super::writer::Writer;
use crate::model::{AuditStamp, EndpointName, GroupId};
use crate::store::audit::{
    group_created, group_deleted, group_device_unbound, group_devices_bound,
    group_devices_replaced, group_renamed,
};
use crate::store::{DeviceGroup, Page, StoreError};

pub(super) async fn add_group(
    writer: &Arc<Writer>,
    name: &str,
    stamp: &AuditStamp,
) -> Result<GroupId, StoreError> {
    let mut write = writer.begin().await?;
    let added =
        sqlx::query("INSERT INTO device_groups (name, created_at) VALUES (?, ?) RETURNING id")
            .bind(name.to_owned())
            .bind(stamp.at.unix_ms())
            .try_map(|row| Ok(GroupId(Columns::of(&row).number()?)))
            .fetch_one(write.connection())
            .await
            .map_err(or_conflict("a group of this name is there already"));
    let entry = added
        .as_ref()
        .ok()
        .map(|id| group_created(*id, name, stamp));
    let added = append_if(write.connection(), added, entry).await;
    write.finish(2, added).await
}

pub(super) async fn groups(
    readers: &SqlitePool,
    page: Page,
) -> Result<Vec<DeviceGroup>, StoreError> {
    let after = page.after_number()?;
    sqlx::query(select(
        rows::GROUP,
        "FROM device_groups WHERE id > ? ORDER BY id LIMIT ?",
    ))
    .bind(integer(after))
    .bind(page.limit)
    .try_map(|row| rows::group(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn rename_group(
    writer: &Arc<Writer>,
    id: GroupId,
    name: &str,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let renamed = sqlx::query("UPDATE device_groups SET name = ? WHERE id = ?")
        .bind(name.to_owned())
        .bind(integer(id.0))
        .execute(write.connection())
        .await
        .map_err(or_conflict("a group of this name is there already"))
        .and_then(found);
    let entry = group_renamed(id, name, stamp);
    let renamed = append_if(write.connection(), renamed, Some(entry)).await;
    write.finish(2, renamed).await
}

pub(super) async fn remove_group(
    writer: &Arc<Writer>,
    id: GroupId,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let removed = sqlx::query("DELETE FROM device_groups WHERE id = ?")
        .bind(integer(id.0))
        .execute(write.connection())
        .await
        .map_err(store_error)
        .and_then(found);
    let entry = group_deleted(id, stamp);
    let removed = append_if(write.connection(), removed, Some(entry)).await;
    write.finish(2, removed).await
}

pub(super) async fn bind_devices(
    writer: &Arc<Writer>,
    id: GroupId,
    devices: &[EndpointName],
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let bound = bind(write.connection(), id, devices).await;
    let entry = group_devices_bound(id, devices, stamp);
    let bound = append_if(write.connection(), bound, Some(entry)).await;
    write.finish(devices.len() + 1, bound).await
}

async fn bind(
    connection: &mut SqliteConnection,
    id: GroupId,
    devices: &[EndpointName],
) -> Result<(), StoreError> {
    // Asked for by itself: with no devices, no foreign key would tell.
    sqlx::query("SELECT id FROM device_groups WHERE id = ?")
        .bind(integer(id.0))
        .fetch_one(&mut *connection)
        .await
        .map_err(store_error)?;
    BulkStatement::new(
        "INSERT INTO group_devices (device_group, endpoint)",
        2,
        "ON CONFLICT DO NOTHING",
    )
    .execute(connection, devices, |query, device| {
        query.bind(integer(id.0)).bind(device.as_str().to_owned())
    })
    .await
}

pub(super) async fn replace_group_devices(
    writer: &Arc<Writer>,
    id: GroupId,
    devices: &[EndpointName],
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let replaced = replace(write.connection(), id, devices).await;
    let entry = group_devices_replaced(id, devices, stamp);
    let replaced = append_if(write.connection(), replaced, Some(entry)).await;
    write.finish(devices.len() + 1, replaced).await
}

async fn replace(
    connection: &mut SqliteConnection,
    id: GroupId,
    devices: &[EndpointName],
) -> Result<(), StoreError> {
    // Rows that stay are not touched: the same list again writes nothing.
    let kept: Vec<_> = devices.iter().map(EndpointName::as_str).collect();
    sqlx::query(
        "DELETE FROM group_devices
         WHERE device_group = ? AND endpoint NOT IN (SELECT value FROM json_each(?))",
    )
    .bind(integer(id.0))
    .bind(serde_json::Value::from(kept).to_string())
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    bind(connection, id, devices).await
}

pub(super) async fn unbind_device(
    writer: &Arc<Writer>,
    id: GroupId,
    device: &EndpointName,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let unbound = sqlx::query("DELETE FROM group_devices WHERE device_group = ? AND endpoint = ?")
        .bind(integer(id.0))
        .bind(device.as_str().to_owned())
        .execute(write.connection())
        .await
        .map_err(store_error)
        .and_then(found);
    let entry = group_device_unbound(id, device, stamp);
    let unbound = append_if(write.connection(), unbound, Some(entry)).await;
    write.finish(2, unbound).await
}

pub(super) async fn group_devices(
    readers: &SqlitePool,
    id: GroupId,
    page: Page,
) -> Result<Vec<EndpointName>, StoreError> {
    let mut read = readers.begin().await.map_err(store_error)?;
    sqlx::query("SELECT id FROM device_groups WHERE id = ?")
        .bind(integer(id.0))
        .fetch_one(&mut *read)
        .await
        .map_err(store_error)?;
    sqlx::query(
        "SELECT endpoint FROM group_devices WHERE device_group = ? AND endpoint > ?
         ORDER BY endpoint LIMIT ?",
    )
    .bind(integer(id.0))
    .bind(page.after.unwrap_or_default())
    .bind(page.limit)
    .try_map(|row| Columns::of(&row).parsed(rows::endpoint_name))
    .fetch_all(&mut *read)
    .await
    .map_err(store_error)
}
