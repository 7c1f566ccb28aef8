//! Who speaks through the proxy.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::clock::Instant;
use crate::net::{Direction, Impairer, PassCounters, UdpEndpoint};

/// How long a client must have been silent to give its place to another.
const IDLE: Duration = Duration::from_secs(300);

/// One client address, its path, and its socket towards the server.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) path: Impairer,
    /// The socket of the mapping that stands: another mapping is another socket.
    pub(super) upstream: Option<Upstream>,
    heard_at: Instant,
}

/// A socket towards the server, and the task that reads it, which ends with it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) mapping: u32,
    pub(super) socket: Arc<UdpEndpoint>,
    pub(super) reader: AbortHandle,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// All clients, and what became of the datagrams of those that are gone.
#[derive(Debug)]
pub(super) struct Clients {
    by_address: HashMap<SocketAddr, Client>,
    /// Who was heard when, the one silent longest first.
    by_silence: BTreeSet<(Instant, SocketAddr)>,
    clients_max: usize,
    gone: [PassCounters; 2],
    gone_rebinds: u64,
}

impl Clients {
    pub(super) fn new(clients_max: usize) -> Self {
        Self {
            by_address: HashMap::new(),
            by_silence: BTreeSet::new(),
            clients_max,
            gone: [PassCounters::default(); 2],
            gone_rebinds: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    pub(super) fn get_mut(&mut self, address: SocketAddr) -> Option<&mut Client> {
        self.by_address.get_mut(&address)
    }

    /// The client that is heard now; `None` where all places are taken by clients that were heard
    /// lately. `path` makes the path of a new one.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        address: SocketAddr,
        path: impl FnOnce() -> Impairer,
    ) -> Option<&mut Client> {
        if let Some(client) = self.by_address.get(&address) {
            self.by_silence.remove(&(client.heard_at, address));
        } else {
            self.make_room(now)?;
        }
        self.by_silence.insert((now, address));
        let client = self.by_address.entry(address).or_insert_with(|| Client {
            path: path(),
            upstream: None,
            heard_at: now,
        });
        client.heard_at = now;
        Some(client)
    }

    /// What became of the datagrams of all clients, the ones that are gone among them.
    pub(super) fn counters(&self, direction: Direction) -> PassCounters {
        let mut counters = self.gone[direction as usize];
        for (_, address) in &self.by_silence {
            if let Some(client) = self.by_address.get(address) {
                counters.add(client.path.counters(direction));
            }
        }
        counters
    }

    pub(super) fn rebinds(&self) -> u64 {
        let clients = self.by_silence.iter();
        let rebinds = clients.filter_map(|(_, address)| {
            let client = self.by_address.get(address)?;
            Some(client.path.rebinds())
        });
        self.gone_rebinds + rebinds.sum::<u64>()
    }

    fn make_room(&mut self, now: Instant) -> Option<()> {
        if self.by_address.len() < self.clients_max {
            return Some(());
        }
        let (heard_at, address) = *self.by_silence.first()?;
        if now.saturating_since(heard_at) < IDLE {
            return None;
        }
        self.by_silence.pop_first();
        let client = self.by_address.remove(&address)?;
        for direction in [Direction::Uplink, Direction::Downlink] {
            self.gone[direction as usize].add(client.path.counters(direction));
        }
        self.gone_rebinds += client.path.rebinds();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Impairment;

    fn path() -> Impairer {
        Impairer::new(Arc::new(Impairment::default()), Instant::ORIGIN, 1)
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_full_table_takes_a_new_client_only_for_one_that_was_silent_long() {
        let mut clients = Clients::new(2);
        let at = |s| Instant::from_origin(Duration::from_secs(s));
        for (second, port) in [(0, 1), (1, 2), (2, 1)] {
            let client = clients.heard(at(second), address(port), path).unwrap();
            assert_eq!(client.path.handle_uplink(at(second), 9).count(), 1);
        }
        assert!(clients.heard(at(300), address(3), path).is_none());
        assert!(clients.heard(at(301), address(3), path).is_some());
        assert!(clients.get_mut(address(2)).is_none());
        assert!(clients.get_mut(address(1)).is_some());
        assert_eq!(clients.counters(Direction::Uplink).sent, 3);
        assert_eq!(clients.len(), 2);
    }
}
