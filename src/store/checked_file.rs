//! A stored file whose every read is checked: its chunks are hashed while the whole is, and each again as
//! it is read.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::blobs::BlobError;
use crate::model::Sha256Digest;

/// An open file of bytes that were as stored when it was opened. A read gives bytes that still are, or
/// none.
///
/// The hashes of its chunks take 1/512 of its size in memory.
#[derive(Debug)]
pub struct CheckedFile {
    file: File,
    sha256: Sha256Digest,
    size_bytes: u64,
    chunks: Vec<Sha256Digest>,
}

impl CheckedFile {
    /// What is read and hashed at a time, in bytes. A read of whole chunks reads nothing else.
    pub const CHUNK_BYTES: u64 = 16 * 1024;

    /// Reads the whole file, which must be `sha256`.
    pub(super) fn open(mut file: File, sha256: Sha256Digest) -> Result<Self, BlobError> {
        let mut whole = Sha256::new();
        let mut chunks = Vec::new();
        let mut size_bytes = 0;
        loop {
            let mut chunk = Vec::with_capacity(Self::CHUNK_BYTES as usize);
            let read = file
                .by_ref()
                .take(Self::CHUNK_BYTES)
                .read_to_end(&mut chunk)?;
            if read == 0 {
                break;
            }
            size_bytes += read as u64;
            whole.update(&chunk);
            chunks.push(Sha256Digest(Sha256::digest(&chunk).into()));
        }
        let found = Sha256Digest(whole.finalize().into());
        if found != sha256 {
            return Err(BlobError::Changed {
                expected: sha256,
                found,
            });
        }
        Ok(Self {
            file,
            sha256,
            size_bytes,
            chunks,
        })
    }

    /// Its size in bytes.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes of a range within the file, checked just now. It blocks on the disk.
    ///
    /// # Errors
    /// [`BlobError::Changed`], and no bytes, where they are no longer what was stored;
    /// [`BlobError::Io`], also for a range that is not within the file.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes, BlobError> {
        if range.start >= range.end || range.end > self.size_bytes {
            return Err(BlobError::Io(io::ErrorKind::InvalidInput.into()));
        }
        let first = range.start / Self::CHUNK_BYTES;
        let start = first * Self::CHUNK_BYTES;
        let end = range
            .end
            .next_multiple_of(Self::CHUNK_BYTES)
            .min(self.size_bytes);
        let mut bytes = vec![0; to_usize(end - start)];
        let read = self.file.read_exact_at(&mut bytes, start);
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.changed(&bytes));
            }
            Err(error) => return Err(error.into()),
            Ok(()) => {}
        }
        let expected = self.chunks.iter().skip(to_usize(first));
        for (chunk, expected) in bytes.chunks(to_usize(Self::CHUNK_BYTES)).zip(expected) {
            if Sha256::digest(chunk).as_slice() != expected.0 {
                return Err(self.changed(chunk));
            }
        }
        let bytes = Bytes::from(bytes);
        Ok(bytes.slice(to_usize(range.start - start)..to_usize(range.end - start)))
    }

    fn changed(&self, chunk: &[u8]) -> BlobError {
        BlobError::Changed {
            expected: self.sha256,
            found: Sha256Digest(Sha256::digest(chunk).into()),
        }
    }
}

/// A position in a file that fits into memory's; no package is larger.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;

    use super::*;

    const SIZE_BYTES: u64 = 2 * CheckedFile::CHUNK_BYTES + 100;

    fn content() -> Vec<u8> {
        (0..SIZE_BYTES).map(|at| (at * 7 % 251) as u8).collect()
    }

    fn write(folder: &Path, content: &[u8]) -> PathBuf {
        let path = folder.join("blob");
        std::fs::write(&path, content).unwrap();
        path
    }

    fn open(path: &Path) -> Result<CheckedFile, BlobError> {
        let sha256 = Sha256Digest(Sha256::digest(content()).into());
        CheckedFile::open(File::open(path).unwrap(), sha256)
    }

    /// Writes into the file that is there, as a failing disk does.
    fn flip(path: &Path, at: u64) {
        let file = File::options().write(true).open(path).unwrap();
        let byte = content()[at as usize] ^ 1;
        file.write_all_at(&[byte], at).unwrap();
    }

    #[test]
    fn a_changed_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        for at in [0, CheckedFile::CHUNK_BYTES, SIZE_BYTES - 1] {
            let path = write(folder.path(), &content());
            flip(&path, at);
            assert!(
                matches!(open(&path), Err(BlobError::Changed { .. })),
                "{at}"
            );
        }
        let path = write(folder.path(), &content()[1..]);
        assert!(matches!(open(&path), Err(BlobError::Changed { .. })));
    }

    #[test]
    fn bytes_that_change_while_it_is_open_are_never_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &content());
        let file = open(&path).unwrap();
        flip(&path, CheckedFile::CHUNK_BYTES + 5);
        let first = file.read(0..CheckedFile::CHUNK_BYTES).unwrap();
        assert_eq!(first, content()[..first.len()]);
        for range in [
            CheckedFile::CHUNK_BYTES..CheckedFile::CHUNK_BYTES + 1,
            CheckedFile::CHUNK_BYTES - 1..CheckedFile::CHUNK_BYTES + 1,
            0..SIZE_BYTES,
        ] {
            let read = file.read(range.clone());
            assert!(matches!(read, Err(BlobError::Changed { .. })), "{range:?}");
        }
        assert!(file.read(SIZE_BYTES - 100..SIZE_BYTES).is_ok());
        // Cut short.
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(10)
            .unwrap();
        let read = file.read(0..SIZE_BYTES);
        assert!(matches!(read, Err(BlobError::Changed { .. })));
    }

    #[test]
    fn nothing_outside_the_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(&write(folder.path(), &content())).unwrap();
        assert_eq!(file.size_bytes(), SIZE_BYTES);
        for range in [0..SIZE_BYTES + 1, 5..5, SIZE_BYTES..SIZE_BYTES, 0..u64::MAX] {
            assert!(matches!(file.read(range), Err(BlobError::Io(_))));
        }
    }

    proptest! {
        #[test]
        fn any_range_within_the_file_is_read_as_stored(
            (start, end) in (0..SIZE_BYTES).prop_flat_map(|start| (Just(start), start + 1..=SIZE_BYTES)),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let file = open(&write(folder.path(), &content())).unwrap();
            let read = file.read(start..end).unwrap();
            prop_assert_eq!(&read[..], &content()[start as usize..end as usize]);
        }
    }
}
