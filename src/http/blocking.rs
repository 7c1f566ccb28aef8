//! Work that keeps a thread: hashing and unpacking 100 MiB, and what waits for the disk.

use super::error::{Problem, kinds};

/// Does it on a thread that may block. It is done to its end even where nobody waits for it any more.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Problem::new(kinds::INTERNAL, "the work did not end")))
}
