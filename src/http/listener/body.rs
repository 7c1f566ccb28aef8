//! Bodies of requests and of answers, as their connection watches them.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use metrics::counter;

use super::ConnectionLimits;
use super::alarm::Alarm;
use super::pace::Pace;
use super::stream::Watch;
use super::taken::{TakenBy, WatchedBytes};

/// A request's body that has to come at the least rate, from when it is first asked for.
pub(super) struct PacedBody {
    inner: Incoming,
    watch: Watch,
    limits: ConnectionLimits,
    pace: Option<Pace>,
    alarm: Alarm,
}

/// Why a request's body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body came too slowly")]
    TooSlow,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// Whether an error has a body's slowness for its cause.
pub(in crate::http) fn is_too_slow(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if matches!(error.downcast_ref(), Some(BodyError::TooSlow)) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl PacedBody {
    pub(super) fn new(inner: Incoming, watch: Watch, limits: ConnectionLimits) -> Self {
        Self {
            inner,
            watch,
            limits,
            pace: None,
            alarm: Alarm::default(),
        }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let now = this.watch.now();
        let limits = this.limits;
        let pace = this.pace.get_or_insert_with(|| {
            Pace::new(now, limits.rate_min_bytes_per_second, limits.rate_grace)
        });
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                pace.passed(now, frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => Poll::Ready(ended.map(|result| result.map_err(BodyError::from))),
            Poll::Pending => {
                ready!(this.alarm.poll(context, &this.watch.clock, pace.until()));
                counter!("narrowcast_http_timeouts_total", "reason" => "body_rate_min")
                    .increment(1);
                Poll::Ready(Some(Err(BodyError::TooSlow)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body whose end its connection hears of, also where it is never asked for.
pub(super) struct AnswerBody {
    inner: Body,
    watch: Watch,
    taken_by: Option<TakenBy>,
}

impl AnswerBody {
    pub(super) fn new(inner: Body, watch: Watch, taken_by: Option<TakenBy>) -> Self {
        Self {
            inner,
            watch,
            taken_by,
        }
    }

    fn watched(&self, bytes: Bytes) -> WatchedBytes {
        let told = self.taken_by.clone();
        WatchedBytes::new(bytes, told.map(|taken_by| (taken_by, self.watch.clone())))
    }
}

impl HttpBody for AnswerBody {
    type Data = WatchedBytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<WatchedBytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let watched = |frame: Frame<Bytes>| frame.map_data(|bytes| self.watched(bytes));
        Poll::Ready(frame.map(|frame| frame.map(watched)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.watch.lock().answer_ended(self.watch.now());
    }
}
