//! `load --agents` and `agent`: one run in several processes.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use narrowcast::harness::{Labels, RunResult};
use serde_json::{Value, json};

use crate::program::{Run, command, run};
use crate::server::Site;

const PATIENCE: Duration = Duration::from_secs(20);

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

const CAMPAIGN: &str = r#"
[campaign]
image_bytes = "20KB"

[thresholds]
"campaign.success_rate" = "rate>=1"
"device.second_flash" = "count==0"
"#;

/// What a hello says first: `NCAG`, protocol 1.
const PROTOCOL_1: &[u8] = b"NCAG\0\x01";

fn write_secret(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

/// A folder with a scenario and a secret.
fn prepare(folder: &Path, scenario: &str) {
    fs::write(folder.join("small.toml"), scenario).unwrap();
    write_secret(folder, "secret", &"s".repeat(32));
}

/// A process of which what it says is heard as it says it.
struct Running {
    child: Child,
    messages: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command(folder, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let messages = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            messages,
            said: String::new(),
        }
    }

    fn agent(folder: &Path, commander: &str, secret: &str) -> Self {
        let arguments = ["agent", "--commander", commander, "--secret-file", secret];
        Self::start(folder, &[&arguments[..], &["--json"]].concat())
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = ["-c", "kill -s \"$0\" \"$1\"", signal, &pid];
        let sent = Command::new("sh").args(kill).status();
        assert!(sent.unwrap().success());
    }

    /// The next line that has this in it.
    fn says(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.messages.read_line(&mut line).unwrap();
            assert!(read > 0, "{word:?} is not in: {}", self.said);
            self.said.push_str(&line);
            if line.contains(word) {
                return line;
            }
        }
    }

    fn end(mut self) -> Run {
        let mut stdout = String::new();
        let mut out = self.child.stdout.take().unwrap();
        out.read_to_string(&mut stdout).unwrap();
        self.messages.read_to_string(&mut self.said).unwrap();
        let status = self.child.wait().unwrap();
        Run {
            code: status.code(),
            stdout,
            stderr: std::mem::take(&mut self.said),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A process that has ended already is only reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A commander, and where its agents come to.
fn commander(folder: &Path, server: &str, options: &[&str]) -> (Running, String) {
    let load = ["load", "small.toml", "--server", server, "--json"];
    let agents = ["--agents", "2", "--listen", "127.0.0.1:0"];
    let secret = ["--secret-file", "secret"];
    let arguments = [&load[..], &agents, &secret, options].concat();
    let mut running = Running::start(folder, &arguments);
    let ready = running.says("ready listen=");
    let address = ready
        .split_whitespace()
        .find_map(|it| it.strip_prefix("listen="));
    let address = address.unwrap().to_owned();
    (running, address)
}

/// Two agents whose devices speak to a server that answers nothing, the second by way of this relay where
/// there is one.
fn under_way(folder: &Path, relay: Option<&Relay>) -> (Running, [Running; 2]) {
    prepare(folder, SCENARIO);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let coap = format!("coap://{}", silent.local_addr().unwrap());
    let (mut commander, address) = commander(folder, &coap, &["--time-limit", "100s"]);
    let first = Running::agent(folder, &address, "secret");
    commander.says("1 of 2");
    let by = relay.map(|relay| relay.towards(&address));
    let second = Running::agent(folder, by.as_ref().unwrap_or(&address), "secret");
    let ready = commander.says("agent 2 (");
    assert!(ready.contains("10 devices in 1 cell(s)"), "{ready}");
    // Both are under way once devices have spoken.
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    silent.recv_from(&mut [0; 2048]).unwrap();
    (commander, [first, second])
}

/// Why devices were lost.
fn why_lost(commander: Running) -> String {
    let result = result_of(&commander.end().exits(1));
    assert_eq!(result["end"]["kind"], json!("devices_lost"), "{result}");
    result["end"]["why"].as_str().unwrap().to_owned()
}

/// Stands between an agent and a commander.
#[derive(Default)]
struct Relay {
    /// What the agent sent, and what it was sent.
    heard: [Arc<Mutex<Vec<u8>>>; 2],
    /// Whether to turn a bit over in what the agent sends next.
    is_spoiling: Arc<AtomicBool>,
}

impl Relay {
    /// Where its one agent is to go.
    fn towards(&self, commander: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (commander, heard) = (commander.to_owned(), self.heard.clone());
        let is_spoiling = Arc::clone(&self.is_spoiling);
        thread::spawn(move || {
            let (agent, _) = listener.accept().unwrap();
            let commander = TcpStream::connect(commander).unwrap();
            let [of_agent, of_commander] = heard;
            let ways = (agent.try_clone().unwrap(), commander.try_clone().unwrap());
            thread::spawn(move || pass(ways.1, ways.0, &of_commander, &AtomicBool::new(false)));
            pass(agent, commander, &of_agent, &is_spoiling);
        });
        address
    }

    fn heard(&self, way: usize) -> Vec<u8> {
        self.heard[way].lock().unwrap().clone()
    }
}

/// Until either end is gone.
fn pass(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>, is_spoiling: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if is_spoiling.swap(false, Ordering::Relaxed) {
            bytes[count - 1] ^= 1;
        }
        heard.lock().unwrap().extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}

fn result_of(run: &Run) -> Value {
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    printed["result"].clone()
}

/// A counter over all levels.
fn counted(result: &RunResult, name: &str) -> u64 {
    result.metrics.count_over(name, &Labels::none()).unwrap()
}

#[test]
fn a_campaign_over_two_agents_is_one_result_that_is_the_sum_of_both() {
    let site = Site::new();
    let token = site.token("load", "admin");
    let settings = "[coap]\ntransmission = \"loopback\"\n[update]\nversion_settle = \"1s\"\n";
    fs::write(site.path().join("settings.toml"), settings).unwrap();
    let options = ["--config", "settings.toml", "--coap", "127.0.0.1:0"];
    let server = site.serve(&options);
    let folder = site.path();
    prepare(folder, &format!("{SCENARIO}{CAMPAIGN}"));
    fs::write(folder.join("token"), &token).unwrap();
    let coap = format!("coap://{}", server.listener("coap"));
    let http = format!("http://{}", server.listener("http"));
    let options = ["--provision", &http, "--token-file", "token"];
    let more = ["--time-limit", "100s", "--out", "result"];
    let (commander, address) = commander(folder, &coap, &[&options[..], &more].concat());
    let agents = [(); 2].map(|()| Running::agent(folder, &address, "secret"));
    let agents = agents.map(|agent| agent.end().exits(0));
    let ended = commander.end().exits(0);

    let shown = result_of(&ended);
    assert_eq!(shown["end"]["kind"], json!("all_done"), "{}", ended.stderr);
    let written = fs::read(folder.join("result/result.json")).unwrap();
    let result = RunResult::from_json(&written).unwrap();
    assert_eq!((result.devices, result.updated), (20, 20));
    let told: Vec<Value> = agents
        .iter()
        .map(|agent| serde_json::from_str(&agent.stdout).unwrap())
        .collect();
    let sum = |of: &str, what: &str| -> u64 {
        told.iter()
            .map(|told| told[of][what].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum("part", "devices"), 20);
    for part in &told {
        assert_eq!(part["part"]["cells"], json!(1), "a cell is with one agent");
        assert!(part["told"]["blocks"].as_u64().unwrap() > 0);
    }
    assert_eq!(sum("told", "sent"), counted(&result, "coap.sent"));
    assert_eq!(sum("told", "blocks"), counted(&result, "block.received"));
    let retransmitted = counted(&result, "coap.retransmitted");
    assert_eq!(sum("told", "retransmitted"), retransmitted);
    let blocks: u64 = result.series.blocks.iter().sum();
    assert_eq!(blocks, counted(&result, "block.received"));
    let cells: Vec<_> = result.cells.iter().map(|cell| cell.cell).collect();
    assert!(cells.contains(&7) && cells.contains(&8), "{cells:?}");
    for cell in &result.cells {
        assert!(cell.peak <= cell.limit, "{cell:?}");
    }
}

#[test]
fn an_agent_that_is_killed_ends_the_run_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (commander, [first, mut second]) = under_way(folder.path(), None);
    second.child.kill().unwrap();
    let why = why_lost(commander);
    for word in [
        "agent 2 (127.0.0.1:",
        "10 devices",
        "cells 8",
        "unaccounted",
    ] {
        assert!(why.contains(word), "{word:?} is not in: {why}");
    }
    assert!(!why.contains("agent 1"), "{why}");
    first.end().exits(0);
}

#[test]
fn an_agent_that_is_interrupted_says_so_to_its_commander() {
    let folder = tempfile::tempdir().unwrap();
    let (commander, [first, second]) = under_way(folder.path(), None);
    second.signal("TERM");
    let why = why_lost(commander);
    assert!(why.contains("interrupted"), "{why}");
    let second = second.end().exits(1);
    assert!(second.stderr.contains("interrupted"), "{}", second.stderr);
    first.end().exits(0);
}

#[test]
fn agents_whose_commander_is_killed_switch_their_devices_off_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (mut commander, agents) = under_way(folder.path(), None);
    commander.child.kill().unwrap();
    for agent in agents {
        let ended = agent.end().exits(1);
        assert!(ended.stderr.contains("the commander: "), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn what_was_changed_on_its_way_is_taken_for_the_loss_of_its_agent() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Relay::default();
    let (commander, [first, second]) = under_way(folder.path(), Some(&relay));
    relay.is_spoiling.store(true, Ordering::Relaxed);
    let why = why_lost(commander);
    assert!(
        why.contains("agent 2") && why.contains("changed on its way"),
        "{why}"
    );
    first.end().exits(0);
    let second = second.end().exits(1);
    assert!(second.stderr.contains("the commander"), "{}", second.stderr);
}

#[test]
fn what_is_heard_on_the_way_holds_no_secret_and_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder, SCENARIO);
    let (mut commander, address) = commander(folder, "coap://127.0.0.1:9", &[]);
    let relay = Relay::default();
    let _agent = Running::agent(folder, &relay.towards(&address), "secret");
    commander.says("1 of 2");
    let [of_agent, of_commander] = [0, 1].map(|way| relay.heard(way));
    for heard in [&of_agent, &of_commander] {
        assert!(heard.starts_with(PROTOCOL_1), "{heard:?}");
        assert!(!heard.windows(4).any(|part| part == b"ssss"), "{heard:?}");
    }
    let mut again = TcpStream::connect(&address).unwrap();
    again.write_all(&of_agent).unwrap();
    let refused = commander.says("refused 1");
    assert!(refused.contains("same secret file"), "{refused}");
}

#[test]
fn another_secret_joins_nobody_and_both_sides_say_so_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder, SCENARIO);
    write_secret(folder, "other", &"o".repeat(32));
    let (mut commander, address) = commander(folder, "coap://127.0.0.1:9", &[]);
    let stranger = Running::agent(folder, &address, "other").end().exits(1);
    assert!(
        stranger.stderr.contains("same secret file"),
        "{}",
        stranger.stderr
    );
    let refused = commander.says("refused 1");
    assert!(refused.contains("same secret file"), "{refused}");
    let arguments = ["agent", "--commander", &address, "--secret-file", "other"];
    let chinese = command(folder, &arguments)
        .env("LANG", "zh_CN.UTF-8")
        .output();
    let chinese: Run = chinese.unwrap().into();
    assert!(
        chinese.stderr.contains("请让双方使用同一密钥文件"),
        "{}",
        chinese.stderr
    );
    commander.says("refused 2");
    // Who holds the right one still comes in.
    let _agent = Running::agent(folder, &address, "secret");
    commander.says("1 of 2");
}

#[test]
fn another_version_is_refused_and_both_are_named_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder, SCENARIO);
    let own = env!("CARGO_PKG_VERSION");
    let hello = [PROTOCOL_1, b"\x0699.0.0", &[7; 32]].concat();

    let (mut commander, address) = commander(folder, "coap://127.0.0.1:9", &[]);
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&hello).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(PROTOCOL_1), "{answer:?}");
    let told = String::from_utf8_lossy(&answer);
    assert!(told.contains(own), "{told}");
    let refused = commander.says("refused 1");
    assert!(
        refused.contains("99.0.0") && refused.contains(own),
        "{refused}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let agent = Running::agent(folder, &address, "secret");
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&hello).unwrap();
    let ended = agent.end().exits(1);
    let told = &ended.stderr;
    assert!(told.contains("99.0.0") && told.contains(own), "{told}");
}

#[test]
fn a_commander_without_agents_or_cells_enough_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder, SCENARIO);
    let (commander, _) = commander(folder, "coap://127.0.0.1:9", &["--agents-wait", "1s"]);
    let ended = commander.end().exits(1);
    assert!(
        ended.stderr.contains("0 of 2 agents came within 1 s"),
        "{}",
        ended.stderr
    );
    let load = ["load", "small.toml", "--server", "coap://127.0.0.1:9"];
    let agents = [
        "--agents",
        "3",
        "--listen",
        "127.0.0.1:0",
        "--secret-file",
        "secret",
    ];
    let ended = run(folder, &[&load[..], &agents].concat()).exits(1);
    assert!(
        ended.stderr.contains("the scenario has 2"),
        "{}",
        ended.stderr
    );
    let cut = "[[event]]\nat = \"5s\"\ndo = \"server_restart\"\n";
    fs::write(folder.join("virtual.toml"), format!("{SCENARIO}{cut}")).unwrap();
    let on_virtual_clock = [&["load", "virtual.toml"], &load[2..], &agents].concat();
    // Before anybody is waited for.
    let ended = run(folder, &on_virtual_clock).exits(1);
    assert!(
        ended.stderr.contains("a run on real sockets cannot"),
        "{}",
        ended.stderr
    );
    let bound = [&load[..], &agents, &["--bind", "127.0.0.1"]].concat();
    run(folder, &bound).exits(2).says(&["--bind", "--agents"]);
    run(folder, &[&load[..], &agents[..4]].concat())
        .exits(2)
        .says(&["--secret-file"]);
}

#[test]
fn a_secret_that_others_may_read_or_that_is_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let agent = [
        "agent",
        "--commander",
        "127.0.0.1:9",
        "--secret-file",
        "secret",
    ];
    write_secret(folder, "secret", &"s".repeat(31));
    run(folder, &agent).exits(1).says(&["31 bytes", "32"]);
    write_secret(folder, "secret", &"s".repeat(32));
    let file = File::open(folder.join("secret")).unwrap();
    file.set_permissions(Permissions::from_mode(0o640)).unwrap();
    run(folder, &agent).exits(1).says(&["0640", "chmod 0600"]);
    // With the right one it looks for its commander, for as long as it was told to.
    file.set_permissions(Permissions::from_mode(0o600)).unwrap();
    let briefly = [&agent[..], &["--wait", "1s"]].concat();
    run(folder, &briefly)
        .exits(1)
        .says(&["no commander at 127.0.0.1:9 yet", "within 1 s"]);
}
