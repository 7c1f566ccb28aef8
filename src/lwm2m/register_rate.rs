//! How often one device may register: each Register costs a commit and makes the server forget what the
//! device was told, so one that boots in a loop must not make others wait.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;
use crate::coap::digest::{DigestMap, Digests, Seconds};
use crate::model::EndpointName;

/// How many Registers of one endpoint are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterRateConfig {
    /// The most within a window that begins with the first of them.
    pub registers_max: u32,
    /// How long that window is.
    pub window: Duration,
    /// Endpoints whose Registers are counted; for one more the oldest window is forgotten.
    pub endpoints_max: usize,
}

impl Default for RegisterRateConfig {
    fn default() -> Self {
        Self {
            registers_max: 10,
            window: Duration::from_secs(10 * 60),
            endpoints_max: 100_000,
        }
    }
}

/// The Registers of late, by a digest of the endpoint. Two whose digests meet share a window.
#[derive(Debug)]
pub struct RegisterRate {
    config: RegisterRateConfig,
    digests: Digests,
    windows: DigestMap<Window>,
    /// The windows in the order in which they end.
    order: VecDeque<(Seconds, u64)>,
}

#[derive(Debug)]
struct Window {
    ends: Seconds,
    registers: u32,
}

impl RegisterRate {
    /// Nobody has registered yet. `seed` must be secret.
    pub fn new(config: RegisterRateConfig, seed: u64) -> Self {
        Self {
            config,
            digests: Digests::new(seed),
            windows: DigestMap::default(),
            order: VecDeque::new(),
        }
    }

    /// Counts a Register.
    ///
    /// # Errors
    /// Where there were too many: how long until the next is accepted.
    pub fn count(&mut self, now: Instant, endpoint: &EndpointName) -> Result<(), Duration> {
        while self
            .order
            .front()
            .is_some_and(|(ends, _)| ends.is_past(now))
        {
            self.forget_oldest();
        }
        let digest = self.digests.of(endpoint);
        if let Some(window) = self.windows.get_mut(&digest) {
            if window.registers >= self.config.registers_max {
                return Err(window.ends.instant() - now);
            }
            window.registers += 1;
            return Ok(());
        }
        while self.windows.len() >= self.config.endpoints_max.max(1) {
            self.forget_oldest();
        }
        let ends = Seconds::at_least(now + self.config.window);
        let window = Window { ends, registers: 1 };
        self.windows.insert(digest, window);
        self.order.push_back((ends, digest));
        Ok(())
    }

    /// How many endpoints are counted.
    pub fn counted(&self) -> usize {
        self.windows.len()
    }

    fn forget_oldest(&mut self) {
        if let Some((_, digest)) = self.order.pop_front() {
            self.windows.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn name(number: u32) -> EndpointName {
        EndpointName::parse(&format!("meter-{number}")).unwrap()
    }

    fn rate(endpoints_max: usize) -> RegisterRate {
        let config = RegisterRateConfig {
            endpoints_max,
            ..RegisterRateConfig::default()
        };
        RegisterRate::new(config, 1)
    }

    #[test]
    fn the_eleventh_waits_for_the_end_of_the_window_and_others_do_not() {
        let mut rate = rate(10);
        for second in 0..10 {
            assert_eq!(rate.count(at(100 + second), &name(0)), Ok(()));
        }
        // The end is rounded up to the next second.
        let left = Duration::from_secs(581);
        assert_eq!(rate.count(at(120), &name(0)), Err(left));
        assert_eq!(rate.count(at(120), &name(1)), Ok(()));
        assert_eq!(rate.count(at(701), &name(0)), Ok(()));
        assert_eq!(rate.counted(), 2);
        assert_eq!(rate.count(at(721), &name(0)), Ok(()));
        assert_eq!(rate.counted(), 1, "a window that is over is forgotten");
    }

    #[test]
    fn no_more_endpoints_are_counted_than_there_is_room_for() {
        let mut rate = rate(3);
        for number in 0..100 {
            assert_eq!(rate.count(at(number.into()), &name(number)), Ok(()));
            assert!(rate.windows.len() <= 3 && rate.order.len() <= 3);
        }
    }
}
