//! Large packages through the real program: how much memory they take, and what is left of those that
//! stop in the middle.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use narrowcast::clock::SystemClock;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::packages::{PRIVATE_PEM, PUBLIC_PEM, enter_key};
use crate::program::run;
use crate::server::{Api, DEVICE_TYPE, MANUFACTURER, MODEL, Server, Site};

const MEBIBYTE: u64 = 1 << 20;
/// How much more memory anything may take that is not an image of a running campaign.
const GROWTH_MAX_BYTES: u64 = 48 * MEBIBYTE;
/// The largest firmware file.
const IMAGE_BYTES: usize = 100 << 20;

const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// Signs a file of the site's folder; the signed package.
fn sign(site: &Site, input: &str) -> Vec<u8> {
    fs::write(site.path().join("private.pem"), PRIVATE_PEM).unwrap();
    let sign = ["sign", "--key", "private.pem", input];
    let signed = run(site.path(), &sign).exits(0).stdout;
    fs::read(site.path().join(signed.trim_end())).unwrap()
}

/// An image of the largest size that does not compress.
fn stored(site: &Site) -> Vec<u8> {
    let mut image = vec![0; IMAGE_BYTES];
    StdRng::seed_from_u64(1).fill_bytes(&mut image);
    fs::write(site.path().join("FW.bin"), image).unwrap();
    sign(site, "FW.bin")
}

/// One whose archive has a third of its image's size.
fn deflated(site: &Site, image_bytes: usize) -> Vec<u8> {
    let mut image = vec![0; image_bytes];
    for chunk in image.chunks_mut(3 << 10) {
        let third = chunk.len() / 3;
        StdRng::seed_from_u64(2).fill_bytes(&mut chunk[..third]);
    }
    let zip = fs::File::create(site.path().join("FWZ.zip")).unwrap();
    let mut zip = ZipWriter::new(zip);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1));
    zip.start_file("FW.bin", options).unwrap();
    zip.write_all(&image).unwrap();
    zip.finish().unwrap();
    let package = sign(site, "FWZ.zip");
    assert!(package.len() < image_bytes / 2);
    package
}

async fn draft(api: &Api, package: &Value, device: &str) -> String {
    let device = json!({
        "endpoint": device,
        "manufacturer": MANUFACTURER,
        "model": MODEL,
        "device_type": DEVICE_TYPE,
    });
    api.post("/api/v1/devices", &device).await.is(201);
    let targets = json!({ "devices": [device["endpoint"]] });
    let campaign = json!({ "name": "n", "package_id": package["id"], "targets": targets });
    let campaign = api.post("/api/v1/campaigns", &campaign).await.is(201);
    format!("/api/v1/campaigns/{}", campaign["id"])
}

/// By how much the most memory that the server had grew meanwhile.
async fn growth<T>(server: &Server, work: impl Future<Output = T>) -> (u64, T) {
    server.forget_peak();
    let before = server.memory_bytes("VmRSS");
    let result = work.await;
    let peak = server.memory_bytes("VmHWM");
    (peak.saturating_sub(before), result)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_packages_are_taken_in_constant_memory_and_an_image_is_in_memory_once() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&["--coap", "127.0.0.1:0"]);
    enter_key(&api, PUBLIC_PEM).await;
    let mut packages = Vec::new();
    for (what, archive) in [
        ("deflated", deflated(&site, IMAGE_BYTES)),
        ("stored", stored(&site)),
    ] {
        let (growth, answer) = growth(&server, api.upload(archive)).await;
        packages.push(answer.is(201));
        assert!(growth < GROWTH_MAX_BYTES, "{what}: {growth}");
    }

    let idle = server.memory_bytes("VmRSS");
    let image_bytes = IMAGE_BYTES as u64;
    let activate = async |campaign: &str| {
        let path = format!("{campaign}/activate");
        api.post(&path, &json!({})).await.is(200);
    };
    let first = draft(&api, &packages[1], "d1").await;
    let (grown, ()) = growth(&server, activate(&first)).await;
    assert!(grown > image_bytes, "it is served from memory: {grown}");
    assert!(grown < image_bytes + GROWTH_MAX_BYTES, "{grown}");

    let second = draft(&api, &packages[1], "d2").await;
    let (grown, ()) = growth(&server, activate(&second)).await;
    assert!(grown < GROWTH_MAX_BYTES, "the same again: {grown}");

    for campaign in [first, second] {
        let path = format!("{campaign}/stop");
        api.post(&path, &json!({})).await.is(200);
        assert_eq!(api.get(&campaign).await.is(200)["state"], "stopped");
    }
    let left = server.memory_bytes("VmRSS").saturating_sub(idle);
    assert!(left < GROWTH_MAX_BYTES, "no campaign needs it: {left}");
}

/// All files of packages, whole and in part.
pub(crate) fn package_files(site: &Site) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let shelves = list(&site.data().join("packages"));
    shelves.iter().flat_map(|shelf| list(shelf)).collect()
}

/// Waits until the files of packages are as they should be.
fn wait_for(site: &Site, what: &str, are: impl Fn(&[PathBuf]) -> bool) {
    let clock = SystemClock::new();
    loop {
        let files = package_files(site);
        if are(&files) {
            return;
        }
        assert!(
            clock.now().instant.since_origin() < PATIENCE,
            "{what}: still {files:?}"
        );
        std::thread::sleep(POLL);
    }
}

/// How an upload ends.
const FORM_END: &str = "\r\n--x--\r\n";

/// An upload of which only [`FORM_END`] is missing, a mebibyte of whose archive is on the disk.
fn half_upload(site: &Site, server: &Server, token: &str) -> TcpStream {
    let archive = vec![7; 2 << 20];
    let field = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let body_bytes = field.len() + archive.len() + FORM_END.len();
    let head = format!(
        "POST /api/v1/packages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {body_bytes}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(server.listener("http")).unwrap();
    for part in [head.as_bytes(), field.as_bytes(), &archive] {
        stream.write_all(part).unwrap();
    }
    wait_for(site, "half an archive", |files| {
        let [file] = files else {
            return false;
        };
        fs::metadata(file).is_ok_and(|metadata| metadata.len() >= MEBIBYTE)
    });
    stream
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let site = Site::new();
    let token = site.token("admin", "admin");
    let server = site.serve(&[]);
    let stream = half_upload(&site, &server, &token);
    drop(stream);
    wait_for(&site, "the client has gone", <[PathBuf]>::is_empty);

    // One that ends without its other fields.
    let mut stream = half_upload(&site, &server, &token);
    stream.write_all(FORM_END.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 422");
    assert!(package_files(&site).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let (server, api) = site.serve_admin(&[]);
    enter_key(&api, PUBLIC_PEM).await;
    // The archive has a third of its image's size.
    let package = deflated(&site, 3 << 20);
    for bytes_max in [package.len() / 2, package.len() * 2] {
        server.limit_files(&bytes_max.to_string());
        let refused = api.upload(package.clone()).await;
        refused.is_problem(507, "no_space_left");
        assert!(package_files(&site).is_empty());
    }
    server.limit_files("unlimited");
    api.upload(package).await.is(201);
}

#[test]
fn a_server_killed_in_the_middle_of_an_upload_starts_without_it() {
    let site = Site::new();
    let token = site.token("admin", "admin");
    let server = site.serve(&[]);
    let _stream = half_upload(&site, &server, &token);
    server.end_by("KILL");
    assert_eq!(package_files(&site).len(), 1, "nobody could take it away");
    let _server = site.serve(&[]);
    assert!(package_files(&site).is_empty());
}
