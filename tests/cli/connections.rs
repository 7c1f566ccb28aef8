//! The operators' listener of the real program: its settings, its metrics, a machine with nothing left.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use narrowcast::clock::SystemClock;

use crate::server::{Server, Site};

const PATIENCE: Duration = Duration::from_secs(10);

/// One connection that is kept.
struct Kept(BufReader<TcpStream>);

impl Kept {
    fn to(server: &Server) -> Self {
        let stream = TcpStream::connect(server.listener("http")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The body of what is at a path.
    fn get(&mut self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "closed");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim_end().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    /// The value of a metric with these labels, 0 where it is not there yet.
    fn metric(&mut self, series: &str) -> f64 {
        let metrics = self.get("/metrics");
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

fn serve(site: &Site, settings: &[(&str, &str)]) -> Server {
    let public = ("NARROWCAST__METRICS__PUBLIC", "true");
    let variables = [&[public], settings].concat();
    site.serve_with(&["--http", "127.0.0.1:0"], &[], &variables)
}

#[test]
fn the_bounds_are_as_set_and_what_passes_them_is_counted() {
    let site = Site::new();
    let settings = [
        ("NARROWCAST__HTTP__CONNECTIONS_PER_ADDRESS_MAX", "2"),
        ("NARROWCAST__HTTP__FIRST_BYTE_TIMEOUT", "100ms"),
    ];
    let server = serve(&site, &settings);
    let mut kept = Kept::to(&server);
    assert_eq!(kept.get("/healthz"), "ok\n");
    let mut silent = Kept::to(&server);
    let mut refused = Kept::to(&server);
    let mut answer = String::new();
    refused.0.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    answer.clear();
    silent.0.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "");

    let of_address =
        "narrowcast_http_connections_refused_total{reason=\"connections_per_address_max\"}";
    assert_eq!(kept.metric(of_address), 1.0);
    let silent = "narrowcast_http_timeouts_total{reason=\"first_byte_timeout\"}";
    assert_eq!(kept.metric(silent), 1.0);
    assert_eq!(kept.metric("narrowcast_http_connections"), 1.0);
}

#[test]
fn a_machine_without_descriptors_neither_ends_the_listener_nor_lets_it_spin() {
    let site = Site::new();
    let settings = [
        ("NARROWCAST__HTTP__CONNECTIONS_PER_ADDRESS_MAX", "1000"),
        ("NARROWCAST__HTTP__FIRST_BYTE_TIMEOUT", "60s"),
    ];
    let server = serve(&site, &settings);
    let mut kept = Kept::to(&server);
    kept.get("/healthz");
    server.limit_descriptors(60);
    let clock = SystemClock::new();
    // The kernel takes them all; the program cannot.
    let flood: Vec<_> = (0..100).map(|_| Kept::to(&server)).collect();
    let errors = "narrowcast_http_accept_errors_total";
    while kept.metric(errors) < 3.0 {
        let waited = clock.now().instant.since_origin();
        assert!(waited < PATIENCE, "{}", site.log());
    }
    let counted = kept.metric(errors);
    let waited = clock.now().instant.since_origin();
    assert!(counted <= waited.as_secs_f64() * 10.0 + 1.0, "{counted}");

    drop(flood);
    assert_eq!(Kept::to(&server).get("/healthz"), "ok\n");
    let said = site
        .log()
        .matches("no HTTP connection can be accepted")
        .count();
    assert_eq!(said, 1, "{}", site.log());
}
