//! Campaigns and their tasks, as they are listed.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::page::limit;
use super::state::State;
use crate::clock::Utc;
use crate::model::{Campaign, CampaignId, EndpointName, TaskId, TaskState, UpdateTask};
use crate::store::{Page, StoreError, TaskCounts};

impl State {
    pub(super) fn campaigns_where(
        &self,
        page: &Page,
        is_listed: impl Fn(&Campaign) -> bool,
    ) -> Result<Vec<(Campaign, TaskCounts)>, StoreError> {
        let after = CampaignId(page.after_number()?);
        let campaigns = self
            .campaigns
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter(|(_, campaign)| is_listed(campaign));
        Ok(campaigns
            .take(limit(page))
            .map(|(id, campaign)| (campaign.clone(), self.counts(|it| it.campaign == *id)))
            .collect())
    }

    pub(super) fn tasks_of(
        &self,
        campaign: CampaignId,
        state: Option<TaskState>,
        page: &Page,
    ) -> Result<Vec<UpdateTask>, StoreError> {
        let after = TaskId(page.after_number()?);
        if !self.campaigns.contains_key(&campaign) {
            return Err(StoreError::NotFound);
        }
        Ok(self
            .tasks
            .range((Bound::Excluded(after), Bound::Unbounded))
            .map(|(_, task)| task)
            .filter(|task| task.campaign == campaign)
            .filter(|task| state.is_none_or(|state| task.state == state))
            .take(limit(page))
            .cloned()
            .collect())
    }

    pub(super) fn phase_counts(&self, campaign: CampaignId) -> Vec<(u16, TaskCounts)> {
        let phases = self.tasks.values().filter(|it| it.campaign == campaign);
        let phases: BTreeSet<u16> = phases.map(|task| task.rollout_phase).collect();
        let counts = |phase| self.counts(|it| it.campaign == campaign && it.rollout_phase == phase);
        phases
            .into_iter()
            .map(|phase| (phase, counts(phase)))
            .collect()
    }

    pub(super) fn updated_in_phase(
        &self,
        campaign: CampaignId,
        phase: u16,
    ) -> Vec<(EndpointName, Utc)> {
        let updated = self.tasks.values().filter(|task| {
            task.campaign == campaign
                && task.rollout_phase == phase
                && task.state == TaskState::Succeeded
        });
        updated
            .map(|task| (task.endpoint.clone(), task.since))
            .collect()
    }
}
