//! 急停, at the real server with a hundred meters at work: within two seconds nothing new starts, and no
//! meter is told to install, until somebody resumes it.

use std::collections::BTreeSet;
use std::time::Duration;

use narrowcast::clock::{Instant, SystemClock};
use narrowcast::sim::Fleet;
use narrowcast::sim::log::DeviceEvent;
use serde_json::json;

use crate::firmware::Firmware;
use crate::meters::{METERS, endpoint, meters};
use crate::rest::text;
use crate::server::{SHORT_TIMES, Server};

const IMAGE_BYTES: usize = 24_001;
const PATIENCE: Duration = Duration::from_secs(120);
/// How soon a halt has to hold.
const SOON: Duration = Duration::from_secs(2);
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(8);

/// Which meters took a URI or an Execute after a moment.
fn told_after(fleet: &Fleet, moment: Instant) -> BTreeSet<usize> {
    let log = fleet.log().into_iter();
    let told = log.filter(|line| {
        line.at > moment
            && matches!(
                line.event,
                DeviceEvent::UriAccepted | DeviceEvent::ExecuteAccepted
            )
    });
    told.map(|line| line.device).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halt_reaches_what_is_being_stopped_softly() {
    let server = Server::start(SHORT_TIMES);
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(IMAGE_BYTES)).await;
    let endpoints: Vec<String> = (0..METERS).map(endpoint).collect();
    for endpoint in &endpoints {
        rest.enter(endpoint).await;
    }
    let clock = SystemClock::new();
    let fleet = Fleet::start(meters(server.coap()), clock, 1).unwrap();
    let names: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let campaign = rest.run_campaign(package, &names, 3).await;
    while told_after(&fleet, Instant::ORIGIN).len() < METERS / 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let stop = format!("/campaigns/{campaign}/stop");
    rest.post(&stop, &json!({ "mode": "soft" })).await;
    let halt = format!("/campaigns/{campaign}/halt");
    let halted = rest.post(&halt, &json!({})).await;
    assert_eq!(text(&halted["state"]), "stopped", "{halted:#}");
    let holds_from = clock.now().instant + SOON;
    tokio::time::sleep(SOON).await;
    // Nothing is left of it that could be halted.
    let path = format!("/campaigns/{campaign}");
    while rest.get(&path).await["counts"]["running"] != 0 {
        assert!(clock.now().instant < holds_from + PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(told_after(&fleet, holds_from), BTreeSet::new());
    let tasks = rest.tasks(campaign).await;
    let stopped = tasks.iter().filter(|task| task["state"] == "stopped");
    assert!(stopped.count() > METERS / 2, "{tasks:#?}");
    let (status, answer) = rest.answer_to_post(&halt, &json!({})).await;
    assert_eq!(status, 409, "{answer:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_seconds_after_a_halt_nothing_starts_and_nothing_installs() {
    let server = Server::start(SHORT_TIMES);
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(IMAGE_BYTES)).await;
    let endpoints: Vec<String> = (0..METERS).map(endpoint).collect();
    for endpoint in &endpoints {
        rest.enter(endpoint).await;
    }
    let clock = SystemClock::new();
    let fleet = Fleet::start(meters(server.coap()), clock, 1).unwrap();
    let names: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let campaign = rest.run_campaign(package, &names, 3).await;
    while told_after(&fleet, Instant::ORIGIN).len() < METERS / 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let halted = rest.post("/halt", &json!({})).await;
    assert_eq!(halted["campaigns"], json!([campaign]));
    let holds_from = clock.now().instant + SOON;
    tokio::time::sleep(SOON + WATCHED).await;
    assert_eq!(told_after(&fleet, holds_from), BTreeSet::new());
    let shown = rest.get(&format!("/campaigns/{campaign}")).await;
    assert_eq!(text(&shown["state"]), "paused");
    assert_eq!(text(&shown["rollout"]["paused"]), "halted");
    let ended = shown["counts"]["succeeded"].as_u64().unwrap();
    assert!(ended < METERS as u64, "it came too late: {shown:#}");

    let resume = format!("/campaigns/{campaign}/resume");
    rest.post(&resume, &json!({})).await;
    let (state, tasks) = server.end_of(campaign, PATIENCE).await;
    assert_eq!(state, "succeeded", "{}", server.report(campaign).await);
    assert_eq!(tasks.len(), METERS);
}
