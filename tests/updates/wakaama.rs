//! A device by Eclipse Wakaama, scripted by `tests/peers/device.py`, and its log.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::peers;
use crate::rest::{POLL, Rest};
use crate::server::Server;

/// The longest that anything on loopback is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wakaama draws its message ids and tokens from the second in which it starts: started twice in one, its
/// second Register is byte for byte a duplicate of the first (RFC 7252 §4.5).
const REBOOT_SECONDS: &str = "1.1";

#[derive(Debug)]
pub(crate) struct Wakaama {
    child: Child,
    lines: UnboundedReceiver<Value>,
    seen: Vec<Value>,
}

impl Wakaama {
    /// Starts a device that registers at the server by itself.
    pub(crate) fn start(server: &Server, endpoint: &str, options: &[&str]) -> Self {
        // The device downloads with it.
        peers::on_path("coap-client-notls");
        let mut child = Command::new(peers::on_path("python3"))
            .current_dir(peers::root())
            .arg("tests/peers/device.py")
            .arg("--stack")
            .arg(peers::installed("bin/wakatiwai"))
            .args(["--server", &format!("coap://{}", server.coap())])
            .args(["--endpoint", endpoint, "--max-seconds", "120"])
            .args(["--reboot-seconds", REBOOT_SECONDS])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = unbounded_channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nobody reads on behind the end of a test.
                drop(sender.send(serde_json::from_str(&line).unwrap()));
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Starts a device and waits until the server shows it as registered.
    pub(crate) async fn registered(server: &Server, endpoint: &str, options: &[&str]) -> Self {
        let device = Self::start(server, endpoint, options);
        until(endpoint, &server.rest(), |shown| {
            shown["registered"] == true
        })
        .await;
        device
    }

    /// Waits for the first event of this name in the whole log.
    pub(crate) async fn wait_for(&mut self, event: &str) {
        self.wait_until(event, |_| true).await;
    }

    /// Waits until the stack calls its connection this; `STATE_READY` is registered.
    pub(crate) async fn wait_for_state(&mut self, state: &str) {
        self.wait_until("connection", |line| line["state"] == state)
            .await;
    }

    async fn wait_until(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) {
        while !self.all(event).iter().any(&wanted) {
            match tokio::time::timeout(PATIENCE, self.lines.recv()).await {
                Ok(Some(line)) => self.seen.push(line),
                ended => panic!("no {event} but {ended:?} after {:#?}", self.seen),
            }
        }
    }

    /// All events of this name so far.
    pub(crate) fn all(&mut self, event: &str) -> Vec<Value> {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push(line);
        }
        let of_name = |line: &&Value| line["event"] == event;
        self.seen.iter().filter(of_name).cloned().collect()
    }

    /// All that was written to a path, in order, as text.
    pub(crate) fn written(&mut self, path: &str) -> Vec<String> {
        let writes = self.all("write").into_iter();
        writes
            .filter(|write| write["path"] == path)
            .map(|write| crate::rest::text(&write["text"]).to_owned())
            .collect()
    }
}

impl Drop for Wakaama {
    fn drop(&mut self) {
        // Its stack dies with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the server shows what is `wanted` of a device.
pub(crate) async fn until(endpoint: &str, rest: &Rest, wanted: impl Fn(&Value) -> bool) {
    let path = format!("/devices/{endpoint}");
    let shown = async {
        while !wanted(&rest.get(&path).await) {
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(PATIENCE, shown).await.is_err() {
        panic!("{endpoint} is shown as {:#}", rest.get(&path).await);
    }
}
