//! The bytes of an answer, a piece at a time: nothing is copied, and what was taken is told.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::downloads::{Download, Downloads};
use crate::clock::{Instant, SystemClock};
use crate::model::DownloadCapability;

/// How much is handed to a connection at a time, in bytes: what was handed over counts as fetched, so it
/// is little.
const PIECE_BYTES: u64 = 4096;

/// How often it is told how far a download is, beside its first piece and its end.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A part of an image on its way to a device. What it is told to have fetched may be ahead of what it has
/// by what its connection and the kernel hold for it, some 50 KB at the most.
#[derive(Debug)]
pub(super) struct ImageBody {
    pub(super) downloads: Arc<Downloads>,
    pub(super) capability: DownloadCapability,
    pub(super) download: Arc<Download>,
    pub(super) clock: SystemClock,
    /// What is left of it.
    pub(super) part: Range<u64>,
    /// Until when how far it is need not be told again; `None`: nothing was handed over yet.
    pub(super) told_until: Option<Instant>,
}

/// The task ended while its image was fetched.
#[derive(Debug, thiserror::Error)]
#[error("the download was withdrawn")]
pub(super) struct Withdrawn;

impl HttpBody for ImageBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let this = &mut *self;
        if this.part.is_empty() {
            return Poll::Ready(None);
        }
        if this.download.is_withdrawn() {
            return Poll::Ready(Some(Err(Withdrawn)));
        }
        let end = this.part.end.min(this.part.start + PIECE_BYTES);
        let piece = this.piece(this.part.start..end);
        this.part.start = end;
        let now = this.clock.now().instant;
        if this.told_until.is_none_or(|until| now >= until) {
            this.told_until = Some(now + TELL_EVERY);
            this.downloads.note_fetched(this.capability, end);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.part.end - self.part.start)
    }
}

impl ImageBody {
    fn piece(&self, range: Range<u64>) -> Bytes {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let image = self.download.served.image.bytes();
        image.slice(at(range.start)..at(range.end))
    }
}

impl Drop for ImageBody {
    /// The end of the last piece, where it was not told with it.
    fn drop(&mut self) {
        if self.told_until.is_some() && !self.download.is_withdrawn() {
            self.downloads
                .note_fetched(self.capability, self.part.start);
        }
    }
}
