//! Devices on real sockets: tens of thousands of them on a few loops and a few sockets.
//!
//! Each loop is a thread that owns its devices, their timers and its sockets, and shares nothing with
//! the others. What its devices log and measure is told before the datagrams of the same step leave,
//! so that what one device causes on another is always told after it.

mod addresses;
mod shard;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::coap_watch::CoapSample;
use super::device::{DeviceConfig, SimDevice};
use super::log::LogLine;
use crate::clock::SystemClock;
use crate::net::{SharedSockets, SocketsWaker};
use addresses::Addresses;
use shard::{Shard, Slot};

/// Why a fleet could not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// There are not enough file descriptors or ports.
    #[error(
        "cannot open {sockets} sockets for {devices} devices from {sources} source addresses: {error}; \
         more source addresses need fewer sockets"
    )]
    Sockets {
        /// How many it would take on one loop.
        sockets: usize,
        /// For so many devices.
        devices: usize,
        /// As each socket has one port of each of these.
        sources: usize,
        /// Why not.
        error: io::Error,
    },
    /// A thread could not be had.
    #[error("cannot start a thread for the devices: {0}")]
    Thread(io::Error),
    /// No way to the server.
    #[error("no address of this machine leads to {server}: {error}")]
    Route {
        /// The server.
        server: SocketAddr,
        /// Why not.
        error: io::Error,
    },
}

/// What a fleet tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FleetEvent {
    /// A line of a device's log.
    Log(LogLine),
    /// What happened to a device's messages.
    Coap(CoapSample),
}

/// Takes what a loop tells, from its thread: what it does not do at once, the loop's devices wait for.
pub type FleetSink = Arc<dyn Fn(&[FleetEvent]) + Send + Sync>;

/// Where a fleet's devices speak from, and how many loops they share.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Addresses of this machine, of the server's family. Each device has a pair of address and port
    /// of its own.
    pub sources: Vec<IpAddr>,
    /// Ports of these addresses, of which those that are taken are left out; `None`: any that are free.
    pub ports: Option<RangeInclusive<u16>>,
    /// How many threads.
    pub loops: usize,
}

/// What a device can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Its power goes for so long.
    CutPower {
        /// How long.
        off: Duration,
        /// What was fetched is lost.
        loses_package: bool,
        /// Only where its `/5/0/3` is this.
        in_state: Option<u8>,
    },
    /// It is switched off for good, without a word.
    SwitchOff,
    /// It sends a Registration Update.
    Speak,
    /// It sends data of its own.
    SendUplink,
    /// It speaks from another port, as after its NAT has forgotten it.
    Rebind,
    /// Nothing reaches it and nothing leaves it for so long.
    LoseRadio {
        /// How long.
        lasts: Duration,
    },
}

/// Running devices. They end when this is dropped.
pub struct Fleet {
    log: Arc<Mutex<Vec<LogLine>>>,
    loops: Vec<Loop>,
}

struct Loop {
    orders: Option<mpsc::Sender<(usize, Order)>>,
    waker: SocketsWaker,
    thread: Option<JoinHandle<io::Result<()>>>,
    devices: usize,
}

impl Fleet {
    /// Starts one device for each configuration on one loop, from [`sources_towards`] the server, and
    /// keeps their log. What chance decides comes from `seed`.
    ///
    /// # Errors
    /// Where a socket cannot be had.
    pub fn start(
        configs: Vec<DeviceConfig>,
        clock: SystemClock,
        seed: u64,
    ) -> Result<Self, FleetError> {
        let server = configs.first().map(|config| config.server);
        let config = FleetConfig {
            sources: server.map(sources_towards).transpose()?.unwrap_or_default(),
            ports: None,
            loops: 1,
        };
        let seeds = (0..).map(|device: u64| seed ^ device);
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        let sink: FleetSink = Arc::new(move |events| {
            let lines = events.iter().filter_map(|event| match event {
                FleetEvent::Log(line) => Some(line.clone()),
                FleetEvent::Coap(_) => None,
            });
            lock(&kept).extend(lines);
        });
        let mut fleet = Self::launch(configs.into_iter().zip(seeds), &config, clock, &sink)?;
        fleet.log = log;
        Ok(fleet)
    }

    /// Starts one device for each configuration, what chance decides on it from the seed beside, and tells
    /// `sink` what they do. It keeps no log itself.
    ///
    /// # Errors
    /// Where a socket or a thread cannot be had.
    pub fn launch(
        devices: impl IntoIterator<Item = (DeviceConfig, u64)>,
        config: &FleetConfig,
        clock: SystemClock,
        sink: &FleetSink,
    ) -> Result<Self, FleetError> {
        let loops = config.loops.max(1);
        let mut slots: Vec<Vec<Slot>> = (0..loops).map(|_| Vec::new()).collect();
        let now = clock.now().instant;
        for (device, (device_config, seed)) in devices.into_iter().enumerate() {
            let own_socket = device_config.quirks.own_download_socket || device_config.follows_uris;
            let core = SimDevice::new(device_config, now, seed);
            if let Some(slots) = slots.get_mut(device % loops) {
                slots.push(Slot::new(device, core, own_socket));
            }
        }
        let mut ports = ports(config.ports.clone());
        let loops = slots
            .into_iter()
            .filter(|slots| !slots.is_empty())
            .map(|slots| start_loop(slots, config, &mut ports, clock, sink))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            log: Arc::default(),
            loops,
        })
    }

    /// The log so far, in the order in which things happened.
    pub fn log(&self) -> Vec<LogLine> {
        lock(&self.log).clone()
    }

    /// The lines from the `from`th on.
    pub fn log_since(&self, from: usize) -> Vec<LogLine> {
        lock(&self.log)
            .get(from..)
            .map(<[LogLine]>::to_vec)
            .unwrap_or_default()
    }

    /// Cuts a device's power for `off`.
    pub fn cut_power(&self, device: usize, off: Duration) {
        let order = Order::CutPower {
            off,
            loses_package: false,
            in_state: None,
        };
        self.order(device, order);
    }

    /// Has a device send a Registration Update now.
    pub fn speak(&self, device: usize) {
        self.order(device, Order::Speak);
    }

    /// Has a device send data of its own now.
    pub fn send_uplink(&self, device: usize) {
        self.order(device, Order::SendUplink);
    }

    /// How many devices still run; fewer than there were means that sockets broke.
    pub fn running(&self) -> usize {
        let running = self.loops.iter().filter(|it| it.is_running());
        running.map(|it| it.devices).sum()
    }

    /// Tells a device something. One that has ended takes no more orders.
    pub fn order(&self, device: usize, order: Order) {
        let count = self.loops.len().max(1);
        let Some(of_device) = self.loops.get(device % count) else {
            return;
        };
        if let Some(orders) = &of_device.orders
            && orders.send((device / count, order)).is_ok()
        {
            of_device.wake();
        }
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for it in &mut self.loops {
            it.orders = None;
            it.wake();
        }
        for it in &mut self.loops {
            if let Some(thread) = it.thread.take() {
                // How it ended was seen by `running`.
                drop(thread.join());
            }
        }
    }
}

impl Loop {
    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|it| !it.is_finished())
    }

    /// A loop that cannot be woken looks at its orders when its next timer is due.
    fn wake(&self) {
        drop(self.waker.wake());
    }
}

/// Addresses of this machine for devices to speak from: many where the server is at 127.0.0.0/8, all
/// of which are the machine's; else the one by which the way to the server leads.
///
/// # Errors
/// Where there is no way.
pub fn sources_towards(server: SocketAddr) -> Result<Vec<IpAddr>, FleetError> {
    if server.ip().is_loopback() && server.is_ipv4() {
        let hosts = (0..=u8::MAX).flat_map(|third| (1..u8::MAX).map(move |fourth| (third, fourth)));
        let addresses = hosts.map(|(third, fourth)| Ipv4Addr::new(127, 1, third, fourth).into());
        return Ok(addresses.collect());
    }
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let local = UdpSocket::bind(any)
        .and_then(|socket| socket.connect(server).and_then(|()| socket.local_addr()));
    let local = local.map_err(|error| FleetError::Route { server, error })?;
    Ok(vec![local.ip()])
}

/// Ports to bind, 0 being any that is free.
fn ports(range: Option<RangeInclusive<u16>>) -> Box<dyn Iterator<Item = u16>> {
    match range {
        Some(range) => Box::new(range),
        None => Box::new(std::iter::repeat(0)),
    }
}

fn start_loop(
    slots: Vec<Slot>,
    config: &FleetConfig,
    ports: &mut dyn Iterator<Item = u16>,
    clock: SystemClock,
    sink: &FleetSink,
) -> Result<Loop, FleetError> {
    let devices = slots.len();
    let sources = config.sources.clone();
    let sockets = Addresses::sockets_for(devices, sources.len());
    let failed = |error| FleetError::Sockets {
        sockets,
        devices,
        sources: config.sources.len(),
        error,
    };
    let is_ipv6 = sources.first().is_some_and(IpAddr::is_ipv6);
    let sockets = SharedSockets::bind(is_ipv6, sockets, ports).map_err(failed)?;
    let waker = sockets.waker().map_err(failed)?;
    let addresses = Addresses::new(sources, sockets.ports().len());
    let (sender, orders) = mpsc::channel();
    let shard = Shard::new(slots, sockets, addresses, clock, Arc::clone(sink), orders);
    let thread = std::thread::Builder::new()
        .name("devices".to_owned())
        .spawn(move || shard.run())
        .map_err(FleetError::Thread)?;
    Ok(Loop {
        orders: Some(sender),
        waker,
        thread: Some(thread),
        devices,
    })
}

/// A log is never half written: a panic elsewhere leaves it as it was.
fn lock(log: &Mutex<Vec<LogLine>>) -> MutexGuard<'_, Vec<LogLine>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_loopback_there_are_many_sources_and_elsewhere_the_one_that_leads_there() {
        let sources = sources_towards(([127, 0, 0, 1], 5683).into()).unwrap();
        assert_eq!(sources.len(), 256 * 254);
        assert!(sources.iter().all(IpAddr::is_loopback));
        let own = sources_towards(([0_u16, 0, 0, 0, 0, 0, 0, 1], 5683).into()).unwrap();
        assert_eq!(own, [IpAddr::from([0_u16, 0, 0, 0, 0, 0, 0, 1])]);
    }
}
