//! LwM2M operations under way, and the observations they set up.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Now;
use crate::coap::{OptionNumber, Reliability, RequestId, Response, Token, TransmissionParameters};
use crate::fota::Contact;
use crate::lwm2m::{Answer, Links, Operation, Path, decode_answer, decode_value, path};
use crate::model::{EndpointName, Peer, Record, StoredObservation, TaskId};

use super::Engine;

/// Why an operation was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A step of an update.
    Task(TaskId),
    /// To see whether the device of a task that waits for a slot is there.
    Ping(TaskId),
    /// To hear a device's own data.
    Uplink,
    /// To learn what a device is that nobody described.
    Description(Path),
}

impl Purpose {
    const fn task(self) -> Option<TaskId> {
        match self {
            Self::Task(task) => Some(task),
            Self::Ping(_) | Self::Uplink | Self::Description(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Outstanding {
    endpoint: EndpointName,
    operation: Operation,
    purpose: Purpose,
    /// The token that an Observe is under.
    token: Option<Token>,
    /// How much of a body that goes out in blocks was taken.
    taken_bytes: u64,
}

impl Outstanding {
    fn is_telling(&self) -> bool {
        match &self.operation {
            Operation::Execute(path) => *path == path::FIRMWARE_UPDATE,
            Operation::WriteText { path, .. } => *path == path::FIRMWARE_PACKAGE_URI,
            Operation::WritePackage(_) => true,
            Operation::Read(_) | Operation::Observe(_) | Operation::CancelObservation(_) => false,
        }
    }
}

/// Requests that wait for their answer, and tokens that devices may notify on.
#[derive(Debug, Default)]
pub(super) struct Operations {
    outstanding: BTreeMap<RequestId, Outstanding>,
    of_task: HashMap<TaskId, RequestId>,
    observed: HashMap<Token, (EndpointName, Path)>,
    tokens: BTreeMap<(EndpointName, Path), Token>,
}

impl Operations {
    /// How many requests wait for their answer.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many tokens devices may notify on.
    pub(super) fn observations(&self) -> usize {
        self.observed.len()
    }

    /// The tasks whose devices are being told to fetch or to install, and have not answered.
    pub(super) fn telling(&self) -> Vec<TaskId> {
        let telling = self.outstanding.values().filter(|it| it.is_telling());
        telling.filter_map(|it| it.purpose.task()).collect()
    }

    fn remove(&mut self, id: RequestId) -> Option<Outstanding> {
        let outstanding = self.outstanding.remove(&id)?;
        if let Purpose::Task(task) = outstanding.purpose {
            self.of_task.remove(&task);
        }
        Some(outstanding)
    }
}

impl Engine {
    /// Sends an operation to a registered device. Where it cannot leave, it counts as unanswered.
    pub(super) fn operate(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        operation: Operation,
        purpose: Purpose,
    ) {
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return self.answered(now, endpoint, purpose, Answer::TimedOut);
        };
        let peer = registration.peer.clone();
        let links = Links::parse(&registration.links, self.config.registration.links_max);
        let request = links.map_or_else(
            |_| operation.request(),
            |links| operation.request_below(links.alternate_path()),
        );
        let parameters = TransmissionParameters::from(self.settings_of(endpoint).transmission);
        let instant = now.instant;
        let sent = match operation {
            Operation::Observe(observed) => self
                .coap
                .observe(instant, &peer, request, &parameters)
                .map(|(id, token)| {
                    self.begin_observation(endpoint, observed, token);
                    (id, Some(token))
                }),
            Operation::CancelObservation(observed) => {
                let Some(token) = self.end_observation(endpoint, observed) else {
                    return self.answered(now, endpoint, purpose, Answer::Done);
                };
                self.coap
                    .cancel_observation(instant, &peer, token, request, &parameters)
                    .map(|id| (id, None))
            }
            Operation::Read(_)
            | Operation::WriteText { .. }
            | Operation::WritePackage(_)
            | Operation::Execute(_) => self
                .coap
                .request(
                    instant,
                    &peer,
                    request,
                    Reliability::Confirmable,
                    &parameters,
                )
                .map(|id| (id, None)),
        };
        match sent {
            Ok((id, token)) => {
                match purpose {
                    Purpose::Task(task) => {
                        self.operations.of_task.insert(task, id);
                    }
                    Purpose::Ping(task) => self.pings.insert(task, id),
                    Purpose::Uplink | Purpose::Description(_) => {}
                }
                let endpoint = endpoint.clone();
                let outstanding = Outstanding {
                    endpoint,
                    operation,
                    purpose,
                    token,
                    taken_bytes: 0,
                };
                self.operations.outstanding.insert(id, outstanding);
            }
            Err(_) => self.answered(now, &endpoint.clone(), purpose, Answer::TimedOut),
        }
    }

    /// Whether a step of an update awaits the device's answer.
    pub(super) fn awaits_step(&self, endpoint: &EndpointName) -> bool {
        let task = self.task_of.get(endpoint);
        task.is_some_and(|task| self.operations.of_task.contains_key(task))
    }

    /// Forgets a task's outstanding operation: nothing more is sent of it, no answer is heard.
    pub(super) fn abandon_operation(&mut self, now: Now, task: TaskId) {
        if let Some(id) = self.operations.of_task.get(&task).copied() {
            self.operations.remove(id);
            self.coap.cancel(now.instant, id);
        }
    }

    /// Forgets an operation whose end nobody waits for.
    pub(super) fn forget_operation(&mut self, id: RequestId) {
        self.operations.remove(id);
    }

    /// The device was taken away: no answer of it is heard, and what it notifies is rejected.
    pub(super) fn forget_operations(&mut self, now: Now, endpoint: &EndpointName) {
        let ids: Vec<RequestId> = self
            .operations
            .outstanding
            .iter()
            .filter(|(_, outstanding)| outstanding.endpoint == *endpoint)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.operations.remove(id);
            self.coap.cancel(now.instant, id);
        }
        let observed: Vec<Path> = self
            .operations
            .tokens
            .keys()
            .filter(|(of, _)| of == endpoint)
            .map(|(_, path)| *path)
            .collect();
        for path in observed {
            if let Some(token) = self.end_observation(endpoint, path) {
                self.coap.forget_observation(token);
            }
        }
    }

    /// No update of this device is under way any more: what it still notifies of one is rejected, which
    /// ends it there too (RFC 7641 §3.6).
    pub(super) fn end_update_observations(&mut self, endpoint: &EndpointName) {
        for observed in [path::FIRMWARE_STATE, path::FIRMWARE_UPDATE_RESULT] {
            if let Some(token) = self.end_observation(endpoint, observed) {
                self.coap.forget_observation(token);
            }
        }
    }

    /// A device has another address now: what it has not answered is asked there again. An Execute is
    /// not: it may have arrived, so its outcome is read at the next contact (decisions, 9).
    pub(super) fn follow(&mut self, now: Now, endpoint: &EndpointName) {
        self.follow_device_request(now, endpoint);
        let Some(task) = self.task_of.get(endpoint).copied() else {
            return;
        };
        let Some(id) = self.operations.of_task.get(&task).copied() else {
            return;
        };
        let Some(outstanding) = self.operations.outstanding.get(&id) else {
            return;
        };
        let operation = outstanding.operation.clone();
        match operation {
            Operation::Execute(_) => {}
            // It may have arrived: a URI is not written over what it began (security, 4.2).
            Operation::WriteText { .. } | Operation::WritePackage(_) => {
                self.abandon_operation(now, task);
                self.session_answer(now, task, Answer::TimedOut);
            }
            Operation::Read(_) | Operation::Observe(_) | Operation::CancelObservation(_) => {
                self.abandon_operation(now, task);
                self.operate(now, endpoint, operation, Purpose::Task(task));
            }
        }
    }

    pub(super) fn handle_response(&mut self, now: Now, id: RequestId, response: &Response) {
        let Some(outstanding) = self.operations.remove(id) else {
            return;
        };
        self.pings.remove(id);
        let answer = decode_answer(&outstanding.operation, response, &self.config.pack);
        let established = response.options.first(OptionNumber::OBSERVE).is_some();
        if let (Some(token), false) = (outstanding.token, established) {
            self.drop_token(token);
        }
        self.answer_heard(now, &outstanding.endpoint);
        self.answered(now, &outstanding.endpoint, outstanding.purpose, answer);
    }

    /// A device has taken a block of the package that is pushed to it.
    pub(super) fn handle_block_taken(&mut self, now: Now, id: RequestId, taken_bytes: u64) {
        let Some(outstanding) = self.operations.outstanding.get_mut(&id) else {
            return;
        };
        let Operation::WritePackage(image) = &outstanding.operation else {
            return;
        };
        let size_bytes = image.bytes().len() as u64;
        let before = std::mem::replace(&mut outstanding.taken_bytes, taken_bytes);
        let (endpoint, purpose) = (outstanding.endpoint.clone(), outstanding.purpose);
        self.awake(now, &endpoint);
        let Purpose::Task(task) = purpose else {
            return;
        };
        self.counters.blocks += 1;
        self.counters.block_bytes += taken_bytes.saturating_sub(before);
        self.show_progress(task, taken_bytes, size_bytes);
        self.block_taken(now, task, taken_bytes);
    }

    /// An answer came, but not to its end: it cannot be read.
    pub(super) fn handle_broken(&mut self, now: Now, id: RequestId) {
        let Some(outstanding) = self.operations.remove(id) else {
            return;
        };
        self.pings.remove(id);
        self.awake(now, &outstanding.endpoint);
        let (endpoint, purpose) = (outstanding.endpoint, outstanding.purpose);
        self.answered(now, &endpoint, purpose, Answer::Unreadable);
    }

    pub(super) fn handle_no_answer(&mut self, now: Now, id: RequestId, reset: bool) {
        self.pings.remove(id);
        let Some(outstanding) = self.operations.remove(id) else {
            return;
        };
        // An Observe that went unanswered may have arrived all the same: its token stays good, unless
        // another took its place meanwhile.
        match outstanding.token {
            Some(token) if !reset && self.operations.observed.contains_key(&token) => {
                self.coap.restore_observation(token);
            }
            Some(token) => self.drop_token(token),
            None => {}
        }
        let answer = if reset {
            Answer::Reset
        } else {
            Answer::TimedOut
        };
        self.answered(now, &outstanding.endpoint, outstanding.purpose, answer);
    }

    pub(super) fn handle_notification(
        &mut self,
        now: Now,
        peer: &Peer,
        token: Token,
        response: &Response,
    ) {
        let Some((endpoint, observed)) = self.operations.observed.get(&token).cloned() else {
            return;
        };
        let Some(registration) = self.registry.by_endpoint(&endpoint) else {
            return;
        };
        let (slot, has_moved) = (registration.slot, registration.peer != *peer);
        if has_moved {
            self.move_peer(now, slot, peer);
        }
        self.show_heard(now, slot);
        let format = response.content_format();
        let value = decode_value(observed, format, &response.payload, &self.config.pack);
        if let (path::UPLINK_DATA, Ok(value), true) = (observed, &value, response.code.is_success())
        {
            // It is acknowledged already: what is too long cannot be refused.
            self.keep_uplink(&endpoint, now.utc, value);
        }
        match (self.running_task(&endpoint), value) {
            (Some(task), Ok(value)) if observed != path::UPLINK_DATA => {
                self.awake(now, &endpoint);
                self.notified(now, task, observed, &value);
            }
            _ => self.contact(now, &endpoint, Contact::Uplink),
        }
    }

    /// The first block of a notification: the rest is fetched, then it is handled as a whole.
    pub(super) fn fetch_notification(
        &mut self,
        now: Now,
        peer: &Peer,
        token: Token,
        first: Response,
    ) {
        let Some((endpoint, observed)) = self.operations.observed.get(&token) else {
            return;
        };
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return;
        };
        let operation = Operation::Observe(*observed);
        let links = Links::parse(&registration.links, self.config.registration.links_max);
        let request = links.map_or_else(
            |_| operation.request(),
            |links| operation.request_below(links.alternate_path()),
        );
        let parameters = TransmissionParameters::from(self.settings_of(endpoint).transmission);
        self.coap
            .fetch_notification(now.instant, peer, token, request, first, &parameters);
    }

    /// Takes up an observation that was live before a restart.
    pub(super) fn restore_observation(&mut self, stored: StoredObservation) {
        let Some(observed) = Path::parse(&stored.path) else {
            return;
        };
        let token = Token::from(stored.token);
        self.coap.restore_observation(token);
        self.operations
            .observed
            .insert(token, (stored.endpoint.clone(), observed));
        self.operations
            .tokens
            .insert((stored.endpoint, observed), token);
    }

    /// A device that has booted may count its notifications from the start again: what it says on a
    /// token that it remembered is fresh.
    pub(super) fn renew_observations(&mut self, endpoint: &EndpointName) {
        for observed in [path::FIRMWARE_STATE, path::FIRMWARE_UPDATE_RESULT] {
            if let Some(token) = self.operations.tokens.get(&(endpoint.clone(), observed)) {
                self.coap.restore_observation(*token);
            }
        }
    }

    pub(super) fn end_uplink_observation(&mut self, endpoint: &EndpointName) {
        if let Some(token) = self.end_observation(endpoint, path::UPLINK_DATA) {
            self.coap.forget_observation(token);
        }
    }

    /// Keeps the token before the request leaves: a device may notify on it for ever after. One that
    /// it replaces dies.
    fn begin_observation(&mut self, endpoint: &EndpointName, observed: Path, token: Token) {
        if let Some(old) = self.end_observation(endpoint, observed) {
            self.coap.forget_observation(old);
        }
        self.operations
            .observed
            .insert(token, (endpoint.clone(), observed));
        self.operations
            .tokens
            .insert((endpoint.clone(), observed), token);
        if let Ok(token) = <[u8; 8]>::try_from(token.as_slice()) {
            self.record(Record::Observed(StoredObservation {
                token,
                endpoint: endpoint.clone(),
                path: observed.to_string(),
            }));
        }
    }

    fn end_observation(&mut self, endpoint: &EndpointName, observed: Path) -> Option<Token> {
        let token = self
            .operations
            .tokens
            .remove(&(endpoint.clone(), observed))?;
        self.operations.observed.remove(&token);
        if let Ok(token) = <[u8; 8]>::try_from(token.as_slice()) {
            self.record(Record::ObservationEnded { token });
        }
        Some(token)
    }

    fn drop_token(&mut self, token: Token) {
        if let Some((endpoint, observed)) = self.operations.observed.get(&token).cloned() {
            self.end_observation(&endpoint, observed);
        }
        self.coap.forget_observation(token);
    }

    fn answered(&mut self, now: Now, endpoint: &EndpointName, purpose: Purpose, answer: Answer) {
        match purpose {
            Purpose::Task(task) => self.session_answer(now, task, answer),
            Purpose::Ping(task) => self.read_ping_answered(now, task, &answer),
            Purpose::Description(resource) => self.described(endpoint, resource, &answer),
            // Whether a device lets its data be observed changes nothing else.
            Purpose::Uplink => {}
        }
    }
}
