//! A manufacturer's key is revoked over REST while a campaign of its package runs.

use std::collections::BTreeSet;
use std::time::Duration;

use narrowcast::clock::{Instant, SystemClock};
use narrowcast::sim::Fleet;
use narrowcast::sim::log::DeviceEvent;
use serde_json::{Value, json};

use crate::firmware::Firmware;
use crate::meters::{endpoint, meters};
use crate::rest::text;
use crate::server::{SHORT_TIMES, Server};

const IMAGE_BYTES: usize = 24_001;
/// Of three cells with one slot a tier each: most have to wait.
const DEVICES: usize = 24;
const ONE_EACH: &str = "[cells.limits]\ntier0 = 1\ntier1 = 1\ntier2 = 1\nunknown = 1\n";
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// What was on its way when the server answered the revocation has arrived by then.
const UNDER_WAY: Duration = Duration::from_millis(500);

/// Which devices have taken a URI, and when the last of them did.
fn offered(fleet: &Fleet) -> (BTreeSet<usize>, Instant) {
    let log = fleet.log_since(0);
    let taken = log
        .iter()
        .filter(|line| line.event == DeviceEvent::UriAccepted);
    let last = taken.clone().map(|line| line.at).max();
    let devices = taken.map(|line| line.device).collect();
    (devices, last.unwrap_or(Instant::ORIGIN))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_keys_package_is_offered_to_nobody_new_and_each_task_says_why_it_ended() {
    let clock = SystemClock::new();
    let server = Server::start(&format!("{SHORT_TIMES}\n{ONE_EACH}"));
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(IMAGE_BYTES)).await;
    let endpoints: Vec<_> = (0..DEVICES).map(endpoint).collect();
    for endpoint in &endpoints {
        rest.enter(endpoint).await;
    }
    let endpoints: Vec<_> = endpoints.iter().map(String::as_str).collect();
    let campaign = rest.run_campaign(package, &endpoints, 3).await;
    let mut fleet = meters(server.coap());
    fleet.truncate(DEVICES);
    let fleet = Fleet::start(fleet, clock, 60).unwrap();
    while offered(&fleet).0.len() < 3 {
        assert!(
            clock.now().instant.since_origin() < PATIENCE,
            "{}",
            server.log()
        );
        tokio::time::sleep(LOOK).await;
    }

    let key = rest.get("/keys").await[0]["id"].clone();
    let path = format!("/keys/{}", text(&key));
    let reason = json!({"reason": "the signing laptop was stolen"});
    let revoked = rest.post(&format!("{path}/revoke"), &reason).await;
    let revoked_at = clock.now().instant;
    assert_eq!(revoked["campaigns"][0]["id"], campaign);
    assert_eq!(revoked["campaigns"][0]["stopped"], true);
    let (state, _) = server.end_of(campaign, PATIENCE).await;
    assert_eq!(state, "stopped");
    // Those that wait speak all the while, and retries would be due.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (told, last) = offered(&fleet);
    assert!(last < revoked_at + UNDER_WAY, "{last:?}, {revoked_at:?}");
    assert!(told.len() < DEVICES, "all had begun");

    for task in rest.tasks(campaign).await {
        let state = text(&task["state"]);
        let code = &task["failure"]["code"];
        let ended = state == "succeeded" || (state == "stopped" && *code == "key_revoked");
        assert!(ended, "{task:#}");
        let is_told = endpoints
            .iter()
            .position(|it| task["endpoint"] == *it)
            .is_some_and(|index| told.contains(&index));
        assert!(is_told || state == "stopped", "{task:#}");
    }
    let shown = rest.get(&path).await;
    assert_eq!(shown["state"], "revoked");
    assert_eq!(shown["revoked"]["by"], "test");
    let entries = rest.get("/audit?limit=1000").await;
    let of = |action: &str| -> Vec<Value> {
        let entries = entries.as_array().unwrap().iter();
        entries
            .filter(|it| it["action"] == action)
            .cloned()
            .collect()
    };
    assert_eq!(of("key_revoked")[0]["object"], key);
    assert_eq!(of("key_revoked")[0]["details"], reason);
    assert_eq!(of("campaign_stopped")[0]["object"], campaign.to_string());
}
