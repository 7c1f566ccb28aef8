//! Options by number (RFC 7252 §5.10), in the order in which they go on the wire.

use bytes::Bytes;

/// An option's number. Unknown numbers are values like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionNumber(pub u16);

impl OptionNumber {
    /// RFC 7252 §5.10.8.1.
    pub const IF_MATCH: Self = Self(1);
    /// RFC 7252 §5.10.1.
    pub const URI_HOST: Self = Self(3);
    /// RFC 7252 §5.10.6.
    pub const ETAG: Self = Self(4);
    /// RFC 7252 §5.10.8.2.
    pub const IF_NONE_MATCH: Self = Self(5);
    /// RFC 7641 §2.
    pub const OBSERVE: Self = Self(6);
    /// RFC 7252 §5.10.1.
    pub const URI_PORT: Self = Self(7);
    /// RFC 7252 §5.10.7.
    pub const LOCATION_PATH: Self = Self(8);
    /// RFC 7252 §5.10.1.
    pub const URI_PATH: Self = Self(11);
    /// RFC 7252 §5.10.3.
    pub const CONTENT_FORMAT: Self = Self(12);
    /// RFC 7252 §5.10.5.
    pub const MAX_AGE: Self = Self(14);
    /// RFC 7252 §5.10.1.
    pub const URI_QUERY: Self = Self(15);
    /// RFC 7252 §5.10.4.
    pub const ACCEPT: Self = Self(17);
    /// RFC 7252 §5.10.7.
    pub const LOCATION_QUERY: Self = Self(20);
    /// RFC 7959 §2.1.
    pub const BLOCK2: Self = Self(23);
    /// RFC 7959 §2.1.
    pub const BLOCK1: Self = Self(27);
    /// RFC 7959 §4.
    pub const SIZE2: Self = Self(28);
    /// RFC 7252 §5.10.2.
    pub const PROXY_URI: Self = Self(35);
    /// RFC 7252 §5.10.2.
    pub const PROXY_SCHEME: Self = Self(39);
    /// RFC 7959 §4.
    pub const SIZE1: Self = Self(60);
    /// RFC 9175 §2.2.
    pub const ECHO: Self = Self(252);
    /// RFC 9175 §3.2.
    pub const REQUEST_TAG: Self = Self(292);

    /// Odd numbers must be understood or the message refused (RFC 7252 §5.4.1).
    pub const fn is_critical(self) -> bool {
        self.0 & 1 == 1
    }
}

/// The options of one message, sorted by number; those of one number in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(OptionNumber, Bytes)>);

impl Options {
    /// No options.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Options that are sorted already, as a decoder finds them.
    pub(super) fn from_sorted(options: Vec<(OptionNumber, Bytes)>) -> Self {
        debug_assert!(options.is_sorted_by_key(|(number, _)| *number));
        Self(options)
    }

    /// Keeps only what `keep` says yes to.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(OptionNumber, &Bytes) -> bool) {
        self.0.retain(|(number, value)| keep(*number, value));
    }

    /// Adds a value behind those of the same number.
    pub fn push(&mut self, number: OptionNumber, value: impl Into<Bytes>) {
        let at = self.0.partition_point(|(other, _)| *other <= number);
        self.0.insert(at, (number, value.into()));
    }

    /// Adds an unsigned integer in as few bytes as hold it (RFC 7252 §3.2); 0 is empty.
    pub fn push_uint(&mut self, number: OptionNumber, value: u32) {
        let bytes = value.to_be_bytes();
        let zeros = value.leading_zeros() as usize / 8;
        self.push(number, Bytes::copy_from_slice(&bytes[zeros..]));
    }

    /// All options in order.
    pub fn iter(&self) -> impl Iterator<Item = (OptionNumber, &Bytes)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }

    /// The values of one number, in order.
    pub fn all(&self, number: OptionNumber) -> impl Iterator<Item = &Bytes> {
        self.0
            .iter()
            .filter(move |(other, _)| *other == number)
            .map(|(_, value)| value)
    }

    /// The first value of a number.
    pub fn first(&self, number: OptionNumber) -> Option<&Bytes> {
        self.all(number).next()
    }

    /// The first value of a number as an unsigned integer of at most four bytes. Leading zeros are
    /// allowed on receipt (RFC 7252 §3.2).
    pub fn uint(&self, number: OptionNumber) -> Option<u32> {
        let value = self.first(number)?;
        if value.len() > 4 {
            return None;
        }
        Some(
            value
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
        )
    }

    /// Takes all values of a number away.
    pub fn remove(&mut self, number: OptionNumber) {
        self.0.retain(|(other, _)| *other != number);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
