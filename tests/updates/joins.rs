//! Devices that come to a dynamic campaign's group later, over kill -9: each joins once, and none is lost.

use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::sim::Fleet;
use serde_json::{Value, json};

use crate::firmware::Firmware;
use crate::meters::{endpoint, meters};
use crate::rest::{Rest, number, text};
use crate::server::{SHORT_TIMES, Server};

const IMAGE_BYTES: usize = 6_001;
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(10);

/// Waits until a campaign's tasks are as they should be.
async fn until(rest: &Rest, campaign: u64, what: &str, done: impl Fn(&[Value]) -> bool) {
    let clock = SystemClock::new();
    loop {
        let tasks = rest.tasks(campaign).await;
        if done(&tasks) {
            return;
        }
        let waited = clock.now().instant.since_origin();
        assert!(waited < PATIENCE, "{what}: {tasks:#?}");
        tokio::time::sleep(LOOK).await;
    }
}

fn succeeded(tasks: &[Value]) -> usize {
    let done = |task: &&Value| task["state"] == "succeeded";
    tasks.iter().filter(done).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_bound_before_a_kill_joins_after_it_once() {
    let mut server = Server::start(SHORT_TIMES);
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(IMAGE_BYTES)).await;
    let names: Vec<String> = (1..5).map(endpoint).collect();
    for name in &names {
        rest.enter(name).await;
    }
    let group = number(&rest.post("/groups", &json!({ "name": "later" })).await);
    let bind = async |name: &String| {
        let path = format!("/groups/{group}/devices");
        rest.post(&path, &json!({ "devices": [name] })).await;
    };
    bind(&names[0]).await;
    let configs = meters(server.coap()).into_iter().skip(1).take(4).collect();
    let _fleet = Fleet::start(configs, SystemClock::new(), 1).unwrap();
    let campaign = json!({
        "name": "later",
        "package_id": package,
        "targets": { "groups": [group], "dynamic": true },
        "retry": { "retries_max": 3, "delay_seconds": 1 },
    });
    let campaign = number(&rest.post("/campaigns", &campaign).await);
    let activate = format!("/campaigns/{campaign}/activate");
    rest.post(&activate, &json!({})).await;
    until(&rest, campaign, "the first", |tasks| succeeded(tasks) == 1).await;

    // As soon as it is bound.
    bind(&names[1]).await;
    server.kill();
    server.restart();
    until(&rest, campaign, "the second", |tasks| succeeded(tasks) == 2).await;

    // As soon as it is a task.
    bind(&names[2]).await;
    until(&rest, campaign, "its task", |tasks| tasks.len() == 3).await;
    server.kill();
    server.restart();
    until(&rest, campaign, "the third", |tasks| succeeded(tasks) == 3).await;

    // While another has begun.
    bind(&names[3]).await;
    until(&rest, campaign, "its update", |tasks| {
        tasks.len() == 4 && tasks.iter().any(|task| task["phase"] == "downloading")
            || succeeded(tasks) == 4
    })
    .await;
    server.kill();
    server.restart();
    until(&rest, campaign, "the fourth", |tasks| succeeded(tasks) == 4).await;

    let tasks = rest.tasks(campaign).await;
    let mut joined: Vec<&str> = tasks.iter().map(|task| text(&task["endpoint"])).collect();
    joined.sort_unstable();
    assert_eq!(joined, names, "each once");
    let shown = rest.get(&format!("/campaigns/{campaign}")).await;
    assert_eq!(text(&shown["state"]), "running");
    let stop = format!("/campaigns/{campaign}/stop");
    rest.post(&stop, &json!({})).await;
}
