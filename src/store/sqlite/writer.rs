//! The one connection that writes, and how its write-ahead log is kept short.
//!
//! SQLite's own checkpoints are off, because it ignores their errors: a failed fsync of the database
//! file would be tried again later and then believed. Ours run beside the writer first and under its
//! lock for the rest, so that a commit waits only for what came in between; then the log begins anew.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard, watch};

use super::error::store_error;
use crate::store::StoreError;

/// After how many written rows the log is copied into the database. Rows all over a large table dirty
/// one or two pages of 4 KiB each, so the log stays near 32 to 64 MiB; with fewer rows the same pages
/// would be copied more often.
const CHECKPOINT_ROWS: u64 = 8192;

/// The owner of the writing connection.
#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// `None` after an error that leaves the connection in doubt: the next write opens a new one.
    connection: Mutex<Option<SqliteConnection>>,
    /// Why nothing may be written any more.
    fatal: OnceLock<String>,
    rows_since_checkpoint: AtomicU64,
    checkpoint_runs: AtomicBool,
    /// How many transactions were committed.
    commits: watch::Sender<u64>,
}

impl Writer {
    /// A writer over a connection that was opened with `options`.
    pub(super) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self {
            options,
            connection: Mutex::new(Some(connection)),
            fatal: OnceLock::new(),
            rows_since_checkpoint: AtomicU64::new(0),
            checkpoint_runs: AtomicBool::new(false),
            commits: watch::Sender::default(),
        }
    }

    /// Changes with each commit.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// An error once the store cannot be trusted any more.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.fatal.get() {
            Some(cause) => Err(StoreError::Fatal(cause.clone())),
            None => Ok(()),
        }
    }

    /// Begins a transaction. Dropped unfinished, it is rolled back.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<Write<'_>, StoreError> {
        self.check()?;
        let mut home = self.connection.lock().await;
        let begun = async {
            let mut connection = match home.take() {
                Some(connection) => connection,
                None => self.options.connect().await?,
            };
            sqlx::query("BEGIN IMMEDIATE")
                .execute(&mut connection)
                .await?;
            Ok(connection)
        };
        let connection = begun
            .await
            .map_err(|error| self.noted(store_error(error)))?;
        Ok(Write {
            writer: self,
            home,
            connection,
        })
    }

    /// Closes the connection; SQLite empties the log where it is the last one.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            let closed = sqlx::Connection::close(connection).await;
            if let Err(error) = closed {
                tracing::warn!(%error, "the store's writer did not close cleanly");
            }
        }
    }

    fn noted(&self, error: StoreError) -> StoreError {
        if let StoreError::Fatal(cause) = &error {
            tracing::error!(%cause, "the store can no longer be trusted");
            self.fatal.get_or_init(|| cause.clone());
        }
        error
    }

    fn count_rows(self: &Arc<Self>, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let before = self
            .rows_since_checkpoint
            .fetch_add(rows, Ordering::Relaxed);
        if before.saturating_add(rows) >= CHECKPOINT_ROWS
            && !self.checkpoint_runs.swap(true, Ordering::AcqRel)
        {
            self.rows_since_checkpoint.store(0, Ordering::Relaxed);
            tokio::spawn(Arc::clone(self).checkpoint());
        }
    }

    async fn checkpoint(self: Arc<Self>) {
        if let Err(error) = self.backfill().await {
            let error = self.noted(store_error(error));
            tracing::warn!(%error, "the store's log could not be copied into the database");
        }
        self.checkpoint_runs.store(false, Ordering::Release);
    }

    async fn backfill(&self) -> Result<(), sqlx::Error> {
        const SQL: &str = "PRAGMA wal_checkpoint(PASSIVE)";
        let mut beside = self.options.connect().await?;
        sqlx::query(SQL).execute(&mut beside).await?;
        let _no_commit_meanwhile = self.connection.lock().await;
        sqlx::query(SQL).execute(&mut beside).await?;
        Ok(())
    }
}

/// A transaction on the writing connection.
#[derive(Debug)]
pub(super) struct Write<'a> {
    writer: &'a Arc<Writer>,
    home: MutexGuard<'a, Option<SqliteConnection>>,
    connection: SqliteConnection,
}

impl Write<'_> {
    /// Where the statements go.
    pub(super) const fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Commits where `result` is `Ok`, about `rows` rows having been written; else rolls back. The
    /// connection is kept unless it is in doubt.
    pub(super) async fn finish<T>(
        mut self,
        rows: usize,
        result: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match result {
            Ok(value) => {
                sqlx::query("COMMIT")
                    .execute(&mut self.connection)
                    .await
                    .map_err(|error| self.writer.noted(store_error(error)))?;
                *self.home = Some(self.connection);
                self.writer.count_rows(rows);
                self.writer.commits.send_modify(|commits| *commits += 1);
                Ok(value)
            }
            Err(error @ (StoreError::NotFound | StoreError::Conflict(_))) => {
                let rollback = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
                if rollback.is_ok() {
                    *self.home = Some(self.connection);
                }
                Err(error)
            }
            Err(error @ (StoreError::Full | StoreError::Fatal(_) | StoreError::Failed(_))) => {
                Err(self.writer.noted(error))
            }
        }
    }
}
