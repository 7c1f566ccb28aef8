//! How often one device may register.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;
use crate::lwm2m::RegisterRateConfig;

/// The most endpoints whose Registers may be counted.
const ENDPOINTS_MAX: usize = 2_000_000;

/// `[register_rate]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegisterRateSettings {
    /// So many Registers of one device are accepted within the window.
    pub registers_max: u32,
    /// How long the window is; it begins with the first of them.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// Of how many devices they are counted; for one more the oldest window is forgotten.
    pub endpoints_max: usize,
}

impl Default for RegisterRateSettings {
    fn default() -> Self {
        let RegisterRateConfig {
            registers_max,
            window,
            endpoints_max,
        } = RegisterRateConfig::default();
        Self {
            registers_max,
            window,
            endpoints_max,
        }
    }
}

impl RegisterRateSettings {
    pub(super) fn rate(self) -> RegisterRateConfig {
        RegisterRateConfig {
            registers_max: self.registers_max,
            window: self.window,
            endpoints_max: self.endpoints_max,
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        if self.registers_max == 0 {
            return Err("register_rate.registers_max must be at least 1".to_owned());
        }
        if !(1..=ENDPOINTS_MAX).contains(&self.endpoints_max) {
            return Err(format!(
                "register_rate.endpoints_max must be 1 to {ENDPOINTS_MAX}"
            ));
        }
        check_time("register_rate.window", self.window, 1)
    }
}
