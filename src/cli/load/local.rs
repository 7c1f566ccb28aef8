//! From where devices speak on this machine.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use clap::Args;

use super::sources;
use crate::harness::load::LocalConfig;

/// Options of whoever runs devices.
#[derive(Args, Debug)]
pub(in crate::cli) struct LocalArgs {
    /// Give devices addresses of this network, all of which must be this machine's. Without it and
    /// `--bind`: 127.1.0.0/16 where the server is on this machine, else the address that leads to it.
    #[arg(long, value_name = "NETWORK/PREFIX", value_parser = sources::parse, conflicts_with = "bind")]
    sources: Option<sources::Sources>,
    /// Give devices this address of this machine; may be repeated.
    #[arg(long, value_name = "IP")]
    bind: Vec<IpAddr>,
    /// Give devices these ports, such as 20000-29999; any that are free without it.
    #[arg(long, value_name = "FIRST-LAST", value_parser = ports)]
    ports: Option<RangeInclusive<u16>>,
    /// How many threads run devices.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

impl LocalArgs {
    /// The names of its options, for those that do without them.
    pub(in crate::cli) const NAMES: [&str; 4] = ["sources", "bind", "ports", "threads"];

    pub(in crate::cli) fn config(&self) -> LocalConfig {
        LocalConfig {
            sources: match &self.sources {
                Some(sources) => sources.addresses(),
                None => self.bind.clone(),
            },
            ports: self.ports.clone(),
            loops: usize::from(self.threads),
        }
    }
}

/// `20000-29999`.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let parsed = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    });
    parsed.ok_or_else(|| "give the first and the last, such as 20000-29999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_first_and_a_last() {
        assert_eq!(ports("20000-20009"), Ok(20_000..=20_009));
        assert_eq!(ports("5-5"), Ok(5..=5));
        for wrong in ["20000", "9-5", "0-5", "1-70000", "-", "a-b"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
