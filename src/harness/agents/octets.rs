//! Numbers and texts as bytes: unsigned numbers in LEB128, signed ones folded onto them. Sans-IO.

/// Bits of a number in each byte.
const GROUP_BITS: u32 = 7;

/// There is more.
const MORE: u8 = 0x80;

/// Takes what [`number`] and the others wrote. `None` where it is not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that was not taken.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let group = u64::from(byte & !MORE);
            let shifted = group.checked_shl(shift)?;
            if shifted >> shift != group {
                return None;
            }
            number |= shifted;
            if byte & MORE == 0 {
                return Some(number);
            }
            shift += GROUP_BITS;
        }
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let folded = self.number()?;
        let half = i64::try_from(folded >> 1).ok()?;
        Some(if folded & 1 == 0 { half } else { !half })
    }

    pub(super) fn index(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.index()?;
        self.0.split_off(..length)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.0.split_off(..N)?.try_into().ok()
    }

    pub(super) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    pub(super) fn optional(&mut self) -> Option<Option<i64>> {
        match self.byte()? {
            0 => Some(None),
            1 => Some(Some(self.signed()?)),
            _ => None,
        }
    }
}

pub(super) fn number(to: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        // The low bits, of which the cast leaves seven and those that MORE covers.
        to.push(number as u8 | MORE);
        number >>= GROUP_BITS;
    }
    to.push(number as u8);
}

pub(super) fn signed(to: &mut Vec<u8>, value: i64) {
    let sign = value >> 63;
    number(to, ((value << 1) ^ sign).cast_unsigned());
}

pub(super) fn index(to: &mut Vec<u8>, value: usize) {
    number(to, value as u64);
}

pub(super) fn bytes(to: &mut Vec<u8>, value: &[u8]) {
    index(to, value.len());
    to.extend_from_slice(value);
}

pub(super) fn optional(to: &mut Vec<u8>, value: Option<i64>) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        signed(to, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_cut_short_or_too_large_is_no_number() {
        assert_eq!(Octets::new(&[0x80]).number(), None);
        assert_eq!(Octets::new(&[0xff; 10]).number(), None);
        assert_eq!(Octets::new(&[0x80; 11]).number(), None);
        assert_eq!(Octets::new(&[3, b'a', b'b']).bytes(), None);
        assert_eq!(Octets::new(&[2]).optional(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, value: i64, optional_value: Option<i64>) {
            let mut written = Vec::new();
            number(&mut written, unsigned);
            signed(&mut written, value);
            optional(&mut written, optional_value);
            let mut octets = Octets::new(&written);
            prop_assert_eq!(octets.number(), Some(unsigned));
            prop_assert_eq!(octets.signed(), Some(value));
            prop_assert_eq!(octets.optional(), Some(optional_value));
            prop_assert!(octets.is_empty());
        }
    }
}
