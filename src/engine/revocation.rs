//! A manufacturer's key is revoked: nothing that it signed is flashed any more.

use crate::clock::Now;
use crate::model::{CampaignId, Failure, FailureReason, KeyChange, Record};

use super::Engine;

impl Engine {
    /// Revokes a key and, in the same commit, ends every campaign of its packages, one that is being
    /// stopped softly too: no attempt begins, no Execute leaves, no block is served. What a device does already ends by itself, and
    /// its slot is held until then.
    pub(super) fn revoke_key(&mut self, now: Now, id: String, change: KeyChange) {
        let cause = Failure {
            reason: FailureReason::KeyRevoked,
            evidence: format!("the key {id} was revoked: {}", change.reason),
        };
        let concerned: Vec<CampaignId> = self
            .campaigns
            .iter()
            .filter(|(_, running)| running.package.key_id() == Some(id.as_str()))
            .map(|(campaign, _)| *campaign)
            .collect();
        self.record(Record::KeyRevoked { id, change });
        for campaign in concerned {
            // One that runs can always be stopped.
            if let Err(error) = self.end_campaign(now, campaign, &cause) {
                tracing::error!(campaign = campaign.0, %error, "a campaign cannot be stopped");
            }
        }
    }
}
