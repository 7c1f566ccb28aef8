//! How devices that wait for a slot are kept awake.

use serde::{Deserialize, Serialize};

/// How long and at what cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WaitingRoomPolicy {}
