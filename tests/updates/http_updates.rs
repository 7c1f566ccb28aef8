//! Whole updates of devices that fetch their package by HTTP.

use serde_json::json;

use crate::bench::{Bench, check_executed_once, check_failed, check_succeeded};
use crate::device::Device;
use crate::server::SHORT_TIMES;

fn by_http() -> String {
    format!("{SHORT_TIMES}download = \"http\"\n")
}

fn check_uri(bench: &Bench, device: &mut Device) {
    let uris = device.written("/5/0/1");
    assert_eq!(uris.len(), 1, "{uris:?}");
    let base = format!("http://{}/fw/", bench.server.device_http());
    let rest = uris[0].strip_prefix(&base).unwrap();
    let (capability, file_name) = rest.split_once('/').unwrap();
    assert_eq!((capability.len(), file_name), (32, "firmware.bin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_fetches_its_package_by_http_and_installs_it() {
    let bench = Bench::new(&by_http()).await;
    let mut device = bench.device(&[]).await;
    check_succeeded(&bench.update().await, None);
    check_uri(&bench, &mut device);
    bench.check_installed_once(&mut device);
    // The session saw the package being fetched, as it sees blocks.
    let steps = bench.rest.steps(Bench::ENDPOINT).await;
    let mut told = steps.iter();
    for step in ["uri_written", "download_begun", "downloaded", "succeeded"] {
        assert!(told.any(|one| one == step), "{step} in {steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_is_pushed_needs_no_url() {
    let settings = format!("{}delivery = \"push\"\n", by_http());
    let bench = Bench::new(&settings).await;
    let mut device = bench.device(&["--push-only"]).await;
    check_succeeded(&bench.update().await, None);
    assert!(device.written("/5/0/1").is_empty());
    check_executed_once(&mut device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_lists_other_protocols_is_given_no_url() {
    let bench = Bench::new(&by_http()).await;
    let mut device = bench.device(&["--protocols", "0,1"]).await;
    let task = bench.update().await;
    check_failed(&task, "unsupported_protocol", "/5/0/8 = 0, 1");
    assert!(device.written("/5/0/1").is_empty());
    assert_eq!(device.all("execute"), Vec::<serde_json::Value>::new());
    let shown = bench.shown().await;
    assert_eq!(shown["firmware_version"], json!("1.0.0"));
}
