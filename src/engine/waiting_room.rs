//! Devices that wait for a slot and would fall asleep are kept awake, as many of a cell as there are places.
//! The scheduler keeps the places; the session says when to ping, and for how long.

use std::collections::HashMap;

use crate::clock::Now;
use crate::coap::{RequestId, TransmissionParameters};
use crate::lwm2m::{Answer, Operation, path};
use crate::model::{CampaignId, EndpointName, TaskId, UpdateTask, WaitingPing, WaitingRoomPolicy};
use crate::scheduler::Hold;

use super::Engine;
use super::operations::Purpose;
use super::tasks::TaskEntry;

/// How long the device is kept awake for whom all others of its cell wait: until what is active there has
/// ended, in a full cell of slow devices.
const NEXT_HOLD_SECONDS: u32 = 4 * 3600;

/// Pings that are under way: one of a task at the most.
#[derive(Debug, Default)]
pub(super) struct Pings {
    by_request: HashMap<RequestId, TaskId>,
    of_task: HashMap<TaskId, RequestId>,
}

impl Pings {
    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.of_task.len()
    }

    pub(super) fn insert(&mut self, task: TaskId, id: RequestId) {
        self.of_task.insert(task, id);
        self.by_request.insert(id, task);
    }

    /// Whose it was, now that it has ended.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<TaskId> {
        let task = self.by_request.remove(&id)?;
        self.of_task.remove(&task);
        Some(task)
    }
}

impl Engine {
    /// How a campaign's devices are kept awake.
    pub(super) fn waiting_room(&self, campaign: CampaignId) -> WaitingRoomPolicy {
        self.campaigns
            .get(&campaign)
            .and_then(|running| running.campaign.policy.waiting_room)
            .unwrap_or(self.config.waiting_room)
    }

    /// How many devices are kept awake.
    pub fn waiting_room_devices(&self) -> usize {
        self.scheduler.held()
    }

    /// As its campaign's devices are kept awake; for longer where all others wait for this one.
    fn room_of(&self, task: &UpdateTask) -> WaitingRoomPolicy {
        let policy = self.waiting_room(task.campaign);
        if policy.is_on() && self.scheduler.is_next(task.id) {
            return for_the_next(policy);
        }
        policy
    }

    /// A place has become free, and this task's device listens for a while yet.
    pub(super) fn offer_room(&mut self, now: Now, id: TaskId) {
        let Some(TaskEntry::Running(session)) = self.tasks.get(&id) else {
            return;
        };
        let task = session.task().clone();
        self.keep_awake(now, &task);
        if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&id) {
            // It was heard a while ago.
            session.ping_at_once(now);
            self.ready.push_back(id);
        }
    }

    /// How a task's device goes on to be kept awake after a restart.
    pub(super) fn room_after_restart(&self, now: Now, task: &UpdateTask) -> WaitingRoomPolicy {
        let policy = self.waiting_room(task.campaign);
        match self.overdue_since(now, task) {
            Some(_) if policy.is_on() => for_the_next(policy),
            Some(_) | None => policy,
        }
    }

    /// A task waits for a slot: its device is kept awake, where it would fall asleep and there is a place.
    /// Says how many places there are, where all are taken.
    pub(super) fn keep_awake(&mut self, now: Now, task: &UpdateTask) -> Option<u32> {
        let policy = self.room_of(task);
        let is_spent = match self.tasks.get(&task.id) {
            Some(TaskEntry::Running(session)) => session.pings() >= policy.pings_max,
            Some(TaskEntry::Idle(_)) | None => true,
        };
        if !policy.is_on() || is_spent || self.is_reachable(&task.endpoint) {
            return None;
        }
        let places = policy.places_per_cell;
        let places_max = usize::try_from(places).unwrap_or(usize::MAX);
        let Hold::Held { displaced } = self.scheduler.hold(task.id, places_max) else {
            return Some(places);
        };
        if let Some(other) = displaced
            && let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&other)
        {
            session.handle_room_lost(now);
            self.ready.push_back(other);
        }
        if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&task.id) {
            session.handle_room(now, policy);
            if session.is_kept_awake() {
                self.ready.push_back(task.id);
                return None;
            }
        }
        self.scheduler.end_hold(task.id);
        None
    }

    /// A task's device is kept awake no more: it has a slot, or sleeps, or has left the queue.
    pub(super) fn leave_room(&mut self, now: Now, task: TaskId) {
        self.scheduler.end_hold(task);
        self.drop_ping(now, task);
    }

    /// Sees whether a device is there. Where the ping cannot leave, it falls asleep.
    pub(super) fn ping(&mut self, now: Now, task: TaskId, endpoint: &EndpointName) {
        self.drop_ping(now, task);
        self.counters.pings += 1;
        let settings = self.settings_of(endpoint);
        let parameters = TransmissionParameters::from(settings.transmission);
        match settings.waiting_ping {
            WaitingPing::Empty => {
                let Some(registration) = self.registry.by_endpoint(endpoint) else {
                    return;
                };
                let sent = self.coap.ping(now.instant, &registration.peer, &parameters);
                if let Ok(id) = sent {
                    self.pings.insert(task, id);
                }
            }
            WaitingPing::ReadState => {
                let read = Operation::Read(path::FIRMWARE_STATE);
                self.operate(now, endpoint, read, Purpose::Ping(task));
            }
        }
    }

    /// A ping was answered, where this is one.
    pub(super) fn ping_answered(&mut self, now: Now, id: RequestId) {
        if let Some(task) = self.pings.remove(id)
            && let Some(entry) = self.tasks.get(&task)
        {
            let endpoint = entry.task().endpoint.clone();
            self.answer_heard(now, &endpoint);
            self.pong(now, task);
        }
    }

    /// What came of a Read that was a ping: whatever the answer is, it is there.
    pub(super) fn read_ping_answered(&mut self, now: Now, task: TaskId, answer: &Answer) {
        if !matches!(answer, Answer::TimedOut) {
            self.pong(now, task);
        }
    }

    fn pong(&mut self, now: Now, task: TaskId) {
        if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&task) {
            session.handle_pong(now);
            self.ready.push_back(task);
        }
    }

    fn drop_ping(&mut self, now: Now, task: TaskId) {
        if let Some(id) = self.pings.of_task.get(&task).copied() {
            self.pings.remove(id);
            self.forget_operation(id);
            self.coap.cancel(now.instant, id);
        }
    }
}

/// The policy of one for whom all others wait.
fn for_the_next(policy: WaitingRoomPolicy) -> WaitingRoomPolicy {
    WaitingRoomPolicy {
        hold_seconds_max: policy.hold_seconds_max.max(NEXT_HOLD_SECONDS),
        ..policy
    }
}
