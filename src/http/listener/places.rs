//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;

use super::ConnectionLimits;
use super::audience::Audience;

/// The open connections, counted.
#[derive(Debug)]
pub(super) struct Places {
    connections_max: usize,
    per_address_max: usize,
    audience: Audience,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// No entry is 0, so there are never more of them than connections.
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

/// Which bound a connection would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

impl Full {
    /// The name of its setting, for metrics.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::All => "connections_max",
            Self::Address => "connections_per_address_max",
        }
    }
}

impl Places {
    pub(super) fn new(limits: &ConnectionLimits, audience: Audience) -> Arc<Self> {
        Arc::new(Self {
            connections_max: limits.connections_max,
            per_address_max: limits.connections_per_address_max,
            audience,
            counts: Mutex::default(),
        })
    }

    /// A place for a connection from this address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let address = network(address);
        let mut counts = self.lock();
        if counts.all >= self.connections_max {
            return Err(Full::All);
        }
        let of_address = counts.by_address.entry(address).or_default();
        if *of_address >= self.per_address_max {
            return Err(Full::Address);
        }
        *of_address += 1;
        counts.all += 1;
        self.show(&counts);
        Ok(Place {
            places: Arc::clone(self),
            address,
        })
    }

    fn give_back(&self, address: IpAddr) {
        let mut counts = self.lock();
        counts.all = counts.all.saturating_sub(1);
        let left = counts.by_address.get_mut(&address).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            counts.by_address.remove(&address);
        }
        self.show(&counts);
    }

    fn show(&self, counts: &Counts) {
        gauge!(self.audience.connections_metric()).set(counts.all as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.address);
    }
}

/// Whose address it is: one host has a whole IPv6 /64 to choose from (RFC 4291 §2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections_max: usize, connections_per_address_max: usize) -> Arc<Places> {
        let limits = ConnectionLimits {
            connections_max,
            connections_per_address_max,
            ..ConnectionLimits::default()
        };
        Places::new(&limits, Audience::Operators)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let places = places(3, 2);
        let one = address("192.0.2.1");
        let first = places.take(one).unwrap();
        let second = places.take(one).unwrap();
        assert_eq!(places.take(one).unwrap_err(), Full::Address);
        let _other = places.take(address("192.0.2.2")).unwrap();
        assert_eq!(places.take(address("192.0.2.3")).unwrap_err(), Full::All);
        drop(first);
        let _again = places.take(one).unwrap();
        drop(second);
    }

    #[test]
    fn an_address_that_has_left_is_forgotten() {
        let places = places(3, 2);
        drop(places.take(address("192.0.2.1")).unwrap());
        let counts = places.lock();
        assert_eq!((counts.all, counts.by_address.len()), (0, 0));
    }

    #[test]
    fn a_64_is_one_address_and_so_are_both_forms_of_an_ipv4_address() {
        assert_eq!(
            network(address("2001:db8::1")),
            network(address("2001:db8::ffff:2"))
        );
        assert_ne!(
            network(address("2001:db8::1")),
            network(address("2001:db8:0:1::1"))
        );
        assert_eq!(
            network(address("::ffff:192.0.2.1")),
            network(address("192.0.2.1"))
        );
    }
}
