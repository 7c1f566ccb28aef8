//! Devices, their reports and their history.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::bulk::BulkStatement;
use super::commit::bind_device;
use super::error::store_error;
use super::rows::{self, select};
use super::writer::Writer;
use crate::model::{DeliveryHistory, Device, DeviceReport, EndpointName, TimelineEntry};
use crate::store::{Page, StoreError};

pub(super) async fn add_devices(
    writer: &Arc<Writer>,
    devices: Vec<Device>,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let added = insert(write.connection(), &devices).await;
    write.finish(devices.len(), added).await
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
