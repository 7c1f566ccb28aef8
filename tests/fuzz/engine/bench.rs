//! The engine, its devices and the adversary on one virtual clock, and what must hold all along.

mod checks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::coap::{self, Code, Message, MessageId, MessageType};
use narrowcast::engine::{Command, EndedTasks, Engine, EngineConfig, EngineCounters, Output};
use narrowcast::lwm2m::{Path, path};
use narrowcast::model::{
    Campaign, CampaignId, CampaignState, CampaignTargets, FailureReason, InstalledSequences,
    KeyChange, Package, PackageId, Peer, Provenance, Record, RetryPolicy, TaskId, TaskState,
    Transmit, UpdateTask,
};
use narrowcast::sim::log::{DeviceEvent, LogLine};
use narrowcast::sim::{DeviceConfig, DeviceOutput, SimDevice, SocketKind};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::adversary::{self, Hostile, Origin};
use super::census::Census;
use super::fleet;
use super::known::Known;

const EPOCH_UNIX_MS: i64 = 1_795_000_000_000;
/// How long the honest campaign may take once the datagrams are over.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Datagrams that leave by one that comes.
const TRANSMITS_MAX: usize = 12;
/// RFC 9175 §2.4: what may be answered to one that has proved nothing, where three times as much as it
/// sent is less.
const UNPROVED_BYTES_MAX: usize = 136;

pub(crate) struct Bench {
    seed: u64,
    pub(crate) now: Now,
    pub(crate) known: Known,
    pub(crate) census: Census,
    config: EngineConfig,
    engine: Engine,
    deadline: Option<Instant>,
    devices: Vec<Simulated>,
    tasks: BTreeMap<TaskId, UpdateTask>,
    campaigns: u64,
    /// Campaigns whose key was revoked, and how many of their tasks were not final then.
    revoked: BTreeMap<CampaignId, usize>,
    image: Bytes,
    log: Vec<LogLine>,
    rng: StdRng,
    to_come: BTreeMap<(Instant, u64), Arrival>,
    arrivals: u64,
    /// Addresses of the adversary's under which somebody has registered.
    proved: BTreeSet<SocketAddr>,
    /// Bytes that strangers sent, and that went to them.
    strangers: (u64, u64),
    executes: BTreeSet<(SocketAddr, MessageId)>,
    /// The most that was held of each thing.
    peaks: BTreeMap<&'static str, usize>,
    last: Option<(u64, Hostile)>,
}

struct Simulated {
    core: SimDevice,
    config: DeviceConfig,
    is_captured: bool,
    main: SocketAddr,
    download: SocketAddr,
    deadline: Option<Instant>,
    boots: u32,
    registers: u32,
}

#[derive(Debug)]
enum Arrival {
    AtServer(SocketAddr, Vec<u8>),
    AtDevice(usize, SocketKind, Vec<u8>),
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("to repeat this run: NARROWCAST_SEED={}", self.seed);
            if let Some((number, last)) = &self.last {
                let bytes = hex::encode(&last.bytes);
                println!(
                    "after datagram {number}, {:?} from {}: {bytes}",
                    last.origin, last.from
                );
            }
        }
    }
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Now {
            instant: Instant::ORIGIN,
            utc: Utc::from_unix_ms(EPOCH_UNIX_MS),
        };
        let config = fleet::engine_config();
        let mut bench = Self {
            seed,
            now,
            known: Known {
                names: adversary::names(),
                ..Known::default()
            },
            census: Census::default(),
            engine: Engine::new(config.clone(), rng.r#gen()),
            config,
            deadline: None,
            devices: Vec::new(),
            tasks: BTreeMap::new(),
            campaigns: 0,
            revoked: BTreeMap::new(),
            image: fleet::image(seed),
            log: Vec::new(),
            rng,
            to_come: BTreeMap::new(),
            arrivals: 0,
            proved: BTreeSet::new(),
            strangers: (0, 0),
            executes: BTreeSet::new(),
            peaks: BTreeMap::new(),
            last: None,
        };
        let honest = (0..fleet::HONEST).map(fleet::honest);
        let captured = (0..fleet::CAPTURED).map(fleet::captured);
        let all: Vec<_> = honest.chain(captured).collect();
        let names = all.iter().map(|device| device.endpoint.clone());
        let entered = names.chain((0..fleet::SPARE).map(fleet::spare));
        let entered = entered.map(|name| fleet::entered(&name, now.utc)).collect();
        bench.command(Command::AddDevices(entered));
        for (index, config) in all.into_iter().enumerate() {
            bench.add_device(config, index >= fleet::HONEST);
        }
        bench
    }

    fn add_device(&mut self, config: DeviceConfig, is_captured: bool) {
        let index = u8::try_from(self.devices.len()).unwrap();
        let ip = Ipv4Addr::new(10, 0, 0, index + 1);
        self.devices.push(Simulated {
            core: SimDevice::new(config.clone(), self.now.instant, self.rng.r#gen()),
            config,
            is_captured,
            main: SocketAddr::from((ip, 40_000)),
            download: SocketAddr::from((ip, 40_001)),
            deadline: Some(self.now.instant),
            boots: 0,
            registers: 0,
        });
        self.tell_addresses();
    }

    /// Addresses are no secrets.
    fn tell_addresses(&mut self) {
        let of = |captured: bool| {
            let devices = self.devices.iter();
            devices
                .filter(|device| device.is_captured == captured)
                .flat_map(|device| [device.main, device.download])
                .collect()
        };
        (self.known.honest, self.known.captured) = (of(false), of(true));
    }

    pub(crate) fn campaign_for_honest(&mut self) -> CampaignId {
        self.campaign(0..fleet::HONEST, "2.0.0")
    }

    /// A campaign that never ends well: each version is one that no device boots into.
    pub(crate) fn campaign_for_captured(&mut self) {
        let version = format!("9.0.{}", self.campaigns);
        self.campaign(fleet::HONEST..self.devices.len(), &version);
    }

    /// The key of the newest campaign is revoked while it runs.
    pub(crate) fn revoke_newest(&mut self) {
        let id = CampaignId(self.campaigns);
        let unfinished = self.tasks_of(id).filter(|task| !task.state.is_final());
        let unfinished = unfinished.count();
        self.revoked.insert(id, unfinished);
        let change = KeyChange {
            at: self.now.utc,
            by: "key-admin".to_owned(),
            reason: "lost".to_owned(),
        };
        let id = key_of(id);
        self.command(Command::RevokeKey { id, change });
    }

    /// Of what a revoked key signed nothing waits to begin, and some of it was at work.
    pub(crate) fn check_revoked(&self) {
        let concerned: usize = self.revoked.values().sum();
        println!("{concerned} tasks of {} revoked keys", self.revoked.len());
        assert!(concerned > 0);
        for task in self.revoked.keys().flat_map(|id| self.tasks_of(*id)) {
            let reason = task.failure.as_ref().map(|failure| failure.reason);
            let is_stopped =
                task.state != TaskState::Stopped || reason == Some(FailureReason::KeyRevoked);
            assert!(task.state != TaskState::Pending && is_stopped, "{task:?}");
        }
    }

    fn campaign(&mut self, devices: std::ops::Range<usize>, version: &str) -> CampaignId {
        self.campaigns += 1;
        let id = CampaignId(self.campaigns);
        let utc = self.now.utc;
        let tasks = devices.map(|index| {
            let endpoint = fleet::endpoint(&self.devices[index].config.endpoint);
            UpdateTask::new(
                TaskId(self.campaigns * 1000 + index as u64),
                id,
                endpoint,
                utc,
            )
        });
        let tasks: Vec<_> = tasks.collect();
        for task in &tasks {
            self.tasks.insert(task.id, task.clone());
        }
        let campaign = Campaign {
            id,
            name: version.to_owned(),
            package: PackageId(self.campaigns),
            targets: CampaignTargets::default(),
            retry: RetryPolicy {
                retries_max: 5,
                delay: Duration::from_secs(60),
            },
            downgrade: None,
            admission: None,
            policy: Default::default(),
            rollout: Default::default(),
            created_by: String::new(),
            state: CampaignState::Draft,
            created_at: utc,
            activated_at: None,
            ended_at: None,
            consented_at: None,
            archived_at: None,
        };
        self.command(Command::RunCampaign {
            campaign,
            package: Package {
                provenance: Provenance::Signed { key_id: key_of(id) },
                ..fleet::package(&self.image, version, utc)
            },
            image: self.image.clone(),
            installed: InstalledSequences::default(),
            tasks,
            ended: EndedTasks::default(),
        });
        id
    }

    pub(crate) fn tasks_of(&self, id: CampaignId) -> impl Iterator<Item = &UpdateTask> {
        self.tasks.values().filter(move |task| task.campaign == id)
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command).unwrap();
        let transmits = self.drain();
        self.deliver(transmits, None);
    }

    /// One hostile datagram, now.
    pub(crate) fn attack(&mut self, number: u64, hostile: &Hostile) {
        self.last = Some((number, hostile.clone()));
        let limit = self.config.coap.datagram_bytes_max;
        self.census.sent(hostile, limit);
        let counters = |engine: &Engine| (*engine.coap_counters(), *engine.counters());
        let before = counters(&self.engine);
        let peer = Peer::Address(hostile.from);
        self.engine.handle_datagram(self.now, &peer, &hostile.bytes);
        let transmits = self.drain();
        let after = counters(&self.engine);
        self.census.counted(before, after);
        let served = after.1.blocks > before.1.blocks;
        // It had a name that may register, a location, or a live token.
        let proofs = |(coap, engine): (coap::Counters, EngineCounters)| {
            coap.notifications + engine.registers + engine.registration_updates
        };
        if proofs(after) > proofs(before) {
            self.proved.insert(hostile.from);
        }
        self.check_answers(hostile, &transmits, served);
        self.deliver(transmits, Some(hostile));
    }

    /// Takes what the engine wants done by one input.
    fn drain(&mut self) -> Vec<Transmit> {
        let (mut transmits, mut tasks) = (Vec::new(), BTreeMap::new());
        loop {
            match self.engine.poll_output() {
                // All records of one input are one commit: the last of a task is what stays.
                Output::Record(Record::Task(task)) => {
                    tasks.insert(task.id, task);
                }
                Output::Transmit(transmit) => transmits.push(transmit),
                Output::Record(_)
                | Output::Heard { .. }
                | Output::Flapping { .. }
                | Output::Progress(_)
                | Output::Download(_) => {}
                Output::Timeout(deadline) => {
                    let now = self.now.instant;
                    assert!(
                        deadline.is_none_or(|at| at >= now),
                        "{deadline:?} at {now:?}"
                    );
                    self.deadline = deadline;
                    tasks.into_values().for_each(|task| self.note(task));
                    return transmits;
                }
            }
        }
    }

    fn note(&mut self, task: UpdateTask) {
        let before = &self.tasks[&task.id];
        let may_follow = !before.state.is_final() || before.state == task.state;
        assert!(
            may_follow && before.attempt <= task.attempt,
            "{before:?} {task:?}"
        );
        // No attempt begins of what a revoked key signed.
        let may_begin = !self.revoked.contains_key(&task.campaign);
        assert!(
            may_begin || before.attempt == task.attempt,
            "{before:?} {task:?}"
        );
        self.tasks.insert(task.id, task);
    }

    /// Sends what the engine sent on its way; `cause` is the hostile datagram that it came of.
    fn deliver(&mut self, transmits: Vec<Transmit>, cause: Option<&Hostile>) {
        for transmit in transmits {
            let Peer::Address(to) = transmit.peer else {
                panic!("nobody has a secured session");
            };
            let bytes = transmit.datagram.to_vec();
            let message = Message::decode(&bytes, 32).unwrap();
            if is_execute(&message) {
                self.executes.insert((to, message.id));
            }
            let device = self.device_at(to);
            if device.is_none_or(|(index, _)| self.devices[index].is_captured) {
                self.known.read(to, message);
            }
            // The answers to what others sent in an honest device's name are lost on their way: it is
            // not the devices that are under test.
            let is_false = cause.is_some_and(|it| it.origin == Origin::Honest && it.from == to);
            if let Some((index, socket)) = device.filter(|_| !is_false) {
                self.fly(Arrival::AtDevice(index, socket, bytes));
            } else if device.is_none() && cause.is_none() {
                let is_proved = self.proved.contains(&to) || self.known.captured.contains(&to);
                assert!(is_proved || is_of_device(to), "{to} was spoken to unasked");
            }
        }
    }

    fn fly(&mut self, arrival: Arrival) {
        let delay = Duration::from_millis(self.rng.gen_range(50..300));
        self.arrivals += 1;
        let at = self.now.instant + delay;
        self.to_come.insert((at, self.arrivals), arrival);
    }

    fn device_at(&self, address: SocketAddr) -> Option<(usize, SocketKind)> {
        let IpAddr::V4(ip) = address.ip() else {
            return None;
        };
        let [10, 0, 0, host] = ip.octets() else {
            return None;
        };
        let index = usize::from(host).checked_sub(1)?;
        let device = self.devices.get(index)?;
        if device.main == address {
            Some((index, SocketKind::Main))
        } else {
            (device.download == address).then_some((index, SocketKind::Download))
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|next| *next <= end.instant) {
            self.step(next);
        }
        self.now = end;
    }

    pub(crate) fn run_until_final(&mut self, id: CampaignId) {
        let begun = self.now.instant;
        while !self.tasks_of(id).all(|task| task.state.is_final()) {
            let next = self.next().unwrap();
            self.step(next);
            assert!(self.now.instant.saturating_since(begun) < LONGEST);
        }
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.to_come.first_key_value().map(|((at, _), _)| *at);
        let devices = self.devices.iter().filter_map(|device| device.deadline);
        devices.chain(arrival).chain(self.deadline).min()
    }

    fn step(&mut self, next: Instant) {
        let passed = next.saturating_since(self.now.instant);
        self.now = self.now + passed;
        let arrival = self.to_come.first_entry();
        if let Some(arrival) = arrival.filter(|entry| entry.key().0 == next) {
            match arrival.remove() {
                Arrival::AtServer(from, bytes) => {
                    let peer = Peer::Address(from);
                    self.engine.handle_datagram(self.now, &peer, &bytes);
                    let transmits = self.drain();
                    self.deliver(transmits, None);
                }
                Arrival::AtDevice(index, socket, bytes) => {
                    self.device(index, |core, now| core.handle_datagram(now, socket, &bytes));
                }
            }
        } else if self.deadline == Some(next) {
            self.engine.handle_timeout(self.now);
            let transmits = self.drain();
            assert!(self.deadline.is_none_or(|at| at > next), "the engine spins");
            self.deliver(transmits, None);
        } else {
            for index in 0..self.devices.len() {
                if self.devices[index].deadline == Some(next) {
                    self.device(index, |core, now| core.handle_timeout(now));
                }
            }
        }
    }

    fn device(&mut self, index: usize, act: impl FnOnce(&mut SimDevice, Instant)) {
        let now = self.now.instant;
        act(&mut self.devices[index].core, now);
        loop {
            let device = &mut self.devices[index];
            match device.core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let from = match socket {
                        SocketKind::Main => device.main,
                        SocketKind::Download => device.download,
                    };
                    let bytes = datagram.to_vec();
                    if device.is_captured {
                        self.known.sent.push(bytes.clone());
                    }
                    self.fly(Arrival::AtServer(from, bytes));
                }
                DeviceOutput::Rebind => {
                    device.main.set_port(device.main.port() + 2);
                    device.download.set_port(device.download.port() + 2);
                    self.tell_addresses();
                }
                DeviceOutput::Log(event) => {
                    device.boots += u32::from(matches!(event, DeviceEvent::Booted { .. }));
                    device.registers += u32::from(event == DeviceEvent::Registered);
                    let at = now;
                    let device = index;
                    self.log.push(LogLine { at, device, event });
                }
                DeviceOutput::Timeout(deadline) => {
                    device.deadline = deadline;
                    return;
                }
            }
        }
    }

    /// Fills the list of devices to its limit.
    pub(crate) fn enter_late(&mut self) {
        let names = (0..fleet::LATE).map(|index| format!("late-{index}"));
        let entered = names.map(|name| fleet::entered(&name, self.now.utc));
        let command = Command::AddDevices(entered.collect());
        self.command(command);
    }
}

fn is_of_device(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V4(ip) if ip.octets()[..3] == [10, 0, 0])
}

fn is_execute(message: &Message) -> bool {
    let segments: Vec<_> = message
        .options
        .all(coap::OptionNumber::URI_PATH)
        .map(|segment| String::from_utf8_lossy(segment).into_owned())
        .collect();
    message.kind == MessageType::Confirmable
        && message.code == Code::POST
        && Path::parse(&format!("/{}", segments.join("/"))) == Some(path::FIRMWARE_UPDATE)
}

/// Each campaign's package has a key of its own.
fn key_of(id: CampaignId) -> String {
    format!("{:064x}", id.0)
}
