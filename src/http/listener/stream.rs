//! A socket whose deadlines hear of what passes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ConnectionLimits;
use super::deadlines::Deadlines;
use super::taken::Taker;
use crate::clock::{Instant, SystemClock};

/// A connection's deadlines, as its socket, its requests and its task share them.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) clock: SystemClock,
    deadlines: Arc<Mutex<Deadlines>>,
    /// Who has bytes on the way to the socket: seldom more than the answer that is sent.
    unflushed: Arc<Mutex<Vec<Arc<dyn Taker>>>>,
}

impl Watch {
    pub(super) fn new(clock: SystemClock, limits: ConnectionLimits) -> Self {
        let deadlines = Deadlines::new(clock.now().instant, limits);
        Self {
            clock,
            deadlines: Arc::new(Mutex::new(deadlines)),
            unflushed: Arc::default(),
        }
    }

    /// Bytes of this one's are with the connection, and perhaps not with its socket.
    pub(super) fn unflushed(&self, taker: &Arc<dyn Taker>) {
        let mut unflushed = lock(&self.unflushed);
        if !unflushed.iter().any(|it| Arc::ptr_eq(it, taker)) {
            unflushed.push(Arc::clone(taker));
        }
    }

    fn flushed(&self) {
        self.lock().flushed(self.now());
        let flushed = std::mem::take(&mut *lock(&self.unflushed));
        flushed.iter().for_each(|taker| taker.flushed());
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now().instant
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Deadlines> {
        lock(&self.deadlines)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket, or TLS over one, under a [`Watch`].
#[derive(Debug)]
pub(super) struct WatchedStream<S> {
    stream: S,
    watch: Watch,
}

impl<S> WatchedStream<S> {
    pub(super) fn new(stream: S, watch: Watch) -> Self {
        Self { stream, watch }
    }

    fn note_sent(&self, sent: &Poll<io::Result<usize>>) {
        match sent {
            Poll::Ready(Ok(bytes)) => self.watch.lock().sent(self.watch.now(), *bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.lock().send_blocked(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.watch.lock().received(self.watch.now());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_sent(&sent);
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_sent(&sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        match flushed {
            Poll::Ready(Ok(())) => self.watch.flushed(),
            Poll::Ready(Err(_)) => {}
            // TLS has taken what its socket has not: no write may follow that could tell.
            Poll::Pending => self.watch.lock().send_blocked(),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
