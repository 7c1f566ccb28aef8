//! Sans-IO. What a device's CoAP is like from outside, by its datagrams (RFC 7252 §3).

use std::time::Duration;

use super::device::SocketKind;
use crate::clock::Instant;

/// One thing that happened to a device's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoapSample {
    /// When, on the run's clock.
    pub at: Instant,
    /// The device's index in its fleet.
    pub device: usize,
    /// What.
    pub kind: CoapKind,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoapKind {
    /// A message that begins something went out: confirmable, or a non-confirmable one.
    Sent,
    /// A confirmable message went out again.
    Retransmitted,
    /// A confirmable message was acknowledged, so long after it first went out.
    RoundTrip(Duration),
    /// A confirmable message was given up, or went with the device's power: another one went out on its
    /// socket, and NSTART is one.
    GaveUp,
    /// The answer to a GET came, which is all that a device asks for with one: a block of an image.
    Block {
        /// Of its payload.
        size_bytes: u32,
    },
}

/// Confirmable messages of one device that await their acknowledgement, one for each socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoapWatch {
    main: Option<Awaited>,
    download: Option<Awaited>,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    message_id: [u8; 2],
    is_get: bool,
    sent_at: Instant,
}

const TYPE_MASK: u8 = 0b0011_0000;
const CONFIRMABLE: u8 = 0;
const NON_CONFIRMABLE: u8 = 0b0001_0000;
const ACKNOWLEDGEMENT: u8 = 0b0010_0000;
const RESET: u8 = 0b0011_0000;

/// 0.01 and 2.05.
const GET: u8 = 1;
const CONTENT: u8 = 0x45;

impl CoapWatch {
    /// Looks at a datagram that goes out: what that means, in order.
    pub fn sent(
        &mut self,
        now: Instant,
        socket: SocketKind,
        datagram: &[u8],
    ) -> [Option<CoapKind>; 2] {
        let [first, code, high, low, ..] = *datagram else {
            return [None; 2];
        };
        let message_id = [high, low];
        let place = self.place(socket);
        match first & TYPE_MASK {
            CONFIRMABLE if place.is_some_and(|it| it.message_id == message_id) => {
                [Some(CoapKind::Retransmitted), None]
            }
            CONFIRMABLE => {
                let before = place.replace(Awaited {
                    message_id,
                    is_get: code == GET,
                    sent_at: now,
                });
                [before.map(|_| CoapKind::GaveUp), Some(CoapKind::Sent)]
            }
            NON_CONFIRMABLE => [Some(CoapKind::Sent), None],
            _ => [None; 2],
        }
    }

    /// Looks at a datagram that came: what that means, in order.
    pub fn received(
        &mut self,
        now: Instant,
        socket: SocketKind,
        datagram: &[u8],
    ) -> [Option<CoapKind>; 2] {
        let [first, code, high, low, ..] = *datagram else {
            return [None; 2];
        };
        let kind = first & TYPE_MASK;
        if !matches!(kind, ACKNOWLEDGEMENT | RESET) {
            return [None; 2];
        }
        let place = self.place(socket);
        let Some(awaited) = place.take_if(|it| it.message_id == [high, low]) else {
            return [None; 2];
        };
        let round_trip = CoapKind::RoundTrip(now - awaited.sent_at);
        let is_block = awaited.is_get && code == CONTENT;
        let size_bytes = is_block.then(|| payload_bytes(datagram)).flatten();
        [
            (kind == ACKNOWLEDGEMENT).then_some(round_trip),
            size_bytes.map(|size_bytes| CoapKind::Block { size_bytes }),
        ]
    }

    fn place(&mut self, socket: SocketKind) -> &mut Option<Awaited> {
        match socket {
            SocketKind::Main => &mut self.main,
            SocketKind::Download => &mut self.download,
        }
    }
}

/// What follows the marker behind the options (RFC 7252 §3.1); `None` where they are cut off.
fn payload_bytes(datagram: &[u8]) -> Option<u32> {
    let token_bytes = usize::from(datagram.first()? & 0x0f);
    let mut rest = datagram.get(4 + token_bytes..)?;
    while let Some((&head, after)) = rest.split_first() {
        if head == 0xff {
            return u32::try_from(after.len()).ok();
        }
        let delta_bytes = extended_bytes(head >> 4);
        let length = after.get(delta_bytes..)?;
        let value_bytes = match head & 0x0f {
            13 => 13 + usize::from(*length.first()?),
            14 => 269 + usize::from(u16::from_be_bytes([*length.first()?, *length.get(1)?])),
            plain => usize::from(plain),
        };
        rest = length.get(extended_bytes(head & 0x0f) + value_bytes..)?;
    }
    Some(0)
}

/// How many bytes a nibble of 13 or 14 goes on in.
const fn extended_bytes(nibble: u8) -> usize {
    match nibble {
        13 => 1,
        14 => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: SocketKind = SocketKind::Main;
    const SENT: [Option<CoapKind>; 2] = [None, Some(CoapKind::Sent)];

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    fn round_trip(ms: u64) -> CoapKind {
        CoapKind::RoundTrip(Duration::from_millis(ms))
    }

    #[test]
    fn a_round_trip_is_from_the_first_transmission_to_the_acknowledgement() {
        let mut watch = CoapWatch::default();
        let (con, ack) = ([0x40, 2, 7, 8], [0x60, 0x44, 7, 8]);
        assert_eq!(watch.sent(at(0), MAIN, &con), SENT);
        let again = [Some(CoapKind::Retransmitted), None];
        assert_eq!(watch.sent(at(5), MAIN, &con), again);
        assert_eq!(watch.received(at(6), SocketKind::Download, &ack), [None; 2]);
        assert_eq!(
            watch.received(at(7), MAIN, &ack),
            [Some(round_trip(7)), None]
        );
        assert_eq!(watch.received(at(8), MAIN, &ack), [None; 2]);
    }

    #[test]
    fn the_answer_to_a_get_is_a_block_of_so_many_bytes() {
        let mut watch = CoapWatch::default();
        assert_eq!(watch.sent(at(0), MAIN, &[0x41, 1, 7, 8, 9]), SENT);
        // A token, an ETag of four, Block2, Size2 of a long delta, three bytes.
        let options = [0x44, 1, 2, 3, 4, 0xd1, 6, 0x0d, 0x51, 0x10, 0xff];
        let mut answer = vec![0x61, 0x45, 7, 8, 9];
        answer.extend_from_slice(&options);
        answer.extend_from_slice(b"abc");
        let block = Some(CoapKind::Block { size_bytes: 3 });
        assert_eq!(
            watch.received(at(2), MAIN, &answer),
            [Some(round_trip(2)), block]
        );
    }

    #[test]
    fn a_message_is_given_up_when_another_one_goes_out_on_its_socket() {
        let mut watch = CoapWatch::default();
        assert_eq!(watch.sent(at(0), MAIN, &[0x40, 2, 0, 1]), SENT);
        let elsewhere = watch.sent(at(1), SocketKind::Download, &[0x40, 1, 0, 1]);
        assert_eq!(elsewhere, SENT);
        let next = watch.sent(at(2), MAIN, &[0x40, 2, 0, 2]);
        assert_eq!(next, [Some(CoapKind::GaveUp), Some(CoapKind::Sent)]);
    }

    #[test]
    fn a_servers_request_is_no_acknowledgement_and_the_answer_to_it_begins_nothing() {
        let mut watch = CoapWatch::default();
        assert_eq!(watch.sent(at(0), MAIN, &[0x60, 0x45, 1, 1]), [None; 2]);
        assert_eq!(watch.sent(at(0), MAIN, &[0x40, 2, 1, 3]), SENT);
        assert_eq!(watch.received(at(1), MAIN, &[0x40, 1, 1, 3]), [None; 2]);
        assert_eq!(watch.received(at(2), MAIN, &[0x70, 0, 1, 3]), [None; 2]);
        assert_eq!(watch.sent(at(3), MAIN, &[1]), [None; 2]);
    }
}
