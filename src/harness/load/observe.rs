//! What devices tell, for the observer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lock;
use super::provision::TARGET_VERSION;
use crate::campaign::Windows;
use crate::clock::Utc;
use crate::harness::scenario::{PlannedDevice, Scenario};
use crate::harness::{DeviceInfo, Mode, Observer, ObserverConfig};
use crate::model::{Sha256Digest, TierBorders};
use crate::sim::{AtRest, FleetEvent, FleetSink};

/// How long one part of the series is at first.
const BUCKET: Duration = Duration::from_secs(1);

/// Tells an observer what devices do.
pub(super) fn sink(observer: &Arc<Mutex<Observer>>) -> FleetSink {
    let observer = Arc::clone(observer);
    Arc::new(move |events| {
        let mut observer = lock(&observer);
        for event in events {
            match event {
                FleetEvent::Log(line) => observer.line(line),
                FleetEvent::Coap(sample) => {
                    observer.coap(sample.at, sample.device, sample.kind.into());
                }
            }
        }
    })
}

/// All devices of a scenario, by their numbers.
pub(super) fn infos(scenario: &Scenario, seed: u64) -> Vec<DeviceInfo> {
    let info = |device: PlannedDevice| DeviceInfo {
        cell: scenario.cells[device.cell].id,
        level: device.level,
        class: device.config.class(&TierBorders::default()),
        mix: device.mix,
        endpoint: device.config.endpoint,
    };
    scenario.devices(seed).map(info).collect()
}

/// What the observer of a run is told beforehand, which begins at `now`.
pub(super) fn config_of(
    scenario: &Scenario,
    seed: u64,
    image: Option<Sha256Digest>,
    now: Utc,
) -> ObserverConfig {
    let campaign = scenario.campaign.as_ref();
    let windows = campaign.map_or(&[][..], |plan| &plan.policy.schedule.windows);
    let windows = Windows::parse(windows).ok();
    let admission = campaign.and_then(|plan| plan.admission);
    ObserverConfig {
        name: scenario.name.clone(),
        mode: Mode::Load,
        seed,
        scenario_toml: scenario.text.clone(),
        started_at: Some(now),
        epoch: now,
        limits: scenario.server.limits,
        target_version: image.map(|_| TARGET_VERSION.to_owned()),
        image,
        at_rest: match admission.unwrap_or(scenario.server.admission).airtime {
            Some(_) => AtRest::Done,
            None => AtRest::Resting,
        },
        windows: windows.filter(|windows| !windows.is_empty()),
        bucket: BUCKET,
        thresholds: scenario.thresholds.clone(),
    }
}
