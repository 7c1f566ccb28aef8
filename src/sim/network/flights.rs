//! Datagrams under way: from their sender over the path and the air of the cell.

use std::net::{Ipv4Addr, SocketAddr};

use super::super::device::SocketKind;
use super::events::Event;
use super::{Direction, FIRST_PORT, Flight, Network, PORTS, Told};
use crate::clock::Instant;
use crate::model::{Datagram, Peer, Transmit};

impl Network {
    pub(super) fn take_air(&mut self, flight: Flight) {
        let member = &self.devices[flight.device];
        let (cell, level, direction) = (member.cell, member.level, flight.direction);
        // What is over is over before this begins.
        self.arrivals(cell, direction);
        let bytes = flight.datagram.len();
        let air = &mut self.cells[cell].air;
        air.begin(self.now.instant, level, direction, bytes, flight);
        self.arm_carrier(cell, direction);
    }

    pub(super) fn arrivals(&mut self, cell: usize, direction: Direction) {
        let now = self.now.instant;
        let dark_until = self.cells[cell].dark_until;
        while let Some(flight) = self.cells[cell].air.poll_arrival(direction, now) {
            if !flight.lost && now >= dark_until {
                self.arrive(&flight);
            }
        }
    }

    pub(super) fn arrive(&mut self, flight: &Flight) {
        let datagram = flight.datagram.to_vec();
        match flight.direction {
            Direction::Uplink => {
                let from = address(flight.device, flight.socket, flight.rebinds);
                let peer = Peer::Address(from);
                self.core.handle_datagram(self.now, &peer, &datagram);
                self.drain_engine();
            }
            Direction::Downlink => {
                if self.devices[flight.device].rebinds == flight.rebinds {
                    self.tell(|| Told::Received {
                        device: flight.device,
                        socket: flight.socket,
                        datagram: datagram.clone(),
                    });
                    self.devices[flight.device].core.handle_datagram(
                        self.now.instant,
                        flight.socket,
                        &datagram,
                    );
                    self.drain_device(flight.device);
                }
            }
        }
    }

    pub(super) fn arm_carrier(&mut self, cell: usize, direction: Direction) {
        let at = self.cells[cell].air.poll_timeout(direction);
        if let Some(at) = self.cells[cell].schedule(direction).set(at) {
            self.events.push(at, Event::Carrier(cell, direction));
        }
    }

    /// A datagram leaves: what its path leaves of it takes air when its turn comes.
    pub(super) fn send(&mut self, mut flight: Flight) {
        let now = self.now.instant;
        self.account.sent(flight.direction, flight.datagram.len());
        let member = &mut self.devices[flight.device];
        let Some(path) = &mut member.path else {
            return self.queue(now, flight);
        };
        let bytes = flight.datagram.len();
        let deliveries = match flight.direction {
            Direction::Uplink => {
                let before = path.rebinds();
                let deliveries = path.handle_uplink(now, bytes);
                if path.rebinds() > before {
                    member.rebinds = next_ports(member.rebinds);
                    flight.rebinds = member.rebinds;
                }
                deliveries
            }
            Direction::Downlink => {
                // To other ports than its own it goes by a mapping that is gone.
                let is_gone = u32::from(flight.rebinds != member.rebinds);
                let mapping = path.mapping().wrapping_sub(is_gone);
                path.handle_downlink(now, mapping, bytes)
            }
        };
        for delivery in deliveries {
            let mut datagram = flight.datagram.to_vec();
            delivery.damage(&mut datagram);
            let datagram = Datagram {
                head: datagram,
                ..Datagram::default()
            };
            let copy = Flight { datagram, ..flight };
            self.queue(delivery.at, copy);
        }
    }

    pub(super) fn queue(&mut self, at: Instant, flight: Flight) {
        let member = &mut self.devices[flight.device];
        let (level, direction) = (member.level, flight.direction);
        let bytes = flight.datagram.len();
        let rng = member.rng.as_mut().unwrap_or(&mut self.rng);
        let turn = self.cells[member.cell]
            .air
            .turn(level, direction, bytes, rng);
        let lost = level.loses(rng);
        let flight = Box::new(Flight { lost, ..flight });
        self.events.push(at + turn, Event::OnAir(flight));
    }

    pub(super) fn send_down(&mut self, transmit: Transmit) {
        let Peer::Address(SocketAddr::V4(to)) = transmit.peer else {
            return;
        };
        let [_, a, b, c] = to.ip().octets();
        let device = u32::from_be_bytes([0, a, b, c]) as usize;
        let port = to.port().saturating_sub(FIRST_PORT);
        if device < self.devices.len() {
            self.send(Flight {
                device,
                socket: if port.is_multiple_of(2) {
                    SocketKind::Main
                } else {
                    SocketKind::Download
                },
                rebinds: port / 2,
                direction: Direction::Downlink,
                lost: false,
                datagram: transmit.datagram,
            });
        }
    }
}

/// The ports after these.
pub(super) const fn next_ports(rebinds: u16) -> u16 {
    (rebinds + 1) % (PORTS / 2)
}

/// Where a device sends from: its number is in the address.
fn address(device: usize, socket: SocketKind, rebinds: u16) -> SocketAddr {
    let [_, a, b, c] = u32::try_from(device).unwrap_or(u32::MAX).to_be_bytes();
    let of_socket = match socket {
        SocketKind::Main => 0,
        SocketKind::Download => 1,
    };
    let port = FIRST_PORT + 2 * rebinds + of_socket;
    SocketAddr::from((Ipv4Addr::new(10, a, b, c), port))
}
