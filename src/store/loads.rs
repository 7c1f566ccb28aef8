//! How many devices stand alike: for the estimate of a campaign's end.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{CampaignId, CellId, CoverageTier, EndpointName};

/// Devices that stand alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLoad {
    /// The cell of their slot, or the one that they were in when they were last asked.
    pub cell: Option<CellId>,
    /// The tier, likewise.
    pub tier: Option<CoverageTier>,
    /// The phase of their campaign's rollout; 0 of devices that are of none.
    pub rollout_phase: u16,
    /// Whether they have a slot.
    pub has_slot: bool,
    /// Whether they are registered and not in queue mode.
    pub listens: bool,
    /// How many.
    pub devices: u64,
}

/// What is counted over many devices.
#[async_trait]
pub trait LoadStore: Send + Sync {
    /// The devices of a campaign's tasks that are not final.
    async fn loads_of_campaign(&self, campaign: CampaignId) -> Result<Vec<DeviceLoad>, StoreError>;
    /// These devices.
    async fn loads_of_devices(
        &self,
        endpoints: &[EndpointName],
    ) -> Result<Vec<DeviceLoad>, StoreError>;
}
