//! Which pair of address and port is whose.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::sim::device::SocketKind;

/// Sockets of a loop at the least: each has a receive buffer of its own, and one would be too small for
/// a burst.
const SOCKETS_MIN: usize = 4;

/// Pairs that stay free beside twice as many as there are devices, so that a rebound device gets one
/// that nobody had a moment ago.
const SPARE: usize = 16;

/// A pair: one of the source addresses, and one of the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    source: u32,
    socket: u32,
}

/// Who has which pair.
#[derive(Debug)]
pub(super) struct Addresses {
    sources: Vec<IpAddr>,
    indexes: HashMap<IpAddr, u32>,
    sockets: u32,
    /// By pair: the loop's device.
    owners: Vec<Option<(u32, SocketKind)>>,
    /// Where a free pair is looked for next.
    next: usize,
}

impl Addresses {
    /// How many sockets it takes for so many devices, each with up to two pairs.
    pub(super) fn sockets_for(devices: usize, sources: usize) -> usize {
        let pairs = devices.saturating_mul(2) + SPARE;
        pairs.div_ceil(sources.max(1)).max(SOCKETS_MIN)
    }

    /// With every pair free.
    pub(super) fn new(sources: Vec<IpAddr>, sockets: usize) -> Self {
        let indexes = sources.iter().copied().zip(0..).collect();
        Self {
            indexes,
            owners: vec![None; sources.len() * sockets],
            sources,
            sockets: u32::try_from(sockets).unwrap_or(u32::MAX),
            next: 0,
        }
    }

    /// Takes a free pair for a device; where `left` is given, that one becomes free, and the new one is
    /// another port of the same address where there is one. `None` where no pair is free.
    pub(super) fn take(
        &mut self,
        device: u32,
        kind: SocketKind,
        left: Option<Pair>,
    ) -> Option<Pair> {
        let same = left.and_then(|left| self.another_port(left));
        let pair = same.or_else(|| self.any_free())?;
        if let Some(left) = left {
            self.set(left, None);
        }
        self.set(pair, Some((device, kind)));
        Some(pair)
    }

    /// Whose pair it is.
    pub(super) fn owner(&self, to: IpAddr, socket: usize) -> Option<(u32, SocketKind)> {
        let source = *self.indexes.get(&to)?;
        let socket = u32::try_from(socket).ok()?;
        *self.owners.get(self.index(Pair { source, socket }))?
    }

    /// The address and the socket of a pair.
    pub(super) fn of(&self, pair: Pair) -> Option<(IpAddr, usize)> {
        let source = self.sources.get(pair.source as usize)?;
        Some((*source, pair.socket as usize))
    }

    fn another_port(&self, left: Pair) -> Option<Pair> {
        let others = (1..self.sockets).map(|step| Pair {
            socket: (left.socket + step) % self.sockets,
            ..left
        });
        others
            .into_iter()
            .find(|pair| self.owners.get(self.index(*pair)) == Some(&None))
    }

    fn any_free(&mut self) -> Option<Pair> {
        let count = self.owners.len();
        let mut turns = (0..count).map(|step| (self.next + step) % count);
        let free = turns.find(|index| self.owners.get(*index) == Some(&None))?;
        self.next = free + 1;
        let sources = self.sources.len();
        Some(Pair {
            source: u32::try_from(free % sources).ok()?,
            socket: u32::try_from(free / sources).ok()?,
        })
    }

    fn set(&mut self, pair: Pair, owner: Option<(u32, SocketKind)>) {
        let index = self.index(pair);
        if let Some(place) = self.owners.get_mut(index) {
            *place = owner;
        }
    }

    fn index(&self, pair: Pair) -> usize {
        pair.socket as usize * self.sources.len() + pair.source as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(count: u8) -> Vec<IpAddr> {
        (0..count).map(|last| [127, 1, 0, last].into()).collect()
    }

    #[test]
    fn each_device_has_a_pair_of_its_own_and_is_found_by_it() {
        let mut addresses = Addresses::new(sources(3), 4);
        for device in 0..12 {
            let pair = addresses.take(device, SocketKind::Main, None).unwrap();
            let (to, socket) = addresses.of(pair).unwrap();
            assert_eq!(
                addresses.owner(to, socket),
                Some((device, SocketKind::Main))
            );
        }
        assert_eq!(addresses.take(12, SocketKind::Main, None), None);
        assert_eq!(addresses.owner([127, 9, 9, 9].into(), 0), None);
        assert_eq!(addresses.owner([127, 1, 0, 0].into(), 4), None);
    }

    #[test]
    fn a_rebound_device_keeps_its_address_and_has_another_port() {
        let mut addresses = Addresses::new(sources(3), 4);
        let left = addresses.take(1, SocketKind::Main, None).unwrap();
        let (from, socket) = addresses.of(left).unwrap();
        let pair = addresses.take(1, SocketKind::Main, Some(left)).unwrap();
        let (now_from, now_socket) = addresses.of(pair).unwrap();
        assert_eq!(now_from, from);
        assert_ne!(now_socket, socket);
        assert_eq!(addresses.owner(from, socket), None);
    }

    #[test]
    fn many_sources_need_few_sockets_and_one_source_one_for_each_pair() {
        assert_eq!(Addresses::sockets_for(25_000, 65_024), SOCKETS_MIN);
        assert_eq!(Addresses::sockets_for(100, 1), 216);
    }
}
