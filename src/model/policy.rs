//! What an operator wants of a campaign beyond its package, its devices and its retries. Each section
//! asks for nothing unless something is said.

mod conditions;
mod governors;
mod retry_pacing;
mod rollout;
mod schedule;
mod waiting_room;

use serde::{Deserialize, Serialize};

pub use conditions::{Conditions, Consent, ConsentText, Preconditions, Severity, UnknownValue};
pub use governors::{ErrorThreshold, Governors, OnErrors};
pub use retry_pacing::{Backoff, RetryPacing};
pub use rollout::{
    CampaignStop, ConsentRefusal, PauseReason, PhaseMembers, Rollout, RolloutPhase, RolloutState,
    RolloutStep,
};
pub use schedule::{PushWindow, Schedule, Weekdays};
pub use waiting_room::WaitingRoomPolicy;

/// All of it. It is stored as one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignPolicy {
    /// When it runs.
    pub schedule: Schedule,
    /// In what order and on what proof its devices follow each other.
    pub rollout: Rollout,
    /// What must be true of a device before it is updated.
    pub conditions: Conditions,
    /// How the delay before a retry grows and spreads.
    pub retry: RetryPacing,
    /// How devices that wait for a slot are kept awake; `None`: as the server's settings say.
    pub waiting_room: Option<WaitingRoomPolicy>,
    /// What slows or ends it as a whole.
    pub governors: Governors,
}
