//! One endpoint and a scripted peer: each message is said by hand, each answer is looked at.

use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::Instant;
use narrowcast::coap::{
    Code, Endpoint, EndpointConfig, Event, Message, MessageId, MessageType, OptionNumber,
    Reliability, ReplyTo, Request, RequestId, Response, RetransmissionBackoff, Token,
    TransmissionParameters,
};
use narrowcast::model::{Peer, Transmit};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) const RFC: TransmissionParameters = TransmissionParameters {
    ack_timeout: Duration::from_secs(2),
    ack_random_factor_permille: 1500,
    max_retransmit: 4,
    nstart: 1,
    max_latency: Duration::from_secs(100),
    backoff: RetransmissionBackoff::Doubled,
};

pub(crate) struct Lockstep {
    pub(crate) endpoint: Endpoint,
    pub(crate) now: Instant,
    pub(crate) peer: Peer,
}

impl Lockstep {
    pub(crate) fn new() -> Self {
        Self::with(EndpointConfig::default())
    }

    pub(crate) fn with(config: EndpointConfig) -> Self {
        Self {
            endpoint: Endpoint::new(config, StdRng::seed_from_u64(11)),
            now: Instant::from_origin(Duration::from_secs(1000)),
            peer: address(5683),
        }
    }

    /// The endpoint receives these bytes.
    pub(crate) fn hears_bytes(&mut self, datagram: &[u8]) {
        let peer = self.peer.clone();
        self.endpoint.handle_datagram(self.now, &peer, datagram);
    }

    /// The endpoint receives this message.
    pub(crate) fn hears(&mut self, message: Message) {
        self.hears_bytes(&message.encode().to_vec());
    }

    /// The one datagram that the endpoint has sent, decoded.
    pub(crate) fn says(&mut self) -> Message {
        let transmit = self.transmits();
        self.nothing();
        decode(&transmit)
    }

    /// The next datagram that the endpoint has sent.
    pub(crate) fn transmits(&mut self) -> Transmit {
        self.endpoint.poll_transmit().expect("a datagram")
    }

    /// The one event.
    pub(crate) fn event(&mut self) -> Event {
        let event = self.endpoint.poll_event().expect("an event");
        assert_eq!(self.endpoint.poll_event(), None);
        event
    }

    /// There is neither a datagram nor an event.
    pub(crate) fn nothing(&mut self) {
        assert_eq!(self.endpoint.poll_transmit(), None);
    }

    pub(crate) fn no_event(&mut self) {
        assert_eq!(self.endpoint.poll_event(), None);
    }

    /// The one event is a request.
    pub(crate) fn request(&mut self) -> (ReplyTo, Request) {
        let event = self.event();
        let Event::Request {
            reply_to, request, ..
        } = event
        else {
            panic!("{event:?}");
        };
        (reply_to, request)
    }

    pub(crate) fn responds(&mut self, reply_to: &ReplyTo, response: Response) {
        self.endpoint.respond(self.now, reply_to, response);
    }

    pub(crate) fn asks(&mut self, reliability: Reliability) -> (RequestId, Message) {
        let id = self.asks_quietly(reliability);
        (id, self.says())
    }

    pub(crate) fn asks_quietly(&mut self, reliability: Reliability) -> RequestId {
        let peer = self.peer.clone();
        let request = Request::new(Code::GET, "/3/0/3");
        self.endpoint
            .request(self.now, &peer, request, reliability, &RFC)
            .expect("room")
    }

    pub(crate) fn observes(&mut self) -> (RequestId, Message) {
        let peer = self.peer.clone();
        let request = Request::new(Code::GET, "/5/0/3");
        let (id, token) = self
            .endpoint
            .observe(self.now, &peer, request, &RFC)
            .expect("room");
        let message = self.says();
        assert_eq!(message.token, token);
        (id, message)
    }

    /// Waits until the endpoint's next deadline and tells it so.
    pub(crate) fn waits(&mut self) -> Duration {
        let deadline = self.endpoint.poll_timeout().expect("a deadline");
        let waited = deadline - self.now;
        self.passes(waited);
        waited
    }

    pub(crate) fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        self.endpoint.handle_timeout(self.now);
    }
}

pub(crate) fn address(port: u16) -> Peer {
    Peer::Address(([192, 0, 2, 1], port).into())
}

pub(crate) fn decode(transmit: &Transmit) -> Message {
    Message::decode(&transmit.datagram.to_vec(), 32).expect("what we send is a message")
}

/// A message from the scripted peer.
pub(crate) fn message(kind: MessageType, code: Code, id: u16, token: Token) -> Message {
    Message {
        code,
        token,
        ..Message::empty(kind, MessageId(id))
    }
}

pub(crate) fn con(code: Code, id: u16) -> Message {
    message(MessageType::Confirmable, code, id, token())
}

pub(crate) fn non(code: Code, id: u16) -> Message {
    message(MessageType::NonConfirmable, code, id, token())
}

pub(crate) fn ack(id: MessageId) -> Message {
    Message::empty(MessageType::Acknowledgement, id)
}

pub(crate) fn rst(id: MessageId) -> Message {
    Message::empty(MessageType::Reset, id)
}

/// The piggy-backed response to `request`.
pub(crate) fn piggybacked(request: &Message, code: Code) -> Message {
    message(
        MessageType::Acknowledgement,
        code,
        request.id.0,
        request.token,
    )
}

pub(crate) fn token() -> Token {
    Token::new(b"tok").expect("short")
}

pub(crate) trait With {
    fn with(self, number: OptionNumber, value: &[u8]) -> Self;
    fn path(self, segment: &'static str) -> Self;
    fn body(self, payload: &[u8]) -> Self;
}

impl With for Message {
    fn with(mut self, number: OptionNumber, value: &[u8]) -> Self {
        self.options.push(number, Bytes::copy_from_slice(value));
        self
    }

    fn path(self, segment: &'static str) -> Self {
        self.with(OptionNumber::URI_PATH, segment.as_bytes())
    }

    fn body(mut self, payload: &[u8]) -> Self {
        self.payload = Bytes::copy_from_slice(payload);
        self
    }
}
