//! Bad peers where modules fetch by HTTP and by HTTPS. What is not about a wire is played on both.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::coap::loopback;
use crate::download::IMAGE_BYTES;
use crate::http::{Connection, PATIENCE};
use crate::requests::{CHUNKED, HIDDEN, UP, smuggled, statuses};
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(36, "path traversal (fetching)", traversal),
    Row::new(37, "odd heads (fetching)", odd_heads),
    Row::new(38, "Range (fetching)", ranges),
    Row::new(39, "150 slow heads, handshakes", slow_heads),
    Row::new(40, "100 slow bodies (fetching)", slow_bodies),
    Row::new(41, "300 silent, on each port", silent),
    Row::new(42, "50 slow readers, on each port", slow_readers),
    Row::new(43, "10 GB, endless (fetching)", endless_bodies),
    Row::new(44, "smuggling (fetching)", smuggling),
];

const CUT_MAX: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(100);
const GROWTH_KIB_MAX: u64 = 48 * 1024;

/// How a peer reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Http,
    Https,
}

const WIRES: [Wire; 2] = [Wire::Http, Wire::Https];

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

impl Wire {
    fn connect(self, site: &Site) -> Box<dyn Duplex> {
        let address = match self {
            Self::Http => site.server.device_http,
            Self::Https => site.server.device_https,
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match self {
            Self::Http => Box::new(stream),
            Self::Https => Box::new(secured(site, stream)),
        }
    }

    /// All that the server says to these bytes, until it closes.
    fn say(self, site: &Site, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect(site);
        // It may refuse and close before it has taken everything.
        let _ = stream.write_all(bytes);
        let _ = stream.flush();
        let mut said = Vec::new();
        match stream.read_to_end(&mut said) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("{self:?}: open after {PATIENCE:?}")
            }
            Ok(_) | Err(_) => said,
        }
    }

    fn series(self, name: &str, reason: &str) -> String {
        let scheme = match self {
            Self::Http => "http",
            Self::Https => "https",
        };
        format!("narrowcast_device_{scheme}_{name}{{{reason}}}")
    }
}

fn secured(site: &Site, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(site.server.certificate()).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(site.server.device_https.ip());
    StreamOwned::new(
        ClientConnection::new(Arc::new(config), name).unwrap(),
        stream,
    )
}

/// `/fw/…` of a link to the one package.
fn link(site: &Site) -> String {
    let body = json!({ "budget_bytes": 1000 * IMAGE_BYTES });
    let link = site.server.post("/api/v1/packages/1/links", &body);
    let url = link["url"].as_str().unwrap();
    url[url.find("/fw/").unwrap()..].to_owned()
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n{fields}connection: close\r\n\r\n")
}

fn text(said: &[u8]) -> String {
    String::from_utf8_lossy(said).into_owned()
}

fn traversal(site: &Site) {
    let path = link(site);
    let capability = path.rsplit_once('/').unwrap().0;
    for wire in WIRES {
        for prefix in ["/", "/fw/", &format!("{capability}/"), &format!("{path}/")] {
            for up in UP {
                let asked = format!("{prefix}{}etc/passwd", up.repeat(8));
                let said = text(&wire.say(site, get(&asked, "").as_bytes()));
                let status = statuses(&said);
                assert!(matches!(status.as_slice(), [400 | 404]), "{asked}: {said}");
                assert!(!said.contains("root:"), "{said}");
            }
        }
    }
}

fn odd_heads(site: &Site) {
    let path = link(site);
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n");
    for wire in WIRES {
        for (bytes, allowed) in [
            ("GET\r\n\r\n".to_owned(), &[400][..]),
            (format!("GET {path}\r\n\r\n"), &[400]),
            (format!("GET  {path} HTTP/1.1\r\nhost: x\r\n\r\n"), &[400]),
            (
                format!("GET {path} HTTP/9.9\r\nhost: x\r\n\r\n"),
                &[400, 505],
            ),
            (format!("G\0T {path} HTTP/1.1\r\nhost: x\r\n\r\n"), &[400]),
            (format!("GET {path} x HTTP/1.1\r\nhost: x\r\n\r\n"), &[400]),
            (get(&"/x".repeat(50_000), ""), &[414, 431]),
            (format!("{head}{}\r\n", "a: b\r\n".repeat(10_000)), &[431]),
            (format!("{head}{}\r\n", "a: b\r\n".repeat(40)), &[431]),
            (
                format!("{head}a: {}\r\n\r\n", "b".repeat(1_000_000)),
                &[431],
            ),
            (format!("{head}a b: c\r\n\r\n"), &[400]),
            (format!("{head}a: \0\r\n\r\n"), &[400]),
            (format!("GET {path} HTTP/1.1\r\n\r\n"), &[400]),
            (format!("{head}host: y\r\n\r\n"), &[400]),
            (
                format!("DELETE {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
                &[405],
            ),
        ] {
            let said = text(&wire.say(site, bytes.as_bytes()));
            let statuses = statuses(&said);
            let name: String = bytes.chars().take(60).collect();
            match statuses.as_slice() {
                [status] => assert!(allowed.contains(status), "{wire:?} {name:?}: {said}"),
                // What it said may be lost where bytes of ours crossed it.
                [] => assert!(bytes.len() > 10_000, "{wire:?} {name:?}"),
                more => panic!("{wire:?} {name:?}: {more:?}"),
            }
        }
    }
}

fn ranges(site: &Site) {
    let path = link(site);
    let overlaps = (0..130).fold("bytes=0-".to_owned(), |mut text, from| {
        let _ = write!(text, ",{from}-");
        text
    });
    let whole = Wire::Http.say(site, get(&path, "").as_bytes());
    let image = whole[whole.len() - IMAGE_BYTES..].to_vec();
    for wire in WIRES {
        for (range, status, part) in [
            ("bytes=0-0", 206, 0..1),
            ("bytes=-1", 206, IMAGE_BYTES - 1..IMAGE_BYTES),
            ("bytes=0-18446744073709551616", 206, 0..IMAGE_BYTES),
            ("bytes=5-2", 200, 0..IMAGE_BYTES),
            ("bytes=--1", 200, 0..IMAGE_BYTES),
            (overlaps.as_str(), 200, 0..IMAGE_BYTES),
        ] {
            let said = wire.say(site, get(&path, &format!("range: {range}\r\n")).as_bytes());
            assert!(said.starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
            assert!(said.ends_with(&image[part.clone()]), "{wire:?} {range:.60}");
            // At most the file, once, and a head.
            assert!(said.len() < part.len() + 300, "{wire:?} {range:.60}");
        }
        for range in ["bytes=99999999999999999999-", "bytes=65536-"] {
            let said = wire.say(site, get(&path, &format!("range: {range}\r\n")).as_bytes());
            assert_eq!(statuses(&text(&said)), [416], "{wire:?} {range}");
        }
        let stale = "range: bytes=9-\r\nif-range: \"stale\"\r\n";
        let said = wire.say(site, get(&path, stale).as_bytes());
        assert!(said.starts_with(b"HTTP/1.1 200 ") && said.ends_with(&image));
        // More ranges than a head may have bytes.
        let thousand = format!("range: bytes={}\r\n", "0-,".repeat(1300));
        let said = text(&wire.say(site, get(&path, &thousand).as_bytes()));
        assert!(
            matches!(statuses(&said).as_slice(), [200 | 431]),
            "{said:.100}"
        );
    }
}

fn open(site: &Site, wire: Wire, count: usize, receive_bytes: Option<usize>) -> Vec<Connection> {
    let server = match wire {
        Wire::Http => site.server.device_http,
        Wire::Https => site.server.device_https,
    };
    let from = |number: usize| loopback(number / 50 + 1);
    (0..count)
        .map(|number| Connection::open_from(from(number), server, receive_bytes))
        .collect()
}

/// Goes on with each connection until the server has closed them all.
fn until_cut(site: &Site, mut open: Vec<Connection>, mut go_on: impl FnMut(&mut Connection)) {
    let started = site.now();
    while !open.is_empty() {
        let waited = site.now().saturating_since(started);
        assert!(waited < CUT_MAX, "{} are open after {waited:?}", open.len());
        open.retain_mut(|connection| !connection.is_closed());
        open.iter_mut().for_each(&mut go_on);
        thread::sleep(STEP);
    }
}

fn slow_heads(site: &Site) {
    for (wire, beginning) in [
        (Wire::Http, &b"GET / HTTP/1.1\r\nhost: x\r\nx: "[..]),
        // A record of 512 bytes with a ClientHello of 508.
        (Wire::Https, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ] {
        let mut open = open(site, wire, 150, None);
        for connection in &mut open {
            connection.send(beginning).unwrap();
        }
        until_cut(site, open, |connection| drop(connection.send(b"x")));
    }
}

/// Nobody reads a body there: it is refused at once.
fn slow_bodies(site: &Site) {
    let path = link(site);
    let mut open = open(site, Wire::Http, 100, None);
    for connection in &mut open {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{{");
        connection.send(head.as_bytes()).unwrap();
        let answer = connection.answer().unwrap();
        assert_eq!(answer.status, 405, "{}", answer.head);
    }
    until_cut(site, open, |connection| drop(connection.send(b" ")));
}

fn silent(site: &Site) {
    for wire in WIRES {
        until_cut(site, open(site, wire, 300, None), |_| {});
    }
}

/// They ask for more than all buffers on the way hold, and take nothing.
fn slow_readers(site: &Site) {
    const READERS: usize = 50;
    let path = link(site);
    let before_kib = site.growth_kib();
    let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(20);
    for wire in WIRES {
        let cut = wire.series("timeouts_total", "reason=\"answer_rate_min\"");
        let before = site.server.metric(&cut);
        let mut asking: Vec<_> = (0..READERS).map(|_| wire.connect(site)).collect();
        for stream in &mut asking {
            stream.write_all(ask.as_bytes()).unwrap();
            stream.flush().unwrap();
        }
        let started = site.now();
        while site.server.metric(&cut) < before + READERS {
            let waited = site.now().saturating_since(started);
            assert!(waited < CUT_MAX, "{wire:?}: {}", site.server.metric(&cut));
            thread::sleep(STEP);
        }
    }
    assert!(site.growth_kib().saturating_sub(before_kib) < GROWTH_KIB_MAX);
}

fn endless_bodies(site: &Site) {
    let path = link(site);
    for wire in WIRES {
        for framing in ["content-length: 10000000000\r\n", CHUNKED] {
            for (path, status) in [(path.as_str(), 405), ("/api/v1/packages", 404)] {
                let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n");
                let mut stream = wire.connect(site);
                stream.write_all(head.as_bytes()).unwrap();
                let piece = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
                let taken = (0..64 * 16).take_while(|_| stream.write_all(&piece).is_ok());
                let taken_mib = taken.count() / 16;
                assert!(taken_mib < 32, "{wire:?} {framing}: {taken_mib} MiB");
                let mut said = Vec::new();
                let _ = stream.read_to_end(&mut said);
                let said = text(&said);
                let refused = said.is_empty() || statuses(&said) == [status];
                assert!(refused, "{wire:?} {path} {framing}: {said}");
            }
        }
    }
    assert!(site.growth_kib() < GROWTH_KIB_MAX);
}

/// The hidden request is never answered.
fn smuggling(site: &Site) {
    let path = link(site);
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nrange: bytes=0-0\r\n");
    let body = |fields: &str, body: &str| format!("{head}{fields}\r\n{body}{HIDDEN}");
    for wire in WIRES {
        for sound in [body("content-length: 0\r\n", ""), body("", "")] {
            let said = text(&wire.say(site, sound.as_bytes()));
            assert_eq!(statuses(&said), [206, 404], "{wire:?} {said}");
        }
        for (name, bytes) in smuggled(&body) {
            let said = text(&wire.say(site, bytes.as_bytes()));
            let statuses = statuses(&said);
            assert!(
                matches!(statuses.as_slice(), [206 | 400 | 501]),
                "{wire:?} {name}: {said}"
            );
        }
    }
}
