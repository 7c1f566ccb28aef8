//! What we begin: requests, observations, notifications.

use bytes::Bytes;
use rand::Rng;

use super::super::exchange::{Exchange, Purpose};
use super::super::{
    BlockValue, Code, Full, Message, MessageType, OptionNumber, Options, Reliability, Request,
    RequestId, Response, Token, TransmissionParameters,
};
use super::Endpoint;
use crate::clock::Instant;
use crate::model::Peer;

/// RFC 7641 §2: the values of Observe in a request.
const OBSERVE_REGISTER: u32 = 0;
const OBSERVE_DEREGISTER: u32 = 1;
/// RFC 7641 §4.4: a sequence number has 24 bits.
const SEQUENCE_MASK: u32 = (1 << 24) - 1;

impl Endpoint {
    /// Sends a request, or queues it until fewer than NSTART are outstanding to that peer. Ends in
    /// exactly one [`Response`](super::super::Event::Response),
    /// [`TimedOut`](super::super::Event::TimedOut), [`Reset`](super::super::Event::Reset) or
    /// [`Broken`](super::super::Event::Broken).
    ///
    /// A body longer than a block of `block1_szx` goes out in blocks (RFC 7959 §2.5), none of which is
    /// copied; before the end, each that was taken is told by a
    /// [`BlockTaken`](super::super::Event::BlockTaken). A response in blocks is fetched whole (§2.4).
    ///
    /// # Errors
    /// [`Full`] where `requests_max` or `queue_per_peer_max` is reached, or the body has more blocks than
    /// can be counted.
    pub fn request(
        &mut self,
        now: Instant,
        peer: &Peer,
        request: Request,
        reliability: Reliability,
        parameters: &TransmissionParameters,
    ) -> Result<RequestId, Full> {
        let block = BlockValue {
            num: 0,
            more: false,
            szx: self.config.block1_szx,
        };
        if request.payload.len() > block.size_bytes() {
            return self.request_in_blocks(now, peer, request, reliability, parameters);
        }
        let token = Token::from(self.rng.r#gen::<[u8; 8]>());
        let content = Content::of_request(Purpose::Request, token, request);
        self.open(now, peer, content, reliability, parameters)
    }

    /// Begins an observation with a new token of 64 random bits (RFC 7641 §3.1). The first answer
    /// is an [`Event::Response`](super::super::Event::Response), all later ones are notifications.
    /// Where that answer is an error or has no Observe option, or none comes, there is no
    /// observation.
    ///
    /// # Errors
    /// As [`Self::request`], and where `observations_max` is reached.
    pub fn observe(
        &mut self,
        now: Instant,
        peer: &Peer,
        mut request: Request,
        parameters: &TransmissionParameters,
    ) -> Result<(RequestId, Token), Full> {
        let token = Token::from(self.rng.r#gen::<[u8; 8]>());
        set_observe(&mut request.options, OBSERVE_REGISTER);
        self.observations.add(token)?;
        let content = Content::of_request(Purpose::Observe, token, request);
        match self.open(now, peer, content, Reliability::Confirmable, parameters) {
            Ok(id) => Ok((id, token)),
            Err(Full) => {
                self.observations.remove(token);
                Err(Full)
            }
        }
    }

    /// Ends an observation by a request with Observe 1 and its token (RFC 7641 §3.6). Notifications
    /// that still come are rejected. A request that was to begin the observation and has not ended
    /// is cancelled without an event.
    ///
    /// # Errors
    /// As [`Self::request`]; the observation has ended on our side even so.
    pub fn cancel_observation(
        &mut self,
        now: Instant,
        peer: &Peer,
        token: Token,
        mut request: Request,
        parameters: &TransmissionParameters,
    ) -> Result<RequestId, Full> {
        self.now = now;
        self.forget_observation(token);
        if let Some((id, _)) = self.exchanges.by_token(peer, token) {
            self.end_exchange(id);
        }
        set_observe(&mut request.options, OBSERVE_DEREGISTER);
        let content = Content::of_request(Purpose::CancelObservation, token, request);
        self.open(now, peer, content, Reliability::Confirmable, parameters)
    }

    /// Takes notifications with a token that was in use before a restart, of ours or of the device:
    /// the next one is fresh whatever its number, for a device that rebooted may count anew. Beyond
    /// `observations_max` a token is not taken.
    pub fn restore_observation(&mut self, token: Token) {
        // Full: its notifications are rejected, and whoever needs the value reads it.
        let _: Result<(), Full> = self.observations.add(token);
    }

    /// Rejects notifications with this token from now on, without telling the peer before.
    pub fn forget_observation(&mut self, token: Token) {
        self.observations.remove(token);
        self.abandon_rest(token);
    }

    /// Lets a request or notification go: nothing is sent again and no event follows. An observation
    /// that it was to begin is forgotten. What waited for it leaves now.
    pub fn cancel(&mut self, now: Instant, id: RequestId) {
        self.now = now;
        if let Some(exchange) = self.end_exchange(id)
            && exchange.purpose == Purpose::Observe
        {
            self.observations.remove(exchange.token);
        }
    }

    /// Sends a notification with Observe option `sequence` (of which 24 bits count) in the name of
    /// the request that had `token` (RFC 7641 §4). A confirmable one ends in
    /// [`Delivered`](super::super::Event::Delivered), [`TimedOut`](super::super::Event::TimedOut)
    /// or [`Reset`](super::super::Event::Reset); any other in a Reset or nothing.
    ///
    /// # Errors
    /// As [`Self::request`].
    #[expect(
        clippy::too_many_arguments,
        reason = "each is said by the clause; a struct would be used once"
    )]
    pub fn notify(
        &mut self,
        now: Instant,
        peer: &Peer,
        token: Token,
        sequence: u32,
        mut response: Response,
        reliability: Reliability,
        parameters: &TransmissionParameters,
    ) -> Result<RequestId, Full> {
        set_observe(&mut response.options, sequence & SEQUENCE_MASK);
        let content = Content::of_response(Purpose::Notification, token, response);
        self.open(now, peer, content, reliability, parameters)
    }

    /// Asks whether the peer is there, by an Empty message (RFC 7252 §4.3, "CoAP ping"), or does so once
    /// fewer than NSTART are outstanding to it. Ends in
    /// [`Delivered`](super::super::Event::Delivered), where it is, or
    /// [`TimedOut`](super::super::Event::TimedOut).
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn ping(
        &mut self,
        now: Instant,
        peer: &Peer,
        parameters: &TransmissionParameters,
    ) -> Result<RequestId, Full> {
        let content = Content {
            purpose: Purpose::Ping,
            token: Token::EMPTY,
            code: Code::EMPTY,
            options: Options::default(),
            payload: Bytes::new(),
        };
        self.open(now, peer, content, Reliability::Confirmable, parameters)
    }

    pub(super) fn open(
        &mut self,
        now: Instant,
        peer: &Peer,
        content: Content,
        reliability: Reliability,
        parameters: &TransmissionParameters,
    ) -> Result<RequestId, Full> {
        self.now = now;
        if self.exchanges.is_full_for(peer) {
            return Err(Full);
        }
        let message_id = self.next_message_id(peer, reliability, parameters);
        let (purpose, token) = (content.purpose, content.token);
        let message = Message {
            kind: match reliability {
                Reliability::Confirmable => MessageType::Confirmable,
                Reliability::NonConfirmable => MessageType::NonConfirmable,
            },
            code: content.code,
            id: message_id,
            token,
            options: content.options,
            payload: content.payload,
        };
        let exchange = Exchange {
            peer: peer.clone(),
            message_id,
            token,
            purpose,
            reliability,
            parameters: *parameters,
            datagram: message.encode(),
        };
        self.exchanges.open(now, exchange, &mut self.outbox)
    }
}

/// A request or response that begins an exchange.
pub(super) struct Content {
    purpose: Purpose,
    token: Token,
    code: Code,
    options: Options,
    payload: Bytes,
}

impl Content {
    pub(super) fn of_request(purpose: Purpose, token: Token, request: Request) -> Self {
        Self {
            purpose,
            token,
            code: request.code,
            options: request.options,
            payload: request.payload,
        }
    }

    pub(super) fn of_response(purpose: Purpose, token: Token, response: Response) -> Self {
        Self {
            purpose,
            token,
            code: response.code,
            options: response.options,
            payload: response.payload,
        }
    }
}

fn set_observe(options: &mut Options, value: u32) {
    options.remove(OptionNumber::OBSERVE);
    options.push_uint(OptionNumber::OBSERVE, value);
}
