//! One run, from the first device to the last.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::devices::Devices;
use super::observe::{config_of, infos, sink};
use super::pace::quickened;
use super::provision::Provisioner;
use super::server_process::ServerProcess;
use super::{LoadConfig, LoadError, Look, Operator, lock};
use crate::clock::SystemClock;
use crate::harness::scenario::{Scenario, Until};
use crate::harness::{DeviceState, End, Observer, RunResult};

/// How often the run is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks pass between two questions whether the campaigns are over.
const CAMPAIGN_LOOKS: u32 = 2;

/// A run under way.
pub(super) struct UnderWay<'a, D> {
    scenario: &'a Scenario,
    speed: u16,
    process: Option<ServerProcess>,
    provisioner: Option<Provisioner>,
    clock: SystemClock,
    devices: D,
    observer: Arc<Mutex<Observer>>,
    /// What the operator is to do when, the last first.
    to_come: Vec<(Duration, Act)>,
    /// Nothing happens to devices after this.
    last_event: Duration,
    /// How many are switched off for good by then.
    switched_off: u64,
    is_campaign_running: bool,
    looks: u32,
}

/// What the operator does.
#[derive(Clone, Copy, Debug)]
enum Act {
    StartCampaign,
    RetryFailed(Duration),
}

impl<'a, D: Devices> UnderWay<'a, D> {
    /// Prepares the server, and switches the devices on.
    pub(super) async fn begin(
        scenario: &'a Scenario,
        config: LoadConfig,
        mut devices: D,
    ) -> Result<Self, LoadError> {
        let LoadConfig { seed, speed, .. } = config;
        let began = SystemClock::new().now().utc;
        let (provisioner, image) = match config.operator {
            Operator::Nobody => (None, None),
            Operator::Rest(rest) => {
                let mut provisioner = Provisioner::new(rest, began.to_string());
                let entered = provisioner.prepare(scenario, seed);
                let image = entered.await?;
                (Some(provisioner), image)
            }
        };
        let infos = infos(scenario, seed);
        // From here on time runs.
        let clock = SystemClock::new();
        let observed = config_of(scenario, seed, image, clock.now().utc);
        let observer = Arc::new(Mutex::new(Observer::new(infos, observed)));
        devices.start(clock, sink(&observer)).await?;
        let mut run = Self {
            scenario,
            speed,
            process: config.process,
            provisioner,
            clock,
            devices,
            observer,
            to_come: Vec::new(),
            last_event: Duration::ZERO,
            switched_off: 0,
            is_campaign_running: false,
            looks: 0,
        };
        run.plan_scenario(seed);
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
        let devices = self.scenario.device_count();
        let limit = time_limit.as_secs();
        let mut why = format!("{done} of {devices} {what} in {limit} s");
        if done == devices as u64 {
            why.push_str(", and the server's campaign is not over");
        }
        End::DidNotFinish { why }
    }

    /// Leaves the server so that another run can begin.
    pub(super) async fn leave(&self) {
        if let Some(provisioner) = &self.provisioner {
            provisioner.stop().await;
        }
    }

    /// Switches the devices off, and says what it came to.
    pub(super) async fn finish(self, end: End) -> Result<RunResult, LoadError> {
        let Self {
            devices,
            observer,
            clock,
            ..
        } = self;
        let end = match (devices.stop().await, end) {
            (Some(why), End::AllDone | End::DurationOver | End::DidNotFinish { .. }) => {
                End::DevicesLost { why }
            }
            (_, end) => end,
        };
        let observer = Arc::into_inner(observer).ok_or(LoadError::Broken)?;
        let mut observer = observer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        observer.advance(clock.now().instant);
        Ok(observer.finish(end))
    }

    fn plan_scenario(&mut self, seed: u64) {
        let events = self.scenario.events.iter().map(|event| event.at);
        self.last_event = events.max().unwrap_or_default();
        for at in self.scenario.devices(seed).filter_map(|it| it.switch_off) {
            self.last_event = self.last_event.max(at);
            self.switched_off += 1;
        }
        self.last_event = quickened(self.last_event, self.speed);
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
        self.devices.advance(elapsed);
        while self.to_come.last().is_some_and(|(at, _)| *at <= elapsed) {
            if let Some((_, act)) = self.to_come.pop() {
                self.act(elapsed, act).await?;
            }
        }
        let sample = self.process.and_then(ServerProcess::sample);
        {
            let told_until = self.devices.told_until(now);
            let mut observer = self.observed();
            observer.advance(told_until);
            if let Some(sample) = sample {
                observer.server(told_until, sample);
            }
            if let Some(threshold) = observer.aborting() {
                let threshold = format!("{} {}", threshold.metric(), threshold.expression());
                return Ok(Some(End::Aborted { threshold }));
            }
        }
        self.looks = self.looks.wrapping_add(1);
        if let Some(why) = self.devices.broken() {
            return Ok(Some(End::DevicesLost { why }));
        }
        let is_over = self.scenario.until == Until::AllDone && self.is_done(elapsed).await;
        Ok(is_over.then_some(End::AllDone))
    }

    async fn is_done(&self, elapsed: Duration) -> bool {
        let mut acts = self.to_come.iter().map(|(_, act)| act);
        if elapsed < self.last_event || acts.any(|act| matches!(act, Act::StartCampaign)) {
            return false;
        }
        let live = self.observed().snapshot();
        let devices = self.scenario.device_count() as u64;
        let updated = live.in_state(DeviceState::Updated);
        let Some(campaign) = &self.scenario.campaign else {
            let registered = live.in_state(DeviceState::Registered);
            return registered + updated + self.switched_off >= devices;
        };
        let all_are_updated = updated == devices;
        let Some(provisioner) = &self.provisioner else {
            return all_are_updated;
        };
        let is_time = self.is_campaign_running && self.looks.is_multiple_of(CAMPAIGN_LOOKS);
        let may_be_over = all_are_updated || campaign.retry_failed_every.is_none();
        // One that does not answer at this moment is asked again.
        is_time && may_be_over && provisioner.is_over().await.unwrap_or(false)
    }

    async fn act(&mut self, elapsed: Duration, act: Act) -> Result<(), LoadError> {
        match act {
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
}
