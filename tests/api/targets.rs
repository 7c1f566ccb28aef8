//! Who campaigns are for: filters, lists that let in and keep out, saved filters, and devices that join.

use narrowcast::engine::{Command, CommandError};
use narrowcast::http::{HttpLimits, Joiner};
use narrowcast::model::{CampaignId, DeviceReport, FirmwareVersion, Record, TaskState};
use narrowcast::store::{Page, Store};
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Service, device, send};

async fn enter(service: &Service, endpoint: &str, model: &str, tags: &[&str]) {
    let mut device = device(endpoint);
    device["model"] = json!(model);
    device["tags"] = json!(tags);
    service.post("/api/v1/devices", &device).await.expect(201);
}

fn campaign(package: u64, targets: &Value) -> Value {
    json!({"name": "July", "package_id": package, "targets": targets})
}

/// Who would be in, and who would not and why.
async fn dry_run(service: &Service, package: u64, targets: &Value) -> (Value, Vec<String>) {
    let path = "/api/v1/campaigns?dry_run=true";
    let answer = service.post(path, &campaign(package, targets)).await;
    let dry = answer.expect(200);
    let excluded = dry["excluded"].as_array().expect("a list");
    let of = |row: &Value| format!("{} {}", row["endpoint"], row["reason"]).replace('"', "");
    assert_eq!(dry["excluded_count"], excluded.len());
    let reasons = dry["excluded_reasons"].as_object().expect("an object");
    let counted: u64 = reasons.values().filter_map(Value::as_u64).sum();
    assert_eq!(counted, excluded.len() as u64, "{reasons:?}");
    (dry["included"].clone(), excluded.iter().map(of).collect())
}

#[tokio::test]
async fn whoever_is_denied_is_out_whoever_allows_it() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    enter(&service, "other", "BC95", &[]).await;
    let named = json!(["d1", "d2", "d3", "other"]);
    for (targets, included, excluded) in [
        (
            json!({"devices": named, "deny": ["d2", "unheard-of"]}),
            json!(["d1", "d3"]),
            vec!["d2 denied", "other model_differs"],
        ),
        (
            json!({"devices": named, "allow": ["d1", "d2", "d4"]}),
            json!(["d1", "d2"]),
            vec!["d3 not_allowed", "other not_allowed"],
        ),
        (
            json!({"devices": named, "allow": ["d1", "d2"], "deny": ["d2", "d3"]}),
            json!(["d1"]),
            vec!["d2 denied", "d3 denied", "other not_allowed"],
        ),
        // Without anybody named, lists are about the product's devices.
        (
            json!({"allow": ["d4", "d2", "other"]}),
            json!(["d2", "d4"]),
            vec!["d1 not_allowed", "d3 not_allowed"],
        ),
        (
            json!({"deny": ["d4"]}),
            json!(["d1", "d2", "d3"]),
            vec!["d4 denied"],
        ),
    ] {
        let found = dry_run(&service, package, &targets).await;
        let excluded = excluded.into_iter().map(str::to_owned).collect();
        assert_eq!(found, (included, excluded), "{targets}");
    }
    let nobody = campaign(package, &json!({"devices": ["d1"], "deny": ["d1"]}));
    let refused = service.post("/api/v1/campaigns", &nobody).await.expect(422);
    assert_eq!(refused["code"], "no_device");
    let empty = campaign(package, &json!({"devices": ["d1"], "allow": []}));
    let refused = service.post("/api/v1/campaigns", &empty).await.expect(422);
    let detail = refused["detail"].to_string();
    assert!(detail.contains("targets.allow"), "{detail}");
}

#[tokio::test]
async fn why_a_device_is_left_out_is_said_in_both_languages() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3"]).await;
    let targets = json!({"devices": ["d1", "d2", "d3"], "allow": ["d1", "d2"], "deny": ["d2"]});
    for (language, words) in [
        ("en", ["deny list", "allow list"]),
        ("zh", ["黑名单", "白名单"]),
    ] {
        let request = service
            .request(Method::POST, "/api/v1/campaigns?dry_run=true")
            .header("accept-language", language)
            .json(&campaign(package, &targets));
        let dry = send(request).await.expect(200);
        for (row, word) in words.iter().enumerate() {
            let detail = dry["excluded"][row]["detail"].to_string();
            assert!(detail.contains(word), "{detail}");
        }
    }
}

async fn reported(service: &Service, endpoint: &str, version: &str) {
    let report = DeviceReport {
        firmware_version: Some(FirmwareVersion::parse(version).expect("a version")),
        ..DeviceReport::default()
    };
    let endpoint = narrowcast::model::EndpointName::parse(endpoint).expect("a name");
    let record = Record::Report { endpoint, report };
    service.store.commit(vec![record]).await.expect("a commit");
}

#[tokio::test]
async fn whoever_reported_a_version_that_the_package_cannot_start_from_is_out() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2", "d3", "d4"]).await;
    // The package leads from V0 and V1 to V2. Who has V2 already is in, and has nothing to do.
    for (endpoint, version) in [("d1", "V1"), ("d2", "V1.1"), ("d3", "V2")] {
        reported(&service, endpoint, version).await;
    }
    let targets = json!({"devices": ["d1", "d2", "d3", "d4"]});
    let found = dry_run(&service, package, &targets).await;
    let excluded = vec!["d2 source_version_differs".to_owned()];
    assert_eq!(found, (json!(["d1", "d3", "d4"]), excluded));
    for (language, word) in [("en", "starts from V0, V1"), ("zh", "支持的源版本为V0, V1")] {
        let request = service
            .request(Method::POST, "/api/v1/campaigns?dry_run=true")
            .header("accept-language", language)
            .json(&campaign(package, &targets));
        let dry = send(request).await.expect(200);
        let detail = dry["excluded"][0]["detail"].to_string();
        assert!(detail.contains(word) && detail.contains("V1.1"), "{detail}");
    }
}

#[tokio::test]
async fn whoever_another_campaign_has_is_out_until_that_is_done_with_it() {
    let (service, first) = with_dynamic(HttpLimits::default()).await;
    let package = 1;
    let targets = json!({"devices": ["d1", "d2"]});
    let found = dry_run(&service, package, &targets).await;
    assert_eq!(found, (json!(["d1"]), vec!["d2 in_campaign".to_owned()]));

    let later = json!({"devices": ["d1", "d2"], "dynamic": true});
    let answer = service
        .post("/api/v1/campaigns", &campaign(package, &later))
        .await;
    let made = answer.expect(201);
    let detail = made["excluded"][0]["detail"].to_string();
    assert!(detail.contains("campaign 1"), "{detail}");
    let path = format!("{}/activate", answer.header("location"));
    send(service.request(Method::POST, &path)).await.expect(200);
    let mut joiner = Joiner::new(service.state.clone());
    joiner.round().await;
    assert_eq!(added(&service), [""; 0], "its task is under way");

    let page = Page {
        after: None,
        limit: 1,
    };
    let tasks = service.store.tasks(first, None, page).await.expect("tasks");
    let ended = narrowcast::model::UpdateTask {
        state: TaskState::Failed,
        ..tasks[0].clone()
    };
    let record = Record::Task(ended);
    service.store.commit(vec![record]).await.expect("a commit");
    joiner.round().await;
    assert_eq!(added(&service), ["d2"]);
}

#[tokio::test]
async fn a_filter_a_list_and_a_saved_filter_ask_for_each_device_once() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2"]).await;
    enter(&service, "d3", "BC25", &["lab"]).await;
    enter(&service, "d4", "BC25", &["lab", "east"]).await;
    enter(&service, "other", "BC95", &["lab"]).await;
    let saved = json!({"name": "saved", "filter": "tags==east"});
    service.post("/api/v1/groups", &saved).await.expect(201);
    service
        .post("/api/v1/groups", &json!({"name": "list"}))
        .await
        .expect(201);
    let members = json!({"devices": ["d2", "d4"]});
    service
        .post("/api/v1/groups/2/devices", &members)
        .await
        .expect(200);

    for (targets, included, excluded) in [
        (
            json!({"filter": "tags==lab"}),
            json!(["d3", "d4"]),
            vec!["other model_differs"],
        ),
        (
            json!({"filter": "tags==lab;model==BC25"}),
            json!(["d3", "d4"]),
            vec![],
        ),
        (json!({"groups": [1]}), json!(["d4"]), vec![]),
        (
            json!({"groups": [2, 1], "devices": ["d2"]}),
            json!(["d2", "d4"]),
            vec![],
        ),
        (
            json!({"groups": [1, 2], "filter": "tags==lab", "devices": ["other", "d1"], "deny": ["d4"]}),
            json!(["d1", "d2", "d3"]),
            vec!["other model_differs", "d4 denied"],
        ),
    ] {
        let found = dry_run(&service, package, &targets).await;
        let excluded = excluded.into_iter().map(str::to_owned).collect();
        assert_eq!(found, (included, excluded), "{targets}");
    }

    let targets = json!({
        "groups": [1], "devices": ["d1"], "filter": "tags == lab", "allow": ["d1", "d4"],
        "deny": ["d3"], "dynamic": false,
    });
    let made = service
        .post("/api/v1/campaigns", &campaign(package, &targets))
        .await
        .expect(201);
    assert_eq!(made["targets"], targets);
    assert_eq!(
        made["excluded_reasons"],
        json!({"denied": 1, "not_allowed": 1})
    );
}

#[tokio::test]
async fn a_text_that_is_no_filter_is_refused_with_its_place() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let filter = "model==BC25;colour==red";
    let body = campaign(package, &json!({"filter": filter}));
    let refused = service.post("/api/v1/campaigns", &body).await.expect(422);
    let detail = refused["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("targets.filter") && detail.contains("character 13"),
        "{detail}"
    );
    let group = json!({"name": "east", "filter": filter});
    let refused = service.post("/api/v1/groups", &group).await.expect(422);
    assert!(
        refused["detail"].to_string().contains("character 13"),
        "{refused}"
    );
    let refused = service
        .get("/api/v1/devices?filter=model%3D%3D")
        .await
        .expect(400);
    assert_eq!(refused["code"], "invalid_query");
    assert!(
        refused["detail"].to_string().contains("character 8"),
        "{refused}"
    );
    let both = service
        .get("/api/v1/devices?filter=model%3D%3DM&flapping=true")
        .await;
    assert_eq!(both.expect(400)["code"], "invalid_query");
}

fn endpoints(rows: &Value) -> Vec<&str> {
    let rows = rows.as_array().expect("a list");
    rows.iter()
        .filter_map(|row| row["endpoint"].as_str())
        .collect()
}

#[tokio::test]
async fn devices_are_found_by_what_was_entered_and_reported_in_pages() {
    let service = Service::start().await;
    for (endpoint, model) in [("a1", "M1"), ("a2", "M2"), ("a3", "M1"), ("a4", "M1")] {
        enter(&service, endpoint, model, &[]).await;
    }
    let report = DeviceReport {
        firmware_version: Some(FirmwareVersion::parse("V1").expect("a version")),
        ..DeviceReport::default()
    };
    let endpoint = narrowcast::model::EndpointName::parse("a3").expect("a name");
    let record = Record::Report { endpoint, report };
    service.store.commit(vec![record]).await.expect("a commit");

    let found = service
        .get("/api/v1/devices?filter=firmware_version%3D%3DV*")
        .await
        .expect(200);
    assert_eq!(endpoints(&found), ["a3"]);
    let mut path = "/api/v1/devices?limit=2&filter=model%3D%3DM1".to_owned();
    let mut found = Vec::new();
    loop {
        let answer = service.get(&path).await;
        let rows = answer.expect(200);
        found.extend(endpoints(&rows).into_iter().map(str::to_owned));
        let Some(link) = answer.headers.get("link") else {
            break;
        };
        let link = link.to_str().expect("a link");
        assert!(link.contains("filter=model%3D%3DM1"), "{link}");
        path = link
            .trim_start_matches('<')
            .split('>')
            .next()
            .expect("a target")
            .to_owned();
    }
    assert_eq!(found, ["a1", "a3", "a4"]);
}

#[tokio::test]
async fn a_saved_filter_lists_what_it_finds_and_is_no_list() {
    let service = Service::start().await;
    enter(&service, "a1", "M1", &[]).await;
    enter(&service, "a2", "M2", &[]).await;
    let saved = json!({"name": "saved", "filter": "model==M1"});
    let made = service.post("/api/v1/groups", &saved).await.expect(201);
    assert_eq!(
        (&made["filter"], &made["devices"]),
        (&json!("model==M1"), &Value::Null)
    );
    let found = service.get("/api/v1/groups/1/devices").await.expect(200);
    assert_eq!(endpoints(&found), ["a1"]);
    let members = json!({"devices": ["a2"]});
    let path = "/api/v1/groups/1/devices";
    for refused in [
        service.post(path, &members).await,
        service.put(path, &members).await,
        service.delete(path).await,
        service.delete("/api/v1/groups/1/devices/a1").await,
    ] {
        assert_eq!(refused.expect(409)["code"], "group_is_filter");
    }
    let other = json!({"name": "saved", "filter": "model==M2"});
    let changed = service.put("/api/v1/groups/1", &other).await.expect(200);
    assert_eq!(changed["filter"], "model==M2");
    let renamed = service
        .put("/api/v1/groups/1", &json!({"name": "kept"}))
        .await
        .expect(200);
    assert_eq!(
        (&renamed["name"], &renamed["filter"]),
        (&json!("kept"), &json!("model==M2"))
    );
    let found = service.get("/api/v1/groups/1/devices").await.expect(200);
    assert_eq!(endpoints(&found), ["a2"]);
    service
        .post("/api/v1/groups", &json!({"name": "list"}))
        .await
        .expect(201);
    let filter = json!({"name": "list", "filter": "model==M"});
    let refused = service.put("/api/v1/groups/2", &filter).await;
    assert_eq!(refused.status, 422);
}

/// A running dynamic campaign of what has the tag `east`.
async fn with_dynamic(limits: HttpLimits) -> (Service, CampaignId) {
    let service = Service::start_with(limits, false).await;
    let package = service.seed(&["d1"]).await;
    enter(&service, "d2", "BC25", &["east"]).await;
    let targets = json!({"filter": "tags==east", "deny": ["d9"], "dynamic": true});
    let answer = service
        .post("/api/v1/campaigns", &campaign(package, &targets))
        .await;
    assert_eq!(answer.expect(201)["counts"]["pending"], 1);
    let path = format!("{}/activate", answer.header("location"));
    send(service.request(Method::POST, &path)).await.expect(200);
    (service, CampaignId(1))
}

async fn tasks(service: &Service, id: CampaignId) -> Vec<(String, TaskState)> {
    let page = Page {
        after: None,
        limit: 100,
    };
    let tasks = service.store.tasks(id, None, page).await.expect("tasks");
    let of = tasks
        .into_iter()
        .map(|task| (task.endpoint.to_string(), task.state));
    of.collect()
}

fn added(service: &Service) -> Vec<String> {
    let commands = service.engine.commands.lock().expect("not poisoned");
    let of = |command: &Command| {
        let Command::AddTasks { tasks, .. } = command else {
            return Vec::new();
        };
        let endpoints = tasks.iter().map(|task| task.endpoint.to_string());
        endpoints.collect()
    };
    commands.iter().flat_map(of).collect()
}

#[tokio::test]
async fn a_device_that_matches_later_joins_a_dynamic_campaign_once() {
    let (service, id) = with_dynamic(HttpLimits::default()).await;
    let mut joiner = Joiner::new(service.state.clone());
    joiner.round().await;
    assert_eq!(added(&service), [""; 0]);

    // Entered, tagged, denied, and of another product.
    enter(&service, "d3", "BC25", &["east"]).await;
    enter(&service, "d9", "BC25", &["east"]).await;
    enter(&service, "other", "BC95", &["east"]).await;
    let tagged = json!({
        "manufacturer": "quectel", "model": "BC25", "device_type": "WaterMeter", "tags": ["east"],
    });
    service.put("/api/v1/devices/d1", &tagged).await.expect(200);
    joiner.round().await;
    assert_eq!(added(&service), ["d1", "d3"]);
    joiner.round().await;
    // Another round, by one that knows of nothing, as after a restart.
    Joiner::new(service.state.clone()).round().await;
    assert_eq!(added(&service), ["d1", "d3"]);
    let pending = |name: &str| (name.to_owned(), TaskState::Pending);
    let all = tasks(&service, id).await;
    assert_eq!(all, ["d2", "d1", "d3"].map(pending));

    // A device that reports what it is joins when it does.
    let unknown = json!({"endpoint": "d4", "device_type": "WaterMeter", "tags": ["east"]});
    service.post("/api/v1/devices", &unknown).await.expect(201);
    joiner.round().await;
    assert_eq!(added(&service).len(), 2);
    let report = DeviceReport {
        manufacturer: Some(narrowcast::model::Manufacturer::parse("quectel").expect("a name")),
        model: Some(narrowcast::model::DeviceModel::parse("BC25").expect("a name")),
        ..DeviceReport::default()
    };
    let endpoint = narrowcast::model::EndpointName::parse("d4").expect("a name");
    let record = Record::Report { endpoint, report };
    service.store.commit(vec![record]).await.expect("a commit");
    joiner.round().await;
    assert_eq!(added(&service), ["d1", "d3", "d4"]);

    service.post("/api/v1/campaigns/1/stop", &json!({})).await;
    let stopped = service.get("/api/v1/campaigns/1").await.expect(200);
    assert_eq!(stopped["state"], "stopped");
    enter(&service, "d5", "BC25", &["east"]).await;
    joiner.round().await;
    assert_eq!(added(&service).len(), 3);
}

#[tokio::test]
async fn a_dynamic_campaign_takes_in_no_more_devices_than_a_campaign_may_have() {
    let limits = HttpLimits {
        campaign_devices_max: 3,
        ..HttpLimits::default()
    };
    let (service, id) = with_dynamic(limits).await;
    for endpoint in ["d3", "d4", "d5"] {
        enter(&service, endpoint, "BC25", &["east"]).await;
    }
    let mut joiner = Joiner::new(service.state.clone());
    joiner.round().await;
    joiner.round().await;
    assert_eq!(added(&service), ["d3", "d4"]);
    assert_eq!(tasks(&service, id).await.len(), 3);
}

#[tokio::test]
async fn what_the_engine_cannot_take_is_given_again_and_what_has_ended_is_stopped() {
    let (service, id) = with_dynamic(HttpLimits::default()).await;
    enter(&service, "d3", "BC25", &["east"]).await;
    let mut joiner = Joiner::new(service.state.clone());
    let refuse = |refusal| *service.engine.refuse.lock().expect("not poisoned") = refusal;
    refuse(Some(CommandError::TasksFull { limit: 1 }));
    joiner.round().await;
    assert_eq!(added(&service), [""; 0]);
    refuse(None);
    joiner.round().await;
    joiner.round().await;
    assert_eq!(added(&service), ["d3"]);

    enter(&service, "d4", "BC25", &["east"]).await;
    refuse(Some(CommandError::NotActive));
    joiner.round().await;
    refuse(None);
    let last = tasks(&service, id).await.pop();
    assert_eq!(last, Some(("d4".to_owned(), TaskState::Stopped)));
}

#[tokio::test]
async fn an_empty_dynamic_campaign_waits_for_its_devices() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let none = json!({"filter": "tags==east"});
    let refused = service
        .post("/api/v1/campaigns", &campaign(package, &none))
        .await
        .expect(422);
    assert_eq!(refused["code"], "no_device");
    let later = json!({"filter": "tags==east", "dynamic": true});
    let made = service
        .post("/api/v1/campaigns", &campaign(package, &later))
        .await
        .expect(201);
    assert_eq!(made["counts"]["pending"], 0);
}
