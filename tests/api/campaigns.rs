//! `/api/v1/campaigns`.

use std::sync::Arc;
use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::engine::{Command, CommandError, TaskProgress};
use narrowcast::http::HttpLimits;
use narrowcast::model::{
    AuditActor, AuditStamp, CampaignId, CampaignState, Failure, FailureReason, FirmwareVersion,
    Package, PackageId, Phase, Provenance, Record, TaskId, TaskState, WaitingFor,
};
use narrowcast::store::{Page, Store};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::service::{Service, device, send};
use crate::verifier::sha256;

fn body(package: u64, targets: &Value) -> Value {
    json!({
        "name": "July", "package_id": package, "targets": targets,
        "retry": {"retries_max": 2, "delay_seconds": 60},
    })
}

/// A service with a draft for `d1` and `d2`, and the draft's path.
async fn with_draft() -> (Service, String) {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2"]).await;
    let body = body(package, &json!({"devices": ["d1", "d2"]}));
    let answer = service.post("/api/v1/campaigns", &body).await;
    answer.expect(201);
    let path = answer.header("location").to_owned();
    (service, path)
}

async fn post(service: &Service, path: &str) -> crate::service::Answer {
    send(service.request(Method::POST, path)).await
}

#[tokio::test]
async fn a_campaign_is_for_each_device_once_however_it_was_named() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3"]).await;
    service
        .post("/api/v1/groups", &json!({"name": "east"}))
        .await
        .expect(201);
    let members = json!({"devices": ["d2", "d3"]});
    service
        .post("/api/v1/groups/1/devices", &members)
        .await
        .expect(200);
    let targets = json!({"groups": [1], "devices": ["d1", "d2", "d1"]});
    let answer = service
        .post("/api/v1/campaigns", &body(package, &targets))
        .await;
    let created = answer.expect(201);
    assert_eq!(created["state"], "draft");
    assert_eq!(created["counts"]["pending"], 3);
    assert_eq!(
        created["retry"],
        json!({
            "retries_max": 2, "delay_seconds": 60, "backoff": "exponential", "jitter_percent": 10,
            "delay_seconds_max": 3600,
        })
    );
    for field in ["groups", "devices"] {
        assert_eq!(created["targets"][field], targets[field]);
    }
    assert_eq!(created["excluded_count"], 0);
    let mut shown = service.get(answer.header("location")).await.expect(200);
    assert_eq!(shown["counts"], created["counts"]);
    // A list is made without it.
    let fields = shown.as_object_mut().expect("an object");
    let eta = fields.remove("eta").expect("an estimate");
    assert_eq!(
        fields.remove("eta_seconds"),
        Some(eta["p50_seconds"].clone())
    );
    assert_eq!(eta["limiting_cell"]["tasks"], 3);
    let progress = json!({"bytes_served": 0, "bytes_total": 3 * 5});
    assert_eq!(fields.remove("progress"), Some(progress));
    assert_eq!(
        service.get("/api/v1/campaigns").await.expect(200),
        json!([shown])
    );
}

#[tokio::test]
async fn devices_that_the_package_is_not_for_are_left_out_with_the_reason() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let mut other = device("d2");
    other["model"] = json!("bc25");
    service.post("/api/v1/devices", &other).await.expect(201);
    service
        .post("/api/v1/devices", &json!({"endpoint": "d3"}))
        .await
        .expect(201);
    let body = body(package, &json!({"devices": ["d1", "d2", "d3"]}));

    let dry = service
        .post("/api/v1/campaigns?dry_run=true", &body)
        .await
        .expect(200);
    assert_eq!(
        (&dry["included_count"], &dry["included"]),
        (&json!(1), &json!(["d1"]))
    );
    assert_eq!(dry["excluded_count"], 2);
    assert_eq!(dry["excluded"][0]["endpoint"], "d2");
    assert_eq!(dry["excluded"][0]["reason"], "model_differs");
    let detail = dry["excluded"][0]["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("bc25") && detail.contains("BC25"),
        "{detail}"
    );
    assert_eq!(dry["excluded"][1]["reason"], "manufacturer_unknown");
    assert_eq!(
        service.get("/api/v1/campaigns").await.expect(200),
        json!([])
    );

    let created = service.post("/api/v1/campaigns", &body).await.expect(201);
    assert_eq!(created["counts"]["pending"], 1);
    assert_eq!(created["excluded"], dry["excluded"]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    for (package, targets, field) in [
        (99, json!({"devices": ["d1"]}), "package_id"),
        (
            package,
            json!({"devices": ["d1", "d9"]}),
            "targets.devices[1]",
        ),
        (package, json!({"groups": [9]}), "targets.groups[0]"),
    ] {
        let answer = service
            .post("/api/v1/campaigns", &body(package, &targets))
            .await;
        let detail = answer.problem(422, "unknown_reference", Some(field));
        assert!(detail.contains('9'), "{detail}");
    }
}

#[tokio::test]
async fn a_campaign_for_nobody_is_refused() {
    let service = Service::start().await;
    let package = service.seed(&[]).await;
    service
        .post("/api/v1/devices", &json!({"endpoint": "d3"}))
        .await
        .expect(201);
    for targets in [json!({}), json!({"devices": ["d3"]})] {
        let answer = service
            .post("/api/v1/campaigns", &body(package, &targets))
            .await;
        answer.problem(422, "no_device", Some("targets"));
    }
}

#[tokio::test]
async fn a_draft_is_activated_with_image_and_tasks() {
    let (service, path) = with_draft().await;
    let activated = post(&service, &format!("{path}/activate"))
        .await
        .expect(200);
    assert_eq!(activated["state"], "running");
    let commands = service.engine.commands.lock().expect("not poisoned");
    let Some(Command::RunCampaign {
        campaign,
        package,
        image,
        tasks,
        ..
    }) = commands.last()
    else {
        panic!("a campaign to run: {commands:?}");
    };
    assert_eq!(campaign.id, CampaignId(1));
    assert_eq!(package.file.sha256, sha256(image));
    assert_eq!(&image[..], b"image");
    let endpoints: Vec<_> = tasks.iter().map(|task| task.endpoint.as_str()).collect();
    assert_eq!(endpoints, ["d1", "d2"]);
}

/// As the engine leaves those of a stopped campaign.
async fn end_tasks(service: &Service) {
    let page = Page {
        after: None,
        limit: 100,
    };
    let tasks = service.store.tasks(CampaignId(1), None, page).await;
    let stopped = tasks.expect("tasks").into_iter().map(|mut task| {
        task.state = TaskState::Stopped;
        Record::Task(task)
    });
    let committed = service.store.commit(stopped.collect()).await;
    committed.expect("a commit");
}

#[tokio::test]
async fn only_what_the_state_allows_is_done() {
    let (service, path) = with_draft().await;
    let activate = format!("{path}/activate");
    let stop = format!("{path}/stop");
    post(&service, &stop)
        .await
        .problem(409, "invalid_transition", None);
    post(&service, &activate).await.expect(200);
    let answer = post(&service, &activate).await;
    let detail = answer.problem(409, "invalid_transition", None);
    assert!(
        detail.contains("running") && detail.contains("activated"),
        "{detail}"
    );
    let answer = service.delete(&path).await;
    let detail = answer.problem(409, "invalid_transition", None);
    assert!(detail.contains("stop it first"), "{detail}");
    assert_eq!(post(&service, &stop).await.expect(200)["state"], "stopped");
    post(&service, &activate)
        .await
        .problem(409, "invalid_transition", None);
    end_tasks(&service).await;
    service.delete(&path).await.expect(204);
    service.get(&path).await.problem(404, "not_found", None);
}

#[tokio::test]
async fn what_the_engine_refuses_is_told() {
    let (service, path) = with_draft().await;
    let activate = format!("{path}/activate");
    for (refusal, status, code) in [
        (CommandError::NoPublicHost, 409, "no_public_host"),
        (CommandError::NotActive, 409, "invalid_transition"),
        (
            CommandError::ImagesFull { limit_bytes: 7 },
            507,
            "limit_reached",
        ),
    ] {
        *service.engine.refuse.lock().expect("not poisoned") = Some(refusal);
        post(&service, &activate).await.problem(status, code, None);
    }
    assert_eq!(service.get(&path).await.expect(200)["state"], "draft");
}

#[tokio::test]
async fn a_package_whose_bytes_are_damaged_is_not_run() {
    let (service, path) = with_draft().await;
    let image = service.bytes.path(sha256(b"image"));
    std::fs::write(image, b"imagE").expect("an image");
    let answer = post(&service, &format!("{path}/activate")).await;
    answer.problem(500, "package_damaged", None);
    assert_eq!(service.get(&path).await.expect(200)["state"], "draft");
}

fn signed_by(key_id: &str) -> Provenance {
    Provenance::Signed {
        key_id: key_id.to_owned(),
    }
}

/// A draft for `d1`, of a package whose row is as this changes it.
async fn with_package(change: impl FnOnce(&mut Package)) -> (Service, String) {
    let service = Service::start().await;
    let seeded = service.seed(&["d1"]).await;
    let mut package = service
        .store
        .package(PackageId(seeded))
        .await
        .expect("a package");
    package.target_version = FirmwareVersion::parse("V3").expect("a version");
    change(&mut package);
    let id = service
        .store
        .add_package(
            package,
            AuditStamp {
                at: Utc::from_unix_ms(0),
                actor: AuditActor::server(),
            },
        )
        .await
        .expect("a package")
        .0;
    let body = body(id, &json!({"devices": ["d1"]}));
    let answer = service.post("/api/v1/campaigns", &body).await;
    answer.expect(201);
    let path = answer.header("location").to_owned();
    (service, path)
}

/// Activation is refused with this code, and the draft stays one.
async fn check_refused(service: &Service, path: &str, status: u16, code: &str) -> String {
    let answer = post(service, &format!("{path}/activate")).await;
    let body = answer.expect(status);
    assert_eq!(body["code"], code, "{body:#}");
    assert_eq!(service.get(path).await.expect(200)["state"], "draft");
    let commands = service.engine.commands.lock().expect("not poisoned");
    let ran = |it: &Command| matches!(it, Command::RunCampaign { .. });
    assert!(!commands.iter().any(ran), "{commands:?}");
    body["detail"].as_str().expect("a detail").to_owned()
}

#[tokio::test]
async fn a_package_is_verified_again_when_a_campaign_begins() {
    let (service, path) = with_package(|_| ()).await;
    let answer = post(&service, &format!("{path}/activate")).await;
    assert_eq!(answer.expect(200)["state"], "running");

    let (service, path) = with_package(|package| package.provenance = signed_by("k2")).await;
    let detail = check_refused(&service, &path, 422, "package_key_gone").await;
    assert!(detail.contains("k2"), "{detail}");
    // That key verifies nothing that it did not sign.
    let key = json!({"manufacturer": "quectel", "public_key_pem": "KEY k2"});
    service.post("/api/v1/keys", &key).await.expect(201);
    check_refused(&service, &path, 422, "bad_signature").await;

    let signed_otherwise = |package: &mut Package| {
        package.file.sha256 = sha256(b"other image");
    };
    let (service, path) = with_package(signed_otherwise).await;
    check_refused(&service, &path, 422, "package_changed").await;

    let archive_gone = |package: &mut Package| package.archive_sha256 = sha256(b"gone");
    let (service, path) = with_package(archive_gone).await;
    check_refused(&service, &path, 500, "package_damaged").await;
}

#[tokio::test]
async fn a_task_is_shown_with_what_it_waits_for_and_why_it_failed() {
    let (service, path) = with_draft().await;
    let page = Page {
        after: None,
        limit: 10,
    };
    let tasks = service.store.tasks(CampaignId(1), None, page).await;
    let [mut failed, mut running] = tasks.expect("tasks").try_into().expect("two tasks");
    failed.state = TaskState::Failed;
    failed.phase = Phase::Done;
    failed.attempt = 3;
    failed.failure = Some(Failure {
        reason: FailureReason::IntegrityCheckFailed,
        evidence: "/5/0/5 = 5".to_owned(),
    });
    running.state = TaskState::Running;
    running.phase = Phase::Downloading;
    running.waiting_for = Some(WaitingFor::Block);
    running.since = Utc::from_unix_ms(1_000);
    running.until = Some(Utc::from_unix_ms(2_000));
    failed.bytes_served = 2;
    running.bytes_served = 1;
    let progress = TaskProgress {
        task: running.id,
        campaign: CampaignId(1),
        bytes_served: 3,
        committed_bytes: 1,
        size_bytes: 5,
    };
    service.live.show_progress(progress);
    let records = vec![Record::Task(failed), Record::Task(running)];
    service.store.commit(records).await.expect("a commit");

    let shown = service.get(&path).await.expect(200);
    let progress = json!({"bytes_served": 2 + 3, "bytes_total": 2 * 5});
    assert_eq!(shown["progress"], progress);
    let path = format!("{path}/tasks");
    let shown = service.get(&path).await.expect(200);
    assert_eq!(shown[0]["state"], "failed");
    assert_eq!(shown[0]["bytes_served"], 2);
    assert_eq!(shown[0]["failure"]["code"], "integrity_check_failed");
    assert_eq!(shown[0]["failure"]["evidence"], "/5/0/5 = 5");
    let text = shown[0]["failure"]["text"].as_str().expect("a text");
    assert!(text.starts_with("Integrity check failure"), "{text}");
    for (name, value) in [
        ("endpoint", json!("d2")),
        ("phase", json!("downloading")),
        ("waiting_for", json!("block")),
        ("since", json!("1970-01-01T00:00:01.000Z")),
        ("until", json!("1970-01-01T00:00:02.000Z")),
        ("bytes_served", json!(3)),
        ("size", json!(5)),
        ("failure", Value::Null),
    ] {
        assert_eq!(shown[1][name], value, "{name}");
    }
    let request = service
        .request(Method::GET, &path)
        .header("accept-language", "zh");
    let chinese = send(request).await.expect(200);
    assert_ne!(chinese[0]["failure"]["text"], shown[0]["failure"]["text"]);
    let some = service
        .get(&format!("{path}?state=running"))
        .await
        .expect(200);
    assert_eq!(some, json!([shown[1]]));
    let answer = service.get(&format!("{path}?state=lost")).await;
    answer.problem(400, "invalid_query", Some("state"));
    assert_eq!(service.live.progress(TaskId(999)), None);
}

#[tokio::test]
async fn an_activated_task_whose_device_was_not_heard_says_so() {
    let (service, path) = with_draft().await;
    let tasks = format!("{path}/tasks");
    let draft = service.get(&tasks).await.expect(200);
    assert_eq!(draft[0]["waiting_for"], "activation");
    let activated = Record::Campaign {
        id: CampaignId(1),
        state: CampaignState::Running,
        at: Utc::from_unix_ms(4_102_444_800_000),
    };
    service
        .store
        .commit(vec![activated])
        .await
        .expect("a commit");
    let running = service.get(&tasks).await.expect(200);
    assert_eq!(running[0]["waiting_for"], "contact");
    assert_eq!(running[0]["since"], "2100-01-01T00:00:00.000Z");
    assert_eq!(running[0]["until"], "2100-01-02T00:00:00.000Z");
}

#[tokio::test]
async fn a_campaign_may_say_how_its_devices_are_admitted() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let mut asked = body(package, &json!({"devices": ["d1"]}));
    let made = service.post("/api/v1/campaigns", &asked).await.expect(201);
    assert_eq!(made["admission"], Value::Null);
    for (admission, shown) in [
        (
            json!({"mode": "strictest"}),
            json!({"mode": "strictest", "airtime_permille": null}),
        ),
        (
            json!({"airtime_permille": 700}),
            json!({"mode": "per_class", "airtime_permille": 700}),
        ),
    ] {
        asked["admission"] = admission;
        let made = service.post("/api/v1/campaigns", &asked).await.expect(201);
        assert_eq!(made["admission"], shown);
    }
    for (admission, field) in [
        (json!({"mode": "per_tier"}), "admission.mode"),
        (json!({"airtime_permille": 0}), "admission.airtime_permille"),
        (
            json!({"airtime_permille": 1001}),
            "admission.airtime_permille",
        ),
    ] {
        asked["admission"] = admission;
        let answer = service.post("/api/v1/campaigns", &asked).await;
        answer.problem(422, "invalid_field", Some(field));
    }
}

/// Holds up what needs the products until the gate is open: somebody replaces a device.
fn hold_products(service: &Arc<Service>) -> JoinHandle<u16> {
    let service = service.clone();
    tokio::spawn(async move {
        let mut d2 = device("d2");
        d2.as_object_mut().expect("an object").remove("endpoint");
        service.put("/api/v1/devices/d2", &d2).await.status
    })
}

#[tokio::test]
async fn a_campaign_that_takes_too_long_to_make_is_made_once_for_its_key() {
    let limits = HttpLimits {
        request_timeout: Duration::from_millis(700),
        ..HttpLimits::default()
    };
    let service = Arc::new(Service::start_with(limits, false).await);
    let package = service.seed(&["d1", "d2"]).await;
    let gate = service.engine.gate.lock().await;
    let replaced = hold_products(&service);
    reaches_the_engine(&service).await;
    let body = json!({"name": "July", "package_id": package, "targets": {"devices": ["d1"]}});
    let make = || {
        let request = service.request(Method::POST, "/api/v1/campaigns");
        send(request.header("idempotency-key", "k1").json(&body))
    };
    make().await.problem(503, "outcome_unknown", None);
    make().await.problem(409, "conflict", None);
    drop(gate);
    replaced.await.expect("an answer");
    let mut made = make().await;
    while made.status == 409 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        made = make().await;
    }
    assert_eq!(made.expect(201)["id"], 1);
    let listed = service.get("/api/v1/campaigns").await.expect(200);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}

/// Waits until somebody's command has come as far as the engine's gate.
async fn reaches_the_engine(service: &Service) {
    let path = "/api/v1/profiles?limit=1";
    // It looks at the products too.
    let asked = || tokio::time::timeout(Duration::from_millis(100), service.get(path));
    while asked().await.is_ok() {}
}

#[tokio::test]
async fn who_waits_for_the_products_holds_up_no_other_campaign() {
    let service = Arc::new(Service::start().await);
    let package = service.seed(&["d1", "d2", "d3"]).await;
    let body = json!({"name": "July", "package_id": package, "targets": {"devices": ["d1"]}});
    service.post("/api/v1/campaigns", &body).await.expect(201);
    let gate = service.engine.gate.lock().await;
    let replaced = hold_products(&service);
    reaches_the_engine(&service).await;
    let deleting = {
        let service = service.clone();
        tokio::spawn(async move { service.delete("/api/v1/devices/d3").await.status })
    };
    // The gate stays shut however long the deletion takes to come to the products.
    for _ in 0..20 {
        let path = "/api/v1/campaigns/1/archive";
        let nothing = json!({});
        let archived = service.post(path, &nothing);
        let archived = tokio::time::timeout(Duration::from_secs(2), archived).await;
        archived.expect("in time").expect(200);
    }
    drop(gate);
    assert_eq!(replaced.await.expect("an answer"), 200);
    assert_eq!(deleting.await.expect("an answer"), 204);
}
