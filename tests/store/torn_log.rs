//! A power cut may tear the end of the write-ahead log.

use std::path::Path;

use narrowcast::model::{Record, RegistrationSlot};
use narrowcast::store::{SqliteStore, Store};
use proptest::prelude::*;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::samples::{endpoint, registration, report, sqlite};

const COMMITS: u32 = 12;

/// What one commit writes: rows in two tables that only ever show together.
fn records(commit: u32) -> Vec<Record> {
    let rows = commit * 10..(commit + 1) * 10;
    rows.flat_map(|row| {
        let report = Record::Report {
            endpoint: endpoint(row),
            report: report(row),
        };
        [Record::Registered(registration(row, row)), report]
    })
    .collect()
}

async fn integrity(path: &Path) -> String {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

/// A live database's files, as a power cut would leave them.
struct PowerCut {
    folder: tempfile::TempDir,
    log: Vec<u8>,
    /// How long the log was after each commit.
    log_lengths: Vec<usize>,
}

impl PowerCut {
    async fn new() -> Self {
        let (live, store) = sqlite().await;
        // Closed once, so that the log has these commits and nothing else.
        store.close().await;
        let path = live.path().join("store.db");
        let log_path = live.path().join("store.db-wal");
        let store = SqliteStore::open(&path).await.unwrap();
        let mut log_lengths = Vec::new();
        for commit in 0..COMMITS {
            store.commit(records(commit)).await.unwrap();
            let log_bytes = std::fs::metadata(&log_path).unwrap().len();
            log_lengths.push(usize::try_from(log_bytes).unwrap());
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(&path, folder.path().join("store.db")).unwrap();
        Self {
            folder,
            log: std::fs::read(&log_path).unwrap(),
            log_lengths,
        }
    }
}

/// Opens the database with this log; how many commits it shows.
async fn open_with(files: &Path, log: &[u8]) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::copy(files.join("store.db"), &path).unwrap();
    std::fs::write(folder.path().join("store.db-wal"), log).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    let restored = store.restore().await.unwrap();
    let slots: Vec<_> = restored.registrations.iter().map(|it| it.slot).collect();
    let rows = u32::try_from(slots.len()).unwrap();
    // Whole commits, the oldest ones, both tables alike.
    assert_eq!(rows % 10, 0);
    assert_eq!(slots, (0..rows).map(RegistrationSlot).collect::<Vec<_>>());
    let reports: Vec<_> = restored.reports.into_iter().map(|(name, _)| name).collect();
    assert_eq!(reports, (0..rows).map(endpoint).collect::<Vec<_>>());
    // And it can be written on.
    store.commit(records(rows / 10)).await.unwrap();
    store.close().await;
    assert_eq!(integrity(&path).await, "ok");
    rows / 10
}

#[tokio::test]
async fn with_its_whole_log_every_commit_is_there() {
    let cut = PowerCut::new().await;
    let commits = open_with(cut.folder.path(), &cut.log).await;
    assert_eq!(commits, COMMITS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn with_a_torn_log_the_whole_commits_before_the_tear_are_left(
        place in any::<proptest::sample::Index>(),
        garbage in proptest::collection::vec(any::<u8>(), 0..5000),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cut = PowerCut::new().await;
            let kept = place.index(cut.log.len());
            let mut torn = cut.log[..kept].to_vec();
            torn.extend(garbage);
            let whole = cut.log_lengths.iter().filter(|length| **length <= kept).count();
            let commits = open_with(cut.folder.path(), &torn).await;
            assert_eq!(usize::try_from(commits).unwrap(), whole);
        });
    }
}
