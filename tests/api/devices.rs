//! `/api/v1/devices`.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::clock::Utc;
use narrowcast::engine::{Command, CommandError};
use narrowcast::http::{HttpLimits, LiveDevice};
use narrowcast::lwm2m::Flapping;
use narrowcast::model::{
    CampaignId, CampaignState, CellId, CoverageTier, DeliveryHistory, DeviceReport, EndpointName,
    Failure, FailureReason, FirmwareVersion, Peer, Phase, Record, TaskId, TaskState, TimelineEntry,
    TimelineStep, UpdateTask, WaitingFor,
};
use narrowcast::store::Store;
use reqwest::Method;
use serde_json::{Value, json};

use crate::service::{Answer, Service, device, send};

async fn import(service: &Service, csv: &str) -> Answer {
    let request = service.request(Method::POST, "/api/v1/devices/import");
    let request = request.header("content-type", "text/csv; charset=utf-8");
    send(request.body(csv.to_owned())).await
}

fn endpoint(text: &str) -> EndpointName {
    EndpointName::parse(text).expect("a name")
}

#[tokio::test]
async fn a_device_is_entered_into_store_and_engine() {
    let service = Service::start().await;
    let mut body = device("urn:imei:1");
    body["tags"] = json!(["roof", "水表"]);
    let answer = service.post("/api/v1/devices", &body).await;
    let entered = answer.expect(201);
    assert_eq!(entered["registered"], false);
    assert_eq!(entered["awake"], false);
    assert_eq!(entered["firmware_version"], Value::Null);
    assert_eq!(entered["tags"], json!(["roof", "水表"]));
    assert_eq!(
        service.get(answer.header("location")).await.expect(200),
        entered
    );
    let commands = service.engine.commands.lock().expect("not poisoned");
    let [Command::AddDevices(devices)] = &commands[..] else {
        panic!("one command: {commands:?}");
    };
    assert_eq!(devices[0].endpoint.as_str(), "urn:imei:1");
}

#[tokio::test]
async fn a_device_is_entered_once() {
    let service = Service::start().await;
    service
        .post("/api/v1/devices", &device("d1"))
        .await
        .expect(201);
    let answer = service.post("/api/v1/devices", &device("d1")).await;
    let detail = answer.problem(409, "conflict", Some("endpoint"));
    assert!(detail.contains("d1"), "{detail}");
}

#[tokio::test]
async fn a_device_is_shown_with_what_it_reported_and_how_it_is_now() {
    let service = Service::start().await;
    service
        .post("/api/v1/devices", &json!({"endpoint": "d1"}))
        .await
        .expect(201);
    let report = DeviceReport {
        firmware_version: FirmwareVersion::parse("V1").ok(),
        manufacturer: None,
        model: None,
        cell_id: Some(CellId(4711)),
        rsrp_dbm: Some(-97),
        sinr_db: Some(9),
        tier: Some(CoverageTier::Tier0),
        reported_at: Some(Utc::from_unix_ms(1_000)),
    };
    let record = Record::Report {
        endpoint: endpoint("d1"),
        report,
    };
    service.store.commit(vec![record]).await.expect("a commit");
    let live = LiveDevice {
        awake_until: Some(service.clock.now().instant + Duration::from_secs(3600)),
        last_seen: Utc::from_unix_ms(2_000),
        lifetime_seconds: 86_400,
    };
    service.live.show_device(endpoint("d1"), live);
    let shown = service.get("/api/v1/devices/d1").await.expect(200);
    for (name, value) in [
        ("registered", json!(true)),
        ("awake", json!(true)),
        ("queue_mode", json!(true)),
        ("lifetime_seconds", json!(86_400)),
        ("last_seen", json!("1970-01-01T00:00:02.000Z")),
        ("firmware_version", json!("V1")),
        ("cell_id", json!(4711)),
        ("rsrp_dbm", json!(-97)),
        ("sinr_db", json!(9)),
        ("tier", json!("0")),
        ("reported_at", json!("1970-01-01T00:00:01.000Z")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let asleep = LiveDevice {
        awake_until: Some(Default::default()),
        ..live
    };
    service.live.show_device(endpoint("d1"), asleep);
    let listed = service.get("/api/v1/devices").await.expect(200);
    assert_eq!(listed[0]["registered"], true);
    assert_eq!(listed[0]["awake"], false);
}

#[tokio::test]
async fn a_device_that_is_not_there_is_named() {
    let service = Service::start().await;
    for path in ["/api/v1/devices/d9", "/api/v1/devices/d9/timeline"] {
        let answer = service.get(path).await;
        let detail = answer.problem(404, "not_found", None);
        assert!(detail.contains("d9"), "{detail}");
    }
}

#[tokio::test]
async fn the_timeline_is_newest_first_and_bounded() {
    let service = Service::start().await;
    service
        .post("/api/v1/devices", &device("d1"))
        .await
        .expect(201);
    let entry = |seconds: i64, step| {
        Record::Timeline(TimelineEntry {
            at: Utc::from_unix_ms(seconds * 1000),
            endpoint: endpoint("d1"),
            task: TaskId(7),
            attempt: 1,
            step,
            detail: "/5/0/3 = 1".to_owned(),
        })
    };
    let records = vec![
        entry(1, TimelineStep::Contact),
        entry(2, TimelineStep::Downloaded),
    ];
    service.store.commit(records).await.expect("a commit");
    let timeline = service.get("/api/v1/devices/d1/timeline").await.expect(200);
    let newest = json!({
        "at": "1970-01-01T00:00:02.000Z", "task_id": 7, "attempt": 1,
        "step": "downloaded", "detail": "/5/0/3 = 1", "failure": null, "next_action": null,
        "text": "The device has the whole package.",
    });
    assert_eq!(timeline[0], newest);
    assert_eq!(timeline[1]["step"], "contact");
    let one = service
        .get("/api/v1/devices/d1/timeline?limit=1")
        .await
        .expect(200);
    assert_eq!(one, json!([newest]));
    let answer = service.get("/api/v1/devices/d1/timeline?limit=0").await;
    answer.problem(400, "invalid_query", Some("limit"));
}

#[tokio::test]
async fn a_csv_file_enters_all_its_devices() {
    let service = Service::start().await;
    let csv = "\u{feff}endpoint,tags,model\r\nd1,\"roof; east\",BC25\r\nd2,,\r\n";
    assert_eq!(
        import(&service, csv).await.expect(201),
        json!({"imported": 2})
    );
    let devices = service.get("/api/v1/devices").await.expect(200);
    assert_eq!(devices[0]["tags"], json!(["roof", "east"]));
    assert_eq!(devices[0]["model"], "BC25");
    assert_eq!(devices[1]["endpoint"], "d2");
    assert_eq!(devices[1]["model"], Value::Null);
}

#[tokio::test]
async fn a_csv_fault_names_line_and_field_and_enters_nothing() {
    let service = Service::start().await;
    let long = format!("endpoint,model\nd1,BC25\nd2,{}\n", "x".repeat(129));
    for (csv, words, field) in [
        (
            "endpoint,model\nd1,BC25\n,BC25\n",
            &["line 3", "endpoint"][..],
            Some("endpoint"),
        ),
        (&long, &["line 3", "model"], Some("model")),
        (
            "endpoint\nd1\nd2\nd1\n",
            &["line 4", "d1", "line 2"],
            Some("endpoint"),
        ),
        (
            "endpoint,colour\nd1,red\n",
            &["line 1", "colour"],
            Some("colour"),
        ),
        ("model\nBC25\n", &["line 1", "endpoint"], Some("endpoint")),
        ("endpoint,endpoint\nd1,d2\n", &["line 1", "twice"], None),
        ("endpoint,model\nd1\n", &["line 2"], None),
        ("endpoint\n", &["no rows"], None),
    ] {
        let answer = import(&service, csv).await;
        let detail = answer.problem(422, "invalid_csv", field);
        for word in words {
            assert!(detail.contains(word), "{csv}: {detail}");
        }
    }
    assert_eq!(service.get("/api/v1/devices").await.expect(200), json!([]));
}

#[tokio::test]
async fn a_csv_file_with_a_known_device_enters_nothing() {
    let service = Service::start().await;
    service
        .post("/api/v1/devices", &device("d2"))
        .await
        .expect(201);
    let answer = import(&service, "endpoint\nd1\nd2\n").await;
    let detail = answer.problem(409, "conflict", Some("endpoint"));
    assert!(detail.contains("d2"), "{detail}");
    assert_eq!(
        service
            .get("/api/v1/devices")
            .await
            .expect(200)
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_csv_file_has_its_bounds() {
    let limits = HttpLimits {
        import_rows_max: 2,
        import_bytes_max: 100,
        ..HttpLimits::default()
    };
    let service = Service::start_with(limits, false).await;
    let answer = import(&service, "endpoint\nd1\nd2\nd3\n").await;
    assert!(answer.problem(422, "invalid_csv", None).contains("2 rows"));
    let answer = import(&service, &format!("endpoint\n{}", "d\n".repeat(100))).await;
    answer.problem(413, "too_large", None);
    let request = service.request(Method::POST, "/api/v1/devices/import");
    send(request.json(&json!([])))
        .await
        .problem(415, "unsupported_media_type", None);
}

#[tokio::test]
async fn an_engine_that_refuses_is_reported() {
    let service = Service::start().await;
    let refusal = CommandError::TasksFull { limit: 9 };
    *service.engine.refuse.lock().expect("not poisoned") = Some(refusal);
    let answer = service.post("/api/v1/devices", &device("d1")).await;
    answer.problem(507, "limit_reached", None);
}

/// Has the store say that the device was given a package, and that this barred it.
async fn deliver(service: &Service, name: &str, barred: bool) {
    let at = Utc::from_unix_ms(5_000);
    let record = Record::Delivered {
        endpoint: endpoint(name),
        history: DeliveryHistory {
            delivered_at: vec![at],
            barred_since: barred.then_some(at),
        },
    };
    service.store.commit(vec![record]).await.expect("a commit");
}

#[tokio::test]
async fn a_barred_device_says_so_until_its_bar_is_lifted() {
    let service = Service::start().await;
    for name in ["d1", "d2"] {
        let entered = service.post("/api/v1/devices", &device(name)).await;
        assert_eq!(entered.expect(201)["barred"], false);
        deliver(&service, name, name == "d1").await;
    }
    let bars = async || {
        let devices = service.get("/api/v1/devices").await.expect(200);
        [0, 1].map(|row| {
            (
                devices[row]["barred"].clone(),
                devices[row]["barred_since"].clone(),
            )
        })
    };
    let free = (json!(false), Value::Null);
    let barred = (json!(true), json!("1970-01-01T00:00:05.000Z"));
    assert_eq!(bars().await, [barred, free.clone()]);
    let shown = service.get("/api/v1/devices/d1").await.expect(200);
    assert_eq!(shown["barred_since"], "1970-01-01T00:00:05.000Z");
    let request = service.request_as("operator", Method::DELETE, "/api/v1/devices/d1/bar");
    assert_eq!(send(request).await.expect(204), Value::Null);
    assert_eq!(bars().await, [free.clone(), free]);
    let commands = service.engine.commands.lock().expect("not poisoned");
    assert!(
        matches!(commands.last(), Some(Command::LiftBar(it)) if it.as_str() == "d1"),
        "{commands:?}"
    );
}

#[tokio::test]
async fn devices_under_whose_name_several_register_say_so_and_can_be_listed() {
    let service = Service::start().await;
    for name in ["d1", "d2", "d3", "d4"] {
        let entered = service.post("/api/v1/devices", &device(name)).await;
        let entered = entered.expect(201);
        assert_eq!(entered["flapping"], false);
        assert_eq!(entered["flapping_since"], Value::Null);
        assert_eq!(entered["flapping_peers"], json!([]));
    }
    let address = |port| SocketAddr::from(([203, 0, 113, 7], port));
    let flapping = Flapping {
        since: Utc::from_unix_ms(5_000),
        peers: vec![Peer::Address(address(4000)), Peer::Address(address(4001))],
    };
    for name in ["d4", "d1", "d3", "unknown"] {
        let flapping = Some(flapping.clone());
        service.live.show_flapping(endpoint(name), flapping);
    }
    let shown = service.get("/api/v1/devices/d1").await.expect(200);
    assert_eq!(shown["flapping"], true);
    assert_eq!(shown["flapping_since"], "1970-01-01T00:00:05.000Z");
    let peers = json!(["203.0.113.7:4000", "203.0.113.7:4001"]);
    assert_eq!(shown["flapping_peers"], peers);

    let listed = async |query: &str| {
        let rows = service.get(&format!("/api/v1/devices{query}")).await;
        let rows = rows.expect(200);
        let rows = rows.as_array().expect("a list").iter();
        let names = rows.map(|row| row["endpoint"].as_str().expect("a name").to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["d1", "d2", "d3", "d4"]);
    assert_eq!(listed("?flapping=true").await, ["d1", "d3", "d4"]);
    assert_eq!(listed("?flapping=true&cursor=d1&limit=1").await, ["d3"]);
    let first = service.get("/api/v1/devices?flapping=true&limit=2").await;
    let link = first.header("link");
    assert!(
        link.contains("flapping=true") && link.contains("cursor=d3"),
        "{link}"
    );
    service.live.show_flapping(endpoint("d1"), None);
    assert_eq!(listed("?flapping=true").await, ["d3", "d4"]);
    let answer = service.get("/api/v1/devices?flapping=false").await;
    answer.problem(400, "invalid_query", Some("flapping"));
}

#[tokio::test]
async fn only_a_bar_that_is_there_is_lifted() {
    let service = Service::start().await;
    let entered = service.post("/api/v1/devices", &device("d1")).await;
    entered.expect(201);
    deliver(&service, "d1", false).await;
    let answer = service.delete("/api/v1/devices/d1/bar").await;
    answer.problem(404, "not_barred", None);
    let answer = service.delete("/api/v1/devices/d2/bar").await;
    let detail = answer.problem(404, "not_found", None);
    assert!(detail.contains("d2"), "{detail}");
}

#[tokio::test]
async fn what_is_said_of_a_device_is_replaced_and_makes_it_eligible() {
    let service = Service::start().await;
    let package = service.seed(&[]).await;
    let bare = json!({"endpoint": "d1", "tags": ["roof"]});
    let entered = service.post("/api/v1/devices", &bare).await.expect(201);
    let campaign = json!({"name": "n", "package_id": package, "targets": {"devices": ["d1"]}});
    let answer = service.post("/api/v1/campaigns", &campaign).await;
    answer.problem(422, "no_device", Some("targets"));

    let mut said = device("d1");
    said.as_object_mut().expect("fields").remove("endpoint");
    let request = service.request_as("operator", Method::PUT, "/api/v1/devices/d1");
    let replaced = send(request.json(&said)).await.expect(200);
    for name in ["manufacturer", "model", "device_type"] {
        assert_eq!(replaced[name], said[name], "{name}");
    }
    assert_eq!(replaced["tags"], json!([]), "what is left out is not said");
    assert_eq!(replaced["created_at"], entered["created_at"]);
    let shown = service.get("/api/v1/devices/d1").await.expect(200);
    assert_eq!(shown, replaced);
    service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
}

#[tokio::test]
async fn what_is_said_of_a_device_is_checked_as_when_it_is_entered() {
    let service = Service::start().await;
    let put = |path: &'static str, body: Value| {
        let service = &service;
        async move { service.put(path, &body).await }
    };
    let answer = put("/api/v1/devices/d1", json!({})).await;
    let detail = answer.problem(404, "not_found", None);
    assert!(detail.contains("d1"), "{detail}");
    let entered = service.post("/api/v1/devices", &device("d1")).await;
    entered.expect(201);
    let long = json!({"device_type": "x".repeat(129)});
    let tags = json!({"tags": vec!["t"; 17]});
    let other = json!({"endpoint": "d2"});
    for (body, field) in [(long, "device_type"), (tags, "tags"), (other, "endpoint")] {
        let answer = put("/api/v1/devices/d1", body).await;
        answer.problem(422, "invalid_field", Some(field));
    }
    let shown = service.get("/api/v1/devices/d1").await.expect(200);
    assert_eq!(shown["device_type"], "WaterMeter");
}

#[tokio::test]
async fn a_device_stays_what_a_package_of_an_unfinished_task_is_for() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    let campaign = json!({"name": "n", "package_id": package, "targets": {"devices": ["d1"]}});
    let campaign = service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    let mut said = device("d1");
    said.as_object_mut().expect("fields").remove("endpoint");
    said["tags"] = json!(["cellar"]);
    let answer = service.put("/api/v1/devices/d1", &said).await;
    assert_eq!(answer.expect(200)["tags"], json!(["cellar"]));
    said["device_type"] = json!("GasMeter");
    let answer = service.put("/api/v1/devices/d1", &said).await;
    let detail = answer.problem(409, "update_active", None);
    let named = format!("campaign {}", campaign["id"]);
    assert!(
        detail.contains(&named) && detail.contains("GasMeter"),
        "{detail}"
    );
    let path = format!("/api/v1/campaigns/{}", campaign["id"]);
    service.delete(&path).await.expect(204);
    service.put("/api/v1/devices/d1", &said).await.expect(200);
}

#[tokio::test]
async fn a_device_is_taken_away_unless_a_campaign_updates_it() {
    let service = Service::start().await;
    let package = service.seed(&["d1", "d2"]).await;
    let targets = json!({"devices": ["d1", "d2"]});
    let campaign = json!({"name": "n", "package_id": package, "targets": targets});
    let campaign = service
        .post("/api/v1/campaigns", &campaign)
        .await
        .expect(201);
    let refusal = CommandError::TaskUnfinished {
        task: TaskId(7),
        campaign: CampaignId(3),
    };
    *service.engine.refuse.lock().expect("not poisoned") = Some(refusal);
    let answer = service.delete("/api/v1/devices/d1").await;
    let detail = answer.problem(409, "update_active", None);
    assert!(detail.contains("task 7 of campaign 3"), "{detail}");
    *service.engine.refuse.lock().expect("not poisoned") = None;

    let request = service.request_as("operator", Method::DELETE, "/api/v1/devices/d1");
    assert_eq!(send(request).await.expect(204), Value::Null);
    for answer in [
        service.get("/api/v1/devices/d1").await,
        service.delete("/api/v1/devices/d1").await,
    ] {
        let detail = answer.problem(404, "not_found", None);
        assert!(detail.contains("d1"), "{detail}");
    }
    // The draft goes on without it.
    let path = format!("/api/v1/campaigns/{}", campaign["id"]);
    let activate = service.request(Method::POST, &format!("{path}/activate"));
    let counts = &send(activate).await.expect(200)["counts"];
    assert_eq!(
        (&counts["pending"], &counts["stopped"]),
        (&json!(1), &json!(1))
    );
    let commands = service.engine.commands.lock().expect("not poisoned");
    let Some(Command::RunCampaign { tasks, ended, .. }) = commands.last() else {
        panic!("a campaign: {commands:?}");
    };
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].endpoint, endpoint("d2"));
    let ended = ended.counts.all();
    assert_eq!((ended.count(TaskState::Stopped), ended.total()), (1, 1));
}

/// What `GET /api/v1/devices/{endpoint}/why` answers, in Chinese where asked for.
async fn why(service: &Service, endpoint: &str, language: &str) -> Value {
    let path = format!("/api/v1/devices/{endpoint}/why");
    let request = service.request_as("viewer", Method::GET, &path);
    send(request.header("Accept-Language", language))
        .await
        .expect(200)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one device's life, told in order")]
async fn why_a_device_is_not_updated_is_one_answer_whatever_becomes_of_it() {
    let service = Service::start().await;
    let unknown = why(&service, "nobody", "en").await;
    assert_eq!(unknown["known"], false);
    assert_eq!(unknown["next_action"]["request"], "POST /api/v1/devices");

    let package = service.seed(&["meter-1"]).await;
    let idle = why(&service, "meter-1", "zh-CN").await;
    assert_eq!(idle["next_action"]["code"], "create_campaign");
    let text = idle["text"].as_str().expect("a text");
    assert!(text.starts_with("设备不在任何升级任务中。"), "{text}");

    let other = json!({"endpoint": "meter-2", "manufacturer": "quectel", "model": "other"});
    service.post("/api/v1/devices", &other).await.expect(201);
    let draft = json!({
        "name": "spring",
        "package_id": package,
        "targets": {"devices": ["meter-1", "meter-2"]},
        "retry": {"retries_max": 2},
    });
    let draft = service.post("/api/v1/campaigns", &draft).await.expect(201);
    let left_out = why(&service, "meter-2", "en").await;
    assert_eq!(left_out["left_out"][0]["reason"], "model_differs");
    assert_eq!(left_out["left_out"][0]["campaign"]["name"], "spring");
    assert_eq!(left_out["next_action"]["code"], "mend_device");
    let text = left_out["text"].as_str().expect("a text");
    assert!(text.contains("“spring” left it out: "), "{text}");

    let waits = why(&service, "meter-1", "en").await;
    assert_eq!(waits["campaign"]["state"], "draft");
    assert_eq!(waits["task"]["waiting_for"], "activation");
    assert_eq!(waits["next_action"]["code"], "activate");
    let request = format!("POST /api/v1/campaigns/{}/activate", draft["id"]);
    assert_eq!(waits["next_action"]["request"], request);

    let endpoint = EndpointName::parse("meter-1").expect("a name");
    let id = TaskId(waits["task"]["id"].as_u64().expect("a number"));
    let campaign = CampaignId(draft["id"].as_u64().expect("a number"));
    let now = service.clock.now();
    let queued = UpdateTask {
        state: TaskState::Running,
        phase: Phase::WaitingSlot,
        attempt: 1,
        waiting_for: Some(WaitingFor::Slot),
        ..UpdateTask::new(id, campaign, endpoint.clone(), now.utc)
    };
    let running = Record::Campaign {
        id: campaign,
        state: CampaignState::Running,
        at: now.utc,
    };
    let records = vec![running, Record::Task(queued.clone())];
    service.store.commit(records).await.expect("a commit");
    let live = LiveDevice {
        awake_until: Some(now.instant),
        last_seen: now.utc,
        lifetime_seconds: 3600,
    };
    service.live.show_device(endpoint.clone(), live);
    let slot = why(&service, "meter-1", "en").await;
    assert_eq!(
        slot["cell"],
        json!({"cell_id": 20, "tier": "2", "active": 1, "limit": 1, "queued": 0, "ahead": 7})
    );
    assert_eq!(slot["attempts_max"], 3);
    assert_eq!(
        (&slot["registered"], &slot["awake"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(slot["next_action"]["code"], "raise_cell_limit");
    let expected = (now.utc + Duration::from_secs(3600)).to_string();
    assert_eq!(slot["expected_until"], expected);

    let failed = UpdateTask {
        state: TaskState::Failed,
        phase: Phase::Done,
        waiting_for: None,
        failure: Some(Failure {
            reason: FailureReason::NoSpace,
            evidence: "/5/0/5 = 2".to_owned(),
        }),
        ..queued
    };
    let line = TimelineEntry {
        at: now.utc,
        endpoint: endpoint.clone(),
        task: id,
        attempt: 1,
        step: TimelineStep::Failed,
        detail: "no_space: /5/0/5 = 2".to_owned(),
    };
    let barred = Record::Delivered {
        endpoint,
        history: DeliveryHistory {
            delivered_at: vec![now.utc],
            barred_since: Some(now.utc),
        },
    };
    let records = vec![Record::Task(failed), Record::Timeline(line), barred];
    service.store.commit(records).await.expect("a commit");
    let ended = why(&service, "meter-1", "en").await;
    assert_eq!(ended["task"]["failure"]["code"], "no_space");
    assert_eq!(ended["task"]["next_action"]["code"], "mend_and_retry");
    assert_eq!(
        ended["next_action"]["request"],
        "DELETE /api/v1/devices/meter-1/bar"
    );
    let text = ended["text"].as_str().expect("a text");
    for part in ["Not enough storage", "/5/0/5 = 2", "It is barred since"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let path = "/api/v1/devices/meter-1/timeline";
    let request = service.request_as("viewer", Method::GET, path);
    let lines = send(request.header("Accept-Language", "zh"))
        .await
        .expect(200);
    assert_eq!(lines[0]["text"], "本次升级失败。");
    assert_eq!(lines[0]["failure"]["evidence"], "/5/0/5 = 2");
    let told = lines[0]["failure"]["text"].as_str().expect("a text");
    assert!(
        told.starts_with("Not enough storage for the new firmware package"),
        "{told}"
    );
    assert_eq!(lines[0]["next_action"]["code"], "mend_and_retry");
}
