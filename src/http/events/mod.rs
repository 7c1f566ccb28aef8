//! `/api/v1/events`: what happens, told while it happens.

mod cloud_event;
mod hub;
mod stream;
mod view;

pub(super) use cloud_event::test_event;
pub use cloud_event::{CLOUD_EVENTS_TYPE, cloud_event, gap_event};
pub use hub::{EventHub, EventLimits};
pub(super) use stream::*;
