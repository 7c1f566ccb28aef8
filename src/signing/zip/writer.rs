//! Stored entries, written in one way only.

use super::record::{
    CENTRAL_BYTES, CENTRAL_SIGNATURE, END_BYTES, END_SIGNATURE, LOCAL_BYTES, LOCAL_SIGNATURE, crc32,
};

/// Version 2.0, and made on Unix: what Python's `zipfile` writes.
pub(super) const VERSION_NEEDED: u16 = 20;
const VERSION_MADE_BY: u16 = 0x0300 | VERSION_NEEDED;
/// A regular file, `rw-r--r--`.
const EXTERNAL_ATTRIBUTES: u32 = 0o100_644 << 16;
/// 1980-01-01, the earliest date of the format.
const DATE: u16 = 0x0021;

/// Writes the files as stored entries: the same files give the same bytes, anywhere. `None` where
/// they do not fit the format (4 GiB).
pub(in crate::signing) fn store(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let content_bytes: usize = files
        .iter()
        .map(|(name, data)| data.len() + 2 * name.len())
        .sum();
    let total = content_bytes + files.len() * (LOCAL_BYTES + CENTRAL_BYTES) + END_BYTES;
    u32::try_from(total).ok()?;
    let count = u16::try_from(files.len()).ok()?;

    let mut out = Vec::with_capacity(total);
    let mut directory = Vec::new();
    for (name, data) in files {
        let header = Header {
            name,
            crc32: crc32(data),
            size_bytes: data.len(),
        };
        directory.extend(header.central(out.len()));
        out.extend(header.local());
        out.extend_from_slice(data);
    }
    let directory_at = out.len();
    out.extend_from_slice(&directory);
    out.extend_from_slice(END_SIGNATURE);
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(le_u32(directory.len()));
    out.extend(le_u32(directory_at));
    out.extend([0; 2]);
    Some(out)
}

/// The fields in which the headers of our stored entries differ.
pub(super) struct Header<'a> {
    pub(super) name: &'a str,
    pub(super) crc32: u32,
    pub(super) size_bytes: usize,
}

impl Header<'_> {
    pub(super) fn local(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LOCAL_BYTES + self.name.len());
        out.extend_from_slice(LOCAL_SIGNATURE);
        self.extend_shared(&mut out);
        out.extend(self.name.bytes());
        out
    }

    pub(super) fn central(&self, local_at: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(CENTRAL_BYTES + self.name.len());
        out.extend_from_slice(CENTRAL_SIGNATURE);
        out.extend(VERSION_MADE_BY.to_le_bytes());
        self.extend_shared(&mut out);
        // No comment, disk 0, no internal attributes.
        out.extend([0; 6]);
        out.extend(EXTERNAL_ATTRIBUTES.to_le_bytes());
        out.extend(le_u32(local_at));
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
        out.extend(le_u32(self.size_bytes));
        out.extend(le_u32(self.size_bytes));
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend([0; 2]);
    }
}

/// The total was checked against 4 GiB before.
fn le_u32(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}
