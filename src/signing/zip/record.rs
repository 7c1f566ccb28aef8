//! The three kinds of records, as bytes (APPNOTE.TXT 6.3.10 §4.3.7, §4.3.12, §4.3.16).

use std::io::{Read, Seek, SeekFrom};

use super::ZipError;

pub(super) const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
pub(super) const CENTRAL_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
pub(super) const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
pub(super) const LOCAL_BYTES: u16 = 30;
pub(super) const CENTRAL_BYTES: u16 = 46;
pub(super) const END_BYTES: u16 = 22;

/// One header while it is read: what is read of it so far, and where it may not pass.
pub(super) struct Header {
    pub(super) bytes: Vec<u8>,
    pub(super) start: u64,
    limit: u64,
}

impl Header {
    /// Reads the fixed part, which begins with `signature`.
    pub(super) fn read(
        file: &mut (impl Read + Seek),
        start: u64,
        limit: u64,
        signature: &[u8; 4],
        fixed_bytes: u16,
    ) -> Result<Self, ZipError> {
        let mut header = Self {
            bytes: Vec::new(),
            start,
            limit,
        };
        header.read_on(file, fixed_bytes)?;
        if !header.bytes.starts_with(signature) {
            return Err(ZipError::Gap);
        }
        Ok(header)
    }

    /// Reads so much more of it, which is at most 64 KiB; where in it that begins.
    pub(super) fn read_on(
        &mut self,
        file: &mut (impl Read + Seek),
        more_bytes: u16,
    ) -> Result<usize, ZipError> {
        let at = self.end();
        if at.saturating_add(u64::from(more_bytes)) > self.limit {
            return Err(ZipError::Gap);
        }
        let begin = self.bytes.len();
        self.bytes.resize(begin + usize::from(more_bytes), 0);
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut self.bytes[begin..])?;
        Ok(begin)
    }

    /// Where it ends in the file, as far as it is read.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

/// The number at `at` of a header whose length was checked.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
