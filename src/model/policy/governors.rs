//! What slows or ends a campaign as a whole, each by itself: the limits of cells hold besides.

use serde::{Deserialize, Serialize};

/// A rate and a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Governors {
    /// How many devices begin to fetch a minute at most, over all cells.
    pub starts_per_minute_max: Option<u32>,
    /// How many failures are too many.
    pub error_threshold: Option<ErrorThreshold>,
}

/// Too many of a campaign's tasks have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorThreshold {
    /// More than so many of a hundred ended tasks, 0 to 100.
    pub failed_percent_max: u8,
    /// Not before so many tasks have ended: one failure of one task says little.
    pub ended_min: u64,
    /// What happens then.
    pub action: OnErrors,
}

/// What too many failures lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnErrors {
    /// Nothing new starts until an operator resumes it.
    #[default]
    Pause,
    /// It ends.
    Stop,
}
