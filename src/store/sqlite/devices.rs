//! Devices, their reports and their history.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::audit::append_if;
use super::bulk::BulkStatement;
use super::commit::bind_device;
use super::error::{found, store_error};
use super::rows::{self, json_list, select};
use super::writer::Writer;
use crate::model::{
    AuditStamp, DeliveryHistory, Device, DeviceModel, DeviceReport, DeviceType, EndpointName,
    Manufacturer, TimelineEntry, UpdateTask,
};
use crate::store::audit::{device_replaced, devices_created};
use crate::store::{Page, StoreError};

pub(super) async fn add_devices(
    writer: &Arc<Writer>,
    devices: Vec<Device>,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let added = insert(write.connection(), &devices).await;
    let entry = (!devices.is_empty()).then(|| devices_created(&devices, stamp));
    let added = append_if(write.connection(), added, entry).await;
    write.finish(devices.len() + 1, added).await
}

async fn insert(connection: &mut SqliteConnection, devices: &[Device]) -> Result<(), StoreError> {
    BulkStatement::new(
        "INSERT INTO devices (endpoint, manufacturer, model, device_type, tags, created_at)",
        6,
        "",
    )
    .execute(connection, devices, bind_device)
    .await
}

pub(super) async fn replace_device(
    writer: &Arc<Writer>,
    device: &Device,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let name = |name: Option<&str>| name.map(str::to_owned);
    let mut write = writer.begin().await?;
    let replaced = sqlx::query(
        "UPDATE devices SET manufacturer = ?, model = ?, device_type = ?, tags = ?
         WHERE endpoint = ?",
    )
    .bind(name(device.manufacturer.as_ref().map(Manufacturer::as_str)))
    .bind(name(device.model.as_ref().map(DeviceModel::as_str)))
    .bind(name(device.device_type.as_ref().map(DeviceType::as_str)))
    .bind(json_list(device.tags.iter().map(String::as_str)))
    .bind(device.endpoint.as_str().to_owned())
    .execute(write.connection())
    .await
    .map_err(store_error)
    .and_then(found);
    let entry = device_replaced(device, stamp);
    let replaced = append_if(write.connection(), replaced, Some(entry)).await;
    write.finish(2, replaced).await
}

/// Takes a device away with all that is known of it; what waits for it in drafts is stopped. A
/// transaction is open.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    endpoint: &EndpointName,
) -> Result<(), StoreError> {
    for sql in FORGET {
        sqlx::query(sql)
            .bind(endpoint.as_str().to_owned())
            .execute(&mut *connection)
            .await
            .map_err(store_error)?;
    }
    Ok(())
}

/// Members first: they refer to the device.
const FORGET: [&str; 8] = [
    "DELETE FROM group_devices WHERE endpoint = ?",
    "DELETE FROM devices WHERE endpoint = ?",
    "DELETE FROM reports WHERE endpoint = ?",
    "DELETE FROM deliveries WHERE endpoint = ?",
    "DELETE FROM timeline WHERE endpoint = ?",
    "DELETE FROM device_requests WHERE endpoint = ?",
    "DELETE FROM uplinks WHERE endpoint = ?",
    "UPDATE tasks SET state = 'stopped', phase = 'done'
     WHERE endpoint = ? AND state = 'pending'
         AND campaign IN (SELECT id FROM campaigns WHERE state = 'draft')",
];

/// The tasks of a device that are not final: of drafts, and of campaigns that are not over.
pub(super) async fn unfinished_tasks(
    readers: &SqlitePool,
    endpoint: &EndpointName,
) -> Result<Vec<UpdateTask>, StoreError> {
    // By campaign and state, which is what is indexed: tasks that are final are not looked at.
    sqlx::query(select(
        rows::TASK,
        "FROM tasks WHERE endpoint = ? AND state IN ('pending', 'running')
             AND campaign IN (SELECT id FROM campaigns WHERE whole = 1
                              AND (ended_at IS NULL OR state = 'stopped'))
         ORDER BY id",
    ))
    .bind(endpoint.as_str().to_owned())
    .try_map(|row| rows::task(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn device(
    readers: &SqlitePool,
    endpoint: &EndpointName,
) -> Result<Device, StoreError> {
    sqlx::query(select(rows::DEVICE, "FROM devices WHERE endpoint = ?"))
        .bind(endpoint.as_str().to_owned())
        .try_map(|row| rows::device(&row))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn devices(readers: &SqlitePool, page: Page) -> Result<Vec<Device>, StoreError> {
    sqlx::query(select(
        rows::DEVICE,
        "FROM devices WHERE endpoint > ? ORDER BY endpoint LIMIT ?",
    ))
    .bind(page.after.unwrap_or_default())
    .bind(page.limit)
    .try_map(|row| rows::device(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn report(
    readers: &SqlitePool,
    endpoint: &EndpointName,
) -> Result<DeviceReport, StoreError> {
    sqlx::query(select(rows::REPORT, "FROM reports WHERE endpoint = ?"))
        .bind(endpoint.as_str().to_owned())
        .try_map(|row| Ok(rows::report(&row)?.1))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn deliveries(
    readers: &SqlitePool,
    endpoint: &EndpointName,
) -> Result<DeliveryHistory, StoreError> {
    sqlx::query(select(
        rows::DELIVERIES,
        "FROM deliveries WHERE endpoint = ?",
    ))
    .bind(endpoint.as_str().to_owned())
    .try_map(|row| Ok(rows::deliveries(&row)?.1))
    .fetch_one(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn timeline(
    readers: &SqlitePool,
    endpoint: &EndpointName,
    limit: u32,
) -> Result<Vec<TimelineEntry>, StoreError> {
    sqlx::query(select(
        rows::TIMELINE_ENTRY,
        "FROM timeline WHERE endpoint = ? ORDER BY number DESC LIMIT ?",
    ))
    .bind(endpoint.as_str().to_owned())
    .bind(limit)
    .try_map(|row| rows::timeline_entry(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}
