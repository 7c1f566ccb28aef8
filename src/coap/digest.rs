//! Digests of peers, and times in whole seconds: what is kept for each of a million peers is small.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use crate::clock::Instant;

/// Makes digests of 64 bits under a secret seed: among a million keys one meets another's by chance
/// once in 10^13, and nobody can aim for it.
#[derive(Debug)]
pub(super) struct Digests {
    seed: u64,
}

impl Digests {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(super) fn of(&self, key: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, key).hash(&mut hasher);
        hasher.finish()
    }
}

/// A map by digest, which is not hashed once more.
pub(super) type DigestMap<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Takes a digest for its own hash.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

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
pub(super) struct Seconds(u32);

impl Seconds {
    pub(super) fn at_least(instant: Instant) -> Self {
        let seconds = instant.since_origin().as_secs().saturating_add(1);
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    pub(super) fn is_past(self, now: Instant) -> bool {
        u64::from(self.0) <= now.since_origin().as_secs()
    }
}
