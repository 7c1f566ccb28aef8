//! Devices on real sockets, one task and one or two sockets each.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::device::{DeviceConfig, DeviceOutput, SimDevice, SocketKind};
use super::log::LogLine;
use crate::clock::{Instant, SystemClock};
use crate::net::{RECEIVE_BYTES, UdpEndpoint};

/// The longest sleep: a deadline further away is looked at again then.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Why a fleet could not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot open a socket for device {device}: {source}")]
pub struct FleetError {
    /// Which one.
    device: usize,
    /// Why not; each device needs one or two file descriptors.
    source: io::Error,
}

/// What a fleet's devices can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    CutPower { off: Duration },
    Speak,
    SendUplink,
}

/// Running devices. They end when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    log: Arc<Mutex<Vec<LogLine>>>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    tasks: JoinSet<io::Result<()>>,
}

impl Fleet {
    /// Starts one device for each configuration; what chance decides comes from `seed`.
    ///
    /// # Errors
    /// Where a socket cannot be had.
    pub fn start(
        configs: Vec<DeviceConfig>,
        clock: SystemClock,
        seed: u64,
    ) -> Result<Self, FleetError> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (mut tasks, mut orders) = (JoinSet::new(), Vec::new());
        for (device, config) in configs.into_iter().enumerate() {
            let failed = |source| FleetError { device, source };
            let sockets = Sockets::open().map_err(failed)?;
            let (sender, receiver) = mpsc::unbounded_channel();
            let server = config.server;
            let core = SimDevice::new(config, clock.now().instant, seed ^ device as u64);
            let log = Arc::clone(&log);
            let shell = Shell {
                device,
                core,
                server,
                sockets,
                log,
                clock,
                orders: receiver,
            };
            tasks.spawn(shell.run());
            orders.push(sender);
        }
        Ok(Self { log, orders, tasks })
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
        self.order(device, Order::CutPower { off });
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
    pub fn running(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len()
    }

    fn order(&self, device: usize, order: Order) {
        if let Some(orders) = self.orders.get(device) {
            // A device that has ended takes no more orders.
            let _ = orders.send(order);
        }
    }
}

#[derive(Debug)]
struct Sockets {
    main: UdpEndpoint,
    download: UdpEndpoint,
}

impl Sockets {
    fn open() -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            main: UdpEndpoint::bind(any)?,
            download: UdpEndpoint::bind(any)?,
        })
    }
}

#[derive(Debug)]
struct Shell {
    device: usize,
    core: SimDevice,
    server: SocketAddr,
    sockets: Sockets,
    log: Arc<Mutex<Vec<LogLine>>>,
    clock: SystemClock,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Shell {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let deadline = self.drain()?;
            let now = self.clock.now().instant;
            let until = deadline.unwrap_or(now + SLEEP_MAX).min(now + SLEEP_MAX);
            tokio::select! {
                readable = self.sockets.main.readable() => {
                    readable?;
                    self.receive(SocketKind::Main);
                }
                readable = self.sockets.download.readable() => {
                    readable?;
                    self.receive(SocketKind::Download);
                }
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(self.clock.deadline(until)) => {
                    self.core.handle_timeout(self.clock.now().instant);
                }
            }
        }
    }

    fn receive(&mut self, kind: SocketKind) {
        let socket = match kind {
            SocketKind::Main => &self.sockets.main,
            SocketKind::Download => &self.sockets.download,
        };
        let mut buffer = [0; RECEIVE_BYTES];
        // An error here is a spurious wake-up, or an ICMP answer to a server that is down.
        if let Ok((length, from)) = socket.try_receive(&mut buffer)
            && from == self.server
        {
            self.core
                .handle_datagram(self.clock.now().instant, kind, &buffer[..length]);
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.clock.now().instant;
        match order {
            Order::CutPower { off } => self.core.cut_power(now, off),
            Order::Speak => self.core.speak(now),
            Order::SendUplink => self.core.send_uplink(now),
        }
    }

    fn drain(&mut self) -> io::Result<Option<Instant>> {
        loop {
            match self.core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let socket = match socket {
                        SocketKind::Main => &self.sockets.main,
                        SocketKind::Download => &self.sockets.download,
                    };
                    // What cannot be sent is a lost datagram.
                    drop(socket.try_send(&datagram, self.server));
                }
                DeviceOutput::Rebind => self.sockets = Sockets::open()?,
                DeviceOutput::Log(event) => {
                    let mut log = lock(&self.log);
                    let at = self.clock.now().instant;
                    log.push(LogLine {
                        at,
                        device: self.device,
                        event,
                    });
                }
                DeviceOutput::Timeout(deadline) => return Ok(deadline),
            }
        }
    }
}

/// A log is never half written: a panic elsewhere leaves it as it was.
fn lock(log: &Mutex<Vec<LogLine>>) -> MutexGuard<'_, Vec<LogLine>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
