//! An engine from what is committed: at the start, and whenever a commit failed.

use std::sync::Arc;

use rand::RngCore;
use rand::rngs::OsRng;

use crate::campaign::Progress;
use crate::clock::Now;
use crate::engine::{Command, Engine, EngineConfig};
use crate::http::PackageBytes;
use crate::model::{CampaignId, Package, TaskState, UpdateTask};
use crate::store::{Restored, Store, StoreError};

/// What an engine is made from beside the store.
#[derive(Debug)]
pub(super) struct Rebuild {
    pub(super) config: EngineConfig,
    pub(super) package_bytes: Arc<dyn PackageBytes>,
}

impl Rebuild {
    /// Reads the store and makes the engine that goes on from there.
    pub(super) async fn engine(&self, store: &dyn Store, now: Now) -> Result<Engine, StoreError> {
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let mut engine = Engine::new(self.config.clone(), seed);
        let Restored {
            devices,
            registrations,
            observations,
            campaigns,
            packages,
            tasks,
            reports,
            deliveries,
        } = store.restore().await?;
        let (registered, unfinished) = (registrations.len(), tasks.len());
        self.command(&mut engine, now, Command::AddDevices(devices));
        for (endpoint, report) in reports {
            engine.restore_report(endpoint, report);
        }
        for (endpoint, history) in deliveries {
            engine.restore_deliveries(endpoint, history);
        }
        for registration in registrations {
            engine.restore_registration(now, registration);
        }
        engine.restore_observations(observations);
        let mut tasks = tasks;
        for campaign in campaigns {
            let id = campaign.id;
            let Some(package) = packages
                .iter()
                .find(|package| package.id == campaign.package)
            else {
                tracing::error!(campaign = id.0, "its package is not in the store");
                continue;
            };
            let of_campaign = take_tasks(&mut tasks, id);
            let counts = store.campaign(id).await?.1;
            let image = self.image(package).await;
            let damaged = image.is_none();
            let command = Command::RunCampaign {
                campaign,
                package: package.clone(),
                image: image.unwrap_or_default(),
                tasks: of_campaign,
                ended: Progress {
                    succeeded: counts.succeeded,
                    failed: counts.failed,
                    stopped: counts.stopped,
                    ..Progress::default()
                },
            };
            self.command(&mut engine, now, command);
            if damaged {
                // Devices at work hold their slots until they are done; nothing is served.
                self.command(&mut engine, now, Command::StopCampaign(id));
            }
        }
        tracing::info!(registered, unfinished, "the engine goes on from the store");
        Ok(engine)
    }

    /// A package whose bytes are gone or changed is never served: its campaign is stopped.
    async fn image(&self, package: &Package) -> Option<bytes::Bytes> {
        match self.package_bytes.load(package.image_sha256).await {
            Ok(image) => Some(image),
            Err(error) => {
                tracing::error!(package = package.id.0, %error, "the package cannot be served");
                None
            }
        }
    }

    fn command(&self, engine: &mut Engine, now: Now, command: Command) {
        if let Err(error) = engine.handle_command(now, command) {
            tracing::error!(%error, "a campaign cannot go on");
        }
    }
}

fn take_tasks(tasks: &mut Vec<UpdateTask>, id: CampaignId) -> Vec<UpdateTask> {
    let (taken, rest) = std::mem::take(tasks)
        .into_iter()
        .filter(|task| !matches!(task.state, TaskState::Succeeded | TaskState::Stopped))
        .partition(|task| task.campaign == id);
    *tasks = rest;
    taken
}
