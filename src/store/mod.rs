//! What must survive a restart: one trait named after what its callers need, and its two makings.
//!
//! The engine's changes come as [`Record`]s, committed in one transaction before anything that rests
//! on them is sent. What an operator enters (keys, packages, devices, groups, drafts, tokens) is
//! written straight through.

use std::fmt;

mod audit;
mod batch;
mod blobs;
mod checked_file;
mod events;
mod loads;
mod memory;
mod sqlite;
mod standing;
mod targets;

pub use audit::{AuditBreak, AuditChain, AuditEntry, AuditHead, InvalidAuditHead};
pub use blobs::{BlobError, BlobStore, IncomingBlob, Kept};
pub use checked_file::CheckedFile;
pub use events::{EventStore, NotedDeliveries};
pub use loads::{DeviceLoad, LoadStore};
pub use memory::MemoryStore;
pub use sqlite::{OpenError, SqliteStore};
pub use standing::StandingStore;
pub use targets::{DeviceDetails, DevicesOf, TargetStore};

use async_trait::async_trait;

use crate::clock::Utc;
use crate::model::{
    AdmissionPolicy, AuditStamp, Campaign, CampaignId, CampaignPolicy, CampaignState,
    CampaignTargets, DeliveryHistory, Device, DeviceModel, DeviceReport, DeviceRequest,
    DeviceRequestId, DowngradeAllowed, DownloadLink, EndpointName, GroupId, InstalledSequences,
    KeyChange, KeyPurpose, KeyState, LinkId, LinkProgress, Manufacturer, Package, PackageId,
    Product, ProfileId, Record, ReleaseNotes, Restored, RetryPolicy, SettingChanges, Sha256Digest,
    TaskState, TimelineEntry, UpdateTask, Uplink,
};

/// How many lines of a device's history are kept; the oldest give way.
pub const TIMELINE_ENTRIES_MAX: u32 = 500;

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// It is there already, or something still uses it.
    #[error("conflict: {0}")]
    Conflict(&'static str),
    /// The disk or the quota is full. Nothing was written.
    #[error("no space is left for the store")]
    Full,
    /// What is durable is no longer known (an fsync failed): the process must end.
    #[error("the store can no longer be trusted: {0}")]
    Fatal(String),
    /// Anything else. Nothing was written.
    #[error("store: {0}")]
    Failed(String),
}

/// Which part of a list: rows after `after` (exclusive; the id or name of the last row of the page
/// before), at most `limit`.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last row's key of the page before; `None` for the first page.
    pub after: Option<String>,
    /// The most rows.
    pub limit: u32,
}

impl Page {
    /// `after` where the rows are numbered; 0 for the first page. A key that no row can have is not
    /// found.
    fn after_number(&self) -> Result<u64, StoreError> {
        let Some(after) = &self.after else {
            return Ok(0);
        };
        after.parse().map_err(|_| StoreError::NotFound)
    }
}

/// A manufacturer's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// SHA-256 of the SPKI, hexadecimal.
    pub id: String,
    /// Whose key it is.
    pub manufacturer: Manufacturer,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// `RSA` or `ECDSA_256K1`.
    pub algorithm: String,
    /// Modulus length, or the length of the curve's order.
    pub bits: u32,
    /// SPKI in PEM.
    pub public_key_pem: String,
    /// When it was entered.
    pub created_at: Utc,
    /// The name of the token that it was entered with; `None` where that was not kept.
    pub created_by: Option<String>,
    /// By whom it was retired, if it was.
    pub retired: Option<KeyChange>,
    /// By whom it was revoked, if it was.
    pub revoked: Option<KeyChange>,
}

impl StoredKey {
    /// What it may still do.
    pub const fn state(&self) -> KeyState {
        if self.revoked.is_some() {
            KeyState::Revoked
        } else if self.retired.is_some() {
            KeyState::Retired
        } else {
            KeyState::Active
        }
    }
}

/// A product's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProfile {
    /// Of which product, and how its devices are treated.
    pub product: Product,
    /// The device part as it came, JSON.
    pub document: String,
    /// The services as they came: a JSON array.
    pub services: String,
    /// When it was entered.
    pub created_at: Utc,
    /// The name of the token that it was entered with.
    pub created_by: Option<String>,
}

impl StoredProfile {
    const SAME_PRODUCT: &str = "this product has a profile already";
}

/// A group of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGroup {
    /// Its number.
    pub id: GroupId,
    /// Its name, unique.
    pub name: String,
    /// How many devices it has; 0 where a filter finds them.
    pub devices: u64,
    /// Finds its devices, where it is no list.
    pub filter: Option<String>,
    /// When it was made.
    pub created_at: Utc,
}

/// An API token: only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// The operator's name for it, unique.
    pub name: String,
    /// `viewer`, `operator`, `approver`, `admin` or `key-admin`.
    pub role: String,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
    /// When it was made.
    pub created_at: Utc,
}

/// A campaign to be made.
#[derive(Clone, Debug)]
pub struct NewCampaign {
    /// Its name.
    pub name: String,
    /// What is installed.
    pub package: PackageId,
    /// Who was asked for.
    pub targets: CampaignTargets,
    /// When a failed task is tried again.
    pub retry: RetryPolicy,
    /// Who let it downgrade devices, if anybody did.
    pub downgrade: Option<DowngradeAllowed>,
    /// How its devices are admitted to their cells; `None`: as the server's settings say.
    pub admission: Option<AdmissionPolicy>,
    /// What else is wanted of it.
    pub policy: CampaignPolicy,
    /// How many of its devices, from the first, are in each phase of its rollout; what is left is in one
    /// more.
    pub phase_sizes: Vec<usize>,
    /// When it was made.
    pub created_at: Utc,
}

impl NewCampaign {
    /// Its devices by the phase that they are in.
    fn phases<'a>(&self, devices: &'a [EndpointName]) -> Vec<(u16, &'a [EndpointName])> {
        let (mut phases, mut left) = (Vec::new(), devices);
        for size in &self.phase_sizes {
            let (members, others) = left.split_at((*size).min(left.len()));
            phases.push(members);
            left = others;
        }
        phases.push(left);
        (0..).zip(phases).collect()
    }
}

/// A campaign that uses a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageUse {
    /// Which.
    pub campaign: CampaignId,
    /// Its name.
    pub name: String,
    /// Whether it was activated: what it installs does not change any more.
    pub activated: bool,
}

/// How many tasks of a campaign are in each state, and what they were served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Wait.
    pub pending: u64,
    /// Run.
    pub running: u64,
    /// Ended well.
    pub succeeded: u64,
    /// Ended badly.
    pub failed: u64,
    /// Ended by an operator.
    pub stopped: u64,
    /// The sum of [`UpdateTask::bytes_served`].
    pub bytes_served: u64,
}

/// Whether a campaign in this state has come to its end.
const fn is_ended(state: CampaignState) -> bool {
    matches!(
        state,
        CampaignState::Stopped | CampaignState::Succeeded | CampaignState::Failed
    )
}

/// The durable state of one server.
#[async_trait]
pub trait Store:
    EventStore + LoadStore + StandingStore + TargetStore + fmt::Debug + Send + Sync + 'static
{
    /// Commits all records in one transaction, in order. On `Ok` they survive a power cut.
    async fn commit(&self, records: Vec<Record>) -> Result<(), StoreError>;
    /// Reads what an engine is rebuilt from.
    async fn restore(&self) -> Result<Restored, StoreError>;
    /// Whether a read works: for readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// The audit log by number. What takes an [`AuditStamp`] adds an entry to it in the same
    /// transaction, and so does [`Record::Audit`].
    async fn audit_entries(&self, page: Page) -> Result<Vec<AuditEntry>, StoreError>;
    /// The last entry of the audit log.
    async fn audit_head(&self) -> Result<AuditHead, StoreError>;

    /// Enters a key; `Conflict` where its id is there.
    async fn add_key(&self, key: StoredKey, stamp: AuditStamp) -> Result<(), StoreError>;
    /// Keys, all or of one manufacturer, by id.
    async fn keys(
        &self,
        of: Option<&Manufacturer>,
        page: Page,
    ) -> Result<Vec<StoredKey>, StoreError>;

    /// One key.
    async fn key(&self, id: &str) -> Result<StoredKey, StoreError>;
    /// Retires a key; `Conflict` unless it is active. A key is revoked by [`Record::KeyRevoked`].
    async fn retire_key(
        &self,
        id: &str,
        change: KeyChange,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;

    /// Enters a package; its `id` is ignored and the number given to it returned. `Conflict` where
    /// the same image for the same product and version is there.
    async fn add_package(
        &self,
        package: Package,
        stamp: AuditStamp,
    ) -> Result<PackageId, StoreError>;
    /// One package.
    async fn package(&self, id: PackageId) -> Result<Package, StoreError>;
    /// Packages by number.
    async fn packages(&self, page: Page) -> Result<Vec<Package>, StoreError>;
    /// What uses a package: a campaign that was activated, or else any that there is.
    async fn package_use(&self, id: PackageId) -> Result<Option<PackageUse>, StoreError>;
    /// Replaces what is said of a package; `Conflict` where a campaign of it was activated.
    async fn set_release_notes(
        &self,
        id: PackageId,
        notes: ReleaseNotes,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Takes a package away, with its links; those of its bytes that no other package rests on.
    /// `Conflict` while a campaign is of it.
    async fn remove_package(
        &self,
        id: PackageId,
        stamp: AuditStamp,
    ) -> Result<Vec<Sha256Digest>, StoreError>;
    /// The sequences of the releases for a package's product and component, and of what last
    /// succeeded on its devices, where that is higher than the package's; also of packages, campaigns
    /// and devices that were taken away since. Nothing for a package without a sequence.
    async fn installed_sequences(&self, of: &Package) -> Result<InstalledSequences, StoreError>;

    /// Enters a link; its `id` is ignored and the number given to it returned. `NotFound` where its
    /// package is not there.
    async fn add_link(&self, link: DownloadLink, stamp: AuditStamp) -> Result<LinkId, StoreError>;
    /// Links by number, all or of one package. They go with their package.
    async fn links(
        &self,
        of: Option<PackageId>,
        page: Page,
    ) -> Result<Vec<DownloadLink>, StoreError>;
    /// Ends a link; `NotFound` where it is not there or was ended before.
    async fn revoke_link(&self, id: LinkId, stamp: AuditStamp) -> Result<(), StoreError>;
    /// Writes down what was fetched, in one commit; a link that is not there any more is passed over.
    async fn note_links(&self, fetched: Vec<(LinkId, LinkProgress)>) -> Result<(), StoreError>;
    /// Takes links away, in one commit; one that is not there any more is passed over.
    async fn remove_links(&self, ids: Vec<LinkId>) -> Result<(), StoreError>;

    /// Enters a profile; the number in it is ignored and the one given to it returned. `Conflict` where
    /// one of the same device type, manufacturer, model and protocol is there, CoAP and LWM2M being one.
    async fn add_profile(
        &self,
        profile: StoredProfile,
        stamp: AuditStamp,
    ) -> Result<ProfileId, StoreError>;
    /// One profile.
    async fn profile(&self, id: ProfileId) -> Result<StoredProfile, StoreError>;
    /// What all profiles say of their products, by number, without the documents.
    async fn products(&self) -> Result<Vec<Product>, StoreError>;
    /// The same of one manufacturer's model.
    async fn products_of(
        &self,
        manufacturer: &Manufacturer,
        model: &DeviceModel,
    ) -> Result<Vec<Product>, StoreError>;
    /// Replaces the settings of a profile's product.
    async fn change_product_settings(
        &self,
        id: ProfileId,
        quirks: Option<String>,
        changes: SettingChanges,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Takes a profile away.
    async fn remove_profile(&self, id: ProfileId, stamp: AuditStamp) -> Result<(), StoreError>;

    /// Enters devices in one transaction; `Conflict` and nothing written where one is there.
    async fn add_devices(&self, devices: Vec<Device>, stamp: AuditStamp) -> Result<(), StoreError>;
    /// One device.
    async fn device(&self, endpoint: &EndpointName) -> Result<Device, StoreError>;
    /// Devices by endpoint name.
    async fn devices(&self, page: Page) -> Result<Vec<Device>, StoreError>;
    /// Replaces what the operator says of a device: all but its name and when it was entered.
    async fn replace_device(&self, device: &Device, stamp: AuditStamp) -> Result<(), StoreError>;
    /// A device's tasks that are not final, of drafts and of campaigns that are not over, by number.
    async fn unfinished_tasks(
        &self,
        endpoint: &EndpointName,
    ) -> Result<Vec<UpdateTask>, StoreError>;
    /// What a device last reported.
    async fn report(&self, endpoint: &EndpointName) -> Result<DeviceReport, StoreError>;
    /// What a device was given lately, and whether it is barred; `NotFound` where nothing counts.
    async fn deliveries(&self, endpoint: &EndpointName) -> Result<DeliveryHistory, StoreError>;
    /// One request of an operator's to a device.
    async fn device_request(
        &self,
        endpoint: &EndpointName,
        id: DeviceRequestId,
    ) -> Result<DeviceRequest, StoreError>;
    /// A device's requests, by number.
    async fn device_requests(
        &self,
        endpoint: &EndpointName,
        page: Page,
    ) -> Result<Vec<DeviceRequest>, StoreError>;
    /// What a device sent of its own data, newest first.
    async fn uplinks(&self, endpoint: &EndpointName, limit: u32)
    -> Result<Vec<Uplink>, StoreError>;
    /// A device's history, newest first.
    async fn timeline(
        &self,
        endpoint: &EndpointName,
        limit: u32,
    ) -> Result<Vec<TimelineEntry>, StoreError>;

    /// Makes a group; `Conflict` where the name is taken.
    async fn add_group(&self, name: &str, stamp: AuditStamp) -> Result<GroupId, StoreError>;
    /// Groups by number.
    async fn groups(&self, page: Page) -> Result<Vec<DeviceGroup>, StoreError>;
    /// Gives a group another name; `Conflict` where the name is taken.
    async fn rename_group(
        &self,
        id: GroupId,
        name: &str,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Takes a group away; its devices stay.
    async fn remove_group(&self, id: GroupId, stamp: AuditStamp) -> Result<(), StoreError>;
    /// 绑定设备: puts known devices into a group; `NotFound` and nothing written where the group or
    /// one device is unknown. Those already in it are left as they are.
    async fn bind_devices(
        &self,
        id: GroupId,
        devices: &[EndpointName],
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Makes these known devices, and no others, a group's, in one commit; `NotFound` and nothing
    /// written where the group or one device is unknown.
    async fn replace_group_devices(
        &self,
        id: GroupId,
        devices: &[EndpointName],
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Takes a device out of a group.
    async fn unbind_device(
        &self,
        id: GroupId,
        device: &EndpointName,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// The devices of a group by endpoint name.
    async fn group_devices(&self, id: GroupId, page: Page)
    -> Result<Vec<EndpointName>, StoreError>;

    /// Makes a draft with one pending task for each of `endpoints` (distinct), in chunks that do not
    /// hold the writer for long; it shows only when it is whole.
    async fn create_campaign(
        &self,
        campaign: NewCampaign,
        endpoints: Vec<EndpointName>,
        stamp: AuditStamp,
    ) -> Result<CampaignId, StoreError>;
    /// One campaign and its counts.
    async fn campaign(&self, id: CampaignId) -> Result<(Campaign, TaskCounts), StoreError>;
    /// Campaigns by number, with their counts.
    async fn campaigns(&self, page: Page) -> Result<Vec<(Campaign, TaskCounts)>, StoreError>;
    /// The same of those that were put away, or of those that were not.
    async fn campaigns_archived(
        &self,
        archived: bool,
        page: Page,
    ) -> Result<Vec<(Campaign, TaskCounts)>, StoreError>;
    /// Takes a campaign and its tasks away. The caller has checked its state; `expected` is checked
    /// again in the transaction (`Conflict`), and that no device of a stopped one is still at work.
    async fn remove_campaign(
        &self,
        id: CampaignId,
        expected: CampaignState,
        stamp: AuditStamp,
    ) -> Result<(), StoreError>;
    /// Tasks of a campaign by number, all or in one state.
    async fn tasks(
        &self,
        campaign: CampaignId,
        state: Option<TaskState>,
        page: Page,
    ) -> Result<Vec<UpdateTask>, StoreError>;

    /// How many of a campaign's tasks are in each state, by phase of its rollout.
    async fn phase_counts(
        &self,
        campaign: CampaignId,
    ) -> Result<Vec<(u16, TaskCounts)>, StoreError>;
    /// The devices of a phase whose tasks have succeeded, and when.
    async fn updated_in_phase(
        &self,
        campaign: CampaignId,
        phase: u16,
    ) -> Result<Vec<(EndpointName, Utc)>, StoreError>;

    /// Enters a token; `Conflict` where the name is taken.
    async fn add_token(&self, token: StoredToken, stamp: AuditStamp) -> Result<(), StoreError>;
    /// The token with this hash.
    async fn token(&self, sha256: &[u8; 32]) -> Result<StoredToken, StoreError>;
    /// Tokens by name.
    async fn tokens(&self, page: Page) -> Result<Vec<StoredToken>, StoreError>;
    /// Takes a token away: it no longer opens anything.
    async fn remove_token(&self, name: &str, stamp: AuditStamp) -> Result<(), StoreError>;
}
