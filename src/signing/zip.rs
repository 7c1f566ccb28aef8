//! A zip reader that accepts one way to say a thing, and a writer of stored entries.
//!
//! General readers differ in what they take from a file that says two things at once (two
//! directories, a local header against the central one, duplicate names): there a signed file could
//! be one firmware here and another elsewhere. So every byte must be accounted for:
//!
//! ```text
//! local header 0 | data 0 | local header 1 | data 1 | … | central headers | end record
//! ```
//!
//! without gaps, comments, zip64, encryption or data descriptors (APPNOTE.TXT 6.3.10 §4.3).

use std::io::Read;
use std::ops::Range;

use bytes::Bytes;

use super::limits::PackageLimits;

const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
const CENTRAL_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;

/// Version 2.0, and made on Unix: what Python's `zipfile` writes.
const VERSION_NEEDED: u16 = 20;
const VERSION_MADE_BY: u16 = 0x0300 | VERSION_NEEDED;
/// A regular file, `rw-r--r--`.
const EXTERNAL_ATTRIBUTES: u32 = 0o100_644 << 16;
/// 1980-01-01, the earliest date of the format.
const DATE: u16 = 0x0021;

const FLAG_ENCRYPTED: u16 = 1;
/// How hard the packer tried; says nothing about the content. Info-ZIP leaves them set on a file that
/// it then stores after all.
const FLAGS_DEFLATE_LEVEL: u16 = 0b110;
const FLAG_DATA_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;
/// Extra fields with times and owners only: NTFS, extended timestamp, the three Info-ZIP Unix ones.
const EXTRA_FIELDS: [u16; 5] = [0x000a, 0x5455, 0x5855, 0x7855, 0x7875];

/// Why a zip file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// No zip at all, or not all of it, or more than it.
    #[error(
        "it does not end with a zip directory: it is no zip file, is cut short, has a comment, or \
         has bytes after its end"
    )]
    End,
    /// More than 4 GiB, 65,535 entries, or one disk.
    #[error("it uses zip64 or several disks: pack it again as a plain zip")]
    Zip64,
    /// Too many files.
    #[error("it has {found} entries, and {max} are accepted")]
    TooManyEntries {
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// A byte that belongs to nothing, or to two things.
    #[error(
        "its entries do not follow one another without gaps from the first byte: pack it again"
    )]
    Gap,
    /// Two headers of one entry differ.
    #[error("the two headers of {0:?} differ: it was tampered with, or its packer is broken")]
    HeadersDiffer(String),
    /// A name that could mean something else somewhere.
    #[error("{0:?} is not an accepted name: 1 to 128 of A-Z a-z 0-9 . _ - and no leading dot")]
    Name(String),
    /// One name twice.
    #[error("it has {0:?} twice")]
    Duplicate(String),
    /// A folder, a symbolic link, a device.
    #[error("{0:?} is a folder or a link: only plain files, without folders, are accepted")]
    NotAFile(String),
    /// Encrypted.
    #[error("{0:?} is encrypted: pack it without a password")]
    Encrypted(String),
    /// Sizes behind the data.
    #[error(
        "{0:?} was packed as a stream (data descriptor): pack it to a file, e.g. with `zip -X`"
    )]
    DataDescriptor(String),
    /// Flags, methods, versions or fields that change how the content is read.
    #[error("{0:?} uses a zip feature that is not accepted ({1}): pack it with `zip -X`")]
    Feature(String, &'static str),
    /// Too large once unpacked.
    #[error("{name:?} unpacks to {size_bytes} bytes, and {max_bytes} are accepted")]
    TooLarge {
        /// The entry.
        name: String,
        /// Its size as declared.
        size_bytes: u64,
        /// What is left of the limit.
        max_bytes: u64,
    },
    /// A bomb.
    #[error("{0:?} unpacks to more than {1} times its packed size: store it with `zip -0`")]
    Ratio(String, u64),
    /// The data are not what the headers say.
    #[error(
        "the content of {0:?} is damaged: its size or its checksum is not what the headers say"
    )]
    Damaged(String),
}

/// Whether `name` may be a file's name in a package: 1 to 128 of `A-Z a-z 0-9 . _ -`, not led by a
/// dot. Such a name is one file in any folder of any system.
pub fn is_file_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// One file of a zip whose headers were checked.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size_bytes: u64,
    deflated: bool,
    crc32: u32,
    local: Range<usize>,
    data: Range<usize>,
    central: Range<usize>,
}

/// A zip file all of whose bytes are accounted for.
#[derive(Clone, Debug)]
pub(super) struct ZipArchive {
    bytes: Bytes,
    pub(super) entries: Vec<Entry>,
}

impl ZipArchive {
    /// Checks all headers; no data are unpacked.
    pub(super) fn decode(bytes: &Bytes, entries_max: usize) -> Result<Self, ZipError> {
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
            let entry = decode_entry(bytes, local_at, central_at, &directory)?;
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

    /// Whether the headers are to the byte those that [`store`] writes.
    pub(super) fn is_canonical(&self) -> bool {
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
    pub(super) fn read(
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

/// Writes the files as stored entries: the same files give the same bytes, anywhere. `None` where
/// they do not fit the format (4 GiB).
pub(super) fn store(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
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
struct Header<'a> {
    name: &'a str,
    crc32: u32,
    size_bytes: usize,
}

impl Header<'_> {
    fn local(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LOCAL_BYTES + self.name.len());
        out.extend_from_slice(LOCAL_SIGNATURE);
        self.extend_shared(&mut out);
        out.extend(self.name.bytes());
        out
    }

    fn central(&self, local_at: usize) -> Vec<u8> {
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

fn decode_entry(
    bytes: &[u8],
    local_at: usize,
    central_at: usize,
    directory: &Range<usize>,
) -> Result<Entry, ZipError> {
    let central = header(
        &bytes[..directory.end],
        central_at,
        CENTRAL_SIGNATURE,
        CENTRAL_BYTES,
    )?;
    let local = header(
        &bytes[..directory.start],
        local_at,
        LOCAL_SIGNATURE,
        LOCAL_BYTES,
    )?;
    let (name_bytes, extra_bytes) = (u16_at(central, 28) as usize, u16_at(central, 30) as usize);
    let raw_name = slice(
        &bytes[..directory.end],
        central_at + CENTRAL_BYTES,
        name_bytes,
    )?;
    let name = String::from_utf8_lossy(raw_name)
        .chars()
        .take(160)
        .collect::<String>();

    let local_name = slice(
        &bytes[..directory.start],
        local_at + LOCAL_BYTES,
        name_bytes,
    )?;
    let offset = u32_at(central, 42);
    if central[6..30] != local[4..28] || raw_name != local_name {
        return Err(ZipError::HeadersDiffer(name));
    }
    if offset as usize != local_at || u16_at(central, 32) != 0 {
        return Err(ZipError::Gap);
    }
    check_kind(&name, central)?;
    if !is_file_name(&name) || raw_name.len() != name.len() {
        return Err(ZipError::Name(name));
    }
    check_features(&name, central)?;

    let central_extra_at = central_at + CENTRAL_BYTES + name_bytes;
    let local_extra_at = local_at + LOCAL_BYTES + name_bytes;
    let local_extra_bytes = u16_at(local, 28) as usize;
    check_extra(
        &name,
        slice(&bytes[..directory.end], central_extra_at, extra_bytes)?,
    )?;
    check_extra(
        &name,
        slice(&bytes[..directory.start], local_extra_at, local_extra_bytes)?,
    )?;

    let (packed_bytes, size_bytes) = (u32_at(central, 20), u32_at(central, 24));
    let deflated = u16_at(central, 10) == 8;
    if !deflated && packed_bytes != size_bytes {
        return Err(ZipError::Damaged(name));
    }
    let data_at = local_extra_at + local_extra_bytes;
    slice(&bytes[..directory.start], data_at, packed_bytes as usize)?;
    Ok(Entry {
        name,
        size_bytes: u64::from(size_bytes),
        deflated,
        crc32: u32_at(central, 16),
        local: local_at..data_at,
        data: data_at..data_at + packed_bytes as usize,
        central: central_at..central_extra_at + extra_bytes,
    })
}

/// A plain file, by its name and by the attributes of Unix and DOS.
fn check_kind(name: &str, central: &[u8]) -> Result<(), ZipError> {
    const DOS_DIRECTORY: u32 = 0x10;
    const DOS_VOLUME_LABEL: u32 = 0x08;
    let attributes = u32_at(central, 38);
    let unix_type = (attributes >> 16) & 0o170_000;
    if name.ends_with('/')
        || attributes & (DOS_DIRECTORY | DOS_VOLUME_LABEL) != 0
        || !matches!(unix_type, 0 | 0o100_000)
    {
        return Err(ZipError::NotAFile(name.to_owned()));
    }
    Ok(())
}

fn check_features(name: &str, central: &[u8]) -> Result<(), ZipError> {
    let feature = |what| Err(ZipError::Feature(name.to_owned(), what));
    let (needed, flags, method) = (u16_at(central, 6), u16_at(central, 8), u16_at(central, 10));
    if flags & FLAG_ENCRYPTED != 0 {
        return Err(ZipError::Encrypted(name.to_owned()));
    }
    if flags & FLAG_DATA_DESCRIPTOR != 0 {
        return Err(ZipError::DataDescriptor(name.to_owned()));
    }
    if !matches!(method, 0 | 8) {
        return feature("compression method");
    }
    if flags & !(FLAG_UTF8 | FLAGS_DEFLATE_LEVEL) != 0 {
        return feature("flags");
    }
    if needed & 0xff > VERSION_NEEDED {
        return feature("version");
    }
    if u16_at(central, 34) != 0
        || u32_at(central, 20) == u32::MAX
        || u32_at(central, 24) == u32::MAX
    {
        return Err(ZipError::Zip64);
    }
    Ok(())
}

fn check_extra(name: &str, mut extra: &[u8]) -> Result<(), ZipError> {
    while !extra.is_empty() {
        let known = extra.len() >= 4
            && EXTRA_FIELDS.contains(&u16_at(extra, 0))
            && extra.len() >= 4 + u16_at(extra, 2) as usize;
        if !known {
            return Err(ZipError::Feature(name.to_owned(), "extra field"));
        }
        extra = &extra[4 + u16_at(extra, 2) as usize..];
    }
    Ok(())
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

fn crc32(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

fn header<'a>(
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

fn slice(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], ZipError> {
    at.checked_add(len)
        .and_then(|end| bytes.get(at..end))
        .ok_or(ZipError::Gap)
}

/// The number at `at` of a header whose length was checked.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// The total was checked against 4 GiB before.
fn le_u32(value: usize) -> [u8; 4] {
    (value as u32).to_le_bytes()
}
