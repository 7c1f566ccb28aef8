//! The records of one commit, sorted by kind and reduced to what they leave behind.

use std::collections::BTreeMap;

use super::audit;
use crate::clock::Utc;
use crate::model::{
    CampaignId, CampaignPolicy, CampaignState, DeliveryHistory, Device, DeviceReport,
    DeviceRequest, DeviceRequestId, EndpointName, EventKind, Happening, KeyChange, NewAuditEntry,
    NewEvent, Record, Registration, RegistrationSlot, RolloutState, StoredObservation, TaskId,
    TimelineEntry, UpdateTask, Uplink,
};

/// What a list of records comes to: the last word on each key, in the order of the keys. `None` is
/// "taken away". No kind refers to another, so each can be written by itself.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// A device that was taken away before all else.
    pub(super) forgotten: Option<EndpointName>,
    /// Devices that were let in; the first word on a name counts, as the record only ever adds.
    pub(super) devices: BTreeMap<EndpointName, Device>,
    /// Registrations by slot.
    pub(super) registrations: BTreeMap<RegistrationSlot, Option<Registration>>,
    /// Observations by token.
    pub(super) observations: BTreeMap<[u8; 8], Option<StoredObservation>>,
    /// Tasks by number.
    pub(super) tasks: BTreeMap<TaskId, UpdateTask>,
    /// What has changed in campaigns.
    pub(super) campaigns: CampaignChanges,
    /// Keys that were revoked, by id.
    pub(super) revoked_keys: Vec<(String, KeyChange)>,
    /// Entries of the audit log, all and in order.
    pub(super) audit: Vec<NewAuditEntry>,
    /// What happened, all and in order.
    pub(super) events: Vec<NewEvent>,
    /// Lines of history, all and in order.
    pub(super) timeline: Vec<TimelineEntry>,
    /// Reports by device.
    pub(super) reports: BTreeMap<EndpointName, DeviceReport>,
    /// Deliveries by device.
    pub(super) deliveries: BTreeMap<EndpointName, Option<DeliveryHistory>>,
    /// Operators' requests by device and number.
    pub(super) device_requests: BTreeMap<(EndpointName, DeviceRequestId), Option<DeviceRequest>>,
    /// Devices' own data, all and in order, each with how many are kept.
    pub(super) uplinks: Vec<(Uplink, u32)>,
}

/// The same of campaigns alone.
#[derive(Debug, Default)]
pub(super) struct CampaignChanges {
    /// Their states, all and in order: each leaves its time.
    pub(super) states: Vec<(CampaignId, CampaignState, Utc)>,
    /// What else is wanted of campaigns.
    pub(super) policies: BTreeMap<CampaignId, CampaignPolicy>,
    /// When somebody agreed for all devices of a campaign.
    pub(super) consents: BTreeMap<CampaignId, Utc>,
    /// When campaigns were put away.
    pub(super) archived: BTreeMap<CampaignId, Option<Utc>>,
    /// How far rollouts are, by campaign.
    pub(super) rollouts: BTreeMap<CampaignId, RolloutState>,
}

impl Batch {
    /// Applies the records in order. To take a device away touches rows of every kind, so each such
    /// record begins a batch.
    pub(super) fn of(records: Vec<Record>) -> Vec<Self> {
        let (mut batches, mut batch) = (Vec::new(), Self::default());
        for record in records {
            if let Record::DeviceForgotten { endpoint } = record {
                let next = Self {
                    forgotten: Some(endpoint),
                    ..Self::default()
                };
                batches.push(std::mem::replace(&mut batch, next));
            } else {
                batch.push(record);
            }
        }
        batches.push(batch);
        batches
    }

    fn push(&mut self, record: Record) {
        match record {
            Record::Device(device) => {
                self.devices
                    .entry(device.endpoint.clone())
                    .or_insert(device);
            }
            Record::DeviceForgotten { endpoint } => self.forgotten = Some(endpoint),
            Record::Registered(registration) => {
                self.registrations
                    .insert(registration.slot, Some(registration));
            }
            Record::Deregistered { slot, endpoint: _ } => {
                self.registrations.insert(slot, None);
            }
            Record::Observed(observation) => {
                self.observations
                    .insert(observation.token, Some(observation));
            }
            Record::ObservationEnded { token } => {
                self.observations.insert(token, None);
            }
            Record::Task(task) => {
                self.tasks.insert(task.id, task);
            }
            Record::Campaign { id, state, at } => {
                self.events.push(NewEvent::of_campaign(at, id, state));
                self.campaigns.states.push((id, state, at));
            }
            Record::Policy { id, policy } => {
                self.campaigns.policies.insert(id, *policy);
            }
            Record::CampaignConsented { id, at } => {
                self.campaigns.consents.entry(id).or_insert(at);
            }
            Record::CampaignArchived { id, at } => {
                self.campaigns.archived.insert(id, at);
            }
            Record::Rollout { id, state } => {
                self.campaigns.rollouts.insert(id, state);
            }
            Record::KeyRevoked { id, change } => self.push_revocation(id, change),
            Record::Event(event) => self.events.push(event),
            Record::Audit(entry) => self.audit.push(entry),
            Record::Timeline(entry) => {
                self.audit.extend(audit::of_timeline(&entry));
                self.events.push(NewEvent::of_step(&entry));
                self.timeline.push(entry);
            }
            Record::Report { endpoint, report } => {
                self.reports.insert(endpoint, report);
            }
            Record::Delivered { endpoint, history } => {
                self.deliveries.insert(endpoint, Some(history));
            }
            Record::DeliveriesForgotten { endpoint } => {
                self.deliveries.insert(endpoint, None);
            }
            Record::DeviceRequest(request) => {
                let key = (request.asked.endpoint.clone(), request.id);
                self.device_requests.insert(key, Some(request));
            }
            Record::DeviceRequestForgotten { endpoint, id } => {
                self.device_requests.insert((endpoint, id), None);
            }
            Record::Uplink { uplink, kept } => self.uplinks.push((uplink, kept)),
        }
    }

    fn push_revocation(&mut self, id: String, change: KeyChange) {
        self.events.push(NewEvent {
            object: Some(id.clone()),
            ..NewEvent::new(change.at, EventKind::Other(Happening::KeyRevoked))
        });
        self.revoked_keys.push((id, change));
    }
}
