//! One entry of a zip file: its two headers, and what they may say.

use std::io::{Read, Seek};
use std::ops::Range;

use super::canonical;
use super::record::{
    CENTRAL_BYTES, CENTRAL_SIGNATURE, Header, LOCAL_BYTES, LOCAL_SIGNATURE, u16_at, u32_at,
};
use super::{ZipError, is_file_name};

/// Version 2.0, what a deflated file needs.
const VERSION_NEEDED_MAX: u16 = 20;
const FLAG_ENCRYPTED: u16 = 1;
/// How hard the packer tried; says nothing about the content. Info-ZIP leaves them set on a file that
/// it then stores after all.
const FLAGS_DEFLATE_LEVEL: u16 = 0b110;
const FLAG_DATA_DESCRIPTOR: u16 = 1 << 3;
const FLAG_UTF8: u16 = 1 << 11;
/// Extra fields with times and owners only: NTFS, extended timestamp, the three Info-ZIP Unix ones.
const EXTRA_FIELDS: [u16; 5] = [0x000a, 0x5455, 0x5855, 0x7855, 0x7875];

/// How much of a name a message shows: more than any accepted name has.
const NAME_SHOWN_CHARS: usize = 160;

/// One file of a zip whose headers were checked.
#[derive(Clone, Debug)]
pub(in crate::signing) struct Entry {
    pub(in crate::signing) name: String,
    pub(in crate::signing) size_bytes: u64,
    /// Where the packed content lies.
    pub(in crate::signing) data: Range<u64>,
    pub(super) crc32: u32,
    pub(super) local_at: u64,
    pub(super) central_end: u64,
    /// Whether both headers are to the byte those of the signed format.
    pub(super) is_canonical: bool,
}

impl Entry {
    /// Reads the two headers that begin at `local_at` and `central_at`; they must say the same.
    pub(super) fn decode(
        file: &mut (impl Read + Seek),
        local_at: u64,
        central_at: u64,
        directory: &Range<u64>,
    ) -> Result<Self, ZipError> {
        let mut central = Header::read(
            file,
            central_at,
            directory.end,
            CENTRAL_SIGNATURE,
            CENTRAL_BYTES,
        )?;
        let mut local = Header::read(
            file,
            local_at,
            directory.start,
            LOCAL_SIGNATURE,
            LOCAL_BYTES,
        )?;
        let name_bytes = u16_at(&central.bytes, 28);
        let raw_name_at = central.read_on(file, name_bytes)?;
        let local_name_at = local.read_on(file, name_bytes)?;
        let raw_name = &central.bytes[raw_name_at..];
        let name: String = String::from_utf8_lossy(raw_name)
            .chars()
            .take(NAME_SHOWN_CHARS)
            .collect();

        if central.bytes[6..30] != local.bytes[4..28] || raw_name != &local.bytes[local_name_at..] {
            return Err(ZipError::HeadersDiffer(name));
        }
        if u64::from(u32_at(&central.bytes, 42)) != local_at || u16_at(&central.bytes, 32) != 0 {
            return Err(ZipError::Gap);
        }
        check_kind(&name, &central.bytes)?;
        if !is_file_name(&name) || raw_name.len() != name.len() {
            return Err(ZipError::Name(name));
        }
        check_features(&name, &central.bytes)?;

        let extra_bytes = u16_at(&central.bytes, 30);
        let extra_at = central.read_on(file, extra_bytes)?;
        check_extra(&name, &central.bytes[extra_at..])?;
        let extra_bytes = u16_at(&local.bytes, 28);
        let extra_at = local.read_on(file, extra_bytes)?;
        check_extra(&name, &local.bytes[extra_at..])?;

        let (packed_bytes, size_bytes) = (u32_at(&central.bytes, 20), u32_at(&central.bytes, 24));
        let deflated = u16_at(&central.bytes, 10) == 8;
        if !deflated && packed_bytes != size_bytes {
            return Err(ZipError::Damaged(name));
        }
        let data = local.end()..local.end().saturating_add(u64::from(packed_bytes));
        if data.end > directory.start {
            return Err(ZipError::Gap);
        }
        let crc32 = u32_at(&central.bytes, 16);
        let format = canonical::Fields {
            name: &name,
            crc32,
            size_bytes,
        };
        let is_canonical = !deflated
            && local.bytes == format.local()
            && central.bytes == format.central(u32_at(&central.bytes, 42));
        Ok(Self {
            size_bytes: u64::from(size_bytes),
            data,
            crc32,
            local_at,
            central_end: central.end(),
            is_canonical,
            name,
        })
    }
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
    if needed & 0xff > VERSION_NEEDED_MAX {
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
