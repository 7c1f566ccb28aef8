//! Opening a database: the lock, the pragmas, the migrations, what a crash left in part.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::SqliteStore;
use super::commit::RecordStatements;
use super::writer::Writer;
use crate::store::StoreError;

/// How many reads run at once; more wait.
const READERS_MAX: u32 = 4;

/// How long a statement waits for another connection's lock. Ours do not meet; an operator's
/// `sqlite3` may be there.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Prepared statements kept by the writer: all sizes of all bulk statements, and the others.
const WRITER_STATEMENTS_MAX: usize = 128;

/// Page caches, in KiB: the writer's should hold the registrations of a whole fleet.
const WRITER_CACHE_KIB: u32 = 64 * 1024;
const READER_CACHE_KIB: u32 = 8 * 1024;

/// A write-ahead log that has grown beyond this is cut back when it begins anew.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it open.
    #[error("{} is in use by another server", .0.display())]
    InUse(PathBuf),
    /// The folder or the lock file.
    #[error("cannot open {}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The database was made by a newer version, or its migrations were changed.
    #[error("cannot bring the database up to date: {0}")]
    Migration(#[from] MigrateError),
    /// The database itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the database at `path` for a server and makes it where it is not there.
pub(super) async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    let lock = lock(path)?;
    let store = connected(path, Some(lock)).await?;
    super::campaigns::sweep(&store.writer, &store.readers).await?;
    Ok(store)
}

/// Opens the database at `path` beside a server that may have it open.
pub(super) async fn open_beside(path: &Path) -> Result<SqliteStore, OpenError> {
    connected(path, None).await
}

async fn connected(path: &Path, lock: Option<File>) -> Result<SqliteStore, OpenError> {
    let writer_options = writer_options(path);
    let mut connection = connect(&writer_options).await?;
    migrator().run(&mut connection).await?;
    let writer = Arc::new(Writer::new(writer_options, connection));
    Ok(SqliteStore {
        readers: readers(path).await?,
        writer,
        statements: Arc::new(RecordStatements::new()),
        parts: tokio::sync::Mutex::new(()),
        _lock: lock,
    })
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, source }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io_error(folder))?;
    }
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let lock = File::create(&lock_path).map_err(io_error(&lock_path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(io_error(&lock_path)(source)),
    }
}

fn writer_options(path: &Path) -> SqliteConnectOptions {
    options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .statement_cache_capacity(WRITER_STATEMENTS_MAX)
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", LOG_BYTES_MAX.to_string())
}

async fn readers(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = options(path)
        .create_if_missing(false)
        .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
        .pragma("query_only", "on")
        .pragma("wal_autocheckpoint", "0");
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .connect_with(options)
        .await
        .map_err(super::error::store_error)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    options.connect().await.map_err(super::error::store_error)
}

/// A migration's number, its name and its text.
macro_rules! migration_file {
    ($number:literal, $name:literal, $file:literal) => {
        (
            $number,
            $name,
            include_str!(concat!("../migrations/sqlite/", $file)),
        )
    };
}

/// The migrations, built in. A file that was released is never changed again.
fn migrator() -> Migrator {
    let files = [
        migration_file!(1, "first", "0001_first.sql"),
        migration_file!(2, "deliveries", "0002_deliveries.sql"),
        migration_file!(3, "device_requests", "0003_device_requests.sql"),
        migration_file!(4, "key_states", "0004_key_states.sql"),
        migration_file!(6, "audit", "0006_audit.sql"),
        migration_file!(7, "download_links", "0007_download_links.sql"),
        migration_file!(8, "packages", "0008_packages.sql"),
        migration_file!(9, "profiles", "0009_profiles.sql"),
        migration_file!(10, "admission", "0010_admission.sql"),
        migration_file!(11, "installed", "0011_installed.sql"),
        migration_file!(12, "campaign policy", "0012_campaign_policy.sql"),
        migration_file!(13, "targets", "0013_targets.sql"),
        migration_file!(14, "events", "0014_events.sql"),
        migration_file!(15, "retry, stop and consent", "0015_retry_stop_consent.sql"),
        migration_file!(16, "key purpose", "0016_key_purpose.sql"),
        migration_file!(17, "waiting room", "0017_waiting_room.sql"),
        migration_file!(18, "bytes served", "0018_bytes_served.sql"),
        migration_file!(19, "lost devices", "0019_lost_devices.sql"),
        migration_file!(20, "queued since", "0020_queued_since.sql"),
    ];
    let migrations = files.map(|(version, name, sql)| {
        let sql = sql.into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.into())
}
