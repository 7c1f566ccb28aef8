//! Stored entries, written in one way only.

use std::io::{self, Read, Seek, Write};

use ::zip::result::ZipError as CrateError;
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::ZipError;

/// A zip file that is written: stored entries only, the same files give the same bytes, anywhere.
///
/// What could differ from one run or machine to another is fixed: time, owner, system. The headers
/// that come of it are those of [`super::canonical`].
pub(in crate::signing) struct StoredZip<W: Write + Seek> {
    writer: ZipWriter<W>,
    /// How much may still be written.
    left: u64,
}

impl<W: Write + Seek> StoredZip<W> {
    /// Of all that is added, only `bytes_max` bytes are written.
    pub(in crate::signing) fn new(to: W, bytes_max: u64) -> Self {
        Self {
            writer: ZipWriter::new(to),
            left: bytes_max,
        }
    }

    pub(in crate::signing) fn add(
        &mut self,
        name: &str,
        content: impl Read,
    ) -> Result<(), ZipError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .system(System::Unix)
            .unix_permissions(0o644)
            // 1980-01-01, the earliest of the format.
            .last_modified_time(DateTime::default());
        self.writer.start_file(name, options).map_err(fault)?;
        self.left -= io::copy(&mut content.take(self.left), &mut self.writer)?;
        Ok(())
    }

    /// Writes the directory; [`ZipError::Zip64`] where it all does not fit the format (4 GiB).
    pub(in crate::signing) fn finish(self) -> Result<(), ZipError> {
        let mut to = self.writer.finish().map_err(fault)?;
        // Beyond 4 GiB the offsets are zip64's, which no reader of ours takes.
        match u32::try_from(to.stream_position()?) {
            Ok(_) => Ok(to.flush()?),
            Err(_) => Err(ZipError::Zip64),
        }
    }
}

fn fault(error: CrateError) -> ZipError {
    if let CrateError::Io(error) = error {
        return error.into();
    }
    ZipError::Zip64
}
