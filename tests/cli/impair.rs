//! `impair`: a bad path between sockets.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{command, run};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server that sends back what it hears, and a proxy before it.
struct Path {
    child: Child,
    messages: BufReader<std::process::ChildStderr>,
    address: SocketAddr,
    _folder: TempDir,
}

impl Path {
    fn start(any: &str, options: &[&str]) -> Self {
        let echo = UdpSocket::bind(any).unwrap();
        let target = echo.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((bytes, from)) = echo.recv_from(&mut buffer) {
                echo.send_to(&buffer[..bytes], from).unwrap();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let arguments = [&["impair", any, &target, "--json"], options].concat();
        let mut child = command(folder.path(), &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut ready = String::new();
        messages.read_line(&mut ready).unwrap();
        let listen = ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix("listen="));
        Self {
            child,
            messages,
            address: listen.unwrap().parse().unwrap(),
            _folder: folder,
        }
    }

    fn client(&self) -> UdpSocket {
        let any = match self.address {
            SocketAddr::V4(_) => "127.0.0.1:0",
            SocketAddr::V6(_) => "[::1]:0",
        };
        let client = UdpSocket::bind(any).unwrap();
        client.connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Asks it to end; what it counted.
    fn interrupt(mut self) -> Value {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(asked.success());
        let mut counted = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut counted)
            .unwrap();
        let ended = self.child.wait().unwrap();
        let mut said = String::new();
        self.messages.read_to_string(&mut said).unwrap();
        assert!(ended.success(), "{ended}: {said}");
        serde_json::from_str(&counted).unwrap()
    }
}

#[test]
fn datagrams_pass_over_both_kinds_of_ip_and_the_end_tells_what_passed() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let path = Path::start(any, &[]);
        let (client, mut answer) = (path.client(), [0; 16]);
        client.send(b"ping").unwrap();
        assert_eq!(client.recv(&mut answer).unwrap(), 4);
        assert_eq!(&answer[..4], b"ping");
        let counted = path.interrupt();
        assert_eq!(counted["clients"], 1, "{any}");
        for way in ["uplink", "downlink"] {
            assert_eq!(counted[way]["sent"], 1, "{any}");
            assert_eq!(counted[way]["delivered"], 1, "{any}");
        }
    }
}

/// One at a time, so that no socket's buffer loses any: an answer, or the copy of one, or no answer.
#[test]
fn each_direction_loses_and_doubles_its_own_part() {
    let options = ["--up-loss", "30%", "--down-duplicate", "20%", "--seed", "7"];
    let path = Path::start("127.0.0.1:0", &options);
    let (client, mut answer) = (path.client(), [0; 16]);
    client
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let (sent, mut received) = (300, 0);
    for _ in 0..sent {
        client.send(b"ping").unwrap();
        while client.recv(&mut answer).is_ok() {
            received += 1;
        }
    }
    let counted = path.interrupt();
    let number = |way: &str, what: &str| counted[way][what].as_u64().unwrap();
    assert_eq!(number("uplink", "sent"), sent);
    assert!((60..120).contains(&number("uplink", "lost")), "{counted}");
    assert_eq!(number("uplink", "duplicated"), 0);
    assert_eq!(number("downlink", "lost"), 0);
    assert_eq!(number("downlink", "sent"), sent - number("uplink", "lost"));
    assert!(
        (25..65).contains(&number("downlink", "duplicated")),
        "{counted}"
    );
    assert_eq!(number("downlink", "delivered"), received);
}

#[test]
fn what_is_no_impairment_is_wrong_usage_and_says_how_to_write_it() {
    let folder = tempfile::tempdir().unwrap();
    for (option, value, word) in [
        ("--loss", "110%", "2.5%"),
        ("--down-rate", "fast", "20kbit"),
        ("--up-jitter", "lognormal:2s,1s", "lognormal:500ms,2s"),
        ("--cut", "2h", "2h:5m"),
        ("--delay", "long", "delay"),
    ] {
        let arguments = ["impair", "127.0.0.1:0", "127.0.0.1:9", option, value];
        run(folder.path(), &arguments).exits(2).says(&[word]);
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["impair", &taken, "127.0.0.1:9"];
    run(folder.path(), &arguments)
        .exits(1)
        .says(&["cannot listen on", &taken]);
}
