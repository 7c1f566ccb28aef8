//! The server's half: an engine and the store that it is rebuilt from, run as `server::driver` and
//! `server::rebuild` run them. Records are committed before what follows them leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use narrowcast::campaign::Progress;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::engine::{
    Command, CommandError, EndedCampaign, EndedTasks, Engine, EngineConfig, Output, Resumption,
};
use narrowcast::model::{
    Campaign, CampaignId, CoverageTier, EndpointName, FailureReason, ProductSettings, Record,
    RegistrationSlot, Sha256Digest, SlotHeld, TaskId, TaskState, Transmit, UpdateTask,
};
use narrowcast::profile::product_settings;
use narrowcast::store::{MemoryStore, Page, Store, TaskCounts};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::bugs::Bug;
use crate::world::{Breach, Check, Order, Requests, Since, Watch};

/// Where in an input the server dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Nothing of the input is kept, nothing is sent.
    BeforeCommit,
    /// All of it is kept, nothing is sent.
    AfterCommit,
}

/// What an operator's command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Result<(), CommandError>),
    /// The commit failed or the server died: nothing has changed, or it is not known.
    Lost,
}

pub(crate) struct Server {
    pub(crate) config: EngineConfig,
    pub(crate) store: MemoryStore,
    pub(crate) images: BTreeMap<Sha256Digest, Bytes>,
    pub(crate) engine: Engine,
    pub(crate) deadline: Option<Instant>,
    pub(crate) rebuilds: u32,
    pub(crate) commits: u64,
    /// When each device was last heard.
    pub(crate) heard: BTreeMap<EndpointName, Utc>,
    /// Every task as it was last committed.
    pub(crate) tasks: BTreeMap<TaskId, UpdateTask>,
    /// Campaigns that were activated.
    pub(crate) activated: BTreeSet<CampaignId>,
    /// Every location that was committed.
    pub(crate) locations: BTreeSet<(RegistrationSlot, u128)>,
    /// When each task's waits began.
    pub(crate) since: BTreeMap<TaskId, Since>,
    /// How many attempts failed of each cause.
    pub(crate) failures: BTreeMap<FailureReason, u64>,
    pub(crate) inputs: u64,
    /// The attempts in which each device was given the URI.
    pub(crate) deliveries: BTreeMap<EndpointName, BTreeSet<(TaskId, u8)>>,
    /// What its store or its driver does wrong.
    pub(crate) bug: Option<Bug>,
    /// The first check that failed.
    pub(crate) breach: Option<Breach>,
    /// Something was committed, or begun anew, since the last check.
    pub(crate) changed: bool,
    /// What operators asked of devices.
    pub(crate) requests: Requests,
    /// What is held against the policies of campaigns.
    pub(crate) watch: Watch,
    rng: StdRng,
}

/// What a future of the memory store brings: it is ready at once.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the memory store waits for nothing"),
    }
}

pub(crate) const ALL: Page = Page {
    after: None,
    limit: u32::MAX,
};

impl Server {
    pub(crate) fn new(config: EngineConfig, mut rng: StdRng) -> Self {
        Self {
            engine: Engine::new(config.clone(), rng.r#gen()),
            config,
            store: MemoryStore::new(),
            images: BTreeMap::new(),
            deadline: None,
            rebuilds: 0,
            commits: 0,
            heard: BTreeMap::new(),
            tasks: BTreeMap::new(),
            activated: BTreeSet::new(),
            locations: BTreeSet::new(),
            since: BTreeMap::new(),
            failures: BTreeMap::new(),
            inputs: 0,
            deliveries: BTreeMap::new(),
            bug: None,
            breach: None,
            changed: false,
            requests: Requests::default(),
            watch: Watch::default(),
            rng: StdRng::from_seed(rng.r#gen()),
        }
    }

    /// Gives the engine one input; what may leave afterwards.
    pub(crate) fn handle<R>(
        &mut self,
        now: Now,
        crash: Option<Crash>,
        input: impl FnOnce(&mut Engine) -> R,
    ) -> (Option<R>, Vec<Transmit>) {
        self.inputs += 1;
        self.watch.look_at_clock(now);
        let result = input(&mut self.engine);
        let (records, mut transmits) = self.drain(now);
        let lost = crash == Some(Crash::BeforeCommit) || !self.commit(now, records);
        if !lost && crash.is_none() {
            return (Some(result), transmits);
        }
        // Blocks wait for nothing: they have left.
        if self.bug != Some(Bug::AnswerBeforeCommit) {
            transmits.retain(|transmit| transmit.stateless);
        }
        transmits.extend(self.rebuild(now));
        (None, transmits)
    }

    pub(crate) fn command(
        &mut self,
        now: Now,
        crash: Option<Crash>,
        command: Command,
    ) -> (Outcome, Vec<Transmit>) {
        let order = Order::of(&command);
        self.watch.ordered(order);
        let command = match self.bug {
            Some(bug) => bug.command(command),
            None => command,
        };
        let (result, transmits) =
            self.handle(now, crash, |engine| engine.handle_command(now, command));
        let outcome = result.map_or(Outcome::Lost, Outcome::Done);
        self.watch.answered(order, &outcome);
        (outcome, transmits)
    }

    /// As `POST /campaigns/{id}/activate` makes it.
    pub(crate) fn run_command(&self, id: CampaignId) -> Command {
        let (campaign, _) = ready(self.store.campaign(id)).unwrap();
        let package = ready(self.store.package(campaign.package)).unwrap();
        let tasks = ready(self.store.tasks(id, None, ALL)).unwrap();
        Command::RunCampaign {
            image: self.images[&package.file.sha256].clone(),
            campaign,
            installed: ready(self.store.installed_sequences(&package)).unwrap(),
            package,
            tasks,
            ended: EndedTasks::default(),
        }
    }

    /// How the devices of a campaign's product are treated.
    pub(crate) fn settings(&self, id: CampaignId) -> ProductSettings {
        let (campaign, _) = ready(self.store.campaign(id)).unwrap();
        let package = ready(self.store.package(campaign.package)).unwrap();
        let products = self
            .store
            .products_of(&package.manufacturer, &package.model);
        let products = ready(products).unwrap();
        let mut products = products.iter();
        let mut settings = products
            .find(|it| it.device_type == package.device_type)
            .map_or_else(
                || self.config.product.clone(),
                |it| product_settings(&self.config.product, it),
            );
        let admission = campaign.admission.unwrap_or(self.config.admission);
        if admission.airtime.is_some() {
            settings.slot_held = SlotHeld::UntilDownloaded;
        }
        settings
    }

    pub(crate) fn task_of(&self, id: CampaignId, endpoint: &EndpointName) -> &UpdateTask {
        let mut tasks = self.tasks.values();
        tasks
            .find(|task| task.campaign == id && task.endpoint == *endpoint)
            .unwrap()
    }

    pub(crate) fn slots_in_use(&self) -> u64 {
        CoverageTier::ALL
            .iter()
            .map(|tier| self.engine.slots_in_use(*tier))
            .sum()
    }

    pub(crate) fn active_campaigns(&self) -> usize {
        let campaigns = ready(self.store.campaigns(ALL)).unwrap();
        let active = |it: &(Campaign, TaskCounts)| it.0.state.is_active();
        campaigns.into_iter().filter(active).count()
    }

    /// Throws the engine away and makes another from the store, until what it says first is kept.
    fn rebuild(&mut self, now: Now) -> Vec<Transmit> {
        loop {
            self.rebuilds += 1;
            self.engine = self.restored(now);
            self.watch.rebuilt(now, &self.tasks);
            self.changed = true;
            let (records, transmits) = self.drain(now);
            if self.commit(now, records) {
                return transmits;
            }
        }
    }

    fn restored(&mut self, now: Now) -> Engine {
        let mut engine = Engine::new(self.config.clone(), self.rng.r#gen());
        let mut restored = ready(self.store.restore()).unwrap();
        if let Some(bug) = self.bug {
            bug.restored(now, &mut restored);
        }
        let mut resumptions = BTreeMap::new();
        for campaign in &restored.campaigns {
            let mut packages = restored.packages.iter();
            let package = packages.find(|it| it.id == campaign.package).unwrap();
            let resumption = Resumption {
                image: Some(self.images[&package.file.sha256].clone()),
                installed: ready(self.store.installed_sequences(package)).unwrap(),
                ended: self.ended_tasks(campaign),
            };
            resumptions.insert(campaign.id, resumption);
        }
        engine.restore(now, restored, resumptions);
        engine
    }

    /// As `POST /campaigns/{id}/retry` makes it, of the failed tasks that `wanted` says.
    pub(crate) fn retry_command(
        &self,
        id: CampaignId,
        wanted: impl Fn(&UpdateTask) -> bool,
    ) -> Command {
        let (campaign, _) = ready(self.store.campaign(id)).unwrap();
        let failed = ready(self.store.tasks(id, Some(TaskState::Failed), ALL)).unwrap();
        let package = ready(self.store.package(campaign.package)).unwrap();
        let ended = (!campaign.state.is_active()).then(|| EndedCampaign {
            image: self.images[&package.file.sha256].clone(),
            installed: ready(self.store.installed_sequences(&package)).unwrap(),
            ended: self.ended_tasks(&campaign),
            campaign,
            package,
        });
        Command::RetryTasks {
            campaign: id,
            tasks: failed.into_iter().filter(wanted).collect(),
            ended,
        }
    }

    fn ended_tasks(&self, campaign: &Campaign) -> EndedTasks {
        let mut ended = EndedTasks::default();
        for (phase, counts) in ready(self.store.phase_counts(campaign.id)).unwrap() {
            let progress = Progress {
                succeeded: counts.succeeded,
                failed: counts.failed,
                stopped: counts.stopped,
                ..Progress::default()
            };
            ended.counts.join(phase, progress);
        }
        let phase = campaign.rollout.phase;
        ended.soaking = ready(self.store.updated_in_phase(campaign.id, phase)).unwrap();
        ended
    }

    fn drain(&mut self, now: Now) -> (Vec<Record>, Vec<Transmit>) {
        let (mut records, mut transmits) = (Vec::new(), Vec::new());
        loop {
            match self.engine.poll_output() {
                Output::Record(record) => records.push(record),
                Output::Transmit(transmit) => transmits.push(transmit),
                Output::Heard { endpoint, at, .. } => {
                    self.heard.insert(endpoint, at);
                }
                Output::Flapping { .. } | Output::Progress(_) | Output::Download(_) => {}
                Output::Timeout(deadline) => {
                    if deadline.is_some_and(|at| at < now.instant) {
                        let told = format!("{deadline:?} is in the past");
                        self.breach(now.instant, Check::Deadlines, told);
                    }
                    self.deadline = deadline;
                    return (records, transmits);
                }
            }
        }
    }

    fn commit(&mut self, now: Now, records: Vec<Record>) -> bool {
        let at = now.instant;
        if records.is_empty() {
            return true;
        }
        self.commits += 1;
        let taken = match self.bug {
            Some(bug) => bug.taken(records.clone(), &self.tasks),
            None => records.clone(),
        };
        if ready(self.store.commit(taken)).is_err() {
            return false;
        }
        self.changed = true;
        let mut changed = BTreeSet::new();
        for record in &records {
            if let Record::Task(task) = record {
                changed.insert((task.campaign, task.id));
            } else if let Record::Campaign { id, .. } = record {
                self.activated.insert(*id);
            } else if let Record::DeviceRequest(request) = record {
                self.check_change_of_request(at, request);
            } else if let Record::Registered(registration) = record {
                let location = (registration.slot, registration.secret);
                self.locations.insert(location);
            }
        }
        let mut changes = Vec::new();
        for (campaign, id) in changed {
            let task = self.stored_task(campaign, id);
            self.check_change(at, &task);
            if let Some(before) = self.tasks.insert(id, task.clone()) {
                changes.push((before, task));
            }
        }
        self.check_policies(now, &records, &changes);
        true
    }

    fn stored_task(&self, campaign: CampaignId, id: TaskId) -> UpdateTask {
        let page = Page {
            after: Some((id.0 - 1).to_string()),
            limit: 1,
        };
        let mut tasks = ready(self.store.tasks(campaign, None, page)).unwrap();
        tasks.remove(0)
    }
}
