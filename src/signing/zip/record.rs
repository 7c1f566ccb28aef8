//! The three kinds of records, as bytes (APPNOTE.TXT 6.3.10 §4.3.7, §4.3.12, §4.3.16).

use super::ZipError;

pub(super) const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
pub(super) const CENTRAL_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
pub(super) const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
pub(super) const LOCAL_BYTES: usize = 30;
pub(super) const CENTRAL_BYTES: usize = 46;
pub(super) const END_BYTES: usize = 22;

pub(super) fn header<'a>(
    bytes: &'a [u8],
    at: usize,
    signature: &[u8; 4],
    len: usize,
) -> Result<&'a [u8], ZipError> {
    slice(bytes, at, len)
        .ok()
        .filter(|header| header.starts_with(signature))
        .ok_or(ZipError::Gap)
}

pub(super) fn slice(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], ZipError> {
    at.checked_add(len)
        .and_then(|end| bytes.get(at..end))
        .ok_or(ZipError::Gap)
}

/// The number at `at` of a header whose length was checked.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
