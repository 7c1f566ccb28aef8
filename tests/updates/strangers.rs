//! Devices that nobody entered, and datagrams that are no CoAP.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use narrowcast::clock::SystemClock;
use narrowcast::model::TransmissionPreset;
use narrowcast::sim::{DeviceConfig, Fleet};
use serde_json::{Value, json};

use crate::bench::{Bench, check_succeeded};
use crate::device::Device;
use crate::firmware::Firmware;
use crate::peers;
use crate::rest::{DEVICE_TYPE, MANUFACTURER, MODEL, POLL, TARGET_VERSION, number};
use crate::server::{SHORT_TIMES, Server};

/// Registers by libcoap; answers what it says of the response.
pub(crate) fn register(server: &Server, endpoint: &str) -> String {
    let output = Command::new(peers::on_path("coap-client-notls"))
        .args([
            "-m",
            "post",
            "-t",
            "40",
            "-e",
            "</3/0>,</5/0>",
            "-B",
            "10",
            "-v",
            "7",
        ])
        .arg(format!(
            "coap://{}/rd?lwm2m=1.0&ep={endpoint}&lt=600&b=U",
            server.coap()
        ))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_nobody_entered_is_refused_with_4_03() {
    let server = Server::start(SHORT_TIMES);
    let said = register(&server, "stranger-1");
    assert!(said.contains("4.03"), "{said}");
    let devices = server.rest().get("/devices").await;
    assert_eq!(devices.as_array().unwrap().len(), 0, "{devices:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_onboarding_is_allowed_a_device_that_nobody_entered_is_entered() {
    let server = Server::start_with(SHORT_TIMES, &["--onboarding", "allow"]);
    let said = register(&server, "stranger-1");
    assert!(said.contains("2.01"), "{said}");
    let mut device = Device::start(&server, "stranger-2", &[]);
    device.wait_for_state("STATE_READY").await;
    let devices = server.rest().get("/devices").await;
    let devices = devices.as_array().unwrap();
    assert_eq!(devices.len(), 2, "{devices:#?}");
    for (device, endpoint) in devices.iter().zip(["stranger-1", "stranger-2"]) {
        assert_eq!(device["endpoint"], endpoint);
        assert_eq!(device["registered"], true, "{device:#}");
    }
}

/// A simulated device that can say what it is.
fn simulated(server: &Server, endpoint: &str) -> DeviceConfig {
    DeviceConfig {
        manufacturer: MANUFACTURER.to_owned(),
        model: MODEL.to_owned(),
        next_version: TARGET_VERSION.to_owned(),
        transmission: TransmissionPreset::Loopback,
        retry: Duration::from_millis(500),
        install: Duration::from_millis(500),
        reboot: Duration::from_millis(200),
        ..DeviceConfig::new(endpoint.to_owned(), server.coap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_nobody_described_says_what_it_is_and_needs_a_type_to_be_eligible() {
    let server = Server::start_with(SHORT_TIMES, &["--onboarding", "allow"]);
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(5_000)).await;
    let typed = json!({ "endpoint": "typed", "device_type": DEVICE_TYPE });
    rest.post("/devices", &typed).await;
    let devices = ["stranger", "typed"].map(|endpoint| simulated(&server, endpoint));
    let _fleet = Fleet::start(devices.to_vec(), SystemClock::new(), 1).unwrap();
    let described = async {
        loop {
            let shown = rest.get("/devices").await;
            let mut devices = shown.as_array().unwrap().iter();
            let is = |it: &Value| it["manufacturer"] == MANUFACTURER && it["model"] == MODEL;
            if devices.len() == 2 && devices.all(is) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let within = Duration::from_secs(20);
    if tokio::time::timeout(within, described).await.is_err() {
        panic!("{:#}", rest.get("/devices").await);
    }
    let shown = rest.get("/devices/stranger").await;
    assert_eq!(shown["device_type"], json!(null), "{shown:#}");
    let targets = json!({ "devices": ["stranger", "typed"] });
    let campaign = json!({ "name": "both", "package_id": package, "targets": targets });
    let dry = rest.post("/campaigns?dry_run=true", &campaign).await;
    assert_eq!(dry["included"], json!(["typed"]), "{dry:#}");
    assert_eq!(dry["excluded"][0]["endpoint"], "stranger", "{dry:#}");
    assert_eq!(dry["excluded"][0]["reason"], "device_type_unknown");

    let id = rest.post("/campaigns", &campaign).await["id"].clone();
    let activate = format!("/campaigns/{id}/activate");
    rest.post(&activate, &json!({})).await;
    let within = Duration::from_secs(45);
    let task = server.end_of_one(id.as_u64().unwrap(), within).await;
    check_succeeded(&task, None);
    assert_eq!(task["endpoint"], "typed");
    let shown = rest.get("/devices/stranger").await;
    assert_eq!(shown["firmware_version"], json!(null), "{shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_onboarding_let_in_is_given_its_type_and_is_updated() {
    let server = Server::start_with(SHORT_TIMES, &["--onboarding", "allow"]);
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(5_000)).await;
    let device = simulated(&server, "stranger");
    let _fleet = Fleet::start(vec![device], SystemClock::new(), 1).unwrap();
    let described = async {
        loop {
            let devices = rest.get("/devices").await;
            if devices[0]["manufacturer"] == MANUFACTURER && devices[0]["model"] == MODEL {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, described).await.unwrap();
    let targets = json!({ "devices": ["stranger"] });
    let campaign = json!({ "name": "one", "package_id": package, "targets": targets });
    let (status, _) = rest.answer_to_post("/campaigns", &campaign).await;
    assert_eq!(status, 422);
    let dry = rest.post("/campaigns?dry_run=true", &campaign).await;
    assert_eq!(dry["excluded"][0]["reason"], "device_type_unknown");

    let said = json!({ "device_type": DEVICE_TYPE });
    let shown = rest.put("/devices/stranger", &said).await;
    assert_eq!(shown["device_type"], DEVICE_TYPE, "{shown:#}");
    assert_eq!(shown["manufacturer"], MANUFACTURER, "{shown:#}");
    let id = number(&rest.post("/campaigns", &campaign).await);
    rest.post(&format!("/campaigns/{id}/activate"), &json!({}))
        .await;
    let task = server.end_of_one(id, Duration::from_secs(45)).await;
    check_succeeded(&task, None);
    let shown = rest.get("/devices/stranger").await;
    assert_eq!(shown["firmware_version"], TARGET_VERSION, "{shown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_taken_away_once_no_campaign_updates_it_and_stays_away() {
    let mut server = Server::start(SHORT_TIMES);
    let rest = server.rest();
    let package = rest.upload(&Firmware::new(5_000)).await;
    rest.enter("gone").await;
    let said = register(&server, "gone");
    assert!(said.contains("2.01"), "{said}");
    // That client has ended: nobody answers for the device, so its task does not.
    let id = rest.run_campaign(package, &["gone"], 0).await;
    let (status, problem) = rest.answer_to_delete("/devices/gone").await;
    assert_eq!(status, 409, "{problem}");
    assert!(problem.contains(&format!("campaign {id}")), "{problem}");
    rest.post(&format!("/campaigns/{id}/stop"), &json!({}))
        .await;
    server.end_of(id, Duration::from_secs(30)).await;
    let (status, problem) = rest.answer_to_delete("/devices/gone").await;
    assert_eq!(status, 204, "{problem}");
    let said = register(&server, "gone");
    assert!(said.contains("4.03"), "{said}");
    server.kill();
    server.restart();
    let devices = server.rest().get("/devices").await;
    assert_eq!(devices.as_array().unwrap().len(), 0, "{devices:#}");
    let said = register(&server, "gone");
    assert!(said.contains("4.03"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_datagrams_are_counted_and_a_clean_device_is_served() {
    // Each breaks one rule of RFC 7252 §3 or §4.1, in the order of its bytes.
    const MALFORMED: [(&str, &[u8]); 8] = [
        ("nothing at all", &[]),
        ("shorter than a header", &[0x40, 0x01, 0x00]),
        (
            "a token longer than 8 bytes",
            &[0x49, 0x01, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        ("a token that is cut off", &[0x44, 0x01, 0, 2, 0xaa]),
        (
            "an option whose value is cut off",
            &[0x40, 0x01, 0, 3, 0xb5, b'r', b'd'],
        ),
        ("an option delta of 15", &[0x40, 0x01, 0, 4, 0xf1, 0x00]),
        (
            "no payload behind the marker",
            &[0x40, 0x02, 0, 5, 0xb2, b'r', b'd', 0xff],
        ),
        (
            "an Empty message with content",
            &[0x40, 0x00, 0, 6, 0xff, 0x01],
        ),
    ];
    let bench = Bench::new(SHORT_TIMES).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for round in 1..=10 {
        for (_, datagram) in MALFORMED {
            socket.send_to(datagram, bench.server.coap()).unwrap();
        }
        let wanted = f64::from(round * MALFORMED.len() as u32);
        let metric = "narrowcast_coap_messages_total{kind=\"malformed\"}";
        let counted = async {
            while bench.rest.metric(metric).await < wanted {
                tokio::time::sleep(POLL).await;
            }
        };
        let within = Duration::from_secs(5);
        if tokio::time::timeout(within, counted).await.is_err() {
            let counted = bench.rest.metric(metric).await;
            panic!("round {round}: {counted} of {wanted} counted");
        }
        assert_eq!(bench.rest.metric(metric).await, wanted);
    }
    let mut device = bench.device(&[]).await;
    check_succeeded(&bench.update().await, None);
    bench.check_installed_once(&mut device);
}
