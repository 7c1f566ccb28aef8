//! What is to leave, in order.

use std::collections::VecDeque;

use super::{Counters, Message, MessageId, MessageType};
use crate::model::{Datagram, Peer, Transmit};

/// Datagrams that wait to be polled, and the counters.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    transmits: VecDeque<Transmit>,
    pub(super) counters: Counters,
}

impl Outbox {
    /// Sends a datagram.
    pub(super) fn send(&mut self, peer: &Peer, datagram: Datagram) {
        self.push(peer, datagram, false);
    }

    /// Sends a datagram that says nothing a record could take back.
    pub(super) fn send_stateless(&mut self, peer: &Peer, datagram: Datagram) {
        self.push(peer, datagram, true);
    }

    /// Sends an empty ACK.
    pub(super) fn acknowledge(&mut self, peer: &Peer, id: MessageId) {
        let message = Message::empty(MessageType::Acknowledgement, id);
        self.send(peer, message.encode());
    }

    /// Rejects a message (RFC 7252 §4.2, §4.3).
    pub(super) fn reset(&mut self, peer: &Peer, id: MessageId) {
        let message = Message::empty(MessageType::Reset, id);
        self.send_stateless(peer, message.encode());
    }

    /// Takes the next datagram.
    pub(super) fn poll(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn push(&mut self, peer: &Peer, datagram: Datagram, stateless: bool) {
        self.counters.sent += 1;
        self.transmits.push_back(Transmit {
            peer: peer.clone(),
            datagram,
            stateless,
        });
    }
}
