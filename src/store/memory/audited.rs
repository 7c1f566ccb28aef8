//! What operators change straight, and the entry of the audit log that goes with it.

use super::next;
use super::state::State;
use crate::model::{
    AuditStamp, Campaign, CampaignId, CampaignState, EndpointName, KeyChange, KeyState, Package,
    PackageId, RolloutState, TaskId, UpdateTask,
};
use crate::store::{NewCampaign, StoreError, StoredKey, StoredToken, audit};

impl State {
    pub(super) fn add_key(&mut self, key: StoredKey, stamp: &AuditStamp) -> Result<(), StoreError> {
        if self.keys.contains_key(&key.id) {
            return Err(StoreError::Conflict("this key is there already"));
        }
        self.audited(audit::key_created(&key, stamp));
        self.keys.insert(key.id.clone(), key);
        Ok(())
    }

    pub(super) fn retire_key(
        &mut self,
        id: &str,
        change: KeyChange,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        let key = self.keys.get_mut(id).ok_or(StoreError::NotFound)?;
        if key.state() != KeyState::Active {
            return Err(StoreError::Conflict("only an active key can be retired"));
        }
        let entry = audit::key_retired(id, &change, stamp);
        key.retired = Some(change);
        self.audited(entry);
        Ok(())
    }

    pub(super) fn add_package(
        &mut self,
        package: Package,
        stamp: &AuditStamp,
    ) -> Result<PackageId, StoreError> {
        let same = |other: &Package| {
            other.file.sha256 == package.file.sha256
                && other.manufacturer == package.manufacturer
                && other.model == package.model
                && other.device_type == package.device_type
                && other.target_version == package.target_version
        };
        if self.packages.values().any(same) {
            return Err(StoreError::Conflict(
                "this image for this product and version is there already",
            ));
        }
        let id = PackageId(next(&mut self.last_package));
        self.audited(audit::package_accepted(id, &package, stamp));
        self.note_release(&package);
        self.packages.insert(id, Package { id, ..package });
        Ok(id)
    }

    pub(super) fn create_campaign(
        &mut self,
        campaign: NewCampaign,
        endpoints: Vec<EndpointName>,
        stamp: &AuditStamp,
    ) -> Result<CampaignId, StoreError> {
        if !self.packages.contains_key(&campaign.package) {
            return Err(StoreError::NotFound);
        }
        let id = CampaignId(next(&mut self.last_campaign));
        let entry = audit::campaign_created(id, &campaign, endpoints.len(), stamp);
        self.audited(entry);
        for (rollout_phase, members) in campaign.phases(&endpoints) {
            for endpoint in members {
                let task = TaskId(next(&mut self.last_task));
                let new = UpdateTask::new(task, id, endpoint.clone(), campaign.created_at);
                let new = UpdateTask {
                    rollout_phase,
                    ..new
                };
                self.tasks.insert(task, new);
            }
        }
        let campaign = Campaign {
            id,
            name: campaign.name,
            package: campaign.package,
            targets: campaign.targets,
            retry: campaign.retry,
            downgrade: campaign.downgrade,
            admission: campaign.admission,
            policy: campaign.policy,
            rollout: RolloutState::default(),
            created_by: stamp.actor.name.clone(),
            state: CampaignState::Draft,
            created_at: campaign.created_at,
            activated_at: None,
            ended_at: None,
            consented_at: None,
            archived_at: None,
        };
        self.campaigns.insert(id, campaign);
        Ok(id)
    }

    pub(super) fn remove_campaign(
        &mut self,
        id: CampaignId,
        expected: CampaignState,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        let campaign = self.campaigns.get(&id).ok_or(StoreError::NotFound)?;
        if campaign.state != expected {
            return Err(StoreError::Conflict("the campaign's state has changed"));
        }
        let mut tasks = self.tasks.values().filter(|task| task.campaign == id);
        if expected == CampaignState::Stopped && tasks.any(|task| !task.state.is_final()) {
            return Err(StoreError::Conflict("its devices are still at work"));
        }
        self.audited(audit::campaign_deleted(id, stamp));
        self.campaigns.remove(&id);
        self.tasks.retain(|_, task| task.campaign != id);
        Ok(())
    }

    pub(super) fn add_token(
        &mut self,
        token: StoredToken,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        let taken = |other: &StoredToken| other.sha256 == token.sha256 || other.name == token.name;
        if self.tokens.values().any(taken) {
            return Err(StoreError::Conflict(
                "a token of this name is there already",
            ));
        }
        self.audited(audit::token_created(&token, stamp));
        self.tokens.insert(token.name.clone(), token);
        Ok(())
    }

    pub(super) fn token(&self, sha256: &[u8; 32]) -> Result<StoredToken, StoreError> {
        let mut tokens = self.tokens.values();
        let found = tokens.find(|token| token.sha256 == *sha256).cloned();
        found.ok_or(StoreError::NotFound)
    }

    pub(super) fn remove_token(
        &mut self,
        name: &str,
        stamp: &AuditStamp,
    ) -> Result<(), StoreError> {
        self.tokens.remove(name).ok_or(StoreError::NotFound)?;
        self.audited(audit::token_deleted(name, stamp));
        Ok(())
    }
}
