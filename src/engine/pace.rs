//! How fast a campaign's devices go: for the estimate of its end, and for nothing that is decided here.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::campaign::Pace;
use crate::clock::{Instant, Now};
use crate::model::{
    AdmissionPolicy, CampaignId, CellId, EndpointName, RegistrationSlot, SlotClaim, TaskId,
    TierLimits, WaitingRoomPolicy,
};

use super::Engine;
use super::tasks::TaskEntry;

/// What an estimate needs of the engine.
#[derive(Clone, Debug, Default)]
pub struct PaceReport {
    /// What was seen of the campaign's devices since it was activated or the engine was made.
    pub pace: Pace,
    /// Slots of each cell without limits of its own.
    pub limits: TierLimits,
    /// Cells with limits of their own.
    pub overrides: BTreeMap<CellId, TierLimits>,
    /// Whom the limits count, where a campaign does not say.
    pub admission: AdmissionPolicy,
    /// How many devices begin a minute at most, of all campaigns.
    pub starts_per_minute_max: Option<u32>,
    /// How devices are kept awake, where a campaign does not say.
    pub waiting_room: WaitingRoomPolicy,
}

/// Where a device with a slot stands: one for each slot in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    granted_at: Instant,
    claim: Option<SlotClaim>,
    block_at: Option<Instant>,
    released_at: Option<Instant>,
}

impl Engine {
    /// What was seen of a campaign's devices; nothing of one that is not active.
    pub fn pace(&self, id: Option<CampaignId>) -> PaceReport {
        let running = id.and_then(|id| self.campaigns.get(&id));
        let (limits, overrides) = self.scheduler.limits();
        PaceReport {
            pace: running.map(|it| it.pace.clone()).unwrap_or_default(),
            limits,
            overrides,
            admission: self.config.admission,
            starts_per_minute_max: self.config.starts_per_minute_max.map(NonZeroU32::get),
            waiting_room: self.config.waiting_room,
        }
    }

    /// A device is about to be heard.
    pub(super) fn pace_heard(&mut self, now: Now, slot: RegistrationSlot, endpoint: &EndpointName) {
        let Some(heard_at) = self.registry.heard_at(slot) else {
            return;
        };
        let task = self.task_of.get(endpoint).and_then(|id| self.tasks.get(id));
        let campaign = task.map(|entry| entry.task().campaign);
        if let Some(running) = campaign.and_then(|id| self.campaigns.get_mut(&id)) {
            let silent = now.instant.saturating_since(heard_at);
            running.pace.heard(silent);
        }
    }

    pub(super) fn pace_granted(&mut self, now: Now, id: TaskId) {
        self.marks.insert(
            id,
            Mark {
                granted_at: now.instant,
                claim: None,
                block_at: None,
                released_at: None,
            },
        );
    }

    pub(super) fn pace_block(&mut self, now: Now, id: TaskId) {
        let (Some(mark), Some(TaskEntry::Running(session))) =
            (self.marks.get_mut(&id), self.tasks.get(&id))
        else {
            return;
        };
        let Some(claim) = session.task().slot else {
            return;
        };
        mark.claim = Some(claim);
        if let Some(before) = mark.block_at.replace(now.instant)
            && let Some(running) = self.campaigns.get_mut(&session.task().campaign)
        {
            let took = now.instant.saturating_since(before);
            running.pace.block(claim.cell, claim.tier, took);
        }
    }

    pub(super) fn pace_released(&mut self, now: Now, id: TaskId) {
        if let Some(mark) = self.marks.get_mut(&id) {
            mark.released_at = Some(now.instant);
        }
    }

    /// An attempt has ended. One that had no slot, or fetched nothing, says nothing of a slot's time.
    pub(super) fn pace_ended(
        &mut self,
        now: Now,
        id: TaskId,
        campaign: CampaignId,
        succeeded: bool,
    ) {
        let Some(mark) = self.marks.remove(&id) else {
            return;
        };
        let (Some(claim), Some(running)) = (mark.claim, self.campaigns.get_mut(&campaign)) else {
            return;
        };
        if succeeded {
            let released_at = mark.released_at.unwrap_or(now.instant);
            let held = released_at.saturating_since(mark.granted_at);
            running.pace.succeeded(claim.cell, claim.tier, held);
        } else {
            running.pace.failed(claim.cell, claim.tier);
        }
    }
}
