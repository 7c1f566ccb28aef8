//! A part of a file, as a file.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// The bytes of `file` in a range; the first is at 0.
#[derive(Debug)]
pub(in crate::signing) struct Section<R> {
    file: R,
    range: Range<u64>,
    /// From the beginning of the range; may lie past its end.
    position: u64,
}

impl<R> Section<R> {
    pub(in crate::signing) const fn new(file: R, range: Range<u64>) -> Self {
        Self {
            file,
            range,
            position: 0,
        }
    }

    fn size_bytes(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

impl<R: Read + Seek> Read for Section<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size_bytes().saturating_sub(self.position);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            return Ok(0);
        }
        // The file is shared: its own position may have been moved since.
        self.file
            .seek(SeekFrom::Start(self.range.start + self.position))?;
        let count = self.file.read(&mut buffer[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<R> Seek for Section<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size_bytes().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn nothing_outside_the_section_is_read_or_sought() {
        let mut section = Section::new(Cursor::new(b"before|inside|after"), 7..13);
        let mut text = String::new();
        section.read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        for (to, at, expected) in [
            (SeekFrom::Start(2), 2, "side"),
            (SeekFrom::End(-1), 5, "e"),
            (SeekFrom::Current(-3), 3, "ide"),
            (SeekFrom::Start(99), 99, ""),
        ] {
            assert_eq!(section.seek(to).unwrap(), at, "{to:?}");
            text.clear();
            section.read_to_string(&mut text).unwrap();
            assert_eq!(text, expected, "{to:?}");
        }
        section.seek(SeekFrom::Start(0)).unwrap();
        assert!(section.seek(SeekFrom::Current(-1)).is_err());
        assert!(section.seek(SeekFrom::End(-7)).is_err());
    }
}
