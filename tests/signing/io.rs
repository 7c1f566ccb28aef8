//! A reader or a writer that fails says nothing about the package.

use std::io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};

use narrowcast::signing::{
    self, IoFault, PackageLimits, Payload, PayloadError, VerifyError, ZipError,
};

use crate::fixture::{firmware, inner, public_key, signed};
use crate::zip_builder::{Item, Zip};

/// EIO of Linux, what a disk answers that has lost its bytes.
const EIO: i32 = 5;

/// A file that gives at most `chunk_bytes` at a time, and fails once it was asked `calls_left` times.
struct Failing<'a> {
    file: Cursor<&'a [u8]>,
    chunk_bytes: usize,
    calls_left: u32,
}

impl Failing<'_> {
    fn count(&mut self) -> io::Result<()> {
        let left = self.calls_left.checked_sub(1);
        self.calls_left = left.ok_or_else(|| io::Error::from_raw_os_error(EIO))?;
        Ok(())
    }
}

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.count()?;
        let count = buffer.len().min(self.chunk_bytes);
        self.file.read(&mut buffer[..count])
    }
}

impl Seek for Failing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.count()?;
        self.file.seek(to)
    }
}

/// Takes so many bytes, and no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_refused_wherever_that_is() {
    let deflated = Zip::of([Item::deflated("FW.bin", &firmware())]).bytes();
    for inner in [inner(), deflated] {
        let archive = signed(&inner);
        let mut calls = 0;
        loop {
            let file = Failing {
                file: Cursor::new(&archive),
                chunk_bytes: 1000,
                calls_left: calls,
            };
            let limits = PackageLimits::default();
            match signing::verify(file, &[public_key()], &limits, &mut io::sink()) {
                Ok(_) => break,
                Err(VerifyError::Io(fault)) => {
                    let error = io::Error::from_raw_os_error(EIO);
                    assert_eq!(fault, IoFault::from(error), "{calls}");
                }
                Err(other) => panic!("{calls}: {other:?}"),
            }
            calls += 1;
        }
        assert!(calls > 50, "it was not read in pieces: {calls}");
    }
}

#[test]
fn firmware_that_finds_no_room_is_not_the_packages_fault() {
    let limits = PackageLimits::default();
    let archive = signed(&inner());
    let size = firmware().len();
    for room in [0, size - 1] {
        let verified = signing::verify(
            Cursor::new(&archive),
            &[public_key()],
            &limits,
            &mut Full(room),
        );
        let Err(VerifyError::Io(fault)) = verified else {
            panic!("{verified:?}");
        };
        assert_eq!(fault.kind, ErrorKind::StorageFull);
        let decoded = Payload::decode(Cursor::new(inner()), &limits, &mut Full(room));
        assert_eq!(decoded, Err(PayloadError::Zip(ZipError::Io(fault))));
    }
    let decoded = Payload::decode(Cursor::new(inner()), &limits, &mut Full(size));
    assert!(decoded.is_ok());
}
