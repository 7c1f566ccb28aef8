//! Many rows in one statement: a statement's way to SQLite's thread and back costs more than the
//! row that it writes.

use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};

use super::error::store_error;
use crate::store::StoreError;

/// A statement with its values on the way to be bound.
pub(super) type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// How many rows one statement takes. Few sizes, so that each is prepared once and kept.
pub(super) const CHUNK_ROWS: [usize; 5] = [256, 64, 16, 4, 1];

/// `head VALUES (?, ..), (?, ..) tail`, for every chunk size.
#[derive(Debug)]
pub(super) struct BulkStatement {
    sql: [Arc<str>; CHUNK_ROWS.len()],
}

impl BulkStatement {
    /// A statement whose rows have `columns` values each.
    pub(super) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let sql = CHUNK_ROWS.map(|rows| {
            let values = vec![row.as_str(); rows].join(",");
            Arc::from(format!("{head} VALUES {values} {tail}"))
        });
        Self { sql }
    }

    /// Runs it over all rows, in order; `bind` adds one row's values.
    pub(super) async fn execute<R: Sync>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        bind: impl Fn(Query, &R) -> Query + Send + Sync,
    ) -> Result<(), StoreError> {
        self.execute_numbered(connection, rows, |query, _, row| bind(query, row))
            .await
    }

    /// As [`Self::execute`]; `bind` is also told the rows that the statement had before this one.
    pub(super) async fn execute_numbered<R: Sync>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        bind: impl Fn(Query, &[R], &R) -> Query + Send + Sync,
    ) -> Result<(), StoreError> {
        let mut rest = rows;
        for (sql, chunk_rows) in self.sql.iter().zip(CHUNK_ROWS) {
            while rest.len() >= chunk_rows {
                let (chunk, after) = rest.split_at(chunk_rows);
                rest = after;
                let mut query: Query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
                for (index, row) in chunk.iter().enumerate() {
                    query = bind(query, &chunk[..index], row);
                }
                query.execute(&mut *connection).await.map_err(store_error)?;
            }
        }
        Ok(())
    }
}
