//! One server, its devices, the datagrams between them, and the only clock.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::engine::{Command, CommandError, EngineConfig};
use narrowcast::model::{
    CampaignId, CampaignTargets, Failure, PackageId, Peer, RetryPolicy, SlotHeld, TaskState,
    TimelineEntry, TimelineStep, Transmit, UpdateTask,
};
use narrowcast::sim::log::{DeviceEvent, LogLine};
use narrowcast::sim::{AtRest, DeviceConfig, DeviceOutput, Judge, SimDevice, SocketKind, Verdict};
use narrowcast::store::{NewCampaign, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fleet;
use crate::link::{Link, percent};
use crate::server::{ALL, Crash, Outcome, Server, ready};
use crate::wire::SentRequest;

/// 2026-11-21, so that times in evidence look like times.
const EPOCH_UNIX_MS: i64 = 1_795_000_000_000;

/// How long any run may take, on its own clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(8 * 24 * 60 * 60);

pub(crate) struct World {
    seed: u64,
    pub(crate) now: Now,
    pub(crate) server: Server,
    pub(crate) devices: Vec<Simulated>,
    pub(crate) image: Bytes,
    pub(crate) link: Link,
    /// Of a thousand inputs of the server, in how many it dies.
    pub(crate) crash_permille: u32,
    /// Of a hundred moments of consequence on a device, after how many its power goes.
    pub(crate) cut_percent: u32,
    /// A device out of coverage: what it sends and is sent is lost.
    pub(crate) cut_off: Option<usize>,
    pub(crate) log: Vec<LogLine>,
    /// Each request that left the server, and for which device.
    pub(crate) requests: Vec<(Instant, usize, SentRequest)>,
    rng: StdRng,
    to_come: BTreeMap<(Instant, u64), Happening>,
    happenings: u64,
    package: Option<PackageId>,
}

pub(crate) struct Simulated {
    pub(crate) core: SimDevice,
    pub(crate) config: DeviceConfig,
    pub(crate) main: SocketAddr,
    pub(crate) download: SocketAddr,
    deadline: Option<Instant>,
    cuts_left: u32,
}

#[derive(Debug)]
enum Happening {
    ToServer(SocketAddr, Vec<u8>),
    ToDevice(SocketAddr, Vec<u8>),
    PowerCut(usize, Duration),
}

impl Drop for World {
    /// Says which run it was.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("to repeat this run: SEED={}", self.seed);
            for line in &self.log {
                println!("{line}");
            }
            for task in self.server.tasks.values() {
                println!("{task:?}");
            }
            self.print_timelines();
        }
    }
}

impl World {
    /// A server that knows all these devices, and the devices, switched off until their time.
    pub(crate) fn new(seed: u64, config: EngineConfig, devices: Vec<DeviceConfig>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Now {
            instant: Instant::ORIGIN,
            utc: Utc::from_unix_ms(EPOCH_UNIX_MS),
        };
        let server = Server::new(config, StdRng::from_seed(rng.r#gen()));
        let mut world = Self {
            seed,
            now,
            server,
            devices: Vec::new(),
            image: fleet::image(seed),
            link: Link::clean(),
            crash_permille: 0,
            cut_percent: 0,
            cut_off: None,
            log: Vec::new(),
            requests: Vec::new(),
            rng,
            to_come: BTreeMap::new(),
            happenings: 0,
            package: None,
        };
        for config in devices {
            world.add_device(config);
        }
        let known: Vec<_> = world
            .devices
            .iter()
            .map(|device| fleet::known(&device.config, now.utc))
            .collect();
        ready(world.server.store.add_devices(known.clone())).unwrap();
        let added = world.command(Command::AddDevices(known));
        assert_eq!(added, Outcome::Done(Ok(())));
        world
    }

    fn add_device(&mut self, config: DeviceConfig) {
        let seed = self.rng.r#gen();
        let index = u8::try_from(self.devices.len()).unwrap();
        let ip = Ipv4Addr::new(10, 0, 0, index + 1);
        let core = SimDevice::new(config.clone(), self.now.instant, seed);
        self.devices.push(Simulated {
            core,
            config,
            main: SocketAddr::from((ip, 40_000)),
            download: SocketAddr::from((ip, 40_001)),
            deadline: Some(self.now.instant),
            cuts_left: 3,
        });
    }

    /// Makes a campaign for some devices; it is a draft.
    pub(crate) fn draft(&mut self, devices: &[usize], retry: RetryPolicy) -> CampaignId {
        let package = *self.package.get_or_insert_with(|| {
            let package = fleet::package(&self.image, self.now.utc);
            let sha256 = package.image_sha256;
            self.server.images.insert(sha256, self.image.clone());
            ready(self.server.store.add_package(package)).unwrap()
        });
        let endpoints: Vec<_> = devices
            .iter()
            .map(|index| fleet::endpoint(&self.devices[*index].config))
            .collect();
        let campaign = NewCampaign {
            name: "a campaign".to_owned(),
            package,
            targets: CampaignTargets {
                groups: Vec::new(),
                devices: endpoints.clone(),
            },
            retry,
            created_at: self.now.utc,
        };
        let id = ready(self.server.store.create_campaign(campaign, endpoints)).unwrap();
        for task in ready(self.server.store.tasks(id, None, ALL)).unwrap() {
            self.server.tasks.insert(task.id, task);
        }
        id
    }

    /// Activates a draft, again and again while the server does not say whether it is.
    pub(crate) fn activate(&mut self, id: CampaignId) -> Result<(), CommandError> {
        loop {
            let command = self.server.run_command(id);
            if let Outcome::Done(result) = self.command(command) {
                return result;
            }
            let (campaign, _) = ready(self.server.store.campaign(id)).unwrap();
            if campaign.activated_at.is_some() {
                return Ok(());
            }
        }
    }

    /// A campaign for all devices, activated.
    pub(crate) fn campaign_for_all(&mut self, retry: RetryPolicy) -> CampaignId {
        let all: Vec<usize> = (0..self.devices.len()).collect();
        let id = self.draft(&all, retry);
        self.activate(id).unwrap();
        id
    }

    pub(crate) fn stop(&mut self, id: CampaignId) -> Outcome {
        self.command(Command::StopCampaign(id))
    }

    pub(crate) fn command(&mut self, command: Command) -> Outcome {
        let crash = self.crash();
        let (outcome, transmits) = self.server.command(self.now, crash, command);
        self.send_all(transmits);
        outcome
    }

    /// Goes on to the next thing that happens, and lets it happen.
    pub(crate) fn step(&mut self) {
        let next = self.next();
        let passed = next.saturating_since(self.now.instant);
        self.now = self.now + passed;
        if self.next_arrival() == Some(next) {
            let (_, happening) = self.to_come.pop_first().unwrap();
            self.happen(happening);
        } else if self.server.deadline == Some(next) {
            self.server_timeout();
        } else {
            for index in 0..self.devices.len() {
                if self.devices[index].deadline == Some(next) {
                    self.device(index, |core, now| core.handle_timeout(now));
                    let after = self.devices[index].deadline;
                    assert!(after.is_none_or(|at| at > next), "device {index} spins");
                }
            }
        }
    }

    /// The server dies now, and another goes on from the store.
    pub(crate) fn restart(&mut self) {
        let crash = Some(Crash::AfterCommit);
        let (_, transmits) = self.server.handle(self.now, crash, |_| ());
        self.send_all(transmits);
    }

    fn print_timelines(&self) {
        let epoch = Utc::from_unix_ms(EPOCH_UNIX_MS);
        for device in &self.devices {
            let endpoint = fleet::endpoint(&device.config);
            let timeline = ready(self.server.store.timeline(&endpoint, 500)).unwrap();
            for entry in timeline.iter().rev() {
                let at = entry.at.saturating_since(epoch);
                let (attempt, step) = (entry.attempt, entry.step);
                println!("{at:?} {endpoint} {attempt} {step} {}", entry.detail);
            }
        }
    }

    fn next(&self) -> Instant {
        let deadlines = self.devices.iter().map(|device| device.deadline);
        let next = deadlines.chain([self.next_arrival(), self.server.deadline]);
        let next = next.flatten().min();
        next.expect("devices always have something to do")
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.to_come.first_key_value().map(|((at, _), _)| *at)
    }

    /// Runs until `done`, which must come to pass.
    pub(crate) fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let begun = self.now.instant;
        while !done(self) {
            self.step();
            let took = self.now.instant.saturating_since(begun);
            assert!(took < LONGEST, "for {took:?}: {what}");
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next() <= end.instant {
            self.step();
        }
        self.now = end;
    }

    /// Runs until every task is final, no slot is in use and no campaign active.
    pub(crate) fn run_to_the_end(&mut self) {
        self.run_until("every task ends", |world| {
            let mut tasks = world.server.tasks.values();
            tasks.all(|task| task.state.is_final())
                && world.server.slots_in_use() == 0
                && world.server.active_campaigns() == 0
        });
        assert_eq!(self.server.engine.cells(None, 10), []);
    }

    /// A device's own doing, and what comes of it.
    pub(crate) fn device(&mut self, index: usize, act: impl FnOnce(&mut SimDevice, Instant)) {
        let now = self.now.instant;
        act(&mut self.devices[index].core, now);
        loop {
            match self.devices[index].core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let device = &self.devices[index];
                    let from = match socket {
                        SocketKind::Main => device.main,
                        SocketKind::Download => device.download,
                    };
                    if self.cut_off != Some(index) {
                        self.fly(|| Happening::ToServer(from, datagram.to_vec()));
                    }
                }
                DeviceOutput::Rebind => self.rebind(index),
                DeviceOutput::Log(event) => self.note(index, event),
                DeviceOutput::Timeout(deadline) => {
                    assert!(deadline.is_none_or(|at| at >= now), "device {index}");
                    self.devices[index].deadline = deadline;
                    return;
                }
            }
        }
    }

    /// New ports, as after a reboot or when the NAT forgets.
    pub(crate) fn rebind(&mut self, index: usize) {
        let device = &mut self.devices[index];
        device.main.set_port(device.main.port() + 2);
        device.download.set_port(device.download.port() + 2);
    }

    pub(crate) fn task(&self, id: CampaignId, device: usize) -> &UpdateTask {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        self.server.task_of(id, &endpoint)
    }

    pub(crate) fn failure(&self, id: CampaignId, device: usize) -> &Failure {
        let task = self.task(id, device);
        assert_eq!(task.state, TaskState::Failed, "{task:?}");
        task.failure.as_ref().unwrap()
    }

    /// How many tasks of a campaign are in this state.
    pub(crate) fn count(&self, id: CampaignId, state: TaskState) -> usize {
        let tasks = self.server.tasks.values();
        tasks
            .filter(|task| task.campaign == id && task.state == state)
            .count()
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict_with(match self.server.config.product.slot_held {
            SlotHeld::UntilResult => AtRest::Resting,
            SlotHeld::UntilDownloaded => AtRest::Done,
        })
    }

    pub(crate) fn verdict_with(&self, at_rest: AtRest) -> Verdict {
        let devices: Vec<_> = self.devices.iter().map(|it| it.config.clone()).collect();
        let mut judge = Judge::new(fleet::limits(&devices, &self.image, at_rest));
        for line in &self.log {
            judge.read(line);
        }
        judge.verdict()
    }

    /// The lines of a device's timeline for one step, oldest first.
    pub(crate) fn steps(&self, device: usize, step: TimelineStep) -> Vec<TimelineEntry> {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let mut timeline = ready(self.server.store.timeline(&endpoint, 500)).unwrap();
        timeline.retain(|entry| entry.step == step);
        timeline.reverse();
        timeline
    }

    /// Which Executes left for a device, each once however often it was repeated.
    pub(crate) fn executes(&self, device: usize) -> Vec<Instant> {
        let mut seen = Vec::new();
        let mut executes = Vec::new();
        for (at, to, request) in &self.requests {
            if *to == device && request.is_execute() && !seen.contains(&request.id) {
                seen.push(request.id);
                executes.push(*at);
            }
        }
        executes
    }

    fn happen(&mut self, happening: Happening) {
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

    fn server_timeout(&mut self) {
        let (now, crash) = (self.now, self.crash());
        let rebuilds = self.server.rebuilds;
        let (_, transmits) = self
            .server
            .handle(now, crash, |engine| engine.handle_timeout(now));
        assert!(
            self.server.rebuilds > rebuilds
                || self.server.deadline.is_none_or(|at| at > now.instant),
            "the server spins"
        );
        self.send_all(transmits);
    }

    fn send_all(&mut self, transmits: Vec<Transmit>) {
        for transmit in transmits {
            let Peer::Address(to) = transmit.peer else {
                panic!("nothing is secured here");
            };
            let datagram = transmit.datagram.to_vec();
            if let Some(request) = SentRequest::decode(&datagram)
                && let Some(index) = self.devices.iter().position(|it| it.main == to)
            {
                self.check_intent(index, request);
                self.requests.push((self.now.instant, index, request));
            }
            self.fly(|| Happening::ToDevice(to, datagram.clone()));
        }
    }

    /// What leaves was intended in what is committed: the URI with its slot, Execute with its attempt,
    /// and with a slot where it is held that long.
    fn check_intent(&self, device: usize, request: SentRequest) {
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

    fn fly(&mut self, arrival: impl Fn() -> Happening) {
        for delay in self.link.copies(&mut self.rng) {
            self.after(delay, arrival());
        }
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.happenings += 1;
        let at = self.now.instant + delay;
        self.to_come.insert((at, self.happenings), happening);
    }

    fn note(&mut self, device: usize, event: DeviceEvent) {
        let of_consequence = matches!(
            event,
            DeviceEvent::Registered
                | DeviceEvent::UriAccepted
                | DeviceEvent::Downloaded { .. }
                | DeviceEvent::ExecuteAccepted
                | DeviceEvent::UpdateEnded { .. }
        );
        let at = self.now.instant;
        self.log.push(LogLine { at, device, event });
        if of_consequence
            && self.devices[device].cuts_left > 0
            && percent(&mut self.rng, self.cut_percent)
        {
            self.devices[device].cuts_left -= 1;
            let delay = Duration::from_millis(self.rng.gen_range(0..12_000));
            let off = Duration::from_secs(self.rng.gen_range(1..120));
            self.after(delay, Happening::PowerCut(device, off));
        }
    }

    fn crash(&mut self) -> Option<Crash> {
        let dies = self.rng.gen_range(0..1000) < self.crash_permille;
        let before = self.rng.r#gen();
        dies.then_some(if before {
            Crash::BeforeCommit
        } else {
            Crash::AfterCommit
        })
    }
}
