//! Digests of peers, and times in whole seconds: what is kept for each of a million peers is small.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::clock::Instant;

/// Makes digests of 64 bits under a secret seed: among a million keys one meets another's by chance
/// once in 10^13, and nobody can aim for it.
#[derive(Debug)]
pub(crate) struct Digests {
    seed: u64,
}

impl Digests {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(crate) fn of(&self, key: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, key).hash(&mut hasher);
        hasher.finish()
    }
}

/// A map by digest, which is not hashed once more.
pub(crate) type DigestMap<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Takes a digest for its own hash.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // Not used for digests, which come whole; a rotation keeps the order of other keys' bytes.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whole seconds since the origin, rounded up: half the bytes of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seconds(u32);

impl Seconds {
    pub(crate) fn at_least(instant: Instant) -> Self {
        let seconds = instant.since_origin().as_secs().saturating_add(1);
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    pub(crate) fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(crate) fn from_be_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    pub(crate) fn instant(self) -> Instant {
        Instant::from_origin(Duration::from_secs(self.0.into()))
    }

    pub(crate) fn is_past(self, now: Instant) -> bool {
        u64::from(self.0) <= now.since_origin().as_secs()
    }
}
