//! How devices that wait for a slot are kept awake, as it comes and as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::Problem;
use crate::model::WaitingRoomPolicy;

/// 等候室: a queue-mode device that waits for a slot is pinged, often enough that it stays awake, so that it
/// need not wait for its next contact when a slot is free. With 0 anywhere none is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = WaitingRoom)]
pub(crate) struct WaitingRoomField {
    /// The longest time for which a device is kept awake after it spoke of itself, in seconds.
    #[schema(maximum = 86_400)]
    hold_seconds_max: u32,
    /// How many pings one attempt may cost a device.
    #[schema(maximum = 10_000)]
    pings_max: u32,
    /// How many devices of one cell are kept awake at once. More sleep, and wait for their next contact.
    #[schema(maximum = 10_000)]
    places_per_cell: u32,
}

impl Default for WaitingRoomField {
    fn default() -> Self {
        WaitingRoomPolicy::default().into()
    }
}

impl WaitingRoomField {
    /// The policy that these fields mean.
    pub(in crate::http) fn parse(self) -> Result<WaitingRoomPolicy, Problem> {
        let policy = WaitingRoomPolicy {
            hold_seconds_max: self.hold_seconds_max,
            pings_max: self.pings_max,
            places_per_cell: self.places_per_cell,
        };
        policy.fault().map_or(Ok(policy), |(field, most)| {
            let field = format!("waiting_room.{field}");
            let fault = format!("must be at most {most}");
            Err(Problem::invalid_field(&field, fault))
        })
    }
}

impl From<WaitingRoomPolicy> for WaitingRoomField {
    fn from(policy: WaitingRoomPolicy) -> Self {
        Self {
            hold_seconds_max: policy.hold_seconds_max,
            pings_max: policy.pings_max,
            places_per_cell: policy.places_per_cell,
        }
    }
}
