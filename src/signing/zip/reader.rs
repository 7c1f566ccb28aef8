//! A whole zip file: nothing between its parts, nothing around them.

use std::io::{self, Cursor, Read};
use std::ops::Range;

use ::zip::ZipArchive;
use ::zip::read::{ArchiveOffset, Config};
use bytes::Bytes;

use super::ZipError;
use super::canonical::Header;
use super::entry::Entry;
use super::record::{END_BYTES, END_SIGNATURE, u16_at, u32_at};
use crate::signing::limits::PackageLimits;

/// A zip file all of whose bytes are accounted for, opened by the `zip` crate.
#[derive(Clone, Debug)]
pub(in crate::signing) struct CheckedZip {
    bytes: Bytes,
    archive: ZipArchive<Cursor<Bytes>>,
    /// In the order of the file and of its directory.
    pub(in crate::signing) entries: Vec<Entry>,
}

impl CheckedZip {
    /// Checks all headers, then opens the file; no data are unpacked.
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
            archive: open(bytes, &entries)?,
            entries,
        })
    }

    /// Whether the headers are to the byte those of the signed format.
    pub(in crate::signing) fn is_canonical(&self) -> bool {
        self.entries.iter().all(|entry| {
            let (Ok(size_bytes), Ok(local_at)) = (
                u32::try_from(entry.size_bytes),
                u32::try_from(entry.local.start),
            ) else {
                return false;
            };
            let header = Header {
                name: &entry.name,
                crc32: entry.crc32,
                size_bytes,
            };
            !entry.deflated
                && self.bytes[entry.local.clone()] == header.local()
                && self.bytes[entry.central.clone()] == header.central(local_at)
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
        let packed_bytes = (entry.data.len() as u64).max(1);
        if entry.size_bytes > packed_bytes.saturating_mul(limits.ratio_max) {
            return Err(ZipError::Ratio(entry.name.clone(), limits.ratio_max));
        }
        self.unpack(entry)
            .ok_or_else(|| ZipError::Damaged(entry.name.clone()))
    }

    /// The content of exactly the declared size, whose checksum the crate has compared at its end.
    ///
    /// Bytes behind the end of a deflate stream, within the entry, are not seen: the crate does not
    /// tell where a stream ended. They are no part of the content, for any reader.
    fn unpack(&self, entry: &Entry) -> Option<Bytes> {
        // A clone shares the directory and the bytes; only the place of reading is its own.
        let mut archive = self.archive.clone();
        let file = archive.by_name(&entry.name).ok()?;
        if file.data_start() != Some(entry.data.start as u64) {
            return None;
        }
        let mut bounded = file.take(entry.size_bytes + 1);
        if entry.deflated {
            // Grows with what is there: the header may claim two hundred times as much.
            let mut content = Vec::new();
            bounded.read_to_end(&mut content).ok()?;
            return (content.len() as u64 == entry.size_bytes).then(|| Bytes::from(content));
        }
        let read_bytes = io::copy(&mut bounded, &mut io::sink()).ok()?;
        (read_bytes == entry.size_bytes).then(|| self.bytes.slice(entry.data.clone()))
    }
}

/// Opens a file whose headers were checked. The crate must have found in it what we found.
fn open(bytes: &Bytes, entries: &[Entry]) -> Result<ZipArchive<Cursor<Bytes>>, ZipError> {
    let unreadable = |error: ::zip::result::ZipError| ZipError::Unreadable(error.to_string());
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let archive =
        ZipArchive::with_config(config, Cursor::new(bytes.clone())).map_err(unreadable)?;
    let mut alike = archive.len() == entries.len();
    for (index, entry) in entries.iter().enumerate().take(archive.len()) {
        let found = archive.by_index_data(index).map_err(unreadable)?;
        alike &= found.name_raw() == entry.name.as_bytes()
            && found.header_start() == entry.local.start as u64
            && found.compressed_size() == entry.data.len() as u64
            && found.size() == entry.size_bytes
            && found.crc32() == entry.crc32;
    }
    if !alike {
        return Err(ZipError::Unreadable(
            "its directory can be read in two ways".to_owned(),
        ));
    }
    Ok(archive)
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
