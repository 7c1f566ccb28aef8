//! Echo (RFC 9175 §2). Whoever has shown nothing yet is answered with at most a few times what it sent
//! (§2.4): its address may be that of another, who never asked. A longer answer waits until the request
//! comes again with a value that went to that address. Requests of ours come again likewise, where a
//! device wants to see that they are fresh (§2.3).

use bytes::Bytes;
use rand::Rng;

use super::super::digest::{Digests, Seconds};
use super::super::exchange::Purpose;
use super::super::{
    Code, Message, OptionNumber, Options, ReplyTo, Request, RequestId, Response, Token,
};
use super::Endpoint;
use crate::clock::Instant;
use crate::model::Peer;

/// RFC 9175 §2.4: what may be answered for each byte of a request.
const AMPLIFICATION_MAX: usize = 3;

/// A value's bytes: the second in which it ends, and a digest that only we can make.
const SECONDS_BYTES: usize = 4;

impl Endpoint {
    /// How long the answer to a request may be, in bytes: any length where the request proves that its
    /// sender is where it seems to be.
    pub(super) fn answer_bytes_max(
        &self,
        peer: &Peer,
        request_bytes: usize,
        options: &Options,
    ) -> usize {
        let is_proved = match peer {
            Peer::Secured(_) => true,
            Peer::Address(_) => options
                .first(OptionNumber::ECHO)
                .is_some_and(|value| is_ours(&self.echoes, self.now, peer, value)),
        };
        if is_proved {
            usize::MAX
        } else {
            (AMPLIFICATION_MAX * request_bytes).max(self.config.unproved_answer_bytes_max)
        }
    }

    /// Gives an answer back that may go out as it is. One that is too long is replaced by a challenge
    /// where asking again does no harm; what else was done has been done, and loses the text that says so.
    pub(super) fn in_proportion(
        &mut self,
        reply_to: &ReplyTo,
        mut response: Response,
    ) -> Option<Response> {
        if response.bytes_max() <= reply_to.answer_bytes_max {
            return Some(response);
        }
        self.outbox.counters.unproved += 1;
        if !reply_to.is_safe {
            response.options.remove(OptionNumber::CONTENT_FORMAT);
            response.payload = Bytes::new();
            return Some(response);
        }
        let mut challenge = Response::new(Code::UNAUTHORIZED);
        let until = Seconds::at_least(self.now + self.config.parameters.exchange_lifetime());
        let value = value(&self.echoes, &reply_to.peer, until);
        challenge.options.push(OptionNumber::ECHO, value);
        self.respond_stateless(reply_to, challenge);
        None
    }

    /// Sends a request of ours once more, with the Echo value that its answer asks for. Gives the answer
    /// back where it asks for none, or asks again.
    pub(super) fn repeat_with_echo(
        &mut self,
        id: RequestId,
        response: Response,
    ) -> Option<Response> {
        if response.code != Code::UNAUTHORIZED {
            return Some(response);
        }
        let Some(value) = response.options.first(OptionNumber::ECHO).cloned() else {
            return Some(response);
        };
        let sent = self.exchanges.get(id).and_then(|exchange| {
            let message = Message::decode(&exchange.datagram.to_vec(), usize::MAX).ok()?;
            Some((exchange.purpose, message))
        });
        let Some((purpose, mut sent)) = sent else {
            return Some(response);
        };
        if sent.options.first(OptionNumber::ECHO).is_some() {
            return Some(response);
        }
        sent.options.push(OptionNumber::ECHO, value);
        self.outbox.counters.echoed += 1;
        // Notifications will carry the token that its user was told.
        let token = match purpose {
            Purpose::Observe | Purpose::CancelObservation => sent.token,
            Purpose::Request
            | Purpose::NotificationRest(_)
            | Purpose::Ping
            | Purpose::Notification
            | Purpose::SeparateResponse => Token::from(self.rng.r#gen::<[u8; 8]>()),
        };
        let request = Request {
            code: sent.code,
            options: sent.options,
            payload: sent.payload,
        };
        self.go_on(id, purpose, token, request);
        None
    }
}

fn value(echoes: &Digests, peer: &Peer, until: Seconds) -> Vec<u8> {
    let mut value = until.to_be_bytes().to_vec();
    value.extend(echoes.of((peer, until.to_be_bytes())).to_be_bytes());
    value
}

fn is_ours(echoes: &Digests, now: Instant, peer: &Peer, given: &[u8]) -> bool {
    let Some(until) = given.first_chunk::<SECONDS_BYTES>() else {
        return false;
    };
    let until = Seconds::from_be_bytes(*until);
    !until.is_past(now) && value(echoes, peer, until) == given
}
