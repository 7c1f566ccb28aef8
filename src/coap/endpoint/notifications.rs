//! Notifications that come, and the rest of those that come in blocks (RFC 7959 §2.6): the first block
//! is notified, and the others are fetched by requests of their own, without Observe.

use std::collections::HashMap;

use rand::Rng;

use super::super::exchange::Purpose;
use super::super::transfer::{Transfer, is_part};
use super::super::{
    Event, OptionNumber, Reliability, Request, RequestId, Response, Token, TransmissionParameters,
};
use super::Endpoint;
use super::request::Content;
use crate::clock::Instant;
use crate::model::Peer;

/// Which notification's rest is being fetched by which request: at most one of an observation.
#[derive(Debug, Default)]
pub(super) struct Rests(HashMap<Token, RequestId>);

impl Endpoint {
    /// Fetches the rest of a notification of which [`Event::NotificationBegun`] has told: `request` is
    /// the one that the observation began with, to where the device is now. Ends in an
    /// [`Event::Notification`] with the whole, or in nothing: where a newer one comes meanwhile, or where
    /// it cannot be fetched, which is counted as broken. Bounded as responses in blocks are.
    pub fn fetch_notification(
        &mut self,
        now: Instant,
        peer: &Peer,
        token: Token,
        request: Request,
        first: Response,
        parameters: &TransmissionParameters,
    ) {
        self.now = now;
        self.abandon_rest(token);
        let (bytes_max, restarts_max) = (
            self.config.block2_body_bytes_max,
            self.config.block_restarts_max,
        );
        let has_room = self.transfers.fetching() < self.config.block2_bodies_max;
        let transfer = Transfer::fetching(request, first, bytes_max, restarts_max);
        let Some(transfer) = transfer.ok().filter(|_| has_room) else {
            self.outbox.counters.transfers_broken += 1;
            return;
        };
        let own_token = Token::from(self.rng.r#gen::<[u8; 8]>());
        let purpose = Purpose::NotificationRest(token);
        let content = Content::of_request(purpose, own_token, transfer.block());
        match self.open(now, peer, content, Reliability::Confirmable, parameters) {
            Ok(id) => {
                self.transfers.insert(id, transfer);
                self.rests.0.insert(token, id);
            }
            Err(_) => self.outbox.counters.transfers_broken += 1,
        }
    }

    /// A response under the token of an observation, with no request outstanding under it.
    pub(super) fn handle_notification(&mut self, peer: &Peer, token: Token, response: Response) {
        let observe = response.options.uint(OptionNumber::OBSERVE);
        let is_last = observe.is_none() || !response.code.is_success();
        if is_last {
            self.observations.remove(token);
        } else if !self
            .observations
            .advance(self.now, token, observe.unwrap_or(0))
        {
            self.outbox.counters.stale_notifications += 1;
            return;
        }
        // What is being fetched is older.
        self.abandon_rest(token);
        let begins =
            response.code.is_success() && self.config.block2_bodies_max > 0 && is_part(&response);
        if begins {
            self.events.push_back(Event::NotificationBegun {
                peer: peer.clone(),
                token,
                first: response,
            });
        } else {
            self.notified(peer.clone(), token, response);
        }
    }

    /// The rest of a notification has come. An error in its place leaves nothing to tell.
    pub(super) fn rest_fetched(&mut self, id: RequestId, token: Token, response: Response) {
        let Some(exchange) = self.end_exchange(id) else {
            return;
        };
        if response.code.is_success() {
            self.notified(exchange.peer, token, response);
        } else {
            self.outbox.counters.transfers_broken += 1;
        }
    }

    /// A request that was for the rest of a notification has ended, however.
    pub(super) fn forget_rest(&mut self, id: RequestId, purpose: Purpose) {
        if let Purpose::NotificationRest(token) = purpose
            && self.rests.0.get(&token) == Some(&id)
        {
            self.rests.0.remove(&token);
        }
    }

    /// Nobody wants the rest of what was notified under this token any more.
    pub(super) fn abandon_rest(&mut self, token: Token) {
        if let Some(id) = self.rests.0.get(&token).copied() {
            self.end_exchange(id);
        }
    }

    fn notified(&mut self, peer: Peer, token: Token, response: Response) {
        self.outbox.counters.notifications += 1;
        self.events.push_back(Event::Notification {
            peer,
            token,
            response,
        });
    }
}
