//! Stored entries, written in one way only.

use std::io::{Cursor, Write};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, System, ZipWriter};

/// Writes the files as stored entries: the same files give the same bytes, anywhere. `None` where
/// they do not fit the format (4 GiB).
///
/// What could differ from one run or machine to another is fixed: time, owner, system. The headers
/// that come of it are those of [`super::canonical`].
pub(in crate::signing) fn store(files: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .system(System::Unix)
        .unix_permissions(0o644)
        // 1980-01-01, the earliest of the format.
        .last_modified_time(DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer.start_file(*name, options).ok()?;
        writer.write_all(data).ok()?;
    }
    let bytes = writer.finish().ok()?.into_inner();
    // Beyond 4 GiB the offsets are zip64's, which no reader of ours takes.
    u32::try_from(bytes.len()).ok().map(|_| bytes)
}
