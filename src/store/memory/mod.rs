//! The store without a disk: for tests and for what need not outlive the process.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

mod audited;
mod events;
mod links;
mod loads;
mod packages;
mod page;
mod profiles;
mod standing;
mod state;
mod targets;
mod tasks;

use self::page::{limit, page_by_text, page_of_names};
use self::state::{Group, State};
use super::audit;
use super::batch::Batch;
use super::{
    AuditEntry, AuditHead, DeviceGroup, NewCampaign, PackageUse, Page, Store, StoreError,
    StoredKey, StoredProfile, StoredToken, TaskCounts,
};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, Campaign, CampaignId, CampaignState, DeliveryHistory, Device, DeviceModel,
    DeviceReport, DeviceRequest, DeviceRequestId, DownloadLink, EndpointName, GroupId,
    InstalledSequences, KeyChange, LinkId, LinkProgress, Manufacturer, Package, PackageId, Product,
    ProfileId, Record, ReleaseNotes, Restored, SettingChanges, Sha256Digest, TaskState,
    TimelineEntry, UpdateTask, Uplink,
};

/// A store in memory, with a switch that lets a commit fail.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the `n`-th commit from now on (1: the next) fail with [`StoreError::Failed`] and write
    /// nothing; those after it succeed again. 0 takes the fault back.
    pub fn fail_after(&self, n: u64) {
        self.lock().fail_after = (n > 0).then_some(n);
    }

    /// Lets every commit from now on fail with [`StoreError::Failed`] and write nothing, until it is
    /// told otherwise.
    pub fn fail(&self, failing: bool) {
        self.lock().failing = failing;
    }

    /// How many commits were asked for, those that failed with the others.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn next(last: &mut u64) -> u64 {
    *last += 1;
    *last
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, records: Vec<Record>) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.fault()?;
        for batch in Batch::of(records) {
            state.write(batch);
        }
        Ok(())
    }

    async fn restore(&self) -> Result<Restored, StoreError> {
        Ok(self.lock().restore())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn audit_entries(&self, page: Page) -> Result<Vec<AuditEntry>, StoreError> {
        let after = page.after_number()?;
        let state = self.lock();
        let entries = state.audit.iter().filter(|entry| entry.number > after);
        Ok(entries.take(limit(&page)).cloned().collect())
    }

    async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        Ok(self.lock().audit_head())
    }

    async fn add_key(&self, key: StoredKey, stamp: AuditStamp) -> Result<(), StoreError> {
        self.lock().add_key(key, &stamp)
    }

    async fn keys(
        &self,
        of: Option<&Manufacturer>,
        page: Page,
    ) -> Result<Vec<StoredKey>, StoreError> {
        let include = |key: &StoredKey| of.is_none_or(|of| *of == key.manufacturer);
        Ok(page_by_text(&self.lock().keys, &page, include))
    }

    async fn key(&self, id: &str) -> Result<StoredKey, StoreError> {
        let state = self.lock();
        state.keys.get(id).cloned().ok_or(StoreError::NotFound)
    }

    async fn retire_key(
        &self,
        id: &str,
        change: KeyChange,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        self.lock().retire_key(id, change, &stamp)
    }

    async fn add_package(
        &self,
        package: Package,
        stamp: AuditStamp,
    ) -> Result<PackageId, StoreError> {
        self.lock().add_package(package, &stamp)
    }

    async fn package(&self, id: PackageId) -> Result<Package, StoreError> {
        let state = self.lock();
        state.packages.get(&id).cloned().ok_or(StoreError::NotFound)
    }

    async fn packages(&self, page: Page) -> Result<Vec<Package>, StoreError> {
        let after = PackageId(page.after_number()?);
        let state = self.lock();
        let packages = state
            .packages
            .range((Bound::Excluded(after), Bound::Unbounded));
        Ok(packages
            .take(limit(&page))
            .map(|(_, package)| package.clone())
            .collect())
    }

    async fn add_link(&self, link: DownloadLink, stamp: AuditStamp) -> Result<LinkId, StoreError> {
        self.lock().add_link(link, &stamp)
    }

    async fn links(
        &self,
        of: Option<PackageId>,
        page: Page,
    ) -> Result<Vec<DownloadLink>, StoreError> {
        self.lock().links(of, &page)
    }

    async fn revoke_link(&self, id: LinkId, stamp: AuditStamp) -> Result<(), StoreError> {
        self.lock().revoke_link(id, &stamp)
    }

    async fn note_links(&self, fetched: Vec<(LinkId, LinkProgress)>) -> Result<(), StoreError> {
        self.lock().note_links(fetched);
        Ok(())
    }

    async fn remove_links(&self, ids: Vec<LinkId>) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.links.retain(|id, _| !ids.contains(id));
        Ok(())
    }

    async fn add_profile(
        &self,
        profile: StoredProfile,
        stamp: AuditStamp,
    ) -> Result<ProfileId, StoreError> {
        self.lock().add_profile(profile, &stamp)
    }

    async fn profile(&self, id: ProfileId) -> Result<StoredProfile, StoreError> {
        let state = self.lock();
        state.profiles.get(&id).cloned().ok_or(StoreError::NotFound)
    }

    async fn products(&self) -> Result<Vec<Product>, StoreError> {
        Ok(self.lock().products())
    }

    async fn products_of(
        &self,
        manufacturer: &Manufacturer,
        model: &DeviceModel,
    ) -> Result<Vec<Product>, StoreError> {
        let mut products = self.lock().products();
        products.retain(|it| it.manufacturer == *manufacturer && it.model == *model);
        Ok(products)
    }

    async fn change_product_settings(
        &self,
        id: ProfileId,
        quirks: Option<String>,
        changes: SettingChanges,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        self.lock().change_settings(id, quirks, changes, &stamp)
    }

    async fn remove_profile(&self, id: ProfileId, stamp: AuditStamp) -> Result<(), StoreError> {
        self.lock().remove_profile(id, &stamp)
    }

    async fn package_use(&self, id: PackageId) -> Result<Option<PackageUse>, StoreError> {
        Ok(self.lock().package_use(id))
    }

    async fn set_release_notes(
        &self,
        id: PackageId,
        notes: ReleaseNotes,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        self.lock().set_release_notes(id, notes, &stamp)
    }

    async fn remove_package(
        &self,
        id: PackageId,
        stamp: AuditStamp,
    ) -> Result<Vec<Sha256Digest>, StoreError> {
        self.lock().remove_package(id, &stamp)
    }

    async fn installed_sequences(&self, of: &Package) -> Result<InstalledSequences, StoreError> {
        Ok(self.lock().installed_sequences(of))
    }

    async fn add_devices(&self, devices: Vec<Device>, stamp: AuditStamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        let mut new = BTreeMap::new();
        let entry = (!devices.is_empty()).then(|| audit::devices_created(&devices, &stamp));
        for device in devices {
            let known = state.devices.contains_key(&device.endpoint);
            if known || new.insert(device.endpoint.clone(), device).is_some() {
                return Err(StoreError::Conflict("it is there already"));
            }
        }
        state.devices.extend(new);
        entry.into_iter().for_each(|entry| state.audited(entry));
        Ok(())
    }

    async fn device(&self, endpoint: &EndpointName) -> Result<Device, StoreError> {
        let state = self.lock();
        let device = state.devices.get(endpoint).cloned();
        device.ok_or(StoreError::NotFound)
    }

    async fn devices(&self, page: Page) -> Result<Vec<Device>, StoreError> {
        let state = self.lock();
        let devices = page_of_names(state.devices.iter(), &page);
        Ok(devices.into_iter().cloned().collect())
    }

    async fn replace_device(&self, device: &Device, stamp: AuditStamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        let stored = state.devices.get_mut(&device.endpoint);
        let stored = stored.ok_or(StoreError::NotFound)?;
        let created_at = stored.created_at;
        *stored = Device {
            created_at,
            ..device.clone()
        };
        state.audited(audit::device_replaced(device, &stamp));
        Ok(())
    }

    async fn unfinished_tasks(
        &self,
        endpoint: &EndpointName,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        let state = self.lock();
        let unfinished = state
            .tasks
            .values()
            .filter(|task| task.endpoint == *endpoint && !task.state.is_final());
        Ok(unfinished.cloned().collect())
    }

    async fn report(&self, endpoint: &EndpointName) -> Result<DeviceReport, StoreError> {
        let state = self.lock();
        let report = state.reports.get(endpoint).cloned();
        report.ok_or(StoreError::NotFound)
    }

    async fn deliveries(&self, endpoint: &EndpointName) -> Result<DeliveryHistory, StoreError> {
        let state = self.lock();
        let found = state.deliveries.get(endpoint).cloned();
        found.ok_or(StoreError::NotFound)
    }

    async fn device_request(
        &self,
        endpoint: &EndpointName,
        id: DeviceRequestId,
    ) -> Result<DeviceRequest, StoreError> {
        let state = self.lock();
        let found = state.device_requests.get(&(endpoint.clone(), id)).cloned();
        found.ok_or(StoreError::NotFound)
    }

    async fn device_requests(
        &self,
        endpoint: &EndpointName,
        page: Page,
    ) -> Result<Vec<DeviceRequest>, StoreError> {
        let after = (endpoint.clone(), DeviceRequestId(page.after_number()?));
        let state = self.lock();
        let rows = state
            .device_requests
            .range((Bound::Excluded(after), Bound::Unbounded));
        Ok(rows
            .take_while(|((of, _), _)| of == endpoint)
            .take(limit(&page))
            .map(|(_, request)| request.clone())
            .collect())
    }

    async fn uplinks(
        &self,
        endpoint: &EndpointName,
        limit: u32,
    ) -> Result<Vec<Uplink>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let state = self.lock();
        let uplinks = state.uplinks.get(endpoint).into_iter().flatten();
        Ok(uplinks.rev().take(limit).cloned().collect())
    }

    async fn timeline(
        &self,
        endpoint: &EndpointName,
        limit: u32,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let state = self.lock();
        let entries = state.timeline.get(endpoint).into_iter().flatten();
        Ok(entries.rev().take(limit).cloned().collect())
    }

    async fn add_group(&self, name: &str, stamp: AuditStamp) -> Result<GroupId, StoreError> {
        let mut state = self.lock();
        if state.groups.values().any(|group| group.name == name) {
            return Err(StoreError::Conflict(
                "a group of this name is there already",
            ));
        }
        let id = GroupId(next(&mut state.last_group));
        let group = Group {
            name: name.to_owned(),
            filter: None,
            created_at: stamp.at,
            devices: BTreeSet::new(),
        };
        state.groups.insert(id, group);
        state.audited(audit::group_created(id, name, &stamp));
        Ok(id)
    }

    async fn groups(&self, page: Page) -> Result<Vec<DeviceGroup>, StoreError> {
        let after = GroupId(page.after_number()?);
        let state = self.lock();
        let groups = state
            .groups
            .range((Bound::Excluded(after), Bound::Unbounded));
        Ok(groups
            .take(limit(&page))
            .map(|(id, group)| DeviceGroup {
                id: *id,
                name: group.name.clone(),
                devices: u64::try_from(group.devices.len()).unwrap_or(u64::MAX),
                filter: group.filter.clone(),
                created_at: group.created_at,
            })
            .collect())
    }

    async fn rename_group(
        &self,
        id: GroupId,
        name: &str,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let taken = |(other, group): (&GroupId, &Group)| *other != id && group.name == name;
        let is_taken = state.groups.iter().any(taken);
        let group = state.groups.get_mut(&id).ok_or(StoreError::NotFound)?;
        if is_taken {
            return Err(StoreError::Conflict(
                "a group of this name is there already",
            ));
        }
        name.clone_into(&mut group.name);
        state.audited(audit::group_renamed(id, name, &stamp));
        Ok(())
    }

    async fn remove_group(&self, id: GroupId, stamp: AuditStamp) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.groups.remove(&id).ok_or(StoreError::NotFound)?;
        state.audited(audit::group_deleted(id, &stamp));
        Ok(())
    }

    async fn bind_devices(
        &self,
        id: GroupId,
        devices: &[EndpointName],
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        if devices.iter().any(|it| !state.devices.contains_key(it)) {
            return Err(StoreError::NotFound);
        }
        let group = state.groups.get_mut(&id).ok_or(StoreError::NotFound)?;
        group.devices.extend(devices.iter().cloned());
        state.audited(audit::group_devices_bound(id, devices, &stamp));
        Ok(())
    }

    async fn replace_group_devices(
        &self,
        id: GroupId,
        devices: &[EndpointName],
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        if devices.iter().any(|it| !state.devices.contains_key(it)) {
            return Err(StoreError::NotFound);
        }
        let group = state.groups.get_mut(&id).ok_or(StoreError::NotFound)?;
        group.devices = devices.iter().cloned().collect();
        state.audited(audit::group_devices_replaced(id, devices, &stamp));
        Ok(())
    }

    async fn unbind_device(
        &self,
        id: GroupId,
        device: &EndpointName,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let group = state.groups.get_mut(&id).ok_or(StoreError::NotFound)?;
        if !group.devices.remove(device) {
            return Err(StoreError::NotFound);
        }
        state.audited(audit::group_device_unbound(id, device, &stamp));
        Ok(())
    }

    async fn group_devices(
        &self,
        id: GroupId,
        page: Page,
    ) -> Result<Vec<EndpointName>, StoreError> {
        let state = self.lock();
        let group = state.groups.get(&id).ok_or(StoreError::NotFound)?;
        let names = group.devices.iter().map(|name| (name, name.clone()));
        Ok(page_of_names(names, &page))
    }

    async fn create_campaign(
        &self,
        campaign: NewCampaign,
        endpoints: Vec<EndpointName>,
        stamp: AuditStamp,
    ) -> Result<CampaignId, StoreError> {
        self.lock().create_campaign(campaign, endpoints, &stamp)
    }

    async fn campaign(&self, id: CampaignId) -> Result<(Campaign, TaskCounts), StoreError> {
        let state = self.lock();
        let campaign = state.campaigns.get(&id).cloned();
        let campaign = campaign.ok_or(StoreError::NotFound)?;
        Ok((campaign, state.counts(|it| it.campaign == id)))
    }

    async fn campaigns(&self, page: Page) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
        self.lock().campaigns_where(&page, |_| true)
    }

    async fn campaigns_archived(
        &self,
        archived: bool,
        page: Page,
    ) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
        let state = self.lock();
        state.campaigns_where(&page, |it| it.archived_at.is_some() == archived)
    }

    async fn remove_campaign(
        &self,
        id: CampaignId,
        expected: CampaignState,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        self.lock().remove_campaign(id, expected, &stamp)
    }

    async fn tasks(
        &self,
        campaign: CampaignId,
        state: Option<TaskState>,
        page: Page,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        self.lock().tasks_of(campaign, state, &page)
    }

    async fn phase_counts(
        &self,
        campaign: CampaignId,
    ) -> Result<Vec<(u16, TaskCounts)>, StoreError> {
        Ok(self.lock().phase_counts(campaign))
    }

    async fn updated_in_phase(
        &self,
        campaign: CampaignId,
        phase: u16,
    ) -> Result<Vec<(EndpointName, Utc)>, StoreError> {
        Ok(self.lock().updated_in_phase(campaign, phase))
    }

    async fn add_token(&self, token: StoredToken, stamp: AuditStamp) -> Result<(), StoreError> {
        self.lock().add_token(token, &stamp)
    }

    async fn token(&self, sha256: &[u8; 32]) -> Result<StoredToken, StoreError> {
        self.lock().token(sha256)
    }

    async fn tokens(&self, page: Page) -> Result<Vec<StoredToken>, StoreError> {
        Ok(page_by_text(&self.lock().tokens, &page, |_| true))
    }

    async fn remove_token(&self, name: &str, stamp: AuditStamp) -> Result<(), StoreError> {
        self.lock().remove_token(name, &stamp)
    }
}
