//! Files of packages that were checked, and stay open for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::model::Sha256Digest;
use crate::store::{BlobError, BlobStore, CheckedFile};

/// How many files stay open while nobody reads them, so that a module that asks for 512 bytes at a time
/// does not have the whole file hashed at each turn.
const OPEN_FILES_MAX: usize = 16;

/// A file that is being checked, or was.
type Checked = Arc<OnceCell<Arc<CheckedFile>>>;

/// The files that were last asked for, the latest last.
#[derive(Debug)]
pub(super) struct VerifiedFiles {
    bytes: BlobStore,
    open: Mutex<VecDeque<(Sha256Digest, Checked)>>,
}

impl VerifiedFiles {
    pub(super) fn new(bytes: BlobStore) -> Self {
        Self {
            bytes,
            open: Mutex::default(),
        }
    }

    /// Opens a file whose bytes were checked just now, and are again as they are read. Who asks for the same at the same time
    /// waits for one check.
    pub(super) async fn open(&self, sha256: Sha256Digest) -> Result<Arc<CheckedFile>, BlobError> {
        let checked = self.place(sha256);
        let opened = checked.get_or_try_init(|| async {
            let bytes = self.bytes.clone();
            let opened = tokio::task::spawn_blocking(move || bytes.open_checked(sha256)).await;
            let opened = opened.map_err(|error| BlobError::Io(error.into()))?;
            opened.map(Arc::new)
        });
        opened.await.map(Arc::clone)
    }

    /// Closes a file that nobody reads: the next who asks has it checked again.
    pub(super) fn close(&self, sha256: Sha256Digest) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(of, _)| *of != sha256);
    }

    fn place(&self, sha256: Sha256Digest) -> Checked {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|(of, _)| *of == sha256);
        let found = at.and_then(|at| open.remove(at));
        let checked = found.map(|(_, checked)| checked).unwrap_or_default();
        open.push_back((sha256, Arc::clone(&checked)));
        if open.len() > OPEN_FILES_MAX {
            open.pop_front();
        }
        checked
    }
}
