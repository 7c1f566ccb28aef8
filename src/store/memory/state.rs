//! What the store in memory holds, and what a commit does to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::sync::watch;

use super::events::StoredWebhook;
use crate::clock::Utc;
use crate::model::{
    Campaign, CampaignId, CampaignState, DeliveryHistory, Device, DeviceReport, DeviceRequest,
    DeviceRequestId, DownloadLink, EndpointName, Event, FirmwareVersion, GroupId, LinkId,
    NewAuditEntry, NewEvent, Package, PackageId, Phase, ProfileId, Registration, RegistrationSlot,
    Restored, StoredObservation, TaskId, TaskState, TimelineEntry, UpdateTask, Uplink, WebhookId,
};
use crate::store::batch::{Batch, CampaignChanges};
use crate::store::{
    AuditChain, AuditEntry, AuditHead, StoreError, StoredKey, StoredProfile, StoredToken,
    TIMELINE_ENTRIES_MAX, TaskCounts,
};

/// Every table.
#[derive(Debug, Default)]
pub(super) struct State {
    /// How many commits are left until one fails.
    pub(super) fail_after: Option<u64>,
    pub(super) failing: bool,
    pub(super) commits: u64,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) chain: AuditChain,
    pub(super) events: VecDeque<Event>,
    pub(super) events_changed: watch::Sender<u64>,
    pub(super) webhooks: BTreeMap<WebhookId, StoredWebhook>,
    pub(super) keys: BTreeMap<String, StoredKey>,
    pub(super) tokens: BTreeMap<String, StoredToken>,
    pub(super) packages: BTreeMap<PackageId, Package>,
    /// The highest sequence of each version; stays when packages go.
    pub(super) releases: BTreeMap<Product, BTreeMap<FirmwareVersion, u64>>,
    /// That of what each device was last given; stays when campaigns, packages and devices go.
    pub(super) installed: BTreeMap<Product, BTreeMap<EndpointName, Option<u64>>>,
    pub(super) links: BTreeMap<LinkId, DownloadLink>,
    pub(super) profiles: BTreeMap<ProfileId, StoredProfile>,
    pub(super) devices: BTreeMap<EndpointName, Device>,
    pub(super) groups: BTreeMap<GroupId, Group>,
    pub(super) reports: BTreeMap<EndpointName, DeviceReport>,
    pub(super) deliveries: BTreeMap<EndpointName, DeliveryHistory>,
    pub(super) device_requests: BTreeMap<(EndpointName, DeviceRequestId), DeviceRequest>,
    pub(super) uplinks: BTreeMap<EndpointName, VecDeque<Uplink>>,
    pub(super) timeline: BTreeMap<EndpointName, VecDeque<TimelineEntry>>,
    pub(super) registrations: BTreeMap<RegistrationSlot, Registration>,
    pub(super) observations: BTreeMap<[u8; 8], StoredObservation>,
    pub(super) campaigns: BTreeMap<CampaignId, Campaign>,
    pub(super) tasks: BTreeMap<TaskId, UpdateTask>,
    pub(super) last_package: u64,
    pub(super) last_link: u64,
    pub(super) last_webhook: u64,
    pub(super) last_profile: u64,
    pub(super) last_group: u64,
    pub(super) last_campaign: u64,
    pub(super) last_task: u64,
}

/// 厂商名称, 型号, 设备类型 and what of it a package is for.
pub(super) type Product = (String, String, String, &'static str);

/// A device group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) filter: Option<String>,
    pub(super) created_at: Utc,
    pub(super) devices: BTreeSet<EndpointName>,
}

impl State {
    /// Counts a commit; an error where this one shall fail.
    pub(super) fn fault(&mut self) -> Result<(), StoreError> {
        self.commits += 1;
        let due = self.fail_after == Some(1);
        self.fail_after = self
            .fail_after
            .map(|left| left - 1)
            .filter(|left| *left > 0);
        if due || self.failing {
            return Err(StoreError::Failed("the commit was made to fail".to_owned()));
        }
        Ok(())
    }

    /// Applies a commit.
    pub(super) fn write(&mut self, batch: Batch) {
        if let Some(endpoint) = &batch.forgotten {
            self.forget(endpoint);
        }
        for (endpoint, device) in batch.devices {
            self.devices.entry(endpoint).or_insert(device);
        }
        put_or_remove(&mut self.registrations, batch.registrations);
        put_or_remove(&mut self.observations, batch.observations);
        let mut audit = batch.audit;
        let mut succeeded = Vec::new();
        for (id, task) in batch.tasks {
            // One whose campaign was taken away stays away.
            if let Some(stored) = self.tasks.get_mut(&id) {
                if task.state == TaskState::Succeeded {
                    succeeded.push(id);
                }
                if !stored.state.is_final() {
                    audit.extend(crate::store::audit::task_ended(&task));
                }
                *stored = UpdateTask {
                    campaign: stored.campaign,
                    endpoint: stored.endpoint.clone(),
                    ..task
                };
            }
        }
        self.note_successes(succeeded);
        self.write_campaigns(batch.campaigns);
        for (id, change) in batch.revoked_keys {
            if let Some(key) = self.keys.get_mut(&id) {
                key.revoked.get_or_insert(change);
            }
        }
        for event in batch.events {
            self.happened(event);
        }
        for entry in audit {
            self.audited(entry);
        }
        for entry in batch.timeline {
            let entries = self.timeline.entry(entry.endpoint.clone()).or_default();
            entries.push_back(entry);
            if entries.len() > usize::try_from(TIMELINE_ENTRIES_MAX).unwrap_or(usize::MAX) {
                entries.pop_front();
            }
        }
        self.reports.extend(batch.reports);
        put_or_remove(&mut self.deliveries, batch.deliveries);
        put_or_remove(&mut self.device_requests, batch.device_requests);
        for (uplink, kept) in batch.uplinks {
            let uplinks = self.uplinks.entry(uplink.endpoint.clone()).or_default();
            uplinks.push_back(uplink);
            while uplinks.len() > usize::try_from(kept).unwrap_or(usize::MAX) {
                uplinks.pop_front();
            }
        }
    }

    fn write_campaigns(&mut self, changes: CampaignChanges) {
        for (id, policy) in changes.policies {
            if let Some(campaign) = self.campaigns.get_mut(&id) {
                campaign.policy = policy;
            }
        }
        for (id, at) in changes.consents {
            if let Some(campaign) = self.campaigns.get_mut(&id) {
                campaign.consented_at.get_or_insert(at);
            }
        }
        for (id, at) in changes.archived {
            if let Some(campaign) = self.campaigns.get_mut(&id) {
                campaign.archived_at = at;
            }
        }
        for (id, rollout) in changes.rollouts {
            if let Some(campaign) = self.campaigns.get_mut(&id) {
                campaign.rollout = rollout;
            }
        }
        for (id, state, at) in changes.states {
            if let Some(campaign) = self.campaigns.get_mut(&id) {
                campaign.state = state;
                if state.is_active() {
                    campaign.activated_at.get_or_insert(at);
                    campaign.ended_at = None;
                }
                if crate::store::is_ended(state) {
                    campaign.ended_at = Some(at);
                }
            }
        }
    }

    pub(super) fn audit_head(&self) -> AuditHead {
        let AuditChain { entries, head } = self.chain;
        AuditHead {
            entries,
            sha256: head,
        }
    }

    /// Adds an entry to the audit log, and an event where it is of interest to others.
    pub(super) fn audited(&mut self, entry: NewAuditEntry) {
        if let Some(event) = NewEvent::of_audit(&entry) {
            self.happened(event);
        }
        self.audit.push(self.chain.append(entry));
    }

    /// Takes a device away with all that is known of it; what waits for it in drafts is stopped.
    fn forget(&mut self, endpoint: &EndpointName) {
        for group in self.groups.values_mut() {
            group.devices.remove(endpoint);
        }
        self.devices.remove(endpoint);
        self.reports.remove(endpoint);
        self.deliveries.remove(endpoint);
        self.timeline.remove(endpoint);
        self.device_requests.retain(|(of, _), _| of != endpoint);
        self.uplinks.remove(endpoint);
        for task in self.tasks.values_mut() {
            let campaign = self.campaigns.get(&task.campaign);
            let is_draft = campaign.is_some_and(|it| it.state == CampaignState::Draft);
            if task.endpoint == *endpoint && task.state == TaskState::Pending && is_draft {
                task.state = TaskState::Stopped;
                task.phase = Phase::Done;
            }
        }
    }

    /// Whether a campaign is active, or was stopped while a device was still at work.
    fn is_unfinished(&self, campaign: &Campaign) -> bool {
        let is_left = |task: &UpdateTask| task.campaign == campaign.id && !task.state.is_final();
        campaign.state.is_active()
            || (campaign.state == CampaignState::Stopped && self.tasks.values().any(is_left))
    }

    /// What an engine is rebuilt from.
    pub(super) fn restore(&self) -> Restored {
        let campaigns: Vec<Campaign> = self
            .campaigns
            .values()
            .filter(|campaign| self.is_unfinished(campaign))
            .cloned()
            .collect();
        let unfinished: BTreeSet<CampaignId> = campaigns.iter().map(|it| it.id).collect();
        let packages: BTreeSet<PackageId> = campaigns.iter().map(|it| it.package).collect();
        Restored {
            products: self.products(),
            devices: self.devices.values().cloned().collect(),
            registrations: self.registrations.values().cloned().collect(),
            observations: self.observations.values().cloned().collect(),
            packages: packages
                .iter()
                .filter_map(|id| self.packages.get(id).cloned())
                .collect(),
            tasks: self
                .tasks
                .values()
                .filter(|task| !task.state.is_final() && unfinished.contains(&task.campaign))
                .cloned()
                .collect(),
            last_task: TaskId(self.last_task),
            reports: self
                .reports
                .iter()
                .map(|(endpoint, report)| (endpoint.clone(), report.clone()))
                .collect(),
            deliveries: self
                .deliveries
                .iter()
                .map(|(endpoint, history)| (endpoint.clone(), history.clone()))
                .collect(),
            device_requests: self.device_requests.values().cloned().collect(),
            campaigns,
        }
    }

    /// How many tasks of a campaign are in each state.
    pub(super) fn counts(&self, are_counted: impl Fn(&UpdateTask) -> bool) -> TaskCounts {
        let mut counts = TaskCounts::default();
        for task in self.tasks.values().filter(|it| are_counted(it)) {
            counts.bytes_served += task.bytes_served;
            match task.state {
                TaskState::Pending => counts.pending += 1,
                TaskState::Running => counts.running += 1,
                TaskState::Succeeded => counts.succeeded += 1,
                TaskState::Failed => counts.failed += 1,
                TaskState::Stopped => counts.stopped += 1,
            }
        }
        counts
    }
}

fn put_or_remove<K: Ord, V>(stored: &mut BTreeMap<K, V>, changes: BTreeMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => {
                stored.insert(key, value);
            }
            None => {
                stored.remove(&key);
            }
        }
    }
}
