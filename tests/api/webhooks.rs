//! `/api/v1/webhooks`: what operators enter. What receivers are told is tested with the program itself.

use narrowcast::model::{AuditActor, AuditStamp, DeliveryState, WebhookDelivery, WebhookId};
use narrowcast::store::{EventStore, NotedDeliveries};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{EVENT_LIMITS, Service, send};

const WEBHOOKS: &str = "/api/v1/webhooks";

async fn created(service: &Service) -> Value {
    let body = json!({"url": "http://192.0.2.9:9/hook", "types": ["task.*"]});
    service.post(WEBHOOKS, &body).await.expect(201)
}

#[tokio::test]
async fn a_webhook_shows_its_secret_once_and_is_disabled_and_taken_away() {
    let service = Service::start().await;
    let request = service.request(Method::POST, WEBHOOKS);
    let body = json!({"url": "https://hooks.example/a?b=c", "topics": ["campaign:1", "device:urn:imei:7"]});
    let request = request.header("Idempotency-Key", "one").json(&body);
    let again = request.try_clone().expect("a request");
    let made = send(request).await.expect(201);
    let secret = made["secret"].as_str().expect("a secret");
    assert!(
        secret.starts_with("whsec_") && secret.len() > 40,
        "{secret}"
    );
    assert_eq!((&made["id"], &made["state"]), (&json!(1), &json!("active")));
    assert_eq!(made["created_by"], "admin");
    // Not the answer of before, which has a secret in it.
    let other = send(again).await.expect(201);
    assert_ne!(other["secret"], made["secret"]);

    let listed = service.get(WEBHOOKS).await;
    assert_eq!(listed.expect(200).as_array().map(Vec::len), Some(2));
    let shown = service.get("/api/v1/webhooks/1").await;
    for answer in [&listed, &shown] {
        assert!(!answer.text.contains("secret") && !answer.text.contains(secret));
    }
    assert_eq!(shown.expect(200)["topics"], body["topics"]);

    let change = service.request(Method::PATCH, "/api/v1/webhooks/1");
    let off = json!({"state": "disabled"});
    let etag = shown.header("etag").to_owned();
    let changed = send(change.json(&off).header("If-Match", etag.clone())).await;
    assert_eq!(changed.expect(200)["state"], "disabled");
    let change = service.request(Method::PATCH, "/api/v1/webhooks/1");
    let stale = send(change.json(&off).header("If-Match", etag)).await;
    stale.problem(412, "stale", None);
    let test = service.post("/api/v1/webhooks/1/test", &json!({})).await;
    test.problem(409, "conflict", None);
    service.delete("/api/v1/webhooks/1").await.expect(204);
    let gone = service.get("/api/v1/webhooks/1").await;
    gone.problem(404, "not_found", None);

    let audited = service.get("/api/v1/audit").await.expect(200);
    let entries = audited.as_array().expect("a list").iter();
    let actions = entries.filter(|entry| entry["kind"] == "webhook");
    let actions: Vec<_> = actions.map(|entry| &entry["action"]).collect();
    assert_eq!(
        actions,
        [
            "webhook_created",
            "webhook_created",
            "webhook_disabled",
            "webhook_deleted"
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_told_or_reached_is_refused_with_its_field() {
    let service = Service::start().await;
    for (url, says) in [
        ("hooks.example/a", "https://"),
        ("ftp://hooks.example/a", "http"),
        ("https://user:pass@hooks.example/", "user"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254"),
        ("http://[fe80::1]:8080/", "fe80"),
        ("http://0.0.0.0/", "0.0.0.0"),
        ("http://100.100.100.200/", "metadata"),
    ] {
        let answer = service.post(WEBHOOKS, &json!({"url": url})).await;
        let detail = answer.problem(422, "invalid_field", Some("url"));
        assert!(detail.contains(says), "{detail}");
    }
    for (field, value) in [
        ("topics", json!(["cell:7"])),
        ("types", json!(["task.fail"])),
        ("types", json!(vec!["task.*"; 33])),
        ("secret", json!("short")),
        ("secret", json!("whsec_AAAA")),
    ] {
        let mut body = json!({"url": "http://192.0.2.9:9/"});
        body[field] = value;
        let answer = service.post(WEBHOOKS, &body).await;
        answer.problem(422, "invalid_field", Some(field));
    }
    let body =
        json!({"url": "http://192.0.2.9:9/", "secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    let made = service.post(WEBHOOKS, &body).await.expect(201);
    assert_eq!(made["secret"], body["secret"]);
}

#[tokio::test]
async fn webhooks_and_what_is_asked_of_them_by_hand_are_bounded() {
    let service = Service::start().await;
    for _ in 0..EVENT_LIMITS.webhooks_max {
        created(&service).await;
    }
    let body = json!({"url": "http://192.0.2.9:9/"});
    let full = service.post(WEBHOOKS, &body).await;
    full.problem(507, "limit_reached", None);
    // Nobody delivers here.
    for _ in 0..16 {
        let asked = service.post("/api/v1/webhooks/1/test", &json!({})).await;
        assert_eq!(asked.expect(202)["event"]["type"], "narrowcast.test");
    }
    let full = service.post("/api/v1/webhooks/1/test", &json!({})).await;
    full.problem(507, "limit_reached", None);
}

#[tokio::test]
async fn a_webhook_beyond_a_lowered_limit_says_that_it_is_told_of_nothing() {
    let service = Service::start().await;
    for _ in 0..EVENT_LIMITS.webhooks_max {
        created(&service).await;
    }
    let stored = service.store.webhook(WebhookId(1)).await.expect("a store");
    let stamp = AuditStamp {
        at: service.clock.now().utc,
        actor: AuditActor::server(),
    };
    let beyond = service.store.add_webhook(stored, stamp).await;
    let beyond = beyond.expect("a store").0;
    for (id, is_beyond) in [(1, false), (beyond - 1, false), (beyond, true)] {
        let shown = service.get(&format!("{WEBHOOKS}/{id}")).await.expect(200);
        assert_eq!(shown["beyond_limit"], is_beyond, "{shown:#}");
    }
    let listed = service.get(WEBHOOKS).await.expect(200);
    let listed = listed.as_array().expect("a list");
    let are_beyond = listed.iter().filter(|it| it["beyond_limit"] == true);
    assert_eq!(are_beyond.count(), 1);
}

#[tokio::test]
async fn deliveries_are_listed_in_pages_and_told_once_more_with_the_same_id() {
    let service = Service::start().await;
    created(&service).await;
    let dead = WebhookDelivery {
        number: 0,
        message_id: "7".to_owned(),
        body: json!({"type": "narrowcast.task.failed"}).to_string(),
        in_order: true,
        state: DeliveryState::Dead,
        attempts: 39,
        created_at: service.clock.now().utc,
        last_at: None,
        next_at: None,
        answer_status: Some(500),
        error: String::new(),
    };
    let noted = NotedDeliveries {
        deliveries: vec![dead.clone(), dead],
        ..NotedDeliveries::default()
    };
    let id = WebhookId(1);
    let written = service.store.note_deliveries(id, noted, 9).await;
    written.expect("a store");
    let path = "/api/v1/webhooks/1/deliveries";
    let page = service.get(&format!("{path}?limit=1")).await;
    let next = page.header("link").to_owned();
    let rows = page.expect(200);
    assert_eq!(rows[0]["number"], 2);
    assert_eq!(
        (&rows[0]["state"], &rows[0]["answer_status"]),
        (&json!("dead"), &json!(500))
    );
    assert!(next.contains("cursor=2"), "{next}");
    let again = service
        .post(&format!("{path}/1/redeliver"), &json!({}))
        .await;
    let again = again.expect(202);
    assert_eq!(
        (&again["message_id"], &again["state"], &again["attempts"]),
        (&json!("7"), &json!("pending"), &json!(0))
    );
    assert_eq!(again["in_order"], false);
    let twice = service
        .post(&format!("{path}/1/redeliver"), &json!({}))
        .await;
    twice.problem(409, "conflict", None);
    let none = service
        .post(&format!("{path}/77/redeliver"), &json!({}))
        .await;
    none.problem(404, "not_found", None);
}
