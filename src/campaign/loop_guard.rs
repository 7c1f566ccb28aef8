//! 循环升级: a device that is given packages again and again is barred (seed 002, code 40).
//!
//! Six deliveries within 24 hours bar a device until an operator lifts it. The sixth one still runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Utc;
use crate::model::EndpointName;

/// What the guard goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopGuardConfig {
    /// So many deliveries within the window bar the device; at least 1.
    pub deliveries_max: usize,
    /// How long a delivery counts.
    pub window: Duration,
    /// The most devices that are remembered: those with a delivery in the window, and the barred.
    pub devices_max: usize,
}

impl Default for LoopGuardConfig {
    fn default() -> Self {
        Self {
            deliveries_max: 6,
            window: Duration::from_secs(24 * 60 * 60),
            devices_max: 1_000_000,
        }
    }
}

/// Why a delivery may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryRefused {
    /// The device was given too many packages; an operator must lift it.
    #[error("updates of this device are barred until an operator lifts it")]
    Barred,
    /// No more devices can be remembered. It passes when older deliveries leave the window.
    #[error("too many devices were given packages lately; try again later")]
    Full,
}

/// Remembers deliveries per device, and who is barred. It is held in memory: after a restart it is
/// told again by [`Self::restore_delivery`] and [`Self::restore_bar`].
#[derive(Debug)]
pub struct LoopGuard {
    config: LoopGuardConfig,
    devices: BTreeMap<EndpointName, Deliveries>,
    /// Devices that are not barred by their newest delivery, to forget them when it leaves the window.
    by_newest: BTreeSet<(Utc, EndpointName)>,
}

#[derive(Debug)]
enum Deliveries {
    /// Those that count, oldest first; fewer than `deliveries_max`, at least one.
    Counted(Vec<Utc>),
    Barred,
}

impl LoopGuard {
    /// A guard that knows of no delivery.
    pub fn new(config: LoopGuardConfig) -> Self {
        Self {
            config,
            devices: BTreeMap::new(),
            by_newest: BTreeSet::new(),
        }
    }

    /// A package is about to be delivered (its URI written) to the device: counts it.
    ///
    /// # Errors
    /// Where it must not be; nothing is counted.
    pub fn record_delivery(
        &mut self,
        endpoint: &EndpointName,
        now: Utc,
    ) -> Result<(), DeliveryRefused> {
        self.forget_old(now);
        if self.is_barred(endpoint) {
            return Err(DeliveryRefused::Barred);
        }
        if !self.devices.contains_key(endpoint) && self.devices.len() >= self.config.devices_max {
            return Err(DeliveryRefused::Full);
        }
        self.count(endpoint, now, now);
        Ok(())
    }

    /// After a restart: the device was given a package at `at`. What was true before is not refused,
    /// even above [`LoopGuardConfig::devices_max`].
    pub fn restore_delivery(&mut self, endpoint: &EndpointName, at: Utc, now: Utc) {
        if !self.is_barred(endpoint) && self.counts(at, now) {
            self.count(endpoint, at, now);
        }
    }

    /// After a restart: the device was barred.
    pub fn restore_bar(&mut self, endpoint: &EndpointName) {
        self.forget(endpoint);
        self.devices.insert(endpoint.clone(), Deliveries::Barred);
    }

    /// Whether the device is barred.
    pub fn is_barred(&self, endpoint: &EndpointName) -> bool {
        matches!(self.devices.get(endpoint), Some(Deliveries::Barred))
    }

    /// An operator lets the device be updated again; its deliveries are forgotten. Whether it was
    /// barred.
    pub fn lift(&mut self, endpoint: &EndpointName) -> bool {
        let barred = self.is_barred(endpoint);
        if barred {
            self.devices.remove(endpoint);
        }
        barred
    }

    /// How many devices are remembered.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    fn counts(&self, at: Utc, now: Utc) -> bool {
        now.saturating_since(at) < self.config.window
    }

    fn count(&mut self, endpoint: &EndpointName, at: Utc, now: Utc) {
        let mut deliveries = self.forget(endpoint);
        deliveries.retain(|at| self.counts(*at, now));
        deliveries.push(at);
        deliveries.sort_unstable();
        let entry = match deliveries.last() {
            Some(newest) if deliveries.len() < self.config.deliveries_max => {
                self.by_newest.insert((*newest, endpoint.clone()));
                Deliveries::Counted(deliveries)
            }
            Some(_) | None => Deliveries::Barred,
        };
        self.devices.insert(endpoint.clone(), entry);
    }

    /// Takes the device out, and returns its counted deliveries.
    fn forget(&mut self, endpoint: &EndpointName) -> Vec<Utc> {
        let Some(Deliveries::Counted(deliveries)) = self.devices.remove(endpoint) else {
            return Vec::new();
        };
        if let Some(newest) = deliveries.last() {
            self.by_newest.remove(&(*newest, endpoint.clone()));
        }
        deliveries
    }

    fn forget_old(&mut self, now: Utc) {
        while let Some((newest, _)) = self.by_newest.first()
            && !self.counts(*newest, now)
            && let Some((_, endpoint)) = self.by_newest.pop_first()
        {
            self.devices.remove(&endpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: i64 = 60 * 60 * 1000;

    fn guard(devices_max: usize) -> LoopGuard {
        LoopGuard::new(LoopGuardConfig {
            devices_max,
            ..LoopGuardConfig::default()
        })
    }

    fn device(number: u32) -> EndpointName {
        EndpointName::parse(&format!("86000000000{number:04}")).unwrap()
    }

    fn hour(hour: i64) -> Utc {
        Utc::from_unix_ms(hour * HOUR_MS)
    }

    #[test]
    fn the_sixth_delivery_in_a_day_runs_and_bars_until_lifted() {
        let mut guard = guard(10);
        for at in 0..6 {
            assert_eq!(guard.record_delivery(&device(1), hour(at)), Ok(()));
        }
        assert!(guard.is_barred(&device(1)));
        let refused = Err(DeliveryRefused::Barred);
        assert_eq!(guard.record_delivery(&device(1), hour(6)), refused);
        assert_eq!(guard.record_delivery(&device(1), hour(1000)), refused);
        assert_eq!(guard.record_delivery(&device(2), hour(6)), Ok(()));
        assert!(guard.lift(&device(1)));
        assert!(!guard.lift(&device(1)));
        assert_eq!(guard.record_delivery(&device(1), hour(7)), Ok(()));
        assert!(!guard.is_barred(&device(1)));
    }

    #[test]
    fn deliveries_a_day_apart_do_not_add_up() {
        let mut guard = guard(10);
        for at in 0..50 {
            assert_eq!(guard.record_delivery(&device(1), hour(at * 5)), Ok(()));
        }
        assert!(!guard.is_barred(&device(1)));
    }

    #[test]
    fn a_full_memory_refuses_until_a_window_has_passed() {
        let mut guard = guard(2);
        assert_eq!(guard.record_delivery(&device(1), hour(0)), Ok(()));
        assert_eq!(guard.record_delivery(&device(2), hour(1)), Ok(()));
        let full = Err(DeliveryRefused::Full);
        assert_eq!(guard.record_delivery(&device(3), hour(23)), full);
        assert_eq!(guard.record_delivery(&device(2), hour(23)), Ok(()));
        assert_eq!(guard.record_delivery(&device(3), hour(24)), Ok(()));
        assert_eq!(guard.devices(), 2);
    }

    #[test]
    fn a_restart_forgets_neither_deliveries_nor_bars() {
        let mut guard = guard(10);
        guard.restore_bar(&device(2));
        for at in [5, 1, 4, 2, 3] {
            guard.restore_delivery(&device(1), hour(at), hour(6));
        }
        guard.restore_delivery(&device(1), hour(-20), hour(6));
        assert!(guard.is_barred(&device(2)));
        assert!(!guard.is_barred(&device(1)), "one of six is too old");
        assert_eq!(guard.record_delivery(&device(1), hour(6)), Ok(()));
        assert!(guard.is_barred(&device(1)));
    }

    proptest! {
        /// Whoever is not barred had fewer than six deliveries in any 24 hours, and memory is only
        /// kept for the window and the barred.
        #[test]
        fn no_device_gets_a_seventh_package_in_a_day(
            deliveries in prop::collection::vec((0_u32..4, 0_i64..9 * HOUR_MS), 1..200),
        ) {
            let mut guard = guard(100);
            let mut delivered: BTreeMap<EndpointName, Vec<i64>> = BTreeMap::new();
            let mut now_ms = 0;
            for (number, later_ms) in deliveries {
                now_ms += later_ms;
                let endpoint = device(number);
                let allowed = guard.record_delivery(&endpoint, Utc::from_unix_ms(now_ms)).is_ok();
                let history = delivered.entry(endpoint.clone()).or_default();
                if allowed {
                    history.push(now_ms);
                }
                let day = |end: i64| history.iter()
                    .filter(|at| **at <= end && end - **at < 24 * HOUR_MS).count();
                let most = history.iter().map(|at| day(*at)).max().unwrap_or(0);
                prop_assert!(most <= 6);
                prop_assert_eq!(guard.is_barred(&endpoint), most == 6);
                prop_assert_eq!(guard.devices(), delivered.iter().filter(|(endpoint, history)| {
                    let newest = history.last().copied().unwrap_or(i64::MIN);
                    guard.is_barred(endpoint) || now_ms.saturating_sub(newest) < 24 * HOUR_MS
                }).count());
            }
        }
    }
}
