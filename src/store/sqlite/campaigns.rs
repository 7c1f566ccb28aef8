//! Campaigns and their tasks. What has many tasks is made and taken away in parts, each a
//! transaction of its own, so that the engine's commits come through in between.

use std::sync::Arc;

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::audit::append_if;
use super::error::store_error;
use super::rows::{self, Columns, integer, json_list, milliseconds, select};
use super::writer::Writer;
use crate::clock::Utc;
use crate::model::{
    AuditStamp, Campaign, CampaignId, CampaignState, CampaignTargets, EndpointName, GroupId,
    PackageId, RetryPolicy, TaskId, TaskState, UpdateTask, WaitingFor,
};
use crate::store::{NewCampaign, Page, StoreError, TaskCounts, audit};

/// How many tasks one transaction makes or takes away: the engine's next commit waits as long.
const TASKS_PER_TRANSACTION: usize = 500;

/// SQL for "shows, and is not over": [`CampaignState::is_active`], or stopped while a device was still
/// at work, whose slot is not free yet.
pub(super) const UNFINISHED: &str = "whole = 1 AND (state IN ('scheduled', 'running', 'paused') \
     OR (state = 'stopped' AND id IN \
         (SELECT campaign FROM task_counts WHERE pending + running > 0)))";

/// The columns that [`decode`] reads, and where they are.
const CAMPAIGN: &str = "campaigns.id, name, package, device_groups, devices, filter, allow, deny, \
     dynamic, retries_max, \
     retry_delay_ms, downgrade_by, downgrade_reason, admission, airtime_permille, policy, rollout, created_by, \
     state, created_at, activated_at, ended_at, consented_at, archived_at, pending, running, succeeded, failed, stopped, \
     bytes_served \
     FROM campaigns \
     JOIN campaign_targets ON campaign_targets.campaign = campaigns.id \
     JOIN task_counts ON task_counts.campaign = campaigns.id";

pub(super) async fn create(
    writer: &Arc<Writer>,
    readers: &SqlitePool,
    campaign: NewCampaign,
    endpoints: Vec<EndpointName>,
    stamp: &AuditStamp,
) -> Result<CampaignId, StoreError> {
    sweep(writer, readers).await?;
    let built = build(writer, campaign, &endpoints, stamp).await;
    if built.is_err() {
        // What could be written before it failed is taken away; if that fails too, the next sweep
        // finds it, and nothing shows it until then.
        if let Err(error) = sweep(writer, readers).await {
            tracing::warn!(%error, "a campaign that was made in part is left for later");
        }
    }
    built
}

async fn build(
    writer: &Arc<Writer>,
    campaign: NewCampaign,
    endpoints: &[EndpointName],
    stamp: &AuditStamp,
) -> Result<CampaignId, StoreError> {
    let created_at = campaign.created_at;
    let mut write = writer.begin().await?;
    let maker = stamp.actor.name.as_str();
    let begun = insert(write.connection(), campaign.clone(), endpoints.len(), maker).await;
    let id = write.finish(1, begun).await?;
    let entry = audit::campaign_created(id, &campaign, endpoints.len(), stamp);
    for (phase, members) in campaign.phases(endpoints) {
        for chunk in members.chunks(TASKS_PER_TRANSACTION) {
            let mut write = writer.begin().await?;
            let made = insert_tasks(write.connection(), id, phase, chunk, created_at).await;
            write.finish(chunk.len(), made).await?;
        }
    }
    let mut write = writer.begin().await?;
    let shown = sqlx::query("UPDATE campaigns SET whole = 1 WHERE id = ?")
        .bind(integer(id.0))
        .execute(write.connection())
        .await
        .map_err(store_error);
    // Before this it was nobody's campaign.
    let shown = append_if(write.connection(), shown, Some(entry)).await;
    write.finish(1, shown).await?;
    Ok(id)
}

async fn insert(
    connection: &mut SqliteConnection,
    campaign: NewCampaign,
    tasks: usize,
    maker: &str,
) -> Result<CampaignId, StoreError> {
    let downgrade = campaign.downgrade.as_ref();
    let airtime = campaign.admission.and_then(|policy| policy.airtime);
    let id: CampaignId = sqlx::query(
        "INSERT INTO campaigns
             (name, package, retries_max, retry_delay_ms, downgrade_by, downgrade_reason, admission,
              airtime_permille, policy, created_by, state, created_at, whole)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,0) RETURNING id",
    )
    .bind(campaign.name)
    .bind(integer(campaign.package.0))
    .bind(campaign.retry.retries_max)
    .bind(milliseconds(campaign.retry.delay))
    .bind(downgrade.map(|allowed| allowed.by.clone()))
    .bind(downgrade.map(|allowed| allowed.reason.clone()))
    .bind(campaign.admission.map(|policy| policy.mode.word()))
    .bind(airtime.map(|budget| budget.0.get()))
    .bind(rows::document(&campaign.policy)?)
    .bind(maker)
    .bind(CampaignState::Draft.word())
    .bind(campaign.created_at.unix_ms())
    .try_map(|row| Ok(CampaignId(Columns::of(&row).number()?)))
    .fetch_one(&mut *connection)
    .await
    .map_err(store_error)?;
    let groups: Vec<u64> = campaign
        .targets
        .groups
        .iter()
        .map(|group| group.0)
        .collect();
    let names = |names: &[EndpointName]| json_list(names.iter().map(EndpointName::as_str));
    sqlx::query(
        "INSERT INTO campaign_targets
             (campaign, device_groups, devices, filter, allow, deny, dynamic)
         VALUES (?,?,?,?,?,?,?)",
    )
    .bind(integer(id.0))
    .bind(serde_json::Value::from(groups).to_string())
    .bind(names(&campaign.targets.devices))
    .bind(campaign.targets.filter)
    .bind(campaign.targets.allow.as_deref().map(names))
    .bind(names(&campaign.targets.deny))
    .bind(campaign.targets.dynamic)
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    sqlx::query(
        "INSERT INTO task_counts (campaign, pending, running, succeeded, failed, stopped)
         VALUES (?,?,0,0,0,0)",
    )
    .bind(integer(id.0))
    .bind(i64::try_from(tasks).unwrap_or(i64::MAX))
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    Ok(id)
}

/// New tasks differ only in their device, so the names go over as one list.
async fn insert_tasks(
    connection: &mut SqliteConnection,
    campaign: CampaignId,
    phase: u16,
    endpoints: &[EndpointName],
    created_at: Utc,
) -> Result<(), StoreError> {
    let Some(first) = endpoints.first() else {
        return Ok(());
    };
    let model = UpdateTask::new(TaskId(0), campaign, first.clone(), created_at);
    sqlx::query(
        "INSERT INTO tasks
             (campaign, endpoint, state, phase, attempt, uri_intended, waiting_for, since,
              rollout_phase)
         SELECT ?1, value, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM json_each(?2) ORDER BY key",
    )
    .bind(integer(campaign.0))
    .bind(json_list(endpoints.iter().map(EndpointName::as_str)))
    .bind(model.state.word())
    .bind(model.phase.word())
    .bind(model.attempt)
    .bind(model.uri_intended)
    .bind(model.waiting_for.map(WaitingFor::word))
    .bind(model.since.unix_ms())
    .bind(phase)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Takes away what a crash, an error or [`remove`] left in part.
pub(super) async fn sweep(writer: &Arc<Writer>, readers: &SqlitePool) -> Result<(), StoreError> {
    let found = sqlx::query("SELECT 1 FROM campaigns WHERE whole = 0 LIMIT 1")
        .fetch_optional(readers)
        .await
        .map_err(store_error)?;
    if found.is_none() {
        return Ok(());
    }
    loop {
        let mut write = writer.begin().await?;
        let swept = sweep_some(write.connection()).await;
        if write.finish(TASKS_PER_TRANSACTION, swept).await? == 0 {
            return Ok(());
        }
    }
}

/// Takes some tasks away, or the campaigns once they have none. How many tasks it were.
async fn sweep_some(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let tasks = sqlx::query(
        "DELETE FROM tasks WHERE id IN (
             SELECT id FROM tasks
             WHERE campaign IN (SELECT id FROM campaigns WHERE whole = 0) LIMIT ?)",
    )
    .bind(i64::try_from(TASKS_PER_TRANSACTION).unwrap_or(i64::MAX))
    .execute(&mut *connection)
    .await
    .map_err(store_error)?
    .rows_affected();
    if tasks == 0 {
        sqlx::query("DELETE FROM campaigns WHERE whole = 0")
            .execute(connection)
            .await
            .map_err(store_error)?;
    }
    Ok(tasks)
}

pub(super) async fn remove(
    writer: &Arc<Writer>,
    readers: &SqlitePool,
    id: CampaignId,
    expected: CampaignState,
    stamp: &AuditStamp,
) -> Result<(), StoreError> {
    let mut write = writer.begin().await?;
    let hidden = hide(write.connection(), id, expected).await;
    let entry = audit::campaign_deleted(id, stamp);
    let hidden = append_if(write.connection(), hidden, Some(entry)).await;
    write.finish(1, hidden).await?;
    match sweep(writer, readers).await {
        Err(error @ StoreError::Fatal(_)) => Err(error),
        // It is gone for everyone; its tasks go at the next chance.
        Err(error) => {
            tracing::warn!(%error, "the tasks of a campaign that was taken away are left for later");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn hide(
    connection: &mut SqliteConnection,
    id: CampaignId,
    expected: CampaignState,
) -> Result<(), StoreError> {
    let (state, unfinished): (CampaignState, u64) = sqlx::query(
        "SELECT state, pending + running FROM campaigns
         JOIN task_counts ON task_counts.campaign = campaigns.id
         WHERE campaigns.id = ? AND whole = 1",
    )
    .bind(integer(id.0))
    .try_map(|row| {
        let mut columns = Columns::of(&row);
        let state = columns.parsed(CampaignState::from_word)?;
        Ok((state, columns.number()?))
    })
    .fetch_one(&mut *connection)
    .await
    .map_err(store_error)?;
    if state != expected {
        return Err(StoreError::Conflict("the campaign's state has changed"));
    }
    if state == CampaignState::Stopped && unfinished > 0 {
        return Err(StoreError::Conflict("its devices are still at work"));
    }
    sqlx::query("UPDATE campaigns SET whole = 0 WHERE id = ?")
        .bind(integer(id.0))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

pub(super) async fn campaign(
    readers: &SqlitePool,
    id: CampaignId,
) -> Result<(Campaign, TaskCounts), StoreError> {
    sqlx::query(select(CAMPAIGN, "WHERE whole = 1 AND campaigns.id = ?"))
        .bind(integer(id.0))
        .try_map(|row| decode(&row))
        .fetch_one(readers)
        .await
        .map_err(store_error)
}

pub(super) async fn campaigns(
    readers: &SqlitePool,
    page: Page,
) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
    let after = page.after_number()?;
    sqlx::query(select(
        CAMPAIGN,
        "WHERE whole = 1 AND campaigns.id > ? ORDER BY campaigns.id LIMIT ?",
    ))
    .bind(integer(after))
    .bind(page.limit)
    .try_map(|row| decode(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// The last drafts and active campaigns.
pub(super) async fn current(readers: &SqlitePool, limit: u32) -> Result<Vec<Campaign>, StoreError> {
    sqlx::query(select(
        CAMPAIGN,
        "WHERE whole = 1 AND state IN ('draft', 'scheduled', 'running', 'paused')
         ORDER BY campaigns.id DESC LIMIT ?",
    ))
    .bind(limit)
    .try_map(|row: SqliteRow| Ok(decode(&row)?.0))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// Active campaigns whose targets are dynamic.
pub(super) async fn dynamic(readers: &SqlitePool) -> Result<Vec<Campaign>, StoreError> {
    sqlx::query(select(
        CAMPAIGN,
        "WHERE whole = 1 AND dynamic = 1 AND state IN ('scheduled', 'running', 'paused')
         ORDER BY campaigns.id",
    ))
    .try_map(|row: SqliteRow| Ok(decode(&row)?.0))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// Those that were put away, or those that were not.
pub(super) async fn campaigns_archived(
    readers: &SqlitePool,
    archived: bool,
    page: Page,
) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
    let after = page.after_number()?;
    sqlx::query(select(
        CAMPAIGN,
        "WHERE whole = 1 AND (archived_at IS NOT NULL) = ?3 AND campaigns.id > ?1
         ORDER BY campaigns.id LIMIT ?2",
    ))
    .bind(integer(after))
    .bind(page.limit)
    .bind(archived)
    .try_map(|row| decode(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

/// Campaigns that are not over.
pub(super) async fn unfinished(
    connection: &mut SqliteConnection,
) -> Result<Vec<Campaign>, sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!(
        "SELECT {CAMPAIGN} WHERE {UNFINISHED} ORDER BY campaigns.id"
    )))
    .try_map(|row: SqliteRow| Ok(decode(&row)?.0))
    .fetch_all(connection)
    .await
}

/// The tasks of those campaigns that are not final.
pub(super) async fn unfinished_tasks(
    connection: &mut SqliteConnection,
) -> Result<Vec<UpdateTask>, sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!(
        "SELECT {} FROM tasks
         WHERE campaign IN (SELECT id FROM campaigns WHERE {UNFINISHED})
           AND state IN ('pending', 'running')
         ORDER BY id",
        rows::TASK
    )))
    .try_map(|row: SqliteRow| rows::task(&row))
    .fetch_all(connection)
    .await
}

/// The number of the last task that was ever made.
pub(super) async fn last_task(connection: &mut SqliteConnection) -> Result<TaskId, sqlx::Error> {
    sqlx::query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'tasks'")
        .try_map(|row: SqliteRow| Ok(TaskId(Columns::of(&row).number()?)))
        .fetch_one(connection)
        .await
}

pub(super) async fn tasks(
    readers: &SqlitePool,
    campaign: CampaignId,
    state: Option<TaskState>,
    page: Page,
) -> Result<Vec<UpdateTask>, StoreError> {
    let after = page.after_number()?;
    let mut read = readers.begin().await.map_err(store_error)?;
    sqlx::query("SELECT id FROM campaigns WHERE id = ? AND whole = 1")
        .bind(integer(campaign.0))
        .fetch_one(&mut *read)
        .await
        .map_err(store_error)?;
    let of_state = match state {
        Some(_) => "FROM tasks WHERE campaign = ?1 AND id > ?2 AND state = ?4 ORDER BY id LIMIT ?3",
        None => "FROM tasks WHERE campaign = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    };
    sqlx::query(select(rows::TASK, of_state))
        .bind(integer(campaign.0))
        .bind(integer(after))
        .bind(page.limit)
        .bind(state.map(TaskState::word))
        .try_map(|row| rows::task(&row))
        .fetch_all(&mut *read)
        .await
        .map_err(store_error)
}

pub(super) async fn phase_counts(
    readers: &SqlitePool,
    campaign: CampaignId,
) -> Result<Vec<(u16, TaskCounts)>, StoreError> {
    sqlx::query(
        "SELECT rollout_phase, sum(state = 'pending'), sum(state = 'running'),
                sum(state = 'succeeded'), sum(state = 'failed'), sum(state = 'stopped'),
                sum(bytes_served)
         FROM tasks WHERE campaign = ? GROUP BY rollout_phase ORDER BY rollout_phase",
    )
    .bind(integer(campaign.0))
    .try_map(|row: SqliteRow| {
        let mut columns = Columns::of(&row);
        Ok((columns.number()?, task_counts(&mut columns)?))
    })
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn updated_in_phase(
    readers: &SqlitePool,
    campaign: CampaignId,
    phase: u16,
) -> Result<Vec<(EndpointName, Utc)>, StoreError> {
    sqlx::query(
        "SELECT endpoint, since FROM tasks
         WHERE campaign = ? AND rollout_phase = ? AND state = 'succeeded' ORDER BY id",
    )
    .bind(integer(campaign.0))
    .bind(phase)
    .try_map(|row: SqliteRow| {
        let mut columns = Columns::of(&row);
        Ok((columns.parsed(rows::endpoint_name)?, columns.utc()?))
    })
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

fn task_counts(columns: &mut Columns<'_>) -> Result<TaskCounts, sqlx::Error> {
    Ok(TaskCounts {
        pending: columns.number()?,
        running: columns.number()?,
        succeeded: columns.number()?,
        failed: columns.number()?,
        stopped: columns.number()?,
        bytes_served: columns.number()?,
    })
}

fn decode(row: &SqliteRow) -> Result<(Campaign, TaskCounts), sqlx::Error> {
    let mut columns = Columns::of(row);
    let campaign = Campaign {
        id: CampaignId(columns.number()?),
        name: columns.value()?,
        package: PackageId(columns.number()?),
        targets: CampaignTargets {
            groups: columns.parsed(group_ids)?,
            devices: columns.list(rows::endpoint_name)?,
            filter: columns.value()?,
            allow: columns.optional_list(rows::endpoint_name)?,
            deny: columns.list(rows::endpoint_name)?,
            dynamic: columns.value()?,
        },
        retry: RetryPolicy {
            retries_max: columns.number()?,
            delay: columns.duration()?,
        },
        downgrade: rows::downgrade(&mut columns)?,
        admission: rows::admission(&mut columns)?,
        policy: columns.document()?,
        rollout: columns.document()?,
        created_by: columns.value::<Option<String>>()?.unwrap_or_default(),
        state: columns.parsed(CampaignState::from_word)?,
        created_at: columns.utc()?,
        activated_at: columns.optional_utc()?,
        ended_at: columns.optional_utc()?,
        consented_at: columns.optional_utc()?,
        archived_at: columns.optional_utc()?,
    };
    let counts = task_counts(&mut columns)?;
    Ok((campaign, counts))
}

fn group_ids(json: &str) -> Option<Vec<GroupId>> {
    let ids: Vec<u64> = serde_json::from_str(json).ok()?;
    Some(ids.into_iter().map(GroupId).collect())
}
