//! Clients that nobody here wrote, with `narrowcast impair` between them and the server. libcoap's writes
//! a block that arrives twice to its file twice, so its path doubles nothing and reorders nothing.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::bench::Bench;
use crate::device::Stack;
use crate::downloads::{Held, libcoap};
use crate::server::SHORT_TIMES;

/// So many blocks that some are lost, by this seed; few enough for the half minute that libcoap has.
const BLOCKS: usize = 16;

struct Impaired {
    child: Child,
    address: SocketAddr,
}

impl Impaired {
    fn start(target: SocketAddr, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_narrowcast"))
            .args(["impair", "127.0.0.1:0", &target.to_string(), "--json"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        messages.read_line(&mut ready).unwrap();
        // What it says later is not read: it must not wait for that.
        std::thread::spawn(move || std::io::copy(&mut messages, &mut std::io::sink()));
        let words = &mut ready.split_whitespace();
        let listen = words.find_map(|word| word.strip_prefix("listen="));
        let address = listen.unwrap().parse().unwrap();
        Self { child, address }
    }

    fn end(mut self) -> Value {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(asked.success());
        let mut counted = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut counted).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&counted).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libcoap_fetches_the_image_over_a_path_that_loses_and_is_slow() {
    let held = Held::of(BLOCKS * 1024 - 5).await;
    let server = held.bench.server.coap();
    let slow = ["--delay", "20ms", "--jitter", "10ms", "--rate", "200kbit"];
    let path = Impaired::start(server, &[&["--loss", "10%"], &slow[..]].concat());
    let uri = held
        .uri
        .replace(&server.to_string(), &path.address.to_string());
    assert_ne!(uri, held.uri);
    let (image, said) = libcoap(&["-b", "1024"], &uri);
    held.check(&image, &format!("{said:?}"));
    let counted = path.end();
    println!("{counted}");
    let number = |way: &str, what: &str| counted[way][what].as_u64().unwrap();
    assert!(number("uplink", "lost") + number("downlink", "lost") > 0);
    assert!(number("uplink", "sent") >= BLOCKS as u64);
}

/// What the operator asks and the device tells goes over the path; the image does not, as its URI names
/// the server itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_behind_a_path_that_doubles_and_delays_is_updated() {
    let bench = Bench::with_image(SHORT_TIMES, 4_000).await;
    let options = ["--delay", "30ms", "--jitter", "20ms", "--duplicate", "30%"];
    let path = Impaired::start(bench.server.coap(), &options);
    let _device = bench.device_at(Stack::Wakaama, path.address, &[]).await;
    assert_eq!(bench.update().await["state"], "succeeded");
    let counted = path.end();
    assert!(
        counted["downlink"]["duplicated"].as_u64().unwrap() > 0,
        "{counted}"
    );
}
