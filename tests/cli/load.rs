//! `load`: a scenario's devices on real sockets, against a running server and against none.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::program::{Run, command, run};
use crate::server::{Server, Site};

/// Twenty devices that never sleep, and a minute of theirs is a second.
const SCENARIO: &str = r#"
[run]
name = "small"
seed = 3
duration = "2h"
speed = 60

[[cell]]
id = 7
count = 2

[[mix]]
name = "awake"
uplink = { pattern = "interval", every = "10m" }
traits = { sleep = "never" }

[devices]
count = 20
ramp = "20/s"
"#;

const CAMPAIGN: &str = "[campaign]\nimage_bytes = \"20KB\"\nretry = { retries_max = 2 }\n";

/// A server of ours for devices on this machine, with the files of a run beside it.
struct Bench {
    site: Site,
    server: Server,
}

impl Bench {
    /// With the scenario, and what follows it.
    fn new(rest: &str) -> Self {
        let site = Site::new();
        let token = site.token("load", "admin");
        let settings = "[coap]\ntransmission = \"loopback\"\n[update]\nversion_settle = \"1s\"\n";
        fs::write(site.path().join("settings.toml"), settings).unwrap();
        let options = ["--config", "settings.toml", "--coap", "127.0.0.1:0"];
        let server = site.serve(&options);
        fs::write(site.path().join("token"), token).unwrap();
        let target = format!(
            "[target]\nurl = \"coap://{}\"\nprovision = \"rest:http://{}\"\n",
            server.listener("coap"),
            server.listener("http")
        );
        let scenario = format!("{SCENARIO}{target}{rest}");
        fs::write(site.path().join("small.toml"), scenario).unwrap();
        Self { site, server }
    }

    fn load(&self, options: &[&str]) -> Run {
        run(
            self.site.path(),
            &arguments(&[&["--token-file", "token"], options].concat()),
        )
    }
}

fn arguments<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["load", "small.toml", "--json"], options].concat()
}

fn result(ended: &Run) -> Value {
    let printed: Value = serde_json::from_str(&ended.stdout).unwrap();
    printed["result"].clone()
}

#[test]
fn devices_are_entered_registered_and_updated_as_the_scenarios_target_says() {
    let thresholds = "[thresholds]\n\"campaign.success_rate\" = \"rate>=1\"\n\
                      \"device.second_flash\" = \"count==0\"\n\"cell.active\" = \"max<=50\"\n";
    let bench = Bench::new(&format!("{CAMPAIGN}{thresholds}"));
    let ended = bench.load(&["--out", "result"]).exits(0);
    let told = result(&ended);
    assert_eq!(told["end"]["kind"], json!("all_done"), "{}", ended.stdout);
    assert_eq!(
        (&told["devices"], &told["updated"]),
        (&json!(20), &json!(20))
    );
    let samples = told["series"]["server_rss_bytes"].as_array().unwrap();
    assert!(!samples.is_empty(), "the server's process was not found");
    let folder = bench.site.path().join("result");
    let written: Value =
        serde_json::from_slice(&fs::read(folder.join("result.json")).unwrap()).unwrap();
    assert_eq!(written["updated"], json!(20));
    for file in ["report.html", "series.csv", "slowest.csv", "junit.xml"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    // The same devices once more: they and their product are there already, and no campaign has them.
    let again = result(&bench.load(&[]).exits(0));
    assert_eq!(again["updated"], json!(20), "{again}");
}

#[tokio::test]
async fn a_threshold_that_aborts_ends_the_run_early_with_99_and_stops_its_campaign() {
    let thresholds =
        "[thresholds]\n\"block.received\" = { threshold = \"count<1\", abort_on_fail = true }\n";
    let bench = Bench::new(&format!("{CAMPAIGN}{thresholds}"));
    let told = result(&bench.load(&[]).exits(99));
    assert_eq!(told["end"]["kind"], json!("aborted"), "{told}");
    assert_eq!(told["end"]["threshold"], json!("block.received count<1"));
    assert!(told["duration_ms"].as_u64().unwrap() < 60_000, "{told}");
    let token = fs::read_to_string(bench.site.path().join("token")).unwrap();
    let campaigns = bench.server.api(&token).get("/api/v1/campaigns").await;
    assert_eq!(campaigns.is(200)[0]["state"], json!("stopped"));
}

/// A server that is there and says nothing.
fn silent(folder: &Path, rest: &str) -> (UdpSocket, String) {
    fs::write(folder.join("small.toml"), format!("{SCENARIO}{rest}")).unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("coap://{}", silent.local_addr().unwrap());
    (silent, url)
}

#[test]
fn a_server_that_never_answers_is_a_run_that_did_not_finish() {
    let folder = tempfile::tempdir().unwrap();
    let (silent, url) = silent(folder.path(), "");
    let sources = ["--sources", "127.9.0.0/24", "--ports", "20500-20999"];
    let limit = ["--server", &url, "--time-limit", "3s"];
    let ended = run(folder.path(), &arguments(&[limit, sources].concat())).exits(0);
    let told = result(&ended);
    assert_eq!(told["end"]["why"], json!("0 of 20 registered in 3 s"));
    let mut buffer = [0; 2048];
    let (length, from) = silent.recv_from(&mut buffer).unwrap();
    assert!(from.ip().to_string().starts_with("127.9.0."), "{from}");
    assert!((20_500..=20_999).contains(&from.port()), "{from}");
    assert!(length > 4);
}

#[test]
fn a_run_that_did_not_finish_and_broke_a_threshold_exits_with_99() {
    let folder = tempfile::tempdir().unwrap();
    let thresholds = "[thresholds]\n\"device.register\" = \"p(95)<2m\"\n";
    let (_silent, url) = silent(folder.path(), thresholds);
    let limit = ["--server", &url, "--time-limit", "1s"];
    let ended = run(folder.path(), &arguments(&limit)).exits(99);
    assert_eq!(result(&ended)["end"]["kind"], json!("did_not_finish"));
}

#[test]
fn what_real_sockets_cannot_do_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let event = "[[event]]\nat = \"1h\"\ndo = \"server_restart\"\n";
    let (_silent, url) = silent(folder.path(), event);
    let load = ["load", "small.toml", "--server", &url];
    run(folder.path(), &load).exits(1).says(&[
        "small.toml",
        "line 22",
        "event[0].do",
        "narrowcast simulate",
    ]);
    let (_silent, url) = silent(folder.path(), "[[mix]]\nweight = 2\n");
    let load = ["load", "small.toml", "--speed", "1000", "--server", &url];
    run(folder.path(), &load)
        .exits(1)
        .says(&["mix[1].uplink", "at most 929"]);
}

/// A run under way, and what it says at its beginning.
struct UnderWay {
    child: Child,
    metrics: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // One that has ended is only reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn how_a_run_stands_is_shown_to_prometheus_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let (_silent, url) = silent(folder.path(), "");
    let options = ["--server", &url, "--metrics", "127.0.0.1:0"];
    let mut child = command(folder.path(), &arguments(&options))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    let metrics = first.trim().strip_prefix("metrics ").unwrap().to_owned();
    let mut run = UnderWay { child, metrics };
    let registering = "narrowcast_run_devices_in_state{ce=\"0\",state=\"registering\"}";
    let text = reqwest::get(&run.metrics)
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(text.contains(registering), "{text}");
    assert!(
        text.contains("# TYPE narrowcast_run_coap_sent counter"),
        "{text}"
    );
    let other = run.metrics.replace("/metrics", "/api/v1/devices");
    assert_eq!(reqwest::get(other).await.unwrap().status(), 404);
    let pid = run.child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.unwrap().success());
    let printed = std::io::read_to_string(run.child.stdout.take().unwrap()).unwrap();
    assert!(run.child.wait().unwrap().success());
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["result"]["end"]["why"], json!("it was interrupted"));
}

#[test]
fn a_secured_server_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("small.toml"), SCENARIO).unwrap();
    let load = ["load", "small.toml", "--server", "coaps://127.0.0.1:5684"];
    run(folder.path(), &load)
        .exits(2)
        .says(&["coap:// listener"]);
}
