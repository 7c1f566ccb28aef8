//! The server's half: an engine, and where a run has one, the store that it is rebuilt from.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::campaign::Progress;
use crate::clock::{Instant, Now};
use crate::engine::{Command, CommandError, EndedTasks, Engine, EngineConfig, Output, Resumption};
use crate::model::{Campaign, Peer, Record, Sha256Digest};
use crate::store::{MemoryStore, Store, StoreError};

/// What a server keeps beside its memory.
#[derive(Debug)]
pub struct Kept {
    /// What was committed.
    pub store: MemoryStore,
    /// Firmware files by their hash.
    pub images: BTreeMap<Sha256Digest, Bytes>,
}

#[derive(Debug)]
pub(super) struct Core {
    config: EngineConfig,
    pub(super) engine: Engine,
    deadline: Option<Instant>,
    /// It is down, and starts then.
    pub(super) starts_at: Option<Instant>,
    kept: Option<Kept>,
    seeds: StdRng,
    /// The first commit that failed.
    fault: Option<String>,
}

/// What the memory store does, it does at once.
///
/// # Errors
/// As the store, and where it would wait.
pub fn at_once<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => Err(StoreError::Failed("the memory store waits".to_owned())),
    }
}

impl Core {
    pub(super) fn new(config: EngineConfig, seed: [u8; 32], kept: Option<Kept>) -> Self {
        let mut of_later = seed;
        of_later[0] ^= 1;
        Self {
            engine: Engine::new(config.clone(), seed),
            config,
            deadline: None,
            starts_at: None,
            kept,
            seeds: StdRng::from_seed(of_later),
            fault: None,
        }
    }

    /// When it has something to do.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.starts_at {
            Some(at) => Some(at),
            None => self.deadline,
        }
    }

    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    pub(super) fn kept_mut(&mut self) -> Option<&mut Kept> {
        self.kept.as_mut()
    }

    /// Why it can no longer be trusted.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    pub(super) fn handle_datagram(&mut self, now: Now, peer: &Peer, datagram: &[u8]) {
        if self.starts_at.is_none() {
            self.engine.handle_datagram(now, peer, datagram);
        }
    }

    pub(super) fn command(&mut self, now: Now, command: Command) -> Result<(), CommandError> {
        self.engine.handle_command(now, command)
    }

    /// It starts, or the engine's time has come.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        if self.starts_at.take().is_some() {
            match self.restored(now) {
                Ok(engine) => self.engine = engine,
                Err(error) => self.fault = Some(error.to_string()),
            }
        } else {
            self.engine.handle_timeout(now);
        }
    }

    /// The next thing that it says; `None` when it has said all. What it says rests on what it commits,
    /// which the memory store does in the same moment.
    pub(super) fn poll(&mut self) -> Option<Output> {
        if self.starts_at.is_some() {
            return None;
        }
        let output = self.engine.poll_output();
        if let Output::Timeout(deadline) = output {
            self.deadline = deadline;
            return None;
        }
        Some(output)
    }

    /// Keeps what was said in one go.
    pub(super) fn commit(&mut self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        if let Some(kept) = &self.kept
            && let Err(error) = at_once(kept.store.commit(records))
        {
            self.fault.get_or_insert_with(|| error.to_string());
        }
    }

    /// Another engine, from what was committed, as `server::rebuild` makes it.
    fn restored(&mut self, now: Now) -> Result<Engine, StoreError> {
        let mut engine = Engine::new(self.config.clone(), self.seeds.r#gen());
        let Some(kept) = &self.kept else {
            return Ok(engine);
        };
        let restored = at_once(kept.store.restore())?;
        let mut resumptions = BTreeMap::new();
        for campaign in &restored.campaigns {
            let mut packages = restored.packages.iter();
            let Some(package) = packages.find(|it| it.id == campaign.package) else {
                continue;
            };
            let resumption = Resumption {
                image: kept.images.get(&package.file.sha256).cloned(),
                installed: at_once(kept.store.installed_sequences(package))?,
                ended: ended_tasks(kept, campaign)?,
            };
            resumptions.insert(campaign.id, resumption);
        }
        engine.restore(now, restored, resumptions);
        Ok(engine)
    }
}

/// What has become of a campaign's tasks.
///
/// # Errors
/// As the store.
pub fn ended_tasks(kept: &Kept, campaign: &Campaign) -> Result<EndedTasks, StoreError> {
    let mut ended = EndedTasks::default();
    for (phase, counts) in at_once(kept.store.phase_counts(campaign.id))? {
        let progress = Progress {
            succeeded: counts.succeeded,
            failed: counts.failed,
            stopped: counts.stopped,
            ..Progress::default()
        };
        ended.counts.join(phase, progress);
    }
    let phase = campaign.rollout.phase;
    ended.soaking = at_once(kept.store.updated_in_phase(campaign.id, phase))?;
    Ok(ended)
}
