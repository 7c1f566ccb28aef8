//! What a key file in binary is, by the structure at its beginning.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`: a certificate's version.
const CONTEXT_0: u8 = 0xa0;

/// A key or what holds one, in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DerKind {
    /// PKCS#8 (RFC 5958), encrypted or not, PKCS#1 (RFC 8017 §A.1.2) or SEC 1 (RFC 5915).
    Private,
    /// SPKI (RFC 5280 §4.1.2.7) or PKCS#1 (RFC 8017 §A.1.1).
    Public,
    /// X.509 (RFC 5280 §4.1).
    Certificate,
    /// PKCS#12 (RFC 7292 §4).
    Pkcs12,
}

impl DerKind {
    /// The kind of what begins so; `None` where it is none of these.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let inside = Element::first(bytes)?.sequence()?;
        let first = Element::first(inside)?;
        let second = Element::first(first.behind).map(|element| element.tag);
        match (first.tag, first.content, second?) {
            (INTEGER, [0], SEQUENCE | INTEGER) | (INTEGER, [1], OCTET_STRING | SEQUENCE) => {
                Some(Self::Private)
            }
            (INTEGER, [3], SEQUENCE) => Some(Self::Pkcs12),
            // A modulus, and an exponent behind it.
            (INTEGER, [_, _, ..], INTEGER) => Some(Self::Public),
            (SEQUENCE, _, OCTET_STRING) => Some(Self::Private),
            (SEQUENCE, _, BIT_STRING) => Some(Self::Public),
            (SEQUENCE, [CONTEXT_0, ..], SEQUENCE) => Some(Self::Certificate),
            _ => None,
        }
    }

    /// Whether it must never leave its owner.
    pub(super) const fn is_private(self) -> bool {
        match self {
            Self::Private | Self::Pkcs12 => true,
            Self::Public | Self::Certificate => false,
        }
    }
}

/// One element; only its beginning need be there.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            0x81 | 0x82 => {
                let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
                let value = |sum: usize, digit: &u8| sum << 8 | usize::from(*digit);
                (digits.iter().fold(0, value), rest)
            }
            // Of no definite length, or of more than any key has.
            _ => return None,
        };
        let (content, behind) = rest.split_at(length.min(rest.len()));
        Some(Self {
            tag,
            content,
            behind,
        })
    }

    fn sequence(self) -> Option<&'a [u8]> {
        (self.tag == SEQUENCE).then_some(self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_none() {
        let all: [&[u8]; 8] = [
            b"",
            b"0",
            b"hello",
            &[0x30, 0x82],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x03, 0x02, 0x01, 0x00],
            &[0x30, 0x06, 0x02, 0x01, 0x07, 0x02, 0x01, 0x00],
            &[0x31, 0x06, 0x02, 0x01, 0x00, 0x30, 0x01, 0x00],
        ];
        for bytes in all {
            assert_eq!(DerKind::of(bytes), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn the_beginning_of_a_key_is_enough() {
        // PKCS#8 of an RSA key: its version, then its algorithm.
        let begun = [0x30, 0x82, 0x04, 0xbd, 0x02, 0x01, 0x00, 0x30, 0x0d];
        assert_eq!(DerKind::of(&begun), Some(DerKind::Private));
        assert_eq!(DerKind::of(&begun[..7]), None);
    }
}
