//! What outlives the process.

use narrowcast::model::{CampaignState, Record, Restored, Sha256Digest};
use narrowcast::store::{MemoryStore, OpenError, SqliteStore, Store, StoreError, StoredKey};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::packages::succeeded;
use crate::samples::{
    deliveries, device, draft, endpoint, key, observation, package, page, registration, report,
    sqlite, stamp, timeline, utc,
};

/// Every field, as text: equal states read equal.
pub(crate) fn text(restored: &Restored) -> String {
    let secrets: Vec<_> = restored
        .registrations
        .iter()
        .map(|it| {
            (
                it.secret,
                it.version,
                it.binding,
                it.links.clone(),
                it.registered_at,
                it.expires_at,
            )
        })
        .collect();
    format!("{restored:#?} {secrets:?}")
}

pub(crate) async fn plain_connection(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    options.connect().await.unwrap()
}

async fn fill(store: &dyn Store) {
    store
        .add_devices((1..50).map(device).collect(), stamp())
        .await
        .unwrap();
    let id = draft(store, 20).await;
    let mut records = vec![Record::Campaign {
        id,
        state: CampaignState::Running,
        at: utc(5),
    }];
    for number in 1..50 {
        records.push(Record::Registered(registration(number, number)));
        records.push(timeline(number, 1));
        records.push(Record::Report {
            endpoint: endpoint(number),
            report: report(number),
        });
    }
    records.push(Record::Observed(observation(1, 1)));
    records.push(Record::Delivered {
        endpoint: endpoint(1),
        history: deliveries(6, true),
    });
    store.commit(records).await.unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let (folder, store) = sqlite().await;
    fill(&store).await;
    let before = text(&store.restore().await.unwrap());
    let reference = MemoryStore::new();
    fill(&reference).await;
    assert_eq!(before, text(&reference.restore().await.unwrap()));
    store.close().await;
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(text(&store.restore().await.unwrap()), before);
    assert_eq!(store.timeline(&endpoint(7), 9).await.unwrap().len(), 1);
    // Links that are alike share their place.
    let restored = store.restore().await.unwrap();
    let [first, second, ..] = restored.registrations.as_slice() else {
        panic!("two registrations");
    };
    assert!(std::sync::Arc::ptr_eq(&first.links, &second.links));
}

#[tokio::test]
async fn a_store_that_was_not_closed_opens_again() {
    let (folder, store) = sqlite().await;
    fill(&store).await;
    let before = text(&store.restore().await.unwrap());
    drop(store);
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(text(&store.restore().await.unwrap()), before);
}

/// Takes a database back to its first version.
const UNDO: &[&str] = &[
    "ALTER TABLE tasks DROP COLUMN lost",
    "DROP TRIGGER served_bytes_are_counted",
    "ALTER TABLE tasks DROP COLUMN bytes_served",
    "ALTER TABLE task_counts DROP COLUMN bytes_served",
    "DROP TABLE deliveries",
    "DROP TABLE device_requests",
    "DROP TABLE uplinks",
    "DROP TABLE audit",
    "ALTER TABLE keys DROP COLUMN created_by",
    "ALTER TABLE keys DROP COLUMN retired_at",
    "ALTER TABLE keys DROP COLUMN retired_by",
    "ALTER TABLE keys DROP COLUMN retired_reason",
    "ALTER TABLE keys DROP COLUMN revoked_at",
    "ALTER TABLE keys DROP COLUMN revoked_by",
    "ALTER TABLE keys DROP COLUMN revoked_reason",
    "DROP TABLE links",
    "DROP TABLE releases",
    "DROP TABLE installed",
    "DROP TABLE profiles",
    "ALTER TABLE packages DROP COLUMN more_files",
    "ALTER TABLE packages DROP COLUMN sequence",
    "ALTER TABLE packages DROP COLUMN not_after",
    "ALTER TABLE packages DROP COLUMN unsigned_by",
    "ALTER TABLE packages DROP COLUMN unsigned_reason",
    "ALTER TABLE packages DROP COLUMN release_notes_zh",
    "ALTER TABLE packages DROP COLUMN release_notes_en",
    "DROP INDEX campaigns_by_package",
    "ALTER TABLE campaigns DROP COLUMN downgrade_by",
    "ALTER TABLE campaigns DROP COLUMN downgrade_reason",
    "ALTER TABLE campaigns DROP COLUMN admission",
    "ALTER TABLE campaigns DROP COLUMN airtime_permille",
    "ALTER TABLE campaigns DROP COLUMN policy",
    "ALTER TABLE campaigns DROP COLUMN rollout",
    "ALTER TABLE campaigns DROP COLUMN created_by",
    "ALTER TABLE tasks DROP COLUMN rollout_phase",
    "ALTER TABLE keys DROP COLUMN purpose",
    "DROP INDEX tasks_by_campaign_and_device",
    "ALTER TABLE campaign_targets DROP COLUMN filter",
    "ALTER TABLE campaign_targets DROP COLUMN allow",
    "ALTER TABLE campaign_targets DROP COLUMN deny",
    "ALTER TABLE campaign_targets DROP COLUMN dynamic",
    "ALTER TABLE device_groups DROP COLUMN filter",
    "DROP TABLE webhook_deliveries",
    "DROP TABLE webhooks",
    "DROP TABLE events",
    "ALTER TABLE tasks DROP COLUMN attempts_before",
    "ALTER TABLE tasks DROP COLUMN stop",
    "ALTER TABLE tasks DROP COLUMN consented_at",
    "ALTER TABLE campaigns DROP COLUMN consented_at",
    "ALTER TABLE campaigns DROP COLUMN archived_at",
    "ALTER TABLE tasks DROP COLUMN queued_since",
    "ALTER TABLE tasks DROP COLUMN held_since",
    "ALTER TABLE tasks DROP COLUMN pings",
    "DELETE FROM _sqlx_migrations WHERE version > 1",
];

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_to_date() {
    let (folder, store) = sqlite().await;
    fill(&store).await;
    store.add_key(key("a", "Quectel"), stamp()).await.unwrap();
    store.close().await;
    let path = folder.path().join("store.db");
    let mut plain = plain_connection(&path).await;
    for sql in UNDO {
        sqlx::query(*sql).execute(&mut plain).await.unwrap();
    }
    let store = SqliteStore::open(&path).await.unwrap();
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.registrations.len(), 49);
    assert_eq!(restored.deliveries, []);
    let entered = StoredKey {
        created_by: None,
        ..key("a", "Quectel")
    };
    assert_eq!(store.key("a").await.unwrap(), entered);
    let history = deliveries(1, false);
    let record = Record::Delivered {
        endpoint: endpoint(1),
        history: history.clone(),
    };
    store.commit(vec![record]).await.unwrap();
    assert_eq!(store.deliveries(&endpoint(1)).await.unwrap(), history);
}

#[tokio::test]
async fn what_devices_run_is_taken_over_from_a_database_that_did_not_keep_it() {
    let (folder, store) = sqlite().await;
    let mut packages = Vec::new();
    for (version, sequence) in [("V3", 3), ("V7", 7), ("V9", 9)] {
        let mut package = package(version);
        package.sequence = Some(sequence);
        package.file.sha256 = Sha256Digest([u8::try_from(sequence).unwrap(); 32]);
        let id = store.add_package(package, stamp()).await.unwrap();
        packages.push(store.package(id).await.unwrap());
    }
    let [older, newer, newest] = packages.as_slice() else {
        panic!("three packages")
    };
    // The second was taken back, as was allowed.
    succeeded(&store, newer.id, 1, 10).await;
    succeeded(&store, newest.id, 2, 10).await;
    succeeded(&store, newer.id, 2, 20).await;
    let before = store.installed_sequences(older).await.unwrap();
    assert_eq!(before.devices.values().collect::<Vec<_>>(), [&7, &7]);
    store.close().await;
    let path = folder.path().join("store.db");
    let mut plain = plain_connection(&path).await;
    for sql in [
        "DROP TABLE releases",
        "DROP TABLE installed",
        "DELETE FROM _sqlx_migrations WHERE version = 11",
    ] {
        sqlx::query(sql).execute(&mut plain).await.unwrap();
    }
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.installed_sequences(older).await.unwrap(), before);
}

#[tokio::test]
async fn two_servers_cannot_open_one_database() {
    let (folder, store) = sqlite().await;
    let path = folder.path().join("store.db");
    let second = SqliteStore::open(&path).await;
    assert!(matches!(second, Err(OpenError::InUse(_))));
    store.close().await;
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let opened = SqliteStore::open(&path).await;
    assert!(matches!(
        opened,
        Err(OpenError::Store(StoreError::Fatal(_)) | OpenError::Migration(_))
    ));
}

#[tokio::test]
async fn a_campaign_left_in_part_by_a_crash_never_shows_and_is_swept() {
    let (folder, store) = sqlite().await;
    let id = draft(&store, 2500).await;
    store.close().await;
    let path = folder.path().join("store.db");
    let mut plain = plain_connection(&path).await;
    // As a crash between the chunks and the last step would leave it.
    sqlx::query("UPDATE campaigns SET whole = 0")
        .execute(&mut plain)
        .await
        .unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(matches!(
        store.campaign(id).await,
        Err(StoreError::NotFound)
    ));
    for table in ["tasks", "campaigns", "campaign_targets", "task_counts"] {
        let rows: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                .fetch_one(&mut plain)
                .await
                .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    assert!(store.campaigns(page(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_log_does_not_grow_with_what_is_written() {
    let (folder, store) = sqlite().await;
    let log = folder.path().join("store.db-wal");
    let mut largest = 0;
    for round in 0..200_u32 {
        let records = (0..256).map(|it| Record::Registered(registration(it * 16, it + round)));
        store.commit(records.collect()).await.unwrap();
        largest = largest.max(std::fs::metadata(&log).unwrap().len());
    }
    // Without checkpoints it would be some 9 MiB.
    assert!(largest < 4 << 20, "{largest} bytes");
}

#[tokio::test]
async fn a_commit_that_fails_writes_nothing_and_the_next_one_works() {
    let (folder, store) = sqlite().await;
    store
        .commit(vec![Record::Registered(registration(1, 1))])
        .await
        .unwrap();
    let mut plain = plain_connection(&folder.path().join("store.db")).await;
    sqlx::query(
        "CREATE TRIGGER fault BEFORE INSERT ON reports BEGIN SELECT raise(ABORT, 'fault'); END",
    )
    .execute(&mut plain)
    .await
    .unwrap();
    let records = vec![
        Record::Registered(registration(2, 2)),
        Record::Report {
            endpoint: endpoint(2),
            report: report(2),
        },
    ];
    let failed = store.commit(records.clone()).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
    let restored = store.restore().await.unwrap();
    assert_eq!(restored.registrations, [registration(1, 1)]);
    sqlx::query("DROP TRIGGER fault")
        .execute(&mut plain)
        .await
        .unwrap();
    store.commit(records).await.unwrap();
    assert_eq!(store.restore().await.unwrap().registrations.len(), 2);
}

#[tokio::test]
async fn the_memory_store_fails_the_commit_it_was_told_to() {
    let store = MemoryStore::new();
    let commit = |slot| store.commit(vec![Record::Registered(registration(slot, slot))]);
    store.fail_after(2);
    commit(1).await.unwrap();
    assert!(matches!(commit(2).await, Err(StoreError::Failed(_))));
    commit(3).await.unwrap();
    let slots: Vec<_> = store
        .restore()
        .await
        .unwrap()
        .registrations
        .iter()
        .map(|it| it.slot.0)
        .collect();
    assert_eq!(slots, [1, 3]);
}
