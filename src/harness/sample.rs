//! Results of runs for tests.

use std::time::Duration;

use super::metric::{Labels, Metrics};
use super::observer::{CoapSample, DeviceInfo, Observer, ObserverConfig, ServerSample};
use super::result::{End, Mode, RunResult};
use super::threshold::Threshold;
use crate::clock::{Instant, Utc};
use crate::model::{CellId, CoverageTier, Sha256Digest, SlotClaim, TierLimits};
use crate::sim::log::{DeviceEvent, LogLine};
use crate::sim::{AtRest, CeLevel};

const IMAGE: Sha256Digest = Sha256Digest([7; 32]);

/// A run of which nothing is known but one gauge and what is asked of it.
pub(super) fn of_gauge(name: &'static str, value: i64, expression: &str) -> RunResult {
    let mut metrics = Metrics::default();
    metrics.gauge(name, Labels::none(), value);
    let threshold = Threshold::parse(name, expression).unwrap();
    RunResult {
        thresholds: vec![threshold.result(&metrics)],
        metrics,
        ..observer(Vec::new(), "a run", &[]).finish(End::AllDone)
    }
}

/// A run of so many devices in three tiers of four cells, of which each tenth fails first; downloads
/// take `factor` times the usual time.
pub(super) fn campaign(name: &str, devices: usize, factor: f64) -> RunResult {
    let mut watched = observer(
        infos(devices),
        name,
        &[
            ("cell.active{tier=2}", "max<=1"),
            ("device.download{ce=2}", "p(95)<2h"),
            ("device.retry_gap", "min>=120s"),
            ("campaign.success_rate", "rate==1"),
        ],
    );
    let mut events: Vec<_> = (0..devices)
        .flat_map(|device| story(device, factor))
        .collect();
    events.sort_by_key(|(second, device, _)| (*second, *device));
    for (second, device, seen) in events {
        let at = Instant::from_origin(Duration::from_secs(second));
        match seen {
            Seen::Line(event) => watched.line(&LogLine { at, device, event }),
            Seen::Coap(sample) => watched.coap(at, device, sample),
        }
        let cpu = Duration::from_millis(second);
        watched.server(
            at,
            ServerSample {
                cpu,
                rss_bytes: 100 << 20,
            },
        );
    }
    watched.finish(End::AllDone)
}

/// What happens on one device, and in which second.
fn story(device: usize, factor: f64) -> Vec<(u64, usize, Seen)> {
    let mut events = Vec::new();
    let level = device % 3;
    let download = [60.0, 300.0, 1800.0][level] * factor * (1.0 + (device % 7) as f64 / 10.0);
    let apart = [20.0, 60.0, 3200.0 * factor.max(1.0)][level] as u64;
    let spread = apart * (device / 12) as u64;
    let mut at_s = 60 + spread;
    events.push((
        10,
        device,
        Seen::Line(DeviceEvent::Booted {
            version: "1".to_owned(),
        }),
    ));
    events.push((15, device, Seen::Line(DeviceEvent::Registered)));
    if device % 10 == 9 {
        events.push((at_s, device, Seen::Line(DeviceEvent::UriAccepted)));
        events.push((
            at_s + 9,
            device,
            Seen::Line(DeviceEvent::DownloadFailed { result: 5 }),
        ));
        at_s += 200;
    }
    let end_s = at_s + download as u64;
    events.push((at_s, device, Seen::Line(DeviceEvent::UriAccepted)));
    events.push((at_s + 1, device, Seen::Coap(CoapSample::Sent)));
    events.push((
        at_s + 2,
        device,
        Seen::Coap(CoapSample::RoundTrip(Duration::from_millis(900))),
    ));
    events.push((
        at_s + 2,
        device,
        Seen::Coap(CoapSample::BlockReceived { size_bytes: 512 }),
    ));
    events.push((
        end_s,
        device,
        Seen::Line(DeviceEvent::Downloaded { sha256: IMAGE }),
    ));
    events.push((end_s + 5, device, Seen::Line(DeviceEvent::ExecuteAccepted)));
    events.push((
        end_s + 60,
        device,
        Seen::Line(DeviceEvent::UpdateEnded { result: 1 }),
    ));
    events
}

enum Seen {
    Line(DeviceEvent),
    Coap(CoapSample),
}

fn infos(devices: usize) -> Vec<DeviceInfo> {
    let info = |device: usize| {
        let cell = CellId((device / 3 % 4) as u32 + 21_101);
        let tier = [
            CoverageTier::Tier0,
            CoverageTier::Tier1,
            CoverageTier::Tier2,
        ][device % 3];
        DeviceInfo {
            endpoint: format!("86{device:013}"),
            cell,
            level: CeLevel::ALL[device % 3],
            class: SlotClaim { cell, tier },
            mix: 0,
        }
    };
    (0..devices).map(info).collect()
}

fn observer(devices: Vec<DeviceInfo>, name: &str, thresholds: &[(&str, &str)]) -> Observer {
    let thresholds = thresholds.iter();
    let thresholds = thresholds.map(|(metric, asked)| Threshold::parse(metric, asked).unwrap());
    let config = ObserverConfig {
        name: name.to_owned(),
        mode: Mode::Simulate,
        seed: 7,
        scenario_toml: "[run]\nseed = 7\n".to_owned(),
        started_at: None,
        epoch: Utc::from_unix_ms(1_795_219_200_000),
        limits: TierLimits::default(),
        image: Some(IMAGE),
        target_version: None,
        at_rest: AtRest::Active,
        windows: None,
        bucket: Duration::from_secs(60),
        thresholds: thresholds.collect(),
    };
    Observer::new(devices, config)
}
