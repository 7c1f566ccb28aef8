//! When several devices under one endpoint name are taken for such.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;
use crate::lwm2m::FlappingConfig;

/// The most takeovers that may be allowed: their times are kept for each endpoint.
const TAKEOVERS_MAX: usize = 1000;

/// The most endpoints that may be watched: as many as may register, and more than fit in memory else.
const ENDPOINTS_MAX: usize = 2_000_000;

/// `[flapping]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlappingSettings {
    /// More takeovers than this within the window flag an endpoint.
    pub takeovers_max: usize,
    /// How long a takeover counts, and how long after the last one the flag stays.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How many endpoints are watched; for one more the least recently moved is forgotten.
    pub endpoints_max: usize,
}

impl Default for FlappingSettings {
    fn default() -> Self {
        let FlappingConfig {
            takeovers_max,
            window,
            endpoints_max,
        } = FlappingConfig::default();
        Self {
            takeovers_max,
            window,
            endpoints_max,
        }
    }
}

impl FlappingSettings {
    pub(super) fn detector(self) -> FlappingConfig {
        FlappingConfig {
            takeovers_max: self.takeovers_max,
            window: self.window,
            endpoints_max: self.endpoints_max,
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        for (key, value, max) in [
            ("takeovers_max", self.takeovers_max, TAKEOVERS_MAX),
            ("endpoints_max", self.endpoints_max, ENDPOINTS_MAX),
        ] {
            if !(1..=max).contains(&value) {
                return Err(format!("flapping.{key} must be 1 to {max}"));
            }
        }
        check_time("flapping.window", self.window, 1)
    }
}
