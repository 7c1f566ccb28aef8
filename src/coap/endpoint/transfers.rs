//! Requests that take more than one exchange: their next block goes out under the same request id, in
//! the same place among the peer's interactions (NSTART), behind whatever waits for one.

use rand::Rng;

use super::super::codec::Header;
use super::super::event::TransferError;
use super::super::exchange::{Exchange, Purpose};
use super::super::transfer::{Next, Transfer, has_more};
use super::super::{
    Code, Event, Full, Message, MessageType, OptionNumber, Reliability, Request, RequestId,
    Response, Token, TransmissionParameters,
};
use super::Endpoint;
use super::request::Content;
use crate::clock::Instant;
use crate::model::Peer;

impl Endpoint {
    /// Sends a request whose body is longer than one block, block by block.
    pub(super) fn request_in_blocks(
        &mut self,
        now: Instant,
        peer: &Peer,
        request: Request,
        reliability: Reliability,
        parameters: &TransmissionParameters,
    ) -> Result<RequestId, Full> {
        let szx = self.config.block1_szx;
        let transfer =
            Transfer::sending(request, szx, self.config.block_restarts_max).ok_or(Full)?;
        let token = Token::from(self.rng.r#gen::<[u8; 8]>());
        let content = Content::of_request(Purpose::Request, token, transfer.block());
        let id = self.open(now, peer, content, reliability, parameters)?;
        self.transfers.insert(id, transfer);
        Ok(id)
    }

    /// Takes a response that may be that to a block. Gives it back, whole, where the request is over.
    pub(super) fn take_block(&mut self, id: RequestId, response: Response) -> Option<Response> {
        let Some(transfer) = self.transfers.get_mut(id) else {
            return self.begin_fetching(id, response);
        };
        let size_bytes = transfer.size_bytes();
        match transfer.answered(response) {
            Next::Block {
                request,
                taken_bytes,
            } => {
                if let Some(bytes) = taken_bytes {
                    self.tell_taken(id, bytes);
                }
                self.send_block(id, request);
                None
            }
            Next::Done { response, taken } => {
                if taken {
                    self.tell_taken(id, size_bytes);
                }
                Some(response)
            }
            Next::Broken(error) => {
                self.give_up(id, error);
                None
            }
        }
    }

    /// A response of which only the first block has come is fetched whole, where the request was a GET:
    /// what another method did would be done again (RFC 7959 §2.7). Who asked for a block gets it alone.
    fn begin_fetching(&mut self, id: RequestId, response: Response) -> Option<Response> {
        if self.config.block2_bodies_max == 0 || !has_more(&response) {
            return Some(response);
        }
        let options_max = self.config.options_max;
        let Some(request) = self
            .exchanges
            .get(id)
            .and_then(|exchange| get_request(exchange, options_max))
        else {
            return Some(response);
        };
        self.establish(id, &response);
        let (bytes_max, restarts_max) = (
            self.config.block2_body_bytes_max,
            self.config.block_restarts_max,
        );
        if self.transfers.fetching() >= self.config.block2_bodies_max {
            self.give_up(id, TransferError::TooMany);
            return None;
        }
        match Transfer::fetching(request, response, bytes_max, restarts_max) {
            Ok(transfer) => {
                let request = transfer.block();
                self.transfers.insert(id, transfer);
                self.send_block(id, request);
            }
            Err(error) => self.give_up(id, error),
        }
        None
    }

    /// Sends the next block of a request under a message id and a token of its own.
    fn send_block(&mut self, id: RequestId, request: Request) {
        let Some(exchange) = self.exchanges.get(id) else {
            return;
        };
        // An observation has begun with its first answer; the rest is fetched without it (§2.6).
        let purpose = match exchange.purpose {
            Purpose::NotificationRest(observed) => Purpose::NotificationRest(observed),
            Purpose::Request
            | Purpose::Observe
            | Purpose::CancelObservation
            | Purpose::Ping
            | Purpose::Notification
            | Purpose::SeparateResponse => Purpose::Request,
        };
        let token = Token::from(self.rng.r#gen::<[u8; 8]>());
        self.go_on(id, purpose, token, request);
    }

    /// Sends `request` in the place of one that was answered.
    pub(super) fn go_on(
        &mut self,
        id: RequestId,
        purpose: Purpose,
        token: Token,
        request: Request,
    ) {
        let Some(exchange) = self.exchanges.get(id) else {
            return;
        };
        let (peer, reliability) = (exchange.peer.clone(), exchange.reliability);
        let parameters = exchange.parameters;
        let message_id = self.next_message_id(&peer, reliability, &parameters);
        let message = Message {
            kind: match reliability {
                Reliability::Confirmable => MessageType::Confirmable,
                Reliability::NonConfirmable => MessageType::NonConfirmable,
            },
            code: request.code,
            id: message_id,
            token,
            options: request.options,
            payload: request.payload,
        };
        let exchange = Exchange {
            peer,
            message_id,
            token,
            purpose,
            reliability,
            parameters,
            datagram: message.encode(),
        };
        self.exchanges
            .go_on(self.now, id, exchange, &mut self.outbox);
    }

    fn tell_taken(&mut self, id: RequestId, bytes: usize) {
        if let Some(exchange) = self.exchanges.get(id) {
            self.events.push_back(Event::BlockTaken {
                id,
                peer: exchange.peer.clone(),
                taken_bytes: bytes as u64,
            });
        }
    }

    fn give_up(&mut self, id: RequestId, error: TransferError) {
        self.outbox.counters.transfers_broken += 1;
        if let Some(exchange) = self.end_exchange(id)
            && !matches!(exchange.purpose, Purpose::NotificationRest(_))
        {
            let peer = exchange.peer;
            self.events.push_back(Event::Broken { id, peer, error });
        }
    }
}

/// The request of an exchange, if it was a GET of the whole. An Echo value is not of it: that was for
/// one message, and a device that takes each value once would refuse the next block.
fn get_request(exchange: &Exchange, options_max: usize) -> Option<Request> {
    let head = &exchange.datagram.head;
    let is_get = Header::decode(head).is_ok_and(|header| header.code == Code::GET);
    let mut message = Message::decode(head, options_max).ok().filter(|_| is_get)?;
    message.options.remove(OptionNumber::ECHO);
    if message.options.first(OptionNumber::BLOCK2).is_some() {
        return None;
    }
    Some(Request {
        code: message.code,
        options: message.options,
        payload: message.payload,
    })
}
