//! How devices that wait for a slot are kept awake.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long and at what cost. A device that would fall asleep while it waits for a slot is asked again and
/// again whether it is there, so that it need not wait for its next wake when a slot is free. It has no
/// slot by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaitingRoomPolicy {
    /// The longest time for which a device is kept awake after it spoke of itself, in seconds; 0: none is.
    pub hold_seconds_max: u32,
    /// How many pings one attempt may cost a device.
    pub pings_max: u32,
    /// How many devices of one cell are kept awake at once. More wait asleep, for their next contact.
    pub places_per_cell: u32,
}

impl Default for WaitingRoomPolicy {
    fn default() -> Self {
        Self {
            hold_seconds_max: 600,
            pings_max: 300,
            places_per_cell: 50,
        }
    }
}

impl WaitingRoomPolicy {
    /// The longest that [`Self::hold_seconds_max`] can be: a day. A device that reports daily has spoken of
    /// itself again by then.
    pub const HOLD_SECONDS_MAX: u32 = 24 * 3600;
    /// The most that [`Self::pings_max`] can be: a day in pings of devices that listen for some 15 s.
    pub const PINGS_MAX: u32 = 10_000;
    /// The most that [`Self::places_per_cell`] can be.
    pub const PLACES_MAX: u32 = 10_000;

    /// Nobody is kept awake.
    pub const OFF: Self = Self {
        hold_seconds_max: 0,
        pings_max: 0,
        places_per_cell: 0,
    };

    /// Whether a device may be kept awake at all.
    pub const fn is_on(&self) -> bool {
        self.hold_seconds_max > 0 && self.pings_max > 0 && self.places_per_cell > 0
    }

    /// The longest time for which a device is kept awake.
    pub fn hold_max(&self) -> Duration {
        Duration::from_secs(self.hold_seconds_max.into())
    }

    /// What of it is beyond reason: the field and its bound.
    pub fn fault(&self) -> Option<(&'static str, u32)> {
        [
            (
                "hold_seconds_max",
                self.hold_seconds_max,
                Self::HOLD_SECONDS_MAX,
            ),
            ("pings_max", self.pings_max, Self::PINGS_MAX),
            ("places_per_cell", self.places_per_cell, Self::PLACES_MAX),
        ]
        .into_iter()
        .find(|(_, value, most)| value > most)
        .map(|(field, _, most)| (field, most))
    }
}
