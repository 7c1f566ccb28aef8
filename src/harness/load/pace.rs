//! Devices' own timers, run faster than life.

use std::time::Duration;

use crate::harness::scenario::PlannedDevice;

/// Shortens what a device does by itself: its sleep between two uplinks, its day, its install, its reboot,
/// its user's deferral, its power cuts, its switching on and off. CoAP's timers are the server's affair
/// too and stay, and with them its lifetime and how long it listens after it was heard: a server that
/// sends again would else find nobody.
pub(super) fn quicken(device: &mut PlannedDevice, speed: u16) {
    let config = &mut device.config;
    for time in [
        &mut config.update_interval,
        &mut config.install,
        &mut config.reboot,
        &mut config.start_after,
        &mut config.start_spread,
        &mut config.faults.power_off,
    ] {
        *time = quickened(*time, speed);
    }
    for time in [&mut config.deferral, &mut device.switch_off] {
        *time = time.map(|time| quickened(time, speed));
    }
    if let Some(daily) = &mut config.daily_uplink {
        for time in [&mut daily.from, &mut daily.to, &mut daily.day] {
            *time = quickened(*time, speed);
        }
    }
}

/// A time of the scenario, on the run's clock.
pub(super) fn quickened(time: Duration, speed: u16) -> Duration {
    time / u32::from(speed.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::scenario::Scenario;
    use crate::sim::DailyUplink;

    #[test]
    fn a_devices_own_timers_are_shortened_and_those_of_coap_and_the_server_are_not() {
        let text =
            "[devices]\ncount = 1\nramp = \"1/m\"\n[[mix]]\ntraits = { install = \"60s\" }\n";
        let planned = Scenario::parse(text).unwrap().device(1, 0);
        let mut device = planned.clone();
        quicken(&mut device, 10);
        let (before, after) = (planned.config, device.config);
        assert_eq!(after.install, Duration::from_secs(6));
        let daily = after.daily_uplink.unwrap();
        assert_eq!(daily.day, DailyUplink::DAY / 10);
        assert_eq!(daily.from, before.daily_uplink.unwrap().from / 10);
        assert_eq!(
            (after.awake, after.lifetime, after.timers, after.retry),
            (before.awake, before.lifetime, before.timers, before.retry)
        );
    }
}
