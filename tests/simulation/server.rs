//! The server's half: an engine and the store that it is rebuilt from, run as `server::driver` and
//! `server::rebuild` run them. Records are committed before what follows them leaves.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use narrowcast::campaign::Progress;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::engine::{Command, CommandError, Engine, EngineConfig, Output, Resumption};
use narrowcast::model::{
    Campaign, CampaignId, CoverageTier, EndpointName, Record, Sha256Digest, TaskId, Transmit,
    UpdateTask,
};
use narrowcast::store::{MemoryStore, Page, Store, TaskCounts};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

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
        let result = input(&mut self.engine);
        let (records, mut transmits) = self.drain(now);
        let lost = crash == Some(Crash::BeforeCommit) || !self.commit(records);
        if !lost && crash.is_none() {
            return (Some(result), transmits);
        }
        // Blocks wait for nothing: they have left.
        transmits.retain(|transmit| transmit.stateless);
        transmits.extend(self.rebuild(now));
        (None, transmits)
    }

    pub(crate) fn command(
        &mut self,
        now: Now,
        crash: Option<Crash>,
        command: Command,
    ) -> (Outcome, Vec<Transmit>) {
        let (result, transmits) =
            self.handle(now, crash, |engine| engine.handle_command(now, command));
        (result.map_or(Outcome::Lost, Outcome::Done), transmits)
    }

    /// As `POST /campaigns/{id}/activate` makes it.
    pub(crate) fn run_command(&self, id: CampaignId) -> Command {
        let (campaign, _) = ready(self.store.campaign(id)).unwrap();
        let package = ready(self.store.package(campaign.package)).unwrap();
        let tasks = ready(self.store.tasks(id, None, ALL)).unwrap();
        Command::RunCampaign {
            image: self.images[&package.image_sha256].clone(),
            campaign,
            package,
            tasks,
            ended: Progress::default(),
        }
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
            let (records, transmits) = self.drain(now);
            if self.commit(records) {
                return transmits;
            }
        }
    }

    fn restored(&mut self, now: Now) -> Engine {
        let mut engine = Engine::new(self.config.clone(), self.rng.r#gen());
        let restored = ready(self.store.restore()).unwrap();
        let mut resumptions = BTreeMap::new();
        for campaign in &restored.campaigns {
            let mut packages = restored.packages.iter();
            let package = packages.find(|it| it.id == campaign.package).unwrap();
            let counts = ready(self.store.campaign(campaign.id)).unwrap().1;
            let resumption = Resumption {
                image: Some(self.images[&package.image_sha256].clone()),
                ended: Progress {
                    succeeded: counts.succeeded,
                    failed: counts.failed,
                    stopped: counts.stopped,
                    ..Progress::default()
                },
            };
            resumptions.insert(campaign.id, resumption);
        }
        engine.restore(now, restored, resumptions);
        engine
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
                Output::Progress(_) => {}
                Output::Timeout(deadline) => {
                    assert!(
                        deadline.is_none_or(|at| at >= now.instant),
                        "a deadline in the past: {deadline:?} at {now:?}"
                    );
                    self.deadline = deadline;
                    return (records, transmits);
                }
            }
        }
    }

    fn commit(&mut self, records: Vec<Record>) -> bool {
        if records.is_empty() {
            return true;
        }
        self.commits += 1;
        if ready(self.store.commit(records.clone())).is_err() {
            return false;
        }
        let mut changed = BTreeMap::new();
        for record in records {
            if let Record::Task(task) = record {
                changed.insert(task.id, task);
            }
        }
        for task in changed.into_values() {
            self.note(task);
        }
        true
    }

    /// What is final stays as it is, and no attempt is counted back.
    fn note(&mut self, task: UpdateTask) {
        if let Some(before) = self.tasks.get(&task.id) {
            assert!(
                !before.state.is_final() || before.state == task.state,
                "a final task changed: {before:?} to {task:?}"
            );
            assert!(before.attempt <= task.attempt, "{before:?} to {task:?}");
        }
        self.tasks.insert(task.id, task);
    }
}
