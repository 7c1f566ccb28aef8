//! Bodies that come in blocks, put together (RFC 7959 §2.5, atomic).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::timer::Deadlines;
use super::{BlockValue, EndpointConfig, OptionNumber, Request};
use crate::clock::Instant;
use crate::model::Peer;

/// What came of one piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembly {
    /// 2.31: more is to come.
    Continue,
    /// The whole body.
    Complete(Bytes),
    /// 4.08: a piece before this one is missing (§2.9.2).
    Incomplete,
    /// 4.13: the body would be longer than the limit (§2.9.3).
    TooLarge,
    /// 4.00: the payload's length is not that of the block.
    Invalid,
}

/// The unfinished bodies.
#[derive(Debug)]
pub(super) struct Block1Bodies {
    seed: u64,
    bodies: HashMap<u64, Body>,
    /// The keys of each peer's bodies, longest begun first.
    by_peer: HashMap<Peer, Vec<u64>>,
    /// A body has one entry; when its time comes while the body is in use, it is put off.
    deadlines: Deadlines<u64>,
    bodies_max: usize,
    bodies_per_peer_max: usize,
    body_bytes_max: usize,
    lifetime: Duration,
    dropped: u64,
}

#[derive(Debug)]
struct Body {
    peer: Peer,
    bytes: BytesMut,
    expires: Instant,
    /// The time of its entry among the deadlines.
    looked_at: Instant,
}

impl Block1Bodies {
    /// With no body, and the bounds of `config`.
    pub(super) fn new(seed: u64, config: &EndpointConfig) -> Self {
        Self {
            seed,
            bodies: HashMap::new(),
            by_peer: HashMap::new(),
            deadlines: Deadlines::new(),
            bodies_max: config.block1_bodies_max.max(1),
            bodies_per_peer_max: config.block1_bodies_per_peer_max.max(1),
            body_bytes_max: config.block1_body_bytes_max,
            lifetime: config.block1_lifetime,
            dropped: 0,
        }
    }

    /// Takes one piece. Bodies are told apart by peer, method, path, query and Request-Tag (RFC
    /// 9175 §3.3); block 0 begins anew.
    pub(super) fn add(
        &mut self,
        now: Instant,
        peer: &Peer,
        block: BlockValue,
        request: &Request,
    ) -> Assembly {
        let piece = &request.payload;
        let key = self.key(peer, request);
        if piece.len() > block.size_bytes() || block.more && piece.len() < block.size_bytes() {
            return Assembly::Invalid;
        }
        if block.num == 0 {
            self.remove(key);
        }
        let announced_bytes = request.options.uint(OptionNumber::SIZE1).unwrap_or(0) as usize;
        let end = block.offset() + piece.len();
        if end.max(announced_bytes) > self.body_bytes_max {
            self.remove(key);
            return Assembly::TooLarge;
        }
        if block.num == 0 {
            if !block.more {
                return Assembly::Complete(piece.clone());
            }
            self.begin(now, peer, key);
        }
        let expires = now + self.lifetime;
        let Some(body) = self.bodies.get_mut(&key) else {
            return Assembly::Incomplete;
        };
        if let Some(known) = body.bytes.get(block.offset()..end)
            && block.more
        {
            // Sent again under a new message id, as by a client that restarted its exchange.
            let is_same = known == piece;
            return if is_same {
                Assembly::Continue
            } else {
                Assembly::Incomplete
            };
        }
        if body.bytes.len() != block.offset() {
            return Assembly::Incomplete;
        }
        body.bytes.extend_from_slice(piece);
        body.expires = expires;
        if block.more {
            return Assembly::Continue;
        }
        let bytes = self.remove(key).unwrap_or_default();
        Assembly::Complete(bytes.freeze())
    }

    /// The longest body in bytes, for Size1 in a 4.13.
    pub(super) const fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// Drops bodies that have been idle for their lifetime.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, key)) = self.deadlines.pop_due(now) {
            if self.is_idle(at, key, now) {
                self.drop_unfinished(key);
            }
        }
        self.prune();
    }

    /// When [`Self::expire`] has something to look at.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadlines.earliest().map(|(at, _)| at)
    }

    /// How many bodies are unfinished.
    pub(super) fn len(&self) -> usize {
        self.bodies.len()
    }

    /// How many deadlines are kept, those of ended bodies among them.
    pub(super) fn deadlines(&self) -> usize {
        self.deadlines.len()
    }

    /// How many bodies were dropped unfinished.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn begin(&mut self, now: Instant, peer: &Peer, key: u64) {
        let of_peer = self.by_peer.get(peer).map_or(0, Vec::len);
        if of_peer >= self.bodies_per_peer_max
            && let Some(&oldest) = self.by_peer.get(peer).and_then(|keys| keys.first())
        {
            self.drop_unfinished(oldest);
        }
        while self.bodies.len() >= self.bodies_max {
            // Each entry is put off at most once before one is found that is as old as it says.
            let Some((at, oldest)) = self.deadlines.pop() else {
                break;
            };
            if self.is_idle(at, oldest, at) {
                self.drop_unfinished(oldest);
            }
        }
        let expires = now + self.lifetime;
        let body = Body {
            peer: peer.clone(),
            bytes: BytesMut::new(),
            expires,
            looked_at: expires,
        };
        self.bodies.insert(key, body);
        self.by_peer.entry(peer.clone()).or_default().push(key);
        self.deadlines.push(expires, key);
    }

    /// Whether the body of an entry that was taken off has had no piece since; if it had, the entry
    /// is put back at its new time.
    fn is_idle(&mut self, at: Instant, key: u64, now: Instant) -> bool {
        let Some(body) = self.bodies.get_mut(&key) else {
            return false;
        };
        if body.looked_at != at {
            return false;
        }
        if body.expires > now {
            body.looked_at = body.expires;
            self.deadlines.push(body.expires, key);
            return false;
        }
        true
    }

    fn drop_unfinished(&mut self, key: u64) {
        self.remove(key);
        self.dropped += 1;
    }

    fn remove(&mut self, key: u64) -> Option<BytesMut> {
        let body = self.bodies.remove(&key)?;
        if let Some(keys) = self.by_peer.get_mut(&body.peer) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_peer.remove(&body.peer);
            }
        }
        self.prune();
        Some(body.bytes)
    }

    fn prune(&mut self) {
        let bodies = &self.bodies;
        self.deadlines.prune(bodies.len(), |at, key| {
            bodies.get(&key).is_some_and(|body| body.looked_at == at)
        });
    }

    fn key(&self, peer: &Peer, request: &Request) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, peer, request.code).hash(&mut hasher);
        for (number, value) in request.options.iter() {
            if matches!(
                number,
                OptionNumber::URI_PATH | OptionNumber::URI_QUERY | OptionNumber::REQUEST_TAG
            ) {
                (number, value.as_ref()).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    fn peer(port: u16) -> Peer {
        Peer::Address(([127, 0, 0, 1], port).into())
    }

    fn bodies() -> Block1Bodies {
        let config = EndpointConfig {
            block1_bodies_max: 8,
            block1_bodies_per_peer_max: 2,
            block1_body_bytes_max: 256,
            ..EndpointConfig::default()
        };
        Block1Bodies::new(3, &config)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    /// Sends block `num` of 16 bytes, all of them `fill`.
    fn piece(
        bodies: &mut Block1Bodies,
        now: Instant,
        port: u16,
        path: &str,
        (num, more, fill): (u32, bool, u8),
    ) -> Assembly {
        let mut request = Request::new(Code::POST, path);
        request.payload = Bytes::from(vec![fill; 16]);
        let block = BlockValue { num, more, szx: 0 };
        bodies.add(now, &peer(port), block, &request)
    }

    #[test]
    fn a_gap_and_an_unknown_body_are_incomplete() {
        let mut bodies = bodies();
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/rd", (1, true, 0)),
            Assembly::Incomplete
        );
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/rd", (0, true, 0)),
            Assembly::Continue
        );
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/rd", (2, true, 0)),
            Assembly::Incomplete
        );
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/other", (1, true, 0)),
            Assembly::Incomplete
        );
        assert_eq!(
            piece(&mut bodies, at(0), 2, "/rd", (1, true, 0)),
            Assembly::Incomplete
        );
        let whole = [[0; 16], [1; 16]].concat();
        let last = piece(&mut bodies, at(0), 1, "/rd", (1, false, 1));
        assert_eq!(last, Assembly::Complete(whole.into()));
        assert!(bodies.bodies.is_empty() && bodies.by_peer.is_empty());
        assert_eq!(bodies.deadline(), None);
    }

    #[test]
    fn block_0_begins_anew_and_a_piece_sent_again_does_no_harm() {
        let mut bodies = bodies();
        piece(&mut bodies, at(0), 1, "/rd", (0, true, 7));
        piece(&mut bodies, at(0), 1, "/rd", (1, true, 7));
        piece(&mut bodies, at(0), 1, "/rd", (0, true, 1));
        piece(&mut bodies, at(0), 1, "/rd", (1, true, 2));
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/rd", (1, true, 2)),
            Assembly::Continue
        );
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/rd", (1, true, 3)),
            Assembly::Incomplete
        );
        let whole = [[1; 16], [2; 16], [3; 16]].concat();
        let last = piece(&mut bodies, at(0), 1, "/rd", (2, false, 3));
        assert_eq!(last, Assembly::Complete(whole.into()));
    }

    #[test]
    fn a_short_piece_with_more_to_come_is_invalid() {
        let mut bodies = bodies();
        let mut request = Request::new(Code::POST, "/rd");
        request.payload = Bytes::from_static(b"short");
        let mut add = |more, szx| {
            let block = BlockValue { num: 0, more, szx };
            bodies.add(at(0), &peer(1), block, &request)
        };
        assert_eq!(add(true, 0), Assembly::Invalid);
        assert_eq!(add(false, 0), Assembly::Complete("short".into()));
        request.payload = Bytes::from_static(b"longer than 16 bytes");
        let block = BlockValue {
            num: 0,
            more: false,
            szx: 0,
        };
        assert_eq!(
            bodies.add(at(0), &peer(1), block, &request),
            Assembly::Invalid
        );
    }

    #[test]
    fn a_body_beyond_the_bound_is_too_large_whether_announced_or_sent() {
        let mut bodies = bodies();
        for num in 0..16 {
            let answer = piece(&mut bodies, at(0), 1, "/rd", (num, true, 0));
            assert_eq!(answer, Assembly::Continue);
        }
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/rd", (16, true, 0)),
            Assembly::TooLarge
        );
        assert!(bodies.bodies.is_empty());
        let mut request = Request::new(Code::POST, "/rd");
        request.payload = Bytes::from(vec![0; 16]);
        request.options.push_uint(OptionNumber::SIZE1, u32::MAX);
        let block = BlockValue {
            num: 0,
            more: true,
            szx: 0,
        };
        assert_eq!(
            bodies.add(at(0), &peer(1), block, &request),
            Assembly::TooLarge
        );
    }

    #[test]
    fn bodies_are_bounded_per_peer_and_in_all_and_the_longest_idle_goes() {
        let mut bodies = bodies();
        for path in ["/a", "/b", "/c"] {
            piece(&mut bodies, at(0), 1, path, (0, true, 0));
        }
        assert_eq!(bodies.by_peer[&peer(1)].len(), 2);
        assert_eq!(
            piece(&mut bodies, at(0), 1, "/a", (1, true, 0)),
            Assembly::Incomplete
        );
        for port in 2..8 {
            piece(&mut bodies, at(1), port, "/rd", (0, true, 0));
        }
        assert_eq!(bodies.bodies.len(), 8);
        assert_eq!(
            piece(&mut bodies, at(2), 1, "/b", (1, true, 0)),
            Assembly::Continue
        );
        piece(&mut bodies, at(3), 100, "/rd", (0, true, 0));
        assert_eq!(bodies.bodies.len(), 8);
        assert_eq!(
            piece(&mut bodies, at(3), 1, "/c", (1, true, 0)),
            Assembly::Incomplete
        );
        assert_eq!(
            piece(&mut bodies, at(3), 1, "/b", (2, true, 0)),
            Assembly::Continue
        );
        assert_eq!(bodies.dropped(), 2);
    }

    #[test]
    fn an_idle_body_is_dropped_after_its_lifetime_and_one_in_use_is_not() {
        let mut bodies = bodies();
        piece(&mut bodies, at(0), 1, "/rd", (0, true, 0));
        piece(&mut bodies, at(200), 1, "/rd", (1, true, 0));
        assert_eq!(bodies.deadline(), Some(at(300)));
        bodies.expire(at(300));
        assert_eq!(bodies.deadline(), Some(at(500)));
        bodies.expire(at(500));
        assert_eq!(bodies.deadline(), None);
        assert_eq!(bodies.dropped(), 1);
    }
}
