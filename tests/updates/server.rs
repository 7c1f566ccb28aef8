//! The real binary: started, killed with SIGKILL, started again on the same ports.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::peers;
use crate::rest::Rest;

const PROGRAM: &str = env!("CARGO_BIN_EXE_narrowcast");

/// A start opens the store and reads it; this machine may be busy.
const START_MAX: Duration = Duration::from_secs(20);

/// Everything on loopback: each stage is given seconds where NB-IoT needs minutes.
pub(crate) const SHORT_TIMES: &str = r#"
[coap]
transmission = "loopback"

[update]
contact_timeout = "60s"
read_timeout = "10s"
download_stall_timeout = "20s"
silence_before_result_read = "3s"
result_timeout = "20s"
version_settle = "1s"
quarantine = "2s"
"#;

/// By their names in the `ready` line.
const LISTENERS: [&str; 3] = ["coap", "http", "device-http"];

#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    flags: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
    child: Child,
    coap: SocketAddr,
    http: SocketAddr,
    device_http: SocketAddr,
    /// Where it listens for HTTPS, if it was asked to: at each start on another free port.
    device_https: Option<SocketAddr>,
    token: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(settings: &str) -> Self {
        Self::start_with(settings, &[])
    }

    /// Starts it on free ports, with `flags` behind its own; makes a token beside it.
    pub(crate) fn start_with(settings: &str, flags: &[&'static str]) -> Self {
        Self::start_as(settings, flags, Vec::new())
    }

    /// Starts it, now and at each restart, with these variables of the environment.
    pub(crate) fn start_within(settings: &str, environment: Vec<(&'static str, String)>) -> Self {
        Self::start_as(settings, &[], environment)
    }

    fn start_as(
        settings: &str,
        flags: &[&'static str],
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("narrowcast.toml"), settings).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let any = SocketAddr::V4(SocketAddrV4::new(own_address(), 0));
        let (child, ready) = spawn(&folder, flags, &environment, [any; 3], &log, None);
        let ready = ready.unwrap();
        let [coap, http, device_http] = LISTENERS.map(|listener| address(&ready, listener));
        let token = create_token(&folder);
        let device_https = field(&ready, "device-https").parse().ok();
        Self {
            device_https,
            folder,
            flags: flags.to_vec(),
            environment,
            child,
            coap,
            http,
            device_http,
            token,
            log,
        }
    }

    pub(crate) fn coap(&self) -> SocketAddr {
        self.coap
    }

    pub(crate) fn device_http(&self) -> SocketAddr {
        self.device_http
    }

    pub(crate) fn device_https(&self) -> SocketAddr {
        self.device_https.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn rest(&self) -> Rest {
        Rest::new(self.http, self.token.clone())
    }

    /// SIGKILL: nothing is flushed, nothing is said to anyone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it has ended without being asked to.
    pub(crate) fn is_dead(&mut self) -> bool {
        self.status().is_some()
    }

    /// How it has ended, where it has.
    pub(crate) fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Starts it again where it was, on what it had committed.
    pub(crate) fn restart(&mut self) {
        self.restart_armed(None);
    }

    /// The same, to die where the failpoint says; that may be before it has said that it is ready.
    pub(crate) fn restart_armed(&mut self, failpoint: Option<&str>) {
        let addresses = [self.coap, self.http, self.device_http];
        let (child, ready) = spawn(
            &self.folder,
            &self.flags,
            &self.environment,
            addresses,
            &self.log,
            failpoint,
        );
        self.child = child;
        if let Some(ready) = ready {
            let again = LISTENERS.map(|listener| address(&ready, listener));
            assert_eq!(again, addresses, "{ready}");
        }
    }

    /// What `narrowcast audit` says of its store.
    pub(crate) fn audit(&self, arguments: &[&str]) -> String {
        let asked = Command::new(PROGRAM)
            .arg("audit")
            .args(arguments)
            .arg("--data-dir")
            .arg(self.folder.path().join("data"))
            .output()
            .unwrap();
        assert!(asked.status.success(), "{asked:?}");
        String::from_utf8(asked.stdout).unwrap()
    }

    /// What it has written to stderr, over all its starts.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address of this process alone: devices bind free ports of 127.0.0.1, and while the server
/// is down one of them could otherwise take its port.
pub(crate) fn own_address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | high, middle, low)
}

/// Starts the binary and waits for its `ready` line; an armed one may die without it.
fn spawn(
    folder: &TempDir,
    flags: &[&str],
    environment: &[(&str, String)],
    [coap, http, device_http]: [SocketAddr; 3],
    log: &Arc<Mutex<Vec<String>>>,
    failpoint: Option<&str>,
) -> (Child, Option<String>) {
    let mut child = Command::new(PROGRAM)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .envs(failpoint.map(|failpoint| ("NARROWCAST_FAILPOINT", failpoint)))
        .current_dir(peers::root())
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1")
        .arg("serve")
        .arg("--config")
        .arg(folder.path().join("narrowcast.toml"))
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(["--coap", &coap.to_string(), "--http", &http.to_string()])
        .args(["--device-http", &device_http.to_string()])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.take().unwrap();
    let kept = Arc::clone(log);
    thread::spawn(move || each_line(stderr, |line| kept.lock().unwrap().push(line)));
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    // Nobody listens behind the first line: it is the only one.
    thread::spawn(move || each_line(stdout, |line| drop(sender.send(line))));
    match lines.recv_timeout(START_MAX) {
        Ok(line) if line.starts_with("ready ") => (child, Some(line)),
        Err(RecvTimeoutError::Disconnected) if failpoint.is_some() => (child, None),
        other => {
            let _ = child.kill();
            let _ = child.wait();
            let log = log.lock().unwrap().join("\n");
            panic!("not ready, but {other:?}; its log:\n{log}");
        }
    }
}

fn each_line(from: impl Read, mut take: impl FnMut(String)) {
    for line in BufReader::new(from).lines() {
        match line {
            Ok(line) => take(line),
            Err(_) => return,
        }
    }
}

fn address(ready: &str, listener: &str) -> SocketAddr {
    field(ready, listener)
        .parse()
        .unwrap_or_else(|_| panic!("no {listener} in {ready:?}"))
}

/// What the ready line says of a listener; empty where it says nothing.
fn field<'r>(ready: &'r str, listener: &str) -> &'r str {
    let field = format!("{listener}=");
    let mut words = ready.split(' ');
    words
        .find_map(|word| word.strip_prefix(&field))
        .unwrap_or_default()
}

fn create_token(folder: &TempDir) -> String {
    let made = Command::new(PROGRAM)
        .args(["token", "create", "test", "--role", "admin", "--data-dir"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
