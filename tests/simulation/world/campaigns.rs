//! What an operator does.

use narrowcast::campaign::in_phases;
use narrowcast::engine::{Command, CommandError};
use narrowcast::model::{
    AuditActor, AuditStamp, CampaignId, CampaignTargets, DeviceModel, KeyChange, Product,
    ProfileId, RetryPolicy, SettingChanges, StopMode, UpdateTask,
};
use narrowcast::profile::change_settings;
use narrowcast::store::{NewCampaign, Store, StoredProfile};
use serde_json::Value;

use super::{Feature, World};
use crate::fleet;
use crate::server::{ALL, Outcome, ready};

impl World {
    /// Makes a campaign for some devices; it is a draft.
    pub(crate) fn draft(&mut self, devices: &[usize], retry: RetryPolicy) -> CampaignId {
        self.draft_for(fleet::MODEL, devices, retry)
    }

    /// The same with a package for devices of this model.
    pub(crate) fn draft_for(
        &mut self,
        model: &str,
        devices: &[usize],
        retry: RetryPolicy,
    ) -> CampaignId {
        let packages = &mut self.packages;
        let package = *packages.entry(model.to_owned()).or_insert_with(|| {
            let mut package = fleet::package(&self.image, self.now.utc);
            package.model = DeviceModel::parse(model).unwrap();
            package.source_versions.clone_from(&self.source_versions);
            package.sequence = self.sequence;
            package.not_after = self.not_after;
            package.target_version = self.target_version.clone();
            let sha256 = package.file.sha256;
            self.server.images.insert(sha256, self.image.clone());
            ready(self.server.store.add_package(
                package,
                AuditStamp {
                    at: self.now.utc,
                    actor: AuditActor::server(),
                },
            ))
            .unwrap()
        });
        let endpoints: Vec<_> = devices
            .iter()
            .map(|index| fleet::endpoint(&self.devices[*index].config))
            .collect();
        let asked = endpoints.clone();
        let (endpoints, phase_sizes) = in_phases(&self.policy.rollout, endpoints, "salt");
        let campaign = NewCampaign {
            name: "a campaign".to_owned(),
            package,
            targets: CampaignTargets {
                groups: Vec::new(),
                devices: asked,
                dynamic: self.dynamic,
                ..CampaignTargets::default()
            },
            retry,
            downgrade: self.downgrade.clone(),
            admission: self.admission,
            policy: self.policy.clone(),
            phase_sizes,
            created_at: self.now.utc,
        };
        let id = ready(self.server.store.create_campaign(
            campaign,
            endpoints,
            AuditStamp {
                at: self.now.utc,
                actor: AuditActor::server(),
            },
        ))
        .unwrap();
        let tasks = ready(self.server.store.tasks(id, None, ALL)).unwrap();
        let (campaign, _) = ready(self.server.store.campaign(id)).unwrap();
        self.server.watch_campaign(&campaign, tasks.len());
        for task in tasks {
            self.server.tasks.insert(task.id, task);
        }
        id
    }

    /// Activates a draft, again and again while the server does not say whether it is.
    pub(crate) fn activate(&mut self, id: CampaignId) -> Result<(), CommandError> {
        loop {
            let command = self.server.run_command(id);
            if let Outcome::Done(result) = self.command(command) {
                return result;
            }
            let (campaign, _) = ready(self.server.store.campaign(id)).unwrap();
            if campaign.activated_at.is_some() {
                return Ok(());
            }
        }
    }

    /// A campaign for all devices, activated.
    pub(crate) fn campaign_for_all(&mut self, retry: RetryPolicy) -> CampaignId {
        let all: Vec<usize> = (0..self.devices.len()).collect();
        let id = self.draft(&all, retry);
        self.activate(id).unwrap();
        id
    }

    /// Enters a profile of a model with these settings, as JSON has them, on top of a quirk set.
    pub(crate) fn enter_profile(&mut self, model: &str, quirks: Option<&str>, settings: Value) {
        let mut changes = SettingChanges::default();
        change_settings(&mut changes, settings.as_object().unwrap()).unwrap();
        let known = fleet::package(&self.image, self.now.utc);
        let mut product = Product {
            profile: ProfileId(0),
            device_type: known.device_type,
            manufacturer: known.manufacturer,
            model: DeviceModel::parse(model).unwrap(),
            protocol: "CoAP".to_owned(),
            quirks: quirks.map(str::to_owned),
            changes,
        };
        let profile = StoredProfile {
            product: product.clone(),
            document: "{}".to_owned(),
            services: "[]".to_owned(),
            created_at: self.now.utc,
            created_by: None,
        };
        let stamp = AuditStamp {
            at: self.now.utc,
            actor: AuditActor::server(),
        };
        product.profile = ready(self.server.store.add_profile(profile, stamp)).unwrap();
        let told = self.command(Command::SetProduct(product));
        assert_eq!(told, Outcome::Done(Ok(())));
    }

    pub(crate) fn stop(&mut self, id: CampaignId) -> Outcome {
        self.stop_as(id, StopMode::Hard)
    }

    pub(crate) fn stop_as(&mut self, id: CampaignId, mode: StopMode) -> Outcome {
        let outcome = self.command(Command::StopCampaign { id, mode });
        if outcome == Outcome::Done(Ok(())) {
            self.server.watch.count(match mode {
                StopMode::Soft => Feature::StoppedSoftly,
                StopMode::Hard => Feature::StoppedHard,
            });
        }
        outcome
    }

    /// Has failed tasks tried again.
    pub(crate) fn retry(
        &mut self,
        id: CampaignId,
        wanted: impl Fn(&UpdateTask) -> bool,
    ) -> Outcome {
        let command = self.server.retry_command(id, wanted);
        self.command(command)
    }

    /// Somebody agrees to the update of a device, or with `None` of all, or refuses it.
    pub(crate) fn consent(
        &mut self,
        id: CampaignId,
        device: Option<usize>,
        granted: bool,
    ) -> Outcome {
        let task = device.map(|device| self.task(id, device).id);
        self.command(Command::Consent {
            campaign: id,
            task,
            granted,
            by: "ada".to_owned(),
        })
    }

    pub(crate) fn revoke(&mut self, key_id: &str) -> Outcome {
        let change = KeyChange {
            at: self.now.utc,
            by: "gate".to_owned(),
            reason: "the laptop was stolen".to_owned(),
        };
        let id = key_id.to_owned();
        self.command(Command::RevokeKey { id, change })
    }

    pub(crate) fn command(&mut self, command: Command) -> Outcome {
        let crash = self.crash();
        let (outcome, transmits) = self.server.command(self.now, crash, command);
        self.served(transmits);
        outcome
    }
}
