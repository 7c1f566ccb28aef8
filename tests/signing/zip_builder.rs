//! Writes zip files with any fault in any field.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) size: u32,
    pub(crate) packed_size: u32,
    pub(crate) crc: u32,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) needed: u16,
    pub(crate) date: u16,
    pub(crate) attributes: u32,
    pub(crate) local_extra: Vec<u8>,
    pub(crate) central_extra: Vec<u8>,
    /// What the local header says, where it is not what the central one says.
    pub(crate) local: Option<Box<Self>>,
}

impl Item {
    pub(crate) fn stored(name: &str, data: &[u8]) -> Self {
        let (packed, crc) = packed(data, CompressionMethod::Stored);
        Self {
            name: name.into(),
            size: data.len() as u32,
            packed_size: packed.len() as u32,
            data: packed,
            crc,
            method: 0,
            flags: 0,
            needed: 10,
            date: 0x21,
            attributes: 0o100_644 << 16,
            local_extra: Vec::new(),
            central_extra: Vec::new(),
            local: None,
        }
    }

    pub(crate) fn deflated(name: &str, data: &[u8]) -> Self {
        let (packed, _) = packed(data, CompressionMethod::Deflated);
        Self {
            packed_size: packed.len() as u32,
            data: packed,
            method: 8,
            needed: 20,
            ..Self::stored(name, data)
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Changes what the local header alone says.
    pub(crate) fn with_local(mut self, change: impl FnOnce(&mut Self)) -> Self {
        let mut local = self.clone();
        change(&mut local);
        self.local = Some(Box::new(local));
        self
    }

    fn shared(&self, extra: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [self.needed, self.flags, self.method, 0, self.date] {
            out.extend(field.to_le_bytes());
        }
        for field in [self.crc, self.packed_size, self.size] {
            out.extend(field.to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend((extra.len() as u16).to_le_bytes());
        out
    }

    fn local_header(&self) -> Vec<u8> {
        let item = self.local.as_deref().unwrap_or(self);
        [
            b"PK\x03\x04",
            item.shared(&item.local_extra).as_slice(),
            &item.name,
            &item.local_extra,
        ]
        .concat()
    }

    fn central_header(&self, offset: u32) -> Vec<u8> {
        let mut out = b"PK\x01\x02\x0a\x03".to_vec();
        out.extend(self.shared(&self.central_extra));
        out.extend([0; 6]);
        out.extend(self.attributes.to_le_bytes());
        out.extend(offset.to_le_bytes());
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&self.central_extra);
        out
    }
}

/// Data as they stand in a zip, and their CRC-32.
fn packed(data: &[u8], method: CompressionMethod) -> (Vec<u8>, u32) {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .compression_level((method == CompressionMethod::Deflated).then_some(9));
    writer.start_file("data", options).unwrap();
    writer.write_all(data).unwrap();
    let mut archive = ZipArchive::new(writer.finish().unwrap()).unwrap();
    let mut file = archive.by_index_raw(0).unwrap();
    let crc = file.crc32();
    let mut packed = Vec::new();
    file.read_to_end(&mut packed).unwrap();
    (packed, crc)
}

#[derive(Clone, Default)]
pub(crate) struct Zip {
    pub(crate) items: Vec<Item>,
    pub(crate) prefix: Vec<u8>,
    /// Between the data of the entries and the directory.
    pub(crate) gap: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) trailing: Vec<u8>,
    /// The number of entries, where it is not the true one.
    pub(crate) count: Option<u16>,
    /// All central headers point to the first local one.
    pub(crate) overlap: bool,
}

impl Zip {
    pub(crate) fn of(items: impl IntoIterator<Item = Item>) -> Self {
        Self {
            items: items.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut directory = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            let offset = if self.overlap { 0 } else { out.len() as u32 };
            directory.extend(item.central_header(offset));
            if !(self.overlap && index > 0) {
                out.extend(item.local_header());
                out.extend_from_slice(&item.data);
            }
        }
        out.extend_from_slice(&self.gap);
        let (directory_at, directory_size) = (out.len() as u32, directory.len() as u32);
        out.extend(directory);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        let count = self.count.unwrap_or(self.items.len() as u16);
        out.extend(count.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(directory_size.to_le_bytes());
        out.extend(directory_at.to_le_bytes());
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.comment);
        out.extend_from_slice(&self.trailing);
        out
    }
}
