//! When a device can be reached: sleep, paging, and the NAT between it and its server.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::log::DeviceEvent;
use super::{DeviceOutput, SimDevice, SocketKind};
use crate::clock::Instant;

/// How many datagrams the network keeps for a device that is to be paged; further ones are lost.
const PAGED_MAX: usize = 8;

/// What lies between the device and the network.
#[derive(Debug)]
pub(super) struct Link {
    /// When it last sent: its NAT counts from there (RFC 4787 REQ-6).
    last_sent: Instant,
    /// What the network keeps for it until it listens.
    paged: VecDeque<(SocketKind, Vec<u8>)>,
    /// When it listens.
    paging_at: Option<Instant>,
}

impl Link {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            last_sent: now,
            paged: VecDeque::new(),
            paging_at: None,
        }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.paging_at
    }

    /// The power is gone: the network drops what it kept.
    pub(super) fn forget(&mut self) {
        self.paged.clear();
        self.paging_at = None;
    }
}

impl SimDevice {
    /// Whether its radio is off: it was quiet for a while, and has nothing to wait for, or does not care.
    pub(super) fn sleeps(&self, now: Instant) -> bool {
        self.config.queue_mode && self.is_quiet(now)
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.awake_until < now && !self.waits()
    }

    /// Whether it waits for something with its radio on.
    pub(super) fn waits(&self) -> bool {
        let waits = [self.main.poll_timeout(), self.download.poll_timeout()];
        !self.config.quirks.sleeps_while_waiting && waits.iter().any(Option::is_some)
    }

    /// Whether what comes to its port now goes nowhere.
    pub(super) fn is_forgotten_by_nat(&self, now: Instant) -> bool {
        let silent = now.saturating_since(self.link.last_sent);
        self.config
            .nat_timeout
            .is_some_and(|timeout| silent > timeout)
    }

    /// It sends: from another port, where its NAT has forgotten it.
    pub(super) fn touch_nat(&mut self, now: Instant) {
        if self.is_forgotten_by_nat(now) {
            self.outputs.push_back(DeviceOutput::Rebind);
            self.log(DeviceEvent::PortChanged);
        }
        self.link.last_sent = now;
    }

    /// Whether the network keeps this datagram until the device listens (eDRX).
    pub(super) fn waits_for_paging(
        &mut self,
        now: Instant,
        socket: SocketKind,
        datagram: &[u8],
    ) -> bool {
        let Some(cycle) = self.config.edrx_cycle.filter(|cycle| !cycle.is_zero()) else {
            return false;
        };
        if !self.is_quiet(now) {
            return false;
        }
        if self.link.paged.len() < PAGED_MAX {
            self.link.paged.push_back((socket, datagram.to_vec()));
        }
        self.link.paging_at = Some(next_paging(now, cycle));
        true
    }

    /// What the network has kept comes at the paging occasion, or as soon as the device speaks.
    pub(super) fn hear_pages(&mut self, now: Instant) {
        if self.link.paging_at.is_none_or(|at| now < at) {
            return;
        }
        self.link.paging_at = None;
        for (socket, datagram) in std::mem::take(&mut self.link.paged) {
            self.take_datagram(now, socket, &datagram);
        }
    }
}

/// Paging occasions are counted from the clock's origin.
fn next_paging(now: Instant, cycle: Duration) -> Instant {
    let cycles = now.since_origin().as_nanos() / cycle.as_nanos() + 1;
    Instant::from_origin(cycle.saturating_mul(u32::try_from(cycles).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paging_occasion_is_the_next_multiple_of_the_cycle() {
        let cycle = Duration::from_millis(20_480);
        let at = |ms| Instant::from_origin(Duration::from_millis(ms));
        assert_eq!(next_paging(at(0), cycle), at(20_480));
        assert_eq!(next_paging(at(20_479), cycle), at(20_480));
        assert_eq!(next_paging(at(20_480), cycle), at(40_960));
    }
}
