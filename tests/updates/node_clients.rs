//! Whole updates of devices by coap-node and lwm2m-node-lib.

use crate::bench::{Bench, check_failed, check_succeeded};
use crate::device::Stack;
use crate::rest::TARGET_VERSION;
use crate::server::SHORT_TIMES;

/// A device that checks what it has fetched against this hash.
async fn updated(stack: Stack) {
    let bench = Bench::new(SHORT_TIMES).await;
    let sha256 = bench.firmware.sha256().to_string();
    let options = ["--sha256", &sha256, "--snr", "9"];
    let mut device = bench.device_by(stack, &options).await;
    check_succeeded(&bench.update().await, None);
    bench.check_installed_once(&mut device);
    assert_eq!(device.all("rebooted").len(), 1);
    let shown = bench.shown().await;
    assert_eq!(shown["firmware_version"], TARGET_VERSION, "{shown:#}");
    assert_eq!(shown["cell_id"], 123_456_789, "{shown:#}");
    assert_eq!(shown["rsrp_dbm"], -97, "{shown:#}");
    assert_eq!(shown["tier"], "0", "{shown:#}");
}

async fn install_fails(stack: Stack) {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device_by(stack, &["--update-fail"]).await;
    check_failed(&bench.update().await, "update_failed", "/5/0/5 = 8");
    bench.check_installed_once(&mut device);
    assert!(device.all("rebooted").is_empty());
    assert_eq!(bench.shown().await["firmware_version"], "1.0.0");
}

async fn hash_differs(stack: Stack) {
    let bench = Bench::new(SHORT_TIMES).await;
    let other = "0".repeat(64);
    let mut device = bench.device_by(stack, &["--sha256", &other]).await;
    let task = bench.update().await;
    check_failed(&task, "integrity_check_failed", "/5/0/5 = 5");
    bench.check_downloaded_once(&mut device);
    assert!(device.all("execute").is_empty());
    assert_eq!(bench.shown().await["firmware_version"], "1.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_by_coap_node_is_updated() {
    updated(Stack::CoapNode).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_by_lwm2m_node_lib_is_updated() {
    updated(Stack::Lwm2mNodeLib).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_install_on_coap_node_fails_the_task() {
    install_fails(Stack::CoapNode).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_install_on_lwm2m_node_lib_fails_the_task() {
    install_fails(Stack::Lwm2mNodeLib).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hash_on_coap_node_fails_the_task() {
    hash_differs(Stack::CoapNode).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_hash_on_lwm2m_node_lib_fails_the_task() {
    hash_differs(Stack::Lwm2mNodeLib).await;
}
