//! How many devices begin a minute: of one campaign, and of all. Nobody asks for a slot before the turn of
//! its campaign has come. A slot that comes free too soon after another start goes to somebody else, or
//! stays free: who would have had it leaves the cell's queue, and asks again in its turn.

use std::num::NonZeroU32;

use crate::campaign::StartRate;
use crate::clock::{Instant, Now};
use crate::fota::Gate;
use crate::model::{CampaignId, CampaignState, TaskId, WaitingFor};

use super::Engine;
use super::campaigns::RunningCampaign;
use super::tasks::TaskEntry;
use super::timers::Timer;

impl RunningCampaign {
    /// Its rate, where it has one, is there from its first start on.
    fn begin_start_rate(&mut self, now: Now) {
        let per_minute_max = self.campaign.policy.governors.starts_per_minute_max;
        if self.start_rate.is_none()
            && let Some(max) = per_minute_max.and_then(NonZeroU32::new)
        {
            self.start_rate = Some(StartRate::new(max, now.instant));
        }
    }
}

impl Engine {
    /// Whether a device may begin now that a slot is free for it. Where it may not, it waits for its turn
    /// and the slot is given back.
    pub(super) fn may_start(&mut self, now: Now, id: TaskId) -> bool {
        if self.waits_for_rate(now, id) {
            return false;
        }
        let Some(TaskEntry::Running(session)) = self.tasks.get(&id) else {
            return false;
        };
        if let Some(running) = self.campaigns.get_mut(&session.task().campaign) {
            let rates = [&mut self.start_rate, &mut running.start_rate];
            for rate in rates.into_iter().flatten() {
                rate.note_start(now.instant);
            }
        }
        true
    }

    /// Whether the turn of a device's campaign has not come yet: then it waits for that.
    pub(super) fn waits_for_rate(&mut self, now: Now, id: TaskId) -> bool {
        let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&id) else {
            return false;
        };
        let campaign = session.task().campaign;
        let Some(running) = self.campaigns.get_mut(&campaign) else {
            return false;
        };
        running.begin_start_rate(now);
        let next = next_start(self.start_rate.as_ref(), running);
        if next.is_none_or(|next| next <= now.instant) {
            return false;
        }
        running.paced.push(id);
        let until = next.map(|next| now.utc + next.saturating_since(now.instant));
        session.handle_gate(
            now,
            Some(Gate {
                waiting_for: WaitingFor::Rate,
                until,
                holds_execute: false,
            }),
        );
        self.ready.push_back(id);
        self.timers.set(Timer::StartRate(campaign), next);
        true
    }

    /// The next of a campaign may start.
    pub(super) fn start_next(&mut self, now: Now, id: CampaignId) {
        while let Some(running) = self.campaigns.get_mut(&id) {
            // Who waits for a paused one asks again when that goes on.
            if running.campaign.state == CampaignState::Paused {
                return;
            }
            let next = next_start(self.start_rate.as_ref(), running);
            if let Some(next) = next.filter(|next| *next > now.instant) {
                // Another campaign was faster.
                if !running.paced.is_empty() {
                    self.timers.set(Timer::StartRate(id), Some(next));
                }
                return;
            }
            let Some(task) = running.paced.pop() else {
                return;
            };
            self.settle_first(now, task);
            let Some(entry) = self.tasks.get(&task) else {
                continue;
            };
            let gate = self.gate(now, entry.task());
            if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&task) {
                session.handle_gate(now, gate);
                self.apply_actions(now, task);
            }
        }
    }
}

/// When the next device of a campaign may start; `None`: at once.
fn next_start(of_all: Option<&StartRate>, running: &RunningCampaign) -> Option<Instant> {
    let rates = [of_all, running.start_rate.as_ref()];
    rates.into_iter().flatten().map(StartRate::next).max()
}
