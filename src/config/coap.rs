//! The device side.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;
use crate::engine::Onboarding;
use crate::model::TransmissionPreset;

/// `[coap]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CoapConfig {
    /// Where plain CoAP is heard; nothing is unless it is named.
    pub listen: Option<SocketAddr>,
    /// The host that devices fetch packages from; needed where `listen` names no address.
    pub public_host: Option<String>,
    /// Devices that nobody entered.
    pub onboarding: OnboardingConfig,
    /// CoAP timing towards devices.
    pub transmission: PresetConfig,
    /// How long after a restart no registration expires, at most its lifetime: what an Update prolonged
    /// was answered, and is not written down.
    #[serde(with = "humantime_serde")]
    pub restart_grace: Duration,
}

impl Default for CoapConfig {
    fn default() -> Self {
        Self {
            listen: None,
            public_host: None,
            onboarding: OnboardingConfig::Deny,
            transmission: PresetConfig::NbIot,
            restart_grace: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

impl CoapConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        check_time("coap.restart_grace", self.restart_grace, 0)?;
        match &self.public_host {
            Some(host) if !is_reachable_host(host) => Err(format!(
                "coap.public_host (--public-host): {host:?} is no address or host name that devices \
                 can reach; the port is that of coap.listen"
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// An address that is not a wildcard, or a host name (RFC 1123 §2.1). It becomes a part of the URI
/// that every device is told.
pub(super) fn is_reachable_host(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return !address.is_unspecified();
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    // What ends in a number would be an address, and is none.
    let is_name = |label: &str| label.bytes().any(|b| b.is_ascii_alphabetic());
    host.len() <= 253
        && host.split('.').all(is_label)
        && host.rsplit('.').next().is_some_and(is_name)
}

/// Whether a device that nobody entered may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnboardingConfig {
    /// Refused with 4.03.
    Deny,
    /// Entered as it comes.
    Allow,
}

impl From<OnboardingConfig> for Onboarding {
    fn from(config: OnboardingConfig) -> Self {
        match config {
            OnboardingConfig::Deny => Self::Deny,
            OnboardingConfig::Allow => Self::Allow,
        }
    }
}

/// A set of CoAP transmission parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresetConfig {
    /// ACK_TIMEOUT 2 s.
    Rfc7252,
    /// ACK_TIMEOUT 10 s.
    NbIot,
    /// ACK_TIMEOUT 200 ms.
    Loopback,
}

impl PresetConfig {
    /// The preset that it names.
    pub const fn preset(self) -> TransmissionPreset {
        match self {
            Self::Rfc7252 => TransmissionPreset::Rfc7252,
            Self::NbIot => TransmissionPreset::NbIot,
            Self::Loopback => TransmissionPreset::Loopback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_host_is_one_that_devices_can_reach() {
        for host in [
            "203.0.113.5",
            "2001:db8::1",
            "fota.example.org",
            "localhost",
            "a-1.b2",
        ] {
            assert!(is_reachable_host(host), "{host}");
        }
        let long = "x".repeat(64);
        for host in [
            "",
            "0.0.0.0",
            "::",
            "203.0.113.5:5683",
            "[2001:db8::1]",
            "203.0.113",
            "203.0.113.256",
            "coap://203.0.113.5",
            "a b",
            "a..b",
            "-a",
            "a/b",
            "主机",
            &long,
        ] {
            assert!(!is_reachable_host(host), "{host}");
        }
    }
}
