//! What an engine is rebuilt from, read in one snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::error::store_error;
use super::rows::select;
use super::{campaigns, device_requests, profiles, rows};
use crate::model::Restored;
use crate::store::StoreError;

/// A read that touches the file.
pub(super) async fn check(readers: &SqlitePool) -> Result<(), StoreError> {
    sqlx::query("SELECT count(*) FROM (SELECT 1 FROM campaigns LIMIT 1)")
        .fetch_one(readers)
        .await
        .map_err(store_error)?;
    Ok(())
}

pub(super) async fn restore(readers: &SqlitePool) -> Result<Restored, StoreError> {
    let mut read = readers.begin().await.map_err(store_error)?;
    let restored = restore_all(&mut read).await.map_err(store_error)?;
    read.commit().await.map_err(store_error)?;
    Ok(restored)
}

async fn restore_all(connection: &mut SqliteConnection) -> Result<Restored, sqlx::Error> {
    let mut links: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut intern = move |text: &str| {
        if let Some(known) = links.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        links.insert(Arc::clone(&new));
        new
    };
    Ok(Restored {
        products: profiles::all(&mut *connection).await?,
        devices: sqlx::query(select(rows::DEVICE, "FROM devices ORDER BY endpoint"))
            .try_map(|row: SqliteRow| rows::device(&row))
            .fetch_all(&mut *connection)
            .await?,
        registrations: sqlx::query(select(
            rows::REGISTRATION,
            "FROM registrations ORDER BY slot",
        ))
        .try_map(|row: SqliteRow| rows::registration(&row, &mut intern))
        .fetch_all(&mut *connection)
        .await?,
        observations: sqlx::query(select(
            rows::OBSERVATION,
            "FROM observations ORDER BY token",
        ))
        .try_map(|row: SqliteRow| rows::observation(&row))
        .fetch_all(&mut *connection)
        .await?,
        campaigns: campaigns::unfinished(&mut *connection).await?,
        packages: sqlx::query(AssertSqlSafe(format!(
            "SELECT {} FROM packages
             WHERE id IN (SELECT package FROM campaigns WHERE {})
             ORDER BY id",
            rows::PACKAGE,
            campaigns::UNFINISHED
        )))
        .try_map(|row: SqliteRow| rows::package(&row))
        .fetch_all(&mut *connection)
        .await?,
        tasks: campaigns::unfinished_tasks(&mut *connection).await?,
        last_task: campaigns::last_task(&mut *connection).await?,
        reports: sqlx::query(select(rows::REPORT, "FROM reports ORDER BY endpoint"))
            .try_map(|row: SqliteRow| rows::report(&row))
            .fetch_all(&mut *connection)
            .await?,
        deliveries: sqlx::query(select(
            rows::DELIVERIES,
            "FROM deliveries ORDER BY endpoint",
        ))
        .try_map(|row: SqliteRow| rows::deliveries(&row))
        .fetch_all(&mut *connection)
        .await?,
        device_requests: device_requests::all(&mut *connection).await?,
    })
}
