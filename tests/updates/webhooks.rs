//! Webhooks and the stream of events of the real program: signed, in order, tried again, and neither lost
//! nor made up where it is killed.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use narrowcast::clock::SystemClock;
use narrowcast::http::{ConnectionLimits, TlsIdentity, serve_devices_by_tls};
use narrowcast::model::TransmissionPreset;
use narrowcast::sim::{DeviceConfig, Fleet};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::bench::Bench;
use crate::peers;
use crate::rest::{POLL, Rest, number, text};
use crate::server::{SHORT_TIMES, Server, own_address};

const PATIENCE: Duration = Duration::from_secs(60);

/// As seconds are minutes here.
const QUICK: &str =
    "[webhooks]\nallow_loopback = true\nretry_first = \"100ms\"\nretry_most = \"1s\"\n";

/// What came, and how the next that come are answered; 200 where nothing is said.
#[derive(Debug, Default)]
struct Desk {
    came: Vec<(HeaderMap, String)>,
    answers: VecDeque<u16>,
}

/// A receiver of events.
#[derive(Clone, Debug, Default)]
struct Receiver(Arc<Mutex<Desk>>);

impl Receiver {
    /// Serves on a free port; its URL.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async { axum::serve(listener, router).await });
        format!("http://{address}/hook?site=1")
    }

    fn router(&self) -> Router {
        Router::new().fallback(any(take)).with_state(self.clone())
    }

    fn answer(&self, statuses: &[u16]) {
        self.0.lock().unwrap().answers.extend(statuses);
    }

    fn came(&self) -> Vec<(HeaderMap, String)> {
        self.0.lock().unwrap().came.clone()
    }

    /// The events that came, each time that they came.
    fn events(&self) -> Vec<Value> {
        let came = self.came().into_iter();
        came.map(|(_, body)| serde_json::from_str(&body).unwrap())
            .collect()
    }

    /// Their ids, the first time that they came.
    fn ids(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let ids = self
            .events()
            .into_iter()
            .map(|it| text(&it["id"]).to_owned());
        ids.filter(|id| seen.insert(id.clone())).collect()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let looked = async {
            loop {
                let events = self.events();
                if wanted(&events) {
                    return events;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(events) => events,
            Err(_) => panic!("{what}: {:#?}", self.events()),
        }
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> Response {
    let mut desk = receiver.0.lock().unwrap();
    desk.came.push((headers, body));
    match desk.answers.pop_front().unwrap_or(200) {
        302 => Redirect::temporary("/elsewhere").into_response(),
        status => StatusCode::from_u16(status).unwrap().into_response(),
    }
}

/// As a receiver that was written elsewhere does.
fn assert_signed(secret: &str, headers: &HeaderMap, body: &str) {
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(
        header("content-type"),
        "application/cloudevents+json; charset=utf-8"
    );
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.unwrap()).unwrap();
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let signature = header("webhook-signature").strip_prefix("v1,").unwrap();
    mac.verify_slice(&STANDARD.decode(signature).unwrap())
        .unwrap();
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(event["id"], id);
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "/narrowcast");
}

async fn hook(rest: &Rest, url: &str, types: &[&str]) -> (u64, String) {
    let body = json!({ "url": url, "types": types });
    let made = rest.post("/webhooks", &body).await;
    (number(&made), text(&made["secret"]).to_owned())
}

async fn deliveries(rest: &Rest, id: u64) -> Vec<Value> {
    let path = format!("/webhooks/{id}/deliveries?limit=1000");
    rest.get(&path).await.as_array().unwrap().clone()
}

/// The stream of events as curl has it, from after `id` on, for so long.
fn stream(server: &Server, after: u64, seconds: u32) -> Vec<Value> {
    let output = Command::new(peers::on_path("curl"))
        .args(["--silent", "--no-buffer", "--max-time"])
        .arg(seconds.to_string())
        .args([
            "--header",
            &format!("Authorization: Bearer {}", server.token()),
        ])
        .args(["--header", &format!("Last-Event-ID: {after}")])
        .arg(format!("http://{}/api/v1/events", server.http()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_signed_and_in_order_and_what_is_not_taken_comes_again_with_the_same_id() {
    let server = Server::start(QUICK);
    let (rest, receiver) = (server.rest(), Receiver::default());
    let url = receiver.start().await;
    receiver.answer(&[500, 302, 429]);
    let (id, secret) = hook(&rest, &url, &["device.*"]).await;
    for number in 0..5 {
        rest.enter(&format!("meter-{number}")).await;
    }
    let events = receiver.until("five", |it| it.len() == 8).await;
    let subjects: Vec<_> = events.iter().map(|it| text(&it["subject"])).collect();
    assert_eq!(
        subjects,
        [
            "device:meter-0",
            "device:meter-0",
            "device:meter-0",
            "device:meter-0",
            "device:meter-1",
            "device:meter-2",
            "device:meter-3",
            "device:meter-4"
        ]
    );
    assert_eq!(events[0], events[3]);
    assert_eq!(events[0]["type"], "narrowcast.device.created");
    for (headers, body) in receiver.came() {
        assert_signed(&secret, &headers, &body);
    }
    let listed = deliveries(&rest, id).await;
    assert_eq!(listed.len(), 5);
    assert!(
        listed.iter().all(|it| it["state"] == "delivered"),
        "{listed:#?}"
    );
    assert_eq!(listed[4]["attempts"], 4);
    assert_eq!(listed[4]["answer_status"], 200);
    let shown = rest.get(&format!("/webhooks/{id}")).await;
    assert_eq!(shown["events_behind"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_listed_and_told_once_more_and_a_test_comes_beside_it() {
    let settings =
        "[webhooks]\nallow_loopback = true\nretry_first = \"50ms\"\nretry_for = \"1s\"\n";
    let server = Server::start(settings);
    let (rest, receiver) = (server.rest(), Receiver::default());
    let url = receiver.start().await;
    let (id, _) = hook(&rest, &url, &["device.created"]).await;
    receiver.answer(&[503; 40]);
    rest.enter("meter-1").await;
    let path = format!("/webhooks/{id}/deliveries");
    let dead = async {
        loop {
            let listed = deliveries(&rest, id).await;
            if listed.iter().any(|it| it["state"] == "dead") {
                return listed[0].clone();
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let dead = tokio::time::timeout(PATIENCE, dead).await.unwrap();
    assert!(dead["attempts"].as_u64().unwrap() > 2, "{dead:#}");
    assert_eq!(
        (&dead["answer_status"], &dead["next_attempt_at"]),
        (&json!(503), &Value::Null)
    );
    receiver.0.lock().unwrap().answers.clear();
    let before = receiver.came().len();
    let again = rest.post(&format!("{path}/1/redeliver"), &json!({})).await;
    assert_eq!(again["message_id"], dead["message_id"]);
    rest.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    let events = receiver.until("both", |it| it.len() >= before + 2).await;
    assert_eq!(events[before]["id"], dead["message_id"]);
    assert_eq!(events[before + 1]["type"], "narrowcast.test");
    // Later events did not wait for it.
    rest.enter("meter-2").await;
    receiver
        .until("the next", |it| {
            it.iter().any(|it| it["subject"] == "device:meter-2")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_told_no_more_and_what_happened_meanwhile_once_it_is_enabled() {
    let server = Server::start(QUICK);
    let (rest, receiver) = (server.rest(), Receiver::default());
    let url = receiver.start().await;
    let (id, _) = hook(&rest, &url, &["device.created"]).await;
    receiver.answer(&[410]);
    rest.enter("meter-1").await;
    let path = format!("/webhooks/{id}");
    let disabled = async {
        while rest.get(&path).await["state"] != "disabled" {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, disabled).await.unwrap();
    let shown = rest.get(&path).await;
    assert_eq!(shown["reason"], "its receiver answered 410");
    rest.enter("meter-2").await;
    let events = stream(&server, 0, 2);
    let kinds: BTreeSet<_> = events.iter().map(|it| text(&it["type"])).collect();
    assert!(kinds.contains("webhook.disabled"), "{kinds:?}");
    assert_eq!(receiver.came().len(), 1);
    rest.patch(&path, &json!({"state": "active"})).await;
    let events = receiver.until("both", |it| it.len() >= 3).await;
    let subjects: Vec<_> = events.iter().map(|it| text(&it["subject"])).collect();
    assert_eq!(
        subjects[..3],
        ["device:meter-1", "device:meter-1", "device:meter-2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_event_and_tells_none_that_did_not_happen() {
    let mut server = Server::start(QUICK);
    let receiver = Receiver::default();
    let url = receiver.start().await;
    hook(&server.rest(), &url, &[]).await;
    let (mut entered, mut round) = (0, 0);
    while round < 6 {
        let rest = server.rest();
        let begun = entered;
        while entered < begun + 12 {
            rest.enter(&format!("meter-{entered}")).await;
            entered += 1;
        }
        // Somewhere in the middle of telling, and at times while a receiver refuses.
        if round % 2 == 1 {
            receiver.answer(&[500, 500]);
        }
        let some = begun + 3 * (round + 1);
        receiver
            .until("some", |it| it.len() >= some.min(begun + 4))
            .await;
        server.kill();
        server.restart();
        round += 1;
    }
    let all = stream(&server, 0, 2);
    let numbers: Vec<u64> = all.iter().map(|it| it["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let created = all.iter().filter(|it| it["type"] == "device.created");
    let created: Vec<_> = created.map(|it| text(&it["endpoint"]).to_owned()).collect();
    let expected: Vec<_> = (0..entered)
        .map(|number| format!("meter-{number}"))
        .collect();
    assert_eq!(created, expected);
    let ids: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    receiver
        .until("all", |_| receiver.ids().len() >= ids.len())
        .await;
    assert_eq!(receiver.ids(), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_receivers_are_known_by_the_certificates_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let receiver = Receiver::default();
    let (_stop, stopped) = watch::channel(false);
    let url = serve_tls(&receiver, folder.path(), stopped).await;

    let stranger = Server::start(QUICK);
    let rest = stranger.rest();
    let (id, _) = hook(&rest, &url, &[]).await;
    rest.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    let failed = async {
        loop {
            let listed = deliveries(&rest, id).await;
            if listed.iter().any(|it| it["error"] != Value::Null) {
                return listed[0].clone();
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let failed = tokio::time::timeout(PATIENCE, failed).await.unwrap();
    assert!(text(&failed["error"]).starts_with("TLS: "), "{failed:#}");
    assert_eq!(receiver.came().len(), 0);

    let authority = folder.path().join("ca.pem");
    let settings = format!(
        "[webhooks]\nallow_loopback = true\nca_file = \"{}\"\n",
        authority.display()
    );
    let friend = Server::start(&settings);
    let rest = friend.rest();
    let (id, secret) = hook(&rest, &url, &[]).await;
    rest.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    receiver.until("the test", |it| it.len() == 1).await;
    let (headers, body) = &receiver.came()[0];
    assert_signed(&secret, headers, body);
}

/// An authority (`ca.pem`), and a certificate of its for this machine's address.
fn make_certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let made = Command::new(peers::on_path("openssl"))
            .args(arguments.split(' '))
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    let extensions = format!(
        "subjectAltName=IP:{}\nbasicConstraints=CA:FALSE\n",
        own_address()
    );
    std::fs::write(folder.join("extensions"), extensions).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!(
        "req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"
    ));
    openssl(&format!(
        "req {key} -subj /CN=receiver -keyout key.pem -out receiver.csr"
    ));
    openssl(
        "x509 -req -in receiver.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile extensions -out certificate.pem",
    );
}

async fn serve_tls(receiver: &Receiver, folder: &Path, stop: watch::Receiver<bool>) -> String {
    let at = SocketAddr::from((own_address(), 0));
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let identity = Arc::new(TlsIdentity::read(&certificate, &key).unwrap());
    let router = receiver.router();
    let limits = ConnectionLimits::default();
    let clock = SystemClock::new();
    tokio::spawn(serve_devices_by_tls(
        listener, identity, router, limits, clock, stop,
    ));
    format!("https://{address}/hook")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_listener_and_addresses_of_the_link_are_not_connected_to() {
    let strict = Server::start("");
    let server = Server::start(QUICK);
    for (rest, url) in [
        (
            server.rest(),
            format!("http://{}/api/v1/keys", server.http()),
        ),
        (server.rest(), "http://169.254.169.254/".to_owned()),
        (strict.rest(), "http://127.0.0.1:9/".to_owned()),
        (strict.rest(), "http://[::1]:9/".to_owned()),
    ] {
        let (status, refused) = rest.answer_to_post("/webhooks", &json!({"url": url})).await;
        assert_eq!(
            (status, &refused["field"]),
            (422, &json!("url")),
            "{refused:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_told_step_by_step_and_said_why_it_waits() {
    let bench = Bench::new(&format!("{SHORT_TIMES}{QUICK}")).await;
    let (rest, receiver) = (&bench.rest, Receiver::default());
    let url = receiver.start().await;
    hook(rest, &url, &["campaign.*", "task.*", "device.registered"]).await;
    let why = format!("/devices/{}/why", Bench::ENDPOINT);
    let idle = rest.get(&why).await;
    assert_eq!(idle["next_action"]["code"], "create_campaign", "{idle:#}");

    let campaign = rest
        .run_campaign(bench.package, &[Bench::ENDPOINT], 0)
        .await;
    let waits = rest.get(&why).await;
    assert_eq!(waits["task"]["waiting_for"], "contact", "{waits:#}");
    assert_eq!(waits["next_action"]["code"], "bring_into_contact");
    assert!(
        text(&waits["text"]).contains("It is not registered."),
        "{waits:#}"
    );
    assert_eq!(waits["campaign"]["id"], campaign);

    let device = DeviceConfig {
        transmission: TransmissionPreset::Loopback,
        start_spread: Duration::ZERO,
        ..DeviceConfig::new(Bench::ENDPOINT.to_owned(), bench.server.coap())
    };
    let fleet = Fleet::start(vec![device], SystemClock::new(), 7).unwrap();
    let (state, tasks) = bench.server.end_of(campaign, PATIENCE).await;
    assert_eq!(state, "succeeded", "{tasks:#?}");
    assert_eq!(tasks[0]["next_action"]["code"], "none");
    drop(fleet);

    let events = receiver
        .until("the end", |it| {
            let last = it.last();
            last.is_some_and(|it| it["type"] == "narrowcast.campaign.succeeded")
        })
        .await;
    let kinds: Vec<_> = events.iter().map(|it| text(&it["type"])).collect();
    let mut expected = [
        "narrowcast.campaign.running",
        "narrowcast.device.registered",
        "narrowcast.task.contact",
        "narrowcast.task.slot_granted",
        "narrowcast.task.uri_written",
        "narrowcast.task.download_begun",
        "narrowcast.task.downloaded",
        "narrowcast.task.execute_intended",
        "narrowcast.task.succeeded",
        "narrowcast.campaign.succeeded",
    ]
    .iter();
    let mut next = expected.next();
    for kind in &kinds {
        if next == Some(kind) {
            next = expected.next();
        }
    }
    assert_eq!(next, None, "{kinds:#?}");
    let of_task = events
        .iter()
        .filter(|it| text(&it["type"]).contains(".task."));
    for event in of_task {
        assert_eq!(event["data"]["campaign_id"], campaign, "{event:#}");
        assert_eq!(event["data"]["endpoint"], Bench::ENDPOINT);
    }
    // Each step of the device's history is an event, and no other.
    let steps = rest.steps(Bench::ENDPOINT).await;
    let told = stream(&bench.server, 0, 2);
    let told = told
        .iter()
        .filter_map(|it| text(&it["type"]).strip_prefix("task."));
    assert_eq!(told.collect::<Vec<_>>(), steps);
    let done = rest.get(&why).await;
    assert_eq!(done["next_action"]["code"], "none", "{done:#}");
}
