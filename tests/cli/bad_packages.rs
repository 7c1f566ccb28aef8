//! What must not be taken as a package, sent to the real program: broken zips, forged signatures, broken
//! forms. Each is refused for its own reason and leaves nothing on the disk, in little memory; a sound
//! package is taken before and after.

use std::time::Duration;

use narrowcast::clock::{Instant, SystemClock};
use narrowcast::model::Sha256Digest;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bad_zips::{bad_zips, item};
use crate::fixture::{
    OTHER_PUBLIC_PEM, container, encoded_message, inner, private_operation, signed,
};
use crate::forged::forged_messages;
use crate::packages::{PUBLIC_PEM, enter_key};
use crate::server::{Answer, Api, Server, Site};
use crate::zip_builder::{Item, Zip};

/// How much more memory anything of this may take.
const GROWTH_MAX_BYTES: u64 = 96 << 20;
/// How long a refusal may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const UNSIGNED: [(&str, &str); 2] = [("unsigned", "true"), ("reason", "a trial")];

struct Bench {
    site: Site,
    server: Server,
    api: Api,
    /// Files on the disk that belong there.
    kept: usize,
    resident_bytes: u64,
    number: u32,
    clock: SystemClock,
}

impl Bench {
    async fn start() -> Self {
        let site = Site::new();
        let (server, api) = site.serve_admin(&[]);
        enter_key(&api, PUBLIC_PEM).await;
        let mut bench = Self {
            site,
            server,
            api,
            kept: 0,
            resident_bytes: 0,
            number: 0,
            clock: SystemClock::new(),
        };
        bench.control().await;
        bench.resident_bytes = bench.server.memory_bytes("VmRSS");
        bench.server.forget_peak();
        bench
    }

    fn since(&self, begun: Instant) -> Duration {
        self.clock.now().instant.saturating_since(begun)
    }

    fn files(&self) -> usize {
        let shelves = std::fs::read_dir(self.site.data().join("packages")).unwrap();
        shelves
            .map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap().count())
            .sum()
    }

    /// A sound package, signed and unsigned, is taken.
    async fn control(&mut self) {
        for is_signed in [true, false] {
            self.number += 1;
            let image = format!("firmware {}", self.number);
            let zip = Zip::of([Item::stored("FW.bin", image.as_bytes())]).bytes();
            let answer = if is_signed {
                self.api.upload(signed(&zip)).await
            } else {
                self.api.upload_file("FW.zip", zip, &UNSIGNED).await
            };
            let package = answer.is(201);
            let sha256 = Sha256Digest(Sha256::digest(&image).into());
            assert_eq!(package["sha256"], sha256.to_string());
            self.kept += 2;
            assert_eq!(self.files(), self.kept);
        }
    }

    /// It is refused, in these words, and leaves nothing.
    fn check(&self, what: &str, answer: &Answer, took: Duration, words: &str) {
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{what}: {detail}");
        assert_ne!(problem["title"], Value::Null, "{what}");
        assert!(took < ANSWER_MAX, "{what}: {took:?}");
        assert_eq!(self.files(), self.kept, "{what} left something");
    }

    async fn end(mut self) {
        let peak = self.server.memory_bytes("VmHWM");
        let growth = peak.saturating_sub(self.resident_bytes);
        assert!(growth < GROWTH_MAX_BYTES, "{growth}");
        self.control().await;
        assert!(!self.site.path().join("evil.bin").exists());
        assert!(!self.site.data().join("evil.bin").exists());
    }
}

#[tokio::test]
async fn broken_zips_are_refused_signed_or_not_and_leave_nothing() {
    let bench = Bench::start().await;
    for (what, zip, words) in bad_zips() {
        for (way, content, texts, words) in [
            ("signed", signed(&zip), &[][..], words),
            ("unsigned", zip.clone(), &UNSIGNED[..], words),
            // Where a signed package belongs nothing of a zip without a signature is told.
            ("as a package", zip, &[][..], ""),
        ] {
            if way == "as a package" && what == "a signed package within" {
                continue;
            }
            let begun = bench.clock.now().instant;
            let answer = bench.api.upload_file("FW.zip", content, texts).await;
            bench.check(
                &format!("{what}, {way}"),
                &answer,
                bench.since(begun),
                words,
            );
        }
    }
    bench.end().await;
}

#[tokio::test]
async fn forged_signatures_and_changed_packages_are_refused() {
    let bench = Bench::start().await;
    let sound = private_operation(&encoded_message(&inner()));
    let package = || container(&inner(), &sound);
    let refuse = async |what: &str, archive: Vec<u8>, words: &str| {
        let begun = bench.clock.now().instant;
        let answer = bench.api.upload(archive).await;
        bench.check(what, &answer, bench.since(begun), words);
    };
    let forged = forged_messages();
    assert!(forged.len() >= 14);
    for (what, message) in forged {
        let archive = container(&inner(), &private_operation(&message)).bytes();
        refuse(what, archive, "does not hold").await;
    }
    for signature in [&sound[1..], &[], &[sound.as_slice(), &[0]].concat()] {
        let archive = container(&inner(), signature).bytes();
        refuse("another length", archive, "bytes, and the key makes 256").await;
    }
    let changed = |at: usize, change: fn(&mut Item)| {
        let mut zip = package();
        change(&mut zip.items[at]);
        zip.bytes()
    };
    // The content is another, and its checksum right.
    let other = Zip::of([Item::stored("FW.bin", b"other firmware")]).bytes();
    refuse(
        "other content",
        container(&other, &sound).bytes(),
        "does not hold",
    )
    .await;
    let renamed = changed(1, |item| item.name = b"XX.zip".to_vec());
    refuse("a renamed entry", renamed, "manifest.json").await;
    for at in 0..3 {
        let mut zip = package();
        zip.items.remove(at);
        refuse(
            "an entry that is not there",
            zip.bytes(),
            "not a signed package",
        )
        .await;
    }
    let mut extra = package();
    extra.items.push(Item::stored("more.bin", b"more"));
    refuse("one more entry", extra.bytes(), "4 entries").await;
    let mut twice = package();
    twice.items.insert(1, twice.items[1].clone());
    refuse("an entry twice", twice.bytes(), "entries").await;
    let mut turned = package();
    turned.items.swap(0, 1);
    refuse("another order", turned.bytes(), "not a signed package").await;
    bench.end().await;
}

#[tokio::test]
async fn a_key_that_is_weak_private_or_anothers_lets_nothing_in() {
    let bench = Bench::start().await;
    let key = |pem: &str| serde_json::json!({"manufacturer": "quectel", "public_key_pem": pem});
    let private = include_str!("../../certs/signing-private.pem");
    for pem in [
        private,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        let answer = bench.api.post("/api/v1/keys", &key(pem)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
    }
    assert!(
        !bench.site.log().contains("PRIVATE KEY"),
        "it is not logged"
    );
    enter_key(&bench.api, OTHER_PUBLIC_PEM).await;
    let unsigned = Zip::of([item()]).bytes();
    let begun = bench.clock.now().instant;
    let answer = bench.api.upload(unsigned).await;
    bench.check(
        "unsigned",
        &answer,
        bench.since(begun),
        "not a signed package",
    );
    bench.end().await;
}

/// A form of these parts: header lines, then content.
fn form(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend(format!("--x\r\n{head}\r\n\r\n").into_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    body
}

fn field(name: &str) -> String {
    format!("content-disposition: form-data; name=\"{name}\"")
}

fn file(name: &str) -> String {
    format!("content-disposition: form-data; name=\"file\"; filename=\"{name}\"")
}

/// All fields, and a sound package under this head.
fn complete(head: String) -> Vec<u8> {
    let names = ["manufacturer", "model", "device_type", "version"];
    let texts = names.map(|name| (field(name), b"quectel".to_vec()));
    let mut parts = texts.to_vec();
    parts.push((field("protocol"), b"LWM2M".to_vec()));
    parts.push((head, signed(&inner())));
    form(&parts)
}

/// Bodies of forms, and words of their refusal.
fn bad_forms() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    const NAME: &str = "plain file name";
    let many = |head: String| form(&vec![(head, b"1".to_vec()); 20_000]);
    let one = |head: String, content: &[u8]| form(&[(head, content.to_vec())]);
    let turned = file("FW\u{202e}piz.bin");
    let mut open = complete(file("a.zip"));
    open.truncate(open.len() - 9);
    let long = vec![b'x'; 1 << 20];
    let long_line = format!("{}\r\nx-long: {}", field("model"), "y".repeat(1 << 20));
    let versions = many(field("source_versions"));
    let nameless = many("x-nothing: 1".to_owned());
    vec![
        ("20,000 source versions", versions, "at most 64"),
        ("20,000 files", many(file("a.zip")), "twice"),
        ("20,000 unknown fields", many(field("colour")), "not known"),
        ("20,000 parts without a name", nameless, ""),
        ("a way up", complete(file("../../evil.bin")), NAME),
        ("a path of Windows", complete(file("..\\\\evil.bin")), NAME),
        ("a name that turns", complete(turned), NAME),
        ("no end", open, ""),
        ("nothing", Vec::new(), ""),
        ("a header line of 1 MiB", one(long_line, b"1"), ""),
        ("a text of 1 MiB", one(field("model"), &long), ""),
        (
            "a text that is no UTF-8",
            one(field("model"), b"\xff"),
            "UTF-8",
        ),
    ]
}

#[tokio::test]
async fn broken_forms_are_refused_and_leave_nothing() {
    const TYPE: &str = "multipart/form-data; boundary=x";
    let bench = Bench::start().await;
    let refuse = async |what: &str, content_type: &str, body: Vec<u8>, words: &str| {
        let begun = bench.clock.now().instant;
        let answer = bench.api.post_form(content_type, body).await;
        bench.check(what, &answer, bench.since(begun), words);
    };
    for (what, body, words) in bad_forms() {
        refuse(what, TYPE, body, words).await;
    }
    for content_type in [
        "multipart/form-data; boundary=y",
        "multipart/form-data",
        "application/json",
    ] {
        refuse(content_type, content_type, complete(file("a.zip")), "").await;
    }
    bench.end().await;
}
