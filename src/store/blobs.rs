//! Package bytes on disk, each under its own SHA-256: `blobs/ab/abcd…`.
//!
//! They are files and no rows of the database: SQLite hands out a blob whole, or in pieces through an
//! interface that its driver here lacks, and a transaction of 100 MiB would hold up every other commit
//! and leave a log of that size. What a file lacks is being committed with the row that names it. So it
//! goes first: it gets its name only after its bytes are synced, the row follows, and what a crash leaves
//! between the two is removed at the next start ([`BlobStore::remove_unnamed`]). A backup copies the
//! database first and then this folder; what is in the folder alone does no harm.
//!
//! Bytes are hashed again whenever they are loaded: what was changed on disk is never served. The same
//! bytes are in memory once, however many hold them, and until the last lets go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{CheckedFile, StoreError};
use crate::model::Sha256Digest;

/// Folder of what is not yet whole.
const INCOMING: &str = "incoming";

/// Why bytes were not stored or loaded.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There are no such bytes.
    #[error("no bytes are stored under {0}")]
    NotFound(Sha256Digest),
    /// The bytes on disk are not those that were stored.
    #[error("the bytes stored under {expected} were changed: their SHA-256 is {found}")]
    Changed {
        /// What they were stored under.
        expected: Sha256Digest,
        /// What they are.
        found: Sha256Digest,
    },
    /// The disk is full, or the limit on all stored bytes would be passed. Nothing was stored.
    #[error("no space is left for package bytes")]
    Full,
    /// Anything else. Nothing was stored.
    #[error("package bytes: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        let is_full = matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        );
        if is_full { Self::Full } else { Self::Io(error) }
    }
}

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound(_) => Self::new(ErrorKind::NotFound, error),
            BlobError::Changed { .. } => Self::new(ErrorKind::InvalidData, error),
            BlobError::Full => ErrorKind::StorageFull.into(),
            BlobError::Io(error) => error,
        }
    }
}

impl From<BlobError> for StoreError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound(_) => Self::NotFound,
            BlobError::Full => Self::Full,
            BlobError::Changed { .. } | BlobError::Io(_) => Self::Failed(error.to_string()),
        }
    }
}

/// A folder of bytes by their SHA-256. Calls block on the disk.
#[derive(Clone, Debug)]
pub struct BlobStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes stored or being stored.
    bytes: AtomicU64,
    /// Numbers the incoming files.
    next: AtomicU64,
    /// One file gets or loses its name at a time, so that what it replaces is counted once.
    naming: Mutex<()>,
    /// What is in memory, and whoever loads it.
    loaded: Mutex<BTreeMap<Sha256Digest, Weak<Vec<u8>>>>,
}

/// Bytes that have got their name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What they are stored under.
    pub sha256: Sha256Digest,
    /// Whether nothing was stored under it before.
    pub is_new: bool,
}

impl BlobStore {
    /// Opens the folder, which is made where it is not there; what a crash left in part is removed.
    /// At most `bytes_max` bytes are kept in all. One process at a time may have it open.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        let incoming = folder.join(INCOMING);
        match std::fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&incoming)?;
        let mut bytes: u64 = 0;
        for shelf in std::fs::read_dir(folder)? {
            for blob in std::fs::read_dir(shelf?.path())? {
                bytes = bytes.saturating_add(blob?.metadata()?.len());
            }
        }
        Ok(Self {
            shared: Arc::new(Shared {
                folder: folder.to_owned(),
                bytes_max,
                bytes: AtomicU64::new(bytes),
                next: AtomicU64::new(0),
                naming: Mutex::new(()),
                loaded: Mutex::default(),
            }),
        })
    }

    /// A place for bytes that are yet to come.
    ///
    /// # Errors
    /// [`BlobError::Full`] or [`BlobError::Io`].
    pub fn begin(&self) -> Result<IncomingBlob, BlobError> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let path = self.shared.folder.join(INCOMING).join(number.to_string());
        Ok(IncomingBlob {
            file: File::create(&path)?,
            shared: Arc::clone(&self.shared),
            path,
            sha256: Sha256::new(),
            reserved_bytes: 0,
            named: false,
        })
    }

    /// Stores bytes durably. Bytes that are there already are written anew: that mends them where
    /// they were changed.
    ///
    /// # Errors
    /// [`BlobError::Full`] or [`BlobError::Io`]; nothing is stored then.
    pub fn put(&self, bytes: &[u8]) -> Result<Sha256Digest, BlobError> {
        let mut incoming = self.begin()?;
        incoming.write_all(bytes)?;
        Ok(incoming.keep()?.sha256)
    }

    /// Opens bytes as a file, whose bytes were checked just now, a chunk at a time.
    ///
    /// # Errors
    /// [`BlobError::NotFound`]; [`BlobError::Changed`] where they are not what was stored;
    /// [`BlobError::Io`].
    pub fn open_file(&self, sha256: Sha256Digest) -> Result<File, BlobError> {
        let mut file = File::open(self.path(sha256)).map_err(|error| not_found(error, sha256))?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash)?;
        check(sha256, Sha256Digest(hash.finalize().into()))?;
        file.rewind()?;
        Ok(file)
    }

    /// Opens bytes to be read in parts, each of which is checked as it is read.
    ///
    /// # Errors
    /// As [`Self::open_file`].
    pub fn open_checked(&self, sha256: Sha256Digest) -> Result<CheckedFile, BlobError> {
        let file = File::open(self.path(sha256)).map_err(|error| not_found(error, sha256))?;
        CheckedFile::open(file, sha256)
    }

    /// Loads bytes whole, and checks them; those that are in memory already are shared.
    ///
    /// # Errors
    /// [`BlobError::NotFound`]; [`BlobError::Changed`], and no bytes, where they are not what was
    /// stored; [`BlobError::Io`].
    pub fn load(&self, sha256: Sha256Digest) -> Result<Bytes, BlobError> {
        // Held while it reads: who asks for the same at the same time shares it too.
        let mut loaded = lock(&self.shared.loaded);
        if let Some(bytes) = loaded.get(&sha256).and_then(Weak::upgrade) {
            return Ok(Bytes::from_owner(Loaded(bytes)));
        }
        loaded.retain(|_, bytes| bytes.strong_count() > 0);
        let bytes = std::fs::read(self.path(sha256)).map_err(|error| not_found(error, sha256))?;
        check(sha256, Sha256Digest(Sha256::digest(&bytes).into()))?;
        let bytes = Arc::new(bytes);
        loaded.insert(sha256, Arc::downgrade(&bytes));
        Ok(Bytes::from_owner(Loaded(bytes)))
    }

    /// Removes bytes that nothing names. Where there are none, nothing is done.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn remove(&self, sha256: Sha256Digest) -> Result<(), BlobError> {
        let _naming = lock(&self.shared.naming);
        self.shared.remove(&self.path(sha256))?;
        Ok(())
    }

    /// Removes all bytes that are not `named`, which is how a crash leaves those whose row was yet to
    /// come; how many they were. Other files in the folder are left alone.
    ///
    /// # Errors
    /// Where the folder cannot be read, or a file not removed.
    pub fn remove_unnamed(&self, named: &BTreeSet<Sha256Digest>) -> io::Result<usize> {
        let names: BTreeSet<String> = named.iter().map(ToString::to_string).collect();
        let is_digest =
            |name: &str| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        let _naming = lock(&self.shared.naming);
        let mut removed = 0;
        for shelf in std::fs::read_dir(&self.shared.folder)? {
            for blob in std::fs::read_dir(shelf?.path())? {
                let blob = blob?;
                let name = blob.file_name().to_string_lossy().into_owned();
                if is_digest(&name) && !names.contains(&name) {
                    self.shared.remove(&blob.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Where the bytes lie, or would.
    pub fn path(&self, sha256: Sha256Digest) -> PathBuf {
        self.shared.path(sha256)
    }

    /// How many bytes are stored or being stored.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn path(&self, sha256: Sha256Digest) -> PathBuf {
        let name = sha256.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if let Some(size_bytes) = size_bytes(path)? {
            std::fs::remove_file(path)?;
            self.bytes.fetch_sub(size_bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Bytes that come, hashed on their way to the disk. Dropped before they are kept, they are removed and
/// their room is free again.
#[derive(Debug)]
pub struct IncomingBlob {
    shared: Arc<Shared>,
    path: PathBuf,
    file: File,
    sha256: Sha256,
    reserved_bytes: u64,
    named: bool,
}

impl IncomingBlob {
    /// Opens what has come, to be read from its beginning.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn open_file(&self) -> Result<File, BlobError> {
        Ok(File::open(&self.path)?)
    }

    /// The SHA-256 of what has come.
    pub fn sha256(&self) -> Sha256Digest {
        Sha256Digest(self.sha256.clone().finalize().into())
    }

    /// Makes them durable under their SHA-256.
    ///
    /// # Errors
    /// [`BlobError::Full`] or [`BlobError::Io`]; nothing is stored then that outlives the next start.
    pub fn keep(mut self) -> Result<Kept, BlobError> {
        self.file.sync_all()?;
        let sha256 = Sha256Digest(std::mem::take(&mut self.sha256).finalize().into());
        let shared = Arc::clone(&self.shared);
        let _naming = lock(&shared.naming);
        let path = shared.path(sha256);
        let shelf = open_shelf(&path)?;
        let replaced_bytes = size_bytes(&path)?;
        std::fs::rename(&self.path, &path)?;
        self.named = true;
        let freed_bytes = replaced_bytes.unwrap_or(0);
        shared.bytes.fetch_sub(freed_bytes, Ordering::Relaxed);
        // The name is durable once its folder is. Where that fails no row comes to name the bytes, and
        // the next start removes them.
        shelf.sync_all()?;
        Ok(Kept {
            sha256,
            is_new: replaced_bytes.is_none(),
        })
    }
}

impl Write for IncomingBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let more_bytes = bytes.len() as u64;
        let before = self.shared.bytes.fetch_add(more_bytes, Ordering::Relaxed);
        self.reserved_bytes = self.reserved_bytes.saturating_add(more_bytes);
        if before.saturating_add(more_bytes) > self.shared.bytes_max {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.write_all(bytes)?;
        self.sha256.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for IncomingBlob {
    fn drop(&mut self) {
        if self.named {
            return;
        }
        self.shared
            .bytes
            .fetch_sub(self.reserved_bytes, Ordering::Relaxed);
        // What stays behind is removed at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Bytes in memory, as one of those who share them holds them.
struct Loaded(Arc<Vec<u8>>);

impl AsRef<[u8]> for Loaded {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn check(expected: Sha256Digest, found: Sha256Digest) -> Result<(), BlobError> {
    if found == expected {
        return Ok(());
    }
    Err(BlobError::Changed { expected, found })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(error: io::Error, sha256: Sha256Digest) -> BlobError {
    if error.kind() == ErrorKind::NotFound {
        return BlobError::NotFound(sha256);
    }
    error.into()
}

/// How large a file is; `None` where there is none.
fn size_bytes(path: &Path) -> io::Result<Option<u64>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The folder of a file, made durably where it is not there.
fn open_shelf(path: &Path) -> io::Result<File> {
    let Some(shelf) = path.parent() else {
        return Err(ErrorKind::InvalidInput.into());
    };
    if !shelf.is_dir() {
        std::fs::create_dir_all(shelf)?;
        if let Some(folder) = shelf.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    File::open(shelf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, bytes_max: u64) -> BlobStore {
        BlobStore::open(folder, bytes_max).unwrap()
    }

    fn incoming_files(folder: &Path) -> usize {
        std::fs::read_dir(folder.join(INCOMING)).unwrap().count()
    }

    #[test]
    fn what_was_put_is_loaded_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let image: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let blobs = open(folder.path(), 2 << 20);
        let digest = blobs.put(&image).unwrap();
        assert_eq!(digest, Sha256Digest(Sha256::digest(&image).into()));
        assert_eq!(blobs.put(&image).unwrap(), digest, "idempotent");
        assert_eq!(blobs.bytes(), 700_000, "counted once");
        drop(blobs);
        let blobs = open(folder.path(), 2 << 20);
        assert_eq!(blobs.bytes(), 700_000);
        assert_eq!(blobs.load(digest).unwrap(), image);
        assert_eq!(incoming_files(folder.path()), 0);
    }

    #[test]
    fn bytes_that_were_changed_are_never_served_and_putting_them_again_mends_them() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 2 << 20);
        let digest = blobs.put(b"firmware").unwrap();
        std::fs::write(blobs.path(digest), b"firmwarf").unwrap();
        for error in [
            blobs.load(digest).unwrap_err(),
            blobs.open_file(digest).unwrap_err(),
        ] {
            assert!(matches!(error, BlobError::Changed { expected, .. } if expected == digest));
        }
        blobs.put(b"firmware").unwrap();
        assert_eq!(blobs.load(digest).unwrap(), b"firmware".as_slice());
        assert_eq!(blobs.bytes(), 8);
    }

    #[test]
    fn unknown_bytes_are_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 2 << 20);
        let digest = Sha256Digest([7; 32]);
        assert!(matches!(
            blobs.load(digest),
            Err(BlobError::NotFound(it)) if it == digest
        ));
    }

    #[test]
    fn beyond_the_limit_nothing_is_stored_and_nothing_stays_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        blobs.put(&[1; 600]).unwrap();
        assert!(matches!(blobs.put(&[2; 500]), Err(BlobError::Full)));
        assert_eq!(blobs.bytes(), 600);
        assert_eq!(incoming_files(folder.path()), 0);
        blobs.put(&[3; 400]).unwrap();
        assert_eq!(blobs.bytes(), 1000);
    }

    #[test]
    fn what_was_left_in_part_is_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        std::fs::write(folder.path().join(INCOMING).join("0"), b"half").unwrap();
        drop(blobs);
        let blobs = open(folder.path(), 1000);
        assert_eq!(incoming_files(folder.path()), 0);
        assert_eq!(blobs.bytes(), 0);
    }

    #[test]
    fn what_was_begun_and_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        let mut incoming = blobs.begin().unwrap();
        incoming.write_all(b"some bytes").unwrap();
        assert_eq!(blobs.bytes(), 10);
        assert_eq!(incoming_files(folder.path()), 1);
        drop(incoming);
        assert_eq!(blobs.bytes(), 0);
        assert_eq!(incoming_files(folder.path()), 0);
    }

    #[test]
    fn what_has_come_can_be_read_before_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        let mut incoming = blobs.begin().unwrap();
        incoming.write_all(b"some ").unwrap();
        incoming.write_all(b"bytes").unwrap();
        let come = io::read_to_string(incoming.open_file().unwrap()).unwrap();
        assert_eq!(come, "some bytes");
        let kept = incoming.keep().unwrap();
        assert!(kept.is_new);
        assert_eq!(
            kept.sha256,
            Sha256Digest(Sha256::digest("some bytes").into())
        );
        let file = blobs.open_file(kept.sha256).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "some bytes");
        let mut again = blobs.begin().unwrap();
        again.write_all(b"some bytes").unwrap();
        assert!(!again.keep().unwrap().is_new);
    }

    #[test]
    fn the_same_bytes_are_in_memory_once_and_only_while_somebody_holds_them() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        let sha256 = blobs.put(b"firmware").unwrap();
        let first = blobs.load(sha256).unwrap();
        let second = blobs.load(sha256).unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
        let held = Weak::clone(&lock(&blobs.shared.loaded)[&sha256]);
        drop(first);
        assert_eq!(held.strong_count(), 1, "a slice is still held");
        drop(second);
        assert_eq!(held.strong_count(), 0);
        // From the disk again, with its check.
        std::fs::write(blobs.path(sha256), b"firmwarf").unwrap();
        assert!(matches!(blobs.load(sha256), Err(BlobError::Changed { .. })));
    }

    #[test]
    fn what_nothing_names_is_removed_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        let [named, orphan, removed] =
            [b"named", b"orpha", b"remov"].map(|bytes| blobs.put(bytes).unwrap());
        let stranger = blobs.path(orphan).with_file_name("README");
        std::fs::write(&stranger, b"?").unwrap();
        blobs.remove(removed).unwrap();
        blobs.remove(removed).unwrap();
        assert_eq!(blobs.bytes(), 10);
        let unnamed = blobs.remove_unnamed(&BTreeSet::from([named])).unwrap();
        assert_eq!((unnamed, blobs.bytes()), (1, 5));
        assert!(matches!(
            blobs.load(orphan),
            Err(BlobError::NotFound(it)) if it == orphan
        ));
        assert_eq!(blobs.load(named).unwrap(), b"named".as_slice());
        assert!(stranger.is_file());
    }
}
