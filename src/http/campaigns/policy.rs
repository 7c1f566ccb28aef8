//! What else is wanted of a campaign, section by section, as it comes and as it is shown.

mod conditions;
mod governors;
mod rollout;
mod schedule;
mod waiting_room;

pub(super) use conditions::{ConditionFields, ConsentTextField, PreconditionsField};
pub(super) use governors::{ErrorThresholdView, parse_governors};
pub(super) use rollout::{Phase, RolloutView, check_members, parse_rollout};
pub(super) use schedule::{WindowField, check_schedule, parse_schedule};
pub(super) use waiting_room::WaitingRoomField;
