//! Exchanges that we began: sent, repeated, acknowledged, answered, given up (RFC 7252 §4.2, §4.7).
//!
//! ```text
//!                       slot free                      empty ACK
//!   open ──► Queued ───────────────► AwaitAcknowledgement ─────► AwaitResponse ──► ended
//!              NSTART reached           │  ▲      │                 (request)
//!                                       └──┘      └──► ended: response, RST, ACK of a
//!                                     send again       notification, or given up
//! ```
//!
//! Nothing here looks at more than one peer: lookups are by key, deadlines in a heap.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;

use super::outbox::Outbox;
use super::timer::Deadlines;
use super::{Full, MessageId, Reliability, RequestId, Token, TransmissionParameters};
use crate::clock::Instant;
use crate::model::{Datagram, Peer};

/// What an exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A request, its response awaited.
    Request,
    /// A request that begins an observation.
    Observe,
    /// A request that ends one: a notification is not its response.
    CancelObservation,
    /// A request for the rest of what was notified under this token.
    NotificationRest(Token),
    /// A notification: its acknowledgement, or a Reset, is awaited.
    Notification,
    /// A separate response, which nobody is told about.
    SeparateResponse,
    /// An Empty message, to see whether the peer is there (RFC 7252 §4.3).
    Ping,
}

impl Purpose {
    const fn awaits_response(self) -> bool {
        matches!(
            self,
            Self::Request | Self::Observe | Self::CancelObservation | Self::NotificationRest(_)
        )
    }
}

/// One exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) peer: Peer,
    pub(super) message_id: MessageId,
    pub(super) token: Token,
    pub(super) purpose: Purpose,
    pub(super) reliability: Reliability,
    pub(super) parameters: TransmissionParameters,
    pub(super) datagram: Datagram,
}

impl Exchange {
    /// RFC 7252 §4.7: what counts towards NSTART.
    fn takes_slot(&self) -> bool {
        self.reliability == Reliability::Confirmable || self.purpose.awaits_response()
    }
}

#[derive(Debug)]
struct Live {
    exchange: Exchange,
    state: State,
    /// Only the entry of the heap with this time counts.
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    AwaitAcknowledgement {
        timeout: Duration,
        retransmissions: u8,
    },
    /// A non-confirmable message was sent, or a confirmable one acknowledged.
    AwaitResponse {
        has_slot: bool,
    },
}

impl State {
    const fn has_slot(self) -> bool {
        match self {
            Self::Queued => false,
            Self::AwaitAcknowledgement { .. } => true,
            Self::AwaitResponse { has_slot } => has_slot,
        }
    }
}

/// A peer with exchanges under way.
#[derive(Debug, Default)]
struct Slots {
    taken: u8,
    waiting: VecDeque<RequestId>,
}

/// All exchanges that have not ended.
#[derive(Debug)]
pub(super) struct Exchanges {
    next_id: u64,
    live: HashMap<RequestId, Live>,
    by_message: HashMap<(Peer, MessageId), RequestId>,
    by_token: HashMap<(Peer, Token), RequestId>,
    slots: HashMap<Peer, Slots>,
    deadlines: Deadlines<RequestId>,
    requests_max: usize,
    queue_per_peer_max: usize,
    rng: StdRng,
}

impl Exchanges {
    /// With no exchange.
    pub(super) fn new(requests_max: usize, queue_per_peer_max: usize, rng: StdRng) -> Self {
        Self {
            next_id: 0,
            live: HashMap::new(),
            by_message: HashMap::new(),
            by_token: HashMap::new(),
            slots: HashMap::new(),
            deadlines: Deadlines::new(),
            requests_max,
            queue_per_peer_max,
            rng,
        }
    }

    /// Whether one more would be refused.
    pub(super) fn is_full_for(&self, peer: &Peer) -> bool {
        self.live.len() >= self.requests_max
            || self
                .slots
                .get(peer)
                .is_some_and(|slots| slots.waiting.len() >= self.queue_per_peer_max.max(1))
    }

    /// Sends the exchange's message, or queues it behind others to the same peer.
    pub(super) fn open(
        &mut self,
        now: Instant,
        exchange: Exchange,
        outbox: &mut Outbox,
    ) -> Result<RequestId, Full> {
        if self.is_full_for(&exchange.peer) {
            return Err(Full);
        }
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let must_wait = exchange.takes_slot()
            && self.slots.get(&exchange.peer).is_some_and(|slots| {
                slots.taken >= exchange.parameters.nstart.max(1) || !slots.waiting.is_empty()
            });
        if must_wait {
            let slots = self.slots.entry(exchange.peer.clone()).or_default();
            slots.waiting.push_back(id);
        }
        let live = Live {
            exchange,
            state: State::Queued,
            deadline: now,
        };
        self.live.insert(id, live);
        if !must_wait {
            self.start(now, id, outbox);
        }
        Ok(id)
    }

    /// The exchange whose message had this id, and its token.
    pub(super) fn by_message(&self, peer: &Peer, id: MessageId) -> Option<(RequestId, &Exchange)> {
        let id = *self.by_message.get(&(peer.clone(), id))?;
        Some((id, &self.live.get(&id)?.exchange))
    }

    /// The request to this peer with this token.
    pub(super) fn by_token(&self, peer: &Peer, token: Token) -> Option<(RequestId, &Exchange)> {
        let id = *self.by_token.get(&(peer.clone(), token))?;
        Some((id, &self.live.get(&id)?.exchange))
    }

    /// Whether a message with this id is under way to the peer.
    pub(super) fn uses(&self, peer: &Peer, id: MessageId) -> bool {
        self.by_message.contains_key(&(peer.clone(), id))
    }

    /// Takes an empty ACK. A request is repeated no more and its response awaited for
    /// EXCHANGE_LIFETIME; anything else is ended and returned.
    pub(super) fn acknowledge(
        &mut self,
        now: Instant,
        id: RequestId,
        outbox: &mut Outbox,
    ) -> Option<Exchange> {
        let live = self.live.get_mut(&id)?;
        if !live.exchange.purpose.awaits_response() {
            return self.end(now, id, outbox);
        }
        let State::AwaitAcknowledgement { .. } = live.state else {
            return None;
        };
        live.state = State::AwaitResponse { has_slot: false };
        live.deadline = now + live.exchange.parameters.exchange_lifetime();
        self.deadlines.push(live.deadline, id);
        let peer = live.exchange.peer.clone();
        self.free_slot(now, &peer, outbox);
        self.prune();
        None
    }

    /// Ends an exchange, in whatever state it is, and lets the next one to that peer go.
    pub(super) fn end(
        &mut self,
        now: Instant,
        id: RequestId,
        outbox: &mut Outbox,
    ) -> Option<Exchange> {
        let (exchange, state) = self.take_off(id)?;
        if state.has_slot() {
            self.free_slot(now, &exchange.peer, outbox);
        }
        self.prune();
        Some(exchange)
    }

    /// Puts `next` in the place of an exchange that was answered. Others that wait for the peer go
    /// first; that it is of the same request is why it is not refused where as many wait as may.
    pub(super) fn go_on(
        &mut self,
        now: Instant,
        id: RequestId,
        next: Exchange,
        outbox: &mut Outbox,
    ) {
        let Some((_, state)) = self.take_off(id) else {
            return;
        };
        let peer = next.peer.clone();
        let live = Live {
            exchange: next,
            state: State::Queued,
            deadline: now,
        };
        self.live.insert(id, live);
        let slots = self.slots.entry(peer.clone()).or_default();
        slots.waiting.push_back(id);
        if state.has_slot() {
            self.free_slot(now, &peer, outbox);
        } else {
            self.start_waiting(now, &peer, outbox);
        }
        self.prune();
    }

    /// An exchange that has not ended.
    pub(super) fn get(&self, id: RequestId) -> Option<&Exchange> {
        self.live.get(&id).map(|live| &live.exchange)
    }

    /// Sends again what is due, up to the first exchange that is to be given up, and ends that one.
    /// To be called until there is none.
    pub(super) fn next_given_up(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
    ) -> Option<(RequestId, Exchange)> {
        while let Some((at, id)) = self.deadlines.pop_due(now) {
            let Some(live) = self.live.get_mut(&id) else {
                continue;
            };
            if live.deadline != at || live.state == State::Queued {
                continue;
            }
            if let State::AwaitAcknowledgement {
                timeout,
                retransmissions,
            } = &mut live.state
                && *retransmissions < live.exchange.parameters.retransmissions()
            {
                *retransmissions += 1;
                *timeout = live.exchange.parameters.next_timeout(*timeout);
                live.deadline = now + *timeout;
                self.deadlines.push(live.deadline, id);
                outbox.counters.retransmissions += 1;
                outbox.send(&live.exchange.peer, live.exchange.datagram.clone());
                continue;
            }
            return Some((id, self.end(now, id, outbox)?));
        }
        self.prune();
        None
    }

    /// How many exchanges have not ended.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// How many deadlines are kept, those of ended exchanges among them.
    pub(super) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// When something is to be sent again or given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.earliest().map(|(at, _)| at)
    }

    fn start(&mut self, now: Instant, id: RequestId, outbox: &mut Outbox) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let exchange = &live.exchange;
        let (state, wait) = match exchange.reliability {
            Reliability::Confirmable => {
                let timeout = exchange.parameters.initial_timeout(&mut self.rng);
                let state = State::AwaitAcknowledgement {
                    timeout,
                    retransmissions: 0,
                };
                (state, timeout)
            }
            Reliability::NonConfirmable => {
                let has_slot = exchange.takes_slot();
                let wait = exchange.parameters.max_transmit_wait();
                (State::AwaitResponse { has_slot }, wait)
            }
        };
        live.state = state;
        live.deadline = now + wait;
        self.deadlines.push(live.deadline, id);
        let message = (exchange.peer.clone(), exchange.message_id);
        self.by_message.insert(message, id);
        if exchange.purpose.awaits_response() {
            let key = (exchange.peer.clone(), exchange.token);
            self.by_token.insert(key, id);
        }
        if state.has_slot() {
            let slots = self.slots.entry(exchange.peer.clone()).or_default();
            slots.taken = slots.taken.saturating_add(1);
        }
        outbox.send(&exchange.peer, exchange.datagram.clone());
    }

    /// Takes an exchange out of everything but the count of slots.
    fn take_off(&mut self, id: RequestId) -> Option<(Exchange, State)> {
        let Live {
            exchange, state, ..
        } = self.live.remove(&id)?;
        if state == State::Queued {
            if let Some(slots) = self.slots.get_mut(&exchange.peer) {
                slots.waiting.retain(|waiting| *waiting != id);
            }
            return Some((exchange, state));
        }
        let message = (exchange.peer.clone(), exchange.message_id);
        self.by_message.remove(&message);
        if exchange.purpose.awaits_response() {
            self.by_token.remove(&(message.0, exchange.token));
        }
        Some((exchange, state))
    }

    /// Gives a slot back and starts what waited for it. A peer with nothing under way is forgotten.
    fn free_slot(&mut self, now: Instant, peer: &Peer, outbox: &mut Outbox) {
        if let Some(slots) = self.slots.get_mut(peer) {
            slots.taken = slots.taken.saturating_sub(1);
            self.start_waiting(now, peer, outbox);
        }
    }

    /// Starts what waits while there are slots. A peer with nothing under way is forgotten.
    fn start_waiting(&mut self, now: Instant, peer: &Peer, outbox: &mut Outbox) {
        while let Some(slots) = self.slots.get_mut(peer) {
            let Some(&next) = slots.waiting.front() else {
                if slots.taken == 0 {
                    self.slots.remove(peer);
                }
                return;
            };
            let nstart = self
                .live
                .get(&next)
                .map_or(1, |live| live.exchange.parameters.nstart.max(1));
            if slots.taken >= nstart {
                return;
            }
            slots.waiting.pop_front();
            self.start(now, next, outbox);
        }
    }

    fn prune(&mut self) {
        let live = &self.live;
        self.deadlines.prune(live.len(), |at, id| {
            live.get(&id).is_some_and(|live| live.deadline == at)
        });
    }
}
