//! As much of CoAP as yardsticks and load need (RFC 7252 §3), apart from the project's own codec: a
//! yardstick must not be slow where the codec is, nor a load wrong where it is.

pub(crate) const CON: u8 = 0;
pub(crate) const ACK: u8 = 2;

pub(crate) const GET: u8 = 0x01;
pub(crate) const POST: u8 = 0x02;
pub(crate) const PUT: u8 = 0x03;
pub(crate) const DELETE: u8 = 0x04;
pub(crate) const CREATED: u8 = 0x41;
pub(crate) const DELETED: u8 = 0x42;
pub(crate) const CHANGED: u8 = 0x44;
pub(crate) const CONTENT: u8 = 0x45;
pub(crate) const NOT_FOUND: u8 = 0x84;

pub(crate) const OBSERVE: u16 = 6;
pub(crate) const LOCATION_PATH: u16 = 8;
pub(crate) const URI_PATH: u16 = 11;
pub(crate) const CONTENT_FORMAT: u16 = 12;
pub(crate) const URI_QUERY: u16 = 15;
pub(crate) const BLOCK2: u16 = 23;

/// A message that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    last: u16,
}

impl Writer {
    pub(crate) fn new(kind: u8, code: u8, id: u16, token: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(0x40 | kind << 4 | token.len() as u8);
        bytes.push(code);
        bytes.extend(id.to_be_bytes());
        bytes.extend(token);
        Self { bytes, last: 0 }
    }

    /// Options come in the order of their numbers.
    pub(crate) fn option(mut self, number: u16, value: &[u8]) -> Self {
        let (delta, len) = (usize::from(number - self.last), value.len());
        self.last = number;
        let nibble = |value: usize| value.min(13) as u8;
        self.bytes.push(nibble(delta) << 4 | nibble(len));
        for value in [delta, len] {
            if value >= 13 {
                self.bytes.push((value - 13) as u8);
            }
        }
        self.bytes.extend(value);
        self
    }

    /// The segments of a path, each an option.
    pub(crate) fn path(mut self, number: u16, path: &str) -> Self {
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            self = self.option(number, segment.as_bytes());
        }
        self
    }

    pub(crate) fn block2(self, num: usize, more: bool, szx: u8) -> Self {
        let value = (num as u32) << 4 | u32::from(more) << 3 | u32::from(szx);
        let bytes = value.to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(4);
        self.option(BLOCK2, &bytes[first..])
    }

    pub(crate) fn payload(mut self, payload: &[u8]) -> Vec<u8> {
        if !payload.is_empty() {
            self.bytes.push(0xff);
            self.bytes.extend(payload);
        }
        self.bytes
    }
}

/// A message that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    token_len: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let token_len = usize::from(*bytes.first()? & 15);
        let fits = bytes.len() >= 4 + token_len && bytes[0] >> 6 == 1;
        fits.then_some(Self { bytes, token_len })
    }

    pub(crate) fn kind(&self) -> u8 {
        (self.bytes[0] >> 4) & 3
    }

    pub(crate) fn code(&self) -> u8 {
        self.bytes[1]
    }

    pub(crate) fn id(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    pub(crate) fn token(&self) -> &'a [u8] {
        &self.bytes[4..4 + self.token_len]
    }

    /// Calls back for each option; the payload, or `None` where the message is damaged.
    pub(crate) fn options(&self, mut found: impl FnMut(u16, &'a [u8])) -> Option<&'a [u8]> {
        let mut rest = &self.bytes[4 + self.token_len..];
        let mut number = 0_u16;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first == 0xff {
                return Some(rest);
            }
            let mut long = |nibble: u8| match nibble {
                13 => {
                    let (extra, after) = rest.split_first()?;
                    rest = after;
                    Some(13 + usize::from(*extra))
                }
                14 | 15 => None,
                _ => Some(usize::from(nibble)),
            };
            let (delta, len) = (long(first >> 4)?, long(first & 15)?);
            number += delta as u16;
            found(number, rest.get(..len)?);
            rest = &rest[len..];
        }
        Some(rest)
    }

    /// Block number, whether there is more, and the size exponent.
    pub(crate) fn block2(&self) -> Option<(usize, bool, u8)> {
        let mut block = None;
        self.options(|number, value| {
            if number == BLOCK2 {
                block = Some(decode_block(value));
            }
        })?;
        block
    }
}

pub(crate) fn decode_block(value: &[u8]) -> (usize, bool, u8) {
    let value = value
        .iter()
        .fold(0_usize, |all, byte| all << 8 | usize::from(*byte));
    (value >> 4, value & 8 != 0, (value & 7) as u8)
}
