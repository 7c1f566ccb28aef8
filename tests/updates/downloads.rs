//! The package of a running task, fetched by libcoap and by aiocoap: the same bytes whatever is asked.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::bench::{Bench, IMAGE_BYTES};
use crate::device::Device;
use crate::peers;
use crate::server::SHORT_TIMES;

/// 16 to 1024 bytes (RFC 7959 §2.2).
const EXPONENTS: std::ops::RangeInclusive<u32> = 0..=6;

/// A task whose device has its URI and thinks about it for longer than the test takes.
pub(crate) struct Held {
    pub(crate) bench: Bench,
    _device: Device,
    pub(crate) campaign: u64,
    pub(crate) uri: String,
}

impl Held {
    pub(crate) async fn new() -> Self {
        Self::of(IMAGE_BYTES).await
    }

    pub(crate) async fn of(image_bytes: usize) -> Self {
        let held = Self::by("coap", "", image_bytes).await;
        let base = format!("coap://{}/fw/", held.bench.server.coap());
        assert!(held.uri.starts_with(&base), "{}", held.uri);
        held
    }

    pub(crate) async fn by_http(image_bytes: usize) -> Self {
        Self::by_http_within("", image_bytes).await
    }

    /// By HTTP, with these settings beside the others.
    pub(crate) async fn by_http_within(settings: &str, image_bytes: usize) -> Self {
        Self::by("http", settings, image_bytes).await
    }

    async fn by(protocol: &str, settings: &str, image_bytes: usize) -> Self {
        // The device says State 0 all the while: it is not to be asked. Those that fetch take their time.
        let patient = SHORT_TIMES
            .replace(
                "silence_before_result_read = \"3s\"",
                "silence_before_result_read = \"5m\"",
            )
            .replace(
                "download_stall_timeout = \"20s\"",
                "download_stall_timeout = \"5m\"",
            );
        let patient = format!("{patient}download = \"{protocol}\"\n{settings}");
        let bench = Bench::with_image(&patient, image_bytes).await;
        let mut device = bench.device(&["--think-seconds", "100"]).await;
        let campaign = bench.activate().await;
        device.wait_for("write").await;
        let uri = device.written("/5/0/1").remove(0);
        Self {
            bench,
            _device: device,
            campaign,
            uri,
        }
    }

    pub(crate) fn check(&self, fetched: &[u8], how: &str) {
        let image = &self.bench.firmware.image;
        assert_eq!(fetched.len(), image.len(), "{how}");
        assert!(fetched == image, "other bytes: {how}");
    }
}

/// What `coap-client-notls` writes, and what it says.
pub(crate) fn libcoap(arguments: &[&str], uri: &str) -> (Vec<u8>, Output) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("image");
    let output = Command::new(peers::on_path("coap-client-notls"))
        .args(["-B", "30", "-o"])
        .arg(&file)
        .args(arguments)
        .arg(uri)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (fs::read(&file).unwrap_or_default(), output)
}

fn aiocoap(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn libcoap_fetches_the_image_at_every_block_size() {
    let held = Held::new().await;
    for exponent in EXPONENTS {
        let size = (16 << exponent).to_string();
        for reliability in [&[][..], &["-N"]] {
            let arguments = [&["-b", &size], reliability].concat();
            let (image, said) = libcoap(&arguments, &held.uri);
            held.check(&image, &format!("{arguments:?}: {said:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libcoap_fetches_the_image_without_naming_a_block_size() {
    let held = Held::new().await;
    for arguments in [&[][..], &["-N"]] {
        let (image, said) = libcoap(arguments, &held.uri);
        held.check(&image, &format!("{arguments:?}: {said:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aiocoap_fetches_the_image_at_every_block_size() {
    let held = Held::new().await;
    for exponent in EXPONENTS {
        let output = aiocoap(
            Command::new(peers::installed("aiocoap/bin/python3"))
                .arg(peers::root().join("tests/updates/fetch.py"))
                .args([&held.uri, &exponent.to_string()]),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        held.check(&output.stdout, &format!("SZX {exponent}: {said}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aiocoap_fetches_the_image_without_naming_a_block_size() {
    let held = Held::new().await;
    for reliability in [&[][..], &["--non"]] {
        let output = aiocoap(
            Command::new(peers::installed("bin/aiocoap-client"))
                .arg("--quiet")
                .args(reliability)
                .arg(&held.uri),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        held.check(&output.stdout, &format!("{reliability:?}: {said}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lacks_the_capability_gets_nothing() {
    let held = Held::new().await;
    let (rest, last) = held.uri.split_at(held.uri.len() - 1);
    let other = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    let (image, said) = libcoap(&[], &other);
    assert!(image.is_empty());
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("4.04"), "{said}");
}
