//! One run, from the first device to the last.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::observe::{config_of, sink};
use super::pace::quickened;
use super::plan::Plan;
use super::provision::Provisioner;
use super::server_process::ServerProcess;
use super::{LoadConfig, LoadError, Look, Operator, lock};
use crate::clock::SystemClock;
use crate::harness::scenario::{DevicePhase, DevicePlace, Happening, Scenario, TimedEvent, Until};
use crate::harness::{DeviceState, End, Observer, RunResult};
use crate::sim::{Fleet, FleetConfig, Order, sources_towards};

/// How often the run is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks pass between two questions whether the campaigns are over.
const CAMPAIGN_LOOKS: u32 = 2;

/// A run under way.
pub(super) struct UnderWay<'a> {
    scenario: &'a Scenario,
    speed: u16,
    seed: u64,
    process: Option<ServerProcess>,
    provisioner: Option<Provisioner>,
    clock: SystemClock,
    fleet: Fleet,
    observer: Arc<Mutex<Observer>>,
    places: Vec<DevicePlace>,
    /// What is to be done when, the last first.
    to_come: Vec<(Duration, Act)>,
    switched_off: u64,
    is_campaign_running: bool,
    looks: u32,
}

/// What is done to the devices or by the operator.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Event(TimedEvent),
    SwitchOff(usize),
    StartCampaign,
    RetryFailed(Duration),
}

impl<'a> UnderWay<'a> {
    /// Prepares the server, and switches the devices on.
    pub(super) async fn begin(
        scenario: &'a Scenario,
        config: LoadConfig,
    ) -> Result<Self, LoadError> {
        let plan = Plan::of(scenario, &config);
        let LoadConfig { seed, speed, .. } = config;
        let began = SystemClock::new().now().utc;
        let (provisioner, image) = match config.operator {
            Operator::Nobody => (None, None),
            Operator::Elsewhere { image } => (None, image),
            Operator::Rest(rest) => {
                let mut provisioner = Provisioner::new(rest, began.to_string());
                let entered = provisioner.prepare(scenario, seed, config.devices);
                let image = entered.await?;
                (Some(provisioner), image)
            }
        };
        let sources = match config.sources {
            sources if sources.is_empty() => sources_towards(config.server)?,
            sources => sources,
        };
        let fleet_config = FleetConfig {
            sources,
            ports: config.ports,
            loops: config.loops,
        };
        // From here on time runs.
        let clock = SystemClock::new();
        let observed = config_of(scenario, seed, image, clock.now().utc);
        let observer = Arc::new(Mutex::new(Observer::new(plan.infos, observed)));
        let fleet = Fleet::launch(plan.devices, &fleet_config, clock, &sink(&observer))?;
        let mut run = Self {
            scenario,
            speed,
            seed,
            process: config.process,
            provisioner,
            clock,
            fleet,
            observer,
            places: plan.places,
            to_come: plan.to_come,
            switched_off: 0,
            is_campaign_running: false,
            looks: 0,
        };
        run.plan_scenario();
        Ok(run)
    }

    /// Goes on until it is over by itself, or by a threshold.
    pub(super) async fn until_its_end(
        &mut self,
        look: &mut dyn FnMut(&Look<'_>),
    ) -> Result<End, LoadError> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let end = self.advance().await?;
            let live = self.observed().snapshot();
            look(&Look {
                live: &live,
                observer: &self.observer,
            });
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// How it ends where its time is over.
    pub(super) fn out_of_time(&self, time_limit: Duration) -> End {
        if self.scenario.until == Until::Duration {
            return End::DurationOver;
        }
        let live = self.observed().snapshot();
        let (done, what) = match self.scenario.campaign {
            Some(_) => (live.updated, "updated"),
            None => (live.in_state(DeviceState::Registered), "registered"),
        };
        let devices = self.places.len();
        let limit = time_limit.as_secs();
        let why = format!("{done} of {devices} {what} in {limit} s");
        End::DidNotFinish { why }
    }

    /// Switches the devices off, and says what it came to.
    pub(super) fn finish(self, end: End) -> Result<RunResult, LoadError> {
        let Self {
            fleet,
            observer,
            clock,
            ..
        } = self;
        drop(fleet);
        let observer = Arc::into_inner(observer).ok_or(LoadError::Broken)?;
        let mut observer = observer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        observer.advance(clock.now().instant);
        Ok(observer.finish(end))
    }

    fn plan_scenario(&mut self) {
        for event in &self.scenario.events {
            let at = quickened(event.at, self.speed);
            self.to_come.push((at, Act::Event(event.clone())));
        }
        if let Some(campaign) = &self.scenario.campaign
            && self.provisioner.is_some()
        {
            let at = quickened(campaign.at, self.speed);
            self.to_come.push((at, Act::StartCampaign));
            if let Some(every) = campaign.retry_failed_every {
                let every = quickened(every, self.speed).max(LOOK);
                self.to_come.push((at + every, Act::RetryFailed(every)));
            }
        }
        self.to_come.sort_by_key(|(at, _)| Reverse(*at));
    }

    fn observed(&self) -> MutexGuard<'_, Observer> {
        lock(&self.observer)
    }

    /// Does what is due, and says whether the run is over.
    async fn advance(&mut self) -> Result<Option<End>, LoadError> {
        let now = self.clock.now().instant;
        let elapsed = now.since_origin();
        while self.to_come.last().is_some_and(|(at, _)| *at <= elapsed) {
            if let Some((_, act)) = self.to_come.pop() {
                self.act(elapsed, act).await?;
            }
        }
        let sample = self.process.and_then(ServerProcess::sample);
        {
            let mut observer = self.observed();
            observer.advance(now);
            if let Some(sample) = sample {
                observer.server(now, sample);
            }
            if let Some(threshold) = observer.aborting() {
                let threshold = format!("{} {}", threshold.metric(), threshold.expression());
                return Ok(Some(End::Aborted { threshold }));
            }
        }
        self.looks = self.looks.wrapping_add(1);
        if self.fleet.running() < self.places.len() {
            let why = "the devices' sockets broke".to_owned();
            return Ok(Some(End::DidNotFinish { why }));
        }
        let is_over = self.scenario.until == Until::AllDone && self.is_done().await;
        Ok(is_over.then_some(End::AllDone))
    }

    async fn is_done(&self) -> bool {
        let mut acts = self.to_come.iter().map(|(_, act)| act);
        if acts.any(|act| !matches!(act, Act::RetryFailed(_))) {
            return false;
        }
        let live = self.observed().snapshot();
        let devices = self.places.len() as u64;
        let updated = live.in_state(DeviceState::Updated);
        let Some(campaign) = &self.scenario.campaign else {
            let registered = live.in_state(DeviceState::Registered);
            return registered + updated + self.switched_off >= devices;
        };
        if updated == devices {
            return true;
        }
        let is_time =
            campaign.retry_failed_every.is_none() && self.looks.is_multiple_of(CAMPAIGN_LOOKS);
        match &self.provisioner {
            // One that does not answer at this moment is asked again.
            Some(provisioner) if self.is_campaign_running && is_time => {
                provisioner.is_over().await.unwrap_or(false)
            }
            Some(_) | None => false,
        }
    }

    async fn act(&mut self, elapsed: Duration, act: Act) -> Result<(), LoadError> {
        match act {
            Act::SwitchOff(device) => {
                self.switched_off += 1;
                self.fleet.order(device, Order::SwitchOff);
            }
            Act::Event(event) => self.happen(&event),
            Act::StartCampaign => {
                if let Some(provisioner) = &self.provisioner {
                    provisioner.activate().await?;
                }
                self.is_campaign_running = true;
            }
            Act::RetryFailed(every) => {
                if let Some(provisioner) = &self.provisioner {
                    provisioner.retry_failed().await;
                }
                self.to_come
                    .push((elapsed + every, Act::RetryFailed(every)));
                self.to_come.sort_by_key(|(at, _)| Reverse(*at));
            }
        }
        Ok(())
    }

    fn happen(&self, event: &TimedEvent) {
        let cells = event.cells(self.seed, self.scenario.cells.len());
        for (device, place) in self.places.iter().enumerate() {
            if event.hits(self.seed, *place, &cells)
                && let Some(order) = self.order(event, *place)
            {
                self.fleet.order(device, order);
            }
        }
    }

    /// What an event is to one device.
    fn order(&self, event: &TimedEvent, place: DevicePlace) -> Option<Order> {
        Some(match event.what {
            Happening::NatFlush => Order::Rebind,
            Happening::CellOutage { lasts } => Order::LoseRadio {
                lasts: quickened(lasts, self.speed),
            },
            Happening::PowerCut {
                off,
                spread,
                loses_package,
                phase,
            } => {
                let off = off + event.spread(self.seed, place.index, spread);
                Order::CutPower {
                    off: quickened(off, self.speed),
                    loses_package,
                    in_state: phase.map(state_of),
                }
            }
            // Refused before the begin.
            Happening::ServerRestart { .. } | Happening::TimeJump { .. } => return None,
        })
    }
}

const fn state_of(phase: DevicePhase) -> u8 {
    match phase {
        DevicePhase::Downloading => 1,
        DevicePhase::Downloaded => 2,
        DevicePhase::Updating => 3,
    }
}
