//! How the delay before a retry grows and spreads.

use serde::{Deserialize, Serialize};

use super::super::words::words;

/// What is made of the delay of a [`RetryPolicy`](super::super::RetryPolicy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPacing {
    /// How it grows from retry to retry.
    pub backoff: Backoff,
    /// Up to so many per cent come on top by chance, 0 to 100: devices that failed together do not come
    /// back together.
    pub jitter_percent: u8,
    /// It grows no further than this, in seconds, the chance part not counted; a longer first delay stays.
    pub delay_seconds_max: u32,
}

impl Default for RetryPacing {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            jitter_percent: 10,
            delay_seconds_max: 3600,
        }
    }
}

words! {
    /// How the delay grows.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Backoff {
        /// Not at all, as with the carriers.
        Constant = "constant",
        /// It doubles with each retry.
        #[default]
        Exponential = "exponential",
    }
}
