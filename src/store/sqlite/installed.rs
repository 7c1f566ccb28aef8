//! What tells a downgrade: the sequences of releases, and of what devices were last given. Kept by
//! itself, so that it does not go with the packages and campaigns that it came from, nor with a device
//! that is taken away and entered again.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::error::store_error;
use super::rows::{self, Columns, integer};
use crate::model::{InstalledSequences, Package, TaskState, UpdateTask};
use crate::store::StoreError;

/// A package is there: its version has this sequence, or a higher one.
pub(super) async fn note_release(
    connection: &mut SqliteConnection,
    package: &Package,
) -> Result<(), StoreError> {
    let Some(sequence) = package.sequence else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO releases (manufacturer, model, device_type, component, version, sequence)
         VALUES (?,?,?,?,?,?)
         ON CONFLICT DO UPDATE SET sequence = max(sequence, excluded.sequence)",
    )
    .bind(package.manufacturer.as_str().to_owned())
    .bind(package.model.as_str().to_owned())
    .bind(package.device_type.as_str().to_owned())
    .bind(package.component.word())
    .bind(package.target_version.as_str().to_owned())
    .bind(integer(sequence))
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Of these tasks, those that succeeded: their devices run what they were given. The order of commits
/// counts, not the clock on the wall, which may be set back.
pub(super) async fn note_successes(
    connection: &mut SqliteConnection,
    tasks: &[UpdateTask],
) -> Result<(), StoreError> {
    let succeeded = tasks
        .iter()
        .filter(|task| task.state == TaskState::Succeeded);
    let ids: Vec<u64> = succeeded.map(|task| task.id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    // In order: of two in one commit the later one counts.
    sqlx::query(
        "INSERT INTO installed (manufacturer, model, device_type, component, endpoint, sequence)
         SELECT manufacturer, model, device_type, component, endpoint, sequence FROM tasks
         JOIN campaigns ON campaigns.id = tasks.campaign
         JOIN packages ON packages.id = campaigns.package
         WHERE tasks.id IN (SELECT value FROM json_each(?))
         ORDER BY tasks.since, tasks.id
         ON CONFLICT DO UPDATE SET sequence = excluded.sequence",
    )
    .bind(serde_json::Value::from(ids).to_string())
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

pub(super) async fn installed_sequences(
    readers: &SqlitePool,
    of: &Package,
) -> Result<InstalledSequences, StoreError> {
    let Some(sequence) = of.sequence else {
        return Ok(InstalledSequences::default());
    };
    let versions = sqlx::query(
        "SELECT version, sequence FROM releases
         WHERE manufacturer = ? AND model = ? AND device_type = ? AND component = ?",
    )
    .bind(of.manufacturer.as_str())
    .bind(of.model.as_str())
    .bind(of.device_type.as_str())
    .bind(of.component.word())
    .try_map(|row| {
        let mut columns = Columns::of(&row);
        Ok((columns.parsed(rows::firmware_version)?, columns.number()?))
    })
    .fetch_all(readers)
    .await
    .map_err(store_error)?;
    let devices = sqlx::query(
        "SELECT endpoint, sequence FROM installed
         WHERE manufacturer = ? AND model = ? AND device_type = ? AND component = ?
         AND sequence > ?",
    )
    .bind(of.manufacturer.as_str())
    .bind(of.model.as_str())
    .bind(of.device_type.as_str())
    .bind(of.component.word())
    .bind(integer(sequence))
    .try_map(|row| {
        let mut columns = Columns::of(&row);
        Ok((columns.parsed(rows::endpoint_name)?, columns.number()?))
    })
    .fetch_all(readers)
    .await
    .map_err(store_error)?;
    Ok(InstalledSequences {
        versions: Arc::new(versions.into_iter().collect()),
        devices: devices.into_iter().collect(),
    })
}
