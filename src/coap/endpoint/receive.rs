//! What comes in: every datagram ends here in an event, an answer, a Reset, or nothing.

use super::super::block1::Assembly;
use super::super::codec::{Header, is_registered_method, option_name};
use super::super::dedup::Kept;
use super::super::event::diagnostic;
use super::super::exchange::Purpose;
use super::super::option_rules::{check_request, check_response};
use super::super::{
    BlockValue, Code, Event, Message, MessageId, MessageType, OptionNumber, Reliability, ReplyTo,
    Request, RequestId, Response,
};
use super::Endpoint;
use crate::clock::Instant;
use crate::model::Peer;

impl Endpoint {
    /// Takes one datagram from `peer`. Whatever is wrong with it is counted and dropped, or answered
    /// as RFC 7252 §4.2 and §4.3 say.
    pub fn handle_datagram(&mut self, now: Instant, peer: &Peer, datagram: &[u8]) {
        self.now = now;
        self.outbox.counters.received += 1;
        if datagram.len() > self.config.datagram_bytes_max {
            self.outbox.counters.malformed += 1;
            return;
        }
        // §3: another version is ignored in silence; so is what has no message id to answer.
        let Ok(header) = Header::decode(datagram) else {
            self.outbox.counters.malformed += 1;
            return;
        };
        let Ok(message) = Message::decode(datagram, self.config.options_max) else {
            self.outbox.counters.malformed += 1;
            if header.kind == MessageType::Confirmable {
                self.outbox.reset(peer, header.id);
            }
            return;
        };
        match message.kind {
            MessageType::Confirmable => {
                self.handle_message(peer, message, Reliability::Confirmable, datagram.len());
            }
            MessageType::NonConfirmable => {
                self.handle_message(peer, message, Reliability::NonConfirmable, datagram.len());
            }
            MessageType::Acknowledgement => self.handle_acknowledgement(peer, message),
            MessageType::Reset => self.handle_reset(peer, message.id),
        }
    }

    fn handle_message(
        &mut self,
        peer: &Peer,
        message: Message,
        reliability: Reliability,
        size_bytes: usize,
    ) {
        if message.code == Code::EMPTY {
            // §4.3: a ping. An empty NON has no meaning.
            if reliability == Reliability::Confirmable {
                self.outbox.counters.pings += 1;
                self.outbox.reset(peer, message.id);
            }
            return;
        }
        let kept = self.dedup.find(self.now, peer, message.id, message.token);
        if let Some(kept) = kept.cloned() {
            self.answer_duplicate(peer, message.id, kept);
        } else if message.code.is_request() {
            self.handle_request(peer, message, reliability, size_bytes);
        } else {
            self.handle_response(peer, message, reliability);
        }
    }

    fn answer_duplicate(&mut self, peer: &Peer, id: MessageId, kept: Kept) {
        self.outbox.counters.duplicates += 1;
        match kept {
            Kept::Ignored => {}
            Kept::Acknowledged => self.outbox.acknowledge(peer, id),
            Kept::Answer(answer) => self.outbox.send(peer, answer.into_datagram()),
        }
    }

    fn handle_request(
        &mut self,
        peer: &Peer,
        message: Message,
        reliability: Reliability,
        size_bytes: usize,
    ) {
        let mut reply_to = ReplyTo {
            peer: peer.clone(),
            message_id: message.id,
            token: message.token,
            reliability,
            block1: None,
            received_at: self.now,
            is_safe: message.code.is_safe(),
            answer_bytes_max: self.answer_bytes_max(peer, size_bytes, &message.options),
        };
        let mut request = Request {
            code: message.code,
            options: message.options,
            payload: message.payload,
        };
        if let Err(refusal) = self.check_options(&reply_to, &mut request) {
            if let Some(response) = refusal {
                self.respond_stateless(&reply_to, response);
            }
            return;
        }
        match BlockValue::from_options(&request.options, OptionNumber::BLOCK1) {
            Ok(None) => {}
            Ok(Some(block)) => {
                reply_to.block1 = Some(block);
                if !self.assemble(&reply_to, block, &mut request) {
                    return;
                }
            }
            Err(_) => return self.refuse_block(&reply_to),
        }
        if BlockValue::from_options(&request.options, OptionNumber::BLOCK2).is_err() {
            return self.refuse_block(&reply_to);
        }
        self.outbox.counters.requests += 1;
        self.events.push_back(Event::Request {
            peer: peer.clone(),
            reply_to,
            request,
        });
    }

    /// Checks method and options (RFC 7252 §5.4, §5.7.2, §5.8). An error is the response to refuse
    /// the request with, if it was not rejected already.
    fn check_options(
        &mut self,
        reply_to: &ReplyTo,
        request: &mut Request,
    ) -> Result<(), Option<Response>> {
        let counters = &mut self.outbox.counters;
        let options = &mut request.options;
        if !is_registered_method(request.code) {
            counters.refused += 1;
            return Err(Some(Response::new(Code::METHOD_NOT_ALLOWED)));
        }
        let is_proxied = [OptionNumber::PROXY_URI, OptionNumber::PROXY_SCHEME]
            .into_iter()
            .any(|number| options.first(number).is_some());
        if is_proxied {
            counters.refused += 1;
            return Err(Some(Response::new(Code::PROXYING_NOT_SUPPORTED)));
        }
        let Err(number) = check_request(options) else {
            return Ok(());
        };
        counters.bad_options += 1;
        match reply_to.reliability {
            Reliability::Confirmable => {
                let text = format!("critical option {}", option_name(number));
                Err(Some(diagnostic(Response::new(Code::BAD_OPTION), text)))
            }
            Reliability::NonConfirmable => {
                self.outbox.reset(&reply_to.peer, reply_to.message_id);
                Err(None)
            }
        }
    }

    fn refuse_block(&mut self, reply_to: &ReplyTo) {
        self.outbox.counters.refused += 1;
        let response = Response::new(Code::BAD_REQUEST).with_diagnostic("bad block option");
        self.respond_stateless(reply_to, response);
    }

    /// Adds a piece to its body (RFC 7959 §2.5). Whether the request is complete; if it is not, it
    /// has been answered.
    fn assemble(&mut self, reply_to: &ReplyTo, block: BlockValue, request: &mut Request) -> bool {
        let assembly = self.bodies.add(self.now, &reply_to.peer, block, request);
        self.outbox.counters.bodies_dropped = self.bodies.dropped();
        let response = match assembly {
            Assembly::Complete(body) => {
                request.payload = body;
                return true;
            }
            Assembly::Continue => Response::new(Code::CONTINUE),
            Assembly::Incomplete => Response::new(Code::REQUEST_ENTITY_INCOMPLETE),
            Assembly::TooLarge => {
                let mut response = Response::new(Code::REQUEST_ENTITY_TOO_LARGE);
                let limit_bytes = u32::try_from(self.bodies.body_bytes_max()).unwrap_or(u32::MAX);
                response.options.push_uint(OptionNumber::SIZE1, limit_bytes);
                response
            }
            Assembly::Invalid => Response::new(Code::BAD_REQUEST).with_diagnostic("bad block size"),
        };
        if response.code != Code::CONTINUE {
            self.outbox.counters.refused += 1;
        }
        self.respond(self.now, reply_to, response);
        false
    }

    /// A separate response or a notification.
    fn handle_response(&mut self, peer: &Peer, message: Message, reliability: Reliability) {
        let (id, token) = (message.id, message.token);
        let Some(response) = self.check_response(message) else {
            if reliability == Reliability::Confirmable {
                self.outbox.reset(peer, id);
            }
            return;
        };
        let observe = response.options.uint(OptionNumber::OBSERVE);
        let exchange = self
            .exchanges
            .by_token(peer, token)
            .filter(|(_, exchange)| {
                // RFC 7641 §3.6: what still comes of the observation does not answer its end.
                exchange.purpose != Purpose::CancelObservation || observe.is_none()
            })
            .map(|(request_id, _)| request_id);
        if exchange.is_none() && !self.observations.contains(token) {
            self.outbox.counters.unmatched += 1;
            let is_notification = observe.is_some() || response.code == Code::CONTENT;
            if reliability == Reliability::Confirmable || is_notification {
                self.outbox.reset(peer, id);
            }
            return;
        }
        if reliability == Reliability::Confirmable {
            self.outbox.acknowledge(peer, id);
            self.keep(peer, (id, token), reliability, Kept::Acknowledged);
        }
        if let Some(request_id) = exchange {
            self.complete(request_id, response);
            return;
        }
        self.handle_notification(peer, token, response);
    }

    fn handle_acknowledgement(&mut self, peer: &Peer, message: Message) {
        let Some((id, exchange)) = self.exchanges.by_message(peer, message.id) else {
            return;
        };
        if exchange.reliability == Reliability::NonConfirmable {
            return;
        }
        if message.code == Code::EMPTY {
            self.outbox.counters.acknowledgements += 1;
            // To a ping that is not what RFC 7252 §4.3 asks for, and says as well that it is there.
            if let Some(exchange) = self.exchanges.acknowledge(self.now, id, &mut self.outbox)
                && matches!(exchange.purpose, Purpose::Notification | Purpose::Ping)
            {
                let peer = exchange.peer;
                self.events.push_back(Event::Delivered { id, peer });
            }
            return;
        }
        // §5.3.2: a piggy-backed response has the message id and the token of its request.
        let awaits_response = match exchange.purpose {
            Purpose::Request
            | Purpose::Observe
            | Purpose::CancelObservation
            | Purpose::NotificationRest(_) => true,
            Purpose::Notification | Purpose::SeparateResponse | Purpose::Ping => false,
        };
        if !awaits_response || exchange.token != message.token || !message.code.is_response() {
            self.outbox.counters.unmatched += 1;
            return;
        }
        if let Some(response) = self.check_response(message) {
            self.complete(id, response);
        }
    }

    fn handle_reset(&mut self, peer: &Peer, id: MessageId) {
        let Some((id, _)) = self.exchanges.by_message(peer, id) else {
            return;
        };
        let Some(exchange) = self.end_exchange(id) else {
            return;
        };
        self.outbox.counters.resets += 1;
        if exchange.purpose == Purpose::Observe {
            self.observations.remove(exchange.token);
        }
        let is_ping = exchange.purpose == Purpose::Ping;
        if let Some(peer) = self.asker(exchange) {
            self.events.push_back(if is_ping {
                Event::Delivered { id, peer }
            } else {
                Event::Reset { id, peer }
            });
        }
    }

    /// The response of a message; `None` where a critical option rules it out (§5.4.1).
    fn check_response(&mut self, message: Message) -> Option<Response> {
        let mut options = message.options;
        if check_response(&mut options).is_err() {
            self.outbox.counters.bad_options += 1;
            return None;
        }
        Some(Response {
            code: message.code,
            options,
            payload: message.payload,
        })
    }

    /// Ends a request with its response, unless that is of one block of several.
    fn complete(&mut self, id: RequestId, response: Response) {
        let Some(response) = self.repeat_with_echo(id, response) else {
            return;
        };
        let Some(response) = self.take_block(id, response) else {
            return;
        };
        let purpose = self.exchanges.get(id).map(|exchange| exchange.purpose);
        if let Some(Purpose::NotificationRest(token)) = purpose {
            return self.rest_fetched(id, token, response);
        }
        self.establish(id, &response);
        let Some(exchange) = self.end_exchange(id) else {
            return;
        };
        self.outbox.counters.responses += 1;
        self.events.push_back(Event::Response {
            id,
            peer: exchange.peer,
            response,
        });
    }

    /// The answer to an Observe says whether there is an observation (RFC 7641 §3.1).
    pub(super) fn establish(&mut self, id: RequestId, response: &Response) {
        let Some(exchange) = self.exchanges.get(id) else {
            return;
        };
        if exchange.purpose != Purpose::Observe {
            return;
        }
        let token = exchange.token;
        match response.options.uint(OptionNumber::OBSERVE) {
            Some(sequence) if response.code.is_success() => {
                self.observations.advance(self.now, token, sequence);
            }
            Some(_) | None => self.observations.remove(token),
        }
    }
}
