//! Bytes to messages and back (RFC 7252 §3): the only file that names `coap_lite`.
//!
//! The codec on the datagram path is our own: coap-lite makes a dozen allocations a message and takes
//! what RFC 7252 §3 calls a format error (another version, content in an Empty message, a marker
//! without a payload). Of coap-lite are the registries, and the tests hold our codec against its.

use bytes::Bytes;
use coap_lite::{CoapOption, MessageClass};

use super::{Code, Message, MessageId, MessageType, OptionNumber, Options, Token};
use crate::model::Datagram;

/// From this length on a payload is sent as a shared slice; below, copying it is cheaper.
const SHARED_BODY_BYTES_MIN: usize = 64;
const PAYLOAD_MARKER: u8 = 0xff;

/// Why a datagram is not a message (RFC 7252 §3, §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer than four bytes.
    #[error("the header is cut short")]
    ShortHeader,
    /// Not version 1: to be ignored in silence.
    #[error("the version is not 1")]
    Version,
    /// 9 to 15.
    #[error("the token length is reserved")]
    TokenLength,
    /// A class of 1, 3, 6 or 7.
    #[error("the code's class is reserved")]
    ReservedClass,
    /// An Empty message of more than four bytes, or a Reset with a code.
    #[error("an empty message has content")]
    NotEmpty,
    /// Token, option, or an option's length ends beyond the datagram.
    #[error("the message is cut short")]
    Truncated,
    /// A nibble of 15 that is not the payload marker.
    #[error("an option's length or delta is reserved")]
    ReservedNibble,
    /// A sum of deltas beyond 65535.
    #[error("an option's number is too large")]
    OptionNumber,
    /// More than the configured number.
    #[error("there are too many options")]
    TooManyOptions,
    /// The marker with nothing behind it.
    #[error("the payload marker has no payload")]
    NoPayload,
}

/// The four bytes that every message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: MessageType,
    token_bytes: u8,
    pub(super) code: Code,
    pub(super) id: MessageId,
}

impl Header {
    /// Decodes the header alone: enough to know how to reject what follows.
    pub(super) fn decode(datagram: &[u8]) -> Result<Self, DecodeError> {
        let [first, code, high, low, ..] = *datagram else {
            return Err(DecodeError::ShortHeader);
        };
        if first >> 6 != 1 {
            return Err(DecodeError::Version);
        }
        let kind = match first >> 4 & 0b11 {
            0 => MessageType::Confirmable,
            1 => MessageType::NonConfirmable,
            2 => MessageType::Acknowledgement,
            _ => MessageType::Reset,
        };
        Ok(Self {
            kind,
            token_bytes: first & 0x0f,
            code: Code(code),
            id: MessageId(u16::from_be_bytes([high, low])),
        })
    }
}

impl Message {
    /// An Empty message: an ACK or RST for `id`, or a ping.
    pub const fn empty(kind: MessageType, id: MessageId) -> Self {
        Self {
            kind,
            code: Code::EMPTY,
            id,
            token: Token::EMPTY,
            options: Options::new(),
            payload: Bytes::new(),
        }
    }

    /// Decodes one datagram with at most `options_max` options.
    ///
    /// # Errors
    /// Where it is not a message by the letter of RFC 7252 §3.
    pub fn decode(datagram: &[u8], options_max: usize) -> Result<Self, DecodeError> {
        let header = Header::decode(datagram)?;
        if matches!(header.code.class(), 1 | 3 | 6 | 7) {
            return Err(DecodeError::ReservedClass);
        }
        let is_empty = header.code == Code::EMPTY;
        if is_empty && datagram.len() != 4 || !is_empty && header.kind == MessageType::Reset {
            return Err(DecodeError::NotEmpty);
        }
        if is_empty && header.token_bytes == 0 {
            return Ok(Self::empty(header.kind, header.id));
        }
        if header.token_bytes > 8 {
            return Err(DecodeError::TokenLength);
        }
        let token_end = 4 + usize::from(header.token_bytes);
        let token = datagram
            .get(4..token_end)
            .and_then(Token::new)
            .ok_or(DecodeError::Truncated)?;
        let bytes = Bytes::copy_from_slice(datagram);
        let (options, payload_start) = decode_options(&bytes, token_end, options_max)?;
        Ok(Self {
            kind: header.kind,
            code: header.code,
            id: header.id,
            token,
            options,
            payload: bytes.slice(payload_start..),
        })
    }

    /// Encodes the message. A payload of 64 bytes or more is not copied.
    ///
    /// An option value longer than a datagram (65,804 bytes) has no encoding and is left out.
    pub fn encode(self) -> Datagram {
        let token = self.token.as_slice();
        let shared = self.payload.len() >= SHARED_BODY_BYTES_MIN;
        let options_bytes: usize = self.options.iter().map(|(_, value)| value.len() + 5).sum();
        let payload_bytes = if shared { 0 } else { self.payload.len() };
        let mut head = Vec::with_capacity(5 + token.len() + options_bytes + payload_bytes);
        let kind = match self.kind {
            MessageType::Confirmable => 0,
            MessageType::NonConfirmable => 1,
            MessageType::Acknowledgement => 2,
            MessageType::Reset => 3,
        };
        head.push(1 << 6 | kind << 4 | self.token.len());
        head.push(self.code.0);
        head.extend_from_slice(&self.id.0.to_be_bytes());
        head.extend_from_slice(token);
        encode_options(&self.options, &mut head);
        if !self.payload.is_empty() {
            head.push(PAYLOAD_MARKER);
        }
        if shared {
            return Datagram {
                head,
                body: self.payload,
            };
        }
        head.extend_from_slice(&self.payload);
        Datagram {
            head,
            body: Bytes::new(),
        }
    }
}

/// Decodes options from `at` on; also says where the payload begins.
fn decode_options(
    bytes: &Bytes,
    mut at: usize,
    options_max: usize,
) -> Result<(Options, usize), DecodeError> {
    let mut options = Vec::with_capacity(8.min(options_max));
    let mut number = 0_u16;
    while let Some(&first) = bytes.get(at) {
        at += 1;
        if first == PAYLOAD_MARKER {
            if at == bytes.len() {
                return Err(DecodeError::NoPayload);
            }
            break;
        }
        if options.len() == options_max {
            return Err(DecodeError::TooManyOptions);
        }
        let delta = decode_extended(first >> 4, bytes, &mut at)?;
        let length = decode_extended(first & 0x0f, bytes, &mut at)?;
        number = u16::try_from(delta)
            .ok()
            .and_then(|delta| number.checked_add(delta))
            .ok_or(DecodeError::OptionNumber)?;
        // Both are below 2^17: the sum cannot overflow.
        let end = at + length;
        if end > bytes.len() {
            return Err(DecodeError::Truncated);
        }
        options.push((OptionNumber(number), bytes.slice(at..end)));
        at = end;
    }
    Ok((Options::from_sorted(options), at))
}

/// RFC 7252 §3.1: a nibble of 13 or 14 has one or two more bytes.
fn decode_extended(nibble: u8, bytes: &[u8], at: &mut usize) -> Result<usize, DecodeError> {
    match nibble {
        13 => {
            let byte = *bytes.get(*at).ok_or(DecodeError::Truncated)?;
            *at += 1;
            Ok(usize::from(byte) + 13)
        }
        14 => {
            let &[high, low] = bytes.get(*at..*at + 2).ok_or(DecodeError::Truncated)? else {
                return Err(DecodeError::Truncated);
            };
            *at += 2;
            Ok(usize::from(u16::from_be_bytes([high, low])) + 269)
        }
        15 => Err(DecodeError::ReservedNibble),
        small => Ok(usize::from(small)),
    }
}

fn encode_options(options: &Options, head: &mut Vec<u8>) {
    let mut previous = 0;
    for (number, value) in options.iter() {
        let delta = usize::from(number.0 - previous);
        let (Some(delta), Some(length)) = (Extended::new(delta), Extended::new(value.len())) else {
            continue;
        };
        head.push(delta.nibble << 4 | length.nibble);
        head.extend_from_slice(&delta.bytes[2 - delta.len..]);
        head.extend_from_slice(&length.bytes[2 - length.len..]);
        head.extend_from_slice(value);
        previous = number.0;
    }
}

/// A delta or length as a nibble and the last `len` of two bytes (RFC 7252 §3.1).
struct Extended {
    nibble: u8,
    bytes: [u8; 2],
    len: usize,
}

impl Extended {
    fn new(value: usize) -> Option<Self> {
        let (nibble, rest, len) = match value {
            0..13 => (u8::try_from(value).ok()?, 0, 0),
            13..269 => (13, value - 13, 1),
            _ => (14, value - 269, 2),
        };
        Some(Self {
            nibble,
            bytes: u16::try_from(rest).ok()?.to_be_bytes(),
            len,
        })
    }
}

/// Whether the method is one that IANA has registered; any other is 4.05 (RFC 7252 §5.8).
pub(super) fn is_registered_method(code: Code) -> bool {
    matches!(MessageClass::from(code.0), MessageClass::Request(_))
}

/// An option's registered name, or its number, for a diagnostic payload.
pub(super) fn option_name(number: OptionNumber) -> String {
    format!("{:?}", CoapOption::from(number.0))
}

#[cfg(test)]
mod tests {
    use std::collections::LinkedList;

    use coap_lite::Packet;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const OPTIONS_MAX: usize = 32;

    fn decode(text: &str) -> Result<Message, DecodeError> {
        Message::decode(&hex::decode(text).unwrap(), OPTIONS_MAX)
    }

    fn message() -> impl Strategy<Value = Message> {
        let kind = prop_oneof![
            Just(MessageType::Confirmable),
            Just(MessageType::NonConfirmable),
            Just(MessageType::Acknowledgement),
        ];
        let code = prop_oneof![1..32_u8, 64..96_u8, 128..192_u8];
        let option = (any::<u16>(), vec(any::<u8>(), 0..300));
        (
            kind,
            code,
            any::<u16>(),
            vec(any::<u8>(), 0..=8),
            vec(option, 0..6),
            vec(any::<u8>(), 0..200),
        )
            .prop_map(|(kind, code, id, token, options, payload)| {
                let mut message = Message::empty(kind, MessageId(id));
                message.code = Code(code);
                message.token = Token::new(&token).unwrap();
                for (number, value) in options {
                    message.options.push(OptionNumber(number), value);
                }
                message.payload = payload.into();
                message
            })
    }

    /// The message as coap-lite read it.
    fn from_packet(packet: &Packet) -> Message {
        let mut message = Message::empty(
            match packet.header.get_type() {
                coap_lite::MessageType::Confirmable => MessageType::Confirmable,
                coap_lite::MessageType::NonConfirmable => MessageType::NonConfirmable,
                coap_lite::MessageType::Acknowledgement => MessageType::Acknowledgement,
                coap_lite::MessageType::Reset => MessageType::Reset,
            },
            MessageId(packet.header.message_id),
        );
        message.code = Code(packet.header.code.into());
        message.token = Token::new(packet.get_token()).unwrap();
        for (number, values) in packet.options() {
            for value in values {
                message.options.push(OptionNumber(*number), value.clone());
            }
        }
        message.payload = packet.payload.clone().into();
        message
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(message in message()) {
            let wire = message.clone().encode().to_vec();
            prop_assert_eq!(Message::decode(&wire, OPTIONS_MAX), Ok(message));
        }

        #[test]
        fn coap_lite_reads_what_we_encode(message in message()) {
            let wire = message.clone().encode().to_vec();
            prop_assert_eq!(from_packet(&Packet::from_bytes(&wire).unwrap()), message);
        }

        #[test]
        fn we_read_what_coap_lite_encodes(message in message()) {
            let mut packet = Packet::new();
            packet.header.set_type(match message.kind {
                MessageType::Confirmable => coap_lite::MessageType::Confirmable,
                MessageType::NonConfirmable => coap_lite::MessageType::NonConfirmable,
                MessageType::Acknowledgement => coap_lite::MessageType::Acknowledgement,
                MessageType::Reset => coap_lite::MessageType::Reset,
            });
            packet.header.code = message.code.0.into();
            packet.header.message_id = message.id.0;
            packet.set_token(message.token.as_slice().to_vec());
            let numbers: std::collections::BTreeSet<_> =
                message.options.iter().map(|(number, _)| number).collect();
            for number in numbers {
                let values: LinkedList<_> =
                    message.options.all(number).map(|value| value.to_vec()).collect();
                packet.set_option(number.0.into(), values);
            }
            packet.payload = message.payload.to_vec();
            let wire = packet.to_bytes_with_limit(65_535).unwrap();
            prop_assert_eq!(Message::decode(&wire, OPTIONS_MAX), Ok(message));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_what_is_taken_coap_lite_takes_too(
            mut wire in vec(any::<u8>(), 0..64),
            is_version_1: bool,
        ) {
            if let (true, Some(first)) = (is_version_1, wire.first_mut()) {
                *first = *first & 0x3f | 0x40;
            }
            if let Ok(message) = Message::decode(&wire, OPTIONS_MAX) {
                prop_assert_eq!(from_packet(&Packet::from_bytes(&wire).unwrap()), message);
            }
        }

        #[test]
        fn a_changed_byte_never_panics(
            message in message(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        ) {
            let mut wire = message.encode().to_vec();
            let at = at.index(wire.len());
            wire[at] = byte;
            wire.truncate(cut.index(wire.len() + 1));
            if let Ok(message) = Message::decode(&wire, OPTIONS_MAX) {
                prop_assert_eq!(from_packet(&Packet::from_bytes(&wire).unwrap()), message);
            }
        }
    }

    #[test]
    fn a_registration_of_a_real_client_is_read() {
        let wire = "4402446a6a4476fbb272641128396c776d326d3d312e300865703d6e6264657603623d55056c74\
                    3d3630ff3c2f3e3b72743d226f6d612e6c776d326d222c3c2f312f303e";
        let message = decode(wire).unwrap();
        assert_eq!(message.kind, MessageType::Confirmable);
        assert_eq!(message.code, Code::POST);
        assert_eq!(message.id, MessageId(0x446a));
        assert_eq!(message.token, Token::new(b"\x6a\x44\x76\xfb").unwrap());
        let queries: Vec<_> = message.options.all(OptionNumber::URI_QUERY).collect();
        assert_eq!(queries, ["lwm2m=1.0", "ep=nbdev", "b=U", "lt=60"]);
        assert_eq!(message.options.uint(OptionNumber::CONTENT_FORMAT), Some(40));
        assert_eq!(message.payload, "</>;rt=\"oma.lwm2m\",</1/0>");
        assert_eq!(hex::encode(message.encode().to_vec()), wire);
    }

    #[test]
    fn a_large_payload_is_shared_and_a_small_one_is_in_the_head() {
        let mut message = Message::empty(MessageType::Acknowledgement, MessageId(1));
        message.code = Code::CONTENT;
        message.payload = Bytes::from(vec![7; 1024]);
        let image = message.payload.clone();
        let datagram = message.clone().encode();
        assert_eq!(datagram.body.as_ptr(), image.as_ptr());
        assert_eq!(datagram.head, [0x60, 0x45, 0, 1, 0xff]);
        message.payload = image.slice(..63);
        let datagram = message.encode();
        assert!(datagram.body.is_empty());
        assert_eq!(datagram.len(), 5 + 63);
    }

    #[test]
    fn format_errors_of_rfc_7252_section_3_are_told_apart() {
        for (wire, error) in [
            ("", DecodeError::ShortHeader),
            ("400100", DecodeError::ShortHeader),
            ("00010001", DecodeError::Version),
            ("80010001", DecodeError::Version),
            ("c0010001", DecodeError::Version),
            ("49010001010203040506070809", DecodeError::TokenLength),
            ("4f010001", DecodeError::TokenLength),
            ("4801000101020304050607", DecodeError::Truncated),
            ("40210001", DecodeError::ReservedClass),
            ("40610001", DecodeError::ReservedClass),
            ("40c10001", DecodeError::ReservedClass),
            ("40e10001", DecodeError::ReservedClass),
            ("4100000101", DecodeError::NotEmpty),
            ("41000001", DecodeError::Truncated),
            ("4000000110", DecodeError::NotEmpty),
            ("40000001ff01", DecodeError::NotEmpty),
            ("70450001", DecodeError::NotEmpty),
            ("40010001ff", DecodeError::NoPayload),
            ("40010001f0", DecodeError::ReservedNibble),
            ("400100010f", DecodeError::ReservedNibble),
            ("40010001d0", DecodeError::Truncated),
            ("40010001e000", DecodeError::Truncated),
            ("40010001b27264ee", DecodeError::Truncated),
            ("40010001b372", DecodeError::Truncated),
            ("40010001e0fef210", DecodeError::OptionNumber),
            ("40010001e0ffff", DecodeError::OptionNumber),
        ] {
            assert_eq!(decode(wire), Err(error), "{wire}");
        }
        assert!(decode("40010001e0fef2").is_ok(), "option 65535 is the last");
    }

    #[test]
    fn the_number_of_options_is_bounded() {
        let wire = |options: usize| [b"\x40\x01\x00\x01".as_slice(), &vec![0; options]].concat();
        assert!(Message::decode(&wire(OPTIONS_MAX), OPTIONS_MAX).is_ok());
        assert_eq!(
            Message::decode(&wire(OPTIONS_MAX + 1), OPTIONS_MAX),
            Err(DecodeError::TooManyOptions)
        );
    }

    #[test]
    fn registered_methods_and_options_are_known_by_coap_lites_tables() {
        assert!((1..=7).all(|detail| is_registered_method(Code::new(0, detail))));
        assert!((8..=31).all(|detail| !is_registered_method(Code::new(0, detail))));
        assert_eq!(option_name(OptionNumber::IF_MATCH), "IfMatch");
        assert_eq!(option_name(OptionNumber(9001)), "Unknown(9001)");
    }
}
