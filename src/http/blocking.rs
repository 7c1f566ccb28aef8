//! Work that keeps a thread, hashing and unpacking 100 MiB and what waits for the disk, and work that
//! must not be cut off.

use super::error::{Problem, kinds};

/// Does it on a thread that may block. It is done to its end even where nobody waits for it any more.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Problem::new(kinds::INTERNAL, "the work did not end")))
}

/// Does it to its end: who leaves now, or waits for too long, leaves nothing half done.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|_| Err(Problem::new(kinds::INTERNAL, "the work did not end")))
}
