//! When a device that is given packages again and again is barred.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::update::check_time;
use crate::campaign::LoopGuardConfig;

/// The most deliveries that may be asked for: their times are kept for each device.
const DELIVERIES_MAX: usize = 1000;

/// `[loop_guard]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoopGuardSettings {
    /// So many deliveries within the window bar the device; the last of them still runs.
    pub deliveries_max: usize,
    /// How long a delivery counts.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
}

impl Default for LoopGuardSettings {
    fn default() -> Self {
        let LoopGuardConfig {
            deliveries_max,
            window,
            devices_max: _,
        } = LoopGuardConfig::default();
        Self {
            deliveries_max,
            window,
        }
    }
}

impl LoopGuardSettings {
    pub(super) fn guard(self) -> LoopGuardConfig {
        LoopGuardConfig {
            deliveries_max: self.deliveries_max,
            window: self.window,
            ..LoopGuardConfig::default()
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        if !(1..=DELIVERIES_MAX).contains(&self.deliveries_max) {
            return Err(format!(
                "loop_guard.deliveries_max must be 1 to {DELIVERIES_MAX}"
            ));
        }
        check_time("loop_guard.window", self.window, 1)
    }
}
