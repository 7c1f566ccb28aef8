//! Which registrations were last heard from a peer.

use std::collections::BTreeSet;

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
#[derive(Debug, Default)]
pub(super) struct PeerIndex(BTreeSet<(Peer, RegistrationSlot)>);

impl PeerIndex {
    pub(super) fn insert(&mut self, peer: Peer, slot: RegistrationSlot) {
        self.0.insert((peer, slot));
    }

    pub(super) fn remove(&mut self, peer: &Peer, slot: RegistrationSlot) {
        self.0.remove(&(peer.clone(), slot));
    }

    /// The only registration of a peer.
    pub(super) fn only(&self, peer: &Peer) -> Result<RegistrationSlot, UnknownPeer> {
        let first = (peer.clone(), RegistrationSlot(0));
        let last = (peer.clone(), RegistrationSlot(u32::MAX));
        let mut slots = self.0.range(first..=last).map(|(_, slot)| *slot);
        match (slots.next(), slots.next()) {
            (Some(slot), None) => Ok(slot),
            (Some(_), Some(_)) => Err(UnknownPeer::Shared),
            (None, _) => Err(UnknownPeer::Unregistered),
        }
    }

    /// How many registrations there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
