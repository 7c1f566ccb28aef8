//! Sans-IO: how a path is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{BitRate, ImpairmentError, Jitter, Probability, duration};

/// What a UDP datagram has around it over IPv4, in bytes (RFC 791, RFC 768).
const UDP_IPV4_BYTES: usize = 28;

/// How long a datagram is held back that is to be overtaken, unless one says otherwise.
const REORDER_HOLD: Duration = Duration::from_millis(100);

/// What waits before a slow link at most, in bytes, unless one says otherwise.
const QUEUE_BYTES: u32 = 64 * 1024;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the server.
    Uplink,
    /// To a device.
    Downlink,
}

/// How a path between a device and its server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    /// What it does to datagrams to the server.
    pub uplink: OneWay,
    /// What it does to datagrams to the device.
    pub downlink: OneWay,
    /// What the NAT in between does.
    pub nat: NatMapping,
    /// When nothing comes through in either direction.
    pub cuts: Vec<Cut>,
}

/// What a path does to datagrams of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneWay {
    /// It does not arrive.
    pub loss: Probability,
    /// It arrives twice.
    pub duplicate: Probability,
    /// It is held back for [`Self::reorder_hold`], and what is sent within that time overtakes it.
    pub reorder: Probability,
    /// How long it is held back then.
    pub reorder_hold: Duration,
    /// It arrives with one of its bits turned over, which no checksum below CoAP tells.
    pub corrupt: Probability,
    /// How long each is under way at least, the rate apart.
    pub delay: Duration,
    /// By how much that differs; none: not at all. Datagrams overtake each other by it.
    pub jitter: Option<Jitter>,
    /// What the slowest link brings across, headers included; none: everything at once.
    pub rate: Option<BitRate>,
    /// What waits before that link at most, in bytes, headers included; what finds no room is lost. One
    /// datagram always finds room.
    pub queue_bytes: u32,
    /// The largest IP packet that passes, in bytes; none: every one.
    pub mtu_bytes: Option<u16>,
}

/// How long a NAT keeps a mapping, by which answers find the device. A device whose mapping is gone
/// sends from another address next time, and what was sent to the old one is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatMapping {
    /// It forgets a mapping by which nothing was sent to the server for longer than this (RFC 4787
    /// §4.3); none: never.
    pub timeout: Option<Duration>,
    /// It maps anew each time so much has passed since the path began, whatever is sent; none: never.
    pub rebind_every: Option<Duration>,
}

/// A time without connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How long after the path began.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Impairment {
    /// The same in both directions.
    pub fn both_ways(way: OneWay) -> Self {
        Self {
            uplink: way,
            downlink: way,
            ..Self::default()
        }
    }

    /// What it does in one direction.
    pub const fn way(&self, direction: Direction) -> &OneWay {
        match direction {
            Direction::Uplink => &self.uplink,
            Direction::Downlink => &self.downlink,
        }
    }
}

impl Default for OneWay {
    /// It does nothing.
    fn default() -> Self {
        Self {
            loss: Probability::NEVER,
            duplicate: Probability::NEVER,
            reorder: Probability::NEVER,
            reorder_hold: REORDER_HOLD,
            corrupt: Probability::NEVER,
            delay: Duration::ZERO,
            jitter: None,
            rate: None,
            queue_bytes: QUEUE_BYTES,
            mtu_bytes: None,
        }
    }
}

impl FromStr for Cut {
    type Err = ImpairmentError;

    /// `2h:5m`: after two hours, for five minutes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let both = text.split_once(':');
        both.and_then(|(after, lasts)| Some((duration(after)?, duration(lasts)?)))
            .map(|(after, lasts)| Self { after, lasts })
            .ok_or_else(|| ImpairmentError::Cut(text.to_owned()))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use humantime_serde::re::humantime::format_duration;
        let (after, lasts) = (format_duration(self.after), format_duration(self.lasts));
        write!(f, "{after}:{lasts}")
    }
}

/// The IP packet of a UDP payload, in bytes, as it is over IPv4: what rates and MTUs are reckoned in.
pub const fn packet_bytes(payload_bytes: usize) -> usize {
    payload_bytes + UDP_IPV4_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_read_as_it_is_shown() {
        let cut: Cut = "2h:5m".parse().unwrap();
        assert_eq!(cut.after, Duration::from_secs(7_200));
        assert_eq!(
            (cut.lasts, cut.to_string()),
            (Duration::from_secs(300), "2h:5m".to_owned())
        );
        for text in ["", "2h", "2h:", ":5m", "5:5"] {
            assert!(text.parse::<Cut>().is_err(), "{text}");
        }
    }
}
