//! The package of a running task, fetched by curl, by wget and by hand: the same bytes whatever is asked.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use narrowcast::clock::SystemClock;
use serde_json::json;

use crate::bench::IMAGE_BYTES;
use crate::downloads::Held;
use crate::peers;
use crate::rest::POLL;

/// Takes curl seconds at the rate that a test sets.
const LARGE_BYTES: usize = 2_000_003;

fn curl(arguments: &[&str], uri: &str) -> Output {
    Command::new(peers::on_path("curl"))
        .args(["--silent", "--show-error", "--fail", "--max-time", "60"])
        .args(arguments)
        .arg(uri)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The head and the body of the answer to what is sent as it stands.
fn raw(held: &Held, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(held.bench.server.device_http()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap(), body)
}

fn path(held: &Held) -> &str {
    let base = format!("http://{}", held.bench.server.device_http());
    held.uri.strip_prefix(base.as_str()).unwrap()
}

/// Waits until a client has written some of a file.
fn wait_for_bytes(file: &Path, bytes: u64) {
    while fs::metadata(file).map_or(0, |file| file.len()) < bytes {
        thread::sleep(POLL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_fetches_the_image_whole_and_in_parts() {
    let held = Held::by_http(IMAGE_BYTES).await;
    held.check(&curl(&[], &held.uri).stdout, "whole");
    held.check(&curl(&["--http1.0"], &held.uri).stdout, "HTTP/1.0");
    for size in [512, 1000, IMAGE_BYTES] {
        let mut fetched = Vec::new();
        while fetched.len() < IMAGE_BYTES {
            let range = format!("{}-{}", fetched.len(), fetched.len() + size - 1);
            fetched.extend(curl(&["--range", &range], &held.uri).stdout);
        }
        held.check(&fetched, &format!("{size} bytes at a time"));
    }
    let behind = format!("{IMAGE_BYTES}-");
    let refused = curl(&["--range", &behind], &held.uri);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("416"));
    let tail = curl(&["--range", "-11"], &held.uri).stdout;
    assert!(tail == held.bench.firmware.image[IMAGE_BYTES - 11..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_modules_send_is_understood() {
    let held = Held::by_http(IMAGE_BYTES).await;
    let path = path(&held);
    for (request, status, length) in [
        (format!("GET {path} HTTP/1.0\r\n\r\n"), "200", IMAGE_BYTES),
        (
            format!("GET {path} HTTP/1.0\r\nHost: x:1\r\nConnection: Close\r\n\r\n"),
            "200",
            IMAGE_BYTES,
        ),
        (
            format!("GET {path} HTTP/1.0\r\nRange:bytes=5-14\r\n\r\n"),
            "206",
            10,
        ),
        (
            format!("GET {path} HTTP/1.1\r\nHost:x\r\nRange:bytes=0-\r\nConnection:close\r\n\r\n"),
            "206",
            IMAGE_BYTES,
        ),
        (
            format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nconnection: close\r\n\
                 RANGE: bytes=0-9,0-9,20-\r\n\r\n"
            ),
            "200",
            IMAGE_BYTES,
        ),
        (
            format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes=7-\r\n\
                 If-Range: \"00\"\r\n\r\n"
            ),
            "200",
            IMAGE_BYTES,
        ),
    ] {
        let (head, body) = raw(&held, &request);
        assert_eq!(head.split(' ').nth(1), Some(status), "{request}{head}");
        assert_eq!(body.len(), length, "{request}{head}");
        // Some modules look for the very letters.
        assert!(
            head.contains(&format!("Content-Length: {length}\r\n")),
            "{head}"
        );
        assert!(head.contains("Accept-Ranges: bytes\r\n"), "{head}");
        assert_eq!(
            head.contains("Content-Range: bytes "),
            status == "206",
            "{head}"
        );
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        assert!(head.len() < 300, "{head}");
        if length == IMAGE_BYTES {
            held.check(&body, &request);
        }
    }
    let (head, body) = raw(&held, &format!("HEAD {path} HTTP/1.0\r\n\r\n"));
    assert!(head.contains(&format!("Content-Length: {IMAGE_BYTES}\r\n")) && body.is_empty());
    let (head, body) = raw(&held, &format!("POST {path} HTTP/1.0\r\n\r\n"));
    assert!(
        head.starts_with("HTTP/1.0 405") && body.len() < 30,
        "{head}"
    );
}

/// One answer of a connection that stays open.
fn next_answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_stays_open_for_those_who_ask_on_and_closes_for_those_who_say_so() {
    let held = Held::by_http(IMAGE_BYTES).await;
    let (path, image) = (path(&held), &held.bench.firmware.image);
    for (version, fields) in [
        ("1.1", "Host: x\r\n"),
        ("1.0", "Connection: keep-alive\r\n"),
        ("1.0", "Host: x:80\r\nConnection: Keep-Alive\r\n"),
    ] {
        let mut stream = TcpStream::connect(held.bench.server.device_http()).unwrap();
        for first in (0..IMAGE_BYTES).step_by(4096) {
            let last = (first + 4095).min(IMAGE_BYTES - 1);
            let range = format!("Range:bytes={first}-{last}");
            let request = format!("GET {path} HTTP/{version}\r\n{fields}{range}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let (head, body) = next_answer(&mut stream);
            assert!(head.starts_with(&format!("HTTP/{version} 206 ")), "{head}");
            assert!(body == image[first..=last], "{version} {range}");
        }
        let request = format!("HEAD {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(
            rest.contains(&format!("Content-Length: {IMAGE_BYTES}\r\n")),
            "{rest}"
        );
        assert!(rest.ends_with("\r\n\r\n"), "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_plain_whole_and_here_whatever_is_asked_for() {
    let held = Held::by_http(IMAGE_BYTES).await;
    let path = path(&held);
    let (head, _) = raw(&held, &format!("HEAD {path} HTTP/1.0\r\n\r\n"));
    let etag = head.lines().find_map(|line| line.strip_prefix("Etag: "));
    let etag = etag.unwrap();
    for (asked, fields, status, length) in [
        (
            path,
            "Accept-Encoding: gzip, br, deflate\r\n",
            200,
            IMAGE_BYTES,
        ),
        (
            path,
            "TE: chunked, gzip\r\nAccept-Encoding: *\r\n",
            200,
            IMAGE_BYTES,
        ),
        (
            path,
            "Upgrade: h2c\r\nConnection: upgrade, close\r\n",
            200,
            IMAGE_BYTES,
        ),
        (
            path,
            &format!("If-Range: {etag}\r\nRange: bytes=9-\r\n"),
            206,
            IMAGE_BYTES - 9,
        ),
        (
            path,
            &format!("If-Range: W/{etag}\r\nRange: bytes=9-\r\n"),
            200,
            IMAGE_BYTES,
        ),
        (
            path,
            "If-Range: Wed, 21 Oct 2026 07:28:00 GMT\r\nRange: bytes=9-\r\n",
            200,
            IMAGE_BYTES,
        ),
        (path, "Range: bytes=99999999-\r\n", 416, 21),
        (&format!("{path}/"), "", 404, 9),
        (&path.replace("/fw/", "//fw/"), "", 404, 9),
        (&format!("{path}?x=1"), "", 200, IMAGE_BYTES),
        ("/", "", 404, 9),
        ("/fw", "", 404, 9),
    ] {
        let request =
            format!("GET {asked} HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n");
        let (head, body) = raw(&held, &request);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}{head}"
        );
        assert!(
            head.contains(&format!("Content-Length: {length}\r\n")),
            "{request}{head}"
        );
        assert_eq!(body.len(), length, "{request}");
        let head = head.to_lowercase();
        for absent in ["transfer-encoding", "content-encoding", "location", "vary"] {
            assert!(!head.contains(absent), "{request}{head}");
        }
    }
}

/// Reads a little at a time from a socket whose kernel takes little ahead.
fn slow_reader(held: &Held) -> TcpStream {
    let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    stream.set_recv_buffer_size(1024).unwrap();
    stream
        .connect(&held.bench.server.device_http().into())
        .unwrap();
    let mut stream = TcpStream::from(stream);
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(held));
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// In real time, against kernels' buffers: a socket tells of what its peer took some ten kilobytes at a
/// time, so the grace has to be as long as those last.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_200_bytes_a_second_goes_on_where_who_takes_nothing_is_cut_off() {
    const BOUNDS: &str = "[device_http]\nrate_grace = \"25s\"\nrate_min_bytes_per_second = 100\n";
    const SECONDS: u64 = 40;
    let held = Held::by_http_within(BOUNDS, 200_000).await;
    let (mut slow, _idle) = (slow_reader(&held), slow_reader(&held));
    let cut = "narrowcast_device_http_timeouts_total{reason=\"answer_rate_min\"}";
    let clock = SystemClock::new();
    let mut cut_after = None;
    for second in 1..=SECONDS {
        let mut bytes = [0; 200];
        slow.read_exact(&mut bytes).unwrap();
        let next = Duration::from_secs(second);
        tokio::time::sleep(next.saturating_sub(clock.now().instant.since_origin())).await;
        if cut_after.is_none() && held.bench.rest.has_metric(cut, 1.0).await {
            cut_after = Some(second);
        }
    }
    let cut_after = cut_after.unwrap();
    println!("who takes nothing was cut off after {cut_after} s");
    assert!((25..35).contains(&cut_after), "{cut_after}");
    assert!(
        held.bench.rest.has_metric(cut, 1.0).await,
        "the slow one too"
    );
    // And is still served.
    let mut rest = vec![0; 60_000];
    slow.read_exact(&mut rest).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_a_kill_cut_it_off() {
    let mut held = Held::by_http(LARGE_BYTES).await;
    let folder = tempfile::tempdir().unwrap();
    for (program, slowly, resume) in [
        (
            "curl",
            &["--silent", "--limit-rate", "200k", "--output"][..],
            &[
                "--silent",
                "--show-error",
                "--fail",
                "--continue-at",
                "-",
                "--output",
            ][..],
        ),
        (
            "wget",
            &["--quiet", "--tries=1", "--limit-rate=200k", "-O"],
            &["--quiet", "--tries=1", "--continue", "-O"],
        ),
    ] {
        let file = folder.path().join(program);
        let mut client = Command::new(peers::on_path(program))
            .args(slowly)
            .arg(&file)
            .arg(&held.uri)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_bytes(&file, 100_000);
        held.bench.server.kill();
        assert!(
            !client.wait().unwrap().success(),
            "{program} was not cut off"
        );
        held.bench.server.restart();
        let before = fs::metadata(&file).unwrap().len();
        assert!(before < LARGE_BYTES as u64);
        let resumed = Command::new(peers::on_path(program))
            .args(resume)
            .arg(&file)
            .arg(&held.uri)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(resumed.status.success(), "{program}: {resumed:?}");
        held.check(&fs::read(&file).unwrap(), program);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_download_is_is_shown() {
    let held = Held::by_http(IMAGE_BYTES).await;
    for (range, end) in [
        ("0-511", 512),
        ("512-9999", 10_000),
        ("10000-", IMAGE_BYTES),
    ] {
        curl(&["--range", range], &held.uri);
        let shown = held.bench.rest.tasks(held.campaign);
        let mut task = shown.await.remove(0);
        // It is told behind the last byte.
        while task["bytes_served"] != json!(end) {
            tokio::time::sleep(POLL).await;
            task = held.bench.rest.tasks(held.campaign).await.remove(0);
        }
        assert!(!task["waiting_for"].is_null(), "{task:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_the_capability_gets_nothing_and_with_the_task_it_ends() {
    let held = Held::by_http(IMAGE_BYTES).await;
    let status = |uri: &str| {
        let written = curl(
            &["--output", "/dev/null", "--write-out", "%{http_code}"],
            uri,
        );
        String::from_utf8(written.stdout).unwrap()
    };
    assert_eq!(status(&held.uri), "200");
    let other = held.uri.replace("/fw/", "/fw/0");
    assert_eq!(status(&other), "404");
    let rest = &held.bench.rest;
    let stop = format!("/campaigns/{}/stop", held.campaign);
    rest.post(&stop, &json!({ "mode": "hard" })).await;
    assert_eq!(status(&held.uri), "404");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_that_take_it_slowly_hold_up_nobody() {
    const SLOW: usize = 100;
    let held = Held::by_http(LARGE_BYTES).await;
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(&held));
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(held.bench.server.device_http()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        slow.push(stream);
    }
    let clock = SystemClock::new();
    let mut took = Vec::new();
    for turn in 0..200 {
        // 200 bytes a second each, and none of them is cut off.
        let mut bytes = [0; 200];
        slow[turn % SLOW].read_exact(&mut bytes).unwrap();
        let begun = clock.now().instant;
        let (head, body) = raw(
            &held,
            &format!("GET {} HTTP/1.0\r\nRange: bytes=0-511\r\n\r\n", path(&held)),
        );
        assert!(head.contains(" 206 ") && body.len() == 512, "{head}");
        took.push(clock.now().instant - begun);
    }
    took.sort_unstable();
    let p99 = took[took.len() * 99 / 100];
    println!("512 bytes beside {SLOW} slow readers: p99 {p99:?}");
    assert!(p99 < Duration::from_millis(500), "{p99:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_is_cut_off_and_who_has_no_place_is_told() {
    const BOUNDS: &str = "[device_http]\nrate_grace = \"1s\"\nrate_min_bytes_per_second = 65536\n\
                          connections_per_address_max = 2\n";
    let held = Held::by_http_within(BOUNDS, LARGE_BYTES).await;
    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(&held));
    let connect = || TcpStream::connect(held.bench.server.device_http()).unwrap();
    let mut idle: Vec<_> = (0..2).map(|_| connect()).collect();
    for stream in &mut idle {
        stream.write_all(request.as_bytes()).unwrap();
        // Its connection has its place.
        stream.read_exact(&mut [0; 1]).unwrap();
    }
    let mut told = String::new();
    connect().read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    let cut = "narrowcast_device_http_timeouts_total{reason=\"answer_rate_min\"}";
    while !held.bench.rest.has_metric(cut, 2.0).await {
        tokio::time::sleep(POLL).await;
    }
    for mut stream in idle {
        let mut taken = Vec::new();
        // It may be a reset that ends it.
        let _ = stream.read_to_end(&mut taken);
        assert!(taken.len() < LARGE_BYTES, "{}", taken.len());
    }
    held.check(&curl(&[], &held.uri).stdout, "after the others");
}
