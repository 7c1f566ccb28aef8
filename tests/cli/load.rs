//! `load`: a scenario's devices on real sockets, against a running server and against none.

use std::fs;
use std::net::UdpSocket;

use serde_json::{Value, json};

use crate::program::run;
use crate::server::Site;

const SCENARIO: &str = r#"
[run]
name = "small"
seed = 3
duration = "2m"
speed = 60

[[cell]]
id = 7
count = 2

[[mix]]
name = "awake"
uplink = { pattern = "interval", every = "2h" }
traits = { sleep = "never" }

[devices]
count = 20
ramp = "20/s"
"#;

#[test]
fn devices_are_entered_registered_and_updated_on_a_running_server() {
    let site = Site::new();
    let token = site.token("load", "admin");
    let settings = "[coap]\ntransmission = \"loopback\"\n[update]\nversion_settle = \"1s\"\n";
    fs::write(site.path().join("settings.toml"), settings).unwrap();
    let options = ["--config", "settings.toml", "--coap", "127.0.0.1:0"];
    let server = site.serve(&options);
    let folder = site.path();
    fs::write(folder.join("token"), &token).unwrap();
    let campaign = "[campaign]\nimage_bytes = \"20KB\"\n[thresholds]\n\
                    \"campaign.success_rate\" = \"rate>=1\"\n\"device.second_flash\" = \"count==0\"\n";
    fs::write(folder.join("small.toml"), format!("{SCENARIO}{campaign}")).unwrap();
    let (coap, http) = (
        format!("coap://{}", server.listener("coap")),
        format!("http://{}", server.listener("http")),
    );
    let load = [
        "load",
        "small.toml",
        "--server",
        &coap,
        "--provision",
        &http,
    ];
    let options = [
        "--token-file",
        "token",
        "--speed",
        "60",
        "--time-limit",
        "100s",
    ];
    let rest = ["--json", "--out", "result"];
    let all: Vec<&str> = load.into_iter().chain(options).chain(rest).collect();
    let ended = run(folder, &all).exits(0);
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    let result = &printed["result"];
    assert_eq!(result["end"]["kind"], json!("all_done"), "{}", ended.stdout);
    assert_eq!(result["devices"], json!(20));
    assert_eq!(result["updated"], json!(20));
    let samples = result["series"]["server_rss_bytes"].as_array().unwrap();
    assert!(!samples.is_empty(), "the server's process was not found");
    let written = fs::read(folder.join("result/result.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["updated"], json!(20));
}

#[test]
fn a_server_that_never_answers_is_a_run_that_did_not_finish() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.toml"), SCENARIO).unwrap();
    // It is there and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let coap = format!("coap://{}", silent.local_addr().unwrap());
    let load = ["load", "small.toml", "--server", &coap];
    let options = ["--time-limit", "3s", "--sources", "127.9.0.0/24", "--json"];
    let all: Vec<&str> = load.into_iter().chain(options).collect();
    let ended = run(folder.path(), &all).exits(0);
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    let result = &printed["result"];
    let why = result["end"]["why"].as_str().unwrap();
    assert_eq!(why, "0 of 20 registered in 3 s");
    let mut buffer = [0; 2048];
    let (length, from) = silent.recv_from(&mut buffer).unwrap();
    assert!(from.ip().to_string().starts_with("127.9.0."), "{from}");
    assert!(length > 4);
}

#[test]
fn a_secured_server_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.toml"), SCENARIO).unwrap();
    let load = ["load", "small.toml", "--server", "coaps://127.0.0.1:5684"];
    let ended = run(folder.path(), &load).exits(2);
    assert!(
        ended.stderr.contains("coap:// listener"),
        "{}",
        ended.stderr
    );
}
