//! How an answer hears what its connection takes of it.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::stream::Watch;

/// Hears of one answer's body.
pub(in crate::http) trait Taker: fmt::Debug + Send + Sync {
    /// Its connection has taken so many bytes more.
    fn taken(&self, bytes: u64);
    /// All that was taken is with the connection's socket.
    fn flushed(&self);
}

/// An extension of a response: who hears what is taken of its body.
#[derive(Clone, Debug)]
pub(in crate::http) struct TakenBy(pub(in crate::http) Arc<dyn Taker>);

/// A piece of an answer's body that tells what of it is taken.
pub(super) struct WatchedBytes {
    bytes: Bytes,
    told: Option<(TakenBy, Watch)>,
}

impl WatchedBytes {
    pub(super) fn new(bytes: Bytes, told: Option<(TakenBy, Watch)>) -> Self {
        Self { bytes, told }
    }
}

impl Buf for WatchedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some((TakenBy(taker), watch)) = &self.told {
            taker.taken(count as u64);
            watch.unflushed(taker);
        }
    }
}
