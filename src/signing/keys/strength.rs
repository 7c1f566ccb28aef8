//! Which RSA keys are taken at all.

use super::KeyError;

/// What every key must be: 2048 to 4096 bits, exponent 65537.
pub(super) fn check_strength(bits: usize, exponent_is_65537: bool) -> Result<(), KeyError> {
    check_bits(bits)?;
    if !exponent_is_65537 {
        return Err(KeyError::Exponent);
    }
    Ok(())
}

pub(super) fn check_bits(bits: usize) -> Result<(), KeyError> {
    if !(2048..=4096).contains(&bits) {
        return Err(KeyError::Bits { bits });
    }
    Ok(())
}

/// The length of a big-endian number without leading zero bytes.
pub(super) fn modulus_bits(bytes: &[u8]) -> usize {
    bytes
        .first()
        .map_or(0, |top| bytes.len() * 8 - top.leading_zeros() as usize)
}
