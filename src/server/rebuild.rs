//! An engine from what is committed: at the start, and whenever a commit failed.

use std::collections::BTreeMap;
use std::io;

use metrics::counter;
use rand::RngCore;
use rand::rngs::OsRng;

use crate::campaign::Progress;
use crate::clock::Now;
use crate::engine::{Command, EndedTasks, Engine, EngineConfig, Resumption};
use crate::model::{Campaign, InstalledSequences, Package};
use crate::store::{BlobError, BlobStore, Store, StoreError, TaskCounts};

/// What an engine is made from beside the store.
#[derive(Debug)]
pub(super) struct Rebuild {
    pub(super) config: EngineConfig,
    pub(super) package_bytes: BlobStore,
}

impl Rebuild {
    /// What a command sets that no record has: a later engine has it too.
    pub(super) fn note(&mut self, command: &Command) {
        if let Command::SetCellLimits { limits, overrides } = command {
            self.config.tier_limits = *limits;
            self.config.cell_limits.clone_from(overrides);
        }
    }

    /// Reads the store and makes the engine that goes on from there.
    pub(super) async fn engine(&self, store: &dyn Store, now: Now) -> Result<Engine, StoreError> {
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let mut engine = Engine::new(self.config.clone(), seed);
        let restored = store.restore().await?;
        let (registered, unfinished) = (restored.registrations.len(), restored.tasks.len());
        let mut resumptions = BTreeMap::new();
        for campaign in &restored.campaigns {
            let counts = store.campaign(campaign.id).await?.1;
            let mut packages = restored.packages.iter();
            let (image, installed) = match packages.find(|package| package.id == campaign.package) {
                Some(package) => (
                    self.image(package).await?,
                    store.installed_sequences(package).await?,
                ),
                None => (None, InstalledSequences::default()),
            };
            let ended = ended_tasks(store, campaign, counts).await?;
            let resumption = Resumption {
                image,
                installed,
                ended,
            };
            resumptions.insert(campaign.id, resumption);
        }
        engine.restore(now, restored, resumptions);
        tracing::info!(registered, unfinished, "the engine goes on from the store");
        Ok(engine)
    }

    /// A package whose bytes are gone or changed is never served. Bytes that cannot be read now say
    /// nothing of the package: that is as where the store itself cannot be read.
    async fn image(&self, package: &Package) -> Result<Option<bytes::Bytes>, StoreError> {
        let (blobs, sha256) = (self.package_bytes.clone(), package.file.sha256);
        let loaded = tokio::task::spawn_blocking(move || blobs.load(sha256)).await;
        match loaded.unwrap_or_else(|error| Err(io::Error::other(error).into())) {
            Ok(image) => Ok(Some(image)),
            Err(error @ (BlobError::NotFound(_) | BlobError::Changed { .. })) => {
                counter!("narrowcast_packages_damaged_total").increment(1);
                tracing::error!(package = package.id.0, %error, "the package cannot be served");
                Ok(None)
            }
            Err(error @ (BlobError::Full | BlobError::Io(_))) => Err(error.into()),
        }
    }
}

/// What has become of a campaign's tasks; by phase only where it has some, as that looks at each of them.
async fn ended_tasks(
    store: &dyn Store,
    campaign: &Campaign,
    counts: TaskCounts,
) -> Result<EndedTasks, StoreError> {
    let mut ended = EndedTasks::default();
    let phase = campaign.rollout.phase;
    let gate = campaign.policy.rollout.gate_after(phase);
    let counted = if campaign.policy.rollout.gates().is_empty() {
        vec![(0, counts)]
    } else {
        store.phase_counts(campaign.id).await?
    };
    for (phase, counts) in counted {
        let progress = Progress {
            succeeded: counts.succeeded,
            failed: counts.failed,
            stopped: counts.stopped,
            ..Progress::default()
        };
        ended.counts.join(phase, progress);
    }
    if gate.is_some_and(|gate| gate.soak_hours > 0) {
        ended.soaking = store.updated_in_phase(campaign.id, phase).await?;
    }
    Ok(ended)
}
