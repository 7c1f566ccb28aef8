//! The package by HTTPS, fetched by curl and by OpenSSL's own client from the real binary.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use narrowcast::clock::SystemClock;
use serde_json::json;
use tempfile::TempDir;

use crate::links::{Linked, curl};
use crate::peers;
use crate::rest::{POLL, text};
use crate::server::own_address;

const SIZE_BYTES: usize = 300_007;

/// A server with a certificate of its own, and a link.
struct Secured {
    linked: Linked,
    folder: TempDir,
    url: String,
}

impl Secured {
    async fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_certificate(folder.path(), "first");
        let https = format!(
            "[device_https]\nlisten = \"{}:0\"\ncertificate_file = \"{}\"\nkey_file = \"{}\"\n{settings}",
            own_address(),
            folder.path().join("certificate.pem").display(),
            folder.path().join("key.pem").display(),
        );
        let linked = Linked::new(&https, SIZE_BYTES).await;
        let link = linked.link(&json!({"budget_bytes": 10 * SIZE_BYTES})).await;
        let url = text(&link["https_url"]).to_owned();
        let base = format!("https://{}/fw/", linked.server.device_https());
        assert!(url.starts_with(&base), "{url}");
        Self {
            linked,
            folder,
            url,
        }
    }

    fn address(&self) -> SocketAddr {
        self.linked.server.device_https()
    }

    fn certificate(&self) -> String {
        let file = self.folder.path().join("certificate.pem");
        file.display().to_string()
    }

    fn curl(&self, arguments: &[&str]) -> Output {
        let certificate = self.certificate();
        curl(
            &[&["--cacert", &certificate], arguments].concat(),
            &self.url,
        )
    }

    /// What OpenSSL's client says and gets, asking for the first 512 bytes.
    fn openssl(&self, version: &str) -> Output {
        let mut client = Command::new(peers::on_path("openssl"))
            .args([
                "s_client",
                version,
                "-ign_eof",
                "-verify_return_error",
                "-CAfile",
            ])
            .arg(self.certificate())
            .args(["-connect", &self.address().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let path = self.url.splitn(4, '/').nth(3).unwrap();
        let request = format!("GET /{path} HTTP/1.0\r\nRange:bytes=0-511\r\n\r\n");
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(request.as_bytes()).unwrap();
        client.wait_with_output().unwrap()
    }
}

/// A certificate for the server's address and the key that belongs to it.
fn make_certificate(folder: &Path, name: &str) {
    let made = Command::new(peers::on_path("openssl"))
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName=IP:{}", own_address())])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("certificate.pem"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// What comes until the server closes, and how long that took.
fn read_to_close(mut stream: TcpStream) -> (Vec<u8>, Duration) {
    let clock = SystemClock::new();
    let mut answer = Vec::new();
    // It may be a reset that ends it.
    let _ = stream.read_to_end(&mut answer);
    (answer, clock.now().instant.since_origin())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_fetches_the_file_by_https_whole_in_parts_and_from_where_it_was() {
    let secured = Secured::new("").await;
    let linked = &secured.linked;
    linked.check(&secured.curl(&[]).stdout, "whole");
    let mut parts = secured.curl(&["--range", "0-99999"]).stdout;
    parts.extend(secured.curl(&["--range", "100000-"]).stdout);
    linked.check(&parts, "in parts");
    for version in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        linked.check(&secured.curl(version).stdout, version[0]);
    }
    let file = secured.folder.path().join("image");
    fs::write(&file, &linked.firmware.image[..123_456]).unwrap();
    let output = file.display().to_string();
    let resumed = secured.curl(&["--continue-at", "-", "--output", &output]);
    assert!(resumed.status.success(), "{resumed:?}");
    linked.check(&fs::read(&file).unwrap(), "resumed");
    // The certificate is looked at: without it nobody is believed.
    let stranger = curl(&[], &secured.url);
    assert_eq!(stranger.status.code(), Some(60), "{stranger:?}");
    let done = "narrowcast_device_https_handshakes_total{result=\"done\"}";
    assert!(linked.rest.metric(done).await >= 6.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_speaks_tls_1_2_and_1_3_and_nothing_older() {
    let secured = Secured::new("").await;
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let said = secured.openssl(version);
        let text = String::from_utf8_lossy(&said.stdout);
        assert!(
            text.contains(name) && text.contains("206 Partial Content"),
            "{text}"
        );
        assert!(text.contains("Content-Length: 512\r\n"), "{text}");
        let first = &secured.linked.firmware.image[..512];
        let found = said.stdout.windows(512).any(|bytes| bytes == first);
        assert!(found, "{version}");
    }
    let said = secured.openssl("-tls1_1");
    assert!(!said.status.success(), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_shake_hands_is_cut_off_and_holds_up_nobody() {
    let secured = Secured::new("handshake_timeout = \"2s\"\n").await;
    let connect = || TcpStream::connect(secured.address()).unwrap();
    // HTTP on the port of HTTPS is told so at once.
    let mut plain = connect();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let (answer, took) = read_to_close(plain);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let silent: Vec<_> = (0..50).map(|_| connect()).collect();
    let mut half = connect();
    // The head of a record of 512 bytes, and a few of them.
    half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .unwrap();
    let clock = SystemClock::new();
    secured
        .linked
        .check(&secured.curl(&[]).stdout, "beside them");
    let beside = clock.now().instant.since_origin();
    assert!(beside < Duration::from_secs(1), "{beside:?}");
    let clock = SystemClock::new();
    for stream in silent.into_iter().chain([half]) {
        let (answer, _) = read_to_close(stream);
        assert!(answer.is_empty(), "{answer:?}");
    }
    let took = clock.now().instant.since_origin();
    assert!(took < Duration::from_secs(5), "{took:?}");
    for (result, count) in [("timed_out", 51.0), ("failed", 1.0)] {
        let metric = format!("narrowcast_device_https_handshakes_total{{result=\"{result}\"}}");
        while !secured.linked.rest.has_metric(&metric, count).await {
            tokio::time::sleep(POLL).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_by_https_is_cut_off_too() {
    let settings = "[device_http]\nrate_grace = \"1s\"\nrate_min_bytes_per_second = 65536\n";
    let secured = Secured::new(settings).await;
    let mut client = Command::new(peers::on_path("curl"))
        .args([
            "--silent",
            "--limit-rate",
            "1k",
            "--insecure",
            "--output",
            "/dev/null",
        ])
        .arg(&secured.url)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let cut = "narrowcast_device_https_timeouts_total{reason=\"answer_rate_min\"}";
    while !secured.linked.rest.has_metric(cut, 1.0).await {
        tokio::time::sleep(POLL).await;
    }
    client.kill().unwrap();
    client.wait().unwrap();
    secured.linked.check(&secured.curl(&[]).stdout, "after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_up_at_sighup_and_a_broken_one_is_not() {
    let secured = Secured::new("").await;
    let shown = || {
        let said = secured.openssl("-tls1_3");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let hang_up = || {
        let pid = secured.linked.server.pid().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.unwrap().success());
    };
    assert!(shown().contains("CN = first"));
    let good = fs::read(secured.certificate()).unwrap();
    fs::write(secured.certificate(), b"nothing").unwrap();
    hang_up();
    while !secured
        .linked
        .server
        .log()
        .contains("goes on with the certificate")
    {
        tokio::time::sleep(POLL).await;
    }
    fs::write(secured.certificate(), good).unwrap();
    assert!(shown().contains("CN = first"));
    make_certificate(secured.folder.path(), "second");
    hang_up();
    while !shown().contains("CN = second") {
        tokio::time::sleep(POLL).await;
    }
    secured
        .linked
        .check(&secured.curl(&[]).stdout, "with the second");
}
