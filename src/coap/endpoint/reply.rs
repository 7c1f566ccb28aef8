//! How a request is answered (RFC 7252 §5.2).

use super::super::dedup::Kept;
use super::super::exchange::Purpose;
use super::super::{
    Message, MessageType, OptionNumber, Reliability, ReplyTo, Response, TransmissionParameters,
};
use super::Endpoint;
use super::request::Content;
use crate::clock::Instant;

impl Endpoint {
    /// Answers a request: piggy-backed on the ACK if it is confirmable and not yet acknowledged, else
    /// separately and confirmable; a non-confirmable request by a non-confirmable response. A
    /// piggy-backed answer is kept for duplicates. One that is long for what its request proved of its
    /// sender is not sent: to a GET the answer is then 4.01 with an Echo option, and to another method
    /// what is left without the payload (RFC 9175 §2.4).
    pub fn respond(&mut self, now: Instant, reply_to: &ReplyTo, response: Response) {
        self.now = now;
        let Some(response) = self.in_proportion(reply_to, response) else {
            return;
        };
        match reply_to.reliability {
            Reliability::NonConfirmable => {
                self.keep_for(reply_to, Kept::Ignored);
                self.respond_separately(reply_to, response, Reliability::NonConfirmable);
            }
            Reliability::Confirmable if self.is_acknowledged(reply_to) => {
                self.respond_separately(reply_to, response, Reliability::Confirmable);
            }
            Reliability::Confirmable => {
                let datagram = piggybacked(reply_to, response).encode();
                self.keep_for(reply_to, Kept::answer(datagram.clone()));
                self.outbox.send(&reply_to.peer, datagram);
            }
        }
    }

    /// Answers a request whose duplicate would get the same answer anyway: nothing is kept, and the
    /// datagram may leave before any record is committed. The payload is not copied. How long it is, is
    /// for the caller to answer for: short, or due to the request's proof of its own.
    pub fn respond_stateless(&mut self, reply_to: &ReplyTo, response: Response) {
        let message = self.unkept(reply_to, response);
        self.outbox.send_stateless(&reply_to.peer, message.encode());
    }

    /// As [`Self::respond_stateless`], for what follows from a change that may not be committed yet.
    pub fn respond_unkept(&mut self, reply_to: &ReplyTo, response: Response) {
        let message = self.unkept(reply_to, response);
        self.outbox.send(&reply_to.peer, message.encode());
    }

    /// Acknowledges a confirmable request whose response will take time (RFC 7252 §5.2.2): its
    /// duplicates are acknowledged again. One that is non-confirmable is only remembered.
    pub fn acknowledge(&mut self, now: Instant, reply_to: &ReplyTo) {
        self.now = now;
        match reply_to.reliability {
            Reliability::NonConfirmable => self.keep_for(reply_to, Kept::Ignored),
            Reliability::Confirmable => {
                self.keep_for(reply_to, Kept::Acknowledged);
                self.outbox.acknowledge(&reply_to.peer, reply_to.message_id);
            }
        }
    }

    fn unkept(&mut self, reply_to: &ReplyTo, response: Response) -> Message {
        match reply_to.reliability {
            Reliability::Confirmable => piggybacked(reply_to, response),
            Reliability::NonConfirmable => self.non_confirmable(reply_to, response),
        }
    }

    fn respond_separately(
        &mut self,
        reply_to: &ReplyTo,
        response: Response,
        reliability: Reliability,
    ) {
        let response = with_block1(reply_to, response);
        let is_full = self.exchanges.is_full_for(&reply_to.peer);
        if reliability == Reliability::Confirmable && !is_full {
            let content = Content::of_response(Purpose::SeparateResponse, reply_to.token, response);
            let parameters: TransmissionParameters = self.config.parameters;
            // Room was looked for above.
            let _ = self.open(self.now, &reply_to.peer, content, reliability, &parameters);
            return;
        }
        // With no room to repeat it, it is sent once: better than not at all.
        let message = self.non_confirmable(reply_to, response);
        self.outbox.send(&reply_to.peer, message.encode());
    }

    fn non_confirmable(&mut self, reply_to: &ReplyTo, response: Response) -> Message {
        let parameters = self.config.parameters;
        let peer = &reply_to.peer;
        let id = self.next_message_id(peer, Reliability::NonConfirmable, &parameters);
        Message {
            kind: MessageType::NonConfirmable,
            id,
            ..piggybacked(reply_to, response)
        }
    }

    /// Whether the ACK has gone. Where the note of it was pushed out by others, time tells: the
    /// response would have been piggy-backed within PROCESSING_DELAY.
    fn is_acknowledged(&self, reply_to: &ReplyTo) -> bool {
        let ReplyTo {
            peer,
            message_id,
            token,
            ..
        } = reply_to;
        match self.dedup.find(self.now, peer, *message_id, *token) {
            Some(Kept::Acknowledged) => true,
            Some(Kept::Ignored | Kept::Answer(_)) => false,
            None => {
                let processing_delay = self.config.parameters.processing_delay();
                self.now - reply_to.received_at > processing_delay
            }
        }
    }

    fn keep_for(&mut self, reply_to: &ReplyTo, kept: Kept) {
        let message = (reply_to.message_id, reply_to.token);
        self.keep(&reply_to.peer, message, reply_to.reliability, kept);
    }
}

fn piggybacked(reply_to: &ReplyTo, response: Response) -> Message {
    let response = with_block1(reply_to, response);
    Message {
        kind: MessageType::Acknowledgement,
        code: response.code,
        id: reply_to.message_id,
        token: reply_to.token,
        options: response.options,
        payload: response.payload,
    }
}

/// RFC 7959 §2.3: the response to the last piece repeats its Block1.
fn with_block1(reply_to: &ReplyTo, mut response: Response) -> Response {
    if let Some(block) = reply_to.block1
        && response.options.first(OptionNumber::BLOCK1).is_none()
    {
        block.put(&mut response.options, OptionNumber::BLOCK1);
    }
    response
}
