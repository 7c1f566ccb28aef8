//! Devices as targets: details by the page, saved filters, and tasks that join a campaign.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::audit::append_if;
use super::error::{found, or_conflict, store_error};
use super::rows::{self, Columns, integer, json_list};
use super::writer::Writer;
use super::{SqliteStore, campaigns};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, Campaign, CampaignId, EndpointName, GroupId, TaskId, UpdateTask, WaitingFor,
};
use crate::store::audit::{filter_group_created, filter_group_replaced};
use crate::store::{DeviceDetails, DevicesOf, Page, StoreError, TargetStore};

/// The columns that [`rows::device_columns`] and [`rows::report_columns`] read.
const DETAILS: &str = "devices.endpoint, devices.manufacturer, devices.model, device_type, tags, \
     created_at, firmware_version, reports.manufacturer, reports.model, cell_id, rsrp_dbm, sinr_db, \
     tier, reported_at";

const WITH_REPORTS: &str = "LEFT JOIN reports ON reports.endpoint = devices.endpoint";

#[async_trait]
impl TargetStore for SqliteStore {
    async fn device_details(
        &self,
        of: DevicesOf<'_>,
        page: Page,
    ) -> Result<Vec<DeviceDetails>, StoreError> {
        // CROSS keeps SQLite from going through all devices to find a few.
        let (of, from) = match of {
            DevicesOf::All => (
                None,
                format!("devices {WITH_REPORTS} WHERE ?1 IS NULL AND devices.endpoint > ?2"),
            ),
            DevicesOf::Group(group) => (
                Some(group.0.to_string()),
                format!(
                    "group_devices CROSS JOIN devices ON devices.endpoint = group_devices.endpoint
                     {WITH_REPORTS}
                     WHERE device_group = CAST(?1 AS INTEGER) AND group_devices.endpoint > ?2"
                ),
            ),
            DevicesOf::Named(names) => (
                Some(json_list(names.iter().map(EndpointName::as_str))),
                format!(
                    "(SELECT DISTINCT value FROM json_each(?1)) AS named
                     CROSS JOIN devices ON devices.endpoint = named.value {WITH_REPORTS}
                     WHERE devices.endpoint > ?2"
                ),
            ),
        };
        let order = if from.starts_with("group") {
            "group_devices.endpoint"
        } else {
            "devices.endpoint"
        };
        sqlx::query(AssertSqlSafe(format!(
            "SELECT {DETAILS} FROM {from} ORDER BY {order} LIMIT ?3"
        )))
        .bind(of)
        .bind(page.after.unwrap_or_default())
        .bind(page.limit)
        .try_map(|row| details(&row))
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn add_filter_group(
        &self,
        name: &str,
        filter: &str,
        stamp: AuditStamp,
    ) -> Result<GroupId, StoreError> {
        let mut write = self.writer.begin().await?;
        let added = sqlx::query(
            "INSERT INTO device_groups (name, filter, created_at) VALUES (?, ?, ?) RETURNING id",
        )
        .bind(name.to_owned())
        .bind(filter.to_owned())
        .bind(stamp.at.unix_ms())
        .try_map(|row| Ok(GroupId(Columns::of(&row).number()?)))
        .fetch_one(write.connection())
        .await
        .map_err(or_conflict("a group of this name is there already"));
        let made = added.as_ref().ok();
        let entry = made.map(|id| filter_group_created(*id, name, filter, &stamp));
        let added = append_if(write.connection(), added, entry).await;
        write.finish(2, added).await
    }

    async fn replace_filter_group(
        &self,
        id: GroupId,
        name: &str,
        filter: &str,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut write = self.writer.begin().await?;
        let replaced = sqlx::query(
            "UPDATE device_groups SET name = ?, filter = ? WHERE id = ? AND filter IS NOT NULL",
        )
        .bind(name.to_owned())
        .bind(filter.to_owned())
        .bind(integer(id.0))
        .execute(write.connection())
        .await
        .map_err(or_conflict("a group of this name is there already"))
        .and_then(found);
        let entry = filter_group_replaced(id, name, filter, &stamp);
        let replaced = append_if(write.connection(), replaced, Some(entry)).await;
        write.finish(2, replaced).await
    }

    async fn dynamic_campaigns(&self) -> Result<Vec<Campaign>, StoreError> {
        campaigns::dynamic(&self.readers).await
    }

    async fn without_task(
        &self,
        campaign: CampaignId,
        endpoints: &[EndpointName],
    ) -> Result<Vec<EndpointName>, StoreError> {
        sqlx::query(
            "SELECT value FROM json_each(?2)
             WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE campaign = ?1 AND endpoint = value)
             ORDER BY key",
        )
        .bind(integer(campaign.0))
        .bind(json_list(endpoints.iter().map(EndpointName::as_str)))
        .try_map(|row| Columns::of(&row).parsed(rows::endpoint_name))
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)
    }

    async fn in_other_campaigns(
        &self,
        endpoints: &[EndpointName],
    ) -> Result<BTreeMap<EndpointName, CampaignId>, StoreError> {
        // CROSS: from the few campaigns, by the index of their devices.
        let found: Vec<_> = sqlx::query(
            "SELECT value, min(campaigns.id)
             FROM campaigns CROSS JOIN task_counts AS counts ON counts.campaign = campaigns.id
             CROSS JOIN json_each(?)
             CROSS JOIN tasks ON tasks.campaign = campaigns.id AND tasks.endpoint = value
             WHERE whole = 1 AND campaigns.state <> 'draft' AND counts.pending + counts.running > 0
                 AND tasks.state IN ('pending', 'running')
             GROUP BY value",
        )
        .bind(json_list(endpoints.iter().map(EndpointName::as_str)))
        .try_map(|row: SqliteRow| {
            let mut columns = Columns::of(&row);
            let endpoint = columns.parsed(rows::endpoint_name)?;
            Ok((endpoint, CampaignId(columns.number()?)))
        })
        .fetch_all(&self.readers)
        .await
        .map_err(store_error)?;
        Ok(found.into_iter().collect())
    }

    async fn join_campaign(
        &self,
        campaign: CampaignId,
        endpoints: &[EndpointName],
        rollout_phase: u16,
        at: Utc,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        join(&self.writer, campaign, endpoints, rollout_phase, at).await
    }
}

async fn join(
    writer: &Arc<Writer>,
    campaign: CampaignId,
    endpoints: &[EndpointName],
    rollout_phase: u16,
    at: Utc,
) -> Result<Vec<UpdateTask>, StoreError> {
    let Some(first) = endpoints.first() else {
        return Ok(Vec::new());
    };
    let model = UpdateTask {
        waiting_for: Some(WaitingFor::Contact),
        rollout_phase,
        ..UpdateTask::new(TaskId(0), campaign, first.clone(), at)
    };
    let mut write = writer.begin().await?;
    let joined = insert(write.connection(), &model, endpoints).await;
    write.finish(endpoints.len(), joined).await
}

async fn insert(
    connection: &mut SqliteConnection,
    model: &UpdateTask,
    endpoints: &[EndpointName],
) -> Result<Vec<UpdateTask>, StoreError> {
    let active = sqlx::query(
        "SELECT 1 FROM campaigns
         WHERE id = ? AND whole = 1 AND state IN ('scheduled', 'running', 'paused')",
    )
    .bind(integer(model.campaign.0))
    .fetch_optional(&mut *connection)
    .await
    .map_err(store_error)?;
    if active.is_none() {
        return Err(StoreError::Conflict("the campaign is not active"));
    }
    let mut joined: Vec<UpdateTask> = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO tasks
             (campaign, endpoint, state, phase, attempt, uri_intended, waiting_for, since,
              rollout_phase)
         SELECT ?1, devices.endpoint, ?3, ?4, ?5, ?6, ?7, ?8, ?9
         FROM json_each(?2) AS named CROSS JOIN devices ON devices.endpoint = named.value
         WHERE true ORDER BY named.key
         ON CONFLICT (campaign, endpoint) DO NOTHING
         RETURNING {}",
        rows::TASK
    )))
    .bind(integer(model.campaign.0))
    .bind(json_list(endpoints.iter().map(EndpointName::as_str)))
    .bind(model.state.word())
    .bind(model.phase.word())
    .bind(model.attempt)
    .bind(model.uri_intended)
    .bind(model.waiting_for.map(WaitingFor::word))
    .bind(model.since.unix_ms())
    .bind(model.rollout_phase)
    .try_map(|row: SqliteRow| rows::task(&row))
    .fetch_all(&mut *connection)
    .await
    .map_err(store_error)?;
    sqlx::query("UPDATE task_counts SET pending = pending + ? WHERE campaign = ?")
        .bind(i64::try_from(joined.len()).unwrap_or(i64::MAX))
        .bind(integer(model.campaign.0))
        .execute(connection)
        .await
        .map_err(store_error)?;
    joined.sort_by_key(|task| task.id);
    Ok(joined)
}

fn details(row: &SqliteRow) -> Result<DeviceDetails, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(DeviceDetails {
        device: rows::device_columns(&mut columns)?,
        report: rows::report_columns(&mut columns)?,
    })
}
