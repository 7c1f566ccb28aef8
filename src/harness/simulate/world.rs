//! One rehearsal: what happens next, until it is over. Sans-IO.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use super::SimulateError;
use super::operator::{Operator, TARGET_VERSION, all_over};
use crate::campaign::Windows;
use crate::clock::{Instant, Now};
use crate::engine::EngineConfig;
use crate::harness::scenario::{
    CellPlan, DevicePhase, DevicePlace, Happening, SERVER, Scenario, ServerPlan, TimedEvent, Until,
};
use crate::harness::{DeviceInfo, End, Mode, Observer, ObserverConfig, RunResult, Threshold};
use crate::model::{
    CampaignId, CellId, ProductSettings, Record, Sha256Digest, TaskId, TaskState, TierBorders,
    UpdateTask,
};
use crate::sim::log::DeviceEvent;
use crate::sim::{
    AtRest, Carrier, CoapKind, CoapWatch, Kept, Limits, Network, NetworkDevice, OperationMode, Told,
};
use crate::store::MemoryStore;

/// How long one part of the series is at first.
const BUCKET: Duration = Duration::from_secs(1);

/// How often thresholds that end the run are judged, on its clock.
const JUDGED_EVERY: Duration = Duration::from_secs(60);

/// How often something of the operator's waits for a server that is down.
const PATIENCE: Duration = Duration::from_secs(60);

/// A rehearsal under way.
#[derive(Debug)]
pub struct Simulation<'a> {
    scenario: &'a Scenario,
    seed: u64,
    network: Network,
    operator: Operator,
    observer: Observer,
    places: Vec<DevicePlace>,
    /// Devices' numbers by their endpoint names.
    numbers: BTreeMap<String, usize>,
    watches: Vec<CoapWatch>,
    to_come: BTreeMap<(Instant, u64), Act>,
    acts: u64,
    campaigns: BTreeMap<CampaignId, bool>,
    failed_attempts: BTreeSet<(TaskId, u8)>,
    registered: BTreeSet<usize>,
    end: Option<End>,
}

/// What is to be done at a time.
#[derive(Clone, Debug)]
enum Act {
    Event(TimedEvent),
    SwitchOff(usize),
    StartCampaign,
    RetryFailed(Duration),
    Judge,
}

impl<'a> Simulation<'a> {
    /// Everything as it is before the first thing happens.
    ///
    /// # Errors
    /// Where a name is none, or the server refuses a device.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Result<Self, SimulateError> {
        let mut rng = StdRng::seed_from_u64(seed);
        let campaign = scenario.campaign.as_ref();
        let mut image = vec![0; campaign.map_or(0, |plan| plan.image_bytes)];
        rng.fill_bytes(&mut image);
        let image = Bytes::from(image);
        let sha256 = Sha256Digest(Sha256::digest(&image).into());
        let admission = campaign.and_then(|plan| plan.admission);
        let at_rest = match admission.unwrap_or(scenario.server.admission).airtime {
            Some(_) => AtRest::Done,
            None => AtRest::Resting,
        };
        let Cast {
            infos,
            devices,
            entered,
            places,
            switch_offs,
            awake,
        } = cast(scenario, seed);
        let classes = infos.iter().map(|info| info.class).collect();
        let limits = Limits {
            tiers: scenario.server.limits,
            image: sha256,
            at_rest,
            classes,
        };
        let now = Now {
            instant: Instant::ORIGIN,
            utc: scenario.start,
        };
        let kept = Kept {
            store: MemoryStore::new(),
            images: BTreeMap::new(),
        };
        let server = (engine(&scenario.server, awake), Some(kept));
        let mut network = Network::new(
            server,
            devices,
            limits,
            carriers(scenario),
            now,
            rng.r#gen(),
        );
        network.listen();
        let mut operator = Operator::new(scenario.products(), image, sha256);
        operator.enter(&mut network, entered)?;
        let endpoints = infos.iter().map(|info| info.endpoint.clone());
        let numbers = endpoints.zip(0..).collect();
        let observer = Observer::new(infos, observed(scenario, seed, sha256, at_rest));
        let mut simulation = Self {
            scenario,
            seed,
            network,
            operator,
            observer,
            watches: vec![CoapWatch::default(); places.len()],
            places,
            numbers,
            to_come: BTreeMap::new(),
            acts: 0,
            campaigns: BTreeMap::new(),
            failed_attempts: BTreeSet::new(),
            registered: BTreeSet::new(),
            end: None,
        };
        for (at, device) in switch_offs {
            simulation.plan(at, Act::SwitchOff(device));
        }
        simulation.plan_scenario();
        Ok(simulation)
    }

    /// How long it has lasted, on its own clock.
    pub fn elapsed(&self) -> Duration {
        self.network.now().instant.since_origin()
    }

    /// What has been measured.
    pub const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The network, with all that is in it.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// What was added to the log since it was taken last.
    pub fn take_log(&mut self) -> String {
        self.network.take_log()
    }

    /// Lets the next thing happen; says whether there is more to come.
    ///
    /// # Errors
    /// Where the server refuses what the operator wants.
    pub fn step(&mut self) -> Result<bool, SimulateError> {
        if self.end.is_some() {
            return Ok(false);
        }
        let end = Instant::from_origin(self.scenario.duration);
        let next = self.to_come.first_key_value().map(|((at, _), _)| *at);
        let until = next.unwrap_or(end).min(end);
        if self.network.step(until) {
            self.listen();
        } else if next == Some(until) {
            if let Some((_, act)) = self.to_come.pop_first() {
                self.act(act)?;
                self.listen();
            }
        } else {
            self.observer.advance(until);
            self.end = Some(End::DurationOver);
        }
        if let Some(why) = self.network.fault() {
            let why = why.to_owned();
            self.end = Some(End::DidNotFinish { why });
        }
        Ok(self.end.is_none())
    }

    /// What it came to.
    pub fn finish(mut self) -> RunResult {
        let end = self.end.take().unwrap_or_else(|| End::DidNotFinish {
            why: "it was broken off".to_owned(),
        });
        for device in 0..self.places.len() {
            self.observer.awake(device, self.network.radio_on(device));
        }
        let log = self.network.account().log_sha256();
        RunResult {
            log_sha256: Some(log.to_string()),
            ..self.observer.finish(end)
        }
    }

    fn plan(&mut self, at: Duration, act: Act) {
        self.acts += 1;
        let at = Instant::from_origin(at);
        self.to_come.insert((at, self.acts), act);
    }

    fn plan_scenario(&mut self) {
        if let Some(campaign) = &self.scenario.campaign {
            self.plan(campaign.at, Act::StartCampaign);
            if let Some(every) = campaign.retry_failed_every {
                self.plan(campaign.at + every, Act::RetryFailed(every));
            }
        }
        for event in &self.scenario.events {
            self.plan(event.at, Act::Event(event.clone()));
        }
        if self
            .scenario
            .thresholds
            .iter()
            .any(Threshold::abort_on_fail)
        {
            self.plan(JUDGED_EVERY, Act::Judge);
        }
    }

    /// Ends the run where a threshold is broken that is to end it.
    fn judge(&mut self) {
        self.observer.advance(self.network.now().instant);
        match self.observer.aborting().map(Threshold::to_string) {
            Some(threshold) => self.end = Some(End::Aborted { threshold }),
            None => self.plan(self.elapsed() + JUDGED_EVERY, Act::Judge),
        }
    }

    fn act(&mut self, act: Act) -> Result<(), SimulateError> {
        let is_operators = matches!(act, Act::StartCampaign | Act::RetryFailed(_));
        if is_operators && !self.network.serves() {
            self.plan(self.elapsed() + PATIENCE, act);
            return Ok(());
        }
        match act {
            Act::SwitchOff(device) => self.network.switch_off(device),
            Act::StartCampaign => {
                if let Some(campaign) = &self.scenario.campaign {
                    self.network.note("the campaign is activated");
                    self.operator.start(&mut self.network, campaign)?;
                }
            }
            Act::RetryFailed(every) => {
                self.plan(self.elapsed() + every, Act::RetryFailed(every));
                self.operator.retry_failed(&mut self.network)?;
            }
            Act::Event(event) => self.happen(&event),
            Act::Judge => self.judge(),
        }
        Ok(())
    }

    fn happen(&mut self, event: &TimedEvent) {
        self.network.note(&format!("{:?}", event.what));
        let cells = event.cells(self.seed, self.scenario.cells.len());
        match event.what {
            Happening::ServerRestart { down } => self.network.restart_server(down),
            Happening::TimeJump { by_ms } => self.network.set_clock(by_ms),
            Happening::CellOutage { lasts } => {
                for cell in cells {
                    self.network.darken(self.scenario.cells[cell].id, lasts);
                }
            }
            Happening::NatFlush => {
                for place in self.hit(event, &cells) {
                    self.network.flush_nat(place.index);
                }
            }
            Happening::PowerCut {
                off,
                spread,
                loses_package,
                phase,
            } => {
                for DevicePlace { index, .. } in self.hit(event, &cells) {
                    let is_there = phase.is_none_or(|phase| {
                        self.network.update_state(index) == Some(state_of(phase))
                    });
                    if is_there {
                        let off = off + event.spread(self.seed, index, spread);
                        self.network.cut_power(index, off, loses_package);
                    }
                }
            }
        }
    }

    fn hit(&self, event: &TimedEvent, cells: &[usize]) -> Vec<DevicePlace> {
        let places = self.places.iter().copied();
        places
            .filter(|place| event.hits(self.seed, *place, cells))
            .collect()
    }

    /// Tells the observer what has happened.
    fn listen(&mut self) {
        let at = self.network.now().instant;
        while let Some(told) = self.network.poll_told() {
            match told {
                Told::Line(line) => {
                    if line.event == DeviceEvent::Registered {
                        self.registered.insert(line.device);
                        self.look_whether_all_is_done();
                    }
                    self.observer.line(&line);
                }
                Told::Sent {
                    device,
                    socket,
                    datagram,
                } => {
                    let seen = self.watches[device].sent(at, socket, &datagram);
                    self.coap(at, device, seen);
                }
                Told::Received {
                    device,
                    socket,
                    datagram,
                } => {
                    let seen = self.watches[device].received(at, socket, &datagram);
                    self.coap(at, device, seen);
                }
                Told::Record(record) => self.record(at, &record),
            }
        }
    }

    fn coap(&mut self, at: Instant, device: usize, seen: [Option<CoapKind>; 2]) {
        for kind in seen.into_iter().flatten() {
            self.observer.coap(at, device, kind.into());
        }
    }

    fn record(&mut self, at: Instant, record: &Record) {
        if let Record::Campaign { id, state, .. } = record {
            self.campaigns.insert(*id, state.is_active());
            self.look_whether_all_is_done();
        } else if let Record::Task(task) = record {
            self.task(at, task);
        }
    }

    fn task(&mut self, at: Instant, task: &UpdateTask) {
        let has_failed = matches!(task.state, TaskState::Pending | TaskState::Failed);
        if let Some(failure) = task.failure.as_ref().filter(|_| has_failed)
            && self.failed_attempts.insert((task.id, task.attempt))
        {
            let device = self.numbers.get(task.endpoint.as_str()).copied();
            self.observer.attempt_failed(at, device, failure.reason);
        }
        if task.state == TaskState::Succeeded {
            self.look_whether_all_is_done();
        }
    }

    /// A run is over when every device is updated, or when all campaigns are over and nobody tries
    /// again what has failed; without a campaign, when every device is registered.
    fn look_whether_all_is_done(&mut self) {
        if self.scenario.until == Until::Duration || self.end.is_some() {
            return;
        }
        let devices = self.places.len();
        let is_done = match &self.scenario.campaign {
            None => self.registered.len() == devices,
            Some(plan) => {
                let is_over = plan.retry_failed_every.is_none() && all_over(&self.campaigns);
                is_over || self.network.account().succeeded().len() == devices
            }
        };
        let is_quiet = !self
            .to_come
            .values()
            .any(|act| matches!(act, Act::Event(_)));
        if is_done && is_quiet {
            self.end = Some(End::AllDone);
        }
    }
}

/// Who takes part.
struct Cast {
    infos: Vec<DeviceInfo>,
    devices: Vec<NetworkDevice>,
    /// Endpoint name, manufacturer and model of each.
    entered: Vec<(String, String, String)>,
    places: Vec<DevicePlace>,
    switch_offs: Vec<(Duration, usize)>,
    /// How long the shortest of those listens that sleep.
    awake: Duration,
}

fn cast(scenario: &Scenario, seed: u64) -> Cast {
    let mut cast = Cast {
        infos: Vec::new(),
        devices: Vec::new(),
        entered: Vec::new(),
        places: Vec::new(),
        switch_offs: Vec::new(),
        awake: ProductSettings::default().awake_time,
    };
    for planned in scenario.devices(seed) {
        let config = &planned.config;
        let cell = scenario.cells[planned.cell].id;
        cast.infos.push(DeviceInfo {
            endpoint: config.endpoint.clone(),
            cell,
            level: planned.level,
            class: config.class(&TierBorders::default()),
            mix: planned.mix,
        });
        let name = config.endpoint.clone();
        let product = (config.manufacturer.clone(), config.model.clone());
        cast.entered.push((name, product.0, product.1));
        cast.places.push(planned.place());
        if config.queue_mode {
            cast.awake = cast.awake.min(config.awake);
        }
        if let Some(at) = planned.switch_off {
            cast.switch_offs.push((at, planned.index));
        }
        cast.devices.push(NetworkDevice {
            config: planned.config,
            cell,
            level: planned.level,
            seed: Some(planned.seed),
            impairment: planned.impairment,
        });
    }
    cast
}

/// Each cell's carrier.
fn carriers(scenario: &Scenario) -> impl Fn(CellId) -> Carrier {
    let of = |cell: &CellPlan| Carrier {
        operation_mode: cell.operation_mode,
        downlink_share_percent: cell.fota_share_percent,
    };
    let cells = scenario.cells.iter();
    let carriers: BTreeMap<_, _> = cells.map(|cell| (cell.id, of(cell))).collect();
    let whole = Carrier {
        operation_mode: OperationMode::Standalone,
        downlink_share_percent: NonZeroU8::MAX,
    };
    move |cell| carriers.get(&cell).copied().unwrap_or(whole)
}

const fn state_of(phase: DevicePhase) -> u8 {
    match phase {
        DevicePhase::Downloading => 1,
        DevicePhase::Downloaded => 2,
        DevicePhase::Updating => 3,
    }
}

fn engine(plan: &ServerPlan, awake_time: Duration) -> EngineConfig {
    EngineConfig {
        product: ProductSettings {
            awake_time,
            contact_timeout: plan.contact_timeout,
            ..ProductSettings::default()
        },
        tier_limits: plan.limits,
        admission: plan.admission,
        stretch_max: plan.stretch_max,
        starts_per_minute_max: plan.starts_per_minute_max.and_then(|it| it.try_into().ok()),
        waiting_room: plan.waiting_room,
        download_base: Some(format!("coap://{SERVER}/fw/")),
        ..EngineConfig::default()
    }
}

fn observed(
    scenario: &Scenario,
    seed: u64,
    image: Sha256Digest,
    at_rest: AtRest,
) -> ObserverConfig {
    let campaign = scenario.campaign.as_ref();
    let windows = campaign.map_or(&[][..], |plan| &plan.policy.schedule.windows);
    let windows = Windows::parse(windows).ok();
    ObserverConfig {
        name: scenario.name.clone(),
        mode: Mode::Simulate,
        seed,
        scenario_toml: scenario.text.clone(),
        started_at: None,
        epoch: scenario.start,
        limits: scenario.server.limits,
        image: campaign.map(|_| image),
        target_version: campaign.map(|_| TARGET_VERSION.to_owned()),
        at_rest,
        windows: windows.filter(|windows| !windows.is_empty()),
        bucket: BUCKET,
        thresholds: scenario.thresholds.clone(),
    }
}
