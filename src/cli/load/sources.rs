//! Networks of source addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most addresses that are taken of a network: that many suffice for any number of devices.
const ADDRESSES_MAX: u128 = 65_536;

/// The addresses of a network, without the first and the last of more than two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sources {
    first: IpAddr,
    count: u32,
}

impl Sources {
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let count = 0..self.count;
        match self.first {
            IpAddr::V4(first) => count
                .map(|step| Ipv4Addr::from(u32::from(first).wrapping_add(step)).into())
                .collect(),
            IpAddr::V6(first) => count
                .map(|step| Ipv6Addr::from(u128::from(first).wrapping_add(step.into())).into())
                .collect(),
        }
    }
}

/// `127.1.0.0/16`, `fd00::/64`.
pub(super) fn parse(text: &str) -> Result<Sources, String> {
    let wrong = || "give it as 127.1.0.0/16 or fd00::/64".to_owned();
    let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let prefix: u32 = prefix.parse().map_err(|_| wrong())?;
    let (bits, number) = match address {
        IpAddr::V4(v4) => (32, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (128, u128::from(v6)),
    };
    let host_bits = u32::checked_sub(bits, prefix).ok_or_else(wrong)?;
    let size = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX);
    if number & (size - 1) != 0 {
        return Err(format!(
            "{address} is no network of /{prefix}: it has host bits"
        ));
    }
    let ends = u128::from(size > 2);
    let count = (size - 2 * ends).min(ADDRESSES_MAX);
    let first = match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4) + u32::from(ends == 1)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number + ends).into(),
    };
    Ok(Sources {
        first,
        count: u32::try_from(count).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_networks_addresses_are_those_of_its_hosts() {
        let addresses = parse("127.1.0.0/30").unwrap().addresses();
        assert_eq!(
            addresses,
            [[127, 1, 0, 1], [127, 1, 0, 2]].map(IpAddr::from)
        );
        assert_eq!(
            parse("10.0.0.7/32").unwrap().addresses(),
            [IpAddr::from([10, 0, 0, 7])]
        );
        assert_eq!(parse("127.1.0.0/16").unwrap().addresses().len(), 65_534);
        assert_eq!(parse("fd00::/64").unwrap().addresses().len(), 65_536);
        for wrong in [
            "127.1.0.0",
            "127.1.0.1/16",
            "127.1.0.0/33",
            "x/8",
            "1.2.3.4/-1",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
