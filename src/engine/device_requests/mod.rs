//! What operators ask of devices: kept, sent in order while the device listens, answered.
//!
//! 1. A request is committed as `queued` and answered with its number.
//! 2. While the device listens, and when no step of an update is outstanding to it, the oldest leaves;
//!    that it does is committed before.
//! 3. An answer ends it. Without one, what changes nothing is queued again for the next contact; a write
//!    or an Execute may have been done, so it ends as `unknown` and is never sent again: also where a
//!    restart of the server or of the device cut it off.

mod queue;
mod turns;

use std::collections::{HashMap, HashSet, VecDeque};

pub use queue::DeviceRequestLimits;
pub(super) use turns::NoAnswer;

use crate::clock::Now;
use crate::coap::RequestId;
use crate::lwm2m::{Path, path};
use crate::model::{
    DeviceOperation, DeviceRequest, DeviceRequestId, DeviceRequestState, EndpointName,
    NewDeviceRequest, Record,
};

use super::timers::Timer;
use super::{CommandError, Engine};
use queue::{Queue, is_queued};

/// The one request of a device that is outstanding.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    exchange: RequestId,
    id: DeviceRequestId,
    /// Which of the ways to ask.
    attempt: usize,
}

/// Operators' requests, and which devices leave them unanswered.
#[derive(Debug, Default)]
pub(super) struct DeviceRequests {
    queue: Queue,
    in_flight: HashMap<EndpointName, InFlight>,
    by_exchange: HashMap<RequestId, EndpointName>,
    /// Devices whose next request may leave.
    turns: VecDeque<EndpointName>,
    /// Devices that have left a request unanswered and were not heard since.
    silent: HashSet<EndpointName>,
}

impl DeviceRequests {
    /// A device whose next request may leave.
    pub(super) fn next_turn(&mut self) -> Option<EndpointName> {
        self.turns.pop_front()
    }

    /// How many requests are held.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The device is no longer registered.
    pub(super) fn forget_presence(&mut self, endpoint: &EndpointName) {
        self.silent.remove(endpoint);
    }

    fn take_in_flight(&mut self, endpoint: &EndpointName) -> Option<InFlight> {
        let in_flight = self.in_flight.remove(endpoint)?;
        self.by_exchange.remove(&in_flight.exchange);
        Some(in_flight)
    }
}

impl Engine {
    /// Takes up an operator's request. Its records are committed before it is answered; what comes of
    /// it is recorded.
    ///
    /// # Errors
    /// Where too many wait, or it would come between an update and its device; then nothing has changed.
    pub fn request_of_device(
        &mut self,
        now: Now,
        asked: NewDeviceRequest,
    ) -> Result<DeviceRequestId, CommandError> {
        let limits = self.config.device_requests;
        let endpoint = asked.endpoint.clone();
        let path = Path::parse(&asked.path).ok_or(CommandError::NotAPath)?;
        if self.task_of.contains_key(&endpoint) && disturbs_update(asked.operation, path) {
            return Err(CommandError::UpdateActive);
        }
        if self.device_requests.queue.waiting_of(&endpoint) >= limits.waiting_per_device_max {
            let limit = limits.waiting_per_device_max;
            return Err(CommandError::DeviceQueueFull { limit });
        }
        if self.device_requests.queue.waiting() >= limits.waiting_max {
            let limit = limits.waiting_max;
            return Err(CommandError::DeviceRequestsFull { limit });
        }
        let id = self.device_requests.queue.new_id();
        let request = DeviceRequest {
            id,
            state: DeviceRequestState::Queued,
            answer: None,
            detail: String::new(),
            created_at: now.utc,
            ended_at: None,
            asked,
        };
        self.record(Record::DeviceRequest(request.clone()));
        self.enqueue(now, request);
        self.pump(now);
        Ok(id)
    }

    /// An operator takes a request back.
    pub(super) fn cancel_device_request(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        id: DeviceRequestId,
    ) -> Result<(), CommandError> {
        let Some(request) = self.device_requests.queue.get(endpoint, id) else {
            return Err(if self.device_requests.queue.has_ended(id) {
                CommandError::RequestNotQueued
            } else {
                CommandError::UnknownRequest
            });
        };
        if !is_queued(request) {
            return Err(CommandError::RequestNotQueued);
        }
        self.end_request(now, endpoint, id, DeviceRequestState::Cancelled, "");
        Ok(())
    }

    /// The device was taken away, and its requests with it: they end, and no answer is heard.
    pub(super) fn forget_device_requests(&mut self, now: Now, endpoint: &EndpointName) {
        if let Some(in_flight) = self.device_requests.take_in_flight(endpoint) {
            self.coap.cancel(now.instant, in_flight.exchange);
        }
        while let Some(id) = self.device_requests.queue.front(endpoint).map(|it| it.id) {
            self.end_request(now, endpoint, id, DeviceRequestState::Cancelled, "");
        }
        self.device_requests.forget_presence(endpoint);
        self.device_requests.turns.retain(|turn| turn != endpoint);
        self.device_requests.queue.forget_ended(endpoint);
    }

    /// Takes up what was committed. A write that had left may have been done.
    pub(super) fn restore_device_requests(&mut self, now: Now, mut stored: Vec<DeviceRequest>) {
        stored.sort_by_key(|request| request.id);
        let mut cut_off = Vec::new();
        for mut request in stored {
            let endpoint = request.asked.endpoint.clone();
            if request.state.is_final() {
                self.device_requests.queue.push_ended(endpoint, request.id);
                continue;
            }
            if request.state == DeviceRequestState::Sent {
                if request.asked.operation.is_safe() {
                    request.state = DeviceRequestState::Queued;
                    self.record(Record::DeviceRequest(request.clone()));
                } else {
                    cut_off.push((endpoint, request.id));
                }
            }
            self.enqueue(now, request);
        }
        for (endpoint, id) in cut_off {
            let why = "the server was restarted before an answer came";
            self.end_request(now, &endpoint, id, DeviceRequestState::Unknown, why);
        }
        // Those that ought to listen are asked without waiting for a message.
        self.device_requests.turns = self.device_requests.queue.devices().into_iter().collect();
    }

    /// A device has answered: it was heard, and listens.
    pub(super) fn answer_heard(&mut self, now: Now, endpoint: &EndpointName) {
        if let Some(registration) = self.registry.by_endpoint(endpoint) {
            self.show_heard(now, registration.slot);
        }
        self.awake(now, endpoint);
    }

    /// A device has just been heard: what waits for it may leave.
    pub(super) fn note_awake(&mut self, endpoint: &EndpointName) {
        let requests = &mut self.device_requests;
        requests.silent.remove(endpoint);
        if requests.queue.waiting_of(endpoint) > 0 {
            requests.turns.push_back(endpoint.clone());
        }
    }

    /// Ends what is due. What is under way comes to its own end.
    pub(super) fn expire_device_requests(&mut self, now: Now) {
        while let Some((endpoint, id)) = self.device_requests.queue.pop_due(now.instant) {
            let request = self.device_requests.queue.get(&endpoint, id);
            if request.is_some_and(|request| is_queued(request)) {
                self.end_request(now, &endpoint, id, DeviceRequestState::Expired, "");
            }
        }
        self.set_expiry_timer();
    }

    fn enqueue(&mut self, now: Now, request: DeviceRequest) {
        let left = request.asked.expires_at.saturating_since(now.utc);
        let endpoint = request.asked.endpoint.clone();
        self.device_requests.queue.push(request, now.instant + left);
        self.device_requests.turns.push_back(endpoint);
        self.set_expiry_timer();
    }

    fn set_expiry_timer(&mut self) {
        let next = self.device_requests.queue.next_expiry();
        self.timers.set(Timer::DeviceRequests, next);
    }

    fn change_state(
        &mut self,
        endpoint: &EndpointName,
        id: DeviceRequestId,
        state: DeviceRequestState,
    ) {
        let Some(request) = self.device_requests.queue.get(endpoint, id) else {
            return;
        };
        if request.state != state {
            request.state = state;
            let changed = request.clone();
            self.record(Record::DeviceRequest(changed));
        }
    }

    fn end_request(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        id: DeviceRequestId,
        state: DeviceRequestState,
        detail: &str,
    ) {
        let Some(mut request) = self.device_requests.queue.remove(endpoint, id) else {
            return;
        };
        request.state = state;
        detail.clone_into(&mut request.detail);
        request.ended_at = Some(now.utc);
        self.record(Record::DeviceRequest(request));
        let queue = &mut self.device_requests.queue;
        queue.push_ended(endpoint.clone(), id);
        let surplus = queue.surplus(endpoint, &self.config.device_requests);
        for (endpoint, id) in surplus {
            self.record(Record::DeviceRequestForgotten { endpoint, id });
        }
        self.device_requests.turns.push_back(endpoint.clone());
        self.set_expiry_timer();
    }
}

/// Whether an operation reaches into an update of the device: what changes Object 5, and reading Update
/// Result, which resets some modules (decisions, 7).
fn disturbs_update(operation: DeviceOperation, path: Path) -> bool {
    let reads_result = path.resource.is_none() || path == path::FIRMWARE_UPDATE_RESULT;
    path.object == path::FIRMWARE_STATE.object
        && match operation {
            DeviceOperation::Read => reads_result,
            DeviceOperation::Discover => false,
            DeviceOperation::Write
            | DeviceOperation::PartialWrite
            | DeviceOperation::Execute
            | DeviceOperation::WriteAttributes => true,
        }
}
