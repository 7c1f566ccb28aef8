//! Hostile datagrams: random bytes, messages with bytes changed, and messages built to reach each
//! handler with something in them that is not as it should be.

mod requests;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::coap::{Code, ContentFormat, Message, MessageId, MessageType, OptionNumber, Token};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};

use super::fleet;
use super::known::Known;
use crate::seeds;

/// Which half a datagram belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// Random bytes, or bytes changed in what a device sent.
    Bytes,
    /// A message made for a handler.
    Structure,
}

/// Who a datagram says that it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An address of the adversary's.
    Stranger,
    /// A device that it speaks for.
    Captured,
    /// A device that it does not.
    Honest,
}

#[derive(Clone, Debug)]
pub(crate) struct Hostile {
    pub(crate) half: Half,
    pub(crate) origin: Origin,
    pub(crate) from: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A body on its way in pieces.
#[derive(Debug)]
struct Upload {
    from: SocketAddr,
    origin: Origin,
    name: String,
    tag: Option<u8>,
    body: Bytes,
    szx: u8,
    num: u32,
}

pub(crate) struct Adversary {
    rng: StdRng,
    seeds: Vec<Vec<u8>>,
    links: Vec<Vec<u8>>,
    packs_json: Vec<Vec<u8>>,
    packs_cbor: Vec<Vec<u8>>,
    uploads: Vec<Upload>,
    last: Option<Hostile>,
}

impl Adversary {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed ^ 0xad5e),
            seeds: seeds::datagrams(),
            links: seeds::links(),
            packs_json: seeds::senml_json(),
            packs_cbor: seeds::senml_cbor(),
            uploads: Vec::new(),
            last: None,
        }
    }

    pub(crate) fn gap(&mut self, max: Duration) -> Duration {
        max.mul_f64(self.rng.gen_range(0.0..1.0))
    }

    pub(crate) fn next(&mut self, known: &mut Known, half: Half) -> Hostile {
        // Again: a duplicate to the last byte.
        if half == Half::Structure
            && self.one_in(20)
            && let Some(last) = self.last.clone()
        {
            return Hostile { half, ..last };
        }
        let (origin, from) = self.origin(known);
        let hostile = match half {
            Half::Bytes => Hostile {
                half,
                origin,
                from,
                bytes: self.bytes(known, origin),
            },
            Half::Structure => self.structure(known, origin, from),
        };
        self.last = Some(hostile.clone());
        hostile
    }

    fn one_in(&mut self, of: u32) -> bool {
        self.rng.gen_ratio(1, of)
    }

    fn random(&mut self, bytes: usize) -> Vec<u8> {
        let mut random = vec![0; bytes];
        self.rng.fill_bytes(&mut random);
        random
    }

    fn origin(&mut self, known: &Known) -> (Origin, SocketAddr) {
        match self.rng.gen_range(0..10) {
            0..4 => (Origin::Captured, pick(&mut self.rng, &known.captured)),
            4 => (Origin::Honest, pick(&mut self.rng, &known.honest)),
            5..8 => (Origin::Stranger, stranger(self.rng.gen_range(0..200))),
            _ => (Origin::Stranger, stranger(self.rng.gen_range(0..60_000))),
        }
    }

    fn bytes(&mut self, known: &Known, origin: Origin) -> Vec<u8> {
        if self.one_in(4) {
            let bytes = match self.rng.gen_range(0..50) {
                0 => self.rng.gen_range(2_000..2_200),
                1..10 => self.rng.gen_range(0..5),
                _ => self.rng.gen_range(5..80),
            };
            let mut random = self.random(bytes);
            // Random bytes are of version 1 once in four.
            if self.one_in(2)
                && let Some(first) = random.first_mut()
            {
                *first = *first & 0x3f | 0x40;
            }
            return random;
        }
        let of_captured = if origin == Origin::Honest {
            None
        } else {
            known.sent.any(&mut self.rng)
        };
        let mut bytes = of_captured
            .filter(|_| self.rng.gen_ratio(1, 2))
            .unwrap_or_else(|| pick(&mut self.rng, &self.seeds));
        for _ in 0..self.rng.gen_range(1..=3) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let at = self.rng.gen_range(0..=len);
        match self.rng.gen_range(0..10) {
            0..5 if at < len => bytes[at] ^= 1 << self.rng.gen_range(0..8),
            5 | 6 if at < len => bytes[at] = self.rng.r#gen(),
            7 => bytes.truncate(at),
            8 => {
                let end = len.min(at + self.rng.gen_range(1..6));
                bytes.drain(at..end);
            }
            _ => {
                let count = self.rng.gen_range(1..6);
                let new = self.random(count);
                bytes.splice(at..at, new);
            }
        }
    }

    fn structure(&mut self, known: &mut Known, origin: Origin, from: SocketAddr) -> Hostile {
        let (mut origin, mut from) = (origin, from);
        let mut message = match self.rng.gen_range(0..100) {
            0..14 => self.register(known, origin),
            14..24 => self.registration_update(known, origin),
            24..27 => self.deregister(known, origin),
            27..40 => self.block_request(known, origin),
            40..42 => self.other_request(),
            42..46 if origin != Origin::Honest => self.send(),
            42..54 => {
                let (piece, by, at) = self.piece(known, origin, from);
                (origin, from) = (by, at);
                piece
            }
            54..68 => self.notification(known, origin),
            68..88 => {
                let (answer, at) = self.answer(known, origin, from);
                from = at;
                if origin != Origin::Honest {
                    origin = origin_of(known, at);
                }
                answer
            }
            88..92 => Message::empty(self.kind_of_all(), MessageId(self.rng.r#gen())),
            _ => self.refused_request(),
        };
        if self.one_in(3) {
            self.bend(&mut message);
        }
        let mut bytes = message.encode().to_vec();
        if self.one_in(12) {
            self.change(&mut bytes);
        }
        Hostile {
            half: Half::Structure,
            origin,
            from,
            bytes,
        }
    }

    fn value(&mut self) -> (Option<ContentFormat>, Vec<u8>) {
        match self.rng.gen_range(0..9) {
            0 => (
                Some(ContentFormat::TLV),
                vec![0xc1, 3, self.rng.gen_range(0..5)],
            ),
            1 => (Some(ContentFormat::TLV), self.random(6)),
            2 => (Some(ContentFormat::OPAQUE), self.random(40)),
            3 => (Some(ContentFormat(self.rng.r#gen())), b"1".to_vec()),
            4 => (None, b"-97".to_vec()),
            5 => (Some(ContentFormat::TEXT), b"9.9.9".to_vec()),
            _ => {
                let digit = self.rng.gen_range(0..12_u8).to_string();
                (Some(ContentFormat::TEXT), digit.into_bytes())
            }
        }
    }

    fn put_value(&mut self, message: &mut Message) {
        let (format, payload) = self.value();
        if let Some(format) = format {
            let options = &mut message.options;
            options.push_uint(OptionNumber::CONTENT_FORMAT, format.0.into());
        }
        message.payload = Bytes::from(payload);
    }

    fn notification(&mut self, known: &Known, origin: Origin) -> Message {
        let mut message = self.request(Code::CONTENT, &[]);
        if origin != Origin::Honest
            && self.rng.gen_ratio(4, 5)
            && let Some(token) = known.tokens.any(&mut self.rng)
        {
            message.token = token;
        }
        if self.one_in(8) {
            message.code = Code::NOT_FOUND;
        }
        if !self.one_in(8) {
            let sequence = self.rng.gen_range(0..1 << 24);
            message.options.push_uint(OptionNumber::OBSERVE, sequence);
        }
        self.put_value(&mut message);
        message
    }

    /// Something that could answer what the server asked.
    fn answer(&mut self, known: &Known, origin: Origin, from: SocketAddr) -> (Message, SocketAddr) {
        let asked = known.asked.newest(&mut self.rng);
        let (to, asked) = asked
            .filter(|_| origin != Origin::Honest)
            .unwrap_or_else(|| (from, self.request(Code::GET, &[])));
        let id = asked.id;
        let answer = match self.rng.gen_range(0..10) {
            0 => Message::empty(MessageType::Reset, id),
            1 | 2 => Message::empty(MessageType::Acknowledgement, id),
            choice => {
                let mut answer = Message::empty(MessageType::Acknowledgement, id);
                if choice == 3 {
                    answer.kind = MessageType::Confirmable;
                    answer.id = MessageId(self.rng.r#gen());
                }
                answer.token = asked.token;
                let codes = [
                    Code::CONTENT,
                    Code::CONTENT,
                    Code::CHANGED,
                    Code::NOT_FOUND,
                    Code::INTERNAL_SERVER_ERROR,
                ];
                answer.code = pick(&mut self.rng, &codes);
                if asked.options.first(OptionNumber::OBSERVE).is_some() && self.one_in(2) {
                    answer.options.push_uint(OptionNumber::OBSERVE, 1);
                }
                if answer.code == Code::CONTENT {
                    self.put_value(&mut answer);
                }
                answer
            }
        };
        // Most often from where the question went.
        let at = if self.one_in(6) { from } else { to };
        (answer, if origin == Origin::Honest { from } else { at })
    }

    fn kind_of_all(&mut self) -> MessageType {
        let kinds = [
            MessageType::Confirmable,
            MessageType::NonConfirmable,
            MessageType::Acknowledgement,
            MessageType::Reset,
        ];
        pick(&mut self.rng, &kinds)
    }

    /// Changes one part of a message.
    fn bend(&mut self, message: &mut Message) {
        match self.rng.gen_range(0..9) {
            0 => message.kind = self.kind_of_all(),
            1 => message.code = Code(self.rng.r#gen()),
            2 => message.id = MessageId(message.id.0.wrapping_add(1)),
            3 => {
                let bytes = self.rng.gen_range(0..=8);
                message.token = Token::new(&self.random(bytes)).unwrap();
            }
            4 => {
                let number = OptionNumber(self.rng.gen_range(0..300));
                let bytes = self.rng.gen_range(0..20);
                let value = self.random(bytes);
                message.options.push(number, value);
            }
            5 => {
                let options: Vec<_> = message
                    .options
                    .iter()
                    .map(|(number, value)| (number, value.clone()))
                    .collect();
                if let Some((number, value)) = options.choose(&mut self.rng) {
                    message.options.push(*number, value.clone());
                }
            }
            6 => {
                let numbers: Vec<_> = message.options.iter().map(|(number, _)| number).collect();
                if let Some(number) = numbers.choose(&mut self.rng) {
                    message.options.remove(*number);
                }
            }
            7 => {
                let bytes = self.rng.gen_range(0..60);
                message.payload = Bytes::from(self.random(bytes));
            }
            _ => {
                for _ in 0..self.rng.gen_range(1..60) {
                    message.options.push(OptionNumber::URI_QUERY, "x");
                }
            }
        }
    }
}

/// One of a pool of addresses.
fn stranger(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(172, 16, high, low), 50_000))
}

fn origin_of(known: &Known, address: SocketAddr) -> Origin {
    if known.captured.contains(&address) {
        Origin::Captured
    } else {
        Origin::Stranger
    }
}

fn pick<T: Clone>(rng: &mut StdRng, of: &[T]) -> T {
    of.choose(rng).unwrap().clone()
}

/// Names that the adversary may register under.
pub(crate) fn names() -> Vec<String> {
    let captured = (0..fleet::CAPTURED).map(|index| fleet::captured(index).endpoint);
    captured
        .chain((0..fleet::SPARE).map(fleet::spare))
        .collect()
}
