//! A whole zip file: nothing between its parts, nothing around them.

use std::io::Read;
use std::ops::Range;

use bytes::Bytes;

use super::ZipError;
use super::entry::Entry;
use super::record::{END_BYTES, END_SIGNATURE, crc32, u16_at, u32_at};
use super::writer::Header;
use crate::signing::limits::PackageLimits;

/// A zip file all of whose bytes are accounted for.
#[derive(Clone, Debug)]
pub(in crate::signing) struct ZipArchive {
    bytes: Bytes,
    pub(in crate::signing) entries: Vec<Entry>,
}

impl ZipArchive {
    /// Checks all headers; no data are unpacked.
    pub(in crate::signing) fn decode(bytes: &Bytes, entries_max: usize) -> Result<Self, ZipError> {
        let (count, directory) = decode_end(bytes)?;
        if count > entries_max {
            return Err(ZipError::TooManyEntries {
                found: count,
                max: entries_max,
            });
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        let (mut local_at, mut central_at) = (0, directory.start);
        for _ in 0..count {
            let entry = Entry::decode(bytes, local_at, central_at, &directory)?;
            if entries
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&entry.name))
            {
                return Err(ZipError::Duplicate(entry.name));
            }
            (local_at, central_at) = (entry.data.end, entry.central.end);
            entries.push(entry);
        }
        if local_at != directory.start || central_at != directory.end {
            return Err(ZipError::Gap);
        }
        Ok(Self {
            bytes: bytes.clone(),
            entries,
        })
    }

    /// Whether the headers are to the byte those that [`super::store`] writes.
    pub(in crate::signing) fn is_canonical(&self) -> bool {
        self.entries.iter().all(|entry| {
            let header = Header {
                name: &entry.name,
                crc32: entry.crc32,
                size_bytes: entry.data.len(),
            };
            !entry.deflated
                && self.bytes[entry.local.clone()] == header.local()
                && self.bytes[entry.central.clone()] == header.central(entry.local.start)
        })
    }

    /// Unpacks one file; a stored one is a slice of the archive.
    pub(in crate::signing) fn read(
        &self,
        entry: &Entry,
        bytes_max: u64,
        limits: &PackageLimits,
    ) -> Result<Bytes, ZipError> {
        if entry.size_bytes > bytes_max {
            return Err(ZipError::TooLarge {
                name: entry.name.clone(),
                size_bytes: entry.size_bytes,
                max_bytes: bytes_max,
            });
        }
        let data = self.bytes.slice(entry.data.clone());
        let packed_bytes = (data.len() as u64).max(1);
        if entry.size_bytes > packed_bytes.saturating_mul(limits.ratio_max) {
            return Err(ZipError::Ratio(entry.name.clone(), limits.ratio_max));
        }
        let content = if entry.deflated {
            inflate(&data, entry.size_bytes)
        } else {
            Some(data)
        };
        content
            .filter(|content| crc32(content) == entry.crc32)
            .ok_or_else(|| ZipError::Damaged(entry.name.clone()))
    }
}

/// The number of entries, and where the directory lies.
fn decode_end(bytes: &[u8]) -> Result<(usize, Range<usize>), ZipError> {
    let end_at = bytes.len().checked_sub(END_BYTES).ok_or(ZipError::End)?;
    let end = &bytes[end_at..];
    if !end.starts_with(END_SIGNATURE) || u16_at(end, 20) != 0 {
        return Err(ZipError::End);
    }
    let count = u16_at(end, 10);
    let start = u32_at(end, 16);
    let one_disk = u16_at(end, 4) == 0 && u16_at(end, 6) == 0 && u16_at(end, 8) == count;
    if !one_disk || count == u16::MAX || start == u32::MAX {
        return Err(ZipError::Zip64);
    }
    let start = start as usize;
    if start.checked_add(u32_at(end, 12) as usize) != Some(end_at) {
        return Err(ZipError::Gap);
    }
    Ok((usize::from(count), start..end_at))
}

/// Unpacks to exactly `size_bytes`, using up all of `data`.
fn inflate(data: &[u8], size_bytes: u64) -> Option<Bytes> {
    let mut decoder = flate2::bufread::DeflateDecoder::new(data);
    let mut content = Vec::with_capacity(usize::try_from(size_bytes).ok()?);
    decoder
        .by_ref()
        .take(size_bytes + 1)
        .read_to_end(&mut content)
        .ok()?;
    let exact = content.len() as u64 == size_bytes && decoder.into_inner().is_empty();
    exact.then(|| Bytes::from(content))
}
