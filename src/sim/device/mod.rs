//! One simulated device, sans-IO: it registers, keeps its registration up, answers for its objects and
//! updates its firmware.
//!
//! 1. Power on: register, with back-off until the server takes it.
//! 2. Registration updates at its interval; after each it stays awake for a while.
//! 3. `PUT /5/0/1`: State 1 and a notification, then block by block (`update.rs`), State 2.
//!    A device that takes only pushes gets its blocks by `PUT /5/0/0` (`push.rs`).
//! 4. `POST /5/0/2`: State 3, install, flash, reboot, register again with State 0 and Result 1.

mod busy;
mod config;
mod daily_uplink;
mod deferral;
mod faults;
mod install;
mod link;
mod objects;
mod own;
mod push;
mod radio_on;
mod registration;
mod signal;
mod timers;
mod token_reuse;
mod update;
mod uri;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

pub use config::{
    Condition, DeviceConfig, NotifyReliability, Outcome, Quirks, Radio, SmallerBlocks,
};
pub use daily_uplink::DailyUplink;
pub use faults::{Chance, Fault, Faults};
pub use signal::SignalDrift;
pub use timers::CoapTimers;

use crate::clock::Instant;
use crate::coap::{
    Endpoint, EndpointConfig, Event, Reliability, Request, RequestId, Response, Token,
};
use crate::lwm2m::{Links, Path};
use crate::model::{Datagram, Peer};

use super::log::DeviceEvent;
use update::Update;

/// Which of a device's sockets a datagram belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SocketKind {
    /// Registration and management.
    Main,
    /// A socket of its own for the download, as some modules have.
    Download,
}

/// What a device wants of its shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceOutput {
    /// A datagram to the socket's peer.
    Transmit {
        /// From which socket.
        socket: SocketKind,
        /// The datagram.
        datagram: Datagram,
    },
    /// To have new ports: it rebooted, or its NAT forgot it.
    Rebind,
    /// A line of its log.
    Log(DeviceEvent),
    /// Nothing is left to do before this instant.
    Timeout(Option<Instant>),
}

/// A message of ours that awaits its answer: each socket's endpoint numbers its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    socket: SocketKind,
    id: RequestId,
}

#[derive(Debug)]
enum Presence {
    /// No power until then.
    Off { until: Instant },
    /// Not registered; tries again then.
    Unregistered { retry_at: Instant, retries: u32 },
    /// A Register is under way.
    Registering { request: Sent, retries: u32 },
    /// Registered at this location; speaks again then.
    Registered {
        location: Vec<String>,
        update_at: Instant,
    },
}

/// One device.
#[derive(Debug)]
pub struct SimDevice {
    config: DeviceConfig,
    /// What stands before its paths, by its own links.
    alternate_path: String,
    /// Where its image is, which is not its server.
    image_host: Option<SocketAddr>,
    rng: StdRng,
    main: Endpoint,
    download: Endpoint,
    presence: Presence,
    registration_update: Option<Sent>,
    version: String,
    update: Update,
    awake_until: Instant,
    radio_on: radio_on::RadioOn,
    observers: BTreeMap<Path, Observer>,
    uplink_sequence: u32,
    own: own::Own,
    link: link::Link,
    signal: signal::Signal,
    misfortune: faults::Misfortune,
    /// When the meter sends data of its own.
    data_at: Option<Instant>,
    tokens: token_reuse::TokenReuse,
    outputs: VecDeque<DeviceOutput>,
}

#[derive(Clone, Copy, Debug)]
struct Observer {
    token: Token,
    sequence: u32,
}

/// A device that comes back then does not.
const NEVER: Instant = Instant::from_origin(Duration::MAX);

/// The most links that it reads of its own.
const LINKS_MAX: usize = 100;

impl SimDevice {
    /// A device that is switched on at `now`, and registers after up to `config.start_spread`, or at
    /// its time of day.
    pub fn new(config: DeviceConfig, now: Instant, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let start = now + config.start_after;
        let until = match config.daily_uplink {
            Some(daily) if config.start_after.is_zero() => daily.next(now, &mut rng),
            Some(_) | None => start + spread(&mut rng, config.start_spread),
        };
        Self {
            alternate_path: alternate_path(&config.links),
            main: endpoint(&config, &mut rng),
            download: endpoint(&config, &mut rng),
            version: config.version.clone(),
            update: Update::default(),
            awake_until: now,
            radio_on: radio_on::RadioOn::new(now),
            presence: Presence::Off { until },
            registration_update: None,
            observers: BTreeMap::new(),
            uplink_sequence: 0,
            own: own::Own::default(),
            link: link::Link::new(now),
            signal: signal::Signal::default(),
            misfortune: faults::Misfortune::default(),
            data_at: None,
            tokens: token_reuse::TokenReuse::default(),
            outputs: VecDeque::new(),
            image_host: None,
            rng,
            config,
        }
    }

    /// Takes a datagram from the socket's peer. Without power, or while it sleeps, it is lost.
    pub fn handle_datagram(&mut self, now: Instant, socket: SocketKind, datagram: &[u8]) {
        self.count_radio_on(now);
        if matches!(self.presence, Presence::Off { .. })
            || self.sleeps(now)
            || self.is_forgotten_by_nat(now)
            || self.waits_for_paging(now, socket, datagram)
        {
            return;
        }
        self.take_datagram(now, socket, datagram);
    }

    fn take_datagram(&mut self, now: Instant, socket: SocketKind, datagram: &[u8]) {
        self.awake_until = now + self.config.awake;
        let peer = Peer::Address(self.peer(socket));
        if self.config.quirks.reuses_token {
            let mut datagram = datagram.to_vec();
            self.tokens.received(socket, &mut datagram);
            self.endpoint(socket).handle_datagram(now, &peer, &datagram);
        } else {
            self.endpoint(socket).handle_datagram(now, &peer, datagram);
        }
        self.pump(now);
        self.watch_push(now);
    }

    /// Lets time pass to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.count_radio_on(now);
        self.hear_pages(now);
        self.main.handle_timeout(now);
        self.download.handle_timeout(now);
        match &self.presence {
            Presence::Off { until } if *until <= now => self.boot(now),
            Presence::Unregistered { retry_at, retries } if *retry_at <= now => {
                self.register(now, *retries);
            }
            Presence::Registered { update_at, .. } if *update_at <= now => {
                self.update_registration(now);
            }
            Presence::Off { .. }
            | Presence::Unregistered { .. }
            | Presence::Registering { .. }
            | Presence::Registered { .. } => {}
        }
        self.power_cut_timeout(now);
        self.data_timeout(now);
        self.update_timeout(now);
        self.pump(now);
        self.watch_push(now);
    }

    /// The next thing to do. Drain until [`DeviceOutput::Timeout`].
    pub fn poll_output(&mut self) -> DeviceOutput {
        self.outputs.pop_front().unwrap_or_else(|| {
            let own = match &self.presence {
                Presence::Off { until } => return DeviceOutput::Timeout(Some(*until)),
                Presence::Unregistered { retry_at, .. } => Some(*retry_at),
                Presence::Registering { .. } => None,
                Presence::Registered { update_at, .. } => Some(*update_at),
            };
            let deadlines = [
                own,
                self.main.poll_timeout(),
                self.download.poll_timeout(),
                self.update.deadline(),
                self.link.deadline(),
                self.misfortune.deadline(),
                self.data_deadline(),
            ];
            DeviceOutput::Timeout(deadlines.into_iter().flatten().min())
        })
    }

    /// The power goes without warning and comes back after `off`.
    pub fn cut_power(&mut self, now: Instant, off: Duration) {
        self.count_radio_on(now);
        self.log(DeviceEvent::PowerCut);
        self.keep_install(now);
        self.lose_power(now + off);
    }

    /// It is switched off for good, without a word.
    pub fn switch_off(&mut self, now: Instant) {
        self.count_radio_on(now);
        self.log(DeviceEvent::SwitchedOff);
        self.lose_power(NEVER);
    }

    /// The power goes as [`Self::cut_power`] says, and what was fetched is lost.
    pub fn lose_package(&mut self, now: Instant, off: Duration) {
        self.update = Update::default();
        self.cut_power(now, off);
    }

    /// Its battery and memory are so from now on.
    pub fn set_condition(&mut self, condition: Condition) {
        self.config.condition = condition;
    }

    /// Its updates end like this from now on.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.config.outcome = outcome;
    }

    /// Severity and Maximum Defer Period, as they were last written.
    pub fn deferral_told(&self) -> (Option<u32>, Option<u32>) {
        (self.update.severity, self.update.defer_period)
    }

    /// With whom a socket of it speaks: its server, or who has its image.
    pub fn peer(&self, socket: SocketKind) -> SocketAddr {
        match (socket, self.image_host) {
            (SocketKind::Download, Some(host)) => host,
            (SocketKind::Download | SocketKind::Main, _) => self.config.server,
        }
    }

    /// The version that it runs.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// `/5/0/3` as it is, whatever the server was told.
    pub fn update_state(&self) -> u8 {
        self.update.state()
    }

    /// How much it has of a package that is not whole yet, in bytes.
    pub fn fetched_bytes(&self) -> usize {
        self.update.fetched_bytes()
    }

    /// Whether the server has its registration.
    pub fn is_registered(&self) -> bool {
        matches!(self.presence, Presence::Registered { .. })
    }

    /// Speaks now: a Registration Update out of turn, as an uplink would be.
    pub fn speak(&mut self, now: Instant) {
        self.count_radio_on(now);
        if self.is_registered() {
            self.update_registration(now);
            self.pump(now);
        }
    }

    fn pump(&mut self, now: Instant) {
        for socket in [SocketKind::Main, SocketKind::Download] {
            while let Some(event) = self.endpoint(socket).poll_event() {
                self.handle_event(now, socket, event);
            }
        }
        for socket in [SocketKind::Main, SocketKind::Download] {
            while let Some(transmit) = self.endpoint(socket).poll_transmit() {
                let mut datagram = transmit.datagram;
                if self.config.quirks.reuses_token {
                    self.tokens.sent(socket, &mut datagram.head);
                }
                self.touch_nat(now);
                self.awake_until = now + self.config.awake;
                self.outputs
                    .push_back(DeviceOutput::Transmit { socket, datagram });
            }
        }
    }

    fn handle_event(&mut self, now: Instant, socket: SocketKind, event: Event) {
        match event {
            Event::Request {
                peer: _,
                reply_to,
                request,
            } => {
                let response = self.answer(now, &request, reply_to.token());
                // Some modules reboot before the answer to Execute leaves (carrier flows §3.2).
                if !self.reboots_unanswered() {
                    self.main.respond(now, &reply_to, response);
                }
                self.after_answer(now);
            }
            Event::Response {
                id,
                peer: _,
                response,
            } => self.handle_response(now, Sent { socket, id }, &response),
            Event::Delivered { id, peer: _ } => {
                self.notification_delivered(now, Sent { socket, id });
            }
            Event::TimedOut { id, .. } | Event::Reset { id, .. } | Event::Broken { id, .. } => {
                self.handle_lost(now, Sent { socket, id });
            }
            // It observes nothing, and what it sends fits in one block.
            Event::Notification { .. }
            | Event::NotificationBegun { .. }
            | Event::BlockTaken { .. } => {}
        }
    }

    fn handle_response(&mut self, now: Instant, answered: Sent, response: &Response) {
        match &self.presence {
            Presence::Registering { request, retries } if *request == answered => {
                let retries = *retries;
                self.handle_register_response(now, response, retries);
            }
            Presence::Registered { .. } if self.registration_update == Some(answered) => {
                self.registration_update = None;
                if !response.code.is_success() {
                    let code = response.code;
                    self.log(DeviceEvent::RegistrationRefused { code });
                    self.register(now, 0);
                }
            }
            Presence::Off { .. }
            | Presence::Unregistered { .. }
            | Presence::Registering { .. }
            | Presence::Registered { .. } => self.handle_block(now, answered, response),
        }
    }

    /// A message of ours was never answered, or was refused.
    fn handle_lost(&mut self, now: Instant, lost: Sent) {
        match &self.presence {
            Presence::Registering { request, retries } if *request == lost => {
                let retries = *retries;
                self.retry_registering(now, retries);
            }
            Presence::Registered { .. } if self.registration_update == Some(lost) => {
                self.registration_update = None;
                self.log(DeviceEvent::RegistrationUnanswered);
                self.register(now, 0);
            }
            Presence::Off { .. }
            | Presence::Unregistered { .. }
            | Presence::Registering { .. }
            | Presence::Registered { .. } => self.download_lost(now, lost),
        }
    }

    fn lose_power(&mut self, until: Instant) {
        self.main = endpoint(&self.config, &mut self.rng);
        self.download = endpoint(&self.config, &mut self.rng);
        self.presence = Presence::Off { until };
        self.registration_update = None;
        self.forget_volatile();
        self.link.forget();
        self.misfortune.power_was_lost();
        if self.config.quirks.new_port_after_reboot {
            self.outputs.push_back(DeviceOutput::Rebind);
        }
    }

    fn send(&mut self, now: Instant, socket: SocketKind, request: Request) -> Option<Sent> {
        let parameters = self.config.parameters();
        let peer = Peer::Address(self.peer(socket));
        self.endpoint(socket)
            .request(now, &peer, request, Reliability::Confirmable, &parameters)
            .ok()
            .map(|id| Sent { socket, id })
    }

    fn endpoint(&mut self, socket: SocketKind) -> &mut Endpoint {
        match socket {
            SocketKind::Main => &mut self.main,
            SocketKind::Download => &mut self.download,
        }
    }

    fn log(&mut self, event: DeviceEvent) {
        self.outputs.push_back(DeviceOutput::Log(event));
    }

    /// Plus or minus a tenth, so that a fleet does not move in step.
    fn jittered(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(self.rng.gen_range(0.9..1.1))
    }
}

fn alternate_path(links: &str) -> String {
    Links::parse(links, LINKS_MAX)
        .map(|links| links.alternate_path().to_owned())
        .unwrap_or_default()
}

fn spread(rng: &mut StdRng, over: Duration) -> Duration {
    over.mul_f64(rng.gen_range(0.0..1.0))
}

fn endpoint(config: &DeviceConfig, rng: &mut StdRng) -> Endpoint {
    let limits = EndpointConfig {
        parameters: config.parameters(),
        // It fetches its image by itself, block by block.
        block2_bodies_max: 0,
        block1_body_bytes_max: update::IMAGE_BYTES_MAX,
        // Modules answer their server as it asks.
        unproved_answer_bytes_max: usize::MAX,
        ..EndpointConfig::default()
    };
    Endpoint::new(limits, StdRng::seed_from_u64(rng.r#gen()))
}
