//! Where one device stands among campaigns and groups.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Campaign, EndpointName, GroupId, UpdateTask};

/// How many campaigns are looked through, from the last.
pub(super) const CAMPAIGNS_LOOKED_AT: u32 = 200;

/// What is asked of one device.
#[async_trait]
pub trait StandingStore: Send + Sync {
    /// A device's task in the last of the 200 last campaigns that it has one in.
    async fn last_task(&self, endpoint: &EndpointName) -> Result<Option<UpdateTask>, StoreError>;
    /// The last drafts and active campaigns, the newest first.
    async fn current_campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError>;
    /// Whether a device is in any of these static groups.
    async fn is_in_groups(
        &self,
        endpoint: &EndpointName,
        groups: &[GroupId],
    ) -> Result<bool, StoreError>;
}
