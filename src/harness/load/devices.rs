//! The devices of a run: on this machine, or wherever else they are.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::LoadError;
use super::pace::{quicken, quickened};
use crate::clock::{Instant, SystemClock};
use crate::harness::scenario::{
    CellRange, DevicePhase, DevicePlace, Happening, Scenario, TimedEvent,
};
use crate::sim::{DeviceConfig, Fleet, FleetConfig, FleetSink, Order, sources_towards};

/// Runs the devices of a scenario and tells what they do.
pub trait Devices {
    /// Switches them on. From now on `sink` is told what they do, by their numbers in the scenario.
    ///
    /// # Errors
    /// Where they cannot be.
    fn start(
        &mut self,
        clock: SystemClock,
        sink: FleetSink,
    ) -> impl Future<Output = Result<(), LoadError>>;

    /// Does to them what the scenario has done by now.
    fn advance(&mut self, elapsed: Duration);

    /// Until when all that they did is told.
    fn told_until(&self, now: Instant) -> Instant;

    /// Why they cannot go on, if so.
    fn broken(&self) -> Option<String>;

    /// Switches them off. Afterwards the sink is told nothing more, and is dropped. Why what it was told is not
    /// all, if so.
    fn stop(self) -> impl Future<Output = Option<String>>;
}

/// Which devices of a scenario, and where they go.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The LwM2M server.
    pub server: SocketAddr,
    /// From which all chance comes.
    pub seed: u64,
    /// How many times faster devices' own timers run; 0 counts as 1.
    pub speed: u16,
    /// Whether devices fetch from the address in a URI, not from their server.
    pub follows_uris: bool,
    /// Those of these cells.
    pub cells: CellRange,
}

/// From where devices speak on this machine.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Addresses of this machine; empty: [`sources_towards`] the server.
    pub sources: Vec<IpAddr>,
    /// Ports; `None`: any that are free.
    pub ports: Option<RangeInclusive<u16>>,
    /// How many threads they share.
    pub loops: usize,
}

impl LocalConfig {
    /// Whether devices can reach such a server from these addresses.
    pub fn is_of_family(&self, server: SocketAddr) -> bool {
        let mut sources = self.sources.iter();
        sources.all(|source| source.is_ipv6() == server.is_ipv6())
    }
}

/// Devices in this process.
#[derive(Debug)]
pub struct LocalDevices {
    part: Part,
    config: LocalConfig,
    /// With the seed of its own chance; those that are not started yet.
    to_start: Vec<(DeviceConfig, u64)>,
    fleet: Option<Fleet>,
    places: Vec<DevicePlace>,
    /// Of the scenario.
    cells: usize,
    /// What is to be done when, the last first.
    to_come: Vec<(Duration, Act)>,
}

/// What is done to devices.
#[derive(Clone, Debug)]
enum Act {
    Event(TimedEvent),
    SwitchOff(usize),
}

impl LocalDevices {
    /// Devices that are switched off.
    pub fn new(scenario: &Scenario, part: Part, config: LocalConfig) -> Self {
        let mut devices = Self {
            part,
            config,
            to_start: Vec::new(),
            fleet: None,
            places: Vec::new(),
            cells: scenario.cells.len(),
            to_come: Vec::new(),
        };
        for mut device in scenario.devices_of(part.seed, part.cells) {
            device.config.server = part.server;
            device.config.follows_uris = part.follows_uris;
            quicken(&mut device, part.speed);
            if let Some(at) = device.switch_off {
                let act = Act::SwitchOff(devices.places.len());
                devices.to_come.push((at, act));
            }
            devices.places.push(device.place());
            devices.to_start.push((device.config, device.seed));
        }
        for event in &scenario.events {
            let at = quickened(event.at, part.speed);
            devices.to_come.push((at, Act::Event(event.clone())));
        }
        devices.to_come.sort_by_key(|(at, _)| Reverse(*at));
        devices
    }

    /// Their numbers in the scenario, in order.
    pub fn numbers(&self) -> Vec<usize> {
        self.places.iter().map(|place| place.index).collect()
    }

    fn act(&self, act: &Act) {
        match act {
            Act::SwitchOff(device) => self.order(*device, Order::SwitchOff),
            Act::Event(event) => {
                let cells = event.cells(self.part.seed, self.cells);
                for (device, place) in self.places.iter().enumerate() {
                    if event.hits(self.part.seed, *place, &cells)
                        && let Some(order) = self.order_of(event, *place)
                    {
                        self.order(device, order);
                    }
                }
            }
        }
    }

    fn order(&self, device: usize, order: Order) {
        if let Some(fleet) = &self.fleet {
            fleet.order(device, order);
        }
    }

    /// What an event is to one device.
    fn order_of(&self, event: &TimedEvent, place: DevicePlace) -> Option<Order> {
        let Part { seed, speed, .. } = self.part;
        Some(match event.what {
            Happening::NatFlush => Order::Rebind,
            Happening::CellOutage { lasts } => Order::LoseRadio {
                lasts: quickened(lasts, speed),
            },
            Happening::PowerCut {
                off,
                spread,
                loses_package,
                phase,
            } => {
                let off = off + event.spread(seed, place.index, spread);
                Order::CutPower {
                    off: quickened(off, speed),
                    loses_package,
                    in_state: phase.map(state_of),
                }
            }
            // Refused before the begin.
            Happening::ServerRestart { .. } | Happening::TimeJump { .. } => return None,
        })
    }
}

impl Devices for LocalDevices {
    async fn start(&mut self, clock: SystemClock, sink: FleetSink) -> Result<(), LoadError> {
        let LocalConfig {
            sources,
            ports,
            loops,
        } = self.config.clone();
        let config = FleetConfig {
            sources: match sources {
                sources if sources.is_empty() => sources_towards(self.part.server)?,
                sources => sources,
            },
            ports,
            loops,
        };
        let devices = std::mem::take(&mut self.to_start);
        self.fleet = Some(Fleet::launch(devices, &config, clock, &sink)?);
        Ok(())
    }

    fn advance(&mut self, elapsed: Duration) {
        while self.to_come.last().is_some_and(|(at, _)| *at <= elapsed) {
            if let Some((_, act)) = self.to_come.pop() {
                self.act(&act);
            }
        }
    }

    fn told_until(&self, now: Instant) -> Instant {
        now
    }

    fn broken(&self) -> Option<String> {
        let fleet = self.fleet.as_ref()?;
        let is_broken = fleet.running() < self.places.len();
        is_broken.then(|| "the devices' sockets broke".to_owned())
    }

    async fn stop(self) -> Option<String> {
        drop(self.fleet);
        None
    }
}

const fn state_of(phase: DevicePhase) -> u8 {
    match phase {
        DevicePhase::Downloading => 1,
        DevicePhase::Downloaded => 2,
        DevicePhase::Updating => 3,
    }
}
