//! The bytes of an answer from a file, a piece at a time, and what its connection takes of them.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use metrics::counter;
use tokio::task::JoinHandle;

use super::Links;
use super::link::Link;
use crate::clock::{Instant, SystemClock};
use crate::http::listener::Taker;
use crate::store::{BlobError, CheckedFile, StoreError};

/// How often it is asked again, while an answer is sent, whether it may be: it may be sent for hours, and
/// who revokes a key may not hear in time that it was done.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(60);

/// A part of a link's file on its way to a module.
#[derive(Debug)]
pub(super) struct FileBody {
    pub(super) links: Arc<Links>,
    pub(super) link: Arc<Link>,
    pub(super) file: Arc<CheckedFile>,
    pub(super) clock: SystemClock,
    /// How many times the link had been cut off before it was asked whether it may be sent.
    pub(super) cuts: u64,
    /// When that is to be asked again.
    pub(super) ask_at: Instant,
    /// What is left of it.
    pub(super) part: Range<u64>,
    /// The next piece, as it is read.
    pub(super) reading: Option<JoinHandle<Result<Bytes, CutOff>>>,
}

/// Why an answer is not sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutOff {
    #[error("the link was ended")]
    Ended,
    #[error("the link's time is over")]
    Expired,
    #[error("whether it may be sent cannot be read: {0}")]
    Unknown(#[from] StoreError),
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
        let now = this.clock.now();
        if this.link.cuts() != this.cuts {
            return Poll::Ready(Some(Err(CutOff::Ended)));
        }
        if this.link.is_expired(now.utc) {
            return Poll::Ready(Some(Err(CutOff::Expired)));
        }
        let piece = next_piece(&this.part);
        let reading = this.reading.get_or_insert_with(|| {
            let asks = now.instant >= this.ask_at;
            if asks {
                this.ask_at = now.instant + ASK_EVERY;
            }
            let whose = asks.then(|| (Arc::clone(&this.links), Arc::clone(&this.link)));
            tokio::spawn(read(whose, Arc::clone(&this.file), piece.clone()))
        });
        let read = ready!(Pin::new(reading).poll(context));
        this.reading = None;
        let read = read.unwrap_or_else(|error| Err(BlobError::Io(io::Error::from(error)).into()));
        Poll::Ready(Some(match read {
            Ok(bytes) if this.link.spend(bytes.len() as u64) => {
                this.part.start = piece.end;
                this.links.news.notify_one();
                Ok(Frame::data(bytes))
            }
            Ok(_) => Err(CutOff::BudgetSpent),
            Err(CutOff::Unreadable(error)) => {
                counter!("narrowcast_packages_damaged_total").increment(1);
                tracing::error!(%error, "a package's file cannot be read");
                // The next who asks has it checked, and is told.
                this.links.files.close(this.link.file().0);
                Err(error.into())
            }
            Err(cut_off) => Err(cut_off),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.part.end - self.part.start)
    }
}

/// Reads a piece of a file, once it is known that the link may still be sent where that is to be asked.
async fn read(
    whose: Option<(Arc<Links>, Arc<Link>)>,
    file: Arc<CheckedFile>,
    piece: Range<u64>,
) -> Result<Bytes, CutOff> {
    if let Some((links, link)) = whose
        && !links.may_send(&link).await?
    {
        return Err(CutOff::Ended);
    }
    let read = tokio::task::spawn_blocking(move || file.read(piece)).await;
    Ok(read.unwrap_or_else(|error| Err(BlobError::Io(io::Error::from(error))))?)
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
