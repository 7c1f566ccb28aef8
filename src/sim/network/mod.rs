//! A server's engine and devices in cells, on one virtual clock: each datagram goes through the codec on
//! both sides and over the air of its cell. No sockets, no wait: days pass as fast as they can be
//! reckoned, and a seed gives the same run on every machine.

mod account;
mod core;
mod digest;
mod events;
mod flights;
mod happenings;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::air::{Carrier, CeLevel, CellAir, Direction};
use super::device::{DeviceConfig, DeviceOutput, SimDevice, SocketKind};
use super::judge::Limits;
use super::log::LogLine;
use crate::clock::{Instant, Now, Utc};
use crate::engine::{Command, CommandError, Engine, EngineConfig, Output};
use crate::model::{CellId, Datagram, Record};
use crate::net::{Impairer, Impairment};

pub use self::core::{Kept, at_once, ended_tasks};
pub use account::Account;

use self::core::Core;
use events::{Event, Events, Schedule};
use flights::next_ports;

/// The first port of a device's sockets, and how many it can come back from.
const FIRST_PORT: u16 = 40_000;
const PORTS: u16 = 20_000;

/// A device of a [`Network`].
#[derive(Clone, Debug)]
pub struct NetworkDevice {
    /// What it is.
    pub config: DeviceConfig,
    /// The cell whose air it uses.
    pub cell: CellId,
    /// How well it hears it.
    pub level: CeLevel,
    /// From which its own chance comes, and that of its air, so that both are the same whatever other
    /// devices there are; `None`: from the network's, in turn.
    pub seed: Option<u64>,
    /// How bad its path is beside its cell's air.
    pub impairment: Option<Arc<Impairment>>,
}

/// Something that happened in a network, for whoever listens.
#[derive(Clone, Debug)]
pub enum Told {
    /// A line of a device's log.
    Line(LogLine),
    /// A datagram left a device.
    Sent {
        /// Which device's.
        device: usize,
        /// From which socket.
        socket: SocketKind,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// A datagram came to a device.
    Received {
        /// To which device.
        device: usize,
        /// To which socket.
        socket: SocketKind,
        /// The datagram.
        datagram: Vec<u8>,
    },
    /// The server committed it.
    Record(Box<Record>),
}

/// The engine, its devices, and the air between them.
#[derive(Debug)]
pub struct Network {
    now: Now,
    /// What the clock on the wall said at the clock's origin, as it is set now.
    epoch: Utc,
    core: Core,
    devices: Vec<Member>,
    cells: Vec<Cell>,
    events: Events<Flight>,
    rng: StdRng,
    account: Account,
    told: Option<VecDeque<Told>>,
}

#[derive(Debug)]
struct Member {
    core: SimDevice,
    level: CeLevel,
    /// Chance of its own, where it has such.
    rng: Option<StdRng>,
    path: Option<Impairer>,
    /// Its place in `cells`.
    cell: usize,
    /// How often it came back from other ports.
    rebinds: u16,
    deadline: Schedule,
}

#[derive(Debug)]
struct Cell {
    id: CellId,
    air: CellAir<Flight>,
    /// Nothing goes through it until then.
    dark_until: Instant,
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
    /// comes from `seed`. With a store the server can be killed.
    pub fn new(
        (engine, kept): (EngineConfig, Option<Kept>),
        devices: Vec<NetworkDevice>,
        limits: Limits,
        carrier: impl Fn(CellId) -> Carrier,
        now: Now,
        seed: u64,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let levels = devices.iter().map(|device| device.level).collect();
        let mut network = Self {
            now,
            epoch: Utc::from_unix_ms(now.utc.unix_ms() - whole_ms(now.instant)),
            core: Core::new(engine, rng.r#gen(), kept),
            account: Account::new(levels, limits),
            told: None,
            devices: Vec::with_capacity(devices.len()),
            cells: Vec::new(),
            events: Events::default(),
            rng,
        };
        let mut cells = BTreeMap::new();
        for device in devices {
            let NetworkDevice {
                config,
                cell: id,
                level,
                seed,
                impairment,
            } = device;
            let cell = *cells.entry(id).or_insert_with(|| {
                network.cells.push(Cell {
                    id,
                    air: CellAir::new(carrier(id)),
                    dark_until: Instant::ORIGIN,
                    uplink: Schedule::default(),
                    downlink: Schedule::default(),
                });
                network.cells.len() - 1
            });
            let mut own = seed.map(StdRng::seed_from_u64);
            let seed: u64 = own.as_mut().unwrap_or(&mut network.rng).r#gen();
            let path = impairment.map(|it| Impairer::new(it, now.instant, !seed));
            network.devices.push(Member {
                core: SimDevice::new(config, now.instant, seed),
                level,
                rng: own,
                path,
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
        &self.core.engine
    }

    /// What the server keeps.
    pub fn kept(&self) -> Option<&Kept> {
        self.core.kept()
    }

    /// The same, for an operator who enters something.
    pub fn kept_mut(&mut self) -> Option<&mut Kept> {
        self.core.kept_mut()
    }

    /// Why the server can no longer be trusted: its store failed.
    pub fn fault(&self) -> Option<&str> {
        self.core.fault()
    }

    /// From now on what happens is told, and the log is kept until it is taken.
    pub fn listen(&mut self) {
        self.told = Some(VecDeque::new());
        self.account.keep_log();
    }

    /// The next thing that happened, where somebody listens.
    pub fn poll_told(&mut self) -> Option<Told> {
        self.told.as_mut()?.pop_front()
    }

    /// What was added to the log since it was taken last.
    pub fn take_log(&mut self) -> String {
        self.account.take_log()
    }

    /// Adds a line to the log: something that happens to the run.
    pub fn note(&mut self, line: &str) {
        let since = self.now.instant.since_origin();
        self.account.note(format_args!("{since:?} run {line}"));
    }

    /// What has come of it so far.
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// How long a device's radio was on, so far.
    pub fn radio_on(&self, device: usize) -> Duration {
        let now = self.now.instant;
        let device = self.devices.get(device);
        device.map_or(Duration::ZERO, |device| device.core.radio_on(now))
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
        let result = self.core.command(self.now, command);
        self.drain_engine();
        result
    }

    /// Lets the next thing happen, if that is not after `until`; says whether it did.
    pub fn step(&mut self, until: Instant) -> bool {
        let of_engine = self.core.deadline();
        let next = [of_engine, self.events.next_at()].into_iter().flatten();
        let Some(next) = next.min().filter(|next| *next <= until) else {
            self.pass(until);
            return false;
        };
        self.pass(next);
        if of_engine == Some(next) {
            self.core.handle_timeout(self.now);
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
        // Reckoned from the origin: parts of milliseconds would be lost at each step.
        let instant = to.max(self.now.instant);
        let utc = self.epoch + instant.since_origin();
        self.now = Now { instant, utc };
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

    fn drain_device(&mut self, index: usize) {
        loop {
            let device = &mut self.devices[index];
            match device.core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    if let Some(told) = &mut self.told {
                        told.push_back(Told::Sent {
                            device: index,
                            socket,
                            datagram: datagram.to_vec(),
                        });
                    }
                    let device = &self.devices[index];
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
                DeviceOutput::Rebind => device.rebinds = next_ports(device.rebinds),
                DeviceOutput::Log(event) => {
                    let line = LogLine {
                        at: self.now.instant,
                        device: index,
                        event,
                    };
                    self.tell(|| Told::Line(line.clone()));
                    self.account.device(line);
                }
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
        let (keeps, mut records) = (self.core.kept().is_some(), Vec::new());
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(transmit) => self.send_down(transmit),
                Output::Record(record) => {
                    self.account.record(self.now, &record);
                    self.tell(|| Told::Record(Box::new(record.clone())));
                    if keeps {
                        records.push(record);
                    }
                }
                // For the live view and for other listeners, of which there are none.
                Output::Timeout(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
            }
        }
        self.core.commit(records);
    }

    fn tell(&mut self, what: impl FnOnce() -> Told) {
        if let Some(told) = &mut self.told {
            told.push_back(what());
        }
    }
}

fn whole_ms(instant: Instant) -> i64 {
    i64::try_from(instant.since_origin().as_millis()).unwrap_or(i64::MAX)
}

impl Cell {
    const fn schedule(&mut self, direction: Direction) -> &mut Schedule {
        match direction {
            Direction::Uplink => &mut self.uplink,
            Direction::Downlink => &mut self.downlink,
        }
    }
}
