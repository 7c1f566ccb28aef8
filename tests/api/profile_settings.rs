//! Settings of products beside their campaigns and a busy engine, and the bound on profiles that come.

use std::time::Duration;

use narrowcast::engine::Command;
use narrowcast::http::HttpLimits;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::profiles::{enter, patch, profile};
use crate::service::{Service, device, send};

const SETTINGS: &str = "/api/v1/profiles/1/settings";

/// More requests than may wait for the engine.
const MANY: usize = 40;

/// Longer than anything takes that comes at all.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_a_restart_must_not_change_of_an_update_stays_while_its_campaign_is_under_way() {
    let service = Service::start().await;
    let package = service.seed(&["d1"]).await;
    enter(&service, &profile()).await;
    let campaign = json!({"name": "a", "package_id": package, "targets": {"devices": ["d1"]}});
    let draft = service.post("/api/v1/campaigns", &campaign).await;
    draft.expect(201);
    // A draft does not mind.
    let pushed = json!({"delivery": "push"});
    patch(&service, &pushed).await.expect(200);
    let activate = service.request(Method::POST, "/api/v1/campaigns/1/activate");
    send(activate).await.expect(200);
    for (body, field) in [
        (json!({"delivery": "pull"}), "delivery"),
        (json!({"delivery": null, "awake_time": "20s"}), "delivery"),
        (json!({"download": "http"}), "download"),
        (json!({"slot_held": "until_downloaded"}), "slot_held"),
    ] {
        let refused = patch(&service, &body).await;
        let detail = refused.problem(409, "profile_in_use", Some(field));
        let told = format!("{field}: campaign 1 is for this product and under way");
        assert_eq!(detail, told);
    }
    let refused = service.put(SETTINGS, &json!({})).await;
    refused.problem(409, "profile_in_use", Some("delivery"));
    let shown = service.get(SETTINGS).await.expect(200);
    assert_eq!(shown["own"], pushed);
    let both = json!({"delivery": "push", "awake_time": "20s"});
    let replaced = service.put(SETTINGS, &both).await.expect(200);
    assert_eq!(replaced["own"], both);
}

#[tokio::test]
async fn what_was_set_stays_set_whichever_quirk_set_is_named() {
    let service = Service::start().await;
    enter(&service, &profile()).await;
    // As the server has it, and the set has not.
    let own = json!({"observation_cancel": "after_result"});
    let steps = [
        own.clone(),
        json!({"quirks": "bc25"}),
        json!({"quirks": null}),
    ];
    for body in steps {
        let changed = patch(&service, &body).await.expect(200);
        assert_eq!(changed["own"], own, "{body}");
        let counts = &changed["effective"]["observation_cancel"];
        let expected = json!({"value": "after_result", "origin": "profile"});
        assert_eq!(*counts, expected, "{body}");
    }
    let taken_back = patch(&service, &json!({"observation_cancel": null})).await;
    assert_eq!(taken_back.expect(200)["own"], json!({}));
}

#[tokio::test]
async fn what_is_committed_reaches_a_busy_engine_though_the_client_has_left() {
    let service = Service::start().await;
    enter(&service, &profile()).await;
    let busy = service.engine.gate.lock().await;
    let (answers, mut answered) = mpsc::unbounded_channel();
    for _ in 0..MANY {
        let request = service.request(Method::GET, "/api/v1/cells");
        let answers = answers.clone();
        tokio::spawn(async move { answers.send(send(request).await.status) });
    }
    assert_eq!(answered.recv().await, Some(503), "the queue is full");
    let body = r#"{"awake_time": "20s"}"#;
    let token = service.token("admin");
    let request = format!(
        "PATCH {SETTINGS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = service.connect().await;
    let written = client.write_all(request.as_bytes()).await;
    written.expect("written");
    let committed = async {
        while service.get(SETTINGS).await.expect(200)["own"] != json!({"awake_time": "20s"}) {}
    };
    timeout(SOON, committed).await.expect("it is committed");
    drop(client);
    drop(busy);
    let is_told = || {
        let commands = service.engine.commands.lock().expect("not poisoned");
        let last = commands.last();
        matches!(last, Some(Command::SetProduct(it)) if it.changes.iter().count() == 1)
    };
    let told = async {
        while !is_told() {
            yield_now().await;
        }
    };
    timeout(SOON, told).await.expect("the engine is told");
}

#[tokio::test]
async fn a_device_is_told_to_the_engine_as_it_was_entered() {
    let service = Service::start().await;
    enter(&service, &profile()).await;
    let entered = device("d1");
    service.post("/api/v1/devices", &entered).await.expect(201);
    let names = json!({"manufacturer": "quectel", "model": "BC25"});
    let replaced = service.put("/api/v1/devices/d1", &names).await.expect(200);
    assert_eq!(replaced["device_type"], "WaterMeter");
    let commands = service.engine.commands.lock().expect("not poisoned");
    let Some(Command::AddDevices(devices)) = commands.last() else {
        panic!("the engine is told: {commands:?}");
    };
    // Another profile may make it another type, as it would after a restart.
    assert_eq!(devices[0].device_type, None);
}

#[tokio::test]
async fn so_many_profiles_come_at_a_time_and_no_more() {
    let limits = HttpLimits {
        uploads_max: 1,
        ..HttpLimits::default()
    };
    let service = Service::start_with(limits, false).await;
    let token = service.token("admin");
    let begun = format!(
        "POST /api/v1/profiles HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    let mut slow = service.connect().await;
    let written = slow.write_all(begun.as_bytes()).await;
    written.expect("written");
    let posted = async || {
        let request = service.request(Method::POST, "/api/v1/profiles");
        let request = request.header("content-type", "application/json");
        send(request.body("{")).await
    };
    let refused = async {
        loop {
            let answer = posted().await;
            if answer.status != 422 {
                return answer;
            }
        }
    };
    let refused = timeout(SOON, refused).await.expect("it has begun");
    let detail = refused.problem(503, "unavailable", None);
    assert_eq!(detail, "1 uploads are under way");
    drop(slow);
    let taken = async { while send_profile(&service).await != 201 {} };
    timeout(SOON, taken).await.expect("a place");
}

async fn send_profile(service: &Service) -> u16 {
    let body: Value = profile();
    service.post("/api/v1/profiles", &body).await.status
}
