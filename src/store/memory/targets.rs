//! Devices as targets: details by the page, saved filters, and tasks that join a campaign.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::page::page_of_names;
use super::state::{Group, State};
use super::{MemoryStore, next};
use crate::clock::Utc;
use crate::model::{
    AuditStamp, Campaign, CampaignId, CampaignState, EndpointName, GroupId, TaskId, UpdateTask,
    WaitingFor,
};
use crate::store::{DeviceDetails, DevicesOf, Page, StoreError, TargetStore, audit};

#[async_trait]
impl TargetStore for MemoryStore {
    async fn device_details(
        &self,
        of: DevicesOf<'_>,
        page: Page,
    ) -> Result<Vec<DeviceDetails>, StoreError> {
        let state = self.lock();
        let names: BTreeSet<&EndpointName> = match of {
            DevicesOf::All => state.devices.keys().collect(),
            DevicesOf::Group(id) => match state.groups.get(&id) {
                Some(group) => group.devices.iter().collect(),
                None => BTreeSet::new(),
            },
            DevicesOf::Named(names) => names.iter().collect(),
        };
        let rows = names.into_iter().filter_map(|name| {
            let details = DeviceDetails {
                device: state.devices.get(name)?.clone(),
                report: state.reports.get(name).cloned().unwrap_or_default(),
            };
            Some((name, details))
        });
        Ok(page_of_names(rows, &page))
    }

    async fn add_filter_group(
        &self,
        name: &str,
        filter: &str,
        stamp: AuditStamp,
    ) -> Result<GroupId, StoreError> {
        let mut state = self.lock();
        state.check_group_name(name, None)?;
        let id = GroupId(next(&mut state.last_group));
        let group = Group {
            name: name.to_owned(),
            filter: Some(filter.to_owned()),
            created_at: stamp.at,
            devices: BTreeSet::new(),
        };
        state.groups.insert(id, group);
        state.audited(audit::filter_group_created(id, name, filter, &stamp));
        Ok(id)
    }

    async fn replace_filter_group(
        &self,
        id: GroupId,
        name: &str,
        filter: &str,
        stamp: AuditStamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let known = state.groups.get(&id).ok_or(StoreError::NotFound)?;
        if known.filter.is_none() {
            return Err(StoreError::NotFound);
        }
        state.check_group_name(name, Some(id))?;
        if let Some(group) = state.groups.get_mut(&id) {
            name.clone_into(&mut group.name);
            group.filter = Some(filter.to_owned());
        }
        state.audited(audit::filter_group_replaced(id, name, filter, &stamp));
        Ok(())
    }

    async fn dynamic_campaigns(&self) -> Result<Vec<Campaign>, StoreError> {
        let state = self.lock();
        let campaigns = state.campaigns.values();
        let dynamic = campaigns.filter(|it| it.targets.dynamic && it.state.is_active());
        Ok(dynamic.cloned().collect())
    }

    async fn without_task(
        &self,
        campaign: CampaignId,
        endpoints: &[EndpointName],
    ) -> Result<Vec<EndpointName>, StoreError> {
        let state = self.lock();
        let known = state.devices_of(campaign);
        let without = endpoints.iter().filter(|name| !known.contains(name));
        Ok(without.cloned().collect())
    }

    async fn in_other_campaigns(
        &self,
        endpoints: &[EndpointName],
    ) -> Result<BTreeMap<EndpointName, CampaignId>, StoreError> {
        let state = self.lock();
        let is_draft = |it: &Campaign| it.state == CampaignState::Draft;
        let has_begun = |id| state.campaigns.get(&id).is_some_and(|it| !is_draft(it));
        let mut found = BTreeMap::new();
        for task in state.tasks.values() {
            let is_asked_for = !task.state.is_final() && endpoints.contains(&task.endpoint);
            if is_asked_for && has_begun(task.campaign) {
                let first = found.entry(task.endpoint.clone()).or_insert(task.campaign);
                *first = task.campaign.min(*first);
            }
        }
        Ok(found)
    }

    async fn join_campaign(
        &self,
        campaign: CampaignId,
        endpoints: &[EndpointName],
        rollout_phase: u16,
        at: Utc,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        let mut state = self.lock();
        let is_active = |it: &Campaign| it.state.is_active();
        if !state.campaigns.get(&campaign).is_some_and(is_active) {
            return Err(StoreError::Conflict("the campaign is not active"));
        }
        let known = state.devices_of(campaign);
        let mut new = BTreeMap::new();
        let mut last = state.last_task;
        for endpoint in endpoints {
            let is_new = !known.contains(endpoint) && !new.contains_key(endpoint);
            if is_new && state.devices.contains_key(endpoint) {
                let id = TaskId(next(&mut last));
                let task = UpdateTask {
                    waiting_for: Some(WaitingFor::Contact),
                    rollout_phase,
                    ..UpdateTask::new(id, campaign, endpoint.clone(), at)
                };
                new.insert(endpoint.clone(), task);
            }
        }
        state.last_task = last;
        let mut joined: Vec<UpdateTask> = new.into_values().collect();
        joined.sort_by_key(|task| task.id);
        for task in &joined {
            state.tasks.insert(task.id, task.clone());
        }
        Ok(joined)
    }
}

impl State {
    fn devices_of(&self, campaign: CampaignId) -> BTreeSet<EndpointName> {
        let tasks = self.tasks.values().filter(|it| it.campaign == campaign);
        tasks.map(|task| task.endpoint.clone()).collect()
    }

    fn check_group_name(&self, name: &str, own: Option<GroupId>) -> Result<(), StoreError> {
        let mut groups = self.groups.iter();
        if groups.any(|(id, group)| group.name == name && Some(*id) != own) {
            return Err(StoreError::Conflict(
                "a group of this name is there already",
            ));
        }
        Ok(())
    }
}
