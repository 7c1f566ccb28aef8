//! Files read whole up to a bound, and written so that no half file is ever seen under its name.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::error::CliError;
use crate::signing::KeyError;

/// The largest key or pass-phrase file, in bytes.
const TEXT_BYTES_MAX: u64 = 64 << 10;

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is replaced.
    Replace,
    /// It stays, and the write fails.
    Keep,
}

/// Opens a file of at most `bytes_max` bytes.
///
/// # Errors
/// Where it cannot be read, or is larger.
pub(super) fn open(path: &Path, bytes_max: u64) -> Result<File, CliError> {
    let fault = |error: io::Error| CliError::file("read", path, &error);
    let file = File::open(path).map_err(fault)?;
    if file.metadata().map_err(fault)?.len() > bytes_max {
        return Err(fault(too_large(bytes_max)));
    }
    Ok(file)
}

/// Reads a whole file of at most `bytes_max` bytes.
///
/// # Errors
/// Where it cannot be read, or is larger.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, CliError> {
    let read = || {
        let mut content = Vec::new();
        File::open(path)?
            .take(bytes_max + 1)
            .read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error| CliError::file("read", path, &error))?;
    if content.len() as u64 > bytes_max {
        return Err(CliError::file("read", path, &too_large(bytes_max)));
    }
    Ok(content)
}

fn too_large(bytes_max: u64) -> io::Error {
    io::Error::other(format!("it has more than {bytes_max} bytes"))
}

/// Reads a key or pass-phrase; the text is wiped from memory when dropped.
///
/// # Errors
/// Where it cannot be read, is larger than 64 KiB, or is not UTF-8.
pub(super) fn read_secret_text(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let content = Zeroizing::new(read(path, TEXT_BYTES_MAX)?);
    match std::str::from_utf8(&content) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => Err({
            let found = KeyError::of_binary(&content);
            if matches!(found, KeyError::NotPem) {
                CliError::in_file(path, &error)
            } else {
                CliError::in_file(path, &found)
            }
        }),
    }
}

/// Writes beside `path`, syncs, and takes the name in one step.
///
/// # Errors
/// Where it cannot be written, or is there and must be kept.
pub(super) fn write(
    path: &Path,
    content: &[u8],
    mode: u32,
    existing: Existing,
) -> Result<(), CliError> {
    write_with(path, mode, existing, |file| {
        file.write_all(content)
            .map_err(|error| CliError::file("write", path, &error))
    })
}

/// The same, with the content as `fill` writes it.
///
/// # Errors
/// As [`write()`], or where `fill` fails.
pub(super) fn write_with(
    path: &Path,
    mode: u32,
    existing: Existing,
    fill: impl FnOnce(&mut File) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let folder = folder_of(path);
    let fault = |error: io::Error| CliError::file("write", path, &error);
    let mut file = NamedTempFile::new_in(folder).map_err(fault)?;
    fill(file.as_file_mut())?;
    let finish = || {
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        match existing {
            Existing::Replace => file.persist(path),
            Existing::Keep => file.persist_noclobber(path),
        }
        .map_err(|error| error.error)?;
        // The name is durable once its folder is.
        File::open(folder)?.sync_all()
    };
    finish().map_err(fault)
}

/// The folder that a file is in, or will be.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_must_be_kept_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"first", 0o600, Existing::Keep).unwrap();
        assert!(write(&path, b"second", 0o600, Existing::Keep).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        write(&path, b"third", 0o644, Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_file_over_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        fs::write(&path, [0; 11]).unwrap();
        assert!(read(&path, 10).is_err());
        assert_eq!(read(&path, 11).unwrap().len(), 11);
    }
}
