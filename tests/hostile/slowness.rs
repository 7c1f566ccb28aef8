//! Connections that say nothing, or little at a time, or more than anyone waits for.

use std::thread;
use std::time::Duration;

use crate::coap::loopback;
use crate::http::Connection;
use crate::site::{Row, Site};

pub(crate) const ROWS: &[Row] = &[
    Row::new(39, "150 slow heads", slow_heads),
    Row::new(40, "100 slow bodies", slow_bodies),
    Row::new(41, "300 silent connections", silent),
    Row::new(42, "50 slow readers", slow_readers),
    Row::new(43, "10 GB, endless chunks", endless_bodies),
];

/// The most connections that the server takes of one address are 64.
const PER_ADDRESS: usize = 50;
/// When the last of them has to be cut off.
const CUT_MAX: Duration = Duration::from_secs(15);
/// Between two bytes of what comes slowly.
const STEP: Duration = Duration::from_millis(100);
const GROWTH_KIB_MAX: u64 = 48 * 1024;

fn open(site: &Site, count: usize, receive_bytes: Option<usize>) -> Vec<Connection> {
    let from = |number: usize| loopback(number / PER_ADDRESS + 1);
    (0..count)
        .map(|number| Connection::open_from(from(number), site.server.http, receive_bytes))
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
    let mut open = open(site, 150, None);
    for connection in &mut open {
        connection
            .send(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: ")
            .unwrap();
    }
    until_cut(site, open, |connection| drop(connection.send(b"x")));
}

fn slow_bodies(site: &Site) {
    const BODIES: usize = 100;
    let mut open = open(site, BODIES, None);
    for connection in &mut open {
        let head = format!(
            "POST /api/v1/groups HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 100000\r\n\r\n{{",
            site.server.token
        );
        connection.send(head.as_bytes()).unwrap();
    }
    // Ten bytes a second, of the 200 that have to come.
    let started = site.now();
    let mut answered = 0;
    while !open.is_empty() {
        let waited = site.now().saturating_since(started);
        assert!(waited < CUT_MAX, "{} are open after {waited:?}", open.len());
        open.retain_mut(|connection| {
            if !connection.has_more() {
                return connection.send(b" ").is_ok();
            }
            let answer = connection.answer().unwrap();
            assert_eq!(answer.status, 408, "{}", answer.head);
            answered += 1;
            false
        });
        thread::sleep(STEP);
    }
    assert_eq!(answered, BODIES);
}

fn silent(site: &Site) {
    let open = open(site, 300, None);
    until_cut(site, open, |_| {});
}

/// They ask for more than all buffers on the way hold, take nothing, and are cut off. Who takes its one
/// answer at 2 kB a second, ten times what has to be taken, gets it whole.
fn slow_readers(site: &Site) {
    const READERS: usize = 50;
    let get = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    let before_kib = site.growth_kib();
    let before = site.cut_off();
    let mut open = open(site, READERS, Some(2048));
    for connection in &mut open {
        connection.send(&get.repeat(100)).unwrap();
    }
    let mut slow = Connection::open_from(loopback(100), site.server.http, Some(2048));
    slow.send(get).unwrap();
    let whole = site.server.ask(get);
    let started = site.now();
    let mut taken = 0;
    // Nothing of that is seen by who does not read: the server says itself whom it has cut off.
    while site.cut_off() < before + READERS {
        let waited = site.now().saturating_since(started);
        assert!(waited < CUT_MAX, "{} are cut off", site.cut_off() - before);
        taken += slow.take(200).unwrap();
        thread::sleep(STEP);
    }
    assert!(site.growth_kib().saturating_sub(before_kib) < GROWTH_KIB_MAX);
    taken += slow.until_closed().unwrap().len();
    assert_eq!(taken, whole.head.len() + whole.body.len());
}

impl Site {
    /// How many connections were cut off for taking too little.
    fn cut_off(&self) -> usize {
        let series = "narrowcast_http_timeouts_total{reason=\"answer_rate_min\"}";
        self.server.metric(series)
    }
}

/// A body that may not come is refused before a byte of it is read, and one that may by its bound.
fn endless_bodies(site: &Site) {
    /// The most that any of these routes reads is 16 MiB; buffers on the way take some.
    const TAKEN_MIB_MAX: usize = 32;
    let token = site.server.token.as_str();
    for framing in ["content-length: 10000000000", "transfer-encoding: chunked"] {
        for (path, token, status) in [
            ("/api/v1/packages", "nobody", 401),
            ("/api/v1/groups", "nobody", 401),
            ("/api/v1/devices/import", "nobody", 401),
            ("/healthz", "", 405),
            ("/nothing", "", 404),
            ("/api/v1/groups", token, 413),
            ("/api/v1/devices/import", token, 413),
        ] {
            let content_type = match path {
                "/api/v1/devices/import" => "text/csv",
                _ => "application/json",
            };
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
                 content-type: {content_type}\r\n{framing}\r\n\r\n"
            );
            let is_chunked = framing.contains("chunked");
            if status != 413 || !is_chunked {
                let mut waiting = site.connect();
                waiting.send(head.as_bytes()).unwrap();
                let answer = waiting.answer().unwrap();
                assert_eq!(answer.status, status, "{path} {framing}");
            }
            let mut connection = site.connect();
            connection.send(head.as_bytes()).unwrap();
            let taken_mib = flood(&mut connection, is_chunked);
            assert!(
                taken_mib < TAKEN_MIB_MAX,
                "{path} {framing}: {taken_mib} MiB"
            );
            // What it said may be lost where bytes of ours crossed it.
            let said = connection.until_closed().unwrap();
            let said = String::from_utf8_lossy(&said);
            let refused = said.is_empty() || said.starts_with(&format!("HTTP/1.1 {status} "));
            assert!(refused, "{path} {framing}: {said}");
            assert!(site.growth_kib() < GROWTH_KIB_MAX, "{path} {framing}");
        }
    }
}

/// Sends until the server takes no more; answers how many MiB that were, 64 at most.
fn flood(connection: &mut Connection, chunked: bool) -> usize {
    let mut piece = b"10000\r\n".to_vec();
    piece.resize(piece.len() + 0x10000, b' ');
    piece.extend(b"\r\n");
    let piece = if chunked {
        &piece[..]
    } else {
        &piece[7..piece.len() - 2]
    };
    (0..64 * 16)
        .take_while(|_| connection.send(piece).is_ok())
        .count()
        / 16
}
