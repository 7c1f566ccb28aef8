//! Datagrams under way, and what else is to happen.

use std::net::SocketAddr;
use std::time::Duration;

use narrowcast::model::{Peer, SlotHeld, Transmit};
use narrowcast::sim::SocketKind;

use super::World;
use crate::fleet;
use crate::wire::SentRequest;

#[derive(Debug)]
pub(super) enum Happening {
    ToServer(SocketAddr, Vec<u8>),
    ToDevice(SocketAddr, Vec<u8>),
    PowerCut(usize, Duration),
}

impl World {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToServer(from, datagram) => {
                let (now, crash) = (self.now, self.crash());
                let (_, transmits) = self.server.handle(now, crash, |engine| {
                    engine.handle_datagram(now, &Peer::Address(from), &datagram);
                });
                self.send_all(transmits);
            }
            Happening::ToDevice(to, datagram) => {
                let mut devices = self.devices.iter().enumerate();
                let receiver = devices.find_map(|(index, device)| {
                    if device.main == to {
                        Some((index, SocketKind::Main))
                    } else {
                        (device.download == to).then_some((index, SocketKind::Download))
                    }
                });
                if let Some((index, socket)) = receiver
                    && self.cut_off != Some(index)
                {
                    self.device(index, |core, now| {
                        core.handle_datagram(now, socket, &datagram);
                    });
                }
            }
            Happening::PowerCut(index, off) => {
                self.device(index, |core, now| core.cut_power(now, off));
            }
        }
    }

    /// A datagram that a device's own software did not send arrives as if it had.
    pub(crate) fn deliver(&mut self, device: usize, datagram: Vec<u8>) {
        self.happen(Happening::ToServer(self.devices[device].main, datagram));
    }

    pub(super) fn send_all(&mut self, transmits: Vec<Transmit>) {
        for transmit in transmits {
            let Peer::Address(to) = transmit.peer else {
                panic!("nothing is secured here");
            };
            let datagram = transmit.datagram.to_vec();
            if let Some(request) = SentRequest::decode(&datagram)
                && let Some(index) = self.devices.iter().position(|it| it.main == to)
            {
                self.check_intent(index, &request);
                self.requests.push((self.now.instant, index, request));
            }
            self.fly(|| Happening::ToDevice(to, datagram.clone()));
        }
    }

    /// What leaves was intended in what is committed: the URI with its slot, Execute with its attempt,
    /// and with a slot where it is held that long.
    fn check_intent(&self, device: usize, request: &SentRequest) {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let held_for_execute = self.server.config.product.slot_held == SlotHeld::UntilResult;
        let mut tasks = self.server.tasks.values();
        let intended = tasks.any(|task| {
            let execute = task.execute_intended_attempt == Some(task.attempt);
            let held = task.slot.is_some();
            task.endpoint == endpoint
                && ((request.is_uri_write() && task.uri_intended && held)
                    || (request.is_execute() && execute && held == held_for_execute))
        });
        let needs_intent = request.is_uri_write() || request.is_execute();
        assert!(intended || !needs_intent, "{request:?} to device {device}");
    }

    pub(super) fn fly(&mut self, arrival: impl Fn() -> Happening) {
        for delay in self.link.copies(&mut self.rng) {
            self.after(delay, arrival());
        }
    }

    pub(super) fn after(&mut self, delay: Duration, happening: Happening) {
        self.happenings += 1;
        let at = self.now.instant + delay;
        self.to_come.insert((at, self.happenings), happening);
    }
}
