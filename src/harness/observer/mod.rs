//! Turns what devices did into metrics, series and a result, in memory that does not grow with what
//! happens.

mod lane;
mod lanes;
mod live;
mod timeline;
mod watch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use self::lanes::{Class, Lanes};
use self::watch::Watch;
use super::metric::{Labels, Metrics, SeriesId};
use super::result::{
    CellResult, End, FailureCount, Mode, RESULT_SCHEMA, RunResult, SaidBy, SlowDevice, StepKind,
};
use super::threshold::Threshold;
use crate::campaign::Windows;
use crate::clock::{Instant, Utc};
use crate::model::{CellId, FailureReason, Sha256Digest, SlotClaim, TierLimits, words};
use crate::sim::log::{DeviceEvent, LogLine};
use crate::sim::{AtRest, CeLevel, Judge, Limits};

pub use live::{Live, LiveCell, Rates};

/// How many devices are told of whose updates took longest.
const SLOWEST: usize = 20;

/// How many cells a look shows.
const LIVE_CELLS: usize = 12;

/// How long after a push window's end a device may take a URI that was written within it: as long as a
/// request is repeated where coverage is weak (15 s, four retransmissions).
const WINDOW_GRACE: Duration = Duration::from_secs(465);

/// Update Result 1 and 11.
const SUCCESS: u8 = 1;
const DEFERRED: u8 = 11;

words! {
    /// Where a device is, by its own log.
    pub enum DeviceState {
        /// Switched off, or without power.
        Off = "off",
        /// It has no registration that the server takes.
        Registering = "registering",
        /// Registered, and not at an update.
        Registered = "registered",
        /// It has a URI.
        Downloading = "downloading",
        /// It has the image.
        Downloaded = "downloaded",
        /// It was told to install.
        Updating = "updating",
        /// It runs the new version.
        Updated = "updated",
        /// Its last attempt failed.
        Failed = "failed",
    }
}

/// One device, as it is planned.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// Its endpoint name.
    pub endpoint: String,
    /// Its cell.
    pub cell: CellId,
    /// How well it hears it.
    pub level: CeLevel,
    /// The class in which a server is to count it.
    pub class: SlotClaim,
    /// The mix of the scenario that it is of.
    pub mix: u16,
}

/// What CoAP did on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoapSample {
    /// A message went out for the first time.
    Sent,
    /// One went out again.
    Retransmitted,
    /// An answer came, so long after the first transmission.
    RoundTrip(Duration),
    /// No answer came to any transmission.
    GaveUp,
    /// A block of an image came.
    BlockReceived {
        /// Its size.
        size_bytes: u32,
    },
}

/// What the server's process has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerSample {
    /// CPU time since it started.
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// What an observer is told beforehand.
#[derive(Clone, Debug)]
pub struct ObserverConfig {
    /// The scenario's name.
    pub name: String,
    /// How it is run.
    pub mode: Mode,
    /// The seed.
    pub seed: u64,
    /// The scenario, as it was.
    pub scenario_toml: String,
    /// When the run began, in a load run.
    pub started_at: Option<Utc>,
    /// The UTC time at the run's origin, by which push windows are open.
    pub epoch: Utc,
    /// The limits of every cell.
    pub limits: TierLimits,
    /// The image that devices must end up with, where it is known.
    pub image: Option<Sha256Digest>,
    /// The version that it is, where that is known: a device that runs another one has failed.
    pub target_version: Option<String>,
    /// What a device counts as between download and Execute.
    pub at_rest: AtRest,
    /// When updates may begin; `None`: always.
    pub windows: Option<Windows>,
    /// How long one part of the series is at first.
    pub bucket: Duration,
    /// What is asked of the run.
    pub thresholds: Vec<Threshold>,
}

/// Watches all devices of a run. Fed in the order of time.
#[derive(Debug)]
pub struct Observer {
    config: ObserverConfig,
    infos: Vec<DeviceInfo>,
    devices: Vec<Watch>,
    classes: Vec<Class>,
    judge: Judge,
    metrics: Metrics,
    ids: Ids,
    lanes: Lanes,
    states: BTreeMap<DeviceState, [u64; 3]>,
    failures: BTreeMap<(SaidBy, Cow<'static, str>), u64>,
    began_outside: i64,
    server: Option<(ServerSample, u64)>,
    now: Instant,
}

/// Series of what happens often, found once.
#[derive(Debug)]
struct Ids {
    sent: [SeriesId; 3],
    retransmitted: [SeriesId; 3],
    ratio: [SeriesId; 3],
    gave_up: [SeriesId; 3],
    round_trip: [SeriesId; 3],
    blocks: [SeriesId; 3],
    register: [SeriesId; 3],
    download: [SeriesId; 3],
    update: [SeriesId; 3],
    awake: [SeriesId; 3],
    outside: SeriesId,
    retry_gap: SeriesId,
    double_execute: SeriesId,
    second_flash: SeriesId,
    lost_update: SeriesId,
    registration_failed: SeriesId,
}

impl Observer {
    /// An observer of these devices, which are switched off.
    pub fn new(devices: Vec<DeviceInfo>, config: ObserverConfig) -> Self {
        let mut metrics = Metrics::default();
        let ids = Ids::new(&mut metrics);
        let (classes, class_of) = lanes::classes(&devices, &mut metrics);
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
            devices: class_of.into_iter().map(Watch::new).collect(),
            infos: devices,
            classes,
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
        let was_active = self.judge.is_active(device);
        self.judge.read(line);
        let after = self.counted();
        self.metrics
            .add(self.ids.double_execute, after.0 - before.0);
        self.metrics.add(self.ids.second_flash, after.1 - before.1);
        if self.judge.is_active(device) != was_active {
            self.activity(device, was_active);
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
        let (first, before) = *self.server.get_or_insert((sample, blocks));
        let used = sample.cpu.saturating_sub(first.cpu).as_micros();
        if let Some(each) = used.checked_div(u128::from(blocks - before)) {
            let each = i64::try_from(each).unwrap_or(i64::MAX);
            self.metrics
                .gauge("server.cpu_per_block", Labels::none(), each);
        }
    }

    /// An attempt failed, by the server's word.
    pub fn attempt_failed(&mut self, at: Instant, reason: FailureReason) {
        self.advance(at);
        self.count_failure(SaidBy::Server, Cow::Borrowed(reason.word()));
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
            updated: totals.updated,
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
        let of = self.failures.iter().filter(|((by, _), _)| *by == said_by);
        of.map(|(_, count)| count).sum()
    }

    fn count_failure(&mut self, said_by: SaidBy, cause: Cow<'static, str>) {
        *self.failures.entry((said_by, cause)).or_default() += 1;
    }

    /// A device became active in its class, or is so no more.
    fn activity(&mut self, device: usize, was_active: bool) {
        let Some(class) = self.devices.get(device).map(|watch| watch.class) else {
            return;
        };
        if let Some(class) = self.classes.get_mut(class) {
            let active = self.judge.active(class.claim);
            class.peak = class.peak.max(active);
            self.metrics.set(class.gauge, i64::from(active));
            self.lanes.activity(class, active, !was_active);
        }
    }

    fn happened(&mut self, line: &LogLine) {
        let level = self.infos.get(line.device).map(|info| info.level as usize);
        let before = self.devices.get(line.device).map(|watch| watch.state);
        let (Some(level), Some(before)) = (level, before) else {
            return;
        };
        let cause = match &line.event {
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::DownlinkTaken { .. } => {
                self.of_registration(level, line);
                None
            }
            DeviceEvent::UriAccepted
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::Downloaded { .. }
            | DeviceEvent::DownloadFailed { .. } => self.of_download(level, line),
            DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::Bricked
            | DeviceEvent::SwitchedOff
            | DeviceEvent::PowerCut => self.of_install(level, line),
        };
        if let Some(cause) = cause {
            self.count_failure(SaidBy::Device, cause);
        }
        let Some(watch) = self.devices.get_mut(line.device) else {
            return;
        };
        let after = watch.state;
        if !watch.in_attempt && std::mem::take(&mut watch.outside) {
            self.began_outside -= 1;
        }
        self.metrics.set(self.ids.outside, self.began_outside);
        self.moved(level, before, after);
    }

    fn of_registration(&mut self, level: usize, line: &LogLine) {
        let (at, Some(watch)) = (line.at, self.devices.get_mut(line.device)) else {
            return;
        };
        match &line.event {
            DeviceEvent::Booted { .. } => watch.booted(at),
            DeviceEvent::Registered => {
                if let Some(took) = watch.registered(at) {
                    self.metrics.record(self.ids.register[level], took);
                }
            }
            DeviceEvent::RegistrationRefused { .. } | DeviceEvent::RegistrationUnanswered => {
                watch.registration_lost(at);
                self.metrics.add(self.ids.registration_failed, 1);
            }
            DeviceEvent::RebootTaken { .. } => {
                watch.timeline.add(at, StepKind::RebootTaken, None);
            }
            DeviceEvent::UriAccepted
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::Downloaded { .. }
            | DeviceEvent::DownloadFailed { .. }
            | DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::Bricked
            | DeviceEvent::SwitchedOff
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::PowerCut => {}
        }
    }

    /// The cause, where it failed.
    fn of_download(&mut self, level: usize, line: &LogLine) -> Option<Cow<'static, str>> {
        let (at, watch) = (line.at, self.devices.get_mut(line.device)?);
        match &line.event {
            DeviceEvent::UriAccepted => {
                let began = watch.uri_accepted(at);
                if let Some(gap) = began.retry_gap {
                    self.metrics.record(self.ids.retry_gap, gap);
                }
                let is_outside = began.anew && is_outside(&self.config, at);
                watch.outside |= is_outside;
                self.began_outside += i64::from(is_outside);
            }
            DeviceEvent::Downloaded { .. } => {
                if let Some(took) = watch.downloaded(at) {
                    self.metrics.record(self.ids.download[level], took);
                }
            }
            DeviceEvent::DownloadFailed { result } => {
                watch.failed(at, StepKind::DownloadFailed, *result);
                return Some(Cow::Owned(format!("result_{result}")));
            }
            DeviceEvent::DownloadResumed { .. } => {
                watch.timeline.add(at, StepKind::DownloadResumed, None);
            }
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::ExecuteAccepted
            | DeviceEvent::Flashed { .. }
            | DeviceEvent::UpdateEnded { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::DownlinkTaken { .. }
            | DeviceEvent::InstallResumed
            | DeviceEvent::OldVersionKept
            | DeviceEvent::Bricked
            | DeviceEvent::SwitchedOff
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::PowerCut => {}
        }
        None
    }

    /// The cause, where it failed.
    fn of_install(&mut self, level: usize, line: &LogLine) -> Option<Cow<'static, str>> {
        let (at, watch) = (line.at, self.devices.get_mut(line.device)?);
        match &line.event {
            DeviceEvent::ExecuteAccepted => {
                watch.state = DeviceState::Updating;
                watch.timeline.add(at, StepKind::ExecuteTaken, None);
            }
            DeviceEvent::Flashed { version } => {
                let target = self.config.target_version.as_ref();
                watch.wrong_version = target.is_some_and(|target| target != version);
                watch.timeline.add(at, StepKind::Flashed, None);
            }
            DeviceEvent::UpdateEnded { result: DEFERRED } => {
                watch.state = DeviceState::Downloaded;
                watch.timeline.add(at, StepKind::Deferred, None);
            }
            DeviceEvent::UpdateEnded { result: SUCCESS } if !watch.wrong_version => {
                let (took, first) = watch.succeeded(at);
                if let Some(took) = took {
                    self.metrics.record(self.ids.update[level], took);
                }
                self.lanes.updated(u64::from(first));
            }
            DeviceEvent::UpdateEnded { result } => {
                watch.failed(at, StepKind::UpdateFailed, *result);
                return Some(match *result {
                    SUCCESS => Cow::Borrowed("version_mismatch"),
                    result => Cow::Owned(format!("result_{result}")),
                });
            }
            DeviceEvent::InstallResumed => watch.state = DeviceState::Updating,
            DeviceEvent::OldVersionKept => watch.wrong_version = true,
            DeviceEvent::PowerCut => {
                let interrupted = watch.power_cut(at);
                return interrupted.then_some(Cow::Borrowed("power_cut"));
            }
            DeviceEvent::SwitchedOff => {
                let interrupted = watch.power_cut(at);
                return interrupted.then_some(Cow::Borrowed("switched_off"));
            }
            DeviceEvent::Bricked => {
                watch.power_cut(at);
                return Some(Cow::Borrowed("bricked"));
            }
            DeviceEvent::Booted { .. }
            | DeviceEvent::Registered
            | DeviceEvent::RegistrationRefused { .. }
            | DeviceEvent::RegistrationUnanswered
            | DeviceEvent::UriAccepted
            | DeviceEvent::DownloadResumed { .. }
            | DeviceEvent::Downloaded { .. }
            | DeviceEvent::DownloadFailed { .. }
            | DeviceEvent::RebootTaken { .. }
            | DeviceEvent::ObservationsForgotten
            | DeviceEvent::BootFailed { .. }
            | DeviceEvent::RolledBack { .. }
            | DeviceEvent::DownloadRestarted
            | DeviceEvent::PortChanged
            | DeviceEvent::SignalTold { .. }
            | DeviceEvent::DownlinkTaken { .. } => {}
        }
        None
    }

    fn moved(&mut self, level: usize, before: DeviceState, after: DeviceState) {
        if before == after {
            return;
        }
        if let Some(left) = self.states.get_mut(&before) {
            left[level] = left[level].saturating_sub(1);
        }
        if let Some(reached) = self.states.get_mut(&after) {
            reached[level] += 1;
        }
        for state in [before, after] {
            let count = self.in_state(state);
            self.lanes.set_state(state, count);
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
            .map(|((said_by, cause), count)| FailureCount {
                said_by: *said_by,
                cause: cause.to_string(),
                count: *count,
            })
            .collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        failures
    }
}

impl DeviceState {
    /// Between URI and result.
    const fn is_at_update(self) -> bool {
        matches!(self, Self::Downloading | Self::Downloaded | Self::Updating)
    }
}

impl Ids {
    fn new(metrics: &mut Metrics) -> Self {
        let ce = |level: u8| Labels::of([("ce", level.to_string())]);
        let mut counters = |name| [0, 1, 2].map(|level| metrics.counter(name, ce(level)));
        let (sent, retransmitted, gave_up, blocks) = (
            counters("coap.sent"),
            counters("coap.retransmitted"),
            counters("coap.gave_up"),
            counters("block.received"),
        );
        let mut trends = |name| [0, 1, 2].map(|level| metrics.trend(name, ce(level)));
        let (round_trip, register, download, update, awake) = (
            trends("coap.round_trip"),
            trends("device.register"),
            trends("device.download"),
            trends("device.update"),
            trends("device.awake"),
        );
        let ratio = [0, 1, 2].map(|level| metrics.rate("coap.retransmit_ratio", ce(level)));
        let mut counter = |name| metrics.counter(name, Labels::none());
        Self {
            sent,
            retransmitted,
            ratio,
            gave_up,
            round_trip,
            blocks,
            register,
            download,
            update,
            awake,
            double_execute: counter("device.double_execute"),
            second_flash: counter("device.second_flash"),
            lost_update: counter("device.lost_update"),
            registration_failed: counter("registration.failed"),
            outside: metrics.gauge_at_zero("cell.active_outside_window", Labels::none()),
            retry_gap: metrics.trend("device.retry_gap", Labels::none()),
        }
    }
}

fn is_outside(config: &ObserverConfig, at: Instant) -> bool {
    let Some(windows) = &config.windows else {
        return false;
    };
    let passed = at.since_origin();
    let is_open = |passed: Duration| windows.is_open(config.epoch + passed);
    !is_open(passed) && !is_open(passed.saturating_sub(WINDOW_GRACE))
}

#[cfg(test)]
mod tests;
