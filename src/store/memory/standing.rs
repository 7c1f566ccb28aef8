//! Where one device stands.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::{Campaign, CampaignState, EndpointName, GroupId, UpdateTask};
use crate::store::standing::CAMPAIGNS_LOOKED_AT;
use crate::store::{StandingStore, StoreError};

#[async_trait]
impl StandingStore for MemoryStore {
    async fn last_task(&self, endpoint: &EndpointName) -> Result<Option<UpdateTask>, StoreError> {
        let state = self.lock();
        let looked_at = usize::try_from(CAMPAIGNS_LOOKED_AT).unwrap_or(usize::MAX);
        let campaigns = state.campaigns.keys().rev().take(looked_at);
        let mut tasks = campaigns.filter_map(|campaign| {
            let mut tasks = state.tasks.values();
            tasks.find(|task| task.campaign == *campaign && task.endpoint == *endpoint)
        });
        Ok(tasks.next().cloned())
    }

    async fn current_campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let state = self.lock();
        let is_current = |campaign: &&Campaign| {
            campaign.state == CampaignState::Draft || campaign.state.is_active()
        };
        let current = state.campaigns.values().rev().filter(is_current);
        Ok(current.take(limit).cloned().collect())
    }

    async fn is_in_groups(
        &self,
        endpoint: &EndpointName,
        groups: &[GroupId],
    ) -> Result<bool, StoreError> {
        let state = self.lock();
        let mut groups = groups.iter().filter_map(|group| state.groups.get(group));
        Ok(groups.any(|group| group.devices.contains(endpoint)))
    }
}
