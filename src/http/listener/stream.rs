//! A socket whose deadlines hear of what passes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::ConnectionLimits;
use super::deadlines::Deadlines;
use crate::clock::{Instant, SystemClock};

/// A connection's deadlines, as its socket, its requests and its task share them.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) clock: SystemClock,
    deadlines: Arc<Mutex<Deadlines>>,
}

impl Watch {
    pub(super) fn new(clock: SystemClock, limits: ConnectionLimits) -> Self {
        let deadlines = Deadlines::new(clock.now().instant, limits);
        Self {
            clock,
            deadlines: Arc::new(Mutex::new(deadlines)),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now().instant
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket under a [`Watch`].
#[derive(Debug)]
pub(super) struct WatchedStream {
    stream: TcpStream,
    watch: Watch,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, watch: Watch) -> Self {
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

impl AsyncRead for WatchedStream {
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

impl AsyncWrite for WatchedStream {
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
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
