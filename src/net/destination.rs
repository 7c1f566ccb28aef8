//! Where the server may connect to on an operator's word: not to what only this machine should reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Metadata services that lie in no link-local range: Alibaba Cloud's, and Amazon's by IPv6.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Why the server does not connect there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationRefused {
    /// Link-local, multicast or unspecified addresses, and those of cloud metadata.
    #[error("{0} is an address of this link, of a group, of none or of a metadata service")]
    Special(IpAddr),
    /// Whatever listens on this machine alone is not meant for those who may enter a URL.
    #[error("{0} is an address of this machine itself (webhooks.allow_loopback)")]
    Loopback(IpAddr),
    /// The server would talk to itself.
    #[error("{0} is one of this server's own listeners")]
    OwnListener(SocketAddr),
}

/// Which addresses the server connects to. Those of private networks are the rule here, and legal.
#[derive(Clone, Debug, Default)]
pub struct Destinations {
    /// Where this server listens.
    pub own_listeners: Vec<SocketAddr>,
    /// Whether an operator has allowed those that lead to this machine alone.
    pub allow_loopback: bool,
    /// Whether an operator has allowed all of them.
    pub allow_all: bool,
}

impl Destinations {
    /// Looks at an address before it is connected to. Names are looked at as what they resolve to, each
    /// time.
    ///
    /// # Errors
    /// Where the server does not connect there.
    pub fn check(&self, address: SocketAddr) -> Result<(), DestinationRefused> {
        if self.allow_all {
            return Ok(());
        }
        let ip = embedded(address.ip());
        if is_special(ip) {
            return Err(DestinationRefused::Special(address.ip()));
        }
        if ip.is_loopback() && !self.allow_loopback {
            return Err(DestinationRefused::Loopback(address.ip()));
        }
        let is_own = |own: &SocketAddr| {
            own.port() == address.port()
                && (embedded(own.ip()) == ip || own.ip().is_unspecified() && is_of_this_machine(ip))
        };
        if self.own_listeners.iter().any(is_own) {
            return Err(DestinationRefused::OwnListener(address));
        }
        Ok(())
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, or by NAT64 (RFC 6052).
fn embedded(ip: IpAddr) -> IpAddr {
    if let IpAddr::V6(v6) = ip
        && let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments()
    {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    ip.to_canonical()
}

fn is_special(ip: IpAddr) -> bool {
    let of_a_kind = match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    of_a_kind || ip.is_multicast() || METADATA.contains(&ip)
}

/// Only an address of this machine can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(destinations: &Destinations, address: &str) -> bool {
        destinations.check(address.parse().unwrap()).is_err()
    }

    #[test]
    fn addresses_of_the_link_and_of_metadata_are_refused_however_they_are_written() {
        let destinations = Destinations::default();
        for address in [
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fe80::1]:80",
            "[febf::1]:443",
            "0.0.0.0:80",
            "[::]:80",
            "255.255.255.255:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "100.100.100.200:80",
            "[fd00:ec2::254]:80",
        ] {
            assert!(refused(&destinations, address), "{address}");
        }
        for address in [
            "10.0.0.1:80",
            "192.168.1.5:443",
            "[fd12::1]:80",
            "203.0.113.5:443",
            "[2001:db8::1]:443",
        ] {
            assert!(!refused(&destinations, address), "{address}");
        }
        let all = Destinations {
            allow_all: true,
            ..Destinations::default()
        };
        assert!(!refused(&all, "169.254.169.254:80"));
    }

    #[test]
    fn this_machine_itself_is_refused_unless_an_operator_allows_it() {
        for address in [
            "127.0.0.1:9000",
            "127.9.9.9:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[64:ff9b::7f00:1]:80",
        ] {
            assert!(refused(&Destinations::default(), address), "{address}");
            for (allow_loopback, allow_all) in [(true, false), (false, true)] {
                let allowed = Destinations {
                    own_listeners: Vec::new(),
                    allow_loopback,
                    allow_all,
                };
                assert!(!refused(&allowed, address), "{address}");
            }
        }
    }

    #[test]
    fn the_servers_own_listeners_are_refused_by_any_address_of_the_machine() {
        let destinations = Destinations {
            own_listeners: vec![
                "0.0.0.0:8080".parse().unwrap(),
                "127.0.0.1:9090".parse().unwrap(),
            ],
            allow_loopback: true,
            allow_all: false,
        };
        for address in ["127.0.0.1:8080", "127.0.0.2:8080", "127.0.0.1:9090"] {
            assert!(refused(&destinations, address), "{address}");
        }
        for address in ["127.0.0.1:8081", "203.0.113.5:8080", "127.0.0.2:9090"] {
            assert!(!refused(&destinations, address), "{address}");
        }
    }
}
