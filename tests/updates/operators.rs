//! Operators' own reads and writes on a device, and what the device sends of its own.

use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::model::TransmissionPreset;
use narrowcast::sim::{DeviceConfig, Fleet};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::device::until;
use crate::rest::{POLL, Rest, number, text};
use crate::server::{SHORT_TIMES, Server};

const PATIENCE: Duration = Duration::from_secs(20);

/// A queue-mode device listens no longer than this after it was heard.
const DOZING: &str = "[coap]\ntransmission = \"loopback\"\n[update]\nawake_time = \"1s\"\n";

fn simulated(server: &Server, queue_mode: bool) -> Fleet {
    let device = DeviceConfig {
        queue_mode,
        awake: Duration::from_secs(1),
        transmission: TransmissionPreset::Loopback,
        start_spread: Duration::ZERO,
        update_interval: Duration::from_secs(3600),
        ..DeviceConfig::new(Bench::ENDPOINT.to_owned(), server.coap())
    };
    Fleet::start(vec![device], SystemClock::new(), 7).unwrap()
}

fn at(rest: &str) -> String {
    format!("/devices/{}/{rest}", Bench::ENDPOINT)
}

async fn shown_until(rest: &Rest, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let looked = async {
        loop {
            let shown = rest.get(path).await;
            if wanted(&shown) {
                return shown;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(shown) => shown,
        Err(_) => panic!("{path} is {:#}", rest.get(path).await),
    }
}

async fn ended(rest: &Rest, id: u64) -> Value {
    let path = at(&format!("requests/{id}"));
    shown_until(rest, &path, |it| it["ended_at"] != Value::Null).await
}

#[tokio::test(flavor = "multi_thread")]
async fn wakaama_is_read_written_and_discovered_in_its_own_formats() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&[]).await;
    let rest = &bench.rest;

    let (status, read) = rest.answer_to_get(&at("resources/3/0/9")).await;
    assert_eq!((status, &read["value"]), (200, &json!(87)), "{read:#}");
    assert_eq!(read["coap_code"], "2.05");
    // A whole instance comes as TLV, and a resource of several values when text was not acceptable.
    let (status, read) = rest.answer_to_get(&at("resources/3/0")).await;
    assert_eq!(status, 200, "{read:#}");
    assert_eq!(read["values"]["0"], "Acme", "{read:#}");
    assert_eq!(read["values"]["9"], 87, "{read:#}");
    assert_eq!(read["values"]["11"], json!({"0": 0}), "{read:#}");
    let (status, read) = rest.answer_to_get(&at("resources/4/0/4")).await;
    assert_eq!(
        (status, &read["values"]),
        (200, &json!({"0": "10.0.0.2"})),
        "{read:#}"
    );

    let (status, refused) = rest.answer_to_get(&at("resources/3/0/99")).await;
    assert_eq!((status, &refused["code"]), (404, &json!("device_refused")));
    assert_eq!(refused["coap_code"], "4.04");

    let (status, found) = rest.answer_to_get(&at("resources/3/0?discover=true")).await;
    assert_eq!(status, 200, "{found:#}");
    assert!(text(&found["links"]).contains("</3/0/9>"), "{found:#}");

    let body = json!({"value": 4321});
    let (status, written) = rest.answer_to_put(&at("resources/1/0/1"), &body).await;
    assert_eq!(
        (status, &written["coap_code"]),
        (200, &json!("2.04")),
        "{written:#}"
    );
    let body = json!({"values": {"7": "UQ"}});
    let path = at("resources/1/0?partial=true");
    let (status, written) = rest.answer_to_put(&path, &body).await;
    assert_eq!(
        (status, &written["coap_code"]),
        (200, &json!("2.04")),
        "{written:#}"
    );
    for (path, value) in [
        ("resources/1/0/1", json!(4321)),
        ("resources/1/0/7", json!("UQ")),
    ] {
        let (_, read) = rest.answer_to_get(&at(path)).await;
        assert_eq!(read["value"], value, "{read:#}");
    }
    let body = json!({"value": "x"});
    let (status, refused) = rest.answer_to_put(&at("resources/3/0/0"), &body).await;
    assert_eq!(status, 405, "{refused:#}");

    // It arrives once, with what it was given.
    let body = json!({"arguments": "0='a'"});
    let (status, _) = rest.answer_to_post(&at("resources/3/0/4"), &body).await;
    assert_eq!(status, 405);
    device.wait_for("execute").await;
    let executes = device.all("execute");
    assert_eq!(executes.len(), 1, "{executes:#?}");
    assert_eq!(executes[0]["argument"], "0='a'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_device_is_asked_at_its_next_contact_over_a_kill_of_the_server() {
    let mut server = Server::start(DOZING);
    let rest = server.rest();
    rest.enter(Bench::ENDPOINT).await;
    let fleet = simulated(&server, true);
    until(Bench::ENDPOINT, &rest, |shown| shown["registered"] == true).await;
    until(Bench::ENDPOINT, &rest, |shown| shown["awake"] == false).await;

    let body = json!({"value": "+08:00"});
    let (status, write) = rest.answer_to_put(&at("resources/3/0/14"), &body).await;
    assert_eq!(
        (status, &write["state"]),
        (202, &json!("queued")),
        "{write:#}"
    );
    let (status, read) = rest.answer_to_get(&at("resources/3/0/14")).await;
    assert_eq!(status, 202, "{read:#}");
    let downlink = json!({"payload_base64": "AP8=", "ttl_seconds": 600});
    let (status, downlink) = rest.answer_to_post(&at("downlinks"), &downlink).await;
    assert_eq!((status, &downlink["path"]), (202, &json!("/19/1/0")));
    let (status, cancelled) = rest.answer_to_get(&at("resources/3/0/3")).await;
    assert_eq!(status, 202);
    let path = at(&format!("requests/{}", number(&cancelled)));
    assert_eq!(rest.answer_to_delete(&path).await.0, 204);

    server.kill();
    server.restart();
    let rest = server.rest();
    let waiting = rest.get(&at("requests")).await;
    let states: Vec<_> = waiting
        .as_array()
        .unwrap()
        .iter()
        .map(|it| text(&it["state"]))
        .collect();
    assert_eq!(states, ["queued", "queued", "queued", "cancelled"]);
    fleet.speak(0);
    assert_eq!(ended(&rest, number(&write)).await["state"], "done");
    let read = ended(&rest, number(&read)).await;
    assert_eq!(read["result"]["value"], "+08:00", "{read:#}");
    assert_eq!(ended(&rest, number(&downlink)).await["state"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_unknown_where_the_server_dies_between_its_intent_and_its_datagram() {
    let mut server = Server::start(SHORT_TIMES);
    let rest = server.rest();
    rest.enter(Bench::ENDPOINT).await;
    let _fleet = simulated(&server, false);
    until(Bench::ENDPOINT, &rest, |shown| shown["registered"] == true).await;
    // Its Register is answered and it was asked what is asked then: nothing else comes first later.
    rest.get(&at("resources/3/0/14")).await;
    server.kill();
    server.restart_armed(Some("after_commit:device_request:1"));
    let rest = server.rest();
    let body = json!({"value": "+08:00"});
    let _ = rest.try_put(&at("resources/3/0/14"), &body).await;
    while !server.is_dead() {
        tokio::time::sleep(POLL).await;
    }
    server.restart();
    let rest = server.rest();
    let request = ended(&rest, 2).await;
    assert_eq!(request["state"], "unknown", "{request:#}");
    let (status, read) = rest.answer_to_get(&at("resources/3/0/14")).await;
    assert_eq!((status, &read["value"]), (200, &json!("")), "{read:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_sends_of_its_own_is_kept_over_a_kill() {
    let mut server = Server::start(SHORT_TIMES);
    let rest = server.rest();
    rest.enter(Bench::ENDPOINT).await;
    let fleet = simulated(&server, false);
    until(Bench::ENDPOINT, &rest, |shown| shown["registered"] == true).await;
    // Asked behind the observation, which thereby has its answer.
    assert_eq!(rest.answer_to_get(&at("resources/3/0/3")).await.0, 200);
    let count = |shown: &Value| shown.as_array().unwrap().len();
    fleet.send_uplink(0);
    shown_until(&rest, &at("uplinks"), |shown| count(shown) == 1).await;
    server.kill();
    server.restart();
    let rest = server.rest();
    // On the token of before.
    fleet.send_uplink(0);
    let uplinks = shown_until(&rest, &at("uplinks"), |shown| count(shown) == 2).await;
    assert_eq!(uplinks[0]["payload_base64"], "AAAAAg==");
    assert_eq!(uplinks[1]["payload_base64"], "AAAAAQ==");
    let counted = async {
        while rest
            .metric("narrowcast_uplinks_total{result=\"kept\"}")
            .await
            < 1.0
        {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.unwrap();
}
