//! When a campaign runs: `start_at`, `end_at` and `window`.

use narrowcast::clock::Utc;
use narrowcast::engine::Command;
use narrowcast::model::{CampaignId, CampaignState, Record};
use narrowcast::store::Store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, Service, send};

/// A service, and what makes a campaign there for `d1` with these fields.
async fn start() -> (Service, impl Fn(Value) -> Value) {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let body = move |fields: Value| {
        let mut body = json!({
            "name": "July", "package_id": package, "targets": {"devices": ["d1"]},
        });
        let body_fields = body.as_object_mut().expect("an object");
        body_fields.extend(fields.as_object().expect("an object").clone());
        body
    };
    (service, body)
}

fn night() -> Value {
    json!({"time_zone": "Asia/Shanghai", "from_hour": 22, "to_hour": 6, "weekdays": ["friday"]})
}

async fn patch(service: &Service, role: &str, fields: &Value) -> Answer {
    let request = service.request_as(role, Method::PATCH, "/api/v1/campaigns/1");
    send(request.json(fields)).await
}

/// How often the engine was told of another schedule.
fn schedules_set(service: &Service) -> usize {
    let commands = service.engine.commands.lock().expect("not poisoned");
    let set = commands.iter();
    set.filter(|it| matches!(it, Command::SetSchedule { .. }))
        .count()
}

#[tokio::test]
async fn a_schedule_is_shown_as_it_was_given_in_utc() {
    let (service, body) = start().await;
    let fields = json!({
        "start_at": "2099-01-01T08:00:00+08:00", "end_at": "2099-02-01T00:00:00Z",
        "window": night(),
    });
    let made = service.post("/api/v1/campaigns", &body(fields)).await;
    let made = made.expect(201);
    assert_eq!(made["start_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(made["end_at"], "2099-02-01T00:00:00.000Z");
    assert_eq!(made["window"], night());
    let mut each_day = night();
    each_day["weekdays"].take();
    each_day.as_object_mut().expect("one").remove("weekdays");
    let two = json!({"window": [night(), each_day]});
    let made = service.post("/api/v1/campaigns", &body(two)).await;
    let made = made.expect(201);
    assert_eq!(made["window"][0], night());
    assert_eq!(
        made["window"][1]["weekdays"].as_array().map(Vec::len),
        Some(7)
    );
    assert_eq!(made["start_at"], Value::Null);
}

#[tokio::test]
async fn what_can_never_be_kept_is_refused_and_the_field_named() {
    let (service, body) = start().await;
    let window = |change: Value| {
        let mut window = night();
        let fields = window.as_object_mut().expect("an object");
        fields.extend(change.as_object().expect("an object").clone());
        json!({ "window": window })
    };
    let many: Vec<Value> = (0..8).map(|_| night()).collect();
    for (fields, field) in [
        (json!({"start_at": "tomorrow"}), "start_at"),
        (json!({"end_at": "2099-01-01"}), "end_at"),
        (
            json!({"start_at": "2099-01-02T00:00:00Z", "end_at": "2099-01-01T00:00:00Z"}),
            "end_at",
        ),
        (window(json!({"time_zone": "Asia/Atlantis"})), "window"),
        (window(json!({"to_hour": 22})), "window"),
        (window(json!({"to_hour": 25})), "window"),
        (window(json!({"weekdays": []})), "window"),
        (window(json!({"weekdays": ["Friday"]})), "window.weekdays"),
        (json!({ "window": many }), "window"),
    ] {
        let refused = service.post("/api/v1/campaigns", &body(fields)).await;
        refused.problem(422, "invalid_field", Some(field));
    }
}

#[tokio::test]
async fn a_drafts_schedule_is_changed_field_by_field_and_the_log_is_told() {
    let (service, body) = start().await;
    let fields = json!({"end_at": "2099-02-01T00:00:00Z", "window": night()});
    let made = service.post("/api/v1/campaigns", &body(fields)).await;
    made.expect(201);
    let start = json!({"start_at": "2099-01-01T00:00:00Z"});
    let changed = patch(&service, "operator", &start).await.expect(200);
    assert_eq!(changed["start_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(changed["window"], night());
    let none = json!({"window": null, "end_at": null});
    let changed = patch(&service, "operator", &none).await.expect(200);
    assert_eq!(
        (&changed["window"], &changed["end_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(changed["start_at"], "2099-01-01T00:00:00.000Z");
    let shown = service.get("/api/v1/campaigns/1").await.expect(200);
    assert_eq!(shown["start_at"], changed["start_at"]);
    assert_eq!(shown["window"], Value::Null);
    // The engine does not know of a draft.
    assert_eq!(schedules_set(&service), 0);
    let log = service.get("/api/v1/audit").await.expect(200);
    let told = log.as_array().expect("entries").iter();
    let told: Vec<_> = told
        .filter(|entry| entry["action"] == "campaign_rescheduled")
        .collect();
    assert_eq!(told.len(), 2);
    let text = told
        .iter()
        .map(|entry| entry.to_string())
        .collect::<String>();
    assert!(text.contains("22-06 Asia/Shanghai friday"), "{text}");
}

#[tokio::test]
async fn an_estimate_is_shown_beforehand_with_what_is_assumed() {
    let (service, body) = start().await;
    let path = "/api/v1/campaigns?dry_run=true";
    let at_once = service.post(path, &body(json!({}))).await.expect(200);
    let eta = &at_once["eta"];
    let p50 = eta["p50_seconds"].as_u64().expect("a number");
    // A device that is not registered is heard within a day.
    assert!((3_600..2 * 24 * 3_600).contains(&p50), "{eta}");
    assert!(eta["p90_seconds"].as_u64() >= Some(p50), "{eta}");
    assert_eq!(eta["limiting_cell"]["cell_id"], Value::Null);
    assert_eq!(eta["limiting_cell"]["tier"], "unknown");
    let assumed = eta["assumed"].as_array().expect("a list").iter();
    let figures: Vec<_> = assumed
        .map(|one| one["figure"].as_str().unwrap_or(""))
        .collect();
    let expected = [
        "block_seconds",
        "install_seconds",
        "contact_seconds",
        "success_share",
        "cell_unknown",
        "contacts_even",
    ];
    assert_eq!(figures, expected);
    let start = json!({"start_at": "2030-01-01T00:00:00Z"});
    let later = service.post(path, &body(start)).await.expect(200);
    let finish = later["eta"]["finish_p50_at"].as_str().expect("a time");
    assert!(finish > "2030-01-01T00:00:00.000Z", "{finish}");
}

#[tokio::test]
async fn a_campaign_is_shown_without_its_estimate_while_the_engine_does_not_answer() {
    let (service, body) = start().await;
    let made = service.post("/api/v1/campaigns", &body(json!({}))).await;
    made.expect(201);
    let busy = service.engine.gate.lock().await;
    let path = "/api/v1/campaigns/1";
    // Nobody waits behind another either.
    let answers = async { tokio::join!(service.get(path), service.get(path)) };
    let answers = tokio::time::timeout(std::time::Duration::from_secs(4), answers).await;
    let (one, other) = answers.expect("in time");
    for shown in [one.expect(200), other.expect(200)] {
        assert_eq!(shown["name"], "July");
        assert_eq!(
            (&shown["eta"], &shown["eta_seconds"]),
            (&Value::Null, &Value::Null)
        );
    }
    let dry_run = service
        .post("/api/v1/campaigns?dry_run=true", &body(json!({})))
        .await;
    assert_eq!(dry_run.expect(200)["eta"], Value::Null);
    drop(busy);
    let shown = service.get(path).await.expect(200);
    assert!(shown["eta_seconds"].is_u64(), "{}", shown["eta_seconds"]);
}

#[tokio::test]
async fn an_active_campaigns_schedule_is_the_engines_and_an_approvers() {
    let (service, body) = start().await;
    let made = service.post("/api/v1/campaigns", &body(json!({}))).await;
    made.expect(201);
    let running = |state| Record::Campaign {
        id: CampaignId(1),
        state,
        at: Utc::from_unix_ms(1_000),
    };
    let commit = |record| async { service.store.commit(vec![record]).await.expect("a commit") };
    commit(running(CampaignState::Running)).await;
    let later = json!({"start_at": "2099-01-01T00:00:00Z"});
    let refused = patch(&service, "operator", &later).await;
    refused.problem(403, "forbidden", None);
    patch(&service, "approver", &later).await.expect(200);
    assert_eq!(schedules_set(&service), 1);
    // Its tasks say so, though none was written.
    let tasks = service.get("/api/v1/campaigns/1/tasks").await.expect(200);
    assert_eq!(tasks[0]["waiting_for"], "start");
    assert_eq!(tasks[0]["until"], "2099-01-01T00:00:00.000Z");
    // An end that is over would end it at once, and for good.
    let over = json!({"end_at": "2026-01-01T00:00:00Z"});
    let refused = patch(&service, "approver", &over).await;
    refused.problem(422, "invalid_field", Some("end_at"));
    commit(running(CampaignState::Succeeded)).await;
    let over = patch(&service, "approver", &json!({"start_at": null})).await;
    over.problem(409, "invalid_transition", None);
}
