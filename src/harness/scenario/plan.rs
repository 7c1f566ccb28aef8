//! One device of a scenario, drawn from a stream of its own. Sans-IO.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::quantity::TimeRange;
use super::signal::draw_radio;
use super::{Mix, SERVER, Scenario};
use crate::net::Impairment;
use crate::sim::{CeLevel, DeviceConfig};

/// What a persona says nothing of.
pub(super) const MANUFACTURER: &str = "Acme";
pub(super) const MODEL: &str = "NB-1";

/// Objects of a module that sends no data of its own by Object 19.
const LINKS: &str = r#"</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>,</4/0>,</5/0>"#;

/// The first endpoint name, which is an IMEI.
const FIRST_IMEI: u64 = 860_000_000_000_000;

/// From Execute to the end of the install (seed 000; assumption).
const INSTALL: TimeRange = TimeRange(Duration::from_secs(60), Duration::from_secs(180));
/// From there to the attach.
const REBOOT: TimeRange = TimeRange(Duration::from_secs(5), Duration::from_secs(10));

/// One device, as it is planned.
#[derive(Clone, Debug)]
pub struct PlannedDevice {
    /// Its number, from 0.
    pub index: usize,
    /// What it is. Its server's address is to be set where it has one.
    pub config: DeviceConfig,
    /// How well it hears its cell.
    pub level: CeLevel,
    /// Its cell's number in [`Scenario::cells`].
    pub cell: usize,
    /// Its mix's number in the scenario.
    pub mix: u16,
    /// From which its own chance comes: what it draws, and what its air does.
    pub seed: u64,
    /// How bad its path is beside its cell's air; `None`: not at all.
    pub impairment: Option<Arc<Impairment>>,
    /// When it switches off for good.
    pub switch_off: Option<Duration>,
}

/// Where a device belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePlace {
    /// Its number, from 0.
    pub index: usize,
    /// Its cell's number in [`Scenario::cells`].
    pub cell: usize,
    /// Its mix's number.
    pub mix: u16,
}

impl PlannedDevice {
    /// Where it belongs.
    pub const fn place(&self) -> DevicePlace {
        DevicePlace {
            index: self.index,
            cell: self.cell,
            mix: self.mix,
        }
    }
}

impl Scenario {
    /// The device of this number.
    pub fn device(&self, seed: u64, index: usize) -> PlannedDevice {
        let mut rng = stream(seed, index);
        let (number, mix) = self.draw_mix(&mut rng);
        let cell = self.cell_of(index);
        let of_cell = self.cells.get(cell);
        let radio = of_cell.and_then(|cell| cell.radio).unwrap_or(mix.radio);
        let level = radio.draw_level(&mut rng);
        let cell_id = of_cell.map_or(1, |cell| cell.id.0);
        let drawn = draw_radio(level, cell_id, &mut rng);
        let name = format!("{:015}", FIRST_IMEI + index as u64);
        let mut config = DeviceConfig {
            links: LINKS.to_owned(),
            manufacturer: MANUFACTURER.to_owned(),
            model: MODEL.to_owned(),
            radio: mix.traits.reports.unwrap_or_default().of(drawn),
            drift: mix.drift,
            faults: mix.faults.clone(),
            ..DeviceConfig::new(name, SERVER)
        };
        mix.traits.give(&mut config);
        mix.uplink.give(&mut config, &mut rng);
        config.install = draw(mix.traits.install.unwrap_or(INSTALL), &mut rng);
        let reboot = draw(mix.traits.reboot.unwrap_or(REBOOT), &mut rng);
        config.reboot = reboot + draw(attach(level), &mut rng);
        if let Some(on) = self.ramp.on(index) {
            (config.start_after, config.start_spread) = (on, Duration::ZERO);
        }
        PlannedDevice {
            index,
            config,
            level,
            cell,
            mix: number,
            seed: rng.r#gen(),
            impairment: mix.impairment.clone(),
            switch_off: self.ramp.off(index),
        }
    }

    fn draw_mix(&self, rng: &mut StdRng) -> (u16, &Mix) {
        let all: u64 = self.mixes.iter().map(|mix| u64::from(mix.weight)).sum();
        let mut drawn = rng.gen_range(0..all.max(1));
        let mut last = 0;
        for (number, mix) in self.mixes.iter().enumerate() {
            last = number;
            if drawn < u64::from(mix.weight) {
                break;
            }
            drawn -= u64::from(mix.weight);
        }
        (u16::try_from(last).unwrap_or(u16::MAX), &self.mixes[last])
    }
}

/// How long a device takes from its boot to its first message: 5 to 60 s at CE0, up to 10 min at CE2
/// (assumption).
const fn attach(level: CeLevel) -> TimeRange {
    let (least, most) = match level {
        CeLevel::Ce0 => (5, 60),
        CeLevel::Ce1 => (10, 180),
        CeLevel::Ce2 => (30, 600),
    };
    TimeRange(Duration::from_secs(least), Duration::from_secs(most))
}

fn draw(TimeRange(from, to): TimeRange, rng: &mut StdRng) -> Duration {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.gen_range(ms(from)..=ms(to)))
}

/// ChaCha, keyed with seed and number.
fn stream(seed: u64, index: usize) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(index as u64).to_le_bytes());
    StdRng::from_seed(key)
}
