//! What devices sent of their own data.

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::bulk::{BulkStatement, Query};
use super::error::store_error;
use super::rows::{Columns, endpoint_name, select};
use crate::model::{EndpointName, Uplink};
use crate::store::StoreError;

/// The statement of a commit.
pub(super) fn statement() -> BulkStatement {
    BulkStatement::new(
        "INSERT INTO uplinks (endpoint, number, at, payload, kept)
         SELECT new.column1,
                new.column2 + coalesce((SELECT max(number) FROM uplinks AS old
                                        WHERE old.endpoint = new.column1), 0),
                new.column3, new.column4, new.column5
         FROM (",
        5,
        ") AS new",
    )
}

/// Writes new ones, in order; a transaction is open.
pub(super) async fn write(
    statement: &BulkStatement,
    connection: &mut SqliteConnection,
    mut uplinks: Vec<(Uplink, u32)>,
) -> Result<(), StoreError> {
    // Those of one device stand together, in their order, and so are numbered easily.
    uplinks.sort_by(|(a, _), (b, _)| a.endpoint.cmp(&b.endpoint));
    statement.execute_numbered(connection, &uplinks, bind).await
}

pub(super) async fn of_device(
    readers: &SqlitePool,
    endpoint: &EndpointName,
    limit: u32,
) -> Result<Vec<Uplink>, StoreError> {
    sqlx::query(select(
        "endpoint, at, payload",
        "FROM uplinks WHERE endpoint = ? ORDER BY number DESC LIMIT ?",
    ))
    .bind(endpoint.as_str().to_owned())
    .bind(limit)
    .try_map(|row| read(&row))
    .fetch_all(readers)
    .await
    .map_err(store_error)
}

fn bind(query: Query, before: &[(Uplink, u32)], (uplink, kept): &(Uplink, u32)) -> Query {
    let of_this_device = |other: &&(Uplink, u32)| other.0.endpoint == uplink.endpoint;
    let earlier = before.iter().rev().take_while(of_this_device).count();
    query
        .bind(uplink.endpoint.as_str().to_owned())
        .bind(i64::try_from(earlier).unwrap_or(i64::MAX).saturating_add(1))
        .bind(uplink.at.unix_ms())
        .bind(uplink.payload.to_vec())
        .bind(*kept)
}

fn read(row: &SqliteRow) -> Result<Uplink, sqlx::Error> {
    let mut columns = Columns::of(row);
    Ok(Uplink {
        endpoint: columns.parsed(endpoint_name)?,
        at: columns.utc()?,
        payload: Bytes::from(columns.value::<Vec<u8>>()?),
    })
}
