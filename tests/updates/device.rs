//! A device whose stack nobody here wrote, scripted by a driver in `tests/peers`, and its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
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

/// Whose LwM2M it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// Eclipse Wakaama 1.0, by `device.py`.
    Wakaama,
    /// coap-node, by `coap_node.js`.
    CoapNode,
    /// lwm2m-node-lib, by `lwm2m_node_lib.js`.
    Lwm2mNodeLib,
}

impl Stack {
    fn driver(self) -> Command {
        match self {
            Self::Wakaama => {
                // The device downloads with it.
                peers::on_path("coap-client-notls");
                let mut driver = Command::new(peers::on_path("python3"));
                driver
                    .arg("tests/peers/device.py")
                    .arg("--stack")
                    .arg(peers::installed("bin/wakatiwai"))
                    .args(["--reboot-seconds", REBOOT_SECONDS]);
                driver
            }
            Self::CoapNode => node("coap_node.js"),
            Self::Lwm2mNodeLib => node("lwm2m_node_lib.js"),
        }
    }
}

fn node(driver: &str) -> Command {
    let mut node = Command::new(peers::on_path("node"));
    node.env("NODE_PATH", peers::installed("npm/node_modules"))
        // They are older than what node advises.
        .arg("--no-warnings")
        .arg(format!("tests/peers/{driver}"));
    node
}

#[derive(Debug)]
pub(crate) struct Device {
    child: Child,
    lines: UnboundedReceiver<Value>,
    seen: Vec<Value>,
}

impl Device {
    /// Starts a device by Wakaama that registers at the server by itself.
    pub(crate) fn start(server: &Server, endpoint: &str, options: &[&str]) -> Self {
        Self::start_by(Stack::Wakaama, server.coap(), endpoint, options)
    }

    /// Starts a device that registers at `server` by itself.
    pub(crate) fn start_by(
        stack: Stack,
        server: SocketAddr,
        endpoint: &str,
        options: &[&str],
    ) -> Self {
        let mut child = stack
            .driver()
            .current_dir(peers::root())
            .args(["--server", &format!("coap://{server}")])
            .args(["--endpoint", endpoint, "--max-seconds", "120"])
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

impl Drop for Device {
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
