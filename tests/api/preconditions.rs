//! `ETag` and `If-Match`: every PUT and PATCH, with the tag that was read, a stale one, and none.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::service::{Service, send};

/// Where the tag is read, what is changed and how, and two bodies that differ.
struct Change {
    read: &'static str,
    method: Method,
    path: &'static str,
    bodies: [Value; 2],
}

fn changes() -> Vec<Change> {
    let change = |method, path, bodies| Change {
        read: path,
        method,
        path,
        bodies,
    };
    vec![
        change(
            Method::PUT,
            "/api/v1/devices/meter-1",
            [json!({"tags": ["a"]}), json!({"tags": ["b"]})],
        ),
        change(
            Method::PUT,
            "/api/v1/groups/1",
            [json!({"name": "one"}), json!({"name": "two"})],
        ),
        change(
            Method::PUT,
            "/api/v1/groups/1/devices",
            [
                json!({"devices": ["meter-1"]}),
                json!({"devices": ["meter-2"]}),
            ],
        ),
        change(
            Method::PATCH,
            "/api/v1/packages/1",
            [
                json!({"release_notes_en": "one"}),
                json!({"release_notes_zh": "二"}),
            ],
        ),
        change(
            Method::PATCH,
            "/api/v1/campaigns/1",
            [
                json!({"start_at": "2099-01-01T00:00:00Z"}),
                json!({"end_at": "2099-02-01T00:00:00Z"}),
            ],
        ),
        change(
            Method::PUT,
            "/api/v1/profiles/1/settings",
            [json!({"awake_time": "10s"}), json!({"awake_time": "20s"})],
        ),
        change(
            Method::PATCH,
            "/api/v1/profiles/1/settings",
            [json!({"awake_time": "30s"}), json!({"awake_time": "40s"})],
        ),
    ]
}

async fn start() -> Service {
    let service = Service::start().await;
    let package = service.seed(&["meter-1", "meter-2", "meter-3"]).await;
    let targets = json!({"devices": ["meter-3"]});
    let draft = json!({"name": "July", "package_id": package, "targets": targets});
    service.post("/api/v1/campaigns", &draft).await.expect(201);
    let group = json!({"name": "roofs"});
    service.post("/api/v1/groups", &group).await.expect(201);
    let profile = json!({
        "devices": [{
            "manufacturerId": "q-1", "manufacturerName": "quectel", "model": "BC25",
            "protocolType": "CoAP", "deviceType": "WaterMeter",
        }],
        "services": [],
    });
    service.post("/api/v1/profiles", &profile).await.expect(201);
    service
}

async fn tag(service: &Service, path: &str) -> String {
    let answer = service.get(path).await;
    answer.expect(200);
    let tag = answer.header("etag").to_owned();
    assert!(
        tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'),
        "{path}: {tag}"
    );
    tag
}

#[tokio::test]
async fn a_change_that_rests_on_what_is_there_is_made_and_a_stale_one_is_not() {
    let service = start().await;
    for Change {
        read,
        method,
        path,
        bodies: [first, second],
    } in changes()
    {
        let what = format!("{method} {path}");
        let change = |if_match: Option<String>, body: Value| {
            let mut request = service.request(method.clone(), path).json(&body);
            if let Some(tag) = if_match {
                request = request.header("if-match", tag);
            }
            send(request)
        };
        let before = tag(&service, read).await;
        assert_eq!(tag(&service, read).await, before, "{what}: read twice");
        let changed = change(Some(before.clone()), first.clone()).await;
        assert_eq!(changed.status, 200, "{what}: {}", changed.text);
        let after = tag(&service, read).await;
        assert_ne!(after, before, "{what}");
        let shown = service.get(read).await.text;
        for stale in [before.as_str(), "\"x\"", "W/\"x\"", "x"] {
            let refused = change(Some(stale.to_owned()), second.clone()).await;
            let detail = refused.problem(412, "stale", None);
            assert!(detail.contains(&after), "{what}: {detail}");
        }
        assert_eq!(tag(&service, read).await, after, "{what}: refused");
        assert_eq!(service.get(read).await.text, shown, "{what}: refused");
        for given in [Some(format!("\"x\", {after}")), Some("*".to_owned()), None] {
            let changed = change(given, second.clone()).await;
            assert_eq!(changed.status, 200, "{what}: {}", changed.text);
        }
        assert_ne!(tag(&service, read).await, after, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_those_who_change_what_all_read_one_does_and_the_others_are_told() {
    for _ in 0..20 {
        change_each_at_a_time(&start().await).await;
    }
}

async fn change_each_at_a_time(service: &Service) {
    for Change {
        read,
        method,
        path,
        bodies,
    } in changes()
    {
        let tag = tag(service, read).await;
        let mut asked = JoinSet::new();
        for body in bodies.iter().cycle().take(6) {
            let request = service.request(method.clone(), path).json(body);
            asked.spawn(send(request.header("if-match", &tag)));
        }
        let answers = asked.join_all().await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412, 412, 412], "{method} {path}");
    }
}

/// More than are read at a time, so that there is time in between.
const MEMBERS: usize = 900;
/// How many more are bound while others put the list back.
const BOUND: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_that_is_put_back_as_it_was_read_loses_nobody_whom_another_bound() {
    let service = start().await;
    let devices = "/api/v1/groups/1/devices";
    let names = |range: std::ops::Range<usize>| range.map(|number| format!("d{number:04}"));
    let all: Vec<_> = names(0..MEMBERS + BOUND).collect();
    let import = service.request(Method::POST, "/api/v1/devices/import");
    let import = import.header("content-type", "text/csv");
    let csv = format!("endpoint\n{}\n", all.join("\n"));
    send(import.body(csv)).await.expect(201);
    let members: Vec<_> = names(0..MEMBERS).collect();
    let first = service.put(devices, &json!({ "devices": members })).await;
    first.expect(200);

    let is_bound = AtomicBool::new(false);
    let put_back = async {
        while !is_bound.load(Ordering::Relaxed) {
            let read = service.get(&format!("{devices}?limit=1000")).await;
            let rows = read.expect(200);
            let rows = rows.as_array().expect("rows").iter();
            let rows: Vec<_> = rows.map(|row| row["endpoint"].clone()).collect();
            let request = service.request(Method::PUT, devices);
            let request = request.header("if-match", read.header("etag"));
            let put = send(request.json(&json!({ "devices": rows }))).await;
            assert!([200, 412].contains(&put.status), "{}", put.text);
        }
    };
    let bind = async {
        for name in &all[MEMBERS..] {
            let bound = service.post(devices, &json!({"devices": [name]})).await;
            bound.expect(200);
        }
        is_bound.store(true, Ordering::Relaxed);
    };
    tokio::join!(put_back, bind);
    let group = service.get("/api/v1/groups/1").await.expect(200);
    assert_eq!(group["devices"], MEMBERS + BOUND);
}

#[tokio::test]
async fn what_is_only_read_has_a_tag_too_and_what_lies_on_a_device_none() {
    let service = start().await;
    tag(&service, "/api/v1/cells/tiers").await;
    let request = service.request(Method::PUT, "/api/v1/devices/meter-1/resources/3/0/14");
    let request = request
        .json(&json!({"value": "+08"}))
        .header("if-match", "\"x\"");
    send(request).await.problem(412, "stale", None);
}

#[tokio::test]
async fn that_a_device_was_heard_makes_no_change_a_stale_one() {
    let service = start().await;
    let before = tag(&service, "/api/v1/devices/meter-1").await;
    let report = narrowcast::model::DeviceReport {
        rsrp_dbm: Some(-97),
        ..Default::default()
    };
    let endpoint = narrowcast::model::EndpointName::parse("meter-1").expect("a name");
    let record = narrowcast::model::Record::Report { endpoint, report };
    let store: &dyn narrowcast::store::Store = &*service.store;
    store.commit(vec![record]).await.expect("a commit");
    let shown = service.get("/api/v1/devices/meter-1").await;
    assert_eq!(shown.expect(200)["rsrp_dbm"], -97);
    assert_eq!(shown.header("etag"), before);
}
