//! A server's engine and devices in cells, on one virtual clock: each datagram goes through the codec on
//! both sides and over the air of its cell. No sockets, no store, no wait: days pass as fast as they can
//! be reckoned, and a seed gives the same run on every machine.

mod account;
mod digest;
mod events;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::air::{CeLevel, CellAir, Direction};
use super::device::{DeviceConfig, DeviceOutput, SimDevice, SocketKind};
use super::judge::Limits;
use super::log::LogLine;
use crate::clock::{Instant, Now};
use crate::engine::{Command, CommandError, Engine, EngineConfig, Output};
use crate::model::{CellId, Datagram, Peer, Transmit};

pub use account::Account;
use events::{Event, Events, Schedule};

/// The first port of a device's sockets, and how many it can come back from.
const FIRST_PORT: u16 = 40_000;
const PORTS: u16 = 20_000;

/// A device of a [`Network`].
#[derive(Clone, Debug)]
pub struct NetworkDevice {
    /// What it is. Its cell is what its radio reports.
    pub config: DeviceConfig,
    /// How well it hears its cell.
    pub level: CeLevel,
}

/// The engine, its devices, and the air between them.
#[derive(Debug)]
pub struct Network {
    now: Now,
    engine: Engine,
    engine_deadline: Option<Instant>,
    devices: Vec<Member>,
    cells: Vec<Cell>,
    events: Events<Flight>,
    rng: StdRng,
    account: Account,
}

#[derive(Debug)]
struct Member {
    core: SimDevice,
    level: CeLevel,
    /// Its place in `cells`.
    cell: usize,
    /// How often it came back from other ports.
    rebinds: u16,
    deadline: Schedule,
}

#[derive(Debug)]
struct Cell {
    air: CellAir<Flight>,
    uplink: Schedule,
    downlink: Schedule,
}

/// A datagram under way.
#[derive(Debug)]
struct Flight {
    device: usize,
    socket: SocketKind,
    rebinds: u16,
    direction: Direction,
    /// It takes air as any other, but does not arrive.
    lost: bool,
    datagram: Datagram,
}

impl Network {
    /// An engine that knows nothing yet and devices that are switched off, at `now`. What chance decides
    /// comes from `seed`.
    pub fn new(
        engine: EngineConfig,
        devices: Vec<NetworkDevice>,
        limits: Limits,
        downlink_share_percent: NonZeroU8,
        now: Now,
        seed: u64,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let levels = devices.iter().map(|device| device.level).collect();
        let mut network = Self {
            now,
            engine: Engine::new(engine, rng.r#gen()),
            engine_deadline: None,
            account: Account::new(levels, limits),
            devices: Vec::with_capacity(devices.len()),
            cells: Vec::new(),
            events: Events::default(),
            rng,
        };
        let mut cells = BTreeMap::new();
        for NetworkDevice { config, level } in devices {
            let id = CellId(config.radio.cell_id.unwrap_or_default());
            let cell = *cells.entry(id).or_insert_with(|| {
                network.cells.push(Cell {
                    air: CellAir::new(downlink_share_percent),
                    uplink: Schedule::default(),
                    downlink: Schedule::default(),
                });
                network.cells.len() - 1
            });
            let seed = network.rng.r#gen();
            network.devices.push(Member {
                core: SimDevice::new(config, now.instant, seed),
                level,
                cell,
                rebinds: 0,
                deadline: Schedule::default(),
            });
            network.drain_device(network.devices.len() - 1);
        }
        network
    }

    /// The time.
    pub const fn now(&self) -> Now {
        self.now
    }

    /// The server's core.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What has come of it so far.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// How long the downlinks of all cells were in use, so far, as a part of the time, in thousandths.
    pub fn downlink_busy_permille(&self) -> u64 {
        let busy = self
            .cells
            .iter()
            .map(|cell| cell.air.busy(Direction::Downlink).as_millis())
            .sum::<u128>();
        let all = self.now.instant.since_origin().as_millis() * self.cells.len() as u128;
        u64::try_from(busy * 1000 / all.max(1)).unwrap_or(u64::MAX)
    }

    /// Carries out an operator's command.
    ///
    /// # Errors
    /// Where the engine refuses it.
    pub fn command(&mut self, command: Command) -> Result<(), CommandError> {
        let result = self.engine.handle_command(self.now, command);
        self.drain_engine();
        result
    }

    /// Lets the next thing happen, if that is not after `until`; says whether it did.
    pub fn step(&mut self, until: Instant) -> bool {
        let of_engine = self.engine_deadline;
        let next = [of_engine, self.events.next_at()].into_iter().flatten();
        let Some(next) = next.min().filter(|next| *next <= until) else {
            self.pass(until);
            return false;
        };
        self.pass(next);
        if of_engine == Some(next) {
            self.engine.handle_timeout(self.now);
            self.drain_engine();
        } else if let Some(event) = self.events.pop() {
            self.happen(event);
        }
        true
    }

    /// Lets everything happen up to `until`.
    pub fn run_until(&mut self, until: Instant) {
        while self.step(until) {}
    }

    fn pass(&mut self, to: Instant) {
        let passed = to.saturating_since(self.now.instant);
        self.now = self.now + passed;
    }

    fn happen(&mut self, event: Event<Flight>) {
        let now = self.now.instant;
        match event {
            Event::Device(index) => {
                let device = &mut self.devices[index];
                if !device.deadline.fires(now) {
                    return;
                }
                if device.deadline.is_due(now) {
                    device.core.handle_timeout(now);
                    self.drain_device(index);
                } else if let Some(at) = device.deadline.rearm() {
                    self.events.push(at, Event::Device(index));
                }
            }
            Event::OnAir(flight) => self.take_air(*flight),
            Event::Carrier(cell, direction) => {
                if self.cells[cell].schedule(direction).fires(now) {
                    self.arrivals(cell, direction);
                    self.arm_carrier(cell, direction);
                }
            }
        }
    }

    fn take_air(&mut self, flight: Flight) {
        let member = &self.devices[flight.device];
        let (cell, level, direction) = (member.cell, member.level, flight.direction);
        // What is over is over before this begins.
        self.arrivals(cell, direction);
        let bytes = flight.datagram.len();
        let air = &mut self.cells[cell].air;
        air.begin(self.now.instant, level, direction, bytes, flight);
        self.arm_carrier(cell, direction);
    }

    fn arrivals(&mut self, cell: usize, direction: Direction) {
        let now = self.now.instant;
        while let Some(flight) = self.cells[cell].air.poll_arrival(direction, now) {
            if !flight.lost {
                self.arrive(&flight);
            }
        }
    }

    fn arrive(&mut self, flight: &Flight) {
        let datagram = flight.datagram.to_vec();
        match flight.direction {
            Direction::Uplink => {
                let from = address(flight.device, flight.socket, flight.rebinds);
                let peer = Peer::Address(from);
                self.engine.handle_datagram(self.now, &peer, &datagram);
                self.drain_engine();
            }
            Direction::Downlink => {
                let device = &mut self.devices[flight.device];
                if device.rebinds == flight.rebinds {
                    device
                        .core
                        .handle_datagram(self.now.instant, flight.socket, &datagram);
                    self.drain_device(flight.device);
                }
            }
        }
    }

    fn arm_carrier(&mut self, cell: usize, direction: Direction) {
        let at = self.cells[cell].air.poll_timeout(direction);
        if let Some(at) = self.cells[cell].schedule(direction).set(at) {
            self.events.push(at, Event::Carrier(cell, direction));
        }
    }

    /// A datagram leaves; it takes air when its turn comes.
    fn send(&mut self, flight: Flight) {
        let member = &self.devices[flight.device];
        let (level, direction) = (member.level, flight.direction);
        let bytes = flight.datagram.len();
        let rng = &mut self.rng;
        let turn = self.cells[member.cell]
            .air
            .turn(level, direction, bytes, rng);
        let lost = level.loses(rng);
        let flight = Box::new(Flight { lost, ..flight });
        self.account.sent(direction, bytes);
        self.events
            .push(self.now.instant + turn, Event::OnAir(flight));
    }

    fn drain_device(&mut self, index: usize) {
        loop {
            let device = &mut self.devices[index];
            match device.core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let flight = Flight {
                        device: index,
                        socket,
                        rebinds: device.rebinds,
                        direction: Direction::Uplink,
                        lost: false,
                        datagram,
                    };
                    self.send(flight);
                }
                DeviceOutput::Rebind => device.rebinds = (device.rebinds + 1) % (PORTS / 2),
                DeviceOutput::Log(event) => self.account.device(LogLine {
                    at: self.now.instant,
                    device: index,
                    event,
                }),
                DeviceOutput::Timeout(deadline) => {
                    if let Some(at) = device.deadline.set(deadline) {
                        self.events.push(at, Event::Device(index));
                    }
                    return;
                }
            }
        }
    }

    fn drain_engine(&mut self) {
        loop {
            match self.engine.poll_output() {
                Output::Transmit(transmit) => self.send_down(transmit),
                Output::Record(record) => self.account.record(self.now, &record),
                Output::Timeout(deadline) => {
                    self.engine_deadline = deadline;
                    return;
                }
                // For the live view and for other listeners, of which there are none.
                Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
            }
        }
    }

    fn send_down(&mut self, transmit: Transmit) {
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

impl Cell {
    const fn schedule(&mut self, direction: Direction) -> &mut Schedule {
        match direction {
            Direction::Uplink => &mut self.uplink,
            Direction::Downlink => &mut self.downlink,
        }
    }
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
