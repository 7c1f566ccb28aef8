//! Datagrams under way, and what else is to happen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use narrowcast::coap::MessageId;
use narrowcast::model::{Peer, Transmit};
use narrowcast::net::Deliveries;
use narrowcast::sim::{SimDevice, SocketKind};
use rand::Rng;

use super::World;
use super::chaos::{Fault, Trouble};
use crate::bugs::Bug;
use crate::wire::SentRequest;

#[derive(Debug)]
pub(super) enum Happening {
    ToServer(SocketAddr, Vec<u8>),
    ToDevice(SocketAddr, Vec<u8>),
    /// What the server takes for a device's, and no device sent.
    Forged(SocketAddr, Vec<u8>),
    /// For how long, and whether the package that was fetched goes with it.
    PowerCut(usize, Duration, bool),
    Trouble(Trouble),
}

impl World {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToServer(from, datagram) => {
                let mut devices = self.devices.iter();
                if let Some(index) = devices.position(|device| device.main.ip() == from.ip()) {
                    self.server.watch.heard(self.now, index);
                }
                self.arrive(from, &datagram);
            }
            Happening::Forged(from, datagram) => self.arrive(from, &datagram),
            Happening::ToDevice(to, datagram) => {
                if let Some((index, socket)) = self.receiver(to)
                    && self.cut_off != Some(index)
                    && !self.is_dark(index)
                {
                    self.device(index, |core, now| {
                        core.handle_datagram(now, socket, &datagram);
                    });
                }
            }
            Happening::PowerCut(index, off, forgets) => {
                self.chaos.count(Fault::PowerCut);
                if forgets {
                    self.chaos.count(Fault::StateForgotten);
                }
                let cut = if forgets {
                    SimDevice::lose_package
                } else {
                    SimDevice::cut_power
                };
                self.device(index, |core, now| cut(core, now, off));
            }
            Happening::Trouble(trouble) => self.trouble(trouble),
        }
    }

    fn arrive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let (now, crash) = (self.now, self.crash());
        let (_, transmits) = self.server.handle(now, crash, |engine| {
            engine.handle_datagram(now, &Peer::Address(from), datagram);
        });
        self.served(transmits);
    }

    fn receiver(&self, to: SocketAddr) -> Option<(usize, SocketKind)> {
        let mut devices = self.devices.iter().enumerate();
        devices.find_map(|(index, device)| {
            if device.main == to {
                Some((index, SocketKind::Main))
            } else {
                (device.download == to).then_some((index, SocketKind::Download))
            }
        })
    }

    /// A datagram that a device's own software did not send arrives as if it had.
    pub(crate) fn deliver(&mut self, device: usize, datagram: Vec<u8>) {
        self.happen(Happening::ToServer(self.devices[device].main, datagram));
    }

    pub(super) fn send_all(&mut self, mut transmits: Vec<Transmit>) {
        if let Some(bug) = self.server.bug {
            transmits = bug.sent(transmits);
        }
        for transmit in transmits {
            let Peer::Address(to) = transmit.peer else {
                panic!("nothing is secured here");
            };
            let (to, mapping) = if self.paths.is_empty() {
                (to, 0)
            } else {
                unmapped(to)
            };
            let datagram = transmit.datagram.to_vec();
            if let Some(request) = SentRequest::decode(&datagram)
                && let Some(index) = self.devices.iter().position(|it| it.main == to)
            {
                self.check_intent(index, &request);
                self.chaos.asked(self.now.instant, index, &request);
                self.requests.push((self.now.instant, index, request));
            }
            if self.pinged(to, &datagram) {
                continue;
            }
            self.check_answer(&datagram);
            self.check_request(&datagram);
            match self.receiver(to) {
                Some((index, _)) if !self.paths.is_empty() => {
                    let now = self.now.instant;
                    let copies = self.paths[index].handle_downlink(now, mapping, datagram.len());
                    self.take_path(copies, (to, false), &datagram);
                }
                Some(_) | None => self.fly((to, false), datagram, Happening::ToDevice),
            }
        }
    }

    /// A ping (RFC 7252 §4.3) leaves, where this is one; whether it is lost to a bug.
    fn pinged(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let &[0x40, 0, high, low] = datagram else {
            return false;
        };
        let mut devices = self.devices.iter();
        let Some(device) = devices.position(|device| device.main == to) else {
            return false;
        };
        let id = MessageId(u16::from_be_bytes([high, low]));
        self.server.check_ping(self.now.instant, device, id);
        let is_lost = self.server.bug == Some(Bug::LeakedPlace);
        if is_lost {
            let reset = Happening::Forged(to, vec![0x70, 0, high, low]);
            self.after(Duration::from_secs(1), reset);
        }
        is_lost
    }

    /// What a device sends.
    pub(super) fn uplink(&mut self, device: usize, from: SocketAddr, datagram: Vec<u8>) {
        if self.is_dark(device) || self.chaos.swallows(self.now.instant, device, &datagram) {
            return;
        }
        let datagram = match self.server.bug {
            Some(Bug::StaleState) => self.chaos.stale(device).believed(datagram),
            Some(_) | None => datagram,
        };
        if self.paths.is_empty() {
            self.fly((from, true), datagram, Happening::ToServer);
        } else {
            let copies = self.paths[device].handle_uplink(self.now.instant, datagram.len());
            self.take_path(copies, (from, true), &datagram);
        }
    }

    /// Out over the device's own path; `way` as in [`Self::fly`].
    fn take_path(&mut self, copies: Deliveries, way: (SocketAddr, bool), datagram: &[u8]) {
        for copy in copies {
            let mut datagram = datagram.to_vec();
            if copy.flipped_bit.is_some() {
                self.server.requests.damaged(&datagram);
                self.chaos.damages(way, copy.at);
                copy.damage(&mut datagram);
            }
            self.chaos.arrives(way, copy.at);
            let happening = match way {
                (from, true) => Happening::ToServer(mapped(from, copy.mapping), datagram),
                (to, false) => Happening::ToDevice(to, datagram),
            };
            self.after(copy.at.saturating_since(self.now.instant), happening);
        }
    }

    /// Out over the link; `way` is the device's side and whether it sends.
    fn fly(
        &mut self,
        way: (SocketAddr, bool),
        datagram: Vec<u8>,
        arrival: impl Fn(SocketAddr, Vec<u8>) -> Happening,
    ) {
        for copy in self.link.copies(&mut self.rng, &mut self.chaos) {
            let mut datagram = datagram.clone();
            if copy.damaged {
                self.server.requests.damaged(&datagram);
                self.chaos.damages(way, self.now.instant + copy.delay);
                let at = self.rng.gen_range(0..datagram.len());
                datagram[at] ^= 1 << self.rng.gen_range(0..8);
            }
            self.chaos.arrives(way, self.now.instant + copy.delay);
            self.after(copy.delay, arrival(way.0, datagram));
        }
    }

    pub(super) fn after(&mut self, delay: Duration, happening: Happening) {
        self.happenings += 1;
        let at = self.now.instant + delay;
        self.to_come.insert((at, self.happenings), happening);
    }
}

/// Where the server sees a device: the mapping of its NAT is in the middle of its address.
fn mapped(address: SocketAddr, mapping: u32) -> SocketAddr {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address}");
    };
    let [first, .., last] = ip.octets();
    let [a, b] = u16::try_from(mapping).unwrap().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(first, a, b, last), address.port()))
}

/// The device's own address, and by which mapping it is reached.
fn unmapped(address: SocketAddr) -> (SocketAddr, u32) {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address}");
    };
    let [_, a, b, _] = ip.octets();
    (mapped(address, 0), u32::from(u16::from_be_bytes([a, b])))
}
