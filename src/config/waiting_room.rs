//! How devices that wait for a slot are kept awake.

use serde::{Deserialize, Serialize};

use crate::model::WaitingRoomPolicy;

/// `[waiting_room]`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaitingRoomConfig {
    /// Whether any is, where a campaign does not say.
    pub enabled: bool,
    /// The longest time for which a device is kept awake after it spoke of itself, in seconds.
    pub hold_seconds_max: u32,
    /// How many pings one attempt may cost a device.
    pub pings_max: u32,
    /// How many devices of one cell are kept awake at once.
    pub places_per_cell: u32,
}

impl Default for WaitingRoomConfig {
    fn default() -> Self {
        let WaitingRoomPolicy {
            hold_seconds_max,
            pings_max,
            places_per_cell,
        } = WaitingRoomPolicy::default();
        Self {
            enabled: true,
            hold_seconds_max,
            pings_max,
            places_per_cell,
        }
    }
}

impl WaitingRoomConfig {
    pub(super) fn policy(self) -> WaitingRoomPolicy {
        if self.enabled {
            self.bounds()
        } else {
            WaitingRoomPolicy::OFF
        }
    }

    pub(super) fn check(self) -> Result<(), String> {
        self.bounds().fault().map_or(Ok(()), |(field, most)| {
            Err(format!("waiting_room.{field} must be at most {most}"))
        })
    }

    fn bounds(self) -> WaitingRoomPolicy {
        WaitingRoomPolicy {
            hold_seconds_max: self.hold_seconds_max,
            pings_max: self.pings_max,
            places_per_cell: self.places_per_cell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_with_the_defaults_of_a_campaign_and_off_where_it_says_so() {
        let mut config = WaitingRoomConfig::default();
        assert_eq!(config.policy(), WaitingRoomPolicy::default());
        assert!(config.policy().is_on());
        config.enabled = false;
        assert!(!config.policy().is_on());
    }

    #[test]
    fn a_bound_beyond_reason_is_refused_by_its_name() {
        let config = WaitingRoomConfig {
            hold_seconds_max: 24 * 3600 + 1,
            ..WaitingRoomConfig::default()
        };
        let fault = config.check().unwrap_err();
        assert_eq!(fault, "waiting_room.hold_seconds_max must be at most 86400");
        assert_eq!(WaitingRoomConfig::default().check(), Ok(()));
    }
}
