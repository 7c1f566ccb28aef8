//! Turns what devices did into metrics, series and a result, in memory that does not grow with what
//! happens.

mod cause;
mod happened;
mod ids;
mod lane;
mod lanes;
mod live;
mod row;
mod timeline;
mod told;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use self::ids::Ids;
use self::lanes::{Class, Lanes};
use self::watch::Watch;
use super::metric::{Labels, Metrics};
use super::result::{CellResult, End, FailureCount, RESULT_SCHEMA, RunResult, SaidBy, SlowDevice};
use super::threshold::Threshold;
use crate::clock::Instant;
use crate::model::{FailureReason, Sha256Digest, SlotClaim};
use crate::sim::log::LogLine;
use crate::sim::{Judge, Limits};

pub use cause::Cause;
pub use live::{Live, LiveCell, Rates};
pub use row::DeviceRow;
pub use told::{CoapSample, DeviceInfo, DeviceState, ObserverConfig, ServerSample};

/// How many devices are told of whose updates took longest.
const SLOWEST: usize = 20;

/// How many cells a look shows.
const LIVE_CELLS: usize = 12;

/// Watches all devices of a run. Fed in the order of time.
#[derive(Debug)]
pub struct Observer {
    config: ObserverConfig,
    infos: Vec<DeviceInfo>,
    devices: Vec<Watch>,
    classes: Vec<Class>,
    /// Where each is among them.
    places: BTreeMap<SlotClaim, usize>,
    judge: Judge,
    metrics: Metrics,
    ids: Ids,
    lanes: Lanes,
    states: BTreeMap<DeviceState, [u64; 3]>,
    failures: BTreeMap<Cause, u64>,
    began_outside: i64,
    server: Option<(ServerSample, u64)>,
    now: Instant,
}

impl Observer {
    /// An observer of these devices, which are switched off.
    pub fn new(devices: Vec<DeviceInfo>, config: ObserverConfig) -> Self {
        let mut metrics = Metrics::default();
        let ids = Ids::new(&mut metrics);
        let (classes, places) = lanes::classes(&devices, &mut metrics);
        let mut states = BTreeMap::new();
        for state in DeviceState::ALL {
            states.insert(*state, [0; 3]);
        }
        for device in &devices {
            if let Some(off) = states.get_mut(&DeviceState::Off) {
                off[device.level as usize] += 1;
            }
        }
        let judge = Judge::new(Limits {
            tiers: config.limits,
            image: config.image.unwrap_or(Sha256Digest([0; 32])),
            at_rest: config.at_rest,
            classes: devices.iter().map(|device| device.class).collect(),
        });
        let mut observer = Self {
            lanes: Lanes::new(config.bucket),
            devices: vec![Watch::default(); devices.len()],
            infos: devices,
            classes,
            places,
            judge,
            metrics,
            ids,
            states,
            failures: BTreeMap::new(),
            began_outside: 0,
            server: None,
            now: Instant::ORIGIN,
            config,
        };
        for state in DeviceState::ALL {
            let count = observer.in_state(*state);
            observer.lanes.set_state(*state, count);
        }
        observer
    }

    /// Time has passed, whether or not something happened.
    pub fn advance(&mut self, at: Instant) {
        self.now = self.now.max(at);
        self.metrics.set_lasted(self.now.since_origin());
        self.lanes.advance(self.now, &mut self.classes);
    }

    /// A line of a device's own log.
    pub fn line(&mut self, line: &LogLine) {
        self.advance(line.at);
        let device = line.device;
        if device >= self.devices.len() {
            return;
        }
        let before = self.counted();
        let was = self.judge.active_class(device);
        self.judge.read(line);
        let is = self.judge.active_class(device);
        let after = self.counted();
        self.metrics
            .add(self.ids.double_execute, after.0 - before.0);
        self.metrics.add(self.ids.second_flash, after.1 - before.1);
        if is != was {
            for claim in [was, is].into_iter().flatten() {
                self.activity(claim, is == Some(claim));
            }
        }
        self.happened(line);
    }

    /// What CoAP did on a device.
    pub fn coap(&mut self, at: Instant, device: usize, sample: CoapSample) {
        self.advance(at);
        let (Some(info), Some(watch)) = (self.infos.get(device), self.devices.get_mut(device))
        else {
            return;
        };
        let level = info.level as usize;
        match sample {
            CoapSample::Sent => {
                self.metrics.add(self.ids.sent[level], 1);
                self.metrics.add_hit(self.ids.ratio[level], false);
                self.lanes.sent(1);
            }
            CoapSample::Retransmitted => {
                watch.retransmitted = watch.retransmitted.saturating_add(1);
                self.metrics.add(self.ids.retransmitted[level], 1);
                self.metrics.add_hit(self.ids.ratio[level], true);
                self.lanes.retransmitted(1);
            }
            CoapSample::RoundTrip(took) => {
                self.metrics.record(self.ids.round_trip[level], took);
            }
            CoapSample::GaveUp => self.metrics.add(self.ids.gave_up[level], 1),
            CoapSample::BlockReceived { size_bytes } => {
                watch.blocks = watch.blocks.saturating_add(1);
                watch.block_bytes += u64::from(size_bytes);
                self.metrics.add(self.ids.blocks[level], 1);
                self.lanes.block(u64::from(size_bytes));
            }
        }
    }

    /// How long a device's radio was on in the whole run; told once, at its end.
    pub fn awake(&mut self, device: usize, total: Duration) {
        if let Some(info) = self.infos.get(device) {
            let id = self.ids.awake[info.level as usize];
            self.metrics.record(id, total);
        }
    }

    /// What the server's process has used, where it runs on this machine.
    pub fn server(&mut self, at: Instant, sample: ServerSample) {
        self.advance(at);
        let blocks = self.lanes.totals().blocks;
        let rss = i64::try_from(sample.rss_bytes).unwrap_or(i64::MAX);
        self.metrics.gauge("server.rss", Labels::none(), rss);
        self.lanes.server(sample);
        // What the server did before the first block is of no block.
        if blocks == 0 {
            self.server = None;
        }
        let (first, before) = *self.server.get_or_insert((sample, blocks));
        let used = sample.cpu.saturating_sub(first.cpu).as_micros();
        if let Some(each) = used.checked_div(u128::from(blocks - before)) {
            let each = i64::try_from(each).unwrap_or(i64::MAX);
            self.metrics
                .gauge("server.cpu_per_block", Labels::none(), each);
        }
    }

    /// An attempt of a device failed, by the server's word; `None`: of one that takes no part.
    pub fn attempt_failed(&mut self, at: Instant, device: Option<usize>, reason: FailureReason) {
        self.advance(at);
        self.count_failure(device, Cause::Server(reason));
    }

    /// How it stands.
    pub fn snapshot(&self) -> Live {
        let totals = self.lanes.totals();
        let round_trips = self.metrics.trend_over("coap.round_trip", &Labels::none());
        let mut cells: Vec<_> = self
            .classes
            .iter()
            .map(|class| LiveCell {
                cell: class.claim.cell,
                tier: class.claim.tier,
                active: self.judge.active(class.claim),
                peak: class.peak,
                limit: self.config.limits.of(class.claim.tier),
            })
            .collect();
        let share = |cell: &LiveCell| u64::from(cell.active) * 1000 / u64::from(cell.limit.max(1));
        cells.sort_by_key(|cell| std::cmp::Reverse((share(cell), cell.peak)));
        cells.truncate(LIVE_CELLS);
        Live {
            elapsed: self.now.since_origin(),
            states: self.states.clone(),
            updated: self.in_state(DeviceState::Updated),
            failed_attempts: self.failed_by(SaidBy::Device),
            blocks: totals.blocks,
            block_bytes: totals.block_bytes,
            sent: totals.sent,
            retransmitted: totals.retransmitted,
            round_trip_p95: round_trips.and_then(|trend| trend.percentile(95.0)),
            cells,
        }
    }

    /// What has been measured so far.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The threshold by which the run is to end now, if there is one.
    pub fn aborting(&self) -> Option<&Threshold> {
        let elapsed = self.now.since_origin();
        let mut thresholds = self.config.thresholds.iter();
        thresholds.find(|threshold| threshold.aborts(&self.metrics, elapsed))
    }

    /// What the run came to, at the time that it was last told.
    pub fn finish(mut self, end: End) -> RunResult {
        let success = self.metrics.rate("campaign.success_rate", Labels::none());
        let mut updated = 0;
        for watch in &self.devices {
            let is_updated = watch.state == DeviceState::Updated;
            updated += u64::from(is_updated);
            self.metrics.add_hit(success, is_updated);
            let is_lost = end == End::AllDone && watch.state.is_at_update();
            self.metrics.add(self.ids.lost_update, u64::from(is_lost));
        }
        let thresholds = self.config.thresholds.iter();
        let thresholds = thresholds.map(|threshold| threshold.result(&self.metrics));
        let thresholds = thresholds.collect();
        let slowest = self.slowest();
        let failures = self.told_failures();
        let lasted = self.now.since_origin();
        let (series, of_cells) = self.lanes.finish(self.classes);
        let limits = self.config.limits;
        let cells = of_cells.into_iter().map(|(class, active)| CellResult {
            cell: class.claim.cell.0,
            tier: class.claim.tier.word().to_owned(),
            limit: limits.of(class.claim.tier),
            devices: class.devices,
            peak: class.peak,
            active,
        });
        RunResult {
            schema: RESULT_SCHEMA,
            name: self.config.name,
            mode: self.config.mode,
            seed: self.config.seed,
            scenario_toml: self.config.scenario_toml,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.config.started_at.map(|at| at.to_string()),
            duration_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
            end,
            devices: self.devices.len() as u64,
            updated,
            log_sha256: None,
            thresholds,
            metrics: self.metrics,
            series,
            cells: cells.collect(),
            failures,
            slowest,
        }
    }

    fn counted(&self) -> (u64, u64) {
        let counts = self.judge.counts();
        (counts.repeated_executes, counts.second_flashes)
    }

    fn in_state(&self, state: DeviceState) -> u64 {
        let levels = self.states.get(&state);
        levels.map_or(0, |levels| levels.iter().sum())
    }

    fn failed_by(&self, said_by: SaidBy) -> u64 {
        let of = self
            .failures
            .iter()
            .filter(|(cause, _)| cause.said_by() == said_by);
        of.map(|(_, count)| count).sum()
    }

    fn count_failure(&mut self, device: Option<usize>, cause: Cause) {
        *self.failures.entry(cause).or_default() += 1;
        if let Some(watch) = device.and_then(|device| self.devices.get_mut(device)) {
            watch.note_failure(cause);
        }
    }

    /// One more device is active in a class, or one less. A class in which no device began may be new:
    /// a device comes to it by what its radio says later.
    fn activity(&mut self, claim: SlotClaim, more: bool) {
        let place = match self.places.get(&claim) {
            Some(place) => *place,
            None => {
                let place = self.classes.len();
                self.places.insert(claim, place);
                let class = Class::new(claim, place, &mut self.metrics);
                self.classes.push(class);
                place
            }
        };
        if let Some(class) = self.classes.get_mut(place) {
            let active = self.judge.active(claim);
            class.peak = class.peak.max(active);
            self.metrics.set(class.gauge, i64::from(active));
            self.lanes.activity(class, active, more);
        }
    }

    fn slowest(&self) -> Vec<SlowDevice> {
        let mut took: Vec<_> = self
            .devices
            .iter()
            .enumerate()
            .filter_map(|(index, watch)| Some((watch.took(self.now)?, index)))
            .collect();
        took.sort_unstable_by_key(|(took, index)| (std::cmp::Reverse(*took), *index));
        let slowest = took.into_iter().take(SLOWEST).filter_map(|(took, index)| {
            let (info, watch) = (self.infos.get(index)?, self.devices.get(index)?);
            let (steps, steps_left_out) = watch.timeline.told();
            Some(SlowDevice {
                endpoint: info.endpoint.clone(),
                cell: info.cell.0,
                ce: info.level as u8,
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                updated: watch.state == DeviceState::Updated,
                blocks: watch.blocks,
                retransmitted: watch.retransmitted,
                steps,
                steps_left_out,
            })
        });
        slowest.collect()
    }

    fn told_failures(&self) -> Vec<FailureCount> {
        let mut failures: Vec<_> = self
            .failures
            .iter()
            .map(|(cause, count)| FailureCount {
                said_by: cause.said_by(),
                cause: cause.to_string(),
                count: *count,
            })
            .collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        failures
    }
}

#[cfg(test)]
mod tests;
