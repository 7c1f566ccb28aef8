//! The audit log: what goes into it, that it goes in with what it tells of, and that it is a chain.

use std::path::Path;

use narrowcast::model::{
    AuditAction, CampaignState, GroupId, KeyChange, NewAuditEntry, Record, TaskState,
    TimelineEntry, TimelineStep, UpdateTask,
};
use narrowcast::store::{
    AuditBreak, AuditChain, AuditEntry, AuditHead, SqliteStore, Store, StoreError,
};
use serde_json::{Value, json};

use crate::restart::plain_connection;
use crate::samples::{
    device, draft, key, package, page, page_after, sqlite, stamp, stamp_at, timeline_entry, token,
    utc,
};
use crate::{is_conflict, is_not_found};

for_each_store! {
    each_change_leaves_one_entry_and_a_refused_one_none,
    so_does_each_change_of_devices_and_groups,
    a_clock_that_is_set_breaks_no_chain,
    what_is_told_of_a_device_is_read_from_its_timeline,
    the_end_of_a_task_is_told_once,
    the_entries_are_a_chain_and_come_in_pages,
}

async fn entries(store: &dyn Store) -> Vec<AuditEntry> {
    store.audit_entries(page(10_000)).await.unwrap()
}

fn follow(entries: &[AuditEntry]) -> Result<AuditChain, AuditBreak> {
    let mut chain = AuditChain::default();
    entries.iter().try_for_each(|entry| chain.follow(entry))?;
    Ok(chain)
}

fn told(entries: &[AuditEntry]) -> Vec<(&str, &str, &str)> {
    entries
        .iter()
        .map(|it| (it.action.as_str(), it.kind.as_str(), it.object.as_str()))
        .collect()
}

fn change() -> KeyChange {
    KeyChange {
        at: utc(1),
        by: "gate".to_owned(),
        reason: "lost".to_owned(),
    }
}

async fn each_change_leaves_one_entry_and_a_refused_one_none(store: &dyn Store) {
    let stamp = stamp();
    assert_eq!(entries(store).await, []);
    store
        .add_key(key("a", "Quectel"), stamp.clone())
        .await
        .unwrap();
    assert!(is_conflict(
        store.add_key(key("a", "Neoway"), stamp.clone()).await
    ));
    store
        .retire_key("a", change(), stamp.clone())
        .await
        .unwrap();
    assert!(is_conflict(
        store.retire_key("a", change(), stamp.clone()).await
    ));
    assert!(is_not_found(
        store.retire_key("b", change(), stamp.clone()).await
    ));
    let campaign = draft(store, 3).await;
    let again = store.add_package(package("V0"), stamp.clone()).await;
    assert!(is_conflict(again));
    let remove = |state| store.remove_campaign(campaign, state, stamp.clone());
    assert!(is_conflict(remove(CampaignState::Running).await));
    remove(CampaignState::Draft).await.unwrap();
    assert!(is_not_found(remove(CampaignState::Draft).await));
    store
        .add_token(token("ci", 1), stamp.clone())
        .await
        .unwrap();
    assert!(is_conflict(
        store.add_token(token("ci", 2), stamp.clone()).await
    ));
    store.remove_token("ci", stamp.clone()).await.unwrap();
    assert!(is_not_found(store.remove_token("ci", stamp.clone()).await));

    let entries = entries(store).await;
    let expected = [
        ("key_created", "key", "a"),
        ("key_retired", "key", "a"),
        ("package_accepted", "package", "1"),
        ("campaign_created", "campaign", "1"),
        ("campaign_deleted", "campaign", "1"),
        ("token_created", "token", "ci"),
        ("token_deleted", "token", "ci"),
    ];
    assert_eq!(told(&entries), expected);
    assert!(
        entries
            .iter()
            .all(|it| it.at == stamp.at && it.role == "cli")
    );
    assert_eq!(entries[1].details, r#"{"reason":"lost"}"#);
    assert_eq!(
        entries[3].details,
        r#"{"filter":"model==BC25","name":"水表 2026","package":"1","tasks":"3"}"#
    );
    assert_eq!(follow(&entries).unwrap().entries, 7);
}

async fn so_does_each_change_of_devices_and_groups(store: &dyn Store) {
    let (one, three) = (device(1), device(3));
    let several = vec![one.clone(), device(2), three.clone()];
    let endpoints = [one.endpoint.clone(), three.endpoint.clone()];
    store.add_devices(several, stamp()).await.unwrap();
    store.add_devices(Vec::new(), stamp()).await.unwrap();
    store.add_devices(vec![device(4)], stamp()).await.unwrap();
    let again = store.add_devices(vec![one.clone(), device(5)], stamp());
    assert!(is_conflict(again.await));
    store.replace_device(&one, stamp()).await.unwrap();
    assert!(is_not_found(
        store.replace_device(&device(9), stamp()).await
    ));
    let roof = store.add_group("roof", stamp()).await.unwrap();
    assert!(is_conflict(store.add_group("roof", stamp()).await));
    store.rename_group(roof, "attic", stamp()).await.unwrap();
    let none = GroupId(99);
    assert!(is_not_found(store.rename_group(none, "x", stamp()).await));
    store.bind_devices(roof, &endpoints, stamp()).await.unwrap();
    let bound = store.bind_devices(none, &endpoints, stamp());
    assert!(is_not_found(bound.await));
    let replaced = store.replace_group_devices(roof, &endpoints[..1], stamp());
    replaced.await.unwrap();
    let replaced = store.replace_group_devices(none, &[], stamp());
    assert!(is_not_found(replaced.await));
    let unbind = || store.unbind_device(roof, &endpoints[0], stamp());
    unbind().await.unwrap();
    assert!(is_not_found(unbind().await));
    store.remove_group(roof, stamp()).await.unwrap();
    assert!(is_not_found(store.remove_group(roof, stamp()).await));

    let entries = entries(store).await;
    let device_4 = device(4).endpoint.to_string();
    let expected = [
        ("devices_imported", "device", ""),
        ("device_created", "device", device_4.as_str()),
        ("device_replaced", "device", one.endpoint.as_str()),
        ("group_created", "group", "1"),
        ("group_renamed", "group", "1"),
        ("group_devices_bound", "group", "1"),
        ("group_devices_replaced", "group", "1"),
        ("group_device_unbound", "group", "1"),
        ("group_deleted", "group", "1"),
    ];
    assert_eq!(told(&entries), expected);
    let details = |number: usize| {
        let details: Value = serde_json::from_str(&entries[number].details).unwrap();
        details
    };
    let ends = json!({
        "devices": "3", "first": one.endpoint.as_str(), "last": three.endpoint.as_str(),
    });
    assert_eq!(details(0), ends);
    assert_eq!(details(4), json!({"name": "attic"}));
    assert_eq!(details(5), json!({"devices": "2"}));
    let head = follow(&entries).unwrap();
    let told = store.audit_head().await.unwrap();
    assert_eq!((told.entries, told.sha256), (head.entries, head.head));
}

async fn a_clock_that_is_set_breaks_no_chain(store: &dyn Store) {
    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    assert_eq!(store.audit_head().await.unwrap(), AuditHead::default());
    let times = [
        0,
        YEAR_MS,
        -YEAR_MS,
        -1_700_000_000_000,
        -1_700_000_000_001,
        0,
    ];
    for (number, time) in (0..).zip(times) {
        let token = token(&format!("ci{number}"), number);
        store.add_token(token, stamp_at(time)).await.unwrap();
    }
    let entries = entries(store).await;
    let kept: Vec<_> = entries.iter().map(|entry| entry.at).collect();
    assert!(kept.into_iter().eq(times.map(utc)));
    assert_eq!(follow(&entries).unwrap().entries, 6);
}

async fn what_is_told_of_a_device_is_read_from_its_timeline(store: &dyn Store) {
    let step = |line: i64, step| {
        Record::Timeline(TimelineEntry {
            step,
            ..timeline_entry(1, line)
        })
    };
    let lines = TimelineStep::ALL.iter().zip(1..);
    let records = lines.map(|(it, line)| step(line, *it)).collect();
    store.commit(records).await.unwrap();
    let entries = entries(store).await;
    let actions: Vec<_> = told(&entries).iter().map(|(action, ..)| *action).collect();
    let expected = ["execute_intended", "attempt_failed"];
    assert_eq!(actions, expected);
    assert!(
        entries
            .iter()
            .all(|it| it.actor == "server" && it.kind == "task")
    );
    follow(&entries).unwrap();
}

async fn the_end_of_a_task_is_told_once(store: &dyn Store) {
    let campaign = draft(store, 3).await;
    let before = entries(store).await.len();
    let tasks = store.tasks(campaign, None, page(9)).await.unwrap();
    let in_state = |index: usize, state| {
        Record::Task(UpdateTask {
            state,
            ..tasks[index].clone()
        })
    };
    for (index, state) in [
        (0, TaskState::Running),
        (0, TaskState::Succeeded),
        (0, TaskState::Succeeded),
        (2, TaskState::Stopped),
        (1, TaskState::Failed),
    ] {
        store.commit(vec![in_state(index, state)]).await.unwrap();
    }
    let unknown = UpdateTask {
        id: narrowcast::model::TaskId(99),
        state: TaskState::Failed,
        ..tasks[0].clone()
    };
    store.commit(vec![Record::Task(unknown)]).await.unwrap();
    let entries = entries(store).await;
    let expected = [
        ("task_succeeded", "task", "1"),
        ("task_stopped", "task", "3"),
        ("task_failed", "task", "2"),
    ];
    assert_eq!(told(&entries[before..]), expected);
    follow(&entries).unwrap();
}

fn refused(number: usize) -> Record {
    Record::Audit(NewAuditEntry {
        stamp: stamp(),
        action: AuditAction::PackageRefused,
        object: String::new(),
        details: vec![("reason", format!("the {number}th"))],
    })
}

async fn the_entries_are_a_chain_and_come_in_pages(store: &dyn Store) {
    // Over the sizes of statements, and over several commits.
    for many in [1, 5, 300] {
        store
            .commit((0..many).map(refused).collect())
            .await
            .unwrap();
    }
    let all = entries(store).await;
    assert_eq!(follow(&all).unwrap().entries, 306);
    let numbers: Vec<_> = all.iter().map(|it| it.number).collect();
    assert_eq!(numbers, (1..=306).collect::<Vec<_>>());
    let some = store.audit_entries(page_after(300, 4)).await.unwrap();
    assert_eq!(some, all[300..304]);
    assert!(is_not_found(store.audit_entries(page_after("x", 1)).await));
}

/// Five entries, and what somebody does to them by hand.
async fn broken_by(sql: &'static [&'static str]) -> Result<AuditChain, AuditBreak> {
    let (folder, store) = sqlite().await;
    store.commit((0..5).map(refused).collect()).await.unwrap();
    store.close().await;
    let path = folder.path().join("store.db");
    by_hand(
        &path,
        &[
            "DROP TRIGGER audit_is_not_changed",
            "DROP TRIGGER audit_is_not_deleted",
        ],
    )
    .await;
    by_hand(&path, sql).await;
    let store = SqliteStore::open(&path).await.unwrap();
    follow(&entries(&store).await)
}

async fn by_hand(path: &Path, sql: &'static [&'static str]) {
    let mut plain = plain_connection(path).await;
    for sql in sql {
        sqlx::query(*sql).execute(&mut plain).await.unwrap();
    }
}

#[tokio::test]
async fn what_somebody_does_to_the_rows_is_found_at_its_number() {
    let whole = broken_by(&[]).await.unwrap();
    assert_eq!(whole.entries, 5);
    for column in [
        "at = at + 1",
        "actor = 'me'",
        "role = 'me'",
        "action = 'x'",
        "kind = 'x'",
        "object = 'x'",
        "details = '{}'",
        "sha256 = zeroblob(32)",
        "sha256 = x'00'",
    ] {
        let sql = format!("UPDATE audit SET {column} WHERE number = 3").leak();
        let sql: &'static [&'static str] = vec![&*sql].leak();
        assert_eq!(
            broken_by(sql).await,
            Err(AuditBreak::Altered(3)),
            "{column}"
        );
    }
    let unlinked = broken_by(&["UPDATE audit SET previous = zeroblob(32) WHERE number = 3"]).await;
    assert_eq!(unlinked, Err(AuditBreak::Unlinked(3)));
    let removed = broken_by(&["DELETE FROM audit WHERE number = 2"]).await;
    assert_eq!(removed, Err(AuditBreak::Missing(2)));
    let closed_up = broken_by(&[
        "DELETE FROM audit WHERE number = 2",
        "UPDATE audit SET number = number - 1 WHERE number > 2",
    ])
    .await;
    assert_eq!(closed_up, Err(AuditBreak::Unlinked(2)));
    let swapped = broken_by(&[
        "UPDATE audit SET number = 99 WHERE number = 2",
        "UPDATE audit SET number = 2 WHERE number = 3",
        "UPDATE audit SET number = 3 WHERE number = 99",
    ])
    .await;
    assert_eq!(swapped, Err(AuditBreak::Unlinked(2)));
    let inserted = broken_by(&[
        "UPDATE audit SET number = 6 WHERE number = 5",
        "UPDATE audit SET number = 5 WHERE number = 4",
        "INSERT INTO audit SELECT 4, at, actor, role, action, kind, object, details, sha256,
             randomblob(32) FROM audit WHERE number = 3",
    ])
    .await;
    assert_eq!(inserted, Err(AuditBreak::Altered(4)));
}

#[tokio::test]
async fn sqlite_refuses_to_change_or_delete_an_entry() {
    let (folder, store) = sqlite().await;
    store.commit(vec![refused(1)]).await.unwrap();
    let mut plain = plain_connection(&folder.path().join("store.db")).await;
    for sql in ["UPDATE audit SET actor = 'me'", "DELETE FROM audit"] {
        let refused = sqlx::query(sql).execute(&mut plain).await.unwrap_err();
        assert!(refused.to_string().contains("only added to"), "{refused}");
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_audited_does_not_happen() {
    let (folder, store) = sqlite().await;
    let stamp = stamp();
    store
        .add_key(key("a", "Quectel"), stamp.clone())
        .await
        .unwrap();
    store
        .add_token(token("ci", 1), stamp.clone())
        .await
        .unwrap();
    let campaign = draft(&store, 1).await;
    let before = entries(&store).await;
    let path = folder.path().join("store.db");
    by_hand(
        &path,
        &["CREATE TRIGGER fault BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'fault'); END"],
    )
    .await;
    let failed = |result: Result<(), StoreError>| {
        assert!(matches!(result, Err(StoreError::Failed(_))), "{result:?}");
    };
    failed(store.add_key(key("b", "Quectel"), stamp.clone()).await);
    failed(store.retire_key("a", change(), stamp.clone()).await);
    failed(store.add_token(token("no", 2), stamp.clone()).await);
    failed(store.remove_token("ci", stamp.clone()).await);
    failed(
        store
            .add_package(package("V9"), stamp.clone())
            .await
            .map(drop),
    );
    let removed = store.remove_campaign(campaign, CampaignState::Draft, stamp.clone());
    failed(removed.await);
    let line = TimelineEntry {
        step: TimelineStep::ExecuteIntended,
        ..timeline_entry(1, 1)
    };
    failed(store.commit(vec![Record::Timeline(line.clone())]).await);

    assert_eq!(entries(&store).await, before);
    assert_eq!(
        store.keys(None, page(9)).await.unwrap(),
        [key("a", "Quectel")]
    );
    assert_eq!(store.tokens(page(9)).await.unwrap(), [token("ci", 1)]);
    assert_eq!(store.packages(page(9)).await.unwrap().len(), 1);
    store.campaign(campaign).await.unwrap();
    assert_eq!(store.timeline(&line.endpoint, 9).await.unwrap(), []);
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart_and_beside_a_server() {
    let (folder, store) = sqlite().await;
    let path = folder.path().join("store.db");
    store.commit(vec![refused(1)]).await.unwrap();
    let beside = SqliteStore::open_beside(&path).await.unwrap();
    beside.commit(vec![refused(2)]).await.unwrap();
    store.commit(vec![refused(3)]).await.unwrap();
    drop((store, beside));
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![refused(4)]).await.unwrap();
    assert_eq!(follow(&entries(&store).await).unwrap().entries, 4);
}
