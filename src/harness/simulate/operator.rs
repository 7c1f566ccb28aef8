//! Who enters devices and profiles, starts campaigns, and tries again what has failed. Sans-IO.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::SimulateError;
use crate::campaign::in_phases;
use crate::clock::Utc;
use crate::engine::{Command, CommandError, EndedCampaign, EndedTasks};
use crate::harness::scenario::{CampaignPlan, Product as MixProduct};
use crate::model::{
    AuditActor, AuditStamp, CampaignId, CampaignTargets, Component, Device, DeviceModel,
    DeviceType, EndpointName, FailureReason, FirmwareVersion, Manufacturer, Package, PackageFile,
    PackageId, PackageKind, Product, ProfileId, Provenance, ReleaseNotes, SettingChanges,
    Sha256Digest, TaskState,
};
use crate::sim::{Kept, Network, at_once, ended_tasks};
use crate::store::{NewCampaign, Page, Store, StoredProfile};

/// What every device is to the people who read it.
const DEVICE_TYPE: &str = "WaterMeter";
/// What devices come to run (`DeviceConfig::new`).
pub(super) const TARGET_VERSION: &str = "2.0.0";

const ALL: Page = Page {
    after: None,
    limit: u32::MAX,
};

#[derive(Debug)]
pub(super) struct Operator {
    products: Vec<MixProduct>,
    /// The devices of each product, by its number.
    devices: Vec<Vec<EndpointName>>,
    image: Bytes,
    sha256: Sha256Digest,
    campaigns: Vec<CampaignId>,
}

impl Operator {
    pub(super) fn new(products: Vec<MixProduct>, image: Bytes, sha256: Sha256Digest) -> Self {
        Self {
            devices: vec![Vec::new(); products.len()],
            products,
            image,
            sha256,
            campaigns: Vec::new(),
        }
    }

    /// Enters devices, each with its endpoint name, manufacturer and model; and profiles for those
    /// products that have quirks.
    pub(super) fn enter(
        &mut self,
        network: &mut Network,
        devices: Vec<(String, String, String)>,
    ) -> Result<(), SimulateError> {
        let now = network.now().utc;
        let mut known = Vec::with_capacity(devices.len());
        for (endpoint, manufacturer, model) in devices {
            let device = device(&endpoint, &manufacturer, &model, now)?;
            let is_of = |it: &MixProduct| it.manufacturer == manufacturer && it.model == model;
            if let Some(product) = self.products.iter().position(is_of) {
                self.devices[product].push(device.endpoint.clone());
            }
            known.push(device);
        }
        if let Some(kept) = network.kept() {
            at_once(kept.store.add_devices(known.clone(), stamp(now)))?;
        }
        network.command(Command::AddDevices(known))?;
        for product in &self.products {
            if let Some(product) = enter_profile(network.kept(), product, now)? {
                network.command(Command::SetProduct(product))?;
            }
        }
        Ok(())
    }

    /// A campaign for the devices of each product.
    pub(super) fn start(
        &mut self,
        network: &mut Network,
        plan: &CampaignPlan,
    ) -> Result<(), SimulateError> {
        let now = network.now().utc;
        if let Some(kept) = network.kept_mut() {
            kept.images.insert(self.sha256, self.image.clone());
        }
        for (product, devices) in self.products.iter().zip(&self.devices) {
            if devices.is_empty() {
                continue;
            }
            let Some(kept) = network.kept() else {
                continue;
            };
            let package = self.package(product, now)?;
            let package = at_once(kept.store.add_package(package, stamp(now)))?;
            let (endpoints, phase_sizes) =
                in_phases(&plan.policy.rollout, devices.clone(), &product.model);
            let campaign = NewCampaign {
                name: format!("{} {}", product.manufacturer, product.model),
                package,
                targets: CampaignTargets {
                    devices: devices.clone(),
                    ..CampaignTargets::default()
                },
                retry: plan.retry,
                downgrade: None,
                admission: plan.admission,
                policy: plan.policy.clone(),
                phase_sizes,
                created_at: now,
            };
            let created = kept.store.create_campaign(campaign, endpoints, stamp(now));
            let id = at_once(created)?;
            let command = self.run_command(kept, id)?;
            network.command(command)?;
            self.campaigns.push(id);
        }
        Ok(())
    }

    /// As `POST /campaigns/{id}/activate` makes it.
    fn run_command(&self, kept: &Kept, id: CampaignId) -> Result<Command, SimulateError> {
        let (campaign, _) = at_once(kept.store.campaign(id))?;
        let package = at_once(kept.store.package(campaign.package))?;
        Ok(Command::RunCampaign {
            image: self.image.clone(),
            campaign,
            installed: at_once(kept.store.installed_sequences(&package))?,
            package,
            tasks: at_once(kept.store.tasks(id, None, ALL))?,
            ended: EndedTasks::default(),
        })
    }

    /// Bars are lifted, and what has failed is tried again, as `POST /campaigns/{id}/retry` does it.
    pub(super) fn retry_failed(&self, network: &mut Network) -> Result<(), SimulateError> {
        for id in &self.campaigns {
            let Some(kept) = network.kept() else {
                continue;
            };
            let tasks = at_once(kept.store.tasks(*id, Some(TaskState::Failed), ALL))?;
            if tasks.is_empty() {
                continue;
            }
            let (campaign, _) = at_once(kept.store.campaign(*id))?;
            let ended = if campaign.state.is_active() {
                None
            } else {
                let package = at_once(kept.store.package(campaign.package))?;
                Some(EndedCampaign {
                    image: self.image.clone(),
                    installed: at_once(kept.store.installed_sequences(&package))?,
                    ended: ended_tasks(kept, &campaign)?,
                    campaign,
                    package,
                })
            };
            let mut commands = Vec::new();
            for task in &tasks {
                let failure = task.failure.as_ref();
                if failure.is_some_and(|failure| failure.reason == FailureReason::Barred) {
                    commands.push(Command::LiftBar(task.endpoint.clone()));
                }
            }
            commands.push(Command::RetryTasks {
                campaign: *id,
                tasks,
                ended,
            });
            for command in commands {
                match network.command(command) {
                    // What fails at this moment is not over for the engine yet: it comes next time.
                    Ok(()) | Err(CommandError::NothingToRetry | CommandError::NotBarred) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn package(&self, product: &MixProduct, now: Utc) -> Result<Package, SimulateError> {
        Ok(Package {
            id: PackageId(0),
            manufacturer: Manufacturer::parse(&product.manufacturer)?,
            model: DeviceModel::parse(&product.model)?,
            device_type: DeviceType::parse(DEVICE_TYPE)?,
            protocol: "LWM2M".to_owned(),
            target_version: FirmwareVersion::parse(TARGET_VERSION)?,
            source_versions: Vec::new(),
            kind: PackageKind::Full,
            component: Component::Module,
            file: PackageFile {
                name: "firmware.bin".to_owned(),
                sha256: self.sha256,
                size_bytes: self.image.len() as u64,
            },
            more_files: Vec::new(),
            archive_sha256: self.sha256,
            provenance: Provenance::Unsigned {
                by: "a rehearsal".to_owned(),
                reason: "no device checks a signature here".to_owned(),
            },
            sequence: None,
            not_after: None,
            release_notes: ReleaseNotes::default(),
            uploaded_at: now,
        })
    }
}

fn stamp(at: Utc) -> AuditStamp {
    AuditStamp {
        at,
        actor: AuditActor::server(),
    }
}

fn device(
    endpoint: &str,
    manufacturer: &str,
    model: &str,
    now: Utc,
) -> Result<Device, SimulateError> {
    Ok(Device {
        endpoint: EndpointName::parse(endpoint)?,
        manufacturer: Some(Manufacturer::parse(manufacturer)?),
        model: Some(DeviceModel::parse(model)?),
        device_type: Some(DeviceType::parse(DEVICE_TYPE)?),
        tags: Vec::new(),
        created_at: now,
    })
}

/// A profile that names the product's quirks, as an operator would choose them.
fn enter_profile(
    kept: Option<&Kept>,
    product: &MixProduct,
    now: Utc,
) -> Result<Option<Product>, SimulateError> {
    let (Some(kept), Some(quirks)) = (kept, &product.quirks) else {
        return Ok(None);
    };
    let mut entered = Product {
        profile: ProfileId(0),
        device_type: DeviceType::parse(DEVICE_TYPE)?,
        manufacturer: Manufacturer::parse(&product.manufacturer)?,
        model: DeviceModel::parse(&product.model)?,
        protocol: "CoAP".to_owned(),
        quirks: Some(quirks.clone()),
        changes: SettingChanges::default(),
    };
    let profile = StoredProfile {
        product: entered.clone(),
        document: "{}".to_owned(),
        services: "[]".to_owned(),
        created_at: now,
        created_by: None,
    };
    entered.profile = at_once(kept.store.add_profile(profile, stamp(now)))?;
    Ok(Some(entered))
}

/// Whether all of these campaigns are over.
pub(super) fn all_over(states: &BTreeMap<CampaignId, bool>) -> bool {
    !states.is_empty() && states.values().all(|active| !active)
}
