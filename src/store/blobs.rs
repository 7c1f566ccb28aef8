//! Package bytes on disk, each under its own SHA-256: `blobs/ab/abcd…`.
//!
//! A file gets its name only after its bytes are synced, and its bytes are hashed again whenever they
//! are loaded: what was changed on disk is never served.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::model::Sha256Digest;

/// Folder of what is not yet whole.
const INCOMING: &str = "incoming";

/// How many bytes are read, hashed and written at a time.
const CHUNK_BYTES: usize = 256 * 1024;

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

/// A folder of bytes by their SHA-256.
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
    /// One file gets its name at a time, so that what it replaces is counted once.
    naming: Mutex<()>,
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
            }),
        })
    }

    /// Stores bytes durably. Bytes that are there already are written anew: that mends them where
    /// they were changed.
    ///
    /// # Errors
    /// [`BlobError::Full`] or [`BlobError::Io`]; nothing is stored then.
    pub async fn put(&self, bytes: &[u8]) -> Result<Sha256Digest, BlobError> {
        let (digest, _) = self.put_stream(bytes).await?;
        Ok(digest)
    }

    /// As [`Self::put`], in constant memory; also how many bytes it were.
    ///
    /// # Errors
    /// [`BlobError::Full`] or [`BlobError::Io`], the latter also where `source` fails.
    pub async fn put_stream(
        &self,
        mut source: impl AsyncRead + Unpin + Send,
    ) -> Result<(Sha256Digest, u64), BlobError> {
        let mut incoming = Incoming::new(&self.shared);
        let mut file = tokio::fs::File::create(&incoming.path).await?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = source.read(&mut chunk).await?;
            if count == 0 {
                break;
            }
            incoming.reserve(u64::try_from(count).unwrap_or(u64::MAX))?;
            hash.update(&chunk[..count]);
            file.write_all(&chunk[..count]).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        let digest = Sha256Digest(hash.finalize().into());
        let size_bytes = incoming.reserved_bytes;
        incoming.name(digest).await?;
        Ok((digest, size_bytes))
    }

    /// Loads bytes whole, and checks them.
    ///
    /// # Errors
    /// [`BlobError::NotFound`]; [`BlobError::Changed`], and no bytes, where they are not what was
    /// stored; [`BlobError::Io`].
    pub async fn load(&self, digest: Sha256Digest) -> Result<Bytes, BlobError> {
        let path = self.path(digest);
        let read = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(path)?;
            let found = Sha256Digest(Sha256::digest(&bytes).into());
            Ok::<_, io::Error>((Bytes::from(bytes), found))
        });
        match read.await.map_err(io::Error::other)? {
            Ok((bytes, found)) if found == digest => Ok(bytes),
            Ok((_, found)) => Err(BlobError::Changed {
                expected: digest,
                found,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(BlobError::NotFound(digest)),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the bytes lie, or would.
    pub fn path(&self, digest: Sha256Digest) -> PathBuf {
        self.shared.path(digest)
    }

    /// How many bytes are stored or being stored.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn path(&self, digest: Sha256Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

/// A file that is not yet whole. Dropped without a name, it is removed and its bytes are free again.
struct Incoming {
    shared: Arc<Shared>,
    path: PathBuf,
    reserved_bytes: u64,
    named: bool,
}

impl Incoming {
    fn new(shared: &Arc<Shared>) -> Self {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        Self {
            path: shared.folder.join(INCOMING).join(number.to_string()),
            shared: Arc::clone(shared),
            reserved_bytes: 0,
            named: false,
        }
    }

    fn reserve(&mut self, more: u64) -> Result<(), BlobError> {
        let before = self.shared.bytes.fetch_add(more, Ordering::Relaxed);
        self.reserved_bytes = self.reserved_bytes.saturating_add(more);
        if before.saturating_add(more) > self.shared.bytes_max {
            return Err(BlobError::Full);
        }
        Ok(())
    }

    async fn name(mut self, digest: Sha256Digest) -> Result<(), BlobError> {
        let shared = Arc::clone(&self.shared);
        let _naming = shared.naming.lock().await;
        let (from, to) = (self.path.clone(), shared.path(digest));
        let named = tokio::task::spawn_blocking(move || rename_durably(&from, &to));
        let replaced_bytes = named.await.map_err(io::Error::other)??;
        self.named = true;
        shared.bytes.fetch_sub(replaced_bytes, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Incoming {
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

/// Renames a synced file and syncs the folders that tell of it; the size of what it replaced.
fn rename_durably(from: &Path, to: &Path) -> io::Result<u64> {
    let replaced_bytes = match std::fs::metadata(to) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let Some(shelf) = to.parent() else {
        return Err(ErrorKind::InvalidInput.into());
    };
    if !shelf.is_dir() {
        std::fs::create_dir_all(shelf)?;
        if let Some(folder) = shelf.parent() {
            File::open(folder)?.sync_all()?;
        }
    }
    std::fs::rename(from, to)?;
    File::open(shelf)?.sync_all()?;
    Ok(replaced_bytes)
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

    #[tokio::test]
    async fn what_was_put_is_loaded_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let image: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let blobs = open(folder.path(), 2 << 20);
        let digest = blobs.put(&image).await.unwrap();
        assert_eq!(digest, Sha256Digest(Sha256::digest(&image).into()));
        assert_eq!(blobs.put(&image).await.unwrap(), digest, "idempotent");
        assert_eq!(blobs.bytes(), 700_000, "counted once");
        drop(blobs);
        let blobs = open(folder.path(), 2 << 20);
        assert_eq!(blobs.bytes(), 700_000);
        assert_eq!(blobs.load(digest).await.unwrap(), image);
        assert_eq!(incoming_files(folder.path()), 0);
    }

    #[tokio::test]
    async fn bytes_that_were_changed_are_never_served_and_putting_them_again_mends_them() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 2 << 20);
        let digest = blobs.put(b"firmware").await.unwrap();
        std::fs::write(blobs.path(digest), b"firmwarf").unwrap();
        let error = blobs.load(digest).await.unwrap_err();
        assert!(matches!(error, BlobError::Changed { expected, .. } if expected == digest));
        blobs.put(b"firmware").await.unwrap();
        assert_eq!(blobs.load(digest).await.unwrap(), b"firmware".as_slice());
        assert_eq!(blobs.bytes(), 8);
    }

    #[tokio::test]
    async fn unknown_bytes_are_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 2 << 20);
        let digest = Sha256Digest([7; 32]);
        assert!(matches!(
            blobs.load(digest).await,
            Err(BlobError::NotFound(it)) if it == digest
        ));
    }

    #[tokio::test]
    async fn beyond_the_limit_nothing_is_stored_and_nothing_stays_reserved() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        blobs.put(&[1; 600]).await.unwrap();
        assert!(matches!(blobs.put(&[2; 500]).await, Err(BlobError::Full)));
        assert_eq!(blobs.bytes(), 600);
        assert_eq!(incoming_files(folder.path()), 0);
        blobs.put(&[3; 400]).await.unwrap();
        assert_eq!(blobs.bytes(), 1000);
    }

    #[tokio::test]
    async fn what_was_left_in_part_is_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        std::fs::write(folder.path().join(INCOMING).join("0"), b"half").unwrap();
        drop(blobs);
        let blobs = open(folder.path(), 1000);
        assert_eq!(incoming_files(folder.path()), 0);
        assert_eq!(blobs.bytes(), 0);
    }

    #[tokio::test]
    async fn a_source_that_fails_stores_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = open(folder.path(), 1000);
        let broken = AsyncReadExt::chain(&b"some bytes"[..], Broken);
        assert!(matches!(
            blobs.put_stream(broken).await,
            Err(BlobError::Io(_))
        ));
        assert_eq!(blobs.bytes(), 0);
        assert_eq!(incoming_files(folder.path()), 0);
    }

    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        }
    }
}
