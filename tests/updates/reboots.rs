//! Reboots: the device's, on its port or another, and the server's in the middle of an update.

use crate::bench::{Bench, check_succeeded};
use crate::device::Device;
use crate::rest::TARGET_VERSION;
use crate::server::SHORT_TIMES;

fn ports(device: &mut Device) -> Vec<u64> {
    let started = device.all("started").into_iter();
    started.map(|line| line["port"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_back_on_its_port_has_succeeded() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--reboot-seconds", "2"]).await;
    check_succeeded(&bench.update().await, None);
    bench.check_installed_once(&mut device);
    let ports = ports(&mut device);
    assert_eq!(ports.len(), 2);
    assert_eq!(ports[0], ports[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_comes_back_on_another_port_has_succeeded() {
    let bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--roam"]).await;
    check_succeeded(&bench.update().await, None);
    bench.check_installed_once(&mut device);
    let ports = ports(&mut device);
    assert_eq!(ports.len(), 2);
    assert_ne!(ports[0], ports[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_as_the_download_begins_goes_on_under_the_same_uri() {
    let mut bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--think-seconds", "0.3"]).await;
    let campaign = bench.activate().await;
    device.wait_for("write").await;
    bench.server.kill();
    // State 1: it asks for the first block of a server that is down, and asks again.
    device.wait_for("resource").await;
    bench.server.restart();
    check_succeeded(&bench.end(campaign).await, None);
    bench.check_installed_once(&mut device);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_after_execute_reads_the_outcome_and_does_not_execute_again() {
    let mut bench = Bench::new(SHORT_TIMES).await;
    let mut device = bench.device(&["--reboot-seconds", "2"]).await;
    let campaign = bench.activate().await;
    device.wait_for("execute").await;
    bench.server.kill();
    bench.server.restart();
    check_succeeded(&bench.end(campaign).await, None);
    bench.check_installed_once(&mut device);
    assert_eq!(bench.shown().await["firmware_version"], TARGET_VERSION);
}
