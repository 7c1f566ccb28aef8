//! Links to a package's file, fetched by curl and wget from the real binary, over restarts and under load.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use narrowcast::clock::SystemClock;
use serde_json::{Value, json};

use crate::firmware::Firmware;
use crate::peers;
use crate::rest::{POLL, Rest, text};
use crate::server::{SHORT_TIMES, Server};

const SIZE_BYTES: usize = 2_000_003;

/// A server that has a package, and links to it.
pub(crate) struct Linked {
    pub(crate) server: Server,
    pub(crate) rest: Rest,
    pub(crate) firmware: Firmware,
    pub(crate) package: u64,
}

impl Linked {
    pub(crate) async fn new(settings: &str, size_bytes: usize) -> Self {
        let server = Server::start(&format!("{SHORT_TIMES}{settings}"));
        let rest = server.rest();
        let firmware = Firmware::new(size_bytes);
        let package = rest.upload(&firmware).await;
        Self {
            server,
            rest,
            firmware,
            package,
        }
    }

    fn path(&self) -> String {
        format!("/packages/{}/links", self.package)
    }

    pub(crate) async fn link(&self, body: &Value) -> Value {
        self.rest.post(&self.path(), body).await
    }

    /// What came of a link.
    pub(crate) async fn shown(&self, link: &Value) -> Value {
        let rows = self.rest.get(&self.path()).await;
        let rows = rows.as_array().unwrap().iter();
        let mut found = rows.filter(|row| row["id"] == link["id"]);
        found.next().unwrap().clone()
    }

    pub(crate) fn check(&self, fetched: &[u8], how: &str) {
        let image = &self.firmware.image;
        assert_eq!(fetched.len(), image.len(), "{how}");
        assert!(fetched == image, "other bytes: {how}");
    }
}

pub(crate) fn curl(arguments: &[&str], url: &str) -> Output {
    Command::new(peers::on_path("curl"))
        .args(["--silent", "--show-error", "--fail", "--max-time", "60"])
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn status(url: &str) -> String {
    let arguments = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    String::from_utf8(curl(&arguments, url).stdout).unwrap()
}

fn wait_for_bytes(file: &Path, bytes: u64) {
    while fs::metadata(file).map_or(0, |file| file.len()) < bytes {
        thread::sleep(POLL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_serves_the_file_to_curl_and_says_when_all_of_it_was_taken() {
    let linked = Linked::new("", SIZE_BYTES).await;
    let link = linked.link(&json!({"file_name": "fota.pack"})).await;
    let url = text(&link["url"]);
    assert!(url.len() <= 511 && url.ends_with("/fota.pack"), "{url}");
    assert_eq!(linked.shown(&link).await["state"], "waiting");
    let mut fetched = curl(&["--range", "0-999999"], url).stdout;
    assert_eq!(linked.shown(&link).await["state"], "downloading");
    fetched.extend(curl(&["--range", "1000000-"], url).stdout);
    linked.check(&fetched, "in two parts");
    // Whoever has the last byte has it before the server hears that its socket took it.
    while linked.shown(&link).await["state"] != "served_whole" {
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(linked.shown(&link).await["bytes_served"], SIZE_BYTES);
    let capability = url.split('/').nth_back(1).unwrap();
    assert_eq!(capability.len(), 32);
    // It is written down a moment later.
    let mut told = String::new();
    while !told.contains("link_served_whole") {
        tokio::time::sleep(POLL).await;
        told = linked.rest.get("/audit?limit=1000").await.to_string();
    }
    assert!(
        told.contains("link_created") && !told.contains(capability),
        "{told}"
    );
    assert!(!linked.server.log().contains(capability));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_a_kill_by_the_same_url() {
    let mut linked = Linked::new("", SIZE_BYTES).await;
    let link = linked.link(&json!({})).await;
    let url = text(&link["url"]);
    let etag = |said: &Output| {
        let head = String::from_utf8_lossy(&said.stdout).to_lowercase();
        let line = head.lines().find(|line| line.starts_with("etag:"));
        line.unwrap().trim().to_owned()
    };
    let before = etag(&curl(&["--head"], url));
    let folder = tempfile::tempdir().unwrap();
    for (program, slowly, resume) in [
        (
            "curl",
            &["--silent", "--limit-rate", "400k", "--output"][..],
            &["--silent", "--fail", "--continue-at", "-", "--output"][..],
        ),
        (
            "wget",
            &["--quiet", "--tries=1", "--limit-rate=400k", "-O"],
            &["--quiet", "--tries=1", "--continue", "-O"],
        ),
    ] {
        let file = folder.path().join(program);
        let mut client = Command::new(peers::on_path(program))
            .args(slowly)
            .arg(&file)
            .arg(url)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_bytes(&file, 200_000);
        linked.server.kill();
        assert!(!client.wait().unwrap().success(), "{program} was not cut");
        linked.server.restart();
        assert!(fs::metadata(&file).unwrap().len() < SIZE_BYTES as u64);
        let resumed = Command::new(peers::on_path(program))
            .args(resume)
            .arg(&file)
            .arg(url)
            .stdin(Stdio::null())
            .status();
        assert!(resumed.unwrap().success(), "{program}");
        linked.check(&fs::read(&file).unwrap(), program);
    }
    assert_eq!(etag(&curl(&["--head"], url)), before);
    let if_range = before.replacen("etag", "If-Range", 1);
    let tail = curl(&["--header", &if_range, "--range", "2000000-"], url);
    assert!(tail.stdout == linked.firmware.image[2_000_000..]);
    let stale = [
        "--header",
        "If-Range: \"0000000000000000\"",
        "--range",
        "5-",
    ];
    linked.check(&curl(&stale, url).stdout, "a stale If-Range");
    // What was fetched before a kill is known after it, but for its last second.
    let served = linked.shown(&link).await["bytes_served"].as_u64().unwrap();
    assert!(served > 3 * SIZE_BYTES as u64 / 2, "{served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_link_cuts_off_who_fetches_and_a_revoked_key_all_of_them() {
    let linked = Linked::new("", SIZE_BYTES).await;
    let folder = tempfile::tempdir().unwrap();
    let key = linked.rest.get("/keys").await[0]["id"].clone();
    for end in ["link", "key"] {
        let link = linked.link(&json!({})).await;
        let url = text(&link["url"]);
        let file = folder.path().join(end);
        let mut client = Command::new(peers::on_path("curl"))
            .args(["--silent", "--limit-rate", "100k", "--output"])
            .arg(&file)
            .arg(url)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_bytes(&file, 50_000);
        if end == "link" {
            let path = format!("{}/{}", linked.path(), link["id"]);
            let (status, _) = linked.rest.answer_to_delete(&path).await;
            assert_eq!(status, 204);
        } else {
            let path = format!("/keys/{}/revoke", text(&key));
            linked.rest.post(&path, &json!({"reason": "lost"})).await;
        }
        assert!(!client.wait().unwrap().success(), "by its {end}");
        assert!(fs::metadata(&file).unwrap().len() < SIZE_BYTES as u64);
        assert_eq!(status(url), "410", "by its {end}");
        assert_eq!(linked.shown(&link).await["state"], "revoked");
    }
    let refused = linked.rest.answer_to_post(&linked.path(), &json!({})).await;
    assert_eq!(
        (refused.0, &refused.1["code"]),
        (409, &json!("key_revoked"))
    );
}

/// The most resident memory that the process has had, in kB.
fn peak_kilobytes(linked: &Linked) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", linked.server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1);
    kilobytes.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_who_fetch_100_mib_at_once_take_memory_for_pieces_only() {
    const LARGE_BYTES: usize = 100 << 20;
    const READERS: usize = 20;
    let mut linked = Linked::new("", LARGE_BYTES).await;
    let budget = json!({"budget_bytes": 30_u64 * LARGE_BYTES as u64});
    let link = linked.link(&budget).await;
    let url = text(&link["url"]).to_owned();
    // What the upload took is gone with the process.
    linked.server.kill();
    linked.server.restart();
    assert_eq!(status(&format!("{url}x")), "404");
    let before = peak_kilobytes(&linked);
    let clock = SystemClock::new();
    let sums: Vec<_> = (0..READERS)
        .map(|_| {
            let fetch = format!("curl --silent --fail --max-time 300 {url} | sha256sum");
            Command::new("sh")
                .args(["-c", &fetch])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let expected = linked.firmware.sha256().to_string();
    for sum in sums {
        let said = sum.wait_with_output().unwrap();
        assert!(said.stdout.starts_with(expected.as_bytes()), "{said:?}");
    }
    let took = clock.now().instant.since_origin();
    let after = peak_kilobytes(&linked);
    println!("{READERS} readers of 100 MiB: VmHWM {before} kB, then {after} kB, in {took:?}");
    assert!(after - before < 40_000, "{before} kB, then {after} kB");
}
