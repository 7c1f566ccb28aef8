//! One request of a device after another: when it leaves, and what becomes of it.

use bytes::Bytes;

use crate::clock::Now;
use crate::coap::{Code, Reliability, Request, RequestId, Response, TransmissionParameters};
use crate::lwm2m::{Links, Path, decode_read, encode_kept, is_refused_format, management_request};
use crate::model::{
    DeviceAnswer, DeviceOperation, DeviceRequestId, DeviceRequestState, EndpointName,
    NewDeviceRequest,
};

use super::{Engine, InFlight, disturbs_update};

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum NoAnswer {
    /// After all retransmissions.
    TimedOut,
    /// The device rejected the message.
    Reset,
    /// An answer came, but not to its end.
    Broken,
}

impl Engine {
    /// The device has booted: a request that is sent again would be done again (RFC 7252 §4.5 is
    /// forgotten with the power).
    pub(in crate::engine) fn device_booted(&mut self, now: Now, endpoint: &EndpointName) {
        self.cut_off(
            now,
            endpoint,
            "the device registered anew before it answered",
        );
    }

    /// The device has another address: what changes nothing is asked there again.
    pub(in crate::engine) fn follow_device_request(&mut self, now: Now, endpoint: &EndpointName) {
        let in_flight = self.device_requests.in_flight.get(endpoint).copied();
        let Some(InFlight { id, .. }) = in_flight else {
            return;
        };
        let request = self.device_requests.queue.get(endpoint, id);
        if request.is_some_and(|request| request.asked.operation.is_safe()) {
            self.cut_off(now, endpoint, "");
        }
    }

    /// An update of the device begins: nothing of an operator's that reaches into it is sent again.
    pub(in crate::engine) fn update_begins(&mut self, now: Now, endpoint: &EndpointName) {
        let in_flight = self.device_requests.in_flight.get(endpoint).copied();
        let Some(InFlight { id, .. }) = in_flight else {
            return;
        };
        let Some(request) = self.device_requests.queue.get(endpoint, id) else {
            return;
        };
        let path = Path::parse(&request.asked.path);
        if path.is_some_and(|path| disturbs_update(request.asked.operation, path)) {
            self.cut_off(now, endpoint, "an update began before an answer came");
        }
    }

    /// Lets the next request of a device leave, where it may.
    pub(in crate::engine) fn take_turn(&mut self, now: Now, endpoint: &EndpointName) {
        while self.may_ask(now, endpoint) {
            let Some(request) = self.device_requests.queue.front(endpoint) else {
                return;
            };
            let (id, asked) = (request.id, request.asked.clone());
            let path = Path::parse(&asked.path);
            let is_disturbing = path.is_some_and(|path| disturbs_update(asked.operation, path));
            if asked.expires_at <= now.utc {
                self.end_request(now, endpoint, id, DeviceRequestState::Expired, "");
            } else if is_disturbing && self.task_of.contains_key(endpoint) {
                let why = "an update of the device is under way or waits for it";
                self.end_request(now, endpoint, id, DeviceRequestState::Failed, why);
            } else {
                return self.send_request(now, endpoint, id, &asked, 0);
            }
        }
    }

    /// Returns whether the answer was to an operator's request.
    pub(in crate::engine) fn device_answered(
        &mut self,
        now: Now,
        exchange: RequestId,
        response: &Response,
    ) -> bool {
        let Some(endpoint) = self.device_requests.by_exchange.get(&exchange).cloned() else {
            return false;
        };
        let Some(InFlight { id, attempt, .. }) = self.device_requests.take_in_flight(&endpoint)
        else {
            return false;
        };
        if let Some(request) = self.device_requests.queue.get(&endpoint, id) {
            let asked = request.asked.clone();
            if is_refused_format(response.code)
                && self.request_to_send(&asked, attempt + 1).is_some()
            {
                self.send_request(now, &endpoint, id, &asked, attempt + 1);
            } else {
                self.take_answer(now, &endpoint, id, &asked, response);
            }
        }
        self.answer_heard(now, &endpoint);
        true
    }

    /// Returns whether it was an operator's request that came to no answer.
    pub(in crate::engine) fn device_not_answered(
        &mut self,
        now: Now,
        exchange: RequestId,
        why: NoAnswer,
    ) -> bool {
        let Some(endpoint) = self.device_requests.by_exchange.get(&exchange).cloned() else {
            return false;
        };
        match why {
            NoAnswer::TimedOut => {
                self.device_requests.silent.insert(endpoint.clone());
                self.cut_off(now, &endpoint, "no answer came");
            }
            // RFC 7252 §4.2: it was not processed.
            NoAnswer::Reset => {
                if let Some(InFlight { id, .. }) = self.device_requests.take_in_flight(&endpoint) {
                    let why = "the device rejected the message";
                    self.end_request(now, &endpoint, id, DeviceRequestState::Failed, why);
                    self.awake(now, &endpoint);
                }
            }
            NoAnswer::Broken => {
                if let Some(InFlight { id, .. }) = self.device_requests.take_in_flight(&endpoint) {
                    let request = self.device_requests.queue.get(&endpoint, id);
                    let is_safe = request.is_some_and(|it| it.asked.operation.is_safe());
                    let state = if is_safe {
                        DeviceRequestState::Failed
                    } else {
                        DeviceRequestState::Unknown
                    };
                    let why = "it did not come to its end in blocks";
                    self.end_request(now, &endpoint, id, state, why);
                    self.awake(now, &endpoint);
                }
            }
        }
        true
    }

    /// Whether the device listens, and nothing of ours or of an update is outstanding to it.
    fn may_ask(&self, now: Now, endpoint: &EndpointName) -> bool {
        let requests = &self.device_requests;
        self.listens(now, endpoint)
            && !requests.silent.contains(endpoint)
            && !requests.in_flight.contains_key(endpoint)
            && !self.awaits_step(endpoint)
    }

    /// Whether a device is registered and its radio should be on.
    pub(in crate::engine) fn listens(&self, now: Now, endpoint: &EndpointName) -> bool {
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return false;
        };
        let heard_at = self.registry.heard_at(registration.slot);
        let awake_time = self.settings_of(endpoint).awake_time;
        let is_awake = heard_at.is_some_and(|at| now.instant < at + awake_time);
        !registration.binding.queue_mode || is_awake
    }

    fn request_to_send(&self, asked: &NewDeviceRequest, attempt: usize) -> Option<Request> {
        let registration = self.registry.by_endpoint(&asked.endpoint)?;
        let links = Links::parse(&registration.links, self.config.registration.links_max);
        let links = links.unwrap_or_default();
        management_request(
            asked.operation,
            Path::parse(&asked.path)?,
            &asked.content,
            registration.version,
            links.alternate_path(),
            attempt,
        )
        .unwrap_or(None)
    }

    fn send_request(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        id: DeviceRequestId,
        asked: &NewDeviceRequest,
        attempt: usize,
    ) {
        let Some(peer) = self
            .registry
            .by_endpoint(endpoint)
            .map(|it| it.peer.clone())
        else {
            return;
        };
        let Some(request) = self.request_to_send(asked, attempt) else {
            let why = "it cannot be written in a format that the device has";
            return self.end_request(now, endpoint, id, DeviceRequestState::Failed, why);
        };
        let parameters = TransmissionParameters::from(self.settings_of(endpoint).transmission);
        let reliability = Reliability::Confirmable;
        let sent = self
            .coap
            .request(now.instant, &peer, request, reliability, &parameters);
        // Full: it waits for the next contact. What was refused for its format has not been done.
        let Ok(exchange) = sent else {
            return self.change_state(endpoint, id, DeviceRequestState::Queued);
        };
        let in_flight = InFlight {
            exchange,
            id,
            attempt,
        };
        let requests = &mut self.device_requests;
        requests.in_flight.insert(endpoint.clone(), in_flight);
        requests.by_exchange.insert(exchange, endpoint.clone());
        self.change_state(endpoint, id, DeviceRequestState::Sent);
    }

    fn take_answer(
        &mut self,
        now: Now,
        endpoint: &EndpointName,
        id: DeviceRequestId,
        asked: &NewDeviceRequest,
        response: &Response,
    ) {
        let mut answer = DeviceAnswer {
            coap_code: response.code.0,
            content_format: response.content_format().map(|format| format.0),
            content: Bytes::new(),
        };
        let (mut state, mut detail) = (DeviceRequestState::Done, String::new());
        if !response.code.is_success() {
            state = DeviceRequestState::Failed;
            // RFC 7252 §5.5.2: a few words for a person.
            detail = diagnostic(&response.payload);
        } else if asked.operation == DeviceOperation::Discover {
            answer.content = response.payload.clone();
        } else if asked.operation == DeviceOperation::Read && response.code == Code::CONTENT {
            let limits = &self.config.pack;
            let values = Path::parse(&asked.path)
                .ok_or_else(String::new)
                .and_then(|path| {
                    decode_read(path, response, limits).map_err(|error| error.to_string())
                })
                .and_then(|values| encode_kept(&values).map_err(|error| error.to_string()));
            match values {
                Ok(content) => answer.content = content,
                Err(error) => {
                    state = DeviceRequestState::Failed;
                    detail = format!("the answer cannot be read: {error}");
                }
            }
        }
        if let Some(request) = self.device_requests.queue.get(endpoint, id) {
            request.answer = Some(answer);
        }
        self.end_request(now, endpoint, id, state, &detail);
    }

    /// What is outstanding is sent no more: queued again where it changes nothing, else unknown.
    fn cut_off(&mut self, now: Now, endpoint: &EndpointName, why: &str) {
        let Some(InFlight { exchange, id, .. }) = self.device_requests.take_in_flight(endpoint)
        else {
            return;
        };
        self.coap.cancel(now.instant, exchange);
        let Some(request) = self.device_requests.queue.get(endpoint, id) else {
            return;
        };
        if !request.asked.operation.is_safe() {
            self.end_request(now, endpoint, id, DeviceRequestState::Unknown, why);
        } else if request.asked.expires_at <= now.utc {
            self.end_request(now, endpoint, id, DeviceRequestState::Expired, why);
        } else {
            self.change_state(endpoint, id, DeviceRequestState::Queued);
        }
        self.device_requests.turns.push_back(endpoint.clone());
    }
}

/// What a refusal says for people, cut to a line.
fn diagnostic(payload: &[u8]) -> String {
    const CHARS_MAX: usize = 200;
    let text = String::from_utf8_lossy(payload);
    let shown = text.chars().filter(|c| !c.is_control()).take(CHARS_MAX);
    shown.collect()
}
