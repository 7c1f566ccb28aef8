//! Which devices the demo has: in the first cell every limit binds.

use std::net::SocketAddr;
use std::time::Duration;

use crate::model::{CoverageTier, SlotClaim, TierBorders, TierLimits, TransmissionPreset};
use crate::sim::{DeviceConfig, Habits, Radio};

pub(super) const MANUFACTURER: &str = "Acme";
pub(super) const MODEL: &str = "NB-1";
pub(super) const DEVICE_TYPE: &str = "WaterMeter";
pub(super) const TARGET_VERSION: &str = "2.0.0";

/// The first cell has devices enough of each class to fill its slots; the rest are spread.
const FIRST_CELL: u32 = 21_103;
const OTHER_CELLS: [u32; 3] = [21_104, 21_105, 21_106];

/// Out of thirty devices: how many are in the first cell in tier 0, 1, 2 and unknown. The others go to
/// the other cells.
const FIRST_CELL_SHARE: [(u32, CoverageTier); 4] = [
    (12, CoverageTier::Tier0),
    (4, CoverageTier::Tier1),
    (1, CoverageTier::Tier2),
    (3, CoverageTier::Unknown),
];
const SHARE_OF: u32 = 30;

#[derive(Debug)]
pub(super) struct Plan {
    devices: Vec<DeviceConfig>,
    classes: Vec<SlotClaim>,
}

impl Plan {
    pub(super) fn new(devices: u32, server: SocketAddr) -> Self {
        let devices: Vec<_> = (0..devices).map(|index| device(index, server)).collect();
        let classes = devices
            .iter()
            .map(|device| device.class(&TierBorders::default()))
            .collect();
        Self { devices, classes }
    }

    pub(super) fn len(&self) -> usize {
        self.devices.len()
    }

    pub(super) fn devices(&self) -> Vec<DeviceConfig> {
        self.devices.clone()
    }

    /// Each device's class, by what its own radio says.
    pub(super) fn classes(&self) -> &[SlotClaim] {
        &self.classes
    }

    pub(super) fn limits(&self) -> TierLimits {
        TierLimits::default()
    }

    pub(super) fn endpoints(&self) -> Vec<&str> {
        self.devices
            .iter()
            .map(|device| device.endpoint.as_str())
            .collect()
    }

    /// The devices as `POST /devices/import` takes them.
    pub(super) fn csv(&self) -> String {
        let mut csv = String::from("endpoint,manufacturer,model,device_type\n");
        for device in &self.devices {
            csv.push_str(&format!(
                "{},{MANUFACTURER},{MODEL},{DEVICE_TYPE}\n",
                device.endpoint
            ));
        }
        csv
    }
}

fn device(index: u32, server: SocketAddr) -> DeviceConfig {
    let (cell, tier) = place(index);
    let habits = Habits::in_turn(index as usize);
    let (rsrp, sinr) = match tier {
        CoverageTier::Tier0 => (Some(-95), Some(12)),
        CoverageTier::Tier1 => (Some(-110), Some(2)),
        CoverageTier::Tier2 => (Some(-121), Some(-6)),
        CoverageTier::Unknown => (Some(-95), None),
    };
    DeviceConfig {
        manufacturer: MANUFACTURER.to_owned(),
        model: MODEL.to_owned(),
        next_version: TARGET_VERSION.to_owned(),
        radio: Radio {
            cell_id: Some(cell),
            rsrp,
            sinr,
        },
        quirks: habits.quirks,
        notify: habits.notify,
        transmission: TransmissionPreset::Loopback,
        update_interval: Duration::from_secs(20),
        retry: Duration::from_millis(500),
        start_spread: Duration::from_secs(1),
        install: Duration::from_millis(1500),
        reboot: Duration::from_millis(200),
        ..DeviceConfig::new(
            format!("urn:imei:{:015}", 860_000_000_000_000 + u64::from(index)),
            server,
        )
    }
}

fn place(index: u32) -> (u32, CoverageTier) {
    // A step coprime with thirty, so that even a few devices are spread over the classes.
    let mut turn = index * 7 % SHARE_OF;
    for (share, tier) in FIRST_CELL_SHARE {
        if turn < share {
            return (FIRST_CELL, tier);
        }
        turn -= share;
    }
    let tiers = [
        CoverageTier::Tier0,
        CoverageTier::Tier1,
        CoverageTier::Unknown,
    ];
    let cell = OTHER_CELLS[turn as usize % OTHER_CELLS.len()];
    (cell, tiers[index as usize / 3 % tiers.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CellId;

    #[test]
    fn in_the_first_cell_every_class_has_more_devices_than_slots() {
        let plan = Plan::new(300, SocketAddr::from(([127, 0, 0, 1], 1)));
        for &tier in CoverageTier::ALL {
            let claim = SlotClaim {
                cell: CellId(FIRST_CELL),
                tier,
            };
            let devices = plan.classes.iter().filter(|class| **class == claim).count();
            assert!(
                devices > plan.limits().of(tier) as usize,
                "{devices} in tier {tier}"
            );
        }
    }
}
