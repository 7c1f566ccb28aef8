//! 循环升级: a device that is given packages again and again is barred (seed 002, code 40).
//!
//! Six deliveries within 24 hours, unless configured otherwise, bar a device until an operator lifts it.
//! The sixth one still runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Utc;
use crate::model::{DeliveryHistory, EndpointName};

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

/// So many devices are forgotten at one delivery at the most, unless the memory is full: after a long
/// silence the first deliveries share the work.
const FORGOTTEN_AT_ONCE_MAX: usize = 16;

/// Remembers deliveries per device, and who is barred. What it holds of a device is to be stored
/// whenever it changes, and given back by [`Self::restore`] after a restart.
#[derive(Debug)]
pub struct LoopGuard {
    config: LoopGuardConfig,
    devices: BTreeMap<EndpointName, DeliveryHistory>,
    /// Devices that are not barred by their newest delivery, to forget them when it leaves the window.
    by_newest: BTreeSet<(Utc, EndpointName)>,
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

    /// Forgets devices that had no delivery within the window, and says which. To be called before
    /// [`Self::record_delivery`], which needs the room.
    pub fn forget_old(&mut self, now: Utc) -> Vec<EndpointName> {
        let mut forgotten = Vec::new();
        while let Some((newest, _)) = self.by_newest.first()
            && !self.counts(*newest, now)
            && (forgotten.len() < FORGOTTEN_AT_ONCE_MAX || self.is_full())
            && let Some((_, endpoint)) = self.by_newest.pop_first()
        {
            self.devices.remove(&endpoint);
            forgotten.push(endpoint);
        }
        forgotten
    }

    /// A package is about to be delivered (its URI written) to the device: counts it. What is to be
    /// stored of the device now.
    ///
    /// # Errors
    /// Where it must not be; nothing is counted.
    pub fn record_delivery(
        &mut self,
        endpoint: &EndpointName,
        now: Utc,
    ) -> Result<&DeliveryHistory, DeliveryRefused> {
        if self.is_barred(endpoint) {
            return Err(DeliveryRefused::Barred);
        }
        if !self.devices.contains_key(endpoint) && self.is_full() {
            return Err(DeliveryRefused::Full);
        }
        let mut history = self.forget(endpoint);
        history.delivered_at.retain(|at| self.counts(*at, now));
        // The clock was set back: what it calls the future has passed, and counts for a day from now.
        for at in &mut history.delivered_at {
            *at = (*at).min(now);
        }
        history.delivered_at.push(now);
        history.delivered_at.sort_unstable();
        if history.delivered_at.len() >= self.config.deliveries_max {
            history.barred_since = Some(now);
        }
        Ok(self.remember(endpoint.clone(), history))
    }

    /// After a restart: what was stored of a device. It is not refused, even above
    /// [`LoopGuardConfig::devices_max`], and bars nobody anew: a lower `deliveries_max` shows at the
    /// next delivery, and a higher one lifts no bar.
    pub fn restore(&mut self, endpoint: EndpointName, history: DeliveryHistory) {
        self.forget(&endpoint);
        self.remember(endpoint, history);
    }

    /// What is remembered of the device.
    pub fn history(&self, endpoint: &EndpointName) -> Option<&DeliveryHistory> {
        self.devices.get(endpoint)
    }

    /// Whether the device is barred.
    pub fn is_barred(&self, endpoint: &EndpointName) -> bool {
        let history = self.history(endpoint);
        history.is_some_and(|history| history.barred_since.is_some())
    }

    /// An operator lets the device be updated again; its deliveries are forgotten. Whether it was
    /// barred.
    pub fn lift(&mut self, endpoint: &EndpointName) -> bool {
        let barred = self.is_barred(endpoint);
        if barred {
            self.forget(endpoint);
        }
        barred
    }

    /// The device was taken away: nothing is remembered of it.
    pub fn forget_device(&mut self, endpoint: &EndpointName) {
        self.forget(endpoint);
    }

    /// How many devices are remembered.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    fn counts(&self, at: Utc, now: Utc) -> bool {
        now.saturating_since(at) < self.config.window
    }

    fn is_full(&self) -> bool {
        self.devices.len() >= self.config.devices_max
    }

    fn remember(&mut self, endpoint: EndpointName, history: DeliveryHistory) -> &DeliveryHistory {
        if history.barred_since.is_none()
            && let Some(newest) = history.delivered_at.last()
        {
            self.by_newest.insert((*newest, endpoint.clone()));
        }
        self.devices
            .entry(endpoint)
            .insert_entry(history)
            .into_mut()
    }

    /// Takes the device out, and returns what was remembered of it.
    fn forget(&mut self, endpoint: &EndpointName) -> DeliveryHistory {
        let history = self.devices.remove(endpoint).unwrap_or_default();
        if let Some(newest) = history.delivered_at.last() {
            self.by_newest.remove(&(*newest, endpoint.clone()));
        }
        history
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

    /// As the engine does it: whether it was let through.
    fn deliver(guard: &mut LoopGuard, number: u32, at: Utc) -> Result<(), DeliveryRefused> {
        guard.forget_old(at);
        guard.record_delivery(&device(number), at).map(|_| ())
    }

    fn history(hours: &[i64], barred_since: Option<i64>) -> DeliveryHistory {
        DeliveryHistory {
            delivered_at: hours.iter().copied().map(hour).collect(),
            barred_since: barred_since.map(hour),
        }
    }

    #[test]
    fn the_sixth_delivery_in_a_day_runs_and_bars_until_lifted() {
        let mut guard = guard(10);
        for at in 0..6 {
            assert_eq!(deliver(&mut guard, 1, hour(at)), Ok(()));
        }
        assert!(guard.is_barred(&device(1)));
        let refused = Err(DeliveryRefused::Barred);
        assert_eq!(deliver(&mut guard, 1, hour(6)), refused);
        assert_eq!(deliver(&mut guard, 1, hour(1000)), refused);
        assert_eq!(deliver(&mut guard, 2, hour(6)), Ok(()));
        assert!(guard.lift(&device(1)));
        assert!(!guard.lift(&device(1)));
        assert_eq!(deliver(&mut guard, 1, hour(7)), Ok(()));
        assert!(!guard.is_barred(&device(1)));
    }

    #[test]
    fn deliveries_a_day_apart_do_not_add_up() {
        let mut guard = guard(10);
        for at in 0..50 {
            assert_eq!(deliver(&mut guard, 1, hour(at * 5)), Ok(()));
        }
        assert!(!guard.is_barred(&device(1)));
    }

    #[test]
    fn deliveries_under_a_clock_that_ran_ahead_count_for_a_day_and_no_longer() {
        let mut guard = guard(10);
        for at in 8760..8763 {
            assert_eq!(deliver(&mut guard, 1, hour(at)), Ok(()));
        }
        assert_eq!(deliver(&mut guard, 1, hour(0)), Ok(()));
        assert_eq!(deliver(&mut guard, 1, hour(23)), Ok(()));
        assert_eq!(deliver(&mut guard, 1, hour(24)), Ok(()));
        assert_eq!(guard.history(&device(1)), Some(&history(&[23, 24], None)));
    }

    #[test]
    fn a_full_memory_refuses_until_a_window_has_passed() {
        let mut guard = guard(2);
        assert_eq!(deliver(&mut guard, 1, hour(0)), Ok(()));
        assert_eq!(deliver(&mut guard, 2, hour(1)), Ok(()));
        let full = Err(DeliveryRefused::Full);
        assert_eq!(deliver(&mut guard, 3, hour(23)), full);
        assert_eq!(deliver(&mut guard, 2, hour(23)), Ok(()));
        assert_eq!(deliver(&mut guard, 3, hour(24)), Ok(()));
        assert_eq!(guard.devices(), 2);
    }

    #[test]
    fn what_is_remembered_is_what_a_restart_restores() {
        let mut guard = guard(10);
        for at in 1..=7 {
            let number = if at == 7 { 2 } else { 1 };
            deliver(&mut guard, number, hour(at)).unwrap();
        }
        let barred = history(&[1, 2, 3, 4, 5, 6], Some(6));
        assert_eq!(guard.history(&device(1)), Some(&barred));
        assert_eq!(guard.history(&device(2)), Some(&history(&[7], None)));
        let (before, mut restored) = (guard, LoopGuard::new(LoopGuardConfig::default()));
        for number in [1, 2] {
            let history = before.history(&device(number)).unwrap().clone();
            restored.restore(device(number), history);
        }
        let refused = Err(DeliveryRefused::Barred);
        assert_eq!(deliver(&mut restored, 1, hour(100)), refused);
        assert_eq!(
            restored.devices(),
            1,
            "the other's delivery is too old by now"
        );
        assert_eq!(restored.history(&device(1)), Some(&barred));
    }

    #[test]
    fn after_a_restart_only_deliveries_within_the_window_count() {
        let mut guard = guard(10);
        guard.restore(device(1), history(&[-20, 1, 2, 3, 4], None));
        assert_eq!(deliver(&mut guard, 1, hour(6)), Ok(()));
        assert!(!guard.is_barred(&device(1)), "one of six is too old");
        assert_eq!(deliver(&mut guard, 1, hour(6)), Ok(()));
        assert!(guard.is_barred(&device(1)));
    }

    #[test]
    fn a_lower_limit_bars_at_the_next_delivery_and_a_higher_one_lifts_nothing() {
        let stored = [
            (1, history(&[1, 2, 3], None)),
            (2, history(&[1, 2], Some(2))),
        ];
        for (deliveries_max, first_barred) in [(2, true), (9, false)] {
            let mut guard = LoopGuard::new(LoopGuardConfig {
                deliveries_max,
                ..LoopGuardConfig::default()
            });
            for (number, history) in stored.clone() {
                guard.restore(device(number), history);
            }
            assert!(!guard.is_barred(&device(1)));
            assert!(guard.is_barred(&device(2)));
            assert_eq!(deliver(&mut guard, 1, hour(4)), Ok(()));
            assert_eq!(guard.is_barred(&device(1)), first_barred);
        }
    }

    #[test]
    fn old_devices_are_forgotten_a_few_at_a_time_unless_there_is_no_room() {
        let filled = |devices_max| {
            let mut guard = guard(devices_max);
            for number in 0..100 {
                guard.restore(device(number), history(&[0], None));
            }
            guard
        };
        let mut roomy = filled(1000);
        let forgotten = roomy.forget_old(hour(24));
        assert_eq!(forgotten.len(), FORGOTTEN_AT_ONCE_MAX);
        assert!(forgotten.iter().all(|it| roomy.history(it).is_none()));
        assert_eq!(filled(50).forget_old(hour(24)).len(), 51);
        assert_eq!(filled(50).forget_old(hour(23)), []);
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
                let allowed = deliver(&mut guard, number, Utc::from_unix_ms(now_ms)).is_ok();
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
