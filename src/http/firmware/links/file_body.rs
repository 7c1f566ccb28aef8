//! The bytes of an answer from a file, a piece at a time, and what its connection takes of them.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use metrics::counter;
use tokio::task::JoinHandle;

use super::Links;
use super::link::Link;
use crate::clock::SystemClock;
use crate::http::listener::Taker;
use crate::store::{BlobError, CheckedFile};

/// A part of a link's file on its way to a module.
#[derive(Debug)]
pub(super) struct FileBody {
    pub(super) links: Arc<Links>,
    pub(super) link: Arc<Link>,
    pub(super) file: Arc<CheckedFile>,
    /// What is left of it.
    pub(super) part: Range<u64>,
    /// The next piece, as it is read.
    pub(super) reading: Option<JoinHandle<Result<Bytes, BlobError>>>,
}

/// Why an answer is not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutOff {
    #[error("the link was ended")]
    Ended,
    #[error("the link has sent as many bytes as it may")]
    BudgetSpent,
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] BlobError),
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let this = &mut *self;
        if this.part.is_empty() {
            return Poll::Ready(None);
        }
        if this.link.is_cut() {
            return Poll::Ready(Some(Err(CutOff::Ended)));
        }
        let piece = next_piece(&this.part);
        let file = &this.file;
        let reading = this.reading.get_or_insert_with(|| {
            let (file, piece) = (Arc::clone(file), piece.clone());
            tokio::task::spawn_blocking(move || file.read(piece))
        });
        let read = ready!(Pin::new(reading).poll(context));
        this.reading = None;
        let read = read.unwrap_or_else(|error| Err(BlobError::Io(io::Error::from(error))));
        Poll::Ready(Some(match read {
            Ok(bytes) if this.link.spend(bytes.len() as u64) => {
                this.part.start = piece.end;
                this.links.news.notify_one();
                Ok(Frame::data(bytes))
            }
            Ok(_) => Err(CutOff::BudgetSpent),
            Err(error) => {
                counter!("narrowcast_packages_damaged_total").increment(1);
                tracing::error!(%error, "a package's file cannot be read");
                // The next who asks has it checked, and is told.
                this.links.files.close(this.link.file().0);
                Err(error.into())
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.part.end - self.part.start)
    }
}

/// As far as the end of a chunk that is checked as one: that much an answer holds of a file in memory.
fn next_piece(part: &Range<u64>) -> Range<u64> {
    let chunk = CheckedFile::CHUNK_BYTES;
    let chunk_end = (part.start / chunk + 1) * chunk;
    part.start..part.end.min(chunk_end)
}

/// Tells a link what the connection of one answer has taken.
#[derive(Debug)]
pub(super) struct LinkTaker {
    pub(super) links: Arc<Links>,
    pub(super) link: Arc<Link>,
    pub(super) clock: SystemClock,
    /// The offset behind the last byte that was taken.
    pub(super) next: AtomicU64,
}

impl Taker for LinkTaker {
    fn taken(&self, bytes: u64) {
        let start = self.next.fetch_add(bytes, Ordering::Relaxed);
        self.link.taken(start..start + bytes, self.clock.now().utc);
        self.links.news.notify_one();
    }

    fn flushed(&self) {
        self.link.flushed(self.clock.now().utc);
        self.links.news.notify_one();
    }
}
