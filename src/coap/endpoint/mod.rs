//! The endpoint: bytes and requests in, events and datagrams out.

mod echo;
mod notifications;
mod receive;
mod reply;
mod request;
mod transfers;

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::block1::Block1Bodies;
use super::dedup::{Dedup, Kept};
use super::digest::Digests;
use super::exchange::{Exchange, Exchanges, Purpose};
use super::message_ids::MessageIds;
use super::observe::Observations;
use super::outbox::Outbox;
use super::transfer::Transfers;
use super::{
    Counters, EndpointConfig, Event, Held, MessageId, Reliability, RequestId, Token,
    TransmissionParameters,
};
use crate::clock::Instant;
use crate::model::{Peer, Transmit};
use notifications::Rests;

/// One CoAP endpoint in both roles. It performs no I/O: datagrams and the time come in, and after
/// each input events and datagrams are polled until there are none.
///
/// What an idle peer costs is nothing but answers kept for duplicates and its last message id, both
/// for at most EXCHANGE_LIFETIME and bounded. No call looks at more than the peer it is about.
#[derive(Debug)]
pub struct Endpoint {
    config: EndpointConfig,
    rng: StdRng,
    now: Instant,
    events: VecDeque<Event>,
    outbox: Outbox,
    exchanges: Exchanges,
    /// Of exchanges that have not ended: those that are one block of several.
    transfers: Transfers,
    observations: Observations,
    /// Of transfers: those that fetch what was notified.
    rests: Rests,
    dedup: Dedup,
    bodies: Block1Bodies,
    message_ids: MessageIds,
    /// What Echo values are made with.
    echoes: Digests,
}

impl Endpoint {
    /// An endpoint with nothing under way. Tokens, message ids and the spread of retransmissions
    /// come from `rng`: in a server it must have been seeded from the operating system.
    pub fn new(config: EndpointConfig, mut rng: StdRng) -> Self {
        // The generator of timings is apart from that of tokens.
        let timing_rng = StdRng::from_seed(rng.r#gen());
        Self {
            now: Instant::ORIGIN,
            events: VecDeque::new(),
            outbox: Outbox::default(),
            exchanges: Exchanges::new(config.requests_max, config.queue_per_peer_max, timing_rng),
            transfers: Transfers::default(),
            observations: Observations::new(config.observations_max),
            rests: Rests::default(),
            dedup: Dedup::new(rng.r#gen(), config.dedup_entries_max),
            bodies: Block1Bodies::new(rng.r#gen(), &config),
            message_ids: MessageIds::new(rng.r#gen(), config.message_ids_max),
            echoes: Digests::new(rng.r#gen()),
            config,
            rng,
        }
    }

    /// Does what is due: repeats messages, gives exchanges up, forgets what is past.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some((id, exchange)) = self.exchanges.next_given_up(now, &mut self.outbox) {
            self.transfers.remove(id);
            self.forget_rest(id, exchange.purpose);
            let is_notification = exchange.purpose == Purpose::Notification;
            if is_notification && exchange.reliability == Reliability::NonConfirmable {
                continue;
            }
            self.outbox.counters.timeouts += 1;
            if exchange.purpose == Purpose::Observe {
                // Unless the device has moved, and notified from its new address.
                self.observations.remove_if_silent(exchange.token);
            }
            if let Some(peer) = self.asker(exchange) {
                self.events.push_back(Event::TimedOut { id, peer });
            }
        }
        self.bodies.expire(now);
        self.dedup.expire(now);
        self.message_ids.expire(now);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.poll()
    }

    /// When [`Self::handle_timeout`] is next to be called. What only waits to be forgotten does not
    /// count: that happens along the way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.exchanges.deadline(), self.bodies.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.outbox.counters
    }

    /// What it holds now.
    pub fn held(&self) -> Held {
        Held {
            dedup_entries: self.dedup.len(),
            requests: self.exchanges.len(),
            message_ids: self.message_ids.len(),
            block1_bodies: self.bodies.len(),
            transfers: self.transfers.len(),
            observations: self.observations.len(),
            deadlines: self.exchanges.deadlines() + self.bodies.deadlines(),
        }
    }

    fn next_message_id(
        &mut self,
        peer: &Peer,
        reliability: Reliability,
        parameters: &TransmissionParameters,
    ) -> MessageId {
        let lifetime = match reliability {
            Reliability::Confirmable => parameters.exchange_lifetime(),
            Reliability::NonConfirmable => parameters.non_lifetime(),
        };
        loop {
            let rng = &mut self.rng;
            let id = self.message_ids.next(self.now, peer, lifetime, rng);
            // Only a sequence that was pushed out by others can come to an id in use.
            if !self.exchanges.uses(peer, id) {
                return id;
            }
        }
    }

    /// Keeps what a duplicate of a message from `peer` is answered with.
    fn keep(
        &mut self,
        peer: &Peer,
        (id, token): (MessageId, Token),
        reliability: Reliability,
        kept: Kept,
    ) {
        let lifetime = match reliability {
            Reliability::Confirmable => self.config.parameters.exchange_lifetime(),
            Reliability::NonConfirmable => self.config.parameters.non_lifetime(),
        };
        self.outbox.counters.duplicates_evicted +=
            self.dedup.keep(self.now, peer, id, token, kept, lifetime);
    }

    /// The peer to name above where an exchange ends without an answer; `None` where nobody above began
    /// it.
    fn asker(&mut self, exchange: Exchange) -> Option<Peer> {
        match exchange.purpose {
            Purpose::SeparateResponse => None,
            Purpose::NotificationRest(_) => {
                self.outbox.counters.transfers_broken += 1;
                None
            }
            Purpose::Request
            | Purpose::Observe
            | Purpose::CancelObservation
            | Purpose::Ping
            | Purpose::Notification => Some(exchange.peer),
        }
    }

    fn end_exchange(&mut self, id: RequestId) -> Option<Exchange> {
        self.transfers.remove(id);
        let exchange = self.exchanges.end(self.now, id, &mut self.outbox)?;
        self.forget_rest(id, exchange.purpose);
        Some(exchange)
    }
}
