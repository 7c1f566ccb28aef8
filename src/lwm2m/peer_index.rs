//! Which registrations were last heard from a peer.

use std::collections::BTreeSet;

use crate::coap::digest::{DigestMap, Digests};
use crate::model::{Peer, RegistrationSlot};

/// Why a peer alone does not say which device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPeer {
    /// No registration has this peer.
    #[error("nobody is registered from there")]
    Unregistered,
    /// Several have it: devices behind one NAT address and port, or one device under several names.
    #[error("several devices are registered from there")]
    Shared,
}

/// Registrations by peer: a search, never a look at all of them.
///
/// Of a peer only a digest is kept, under a secret seed. That two peers have the same is less likely
/// than 10^-7 among a million; who asks compares the peer of what was found with the one meant.
#[derive(Debug)]
pub(super) struct PeerIndex {
    digests: Digests,
    /// The first registration of each peer.
    first: DigestMap<RegistrationSlot>,
    /// The further ones of peers that have several.
    others: BTreeSet<(u64, RegistrationSlot)>,
}

impl PeerIndex {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            digests: Digests::new(seed),
            first: DigestMap::default(),
            others: BTreeSet::new(),
        }
    }

    pub(super) fn insert(&mut self, peer: &Peer, slot: RegistrationSlot) {
        let digest = self.digests.of(peer);
        let first = *self.first.entry(digest).or_insert(slot);
        if first != slot {
            self.others.insert((digest, slot));
        }
    }

    pub(super) fn remove(&mut self, peer: &Peer, slot: RegistrationSlot) {
        let digest = self.digests.of(peer);
        if self.others.remove(&(digest, slot)) {
            return;
        }
        if self.first.get(&digest) != Some(&slot) {
            return;
        }
        match self.another(digest) {
            Some(next) => {
                self.others.remove(&(digest, next));
                self.first.insert(digest, next);
            }
            None => {
                self.first.remove(&digest);
            }
        }
    }

    /// The only registration of a peer.
    pub(super) fn only(&self, peer: &Peer) -> Result<RegistrationSlot, UnknownPeer> {
        let digest = self.digests.of(peer);
        let first = self.first.get(&digest);
        match (first, self.another(digest)) {
            (Some(slot), None) => Ok(*slot),
            (Some(_), Some(_)) => Err(UnknownPeer::Shared),
            (None, _) => Err(UnknownPeer::Unregistered),
        }
    }

    /// One of the further registrations of a peer.
    fn another(&self, digest: u64) -> Option<RegistrationSlot> {
        let (lowest, highest) = (RegistrationSlot(0), RegistrationSlot(u32::MAX));
        let mut others = self.others.range((digest, lowest)..=(digest, highest));
        others.next().map(|(_, slot)| *slot)
    }

    /// How many registrations there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.others.len()
    }
}
