//! How many devices stand alike.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::error::store_error;
use super::rows::{Columns, integer};
use crate::model::{CampaignId, CellId, CoverageTier, EndpointName};
use crate::store::{DeviceLoad, LoadStore, StoreError};

#[async_trait]
impl LoadStore for SqliteStore {
    async fn loads_of_campaign(&self, campaign: CampaignId) -> Result<Vec<DeviceLoad>, StoreError> {
        // A device without a registration is as one that sleeps.
        sqlx::query(
            "SELECT iif(tasks.slot_cell IS NULL, reports.cell_id, tasks.slot_cell) AS cell,
                 iif(tasks.slot_cell IS NULL, reports.tier, tasks.slot_tier) AS tier,
                 tasks.slot_cell IS NOT NULL AS has_slot,
                 ifnull(registrations.queue_mode, 1) = 0 AS listens,
                 tasks.rollout_phase, count(*)
             FROM tasks
             LEFT JOIN reports ON reports.endpoint = tasks.endpoint
             LEFT JOIN registrations ON registrations.endpoint = tasks.endpoint
             WHERE tasks.campaign = ? AND tasks.state IN ('pending', 'running')
             GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
        )
        .bind(integer(campaign.0))
        .try_map(|row| load(&row))
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn loads_of_devices(
        &self,
        endpoints: &[EndpointName],
    ) -> Result<Vec<DeviceLoad>, StoreError> {
        let names: Vec<&str> = endpoints.iter().map(EndpointName::as_str).collect();
        sqlx::query(
            "SELECT reports.cell_id, reports.tier, 0,
                 ifnull(registrations.queue_mode, 1) = 0, 0, count(*)
             FROM json_each(?) AS asked
             LEFT JOIN reports ON reports.endpoint = asked.value
             LEFT JOIN registrations ON registrations.endpoint = asked.value
             GROUP BY 1, 2, 4 ORDER BY 1, 2, 4",
        )
        .bind(serde_json::Value::from(names).to_string())
        .try_map(|row| load(&row))
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)
    }
}

fn load(row: &SqliteRow) -> Result<DeviceLoad, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(DeviceLoad {
        cell: columns.optional_number()?.map(CellId),
        tier: columns.optional(CoverageTier::from_word)?,
        has_slot: columns.number::<u8>()? != 0,
        listens: columns.number::<u8>()? != 0,
        rollout_phase: columns.number()?,
        devices: columns.number()?,
    })
}
