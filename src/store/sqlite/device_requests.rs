//! What operators ask of devices, and what came of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::bulk::{BulkStatement, Query};
use super::error::store_error;
use super::rows::{Columns, endpoint_name, integer, select};
use crate::clock::Utc;
use crate::model::{
    DeviceAnswer, DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState,
    EndpointName, NewDeviceRequest,
};
use crate::store::{Page, StoreError};

/// The columns that [`read`] reads.
const COLUMNS: &str = "endpoint, id, operation, path, content, state, coap_code, content_format, \
     answer, detail, created_at, expires_at, ended_at";

/// By way of a subquery: of rows of constants alone, SQLite would look through the whole table.
const FORGET: [&str; 2] = [
    "DELETE FROM device_requests WHERE (endpoint, id) IN (SELECT column1, column2 FROM (",
    "))",
];

/// The statements of a commit.
#[derive(Debug)]
pub(super) struct Statements {
    put: BulkStatement,
    forget: BulkStatement,
}

impl Statements {
    pub(super) fn new() -> Self {
        Self {
            put: BulkStatement::new(
                &format!("INSERT OR REPLACE INTO device_requests ({COLUMNS})"),
                13,
                "",
            ),
            forget: BulkStatement::new(FORGET[0], 2, FORGET[1]),
        }
    }

    /// Writes those that changed; a transaction is open.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        changes: BTreeMap<(EndpointName, DeviceRequestId), Option<DeviceRequest>>,
    ) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        let mut forgotten = Vec::new();
        for (key, request) in changes {
            match request {
                Some(request) => changed.push(request),
                None => forgotten.push(key),
            }
        }
        self.forget
            .execute(connection, &forgotten, |query, (endpoint, id)| {
                query.bind(endpoint.as_str().to_owned()).bind(integer(id.0))
            })
            .await?;
        self.put.execute(connection, &changed, bind).await
    }
}

pub(super) async fn one(
    readers: &SqlitePool,
    endpoint: &EndpointName,
    id: DeviceRequestId,
) -> Result<DeviceRequest, StoreError> {
    sqlx::query(select(
        COLUMNS,
        "FROM device_requests WHERE endpoint = ? AND id = ?",
    ))
    .bind(endpoint.as_str().to_owned())
    .bind(integer(id.0))
    .try_map(|row| read(&row))
    .fetch_one(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn of_device(
    readers: &SqlitePool,
    endpoint: &EndpointName,
    page: Page,
) -> Result<Vec<DeviceRequest>, StoreError> {
    sqlx::query(select(
        COLUMNS,
        "FROM device_requests WHERE endpoint = ? AND id > ? ORDER BY id LIMIT ?",
    ))
    .bind(endpoint.as_str().to_owned())
    .bind(integer(page.after_number()?))
    .bind(page.limit)
    .try_map(|row| read(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

pub(super) async fn all(
    connection: &mut SqliteConnection,
) -> Result<Vec<DeviceRequest>, sqlx::Error> {
    sqlx::query(select(
        COLUMNS,
        "FROM device_requests ORDER BY endpoint, id",
    ))
    .try_map(|row: SqliteRow| read(&row))
    .fetch_all(connection)
    .await
}

fn bind(query: Query, request: &DeviceRequest) -> Query {
    let DeviceRequest { asked, answer, .. } = request;
    query
        .bind(asked.endpoint.as_str().to_owned())
        .bind(integer(request.id.0))
        .bind(asked.operation.word())
        .bind(asked.path.clone())
        .bind(asked.content.to_vec())
        .bind(request.state.word())
        .bind(answer.as_ref().map(|answer| answer.coap_code))
        .bind(answer.as_ref().and_then(|answer| answer.content_format))
        .bind(
            answer
                .as_ref()
                .map(|answer| answer.content.to_vec())
                .unwrap_or_default(),
        )
        .bind(request.detail.clone())
        .bind(request.created_at.unix_ms())
        .bind(asked.expires_at.unix_ms())
        .bind(request.ended_at.map(Utc::unix_ms))
}

fn read(row: &SqliteRow) -> Result<DeviceRequest, sqlx::Error> {
    let mut columns = Columns::of(row);
    let endpoint = columns.parsed(endpoint_name)?;
    let id = DeviceRequestId(columns.number()?);
    let operation = columns.parsed(DeviceOperation::from_word)?;
    let path = columns.value()?;
    let content = Bytes::from(columns.value::<Vec<u8>>()?);
    let state = columns.parsed(DeviceRequestState::from_word)?;
    let coap_code: Option<u8> = columns.optional_number()?;
    let content_format = columns.optional_number()?;
    let answered = Bytes::from(columns.value::<Vec<u8>>()?);
    let detail = columns.value()?;
    let created_at = columns.utc()?;
    let expires_at = columns.utc()?;
    Ok(DeviceRequest {
        id,
        asked: NewDeviceRequest {
            endpoint,
            operation,
            path,
            content,
            expires_at,
        },
        state,
        answer: coap_code.map(|coap_code| DeviceAnswer {
            coap_code,
            content_format,
            content: answered,
        }),
        detail,
        created_at,
        ended_at: columns.optional_utc()?,
    })
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;
    use crate::store::SqliteStore;

    #[tokio::test]
    async fn what_is_forgotten_is_found_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(&path).await.unwrap();
        for rows in ["(?,?)", "(?,?),(?,?)", "(?,?),(?,?),(?,?),(?,?)"] {
            let [head, tail] = FORGET;
            let sql = format!("EXPLAIN QUERY PLAN {head} VALUES {rows} {tail}");
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for _ in rows.matches('?') {
                query = query.bind(1);
            }
            let plan = query.fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(
                steps
                    .iter()
                    .any(|step| step.starts_with("SEARCH device_requests USING PRIMARY KEY")),
                "{steps:?}"
            );
        }
    }
}
