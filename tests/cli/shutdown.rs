//! How a server ends, what it leaves, and who else may use its data.

use std::io::{Read, Write};
use std::net::TcpStream;

use narrowcast::clock::Utc;
use narrowcast::model::{DeliveryHistory, EndpointName, Record};
use narrowcast::server::STORE_FILE;
use narrowcast::store::{SqliteStore, Store};
use serde_json::{Value, json};

use crate::program::run;
use crate::server::{DEVICE_TYPE, MANUFACTURER, MODEL, Site};

#[tokio::test]
async fn sigterm_and_sigint_end_it_well_and_soon_and_the_data_are_there_again() {
    for signal in ["TERM", "INT"] {
        let site = Site::new();
        let (server, api) = site.serve_admin(&["--coap", "127.0.0.1:0"]);
        let device = json!({
            "endpoint": "860000000000001",
            "manufacturer": MANUFACTURER,
            "model": MODEL,
            "device_type": DEVICE_TYPE,
        });
        api.post("/api/v1/devices", &device).await.is(201);
        let group = json!({"name": "north"});
        let group = api.post("/api/v1/groups", &group).await.is(201);
        let bind = format!("/api/v1/groups/{}/devices", group["id"]);
        let devices = json!({"devices": [device["endpoint"]]});
        let bound = api.post(&bind, &devices).await;
        assert!(bound.status < 300, "{bound:?}");
        let before = api.get("/api/v1/devices").await.is(200);

        assert_eq!(server.end_by(signal).code(), Some(0), "{}", site.log());

        let server = site.serve(&[]);
        let api = server.api(&site.token("again", "viewer"));
        assert_eq!(api.get("/api/v1/devices").await.is(200), before);
        assert_eq!(before[0]["endpoint"], device["endpoint"]);
        let groups = api.get("/api/v1/groups").await.is(200);
        assert_eq!(groups[0]["name"], "north");
        let members = api.get(&bind).await.is(200);
        assert_eq!(members.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn sighup_does_not_end_it() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    server.signal("HUP");
    api.get("/api/v1/devices").await.is(200);
    assert_eq!(server.end_by("TERM").code(), Some(0), "{}", site.log());
    assert!(site.log().contains("SIGHUP"), "{}", site.log());
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_its_data_and_no_lock() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    api.post("/api/v1/groups", &json!({"name": "north"}))
        .await
        .is(201);
    assert_eq!(server.end_by("KILL").code(), None);

    let server = site.serve(&[]);
    let api = server.api(&site.token("again", "viewer"));
    let groups = api.get("/api/v1/groups").await.is(200);
    assert_eq!(groups[0]["name"], "north");
}

#[test]
fn clients_that_stop_in_the_middle_do_not_keep_a_server_from_ending() {
    let site = Site::new();
    let server = site.serve(&[]);
    let connect = || TcpStream::connect(server.listener("http")).unwrap();
    let silent = connect();
    let mut half_a_head = connect();
    half_a_head.write_all(b"GET /healthz HT").unwrap();
    let mut half_a_body = connect();
    let head = b"POST /api/v1/keys HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    half_a_body.write_all(head).unwrap();
    // An answer on a later connection: the server has taken those before it.
    let mut whole = connect();
    whole
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    whole.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("ok\n"), "{answer}");

    assert_eq!(server.end_by("TERM").code(), Some(0), "{}", site.log());
    drop((silent, half_a_head, half_a_body));
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let site = Site::new();
    let server = site.serve(&[]);
    let second = ["serve", "--data-dir", "data", "--http", "127.0.0.1:0"];
    run(site.path(), &second)
        .exits(1)
        .says(&["data/", "in use by another server"]);
    let api = server.api("");
    assert_eq!(api.get_without_token("/readyz").await.status, 200);

    drop(server);
    drop(site.serve(&[]));
}

#[tokio::test]
async fn a_bar_and_its_lift_are_there_after_a_kill() {
    const DEVICE: &str = "/api/v1/devices/860000000000001";
    let bar = format!("{DEVICE}/bar");
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    let device = json!({"endpoint": "860000000000001"});
    api.post("/api/v1/devices", &device).await.is(201);
    api.delete(&bar).await.is_problem(404, "not_barred");
    drop(server);

    let file = site.data().join(STORE_FILE);
    let store = SqliteStore::open(&file).await.unwrap();
    let barred = Record::Delivered {
        endpoint: EndpointName::parse("860000000000001").unwrap(),
        history: DeliveryHistory {
            delivered_at: vec![Utc::from_unix_ms(1_000)],
            barred_since: Some(Utc::from_unix_ms(1_000)),
        },
    };
    store.commit(vec![barred]).await.unwrap();
    store.close().await;

    let token = site.token("again", "operator");
    let server = site.serve(&[]);
    let api = server.api(&token);
    let shown = api.get(DEVICE).await.is(200);
    assert_eq!(shown["barred"], true);
    assert_eq!(shown["barred_since"], "1970-01-01T00:00:01.000Z");
    // Only an engine that took the bar up again can lift it.
    assert_eq!(api.delete(&bar).await.status, 204);
    drop(server);
    let lifted = "the bar of a device was lifted";
    let log = site.log();
    let line = log.lines().find(|line| line.contains(lifted)).unwrap();
    assert!(
        line.contains("860000000000001") && line.contains("again"),
        "{line}"
    );

    let server = site.serve(&[]);
    let api = server.api(&token);
    let shown = api.get(DEVICE).await.is(200);
    assert_eq!(
        (&shown["barred"], &shown["barred_since"]),
        (&json!(false), &Value::Null)
    );
    api.delete(&bar).await.is_problem(404, "not_barred");
}
