//! `load` against LwM2M servers that nobody here wrote: devices register, update their registrations, and
//! fetch and install a firmware that lies on a third server, when and as these servers tell them to.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::{process, thread};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers;
use crate::program::run;

const DEVICES: u64 = 5;
const IMAGE_BYTES: usize = 20_000;
/// What devices ask for.
const BLOCK_BYTES: usize = 512;

/// Devices that never sleep, and update their registration each two seconds.
const SCENARIO: &str = r#"
[run]
name = "others"
seed = 3
speed = 60

[[mix]]
name = "awake"
uplink = { pattern = "interval", every = "2m" }
traits = { sleep = "never", notify = "NOTIFY" }

[devices]
count = 5
ramp = "20/s"

[campaign]
image_bytes = "20KB"
"#;

/// A server with what leads to it.
struct Other {
    child: Child,
    port: u16,
}

impl Other {
    /// The program with its port, its input and its output; to others it has nothing to say.
    fn start(port: u16, command: &mut Command) -> (Self, ChildStdin, BufReader<ChildStdout>) {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (Self { child, port }, stdin, BufReader::new(stdout))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // One that has ended is only reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with the scenario and the image, and who serves it.
struct Files {
    folder: TempDir,
    server: Other,
    _open: (ChildStdin, BufReader<ChildStdout>),
}

impl Files {
    /// For devices that notify so.
    fn serve(notify: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        fs::create_dir(&images).unwrap();
        fs::write(images.join("image.bin"), vec![7; IMAGE_BYTES]).unwrap();
        let scenario = SCENARIO.replace("NOTIFY", notify);
        fs::write(folder.path().join("others.toml"), scenario).unwrap();
        let port = free_port();
        let mut command = Command::new(peers::installed("bin/aiocoap-fileserver"));
        command.args(["--bind", &format!("127.0.0.1:{port}")]);
        let (server, stdin, stdout) = Other::start(port, command.arg(images));
        Self {
            folder,
            server,
            _open: (stdin, stdout),
        }
    }

    fn uri(&self) -> String {
        format!("coap://127.0.0.1:{}/image.bin", self.server.port)
    }

    /// Runs the devices until all are updated, and then ends the server.
    fn load(&self, server: Other) -> Value {
        let url = format!("coap://127.0.0.1:{}", server.port);
        let load = ["load", "others.toml", "--json", "--server", &url];
        let limit = ["--time-limit", "100s"];
        let ended = run(self.folder.path(), &[&load[..], &limit].concat());
        drop(server);
        let printed: Value = serde_json::from_str(&ended.exits(0).stdout).unwrap();
        printed["result"].clone()
    }
}

/// Another one each time, and others than a test's that runs at the same time: a server that was told one may
/// not have taken it yet. All are below those that the system gives away by itself.
fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + 16 * u16::try_from(process::id() % 1000).unwrap();
    loop {
        let port = first + GIVEN.fetch_add(1, Ordering::Relaxed);
        if UdpSocket::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

fn assert_all_are_updated(result: &Value) {
    assert_eq!(result["end"]["kind"], json!("all_done"), "{result}");
    assert_eq!(result["updated"], json!(DEVICES));
    let series = result["metrics"]["series"].as_array().unwrap();
    let blocks = series
        .iter()
        .filter(|it| it["name"] == json!("block.received"))
        .filter_map(|it| it["count"].as_u64());
    let wanted = DEVICES * IMAGE_BYTES.div_ceil(BLOCK_BYTES) as u64;
    assert!(blocks.sum::<u64>() >= wanted, "{series:?}");
}

/// An operator of Wakaama's server, which takes commands on its input.
struct AtWakaama {
    stdin: ChildStdin,
    uri: String,
    /// It reads one at a time.
    to_say: VecDeque<String>,
    is_busy: bool,
    /// Of which client the next bytes are Firmware Update State.
    notified: Option<u16>,
    registered: BTreeSet<u16>,
    updated: BTreeSet<u16>,
}

impl AtWakaama {
    fn read(&mut self, line: &str) {
        let line = line.trim().trim_start_matches("> ");
        for fault in ["Error", "Syntax error", "Unknown command"] {
            assert!(!line.starts_with(fault), "{line}");
        }
        if line == "OK" {
            self.is_busy = false;
        } else if let Some(client) = client_of(line, "New client #", " registered.") {
            self.registered.insert(client);
            self.to_say.push_back(format!("observe {client} /5/0/3"));
        } else if let Some(client) = client_of(line, "Client #", " updated.") {
            if self.updated.insert(client) {
                let uri = &self.uri;
                self.to_say
                    .push_back(format!("write {client} /5/0/1 {uri}"));
            }
        } else if let Some(client) = client_of(line, "Notify from client #", " /5/0/3 number ") {
            self.notified = Some(client);
        } else if let Some(client) = self.notified
            && !line.contains("bytes received")
        {
            self.notified = None;
            // A dump: the digit 2, Downloaded.
            if line.starts_with("32 ") {
                self.to_say.push_back(format!("exec {client} /5/0/2"));
            }
        }
        if !self.is_busy
            && let Some(command) = self.to_say.pop_front()
        {
            self.is_busy = true;
            writeln!(self.stdin, "{command}").unwrap();
        }
    }
}

fn client_of(line: &str, before: &str, after: &str) -> Option<u16> {
    let (client, _) = line.strip_prefix(before)?.split_once(after)?;
    client.parse().ok()
}

#[test]
fn devices_register_and_are_updated_through_wakaamas_server() {
    let files = Files::serve("confirmable");
    let port = free_port();
    let mut command = Command::new(peers::installed("bin/lwm2mserver"));
    command.args(["-4", "-l", &port.to_string()]);
    let (server, stdin, stdout) = Other::start(port, &mut command);
    let mut operator = AtWakaama {
        stdin,
        uri: files.uri(),
        to_say: VecDeque::new(),
        is_busy: false,
        notified: None,
        registered: BTreeSet::new(),
        updated: BTreeSet::new(),
    };
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            stdout
                .lines()
                .for_each(|line| operator.read(&line.unwrap()))
        });
        files.load(server)
    });
    assert_all_are_updated(&result);
    assert_eq!(operator.registered.len() as u64, DEVICES);
    assert_eq!(operator.updated.len() as u64, DEVICES);
}

#[test]
fn devices_register_and_are_updated_through_lwm2m_node_libs_server() {
    let files = Files::serve("non_confirmable");
    let port = free_port();
    let mut command = Command::new(peers::on_path("node"));
    command
        .env("NODE_PATH", peers::installed("npm/node_modules"))
        .arg(peers::root().join("tests/peers/lwm2m_node_lib_server.js"))
        .args([port.to_string(), files.uri()]);
    let (server, _stdin, mut stdout) = Other::start(port, &mut command);
    let mut ready = String::new();
    stdout.read_line(&mut ready).unwrap();
    assert!(ready.contains("ready"), "{ready}");
    let result = files.load(server);
    assert_all_are_updated(&result);
    let told: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let count = |event: &str, of: Value| {
        let same = |it: &&Value| {
            let fields = of.as_object().unwrap();
            it["event"] == json!(event) && fields.iter().all(|(key, value)| it[key] == *value)
        };
        told.iter().filter(same).count() as u64
    };
    assert!(
        count("registered", json!({"binding": "U"})) >= DEVICES,
        "{told:?}"
    );
    assert!(
        count("read", json!({"version": "1.0.0"})) >= DEVICES,
        "{told:?}"
    );
    assert!(count("updated", json!({})) >= DEVICES, "{told:?}");
    assert!(
        count("notified", json!({"state": "2"})) >= DEVICES,
        "{told:?}"
    );
    assert!(
        count("executed", json!({"error": null})) >= DEVICES,
        "{told:?}"
    );
}
