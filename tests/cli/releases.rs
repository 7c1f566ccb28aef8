//! Campaigns through the real server, up to the point where devices are needed.

use serde_json::{Value, json};

use crate::packages::{PUBLIC_PEM, enter_key, signed_package};
use crate::server::{Api, DEVICE_TYPE, MANUFACTURER, MODEL, Server, Site};

const ENDPOINT: &str = "urn:imei:860000000000001";

fn campaign(package: &Value) -> Value {
    json!({
        "name": "north to 2.0.0",
        "package_id": package,
        "targets": {"devices": [ENDPOINT]},
        "retry": {"retries_max": 1, "delay_seconds": 60},
    })
}

/// A server with one device, one package and a draft for it; the draft's path.
async fn with_draft(site: &Site, arguments: &[&str]) -> (Server, Api, String) {
    let (server, api) = site.serve_admin(arguments);
    enter_key(&api, PUBLIC_PEM).await;
    let package = api.upload(signed_package(site)).await.is(201);
    let device = json!({
        "endpoint": ENDPOINT,
        "manufacturer": MANUFACTURER,
        "model": MODEL,
        "device_type": DEVICE_TYPE,
    });
    api.post("/api/v1/devices", &device).await.is(201);
    let draft = api
        .post("/api/v1/campaigns", &campaign(&package["id"]))
        .await
        .is(201);
    assert_eq!(draft["state"], "draft");
    let path = format!("/api/v1/campaigns/{}", draft["id"]);
    (server, api, path)
}

#[tokio::test]
async fn a_campaign_for_an_unknown_package_names_the_field() {
    let site = Site::new();
    let (_server, api) = site.serve_admin(&[]);
    let refused = api.post("/api/v1/campaigns", &campaign(&json!(4711))).await;
    let problem = refused.is_problem(422, "unknown_reference");
    assert_eq!(problem["field"], "package_id");
    assert!(problem["detail"].as_str().unwrap().contains("4711"));

    let refused = api.post("/api/v1/campaigns", &campaign(&json!("x"))).await;
    assert_eq!(refused.is(422)["field"], "package_id");
}

#[tokio::test]
async fn a_campaign_whose_package_no_device_could_fetch_names_the_setting() {
    for (arguments, setting) in [
        (&[][..], "--coap"),
        (&["--coap", "0.0.0.0:0"], "--public-host"),
    ] {
        let site = Site::new();
        let (_server, api, draft) = with_draft(&site, arguments).await;
        let refused = api.post(&format!("{draft}/activate"), &json!({})).await;
        let problem = refused.is_problem(409, "no_public_host");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(setting), "{detail}");
        assert_eq!(api.get(&draft).await.is(200)["state"], "draft");
    }
}

#[tokio::test]
async fn an_active_campaign_goes_on_after_a_restart() {
    let site = Site::new();
    let reachable = ["--coap", "0.0.0.0:0", "--public-host", "127.0.0.1"];
    let (server, api, draft) = with_draft(&site, &reachable).await;
    let active = api.post(&format!("{draft}/activate"), &json!({})).await;
    assert_eq!(active.is(200)["state"], "running");
    assert_eq!(server.end_by("TERM").code(), Some(0), "{}", site.log());

    let server = site.serve(&reachable);
    let api = server.api(&site.token("again", "operator"));
    let shown = api.get(&draft).await.is(200);
    assert_eq!(shown["state"], "running");
    assert_eq!(shown["counts"]["pending"], 1);
    let stopped = api.post(&format!("{draft}/stop"), &json!({})).await;
    assert_eq!(stopped.is(200)["state"], "stopped");
}

#[tokio::test]
async fn a_draft_that_is_activated_twice_at_the_same_time_is_activated_once() {
    let site = Site::new();
    let (_server, api, first) = with_draft(&site, &["--coap", "127.0.0.1:0"]).await;
    let package = api.get(&first).await.is(200)["package_id"].clone();
    let mut draft = first;
    for round in 0..3 {
        let path = format!("{draft}/activate");
        let nothing = json!({});
        let (one, other) = tokio::join!(api.post(&path, &nothing), api.post(&path, &nothing));
        let (activated, refused) = if one.status == 200 {
            (one, other)
        } else {
            (other, one)
        };
        assert_eq!(activated.is(200)["state"], "running", "round {round}");
        refused.is_problem(409, "invalid_transition");
        let shown = api.get(&draft).await.is(200);
        assert_eq!(shown["counts"]["pending"], 1, "{shown}");
        let tasks = api.get(&format!("{draft}/tasks")).await.is(200);
        assert_eq!(tasks.as_array().map(Vec::len), Some(1), "{tasks}");
        // Each device is in one active campaign at a time.
        api.post(&format!("{draft}/stop"), &nothing).await.is(200);
        let next = api.post("/api/v1/campaigns", &campaign(&package)).await;
        draft = format!("/api/v1/campaigns/{}", next.is(201)["id"]);
    }
}
