//! Whether a device listens now (LwM2M 1.0 §8.3, queue mode).

use std::time::Duration;

use crate::clock::Instant;
use crate::model::BindingMode;

/// Whether a request can reach a registered device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It listens.
    Awake,
    /// It is in queue mode and has been silent for too long: wait until it is heard again.
    Asleep,
}

/// Until when a device listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwakeTime {
    /// When its radio goes off; `None` without queue mode, where it listens while registered.
    asleep_at: Option<Instant>,
}

impl AwakeTime {
    /// Of a device whose last message came at `heard_at`; in queue mode it listens for `awake_time`
    /// more (93 s, MAX_TRANSMIT_WAIT, unless its product says otherwise).
    pub fn new(binding: BindingMode, heard_at: Instant, awake_time: Duration) -> Self {
        Self {
            asleep_at: binding.queue_mode.then(|| heard_at + awake_time),
        }
    }

    /// Awake before the awake time ends, asleep from then on.
    pub fn presence(self, now: Instant) -> Presence {
        match self.asleep_at {
            Some(asleep_at) if now >= asleep_at => Presence::Asleep,
            Some(_) | None => Presence::Awake,
        }
    }

    /// When it falls asleep unless it is heard before; `None` for never.
    pub const fn asleep_at(self) -> Option<Instant> {
        self.asleep_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARD_AT: Instant = Instant::from_origin(Duration::from_secs(10));
    const AWAKE_TIME: Duration = Duration::from_secs(93);

    #[test]
    fn in_queue_mode_a_device_sleeps_once_the_awake_time_is_over() {
        let awake = AwakeTime::new(BindingMode { queue_mode: true }, HEARD_AT, AWAKE_TIME);
        let end = HEARD_AT + AWAKE_TIME;
        assert_eq!(awake.asleep_at(), Some(end));
        let just_before = HEARD_AT + (AWAKE_TIME - Duration::from_nanos(1));
        assert_eq!(awake.presence(HEARD_AT), Presence::Awake);
        assert_eq!(awake.presence(just_before), Presence::Awake);
        assert_eq!(awake.presence(end), Presence::Asleep);
    }

    #[test]
    fn without_queue_mode_a_device_always_listens() {
        let awake = AwakeTime::new(BindingMode::default(), HEARD_AT, AWAKE_TIME);
        assert_eq!(awake.asleep_at(), None);
        let much_later = HEARD_AT + Duration::from_secs(1 << 32);
        assert_eq!(awake.presence(much_later), Presence::Awake);
    }
}
