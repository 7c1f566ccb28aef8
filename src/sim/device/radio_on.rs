//! How long a device's radio is on, which is what its battery feels.

use std::time::Duration;

use super::{Presence, SimDevice};
use crate::clock::Instant;

/// What was counted by then. Nothing changes between two things that happen to a device, so that it is
/// enough to count at each.
#[derive(Debug)]
pub(super) struct RadioOn {
    total: Duration,
    counted_until: Instant,
}

impl RadioOn {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            total: Duration::ZERO,
            counted_until: now,
        }
    }
}

impl SimDevice {
    /// How long its radio was on by now: for `awake` from each datagram on, and while it waits for an
    /// answer; as long as it has power, where it never sleeps. Paging occasions count as nothing.
    pub fn radio_on(&self, now: Instant) -> Duration {
        let since = self.radio_on.counted_until;
        let sleeps = self.config.queue_mode || self.config.edrx_cycle.is_some();
        let more = match &self.presence {
            Presence::Off { .. } => Duration::ZERO,
            Presence::Unregistered { .. }
            | Presence::Registering { .. }
            | Presence::Registered { .. } => {
                let until = if sleeps && !self.waits() {
                    self.awake_until.min(now)
                } else {
                    now
                };
                until.saturating_since(since)
            }
        };
        self.radio_on.total + more
    }

    /// Something happens, which may change whether it is on.
    pub(super) fn count_radio_on(&mut self, now: Instant) {
        self.radio_on = RadioOn {
            total: self.radio_on(now),
            counted_until: now,
        };
    }
}
