//! What a radio reports moves, though the device stands still.

use std::time::Duration;

use rand::Rng;

use super::super::log::DeviceEvent;
use super::{Radio, SimDevice};
use crate::clock::Instant;
use crate::lwm2m::{Path, path};

/// Values that wander about those of [`DeviceConfig::radio`](super::DeviceConfig::radio): a first-order
/// autoregression, whose every step keeps nine tenths of what there was. RSRP and SINR move together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalDrift {
    /// How far it goes, in tenths of a dB: the standard deviation in the long run.
    pub deviation_deci_db: u16,
    /// How long a step is.
    pub step: Duration,
}

/// After so many steps nothing of where it was is left.
const STEPS_MAX: u128 = 64;

/// The sum of four even draws from -N to N has a deviation of N times the root of 4/3; a step adds
/// the root of 0.19 of the deviation in the long run: 0.4359 / 1.1547, in thousandths.
const DRAW_PERMILLE: i64 = 377;

#[derive(Debug, Default)]
pub(super) struct Signal {
    offset_milli_db: i64,
    /// Steps of the drift that were taken.
    steps: u128,
    told: Option<Radio>,
}

impl SimDevice {
    /// The server reads what moves: it has moved until now, and says so where it shows.
    pub(super) fn drift_signal(&mut self, now: Instant, read: Path) {
        let Some(drift) = self.config.drift else {
            return;
        };
        if read != path::RADIO_SIGNAL_STRENGTH {
            return;
        }
        let steps = now.since_origin().as_nanos() / drift.step.as_nanos().max(1);
        let most = i64::from(drift.deviation_deci_db) * 100 * DRAW_PERMILLE / 1000;
        let passed = steps.saturating_sub(self.signal.steps).min(STEPS_MAX);
        for _ in 0..passed {
            let drawn: i64 = (0..4).map(|_| self.rng.gen_range(-most..=most)).sum();
            self.signal.offset_milli_db = self.signal.offset_milli_db * 9 / 10 + drawn;
        }
        self.signal.steps = steps;
        let told = self.reported_radio();
        if self.signal.told.replace(told) != Some(told) {
            let Radio { rsrp, sinr, .. } = told;
            self.log(DeviceEvent::SignalTold { rsrp, sinr });
        }
    }

    /// What its radio says of itself now.
    pub(super) fn reported_radio(&self) -> Radio {
        let Radio {
            cell_id,
            rsrp,
            sinr,
        } = self.config.radio;
        let offset_db = self.signal.offset_milli_db / 1000;
        Radio {
            cell_id,
            rsrp: rsrp.map(|value| value + offset_db),
            sinr: sinr.map(|value| value + offset_db),
        }
    }
}
