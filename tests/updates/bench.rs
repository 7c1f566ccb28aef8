//! One server, one device, one package.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::device::{Device, Stack, until};
use crate::firmware::Firmware;
use crate::rest::{Rest, text};
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(45);
pub(crate) const IMAGE_BYTES: usize = 20_011;

/// A server that knows one device, `meter-1`, and has a package.
pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) rest: Rest,
    pub(crate) firmware: Firmware,
    pub(crate) package: u64,
}

impl Bench {
    pub(crate) const ENDPOINT: &str = "meter-1";

    pub(crate) async fn new(settings: &str) -> Self {
        Self::with_image(settings, IMAGE_BYTES).await
    }

    pub(crate) async fn with_image(settings: &str, image_bytes: usize) -> Self {
        let server = Server::start(settings);
        let rest = server.rest();
        let firmware = Firmware::new(image_bytes);
        let package = rest.upload(&firmware).await;
        rest.enter(Self::ENDPOINT).await;
        Self {
            server,
            rest,
            firmware,
            package,
        }
    }

    pub(crate) async fn device(&self, options: &[&str]) -> Device {
        self.device_by(Stack::Wakaama, options).await
    }

    /// Starts a device and waits until the server shows it as registered.
    pub(crate) async fn device_by(&self, stack: Stack, options: &[&str]) -> Device {
        self.device_at(stack, self.server.coap(), options).await
    }

    /// The same of a device that knows the server by another address.
    pub(crate) async fn device_at(
        &self,
        stack: Stack,
        server: SocketAddr,
        options: &[&str],
    ) -> Device {
        let device = Device::start_by(stack, server, Self::ENDPOINT, options);
        until(Self::ENDPOINT, &self.rest, |shown| {
            shown["registered"] == true
        })
        .await;
        device
    }

    /// A campaign for the one device, without a second attempt.
    pub(crate) async fn activate(&self) -> u64 {
        let endpoints = [Self::ENDPOINT];
        self.rest.run_campaign(self.package, &endpoints, 0).await
    }

    pub(crate) async fn update(&self) -> Value {
        let campaign = self.activate().await;
        self.end(campaign).await
    }

    /// Waits for the end of the one task.
    pub(crate) async fn end(&self, campaign: u64) -> Value {
        let task = self.server.end_of_one(campaign, PATIENCE).await;
        if task["state"] != "succeeded" {
            // Shown where the test fails.
            println!("{}", self.server.report(campaign).await);
        }
        task
    }

    pub(crate) async fn shown(&self) -> Value {
        self.rest.get(&format!("/devices/{}", Self::ENDPOINT)).await
    }

    /// The device's own log: one whole download of the right bytes from one URI, one Execute without
    /// argument.
    pub(crate) fn check_installed_once(&self, device: &mut Device) {
        self.check_downloaded_once(device);
        check_executed_once(device);
    }

    /// The same up to the download.
    pub(crate) fn check_downloaded_once(&self, device: &mut Device) {
        assert_eq!(device.written("/5/0/1").len(), 1);
        let downloads = device.all("downloaded");
        assert_eq!(downloads.len(), 1, "{downloads:#?}");
        let sha256 = self.firmware.sha256().to_string();
        assert_eq!(downloads[0]["sha256"], sha256.as_str());
    }
}

pub(crate) fn check_executed_once(device: &mut Device) {
    let executes = device.all("execute");
    assert_eq!(executes.len(), 1, "{executes:#?}");
    let execute = &executes[0];
    assert_eq!(
        (&execute["path"], &execute["argument"], &execute["accepted"]),
        (&json!("/5/0/2"), &json!(""), &json!(true))
    );
}

pub(crate) fn check_succeeded(task: &Value, note: Option<&str>) {
    assert_eq!(task["state"], "succeeded", "{task:#}");
    assert_eq!(task["failure"], Value::Null, "{task:#}");
    assert_eq!(task["note"].as_str(), note, "{task:#}");
    assert_eq!(task["attempt"], 1, "{task:#}");
}

/// Failed after one attempt, with this code, and with this in the evidence.
pub(crate) fn check_failed(task: &Value, code: &str, seen: &str) {
    assert_eq!(task["state"], "failed", "{task:#}");
    assert_eq!(task["failure"]["code"], code, "{task:#}");
    let evidence = text(&task["failure"]["evidence"]);
    assert!(evidence.contains(seen), "{evidence}");
    assert_eq!(task["attempt"], 1, "{task:#}");
}
