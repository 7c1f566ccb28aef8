//! One loop: its devices, their timers, its sockets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::mpsc;
use std::time::Duration;

use super::addresses::{Addresses, Pair};
use super::{FleetEvent, FleetSink, Order};
use crate::clock::{Instant, SystemClock};
use crate::net::{Batch, SharedSockets};
use crate::sim::coap_watch::{CoapKind, CoapSample, CoapWatch};
use crate::sim::device::{DeviceOutput, SimDevice, SocketKind};
use crate::sim::log::LogLine;

/// The longest wait: a deadline further away is looked at again then.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Batches that are read, and timers that are served, before the other kind has its turn.
const TURN: usize = 64;

/// Timers that no longer hold and may stay, for each that does.
const STALE_SHARE: usize = 2;

/// One device on its loop.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its index in the fleet.
    device: usize,
    core: SimDevice,
    watch: CoapWatch,
    main: Option<Pair>,
    download: Option<Pair>,
    own_download_socket: bool,
    /// Only the timer with this time counts.
    deadline: Option<Instant>,
    /// Nothing reaches it before.
    radio_from: Instant,
}

impl Slot {
    /// A device with its index in the fleet.
    pub(super) fn new(device: usize, core: SimDevice, own_download_socket: bool) -> Self {
        Self {
            device,
            core,
            watch: CoapWatch::default(),
            main: None,
            download: None,
            own_download_socket,
            deadline: None,
            radio_from: Instant::ORIGIN,
        }
    }

    fn pair(&self, kind: SocketKind) -> Option<Pair> {
        match kind {
            SocketKind::Main => self.main,
            SocketKind::Download => self.download,
        }
    }
}

/// A datagram that is about to leave; its bytes stand in [`Shard::bytes`].
#[derive(Debug)]
struct Outgoing {
    from: Pair,
    to: SocketAddr,
    bytes: Range<usize>,
}

/// The loop.
pub(super) struct Shard {
    clock: SystemClock,
    slots: Vec<Slot>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    sockets: SharedSockets,
    addresses: Addresses,
    orders: mpsc::Receiver<(usize, Order)>,
    sink: FleetSink,
    told: Vec<FleetEvent>,
    outgoing: Vec<Outgoing>,
    bytes: Vec<u8>,
}

impl Shard {
    /// With each device's first timer set.
    pub(super) fn new(
        slots: Vec<Slot>,
        sockets: SharedSockets,
        addresses: Addresses,
        clock: SystemClock,
        sink: FleetSink,
        orders: mpsc::Receiver<(usize, Order)>,
    ) -> Self {
        Self {
            clock,
            timers: BinaryHeap::with_capacity(slots.len()),
            slots,
            sockets,
            addresses,
            orders,
            sink,
            told: Vec::new(),
            outgoing: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Runs until the fleet is dropped.
    pub(super) fn run(mut self) -> io::Result<()> {
        for index in 0..self.slots.len() {
            self.bind(index);
            self.drain(index);
        }
        let mut batch = Batch::new();
        loop {
            self.flush();
            let now = self.clock.now().instant;
            let first = self.timers.peek().map(|Reverse((at, _))| *at - now);
            let wait = first.unwrap_or(WAIT_MAX).min(WAIT_MAX);
            self.sockets.wait(Some(wait))?;
            for _ in 0..TURN {
                let Some(socket) = self.sockets.receive(&mut batch) else {
                    break;
                };
                self.take_batch(socket, &batch);
                self.flush();
            }
            for _ in 0..TURN {
                if !self.serve_timer() {
                    break;
                }
            }
            loop {
                match self.orders.try_recv() {
                    Ok((index, order)) => self.obey(index, order),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    fn take_batch(&mut self, socket: usize, batch: &Batch) {
        let now = self.clock.now().instant;
        for datagram in batch.datagrams() {
            let Some((index, kind)) = self.addresses.owner(datagram.to, socket) else {
                continue;
            };
            let index = index as usize;
            let Some(slot) = self.slots.get_mut(index) else {
                continue;
            };
            if datagram.from != slot.core.peer(kind) || now < slot.radio_from {
                continue;
            }
            let seen = slot.watch.received(now, kind, datagram.bytes);
            tell(&mut self.told, now, slot.device, seen);
            slot.core.handle_datagram(now, kind, datagram.bytes);
            self.drain(index);
        }
    }

    /// Serves the first timer that is due; whether there was one.
    fn serve_timer(&mut self) -> bool {
        let now = self.clock.now().instant;
        let Some(Reverse((at, index))) = self.timers.peek().copied() else {
            return false;
        };
        if now < at {
            return false;
        }
        self.timers.pop();
        if let Some(slot) = self.slots.get_mut(index)
            && slot.deadline == Some(at)
        {
            slot.deadline = None;
            slot.core.handle_timeout(now);
            self.drain(index);
        }
        true
    }

    fn obey(&mut self, index: usize, order: Order) {
        let now = self.clock.now().instant;
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        match order {
            Order::CutPower {
                off,
                loses_package,
                in_state,
            } => {
                if in_state.is_some_and(|state| state != slot.core.update_state()) {
                    return;
                }
                if loses_package {
                    slot.core.lose_package(now, off);
                } else {
                    slot.core.cut_power(now, off);
                }
            }
            Order::SwitchOff => slot.core.switch_off(now),
            Order::Speak => slot.core.speak(now),
            Order::SendUplink => slot.core.send_uplink(now),
            Order::Rebind => self.bind(index),
            Order::LoseRadio { lasts } => slot.radio_from = now + lasts,
        }
        self.drain(index);
    }

    /// Takes everything out of a device that wants out.
    fn drain(&mut self, index: usize) {
        let now = self.clock.now().instant;
        loop {
            let Some(slot) = self.slots.get_mut(index) else {
                return;
            };
            match slot.core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let seen = slot.watch.sent(now, socket, &datagram.head);
                    tell(&mut self.told, now, slot.device, seen);
                    let has_radio = slot.radio_from <= now;
                    if let Some(from) = slot.pair(socket).filter(|_| has_radio) {
                        let start = self.bytes.len();
                        self.bytes.extend_from_slice(&datagram.head);
                        self.bytes.extend_from_slice(&datagram.body);
                        self.outgoing.push(Outgoing {
                            from,
                            to: slot.core.peer(socket),
                            bytes: start..self.bytes.len(),
                        });
                    }
                }
                DeviceOutput::Rebind => self.bind(index),
                DeviceOutput::Log(event) => {
                    let device = slot.device;
                    let at = now;
                    let line = LogLine { at, device, event };
                    self.told.push(FleetEvent::Log(line));
                }
                DeviceOutput::Timeout(deadline) => {
                    if slot.deadline != deadline {
                        slot.deadline = deadline;
                        self.set_timer(index, deadline);
                    }
                    return;
                }
            }
        }
    }

    fn set_timer(&mut self, index: usize, deadline: Option<Instant>) {
        if let Some(at) = deadline {
            self.timers.push(Reverse((at, index)));
        }
        if self.timers.len() > (1 + STALE_SHARE) * self.slots.len() + TURN {
            let slots = self.slots.iter().enumerate();
            self.timers = slots
                .filter_map(|(index, slot)| Some(Reverse((slot.deadline?, index))))
                .collect();
        }
    }

    /// Gives a device other ports than it has.
    fn bind(&mut self, index: usize) {
        let (Some(slot), Ok(device)) = (self.slots.get_mut(index), u32::try_from(index)) else {
            return;
        };
        slot.main = self.addresses.take(device, SocketKind::Main, slot.main);
        if slot.own_download_socket {
            let kind = SocketKind::Download;
            slot.download = self.addresses.take(device, kind, slot.download);
        }
    }

    /// Tells what happened, and only then lets the datagrams go that followed from it.
    fn flush(&mut self) {
        if !self.told.is_empty() {
            (self.sink)(&self.told);
            self.told.clear();
        }
        for outgoing in self.outgoing.drain(..) {
            let contents = self.bytes.get(outgoing.bytes).unwrap_or_default();
            if let Some((from, socket)) = self.addresses.of(outgoing.from) {
                // What cannot be sent is a lost datagram.
                drop(self.sockets.send(socket, from, outgoing.to, contents));
            }
        }
        self.bytes.clear();
    }
}

fn tell(told: &mut Vec<FleetEvent>, at: Instant, device: usize, seen: [Option<CoapKind>; 2]) {
    let samples = seen.into_iter().flatten();
    told.extend(samples.map(|kind| FleetEvent::Coap(CoapSample { at, device, kind })));
}
