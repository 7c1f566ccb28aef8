//! What must not be taken as a package, sent to the real program: broken zips, forged signatures, broken
//! forms. Each is refused for its own reason and leaves nothing on the disk, in little memory; a sound
//! package is taken before and after.

use std::time::{Duration, Instant};

use narrowcast::model::Sha256Digest;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fixture::{
    OTHER_PUBLIC_PEM, container, encoded_message, firmware, inner, private_operation, signed,
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
        };
        bench.control().await;
        bench.resident_bytes = bench.server.memory_bytes("VmRSS");
        bench.server.forget_peak();
        bench
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
        eprintln!("memory grew by {} KiB", growth >> 10);
        assert!(growth < GROWTH_MAX_BYTES, "{growth}");
        self.control().await;
        assert!(!self.site.path().join("evil.bin").exists());
        assert!(!self.site.data().join("evil.bin").exists());
    }
}

fn item() -> Item {
    Item::stored("FW.bin", &firmware())
}

fn with(change: impl FnOnce(&mut Item)) -> Vec<u8> {
    Zip::of([item().with(change)]).bytes()
}

fn with_local(change: impl FnOnce(&mut Item)) -> Vec<u8> {
    Zip::of([item().with_local(change)]).bytes()
}

fn zip_with(change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    Zip::of([item()]).with(change).bytes()
}

/// Zips that say two things, lie, or hold what no package holds; and what is said of each.
fn bad_zips() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = inner();
    let zeros = vec![0; 64 << 20];
    let bomb = Item::deflated("FW.bin", &zeros);
    let lying_bomb = bomb.clone().with(|item| item.size = 1000);
    let twice = |second: &str| Zip::of([item(), Item::stored(second, b"other")]).bytes();
    let many = |count: usize| {
        let items = (0..count).map(|number| Item::stored(&format!("{number}.bin"), b"x"));
        Zip::of(items).bytes()
    };
    let one = Item::stored("FW.bin", b"x");
    let crowd = Zip::of(vec![one; 2000]).with(|zip| zip.count = Some(65_000));
    vec![
        (
            "a bomb of 64 MiB",
            Zip::of([bomb]).bytes(),
            "more than 200 times",
        ),
        (
            "a bomb that says 1000 bytes",
            Zip::of([lying_bomb]).bytes(),
            "is damaged",
        ),
        ("a size that is too small", with(|item| item.size -= 1), ""),
        ("a size that is too large", with(|item| item.size += 1), ""),
        (
            "a packed size that is too large",
            with(|item| item.packed_size += 9),
            "",
        ),
        (
            "a checksum of other bytes",
            with(|item| item.crc ^= 1),
            "is damaged",
        ),
        (
            "a firmware over the limit",
            with(|item| {
                item.size = 101 << 20;
                item.packed_size = 101 << 20;
            }),
            "",
        ),
        (
            "overlapping entries",
            Zip::of([item(), item().with(|it| it.name = b"2.bin".to_vec())])
                .with(|zip| zip.overlap = true)
                .bytes(),
            "without gaps",
        ),
        ("65,000 entries", crowd.bytes(), "entries"),
        ("2000 entries", many(2000), "2000 entries"),
        ("a count that lies", zip_with(|zip| zip.count = Some(2)), ""),
        (
            "a way up",
            with(|item| item.name = b"../evil.bin".to_vec()),
            "not an accepted name",
        ),
        (
            "an absolute path",
            with(|item| item.name = b"/evil.bin".to_vec()),
            "not an accepted name",
        ),
        (
            "a path of Windows",
            with(|item| item.name = b"..\\evil.bin".to_vec()),
            "not an accepted name",
        ),
        (
            "a zero in a name",
            with(|item| item.name = b"FW.bin\0.txt".to_vec()),
            "not an accepted name",
        ),
        (
            "a name that turns its direction",
            with(|item| {
                item.name = "FW\u{202e}nib.exe".as_bytes().to_vec();
            }),
            "not an accepted name",
        ),
        (
            "a name over 63 bytes",
            with(|item| {
                item.name = format!("{}.bin", "x".repeat(60)).into_bytes();
            }),
            "63 bytes",
        ),
        (
            "no kind of firmware",
            with(|item| item.name = b"FW.exe".to_vec()),
            "no firmware file",
        ),
        (
            "a symbolic link",
            with(|item| item.attributes = 0o120_777 << 16),
            "folder or a link",
        ),
        (
            "a folder",
            with(|item| item.name = b"folder/".to_vec()),
            "folder or a link",
        ),
        ("encrypted", with(|item| item.flags = 1), "encrypted"),
        (
            "a data descriptor",
            with(|item| item.flags = 8),
            "data descriptor",
        ),
        ("unknown flags", with(|item| item.flags = 1 << 13), "flags"),
        (
            "an unknown method",
            with(|item| item.method = 12),
            "compression method",
        ),
        (
            "an unknown extra field",
            with(|item| {
                item.local_extra = vec![0x34, 0x12, 0, 0];
                item.central_extra = item.local_extra.clone();
            }),
            "extra field",
        ),
        ("zip64", with(|item| item.size = u32::MAX), "zip64"),
        ("a name twice", twice("FW.bin"), "twice"),
        ("a name twice but for its case", twice("fw.BIN"), "twice"),
        (
            "two names for one entry",
            with_local(|item| item.name = b"XX.bin".to_vec()),
            "headers",
        ),
        (
            "two sizes for one entry",
            with_local(|item| item.size += 1),
            "headers",
        ),
        (
            "two methods for one entry",
            with_local(|item| item.method = 8),
            "headers",
        ),
        (
            "cut short",
            whole[..whole.len() - 30].to_vec(),
            "zip directory",
        ),
        (
            "bytes behind it",
            zip_with(|zip| zip.trailing = b"more".to_vec()),
            "zip directory",
        ),
        (
            "bytes before it",
            zip_with(|zip| zip.prefix = b"#!/bin/sh\n".to_vec()),
            "without gaps",
        ),
        (
            "a gap",
            zip_with(|zip| zip.gap = vec![0; 7]),
            "without gaps",
        ),
        (
            "a comment",
            zip_with(|zip| zip.comment = b"comment".to_vec()),
            "zip directory",
        ),
        (
            "two ends",
            [whole.as_slice(), &whole[whole.len() - 22..]].concat(),
            "",
        ),
        ("no firmware", Zip::default().bytes(), "no firmware file"),
        (
            "an empty firmware",
            Zip::of([Item::stored("FW.bin", b"")]).bytes(),
            "is empty",
        ),
        ("six files", many(6), "6 firmware files"),
        (
            "a signed package within",
            signed(&whole),
            "signed package already",
        ),
        (
            "a statement that is none",
            Zip::of([item(), Item::stored("package-info.json", b"{}")]).bytes(),
            "package-info.json",
        ),
        (
            "no zip at all",
            b"no zip at all, and yet longer than an end record is".to_vec(),
            "zip",
        ),
    ]
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
            let begun = Instant::now();
            let answer = bench.api.upload_file("FW.zip", content, texts).await;
            bench.check(&format!("{what}, {way}"), &answer, begun.elapsed(), words);
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
        let begun = Instant::now();
        let answer = bench.api.upload(archive).await;
        bench.check(what, &answer, begun.elapsed(), words);
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
    let begun = Instant::now();
    let answer = bench.api.upload(unsigned).await;
    bench.check("unsigned", &answer, begun.elapsed(), "not a signed package");
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

#[tokio::test]
async fn broken_forms_are_refused_and_leave_nothing() {
    const TYPE: &str = "multipart/form-data; boundary=x";
    let bench = Bench::start().await;
    let archive = signed(&inner());
    let many = |head: String| vec![(head, b"1".to_vec()); 20_000];
    let product = ["manufacturer", "model", "device_type", "version"];
    let complete = |head: String| {
        let mut parts: Vec<_> = product
            .iter()
            .map(|name| (field(name), b"quectel".to_vec()))
            .collect();
        parts.push((field("protocol"), b"LWM2M".to_vec()));
        parts.push((head, archive.clone()));
        form(&parts)
    };
    let mut open = complete(file("a.zip"));
    open.truncate(open.len() - 9);
    let with_line = format!("{}\r\nx-long: {}", field("model"), "y".repeat(1 << 20));
    for (what, content_type, body, words) in [
        (
            "20,000 source versions",
            TYPE,
            form(&many(field("source_versions"))),
            "at most 64",
        ),
        ("20,000 files", TYPE, form(&many(file("a.zip"))), "twice"),
        (
            "20,000 unknown fields",
            TYPE,
            form(&many(field("colour"))),
            "not known",
        ),
        (
            "20,000 parts without a name",
            TYPE,
            form(&many("x-nothing: 1".to_owned())),
            "",
        ),
        (
            "a way up",
            TYPE,
            complete(file("../../evil.bin")),
            "plain file name",
        ),
        (
            "a path of Windows",
            TYPE,
            complete(file("..\\\\evil.bin")),
            "plain file name",
        ),
        (
            "a name that turns",
            TYPE,
            complete(file("FW\u{202e}piz.bin")),
            "plain file name",
        ),
        ("no end", TYPE, open, ""),
        (
            "another boundary",
            "multipart/form-data; boundary=y",
            complete(file("a.zip")),
            "",
        ),
        (
            "no boundary",
            "multipart/form-data",
            complete(file("a.zip")),
            "",
        ),
        ("no form", "application/json", b"{}".to_vec(), ""),
        ("nothing", TYPE, Vec::new(), ""),
        (
            "a header line of 1 MiB",
            TYPE,
            form(&[(with_line, b"1".to_vec())]),
            "",
        ),
        (
            "a text of 1 MiB",
            TYPE,
            form(&[(field("model"), vec![b'x'; 1 << 20])]),
            "",
        ),
        (
            "a text that is no UTF-8",
            TYPE,
            form(&[(field("model"), vec![0xff])]),
            "UTF-8",
        ),
    ] {
        let begun = Instant::now();
        let answer = bench.api.post_form(content_type, body).await;
        bench.check(what, &answer, begun.elapsed(), words);
    }
    bench.end().await;
}
