//! Message ids that are not used twice towards one peer while they count (RFC 7252 §4.4).
//!
//! The clause speaks of pairs of endpoints, so each peer has a sequence of its own, from a random
//! start. One counter for all would come round in seconds under load, and some peer would get the
//! same id twice within its lifetime. A sequence is forgotten once its last id is free again.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::MessageId;
use super::digest::{DigestMap, Digests, Seconds};
use crate::clock::Instant;
use crate::model::Peer;

/// The sequences of the peers that were sent something of late. Two peers whose digests meet share
/// one, which does no harm.
#[derive(Debug)]
pub(super) struct MessageIds {
    digests: Digests,
    sequences: DigestMap<Sequence>,
    /// Peers, and when to look whether their sequence has ended.
    order: VecDeque<(Seconds, u64)>,
    peers_max: usize,
}

#[derive(Debug)]
struct Sequence {
    last: u16,
    expires: Seconds,
}

impl MessageIds {
    /// With room for the sequences of `peers_max` peers; beyond, the oldest begins anew.
    pub(super) fn new(seed: u64, peers_max: usize) -> Self {
        Self {
            digests: Digests::new(seed),
            sequences: DigestMap::default(),
            order: VecDeque::new(),
            peers_max: peers_max.max(1),
        }
    }

    /// The next id for `peer`, which is taken for `lifetime`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        peer: &Peer,
        lifetime: Duration,
        rng: &mut StdRng,
    ) -> MessageId {
        let expires = Seconds::at_least(now + lifetime);
        let peer = self.digests.of(peer);
        if let Some(sequence) = self.sequences.get_mut(&peer) {
            sequence.last = sequence.last.wrapping_add(1);
            sequence.expires = sequence.expires.max(expires);
            return MessageId(sequence.last);
        }
        while self.sequences.len() >= self.peers_max {
            let Some((_, oldest)) = self.order.pop_front() else {
                break;
            };
            self.sequences.remove(&oldest);
        }
        let last = rng.r#gen();
        self.sequences.insert(peer, Sequence { last, expires });
        self.order.push_back((expires, peer));
        MessageId(last)
    }

    /// How many peers are remembered.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Forgets sequences whose ids are all free again. A sequence in use goes to the back; it stays
    /// at least as long as it must.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && at.is_past(now)
        {
            let Some((_, peer)) = self.order.pop_front() else {
                return;
            };
            match self.sequences.get(&peer) {
                Some(sequence) if !sequence.expires.is_past(now) => {
                    self.order.push_back((sequence.expires, peer));
                }
                Some(_) | None => {
                    self.sequences.remove(&peer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(247);

    fn peer(port: u16) -> Peer {
        Peer::Address(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn one_peer_never_gets_an_id_twice_within_its_lifetime_however_many_others_there_are() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ids = MessageIds::new(1, 10_000);
        let mut seen = HashSet::new();
        for round in 0..100 {
            let now = Instant::from_origin(Duration::from_secs(round));
            ids.expire(now);
            assert!(seen.insert(ids.next(now, &peer(1), LIFETIME, &mut rng)));
            for other in 1000..2000 {
                ids.next(now, &peer(other), LIFETIME, &mut rng);
            }
        }
    }

    #[test]
    fn a_peer_is_forgotten_when_its_ids_are_free_and_the_number_is_bounded() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ids = MessageIds::new(1, 3);
        for port in 0..10 {
            ids.next(Instant::ORIGIN, &peer(port), LIFETIME, &mut rng);
            assert!(ids.sequences.len() <= 3 && ids.order.len() <= 3);
        }
        let later = Instant::ORIGIN + Duration::from_secs(100);
        ids.next(later, &peer(9), LIFETIME, &mut rng);
        // Times are kept in whole seconds, rounded up.
        let rounding = Duration::from_secs(1);
        ids.expire(Instant::ORIGIN + LIFETIME + rounding);
        assert_eq!(ids.sequences.len(), 1, "the one that was used again");
        ids.expire(later + LIFETIME + rounding);
        assert!(ids.sequences.is_empty() && ids.order.is_empty());
    }
}
