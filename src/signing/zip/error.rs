//! What can be wrong with a zip file.

use std::io;

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
    /// Something else that the reader stumbles over.
    #[error("it cannot be read ({0}): pack it again")]
    Unreadable(String),
    /// Not the file's fault.
    #[error(transparent)]
    Io(#[from] IoFault),
}

/// What the file was read from, or its content written to, failed: nothing is said of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading or writing failed: {reason}")]
pub struct IoFault {
    /// What kind of failure.
    pub kind: io::ErrorKind,
    /// In words.
    pub reason: String,
}

impl From<io::Error> for IoFault {
    fn from(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            reason: error.to_string(),
        }
    }
}

impl From<IoFault> for io::Error {
    fn from(fault: IoFault) -> Self {
        Self::new(fault.kind, fault.reason)
    }
}

impl From<io::Error> for ZipError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.into())
    }
}

impl ZipError {
    /// What an error is that came through the `zip` crate, which has its own of the same type: the
    /// operating system's are the reader's, all others are about the file.
    pub(super) fn of_crate(error: io::Error, about_the_file: impl FnOnce(String) -> Self) -> Self {
        if error.raw_os_error().is_some() {
            error.into()
        } else {
            about_the_file(error.to_string())
        }
    }
}
