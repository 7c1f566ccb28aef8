//! Duplicates: the same message from the same peer again (RFC 7252 §4.5).

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::{MessageId, Token};
use crate::clock::Instant;
use crate::model::{Datagram, Peer};

/// What a duplicate of a message is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing: it was non-confirmable.
    Ignored,
    /// An empty ACK: the answer goes, or went, another way.
    Acknowledged,
    /// The same bytes as the first time.
    Answer(Box<[u8]>),
    /// The same, with a body that is shared.
    SharedAnswer(Box<Datagram>),
}

impl Kept {
    /// Keeps a datagram that was sent as the answer.
    pub(super) fn answer(datagram: Datagram) -> Self {
        if datagram.body.is_empty() {
            Self::Answer(datagram.head.into_boxed_slice())
        } else {
            Self::SharedAnswer(Box::new(datagram))
        }
    }
}

/// The messages answered of late, by a digest of peer and message id.
///
/// A digest has 64 bits and a secret seed: among a million entries a request meets another's by
/// chance once in 10^13, and nobody can aim for it.
#[derive(Debug)]
pub(super) struct Dedup {
    seed: u64,
    entries: HashMap<u64, Entry>,
    /// Oldest first. An entry that was replaced has two; only the one with its time counts.
    order: VecDeque<(u64, Seconds)>,
    entries_max: usize,
}

#[derive(Debug)]
struct Entry {
    token_digest: u32,
    expires: Seconds,
    kept: Kept,
}

/// Whole seconds since the origin, rounded up: a quarter of the bytes of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seconds(u32);

impl Seconds {
    fn at_least(instant: Instant) -> Self {
        let seconds = instant.since_origin().as_secs().saturating_add(1);
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    fn is_past(self, now: Instant) -> bool {
        u64::from(self.0) <= now.since_origin().as_secs()
    }
}

impl Dedup {
    /// With room for `entries_max` answers.
    pub(super) fn new(seed: u64, entries_max: usize) -> Self {
        Self {
            seed,
            entries: HashMap::new(),
            order: VecDeque::new(),
            entries_max: entries_max.max(1),
        }
    }

    /// What was kept for this message, if it is a duplicate.
    ///
    /// An id that comes again with another token is another message: a device that rebooted counts
    /// from the start again, and must not get the answer to what it asked in its life before.
    pub(super) fn find(
        &self,
        now: Instant,
        peer: &Peer,
        id: MessageId,
        token: Token,
    ) -> Option<&Kept> {
        let entry = self.entries.get(&self.key(peer, id))?;
        let is_same = entry.token_digest == digest(token) && !entry.expires.is_past(now);
        is_same.then_some(&entry.kept)
    }

    /// Keeps what a duplicate is to be answered with. Returns how many entries had to go for it.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        peer: &Peer,
        id: MessageId,
        token: Token,
        kept: Kept,
        lifetime: Duration,
    ) -> u64 {
        self.expire(now);
        let mut evicted = 0;
        while self.order.len() >= self.entries_max {
            evicted += u64::from(self.remove_oldest());
        }
        let key = self.key(peer, id);
        let expires = Seconds::at_least(now + lifetime);
        let entry = Entry {
            token_digest: digest(token),
            expires,
            kept,
        };
        self.entries.insert(key, entry);
        self.order.push_back((key, expires));
        evicted
    }

    /// How many answers are kept, those that were replaced since among them.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Forgets what is past, oldest first.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, expires)) = self.order.front()
            && expires.is_past(now)
        {
            self.remove_oldest();
        }
    }

    /// Takes the oldest item of the order, and its entry unless that was replaced since.
    fn remove_oldest(&mut self) -> bool {
        let Some((key, expires)) = self.order.pop_front() else {
            return false;
        };
        let counts = self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.expires == expires);
        if counts {
            self.entries.remove(&key);
        }
        counts
    }

    fn key(&self, peer: &Peer, id: MessageId) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, peer, id).hash(&mut hasher);
        hasher.finish()
    }
}

/// FNV-1a: tells tokens of one peer and one id apart, no more.
fn digest(token: Token) -> u32 {
    token.as_slice().iter().fold(0x811c_9dc5, |digest, byte| {
        (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(247);
    const TOKEN: Token = Token::EMPTY;

    fn peer(port: u16) -> Peer {
        Peer::Address(([127, 0, 0, 1], port).into())
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn keep(dedup: &mut Dedup, now: Instant, port: u16, id: u16) -> u64 {
        let kept = Kept::Answer(Box::from([1, 2, 3]));
        dedup.keep(now, &peer(port), MessageId(id), TOKEN, kept, LIFETIME)
    }

    #[test]
    fn an_answer_is_kept_for_the_lifetime_and_for_that_peer_and_id_only() {
        let mut dedup = Dedup::new(1, 100);
        keep(&mut dedup, at(10), 1, 7);
        let find = |now, port, id| dedup.find(now, &peer(port), MessageId(id), TOKEN).is_some();
        assert!(find(at(10), 1, 7));
        assert!(find(at(10 + 247), 1, 7));
        assert!(!find(at(10 + 248), 1, 7));
        assert!(!find(at(10), 2, 7));
        assert!(!find(at(10), 1, 8));
    }

    #[test]
    fn an_id_with_another_token_is_another_message() {
        let mut dedup = Dedup::new(1, 100);
        keep(&mut dedup, at(0), 1, 7);
        let other = Token::new(b"other").unwrap();
        assert_eq!(dedup.find(at(0), &peer(1), MessageId(7), other), None);
    }

    #[test]
    fn the_oldest_goes_when_it_is_full_and_all_goes_with_time() {
        let mut dedup = Dedup::new(1, 3);
        let evicted: u64 = (0..10).map(|id| keep(&mut dedup, at(0), 1, id)).sum();
        assert_eq!(evicted, 7);
        assert_eq!((dedup.entries.len(), dedup.order.len()), (3, 3));
        assert!(dedup.find(at(0), &peer(1), MessageId(9), TOKEN).is_some());
        dedup.expire(at(248));
        assert_eq!((dedup.entries.len(), dedup.order.len()), (0, 0));
    }

    #[test]
    fn a_replaced_entry_lives_as_long_as_its_replacement() {
        let mut dedup = Dedup::new(1, 10);
        keep(&mut dedup, at(0), 1, 7);
        keep(&mut dedup, at(100), 1, 7);
        dedup.expire(at(248));
        let found = dedup.find(at(248), &peer(1), MessageId(7), TOKEN);
        assert!(found.is_some());
        dedup.expire(at(348));
        assert!(dedup.entries.is_empty() && dedup.order.is_empty());
    }
}
