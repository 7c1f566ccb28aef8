//! The device side.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// How long after a restart no registration expires.
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
            restart_grace: Duration::from_secs(3600),
        }
    }
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
