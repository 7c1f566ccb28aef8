//! A whole zip file: nothing between its parts, nothing around them.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use ::zip::ZipArchive;
use ::zip::read::{ArchiveOffset, Config};

use super::ZipError;
use super::entry::Entry;
use super::record::{END_BYTES, END_SIGNATURE, u16_at, u32_at};
use crate::signing::limits::PackageLimits;

/// How much is unpacked at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// A zip file all of whose bytes are accounted for, opened by the `zip` crate.
#[derive(Debug)]
pub(in crate::signing) struct CheckedZip<R> {
    /// In the order of the file and of its directory.
    pub(in crate::signing) entries: Vec<Entry>,
    pub(in crate::signing) content: Content<R>,
}

/// What the entries of a [`CheckedZip`] hold.
#[derive(Debug)]
pub(in crate::signing) struct Content<R>(ZipArchive<R>);

impl<R: Read + Seek> CheckedZip<R> {
    /// Checks all headers, then opens the file; no data are unpacked.
    pub(in crate::signing) fn decode(mut file: R, entries_max: usize) -> Result<Self, ZipError> {
        let (count, directory) = decode_end(&mut file)?;
        if count > entries_max {
            return Err(ZipError::TooManyEntries {
                found: count,
                max: entries_max,
            });
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        let (mut local_at, mut central_at) = (0, directory.start);
        for _ in 0..count {
            let entry = Entry::decode(&mut file, local_at, central_at, &directory)?;
            if entries
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&entry.name))
            {
                return Err(ZipError::Duplicate(entry.name));
            }
            (local_at, central_at) = (entry.data.end, entry.central_end);
            entries.push(entry);
        }
        if local_at != directory.start || central_at != directory.end {
            return Err(ZipError::Gap);
        }
        Ok(Self {
            content: open(file, &entries)?,
            entries,
        })
    }

    /// Whether the headers are to the byte those of the signed format.
    pub(in crate::signing) fn is_canonical(&self) -> bool {
        self.entries.iter().all(|entry| entry.is_canonical)
    }
}

impl<R: Read + Seek> Content<R> {
    /// Unpacks a small file whole.
    pub(in crate::signing) fn read(
        &mut self,
        entry: &Entry,
        bytes_max: u64,
        limits: &PackageLimits,
    ) -> Result<Vec<u8>, ZipError> {
        // Grows with what is there: the header may claim two hundred times as much.
        let mut content = Vec::new();
        self.unpack(entry, bytes_max, limits, |chunk| {
            content.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(content)
    }

    /// Unpacks one file, in pieces. They are that file's only once this has ended well: then they were
    /// of exactly the declared size, and the crate has compared the checksum at their end.
    ///
    /// Bytes behind the end of a deflate stream, within the entry, are not seen: the crate does not
    /// tell where a stream ended. They are no part of the content, for any reader.
    pub(in crate::signing) fn unpack(
        &mut self,
        entry: &Entry,
        bytes_max: u64,
        limits: &PackageLimits,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ZipError> {
        if entry.size_bytes > bytes_max {
            return Err(ZipError::TooLarge {
                name: entry.name.clone(),
                size_bytes: entry.size_bytes,
                max_bytes: bytes_max,
            });
        }
        let packed_bytes = (entry.data.end - entry.data.start).max(1);
        if entry.size_bytes > packed_bytes.saturating_mul(limits.ratio_max) {
            return Err(ZipError::Ratio(entry.name.clone(), limits.ratio_max));
        }
        let damaged = |_| ZipError::Damaged(entry.name.clone());
        let mut file = self
            .0
            .by_name(&entry.name)
            .map_err(|error| of_crate(error, damaged))?;
        if file.data_start() != Some(entry.data.start) {
            return Err(ZipError::Damaged(entry.name.clone()));
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left = entry.size_bytes;
        loop {
            let count = file
                .read(&mut chunk)
                .map_err(|error| ZipError::of_crate(error, damaged))?;
            if count == 0 && left == 0 {
                return Ok(());
            }
            // Too little, or too much.
            left = match left.checked_sub(count as u64) {
                Some(left) if count > 0 => left,
                Some(_) | None => return Err(ZipError::Damaged(entry.name.clone())),
            };
            take(&chunk[..count])?;
        }
    }
}

/// Opens a file whose headers were checked. The crate must have found in it what we found.
fn open<R: Read + Seek>(file: R, entries: &[Entry]) -> Result<Content<R>, ZipError> {
    let unreadable = |error| of_crate(error, ZipError::Unreadable);
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let archive = ZipArchive::with_config(config, file).map_err(unreadable)?;
    let mut alike = archive.len() == entries.len();
    for (index, entry) in entries.iter().enumerate().take(archive.len()) {
        let found = archive.by_index_data(index).map_err(unreadable)?;
        alike &= found.name_raw() == entry.name.as_bytes()
            && found.header_start() == entry.local_at
            && found.compressed_size() == entry.data.end - entry.data.start
            && found.size() == entry.size_bytes
            && found.crc32() == entry.crc32;
    }
    if !alike {
        return Err(ZipError::Unreadable(
            "its directory can be read in two ways".to_owned(),
        ));
    }
    Ok(Content(archive))
}

fn of_crate(
    error: ::zip::result::ZipError,
    about_the_file: impl FnOnce(String) -> ZipError,
) -> ZipError {
    if let ::zip::result::ZipError::Io(error) = error {
        return ZipError::of_crate(error, about_the_file);
    }
    about_the_file(error.to_string())
}

/// The number of entries, and where the directory lies.
fn decode_end(file: &mut (impl Read + Seek)) -> Result<(usize, Range<u64>), ZipError> {
    let size_bytes = file.seek(SeekFrom::End(0))?;
    let end_at = size_bytes
        .checked_sub(u64::from(END_BYTES))
        .ok_or(ZipError::End)?;
    let mut end = [0; END_BYTES as usize];
    file.seek(SeekFrom::Start(end_at))?;
    file.read_exact(&mut end)?;
    if !end.starts_with(END_SIGNATURE) || u16_at(&end, 20) != 0 {
        return Err(ZipError::End);
    }
    let count = u16_at(&end, 10);
    let start = u32_at(&end, 16);
    let one_disk = u16_at(&end, 4) == 0 && u16_at(&end, 6) == 0 && u16_at(&end, 8) == count;
    if !one_disk || count == u16::MAX || start == u32::MAX {
        return Err(ZipError::Zip64);
    }
    let start = u64::from(start);
    if start + u64::from(u32_at(&end, 12)) != end_at {
        return Err(ZipError::Gap);
    }
    Ok((usize::from(count), start..end_at))
}
