//! Zip files, read and written by the `zip` crate, behind a check that accepts one way to say a thing.
//!
//! General readers differ in what they take from a file that says two things at once (two
//! directories, a local header against the central one, duplicate names): there a signed file could
//! be one firmware here and another elsewhere. So, before the crate opens a file, every byte of it must
//! be accounted for:
//!
//! ```text
//! local header 0 | data 0 | local header 1 | data 1 | … | central headers | end record
//! ```
//!
//! without gaps, comments, zip64, encryption or data descriptors (APPNOTE.TXT 6.3.10 §4.3).
//!
//! A file is anything that can be read and sought in, and is read in pieces: how much memory that takes
//! does not depend on its size. It must not change meanwhile.

mod canonical;
mod entry;
mod error;
mod reader;
mod record;
mod section;
mod writer;

pub use error::{IoFault, ZipError};

pub(super) use reader::CheckedZip;
pub(super) use section::Section;
pub(super) use writer::StoredZip;

/// Whether `name` may be a file's name in a package: 1 to 128 of `A-Z a-z 0-9 . _ -`, not led by a
/// dot. Such a name is one file in any folder of any system.
pub fn is_file_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
