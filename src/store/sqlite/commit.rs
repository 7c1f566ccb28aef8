//! The engine's records. All of one kind go out in a few statements of many rows each.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteConnection;

use super::bulk::{BulkStatement, Query};
use super::error::store_error;
use super::rows::{self, Columns, integer, json_list, json_times, milliseconds, peer_text};
use super::{audit, device_requests, devices, events, installed, keys, uplinks};
use crate::clock::Utc;
use crate::model::{
    CampaignId, CampaignState, DeliveryHistory, Device, DeviceReport, EndpointName, NewAuditEntry,
    Registration, RegistrationSlot, StoredObservation, TimelineEntry, UpdateTask,
};
use crate::store::StoreError;
use crate::store::batch::{Batch, CampaignChanges};

/// The statements of a commit, made once: SQLite's driver finds the prepared ones by their text.
#[derive(Debug)]
pub(super) struct RecordStatements {
    admit_device: BulkStatement,
    register: BulkStatement,
    deregister: BulkStatement,
    observe: BulkStatement,
    end_observation: BulkStatement,
    task: BulkStatement,
    task_state: BulkStatement,
    timeline: BulkStatement,
    report: BulkStatement,
    deliver: BulkStatement,
    forget_deliveries: BulkStatement,
    device_requests: device_requests::Statements,
    uplinks: BulkStatement,
}

impl RecordStatements {
    /// All statements' texts.
    pub(super) fn new() -> Self {
        Self {
            admit_device: BulkStatement::new(
                "INSERT INTO devices
                     (endpoint, manufacturer, model, device_type, tags, created_at)",
                6,
                "ON CONFLICT DO NOTHING",
            ),
            register: BulkStatement::new(
                "INSERT OR REPLACE INTO registrations
                     (slot, secret, endpoint, peer, version, queue_mode, lifetime_ms, links,
                      registered_at, expires_at)",
                10,
                "",
            ),
            deregister: delete("DELETE FROM registrations WHERE slot IN ("),
            observe: BulkStatement::new(
                "INSERT OR REPLACE INTO observations (token, endpoint, path)",
                3,
                "",
            ),
            end_observation: delete("DELETE FROM observations WHERE token IN ("),
            // Only tasks that are there: one whose campaign was taken away stays away.
            task: BulkStatement::new(
                "UPDATE tasks SET
                     phase = new.column2, attempt = new.column3, capability = new.column4,
                     uri_intended = new.column5, execute_intended_attempt = new.column6,
                     slot_cell = new.column7, slot_tier = new.column8, waiting_for = new.column9,
                     since = new.column10, until = new.column11, retry_at = new.column12,
                     failure_reason = new.column13, failure_evidence = new.column14,
                     note = new.column15, attempts_before = new.column16, stop = new.column17,
                     consented_at = new.column18, held_since = new.column19, pings = new.column20,
                     bytes_served = new.column21, lost = new.column22,
                     queued_since = new.column23
                 FROM (",
                23,
                ") AS new WHERE tasks.id = new.column1",
            ),
            // The state by itself: it is in an index and is counted, and seldom changes.
            task_state: BulkStatement::new(
                "UPDATE tasks SET state = new.column2 FROM (",
                2,
                ") AS new WHERE tasks.id = new.column1 AND tasks.state <> new.column2",
            ),
            timeline: BulkStatement::new(
                "INSERT INTO timeline (endpoint, number, at, task, attempt, step, detail)
                 SELECT new.column1,
                        new.column2 + coalesce((SELECT max(number) FROM timeline AS old
                                                WHERE old.endpoint = new.column1), 0),
                        new.column3, new.column4, new.column5, new.column6, new.column7
                 FROM (",
                7,
                ") AS new",
            ),
            report: BulkStatement::new(
                "INSERT OR REPLACE INTO reports
                     (endpoint, firmware_version, manufacturer, model, cell_id, rsrp_dbm, sinr_db,
                      tier, reported_at)",
                9,
                "",
            ),
            deliver: BulkStatement::new(
                "INSERT OR REPLACE INTO deliveries (endpoint, delivered_at, barred_since)",
                3,
                "",
            ),
            forget_deliveries: delete("DELETE FROM deliveries WHERE endpoint IN ("),
            device_requests: device_requests::Statements::new(),
            uplinks: uplinks::statement(),
        }
    }

    /// Writes a batch; a transaction is open.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        batch: Batch,
    ) -> Result<(), StoreError> {
        let Batch {
            forgotten,
            devices,
            registrations,
            observations,
            tasks,
            campaigns: changes,
            revoked_keys,
            audit: mut audited,
            events,
            mut timeline,
            reports,
            deliveries,
            device_requests,
            uplinks,
        } = batch;
        if let Some(endpoint) = &forgotten {
            devices::forget(connection, endpoint).await?;
        }
        let devices: Vec<Device> = devices.into_values().collect();
        self.admit_device
            .execute(connection, &devices, bind_device)
            .await?;
        let (live, ended): (Vec<Registration>, Vec<RegistrationSlot>) = divide(registrations);
        self.deregister
            .execute(connection, &ended, |query, slot| query.bind(slot.0))
            .await?;
        self.register
            .execute(connection, &live, bind_registration)
            .await?;
        let (live, ended): (Vec<StoredObservation>, Vec<[u8; 8]>) = divide(observations);
        self.end_observation
            .execute(connection, &ended, |query, token| {
                query.bind(token.to_vec())
            })
            .await?;
        self.observe
            .execute(connection, &live, bind_observation)
            .await?;
        let tasks: Vec<UpdateTask> = tasks.into_values().collect();
        audited.extend(task_ends(connection, &tasks).await?);
        self.task.execute(connection, &tasks, bind_task).await?;
        self.task_state
            .execute(connection, &tasks, |query, task| {
                query.bind(integer(task.id.0)).bind(task.state.word())
            })
            .await?;
        installed::note_successes(connection, &tasks).await?;
        write_campaigns(connection, changes).await?;
        for (id, change) in revoked_keys {
            keys::revoke_key(connection, id, change).await?;
        }
        events::append(connection, events).await?;
        audit::append(connection, audited).await?;
        // The lines of one device stand together, in their order, and so are numbered easily.
        timeline.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        self.timeline
            .execute_numbered(connection, &timeline, bind_timeline_entry)
            .await?;
        let reports: Vec<(EndpointName, DeviceReport)> = reports.into_iter().collect();
        self.report
            .execute(connection, &reports, bind_report)
            .await?;
        self.write_deliveries(connection, deliveries).await?;
        self.device_requests
            .write(connection, device_requests)
            .await?;
        uplinks::write(&self.uplinks, connection, uplinks).await
    }

    async fn write_deliveries(
        &self,
        connection: &mut SqliteConnection,
        deliveries: BTreeMap<EndpointName, Option<DeliveryHistory>>,
    ) -> Result<(), StoreError> {
        let mut counted = Vec::new();
        let mut forgotten = Vec::new();
        for (endpoint, history) in deliveries {
            match history {
                Some(history) => counted.push((endpoint, history)),
                None => forgotten.push(endpoint),
            }
        }
        self.forget_deliveries
            .execute(connection, &forgotten, |query, endpoint| {
                query.bind(endpoint.as_str().to_owned())
            })
            .await?;
        self.deliver
            .execute(connection, &counted, bind_deliveries)
            .await
    }
}

/// Takes away the rows with these keys.
fn delete(head: &str) -> BulkStatement {
    BulkStatement::new(head, 1, ")")
}

/// What is there to be written, and the keys of what is to be taken away.
fn divide<K, V>(map: BTreeMap<K, Option<V>>) -> (Vec<V>, Vec<K>) {
    let mut live = Vec::with_capacity(map.len());
    let mut ended = Vec::new();
    for (key, value) in map {
        match value {
            Some(value) => live.push(value),
            None => ended.push(key),
        }
    }
    (live, ended)
}

/// The values of one device, in the order of [`super::rows::DEVICE`].
pub(super) fn bind_device(query: Query, device: &Device) -> Query {
    query
        .bind(device.endpoint.as_str().to_owned())
        .bind(
            device
                .manufacturer
                .as_ref()
                .map(|name| name.as_str().to_owned()),
        )
        .bind(device.model.as_ref().map(|name| name.as_str().to_owned()))
        .bind(
            device
                .device_type
                .as_ref()
                .map(|name| name.as_str().to_owned()),
        )
        .bind(json_list(device.tags.iter().map(String::as_str)))
        .bind(device.created_at.unix_ms())
}

fn bind_registration(query: Query, registration: &Registration) -> Query {
    query
        .bind(registration.slot.0)
        .bind(registration.secret.to_be_bytes().to_vec())
        .bind(registration.endpoint.as_str().to_owned())
        .bind(peer_text(&registration.peer))
        .bind(registration.version.word())
        .bind(registration.binding.queue_mode)
        .bind(milliseconds(registration.lifetime))
        .bind(std::sync::Arc::clone(&registration.links))
        .bind(registration.registered_at.unix_ms())
        .bind(registration.expires_at.unix_ms())
}

fn bind_observation(query: Query, observation: &StoredObservation) -> Query {
    query
        .bind(observation.token.to_vec())
        .bind(observation.endpoint.as_str().to_owned())
        .bind(observation.path.clone())
}

fn bind_task(query: Query, task: &UpdateTask) -> Query {
    query
        .bind(integer(task.id.0))
        .bind(task.phase.word())
        .bind(task.attempt)
        .bind(task.capability.map(|capability| capability.0.to_vec()))
        .bind(task.uri_intended)
        .bind(task.execute_intended_attempt)
        .bind(task.slot.map(|slot| slot.cell.0))
        .bind(task.slot.map(|slot| slot.tier.word()))
        .bind(task.waiting_for.map(crate::model::WaitingFor::word))
        .bind(task.since.unix_ms())
        .bind(task.until.map(Utc::unix_ms))
        .bind(task.retry_at.map(Utc::unix_ms))
        .bind(task.failure.as_ref().map(|failure| failure.reason.word()))
        .bind(
            task.failure
                .as_ref()
                .map(|failure| failure.evidence.clone()),
        )
        .bind(task.note.map(crate::model::SuccessNote::word))
        .bind(task.attempts_before)
        .bind(task.stop.map(crate::model::StopMode::word))
        .bind(task.consented_at.map(Utc::unix_ms))
        .bind(task.held_since.map(Utc::unix_ms))
        .bind(task.pings)
        .bind(integer(task.bytes_served))
        .bind(task.lost)
        .bind(task.queued_since.map(Utc::unix_ms))
}

fn bind_timeline_entry(query: Query, before: &[TimelineEntry], entry: &TimelineEntry) -> Query {
    let of_this_device = |other: &&TimelineEntry| other.endpoint == entry.endpoint;
    let earlier = before.iter().rev().take_while(of_this_device).count();
    query
        .bind(entry.endpoint.as_str().to_owned())
        .bind(i64::try_from(earlier).unwrap_or(i64::MAX).saturating_add(1))
        .bind(entry.at.unix_ms())
        .bind(integer(entry.task.0))
        .bind(entry.attempt)
        .bind(entry.step.word())
        .bind(entry.detail.clone())
}

fn bind_report(query: Query, (endpoint, report): &(EndpointName, DeviceReport)) -> Query {
    query
        .bind(endpoint.as_str().to_owned())
        .bind(
            report
                .firmware_version
                .as_ref()
                .map(|version| version.as_str().to_owned()),
        )
        .bind(
            report
                .manufacturer
                .as_ref()
                .map(|name| name.as_str().to_owned()),
        )
        .bind(report.model.as_ref().map(|name| name.as_str().to_owned()))
        .bind(report.cell_id.map(|cell| cell.0))
        .bind(report.rsrp_dbm)
        .bind(report.sinr_db)
        .bind(report.tier.map(crate::model::CoverageTier::word))
        .bind(report.reported_at.map(Utc::unix_ms))
}

fn bind_deliveries(query: Query, (endpoint, history): &(EndpointName, DeliveryHistory)) -> Query {
    query
        .bind(endpoint.as_str().to_owned())
        .bind(json_times(&history.delivered_at))
        .bind(history.barred_since.map(Utc::unix_ms))
}

/// What the audit log is told of the tasks that come to their end.
async fn task_ends(
    connection: &mut SqliteConnection,
    tasks: &[UpdateTask],
) -> Result<Vec<NewAuditEntry>, StoreError> {
    let ends = tasks.iter().filter(|task| task.state.is_final());
    let ids: Vec<u64> = ends.clone().map(|task| task.id.0).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let unfinished: Vec<u64> = sqlx::query(
        "SELECT id FROM tasks
         WHERE id IN (SELECT value FROM json_each(?)) AND state IN ('pending', 'running')",
    )
    .bind(serde_json::Value::from(ids).to_string())
    .try_map(|row| Columns::of(&row).number())
    .fetch_all(connection)
    .await
    .map_err(store_error)?;
    let unfinished: BTreeSet<u64> = unfinished.into_iter().collect();
    let ends = ends.filter(|task| unfinished.contains(&task.id.0));
    Ok(ends.filter_map(crate::store::audit::task_ended).collect())
}

async fn consent(
    connection: &mut SqliteConnection,
    id: CampaignId,
    at: Utc,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE campaigns SET consented_at = coalesce(consented_at, ?2) WHERE id = ?1 AND whole = 1",
    )
    .bind(integer(id.0))
    .bind(at.unix_ms())
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

async fn archive(
    connection: &mut SqliteConnection,
    id: CampaignId,
    at: Option<Utc>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE campaigns SET archived_at = ?2 WHERE id = ?1 AND whole = 1")
        .bind(integer(id.0))
        .bind(at.map(Utc::unix_ms))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

async fn write_campaigns(
    connection: &mut SqliteConnection,
    changes: CampaignChanges,
) -> Result<(), StoreError> {
    let CampaignChanges {
        states,
        policies,
        consents,
        archived,
        rollouts,
    } = changes;
    for (id, policy) in policies {
        sqlx::query("UPDATE campaigns SET policy = ?2 WHERE id = ?1")
            .bind(integer(id.0))
            .bind(rows::document(&policy)?)
            .execute(&mut *connection)
            .await
            .map_err(store_error)?;
    }
    for (id, at) in consents {
        consent(connection, id, at).await?;
    }
    for (id, at) in archived {
        archive(connection, id, at).await?;
    }
    for (id, rollout) in rollouts {
        sqlx::query("UPDATE campaigns SET rollout = ?2 WHERE id = ?1")
            .bind(integer(id.0))
            .bind(rows::document(&rollout)?)
            .execute(&mut *connection)
            .await
            .map_err(store_error)?;
    }
    for (id, state, at) in states {
        change_campaign(connection, id, state, at).await?;
    }
    Ok(())
}

async fn change_campaign(
    connection: &mut SqliteConnection,
    id: CampaignId,
    state: CampaignState,
    at: Utc,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE campaigns SET
             state = ?2,
             activated_at = CASE WHEN ?4 THEN coalesce(activated_at, ?3) ELSE activated_at END,
             ended_at = CASE WHEN ?5 THEN ?3 WHEN ?4 THEN NULL ELSE ended_at END
         WHERE id = ?1 AND whole = 1",
    )
    .bind(integer(id.0))
    .bind(state.word())
    .bind(at.unix_ms())
    .bind(state.is_active())
    .bind(crate::store::is_ended(state))
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}
