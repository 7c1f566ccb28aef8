//! Waiting rooms: who has a place in one, and what it costs its device.

use std::time::Duration;

use narrowcast::clock::Instant;
use narrowcast::coap::MessageId;
use narrowcast::model::{CampaignId, TaskId, TaskState, UpdateTask, WaitingRoomPolicy};

use super::Check;
use super::watch::{Place, SLACK};
use crate::server::Server;

/// How long one is kept awake for whom all others wait.
const NEXT_HOLD: Duration = Duration::from_secs(4 * 3600);

impl Server {
    fn room_of(&self, campaign: CampaignId) -> WaitingRoomPolicy {
        let standing = self.watch.standings.get(&campaign);
        let room = standing.and_then(|standing| standing.room);
        room.unwrap_or(self.config.waiting_room)
    }

    /// Whether it waited for too long when it was given its place.
    fn is_overdue(&self, task: &UpdateTask) -> bool {
        let since = task.held_since.zip(task.queued_since);
        since.is_some_and(|(held, queued)| {
            held.saturating_since(queued) >= self.config.overdue_after
        })
    }

    /// Whoever has a place in a waiting room was heard not long ago, and has it for no longer than it may;
    /// and there are no more such than places.
    pub(super) fn check_rooms(&mut self, at: Instant) {
        let awake = self.config.product.awake_time + SLACK;
        let of_places = |(task, place): &(&TaskId, &Place)| {
            let heard = self.watch.heard.get(&place.device);
            let is_awake = heard.is_some_and(|heard| at.saturating_since(*heard) <= awake);
            let held_max = self.room_of(place.campaign).hold_max();
            let held_max = match self.tasks.get(task).is_some_and(|it| self.is_overdue(it)) {
                true => held_max.max(NEXT_HOLD) + SLACK,
                false => held_max + SLACK,
            };
            let set_since = self.watch.clock_set.is_some_and(|set| set >= place.since);
            is_awake && (set_since || at.saturating_since(place.since) <= held_max)
        };
        let rightly = self.watch.places.iter().filter(of_places).count();
        let held = self.engine.waiting_room_devices();
        if held > rightly {
            let told = format!(
                "{held} have a place, {rightly} may: {:?}",
                self.watch.places
            );
            self.breach(at, Check::Rooms, told);
        }
        let rooms = self.activated.iter().map(|id| self.room_of(*id));
        let most = rooms.map(|room| room.places_per_cell).max();
        for cell in self.engine.cells(None, usize::MAX) {
            let held: u32 = cell.tiers.iter().map(|tier| tier.held).sum();
            if held > most.unwrap_or_default() {
                let told = format!("{held} have a place in a cell, which has {most:?}");
                self.breach(at, Check::Rooms, told);
            }
        }
    }

    /// A ping leaves: an attempt costs no more of them than it may.
    pub(super) fn check_ping(&mut self, at: Instant, device: usize, id: MessageId) {
        let mut tasks = self.tasks.values();
        let of_device = |task: &&UpdateTask| {
            self.watch.devices.get(&task.endpoint) == Some(&device)
                && task.state == TaskState::Running
        };
        let Some(task) = tasks.find(of_device) else {
            return;
        };
        let (attempt, campaign) = ((task.id, task.attempt), task.campaign);
        let pings = self.watch.pings.entry(attempt).or_default();
        pings.insert(id);
        let (count, most) = (pings.len(), self.room_of(campaign).pings_max);
        if count > most as usize {
            let told = format!("{count} pings of {attempt:?}, {most} allowed");
            self.breach(at, Check::Rooms, told);
        }
    }
}
