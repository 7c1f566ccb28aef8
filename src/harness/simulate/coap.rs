//! What a device's CoAP is like from outside: its datagrams say it all (RFC 7252 §3). Sans-IO.

use crate::clock::Instant;
use crate::coap::{Code, Message, MessageId, MessageType, OptionNumber};
use crate::harness::CoapSample;
use crate::sim::SocketKind;

/// The most options that are looked at.
const OPTIONS_MAX: usize = 32;

/// Confirmable messages of one device that await their acknowledgement: as NSTART is one, of each socket
/// one, and room for what was given up before.
#[derive(Clone, Debug, Default)]
pub(super) struct CoapWatch {
    awaited: [Option<Awaited>; 3],
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    socket: SocketKind,
    id: MessageId,
    sent_at: Instant,
}

impl CoapWatch {
    /// A datagram leaves the device.
    pub(super) fn sent(
        &mut self,
        now: Instant,
        socket: SocketKind,
        datagram: &[u8],
    ) -> Option<CoapSample> {
        let (kind, id) = head(datagram)?;
        if kind == MessageType::NonConfirmable {
            return Some(CoapSample::Sent);
        } else if kind != MessageType::Confirmable {
            return None;
        }
        if self.place(socket, id).is_some() {
            return Some(CoapSample::Retransmitted);
        }
        self.awaited.rotate_right(1);
        self.awaited[0] = Some(Awaited {
            socket,
            id,
            sent_at: now,
        });
        Some(CoapSample::Sent)
    }

    /// One comes to it: what it acknowledges, and the block that it brings.
    pub(super) fn received(
        &mut self,
        now: Instant,
        socket: SocketKind,
        datagram: &[u8],
    ) -> [Option<CoapSample>; 2] {
        let Some((MessageType::Acknowledgement, id)) = head(datagram) else {
            return [None, None];
        };
        let Some(awaited) = self.place(socket, id).and_then(Option::take) else {
            return [None, None];
        };
        let round_trip = CoapSample::RoundTrip(now.saturating_since(awaited.sent_at));
        [Some(round_trip), block(datagram)]
    }

    fn place(&mut self, socket: SocketKind, id: MessageId) -> Option<&mut Option<Awaited>> {
        let is_it = |it: &Awaited| it.socket == socket && it.id == id;
        self.awaited
            .iter_mut()
            .find(|place| place.as_ref().is_some_and(is_it))
    }
}

/// Type and message id.
fn head(datagram: &[u8]) -> Option<(MessageType, MessageId)> {
    let [first, _, high, low, ..] = *datagram else {
        return None;
    };
    let kind = match (first >> 4) & 0b11 {
        0 => MessageType::Confirmable,
        1 => MessageType::NonConfirmable,
        2 => MessageType::Acknowledgement,
        _ => MessageType::Reset,
    };
    Some((kind, MessageId(u16::from_be_bytes([high, low]))))
}

fn block(datagram: &[u8]) -> Option<CoapSample> {
    let message = Message::decode(datagram, OPTIONS_MAX).ok()?;
    let is_block =
        message.code == Code::CONTENT && message.options.first(OptionNumber::BLOCK2).is_some();
    is_block.then(|| CoapSample::BlockReceived {
        size_bytes: u32::try_from(message.payload.len()).unwrap_or(u32::MAX),
    })
}
