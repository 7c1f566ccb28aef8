//! The headers of the signed format, to the byte.
//!
//! They are written by the `zip` crate (`super::writer`) and held against these, not against what
//! the crate would write today: a package that was signed once stays good when the crate changes.

use super::record::{CENTRAL_BYTES, CENTRAL_SIGNATURE, LOCAL_BYTES, LOCAL_SIGNATURE};

/// Version 1.0, what a stored file needs (APPNOTE.TXT 6.3.10 §4.4.3.2).
const VERSION_NEEDED: u16 = 10;
/// The same, made on Unix.
const VERSION_MADE_BY: u16 = 0x0300 | VERSION_NEEDED;
/// A regular file, `rw-r--r--`.
const EXTERNAL_ATTRIBUTES: u32 = 0o100_644 << 16;
/// 1980-01-01.
const DATE: u16 = 0x0021;

/// The fields in which the headers of stored entries differ.
pub(super) struct Fields<'a> {
    pub(super) name: &'a str,
    pub(super) crc32: u32,
    /// Packed and unpacked.
    pub(super) size_bytes: u32,
}

impl Fields<'_> {
    pub(super) fn local(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::from(LOCAL_BYTES) + self.name.len());
        out.extend_from_slice(LOCAL_SIGNATURE);
        self.extend_shared(&mut out);
        out.extend(self.name.bytes());
        out
    }

    pub(super) fn central(&self, local_at: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::from(CENTRAL_BYTES) + self.name.len());
        out.extend_from_slice(CENTRAL_SIGNATURE);
        out.extend(VERSION_MADE_BY.to_le_bytes());
        self.extend_shared(&mut out);
        // No comment, disk 0, no internal attributes.
        out.extend([0; 6]);
        out.extend(EXTERNAL_ATTRIBUTES.to_le_bytes());
        out.extend(local_at.to_le_bytes());
        out.extend(self.name.bytes());
        out
    }

    /// From the version needed to the lengths of name and extra field: alike in both headers.
    fn extend_shared(&self, out: &mut Vec<u8>) {
        out.extend(VERSION_NEEDED.to_le_bytes());
        // No flags, stored, midnight.
        out.extend([0; 6]);
        out.extend(DATE.to_le_bytes());
        out.extend(self.crc32.to_le_bytes());
        out.extend(self.size_bytes.to_le_bytes());
        out.extend(self.size_bytes.to_le_bytes());
        // A name has at most 128 bytes.
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend([0; 2]);
    }
}
