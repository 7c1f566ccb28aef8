//! Duplicates: the same message from the same peer again (RFC 7252 §4.5).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::digest::{DigestMap, Digests, Seconds};
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
    Answer(Answer),
}

/// The bytes of an answer. Most are short: that to an Update has 12 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// In place, without memory of its own.
    Short { len: u8, bytes: [u8; SHORT_BYTES] },
    /// A datagram without body.
    Long(Box<[u8]>),
    /// One whose body is shared.
    Shared(Box<Datagram>),
}

/// What fits where a long answer has its pointer and length, beside the length of the short one.
const SHORT_BYTES: usize = 22;

impl Kept {
    /// Keeps a datagram that was sent as the answer.
    pub(super) fn answer(datagram: Datagram) -> Self {
        let head = &datagram.head;
        let mut bytes = [0; SHORT_BYTES];
        Self::Answer(if !datagram.body.is_empty() {
            Answer::Shared(Box::new(datagram))
        } else if let Some(place) = bytes.get_mut(..head.len()) {
            place.copy_from_slice(head);
            let len = u8::try_from(head.len()).unwrap_or_default();
            Answer::Short { len, bytes }
        } else {
            Answer::Long(datagram.head.into_boxed_slice())
        })
    }
}

impl Answer {
    /// The datagram as it was sent.
    pub(super) fn into_datagram(self) -> Datagram {
        let head = match self {
            Self::Short { len, bytes } => bytes.iter().take(usize::from(len)).copied().collect(),
            Self::Long(bytes) => bytes.into_vec(),
            Self::Shared(datagram) => return *datagram,
        };
        Datagram {
            head,
            body: Bytes::new(),
        }
    }
}

/// The messages answered of late, by a digest of peer and message id.
#[derive(Debug)]
pub(super) struct Dedup {
    digests: Digests,
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// The number of the first entry; each has the next one.
    first: u32,
    /// The number of the newest entry of a message.
    newest: DigestMap<u32>,
    entries_max: usize,
}

#[derive(Debug)]
struct Entry {
    digest: u64,
    token_digest: u32,
    expires: Seconds,
    kept: Kept,
}

impl Dedup {
    /// With room for `entries_max` answers, at most 2^32 - 1.
    pub(super) fn new(seed: u64, entries_max: usize) -> Self {
        Self {
            digests: Digests::new(seed),
            entries: VecDeque::new(),
            first: 0,
            newest: DigestMap::default(),
            entries_max: entries_max.clamp(1, u32::MAX as usize),
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
        let number = self.newest.get(&self.digests.of((peer, id)))?;
        let entry = self.entries.get(self.place(*number))?;
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
        while self.entries.len() >= self.entries_max {
            evicted += u64::from(self.remove_oldest());
        }
        let digest_of_message = self.digests.of((peer, id));
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let number = self.first.wrapping_add(place);
        self.entries.push_back(Entry {
            digest: digest_of_message,
            token_digest: digest(token),
            expires: Seconds::at_least(now + lifetime),
            kept,
        });
        if let Some(replaced) = self.newest.insert(digest_of_message, number) {
            let place = self.place(replaced);
            if let Some(entry) = self.entries.get_mut(place) {
                entry.kept = Kept::Ignored;
            }
        }
        evicted
    }

    /// How many answers are kept, those that were replaced since among them.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets what is past, oldest first.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(entry) = self.entries.front()
            && entry.expires.is_past(now)
        {
            self.remove_oldest();
        }
    }

    /// Takes the oldest entry. Returns whether it counted still: it had not been replaced.
    fn remove_oldest(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else {
            return false;
        };
        let number = self.first;
        self.first = number.wrapping_add(1);
        let counts = self.newest.get(&entry.digest) == Some(&number);
        if counts {
            self.newest.remove(&entry.digest);
        }
        counts
    }

    fn place(&self, number: u32) -> usize {
        number.wrapping_sub(self.first) as usize
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
        let kept = Kept::answer(Datagram {
            head: vec![1, 2, 3],
            body: Bytes::new(),
        });
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
        assert_eq!((dedup.newest.len(), dedup.entries.len()), (3, 3));
        assert!(dedup.find(at(0), &peer(1), MessageId(9), TOKEN).is_some());
        dedup.expire(at(248));
        assert_eq!((dedup.newest.len(), dedup.entries.len()), (0, 0));
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
        assert!(dedup.entries.is_empty() && dedup.newest.is_empty());
    }
    #[test]
    fn an_answer_of_any_length_comes_back_as_it_was_sent() {
        for head_bytes in [0, 1, SHORT_BYTES, SHORT_BYTES + 1, 300] {
            for body in [Bytes::new(), Bytes::from_static(&[9; 1024])] {
                let head = vec![7; head_bytes];
                let sent = Datagram { head, body };
                let Kept::Answer(answer) = Kept::answer(sent.clone()) else {
                    panic!("an answer");
                };
                assert_eq!(answer.into_datagram(), sent);
            }
        }
    }

    #[test]
    fn numbers_come_round_and_find_their_entries_still() {
        let mut dedup = Dedup::new(1, 4);
        dedup.first = u32::MAX - 5;
        for id in 0..20 {
            keep(&mut dedup, at(0), 1, id);
            for earlier in id.saturating_sub(3)..=id {
                let found = dedup.find(at(0), &peer(1), MessageId(earlier), TOKEN);
                assert!(found.is_some(), "{earlier} of {id}");
            }
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 40);
    }
}
