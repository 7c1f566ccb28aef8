//! The location of a registration: `/rd/<slot>-<32 hexadecimal digits>`.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::coap::{Code, OptionNumber, Response};
use crate::model::RegistrationSlot;

/// Where a registration is updated. It is a capability: the slot finds it, 128 random bits prove that
/// the server gave it out, and it is never used again.
#[derive(Clone, Copy)]
pub struct Location {
    /// The place in the registry.
    pub slot: RegistrationSlot,
    /// The random part.
    pub secret: u128,
}

/// The first segment of every location, and where devices register (LwM2M 1.0 §8.2.1).
pub(super) const REGISTRATION_PATH: &str = "rd";

/// 128 bits.
const SECRET_DIGITS: usize = 32;

impl Location {
    /// Parses the second segment of a path; exactly what [`Self::segment`] writes.
    pub fn parse(segment: &str) -> Option<Self> {
        let (slot, secret) = segment.split_once('-')?;
        let is_canonical = |text: &str, is_digit: fn(&u8) -> bool| {
            !text.is_empty() && text.as_bytes().iter().all(is_digit)
        };
        if !is_canonical(slot, u8::is_ascii_digit) || (slot.len() > 1 && slot.starts_with('0')) {
            return None;
        }
        let is_lower_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if secret.len() != SECRET_DIGITS || !is_canonical(secret, is_lower_hex) {
            return None;
        }
        Some(Self {
            slot: RegistrationSlot(slot.parse().ok()?),
            secret: u128::from_str_radix(secret, 16).ok()?,
        })
    }

    /// The second segment of the path: slot and secret.
    pub fn segment(&self) -> String {
        format!("{}-{:032x}", self.slot.0, self.secret)
    }

    /// The answer to the Register that made it: 2.01 with `Location-Path`.
    pub fn response(&self) -> Response {
        let mut response = Response::new(Code::CREATED);
        let options = &mut response.options;
        options.push(OptionNumber::LOCATION_PATH, REGISTRATION_PATH);
        options.push(OptionNumber::LOCATION_PATH, self.segment());
        response
    }

    /// Whether it has this secret. How long that takes says nothing about either.
    pub(super) fn has_secret(&self, secret: u128) -> bool {
        let (given, wanted) = (self.secret.to_be_bytes(), secret.to_be_bytes());
        given.ct_eq(&wanted).into()
    }
}

impl fmt::Debug for Location {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Location")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &str = "17-00112233445566778899aabbccddeeff";

    #[test]
    fn a_location_reads_back_as_it_is_written() {
        let location = Location::parse(SEGMENT).unwrap();
        assert_eq!(location.slot, RegistrationSlot(17));
        assert_eq!(location.segment(), SEGMENT);
        assert!(location.has_secret(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
        assert!(!location.has_secret(0x1011_2233_4455_6677_8899_aabb_ccdd_eeff));
        let response = location.response();
        let path: Vec<_> = response.options.all(OptionNumber::LOCATION_PATH).collect();
        assert_eq!(path, ["rd", SEGMENT]);
        assert!(!format!("{location:?}").contains("223344"));
    }

    #[test]
    fn a_location_has_one_spelling() {
        for segment in [
            "",
            "-",
            "17",
            "017-00112233445566778899aabbccddeeff",
            "+17-00112233445566778899aabbccddeeff",
            "-00112233445566778899aabbccddeeff",
            "17-00112233445566778899AABBCCDDEEFF",
            "17-0112233445566778899aabbccddeeff",
            "17-000112233445566778899aabbccddeeff",
            "17-+0112233445566778899aabbccddeeff",
            "4294967296-00112233445566778899aabbccddeeff",
        ] {
            assert!(Location::parse(segment).is_none(), "{segment}");
        }
    }
}
