//! How many devices stand alike.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::MemoryStore;
use super::state::State;
use crate::model::{CampaignId, EndpointName, SlotClaim};
use crate::store::{DeviceLoad, LoadStore, StoreError};

#[async_trait]
impl LoadStore for MemoryStore {
    async fn loads_of_campaign(&self, campaign: CampaignId) -> Result<Vec<DeviceLoad>, StoreError> {
        let state = self.lock();
        let tasks = state.tasks.values();
        let tasks = tasks.filter(|task| task.campaign == campaign && !task.state.is_final());
        Ok(counted(
            &state,
            tasks.map(|task| (&task.endpoint, task.slot, task.rollout_phase)),
        ))
    }

    async fn loads_of_devices(
        &self,
        endpoints: &[EndpointName],
    ) -> Result<Vec<DeviceLoad>, StoreError> {
        let state = self.lock();
        let devices = endpoints.iter().map(|endpoint| (endpoint, None, 0));
        Ok(counted(&state, devices))
    }
}

fn counted<'a>(
    state: &State,
    devices: impl Iterator<Item = (&'a EndpointName, Option<SlotClaim>, u16)>,
) -> Vec<DeviceLoad> {
    let listening = state.registrations.values();
    let listening = listening.filter(|registration| !registration.binding.queue_mode);
    let listening: BTreeSet<&EndpointName> = listening.map(|it| &it.endpoint).collect();
    let mut counts = BTreeMap::new();
    for (endpoint, slot, phase) in devices {
        let report = state.reports.get(endpoint);
        let cell = report.and_then(|report| report.cell_id);
        let tier = report.and_then(|report| report.tier);
        let (cell, tier) = slot.map_or((cell, tier), |slot| (Some(slot.cell), Some(slot.tier)));
        let alike = (
            cell,
            tier,
            slot.is_some(),
            listening.contains(endpoint),
            phase,
        );
        *counts.entry(alike).or_insert(0) += 1;
    }
    let load = |((cell, tier, has_slot, listens, rollout_phase), devices)| DeviceLoad {
        cell,
        tier,
        has_slot,
        listens,
        rollout_phase,
        devices,
    };
    counts.into_iter().map(load).collect()
}
