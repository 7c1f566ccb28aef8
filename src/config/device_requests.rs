//! What operators ask of devices, and what devices send of their own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;
use crate::engine::{DeviceRequestLimits, UplinkLimits};

/// The most of anything here that is kept of one device.
const KEPT_MAX: u32 = 1000;
/// The most requests in all.
const REQUESTS_MAX: usize = 1_000_000;
/// The longest uplink that can arrive, in bytes: a body in blocks.
const UPLINK_BYTES_MAX: usize = 64 * 1024;

/// `[device_requests]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceRequestsConfig {
    /// How long REST waits for the answer of a device that listens.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// How long a request waits for its device, where the operator does not say.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// The longest that an operator may say.
    #[serde(with = "humantime_serde")]
    pub ttl_max: Duration,
    /// Requests of one device that have not ended.
    pub waiting_per_device_max: u32,
    /// Requests of all devices that have not ended.
    pub waiting_max: usize,
    /// Ended requests of one device that are still shown.
    pub ended_per_device_max: u32,
}

impl Default for DeviceRequestsConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            ttl: Duration::from_secs(24 * 3600),
            ttl_max: Duration::from_secs(30 * 24 * 3600),
            waiting_per_device_max: 16,
            waiting_max: 100_000,
            ended_per_device_max: 16,
        }
    }
}

impl DeviceRequestsConfig {
    pub(super) fn limits(&self) -> DeviceRequestLimits {
        let count = |setting: u32| usize::try_from(setting).unwrap_or(usize::MAX);
        DeviceRequestLimits {
            waiting_per_device_max: count(self.waiting_per_device_max),
            waiting_max: self.waiting_max,
            ended_per_device_max: count(self.ended_per_device_max),
            ended_max: self.waiting_max,
        }
    }

    pub(super) fn check(&self, request_timeout: Duration) -> Result<(), String> {
        check_time("device_requests.ttl", self.ttl, 1000)?;
        check_time("device_requests.ttl_max", self.ttl_max, 1000)?;
        if self.ttl > self.ttl_max {
            return Err("device_requests.ttl must be at most device_requests.ttl_max".to_owned());
        }
        if self.wait >= request_timeout {
            return Err("device_requests.wait must be less than http.request_timeout".to_owned());
        }
        for (key, value) in [
            ("waiting_per_device_max", self.waiting_per_device_max),
            ("ended_per_device_max", self.ended_per_device_max),
        ] {
            check_count(&format!("device_requests.{key}"), value)?;
        }
        if !(1..=REQUESTS_MAX).contains(&self.waiting_max) {
            return Err(format!(
                "device_requests.waiting_max must be 1 to {REQUESTS_MAX}"
            ));
        }
        Ok(())
    }
}

/// `[uplinks]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UplinksConfig {
    /// How many of one device's are kept.
    pub kept_per_device: u32,
    /// The longest that is kept, in bytes.
    pub payload_bytes_max: usize,
}

impl Default for UplinksConfig {
    fn default() -> Self {
        let UplinkLimits {
            kept_per_device,
            payload_bytes_max,
        } = UplinkLimits::default();
        Self {
            kept_per_device,
            payload_bytes_max,
        }
    }
}

impl UplinksConfig {
    pub(super) const fn limits(self) -> UplinkLimits {
        UplinkLimits {
            kept_per_device: self.kept_per_device,
            payload_bytes_max: self.payload_bytes_max,
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        check_count("uplinks.kept_per_device", self.kept_per_device)?;
        if !(1..=UPLINK_BYTES_MAX).contains(&self.payload_bytes_max) {
            return Err(format!(
                "uplinks.payload_bytes_max must be 1 to {UPLINK_BYTES_MAX}"
            ));
        }
        Ok(())
    }
}

fn check_count(key: &str, value: u32) -> Result<(), String> {
    if !(1..=KEPT_MAX).contains(&value) {
        return Err(format!("{key} must be 1 to {KEPT_MAX}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_engine() {
        let limits = DeviceRequestsConfig::default().limits();
        assert_eq!(limits, DeviceRequestLimits::default());
        assert_eq!(UplinksConfig::default().limits(), UplinkLimits::default());
    }

    #[test]
    fn a_wait_that_no_request_lives_to_see_is_named() {
        let minute = Duration::from_secs(60);
        let config = DeviceRequestsConfig {
            wait: minute,
            ..DeviceRequestsConfig::default()
        };
        assert!(config.check(minute).unwrap_err().contains("wait"));
        assert!(DeviceRequestsConfig::default().check(minute).is_ok());
    }
}
