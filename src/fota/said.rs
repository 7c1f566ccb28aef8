//! What a device sent of itself (Send, LwM2M 1.1 §6.4.6) that it would be asked for before it waits for a
//! slot: cell, signal, battery, free memory. While it is fresh nobody asks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Instant;
use crate::lwm2m::{Path, path};

/// Whole numbers by path, the newest of each.
#[derive(Clone, Debug, Default)]
pub struct Said {
    numbers: BTreeMap<Path, Number>,
}

#[derive(Clone, Copy, Debug)]
struct Number {
    value: i64,
    received_at: Instant,
    /// How old it was then.
    age: Duration,
}

impl Said {
    /// What is of use.
    pub const RESOURCES: [Path; 6] = [
        path::CELL_ID,
        path::RADIO_SIGNAL_STRENGTH,
        path::SIGNAL_SNR,
        path::BATTERY_LEVEL,
        path::BATTERY_STATUS,
        path::MEMORY_FREE,
    ];

    /// Keeps a number that came now, and was so `age` ago, unless a newer one is there.
    pub fn note(&mut self, now: Instant, resource: Path, value: i64, age: Duration) {
        let is_newest = (self.numbers.get(&resource)).is_none_or(|it| it.age_at(now) >= age);
        if Self::RESOURCES.contains(&resource) && is_newest {
            let number = Number {
                value,
                received_at: now,
                age,
            };
            self.numbers.insert(resource, number);
        }
    }

    /// Adds what another has.
    pub(super) fn join(&mut self, now: Instant, other: &Self) {
        for (resource, number) in &other.numbers {
            self.note(now, *resource, number.value, number.age_at(now));
        }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Of which resources something is kept.
    pub(super) fn resources(&self) -> impl Iterator<Item = Path> {
        self.numbers.keys().copied()
    }

    /// A number that is no older than `fresh_for`. It is taken once: the next time the device is asked.
    pub(super) fn take(
        &mut self,
        now: Instant,
        resource: Path,
        fresh_for: Duration,
    ) -> Option<i64> {
        let number = self.numbers.remove(&resource)?;
        (number.age_at(now) < fresh_for).then_some(number.value)
    }
}

impl Number {
    fn age_at(&self, now: Instant) -> Duration {
        self.age
            .saturating_add(now.saturating_since(self.received_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_newest_is_kept_whatever_comes_later_and_taken_once() {
        let mut said = Said::default();
        let seconds = Duration::from_secs;
        said.note(at(100), path::BATTERY_LEVEL, 50, seconds(0));
        said.note(at(110), path::BATTERY_LEVEL, 90, seconds(60));
        said.note(at(110), path::FIRMWARE_STATE, 1, seconds(0));
        assert_eq!(said.resources().collect::<Vec<_>>(), [path::BATTERY_LEVEL]);
        assert_eq!(
            said.take(at(130), path::BATTERY_LEVEL, seconds(31)),
            Some(50)
        );
        assert_eq!(said.take(at(130), path::BATTERY_LEVEL, seconds(31)), None);
    }

    #[test]
    fn what_is_old_is_not_taken_however_short_the_server_has_run() {
        let mut said = Said::default();
        let hour = Duration::from_secs(3600);
        said.note(at(1), path::MEMORY_FREE, 1, hour);
        assert_eq!(said.take(at(2), path::MEMORY_FREE, hour), None);
    }
}
