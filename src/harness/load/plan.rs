//! The devices of a run, before any of them is switched on.

use std::time::Duration;

use super::LoadConfig;
use super::pace::quicken;
use super::under_way::Act;
use crate::harness::DeviceInfo;
use crate::harness::scenario::{DevicePlace, Scenario};
use crate::model::TierBorders;
use crate::sim::DeviceConfig;

/// All devices of a run, each at the same place of every list.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) infos: Vec<DeviceInfo>,
    pub(super) places: Vec<DevicePlace>,
    /// With the seed of its own chance.
    pub(super) devices: Vec<(DeviceConfig, u64)>,
    /// When who is switched off for good.
    pub(super) to_come: Vec<(Duration, Act)>,
}

impl Plan {
    pub(super) fn of(scenario: &Scenario, config: &LoadConfig) -> Self {
        let mut plan = Self::default();
        let last = config.devices.end.min(scenario.device_count());
        for index in config.devices.start..last {
            let mut device = scenario.device(config.seed, index);
            device.config.server = config.server;
            quicken(&mut device, config.speed);
            plan.infos.push(DeviceInfo {
                endpoint: device.config.endpoint.clone(),
                cell: scenario.cells[device.cell].id,
                level: device.level,
                class: device.config.class(&TierBorders::default()),
                mix: device.mix,
            });
            if let Some(at) = device.switch_off {
                let place = plan.places.len();
                plan.to_come.push((at, Act::SwitchOff(place)));
            }
            plan.places.push(device.place());
            plan.devices.push((device.config, device.seed));
        }
        plan
    }
}
