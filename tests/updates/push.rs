//! The package pushed to a Wakaama device by `/5/0/0`, in blocks (RFC 7959 §2.5).

use serde_json::json;

use crate::bench::{Bench, IMAGE_BYTES, check_executed_once, check_failed, check_succeeded};
use crate::device::Device;
use crate::server::SHORT_TIMES;

async fn bench(delivery: &str) -> Bench {
    Bench::new(&format!("{SHORT_TIMES}delivery = \"{delivery}\"\n")).await
}

/// The device's own log: the package's bytes once, no URI, one Execute.
fn check_pushed_once(bench: &Bench, device: &mut Device) {
    assert!(device.written("/5/0/1").is_empty());
    let pushed = device.all("pushed");
    assert_eq!(pushed.len(), 1, "{pushed:#?}");
    let sha256 = bench.firmware.sha256().to_string();
    assert_eq!(pushed[0]["sha256"], sha256.as_str());
    assert_eq!(pushed[0]["size_bytes"], json!(IMAGE_BYTES));
    check_executed_once(device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_only_pushes_is_updated() {
    for delivery in ["auto", "push"] {
        let bench = bench(delivery).await;
        let mut device = bench.device(&["--push-only"]).await;
        check_succeeded(&bench.update().await, None);
        check_pushed_once(&bench, &mut device);
        assert_eq!(device.all("rebooted").len(), 1);
        let steps = bench.rest.steps(Bench::ENDPOINT).await;
        let mut told = steps.iter();
        for step in [
            "download_begun",
            "downloaded",
            "execute_intended",
            "succeeded",
        ] {
            assert!(told.any(|one| one == step), "{step} in {steps:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_both_fetches() {
    let bench = bench("auto").await;
    let mut device = bench.device(&[]).await;
    check_succeeded(&bench.update().await, None);
    bench.check_installed_once(&mut device);
    assert!(device.all("pushed").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_only_pushes_refuses_a_uri() {
    let bench = bench("pull").await;
    let mut device = bench.device(&["--push-only"]).await;
    check_failed(&bench.update().await, "invalid_uri", "4.05");
    assert!(device.all("execute").is_empty());
}
