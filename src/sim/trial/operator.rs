//! Who enters devices and starts campaigns.

use bytes::Bytes;

use super::super::network::Account;
use super::Trial;
use crate::campaign::Progress;

use crate::clock::Utc;
use crate::engine::{Command, EndedCampaign, EndedTasks};
use crate::model::{
    Campaign, CampaignId, CampaignState, CampaignTargets, Component, Device, DeviceModel,
    DeviceType, EndpointName, FailureReason, FirmwareVersion, InstalledSequences, InvalidName,
    Manufacturer, Package, PackageFile, PackageId, PackageKind, Provenance, ReleaseNotes,
    RolloutState, Sha256Digest, TaskId, UpdateTask,
};

/// What devices of [`DeviceConfig::new`](super::DeviceConfig::new) say of themselves.
const MANUFACTURER: &str = "Acme";
const MODEL: &str = "NB-1";
const NEXT_VERSION: &str = "2.0.0";

const DEVICE_TYPE: &str = "WaterMeter";

#[derive(Debug)]
pub(super) struct Operator {
    campaign: Campaign,
    package: Package,
    image: Bytes,
}

impl Operator {
    pub(super) fn new(
        trial: &Trial,
        now: Utc,
        image: Bytes,
        sha256: Sha256Digest,
    ) -> Result<Self, InvalidName> {
        Ok(Self {
            campaign: Campaign {
                id: CampaignId(1),
                name: "a scenario".to_owned(),
                package: PackageId(1),
                targets: CampaignTargets::default(),
                retry: trial.retry,
                downgrade: None,
                admission: None,
                policy: trial.policy.clone(),
                rollout: RolloutState::default(),
                created_by: String::new(),
                state: CampaignState::Draft,
                created_at: now,
                activated_at: None,
                ended_at: None,
                archived_at: None,
                consented_at: None,
            },
            package: package(now, &image, sha256)?,
            image,
        })
    }

    /// The campaign for these devices is activated.
    pub(super) fn start(&self, names: Vec<EndpointName>) -> Command {
        let (id, now) = (self.campaign.id, self.campaign.created_at);
        let tasks = (1..).zip(names);
        let tasks =
            tasks.map(|(number, endpoint)| UpdateTask::new(TaskId(number), id, endpoint, now));
        Command::RunCampaign {
            campaign: self.campaign.clone(),
            package: self.package.clone(),
            image: self.image.clone(),
            installed: InstalledSequences::default(),
            tasks: tasks.collect(),
            ended: EndedTasks::default(),
        }
    }

    /// What has failed is tried again, where nobody holds it back any more; the campaign runs again where
    /// it has ended.
    pub(super) fn again(&self, account: &Account) -> Vec<Command> {
        let tasks: Vec<_> = account.failed().cloned().collect();
        if tasks.is_empty() {
            return Vec::new();
        }
        let is_barred = |task: &&UpdateTask| {
            let failure = task.failure.as_ref();
            failure.is_some_and(|failure| failure.reason == FailureReason::Barred)
        };
        let barred = tasks.iter().filter(is_barred);
        let mut commands: Vec<_> = barred
            .map(|task| Command::LiftBar(task.endpoint.clone()))
            .collect();
        let mut ended = EndedTasks::default();
        let counts = Progress {
            succeeded: account.succeeded().len() as u64,
            failed: tasks.len() as u64,
            ..Progress::default()
        };
        ended.counts.join(0, counts);
        let state = account.campaign_state();
        let has_ended = state.filter(|state| !state.is_active());
        commands.push(Command::RetryTasks {
            campaign: self.campaign.id,
            tasks,
            ended: has_ended.map(|state| EndedCampaign {
                campaign: Campaign {
                    state,
                    ..self.campaign.clone()
                },
                package: self.package.clone(),
                image: self.image.clone(),
                installed: InstalledSequences::default(),
                ended,
            }),
        });
        commands
    }
}

/// The devices as they are entered.
pub(super) fn known(names: &[EndpointName], now: Utc) -> Result<Vec<Device>, InvalidName> {
    let (manufacturer, model) = (
        Manufacturer::parse(MANUFACTURER)?,
        DeviceModel::parse(MODEL)?,
    );
    let device_type = DeviceType::parse(DEVICE_TYPE)?;
    let devices = names.iter().map(|endpoint| Device {
        endpoint: endpoint.clone(),
        manufacturer: Some(manufacturer.clone()),
        model: Some(model.clone()),
        device_type: Some(device_type.clone()),
        tags: Vec::new(),
        created_at: now,
    });
    Ok(devices.collect())
}

fn package(now: Utc, image: &Bytes, sha256: Sha256Digest) -> Result<Package, InvalidName> {
    Ok(Package {
        id: PackageId(1),
        manufacturer: Manufacturer::parse(MANUFACTURER)?,
        model: DeviceModel::parse(MODEL)?,
        device_type: DeviceType::parse(DEVICE_TYPE)?,
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse(NEXT_VERSION)?,
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Module,
        file: PackageFile {
            name: "firmware.bin".to_owned(),
            sha256,
            size_bytes: image.len() as u64,
        },
        more_files: Vec::new(),
        archive_sha256: sha256,
        provenance: Provenance::Unsigned {
            by: "a scenario".to_owned(),
            reason: "no device checks a signature here".to_owned(),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: now,
    })
}
