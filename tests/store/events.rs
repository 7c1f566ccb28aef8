//! The stream of events: committed with what it tells of, numbered without gaps, bounded; and who is
//! told of it.

use narrowcast::model::{
    CampaignState, DeliveryState, Event, Happening, KeyChange, NewEvent, Record, Webhook,
    WebhookDelivery, WebhookId, WebhookState,
};
use narrowcast::store::{MemoryStore, NotedDeliveries, SqliteStore, Store, StoreError};

use crate::is_not_found;
use crate::samples::{draft, endpoint, page, page_after, sqlite, stamp, timeline, utc};

for_each_store! {
    what_is_committed_is_told_in_its_order_and_with_its_campaign,
    a_commit_that_may_have_told_something_is_noticed,
    the_oldest_events_go_and_the_last_never_does,
    a_webhook_is_told_of_what_comes_after_it,
    a_webhooks_deliveries_are_numbered_kept_and_asked_for_again,
    what_a_webhook_came_to_is_noted_at_once,
}

async fn all(store: &dyn Store) -> Vec<Event> {
    store.events(0, 10_000).await.unwrap()
}

fn registered(number: u32) -> Record {
    let happening = Happening::DeviceRegistered;
    Record::Event(NewEvent::of_device(utc(5), happening, endpoint(number)))
}

async fn what_is_committed_is_told_in_its_order_and_with_its_campaign(store: &dyn Store) {
    let campaign = draft(store, 3).await;
    let state = CampaignState::Running;
    let records = vec![
        Record::Campaign {
            id: campaign,
            state,
            at: utc(3),
        },
        // Task 2 is device 2's.
        timeline(2, 4),
        registered(1),
    ];
    store.commit(records).await.unwrap();
    let change = KeyChange {
        at: utc(6),
        by: "gate".to_owned(),
        reason: "lost".to_owned(),
    };
    let id = "5c1f".to_owned();
    let revoked = Record::KeyRevoked { id, change };
    store.commit(vec![revoked]).await.unwrap();

    let events = all(store).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        store.last_event().await.unwrap(),
        numbers.last().copied().unwrap()
    );
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "package.accepted",
            "campaign.created",
            "campaign.running",
            "task.negotiated",
            "device.registered",
            "key.revoked"
        ]
    );
    assert_eq!(events[1].campaign, Some(campaign));
    assert_eq!(events[3].campaign, Some(campaign));
    assert_eq!(events[3].endpoint, Some(endpoint(2)));
    assert_eq!(events[3].detail, "line 4");
    assert_eq!((events[4].at, events[4].campaign), (utc(5), None));
    assert_eq!(events[5].object.as_deref(), Some("5c1f"));
    let page = store.events(2, 2).await.unwrap();
    assert_eq!(page, events[2..4]);
}

async fn a_commit_that_may_have_told_something_is_noticed(store: &dyn Store) {
    let mut changed = store.events_changed();
    changed.borrow_and_update();
    store.commit(vec![registered(1)]).await.unwrap();
    assert!(changed.has_changed().unwrap());
}

async fn the_oldest_events_go_and_the_last_never_does(store: &dyn Store) {
    let at = |at| {
        Record::Event(NewEvent::of_device(
            utc(at),
            Happening::DeviceLost,
            endpoint(1),
        ))
    };
    let commit: Vec<Record> = (1..=10).map(at).collect();
    store.commit(commit).await.unwrap();
    assert_eq!(store.trim_events(100, utc(0), 100).await.unwrap(), 0);
    assert_eq!(store.trim_events(8, utc(0), 100).await.unwrap(), 2);
    assert_eq!(all(store).await[0].number, 3);
    // By age, and no more at once than is asked for.
    assert_eq!(store.trim_events(100, utc(7), 3).await.unwrap(), 3);
    assert_eq!(store.trim_events(100, utc(7), 3).await.unwrap(), 1);
    assert_eq!(all(store).await[0].number, 7);
    assert_eq!(store.trim_events(0, utc(99), 100).await.unwrap(), 3);
    assert_eq!(all(store).await.len(), 1);
    store.commit(vec![at(11)]).await.unwrap();
    assert_eq!(store.last_event().await.unwrap(), 11);
}

fn webhook() -> Webhook {
    Webhook {
        id: WebhookId(0),
        url: "https://例.example/hook?a=1".to_owned(),
        secret: vec![0, 255, 7],
        topics: vec!["campaign:1".to_owned()],
        types: vec!["task.*".to_owned(), "key.revoked".to_owned()],
        state: WebhookState::Active,
        reason: String::new(),
        cursor: 99,
        created_at: utc(1),
        created_by: "ada".to_owned(),
    }
}

fn delivery(message_id: &str, state: DeliveryState) -> WebhookDelivery {
    WebhookDelivery {
        number: 0,
        message_id: message_id.to_owned(),
        body: "{\"id\":\"7\"}".to_owned(),
        in_order: true,
        state,
        attempts: 3,
        created_at: utc(2),
        last_at: Some(utc(3)),
        next_at: (state == DeliveryState::Pending).then(|| utc(4)),
        answer_status: Some(503),
        error: "timed out".to_owned(),
    }
}

async fn a_webhook_is_told_of_what_comes_after_it(store: &dyn Store) {
    store
        .commit(vec![registered(1), registered(2)])
        .await
        .unwrap();
    let id = store.add_webhook(webhook(), stamp()).await.unwrap();
    let stored = store.webhook(id).await.unwrap();
    assert_eq!(
        stored,
        Webhook {
            id,
            cursor: 2,
            ..webhook()
        }
    );
    assert_eq!(store.webhooks(page(9)).await.unwrap(), [stored]);
    assert_eq!(store.webhooks(page_after(id.0, 9)).await.unwrap(), []);
    let off = WebhookState::Disabled;
    store.set_webhook_state(id, off, stamp()).await.unwrap();
    assert_eq!(store.webhook(id).await.unwrap().state, off);
    store.remove_webhook(id, stamp()).await.unwrap();
    assert!(is_not_found(store.webhook(id).await));
    assert!(is_not_found(store.remove_webhook(id, stamp()).await));
    let next = store.add_webhook(webhook(), stamp()).await.unwrap();
    assert_ne!(next, id, "a number comes twice");
    let audited = store.audit_entries(page(99)).await.unwrap();
    assert!(
        audited
            .iter()
            .all(|entry| !entry.details.contains("secret"))
    );
    let actions: Vec<&str> = audited.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "webhook_created",
            "webhook_disabled",
            "webhook_deleted",
            "webhook_created"
        ]
    );
}

async fn a_webhooks_deliveries_are_numbered_kept_and_asked_for_again(store: &dyn Store) {
    let id = store.add_webhook(webhook(), stamp()).await.unwrap();
    for number in 1..=5 {
        let state = if number == 1 {
            DeliveryState::Pending
        } else {
            DeliveryState::Dead
        };
        let noted = NotedDeliveries {
            deliveries: vec![delivery(&number.to_string(), state)],
            ..NotedDeliveries::default()
        };
        store.note_deliveries(id, noted, 2).await.unwrap();
    }
    // Two are kept, and what is still to be tried.
    let listed = store.deliveries_of(id, page(9)).await.unwrap();
    let numbers: Vec<u64> = listed.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [5, 4, 1]);
    let rest = store.deliveries_of(id, page_after(5, 1)).await.unwrap();
    assert_eq!(rest[0].number, 4);
    let expected = WebhookDelivery {
        number: 1,
        ..delivery("1", DeliveryState::Pending)
    };
    assert_eq!(store.pending_deliveries(id).await.unwrap(), [expected]);

    let again = WebhookDelivery {
        state: DeliveryState::Pending,
        in_order: false,
        ..store.delivery(id, 4).await.unwrap()
    };
    let asked = store.ask_delivery(id, again.clone(), 2, stamp()).await;
    assert_eq!(asked.unwrap(), 4);
    assert_eq!(store.delivery(id, 4).await.unwrap(), again);
    let test = delivery("test", DeliveryState::Pending);
    let asked = store.ask_delivery(id, test, 2, stamp()).await.unwrap();
    assert_eq!(asked, 6);
    assert!(is_not_found(store.delivery(id, 77).await));
    let audited = store.audit_entries(page(99)).await.unwrap();
    let asked = audited
        .iter()
        .filter(|entry| entry.action == "webhook_delivery_asked");
    assert_eq!(asked.count(), 2);
}

async fn what_a_webhook_came_to_is_noted_at_once(store: &dyn Store) {
    let id = store.add_webhook(webhook(), stamp()).await.unwrap();
    let noted = NotedDeliveries {
        deliveries: vec![delivery("7", DeliveryState::Dead)],
        cursor: Some(7),
        disabled: Some((utc(8), "410".to_owned())),
    };
    store.note_deliveries(id, noted.clone(), 9).await.unwrap();
    let stored = store.webhook(id).await.unwrap();
    assert_eq!((stored.cursor, stored.state), (7, WebhookState::Disabled));
    assert_eq!(stored.reason, "410");
    let last = all(store).await.pop().unwrap();
    assert_eq!((last.kind.as_str(), last.at), ("webhook.disabled", utc(8)));
    // One that was taken away meanwhile stays away.
    store.remove_webhook(id, stamp()).await.unwrap();
    assert!(is_not_found(store.note_deliveries(id, noted, 9).await));
    assert_eq!(store.deliveries_of(id, page(9)).await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_that_fails_tells_nothing() {
    let store = MemoryStore::new();
    store.fail_after(1);
    let failed = store.commit(vec![registered(1)]).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))));
    assert_eq!(all(&store).await, []);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart() {
    let (folder, store) = sqlite().await;
    store.commit(vec![registered(1)]).await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&folder.path().join("store.db"))
        .await
        .unwrap();
    store.commit(vec![registered(2)]).await.unwrap();
    let numbers: Vec<u64> = all(&store).await.iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 2]);
}
