//! One server, its devices, the datagrams between them, and the only clock.

mod account;
mod admission;
mod air;
mod calendar;
mod campaigns;
mod chaos;
mod checks;
mod end;
mod features;
mod operators;
mod requests;
mod rooms;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::coap::MessageId;
use narrowcast::engine::{Command, EngineConfig};
use narrowcast::model::{
    AdmissionPolicy, AuditActor, AuditStamp, CampaignPolicy, DowngradeAllowed, FirmwareVersion,
    PackageId, TaskId, Transmit,
};
use narrowcast::net::Impairer;
use narrowcast::sim::log::{DeviceEvent, LogLine};
use narrowcast::sim::{DeviceConfig, DeviceOutput, Judge, SimDevice, SocketKind};
use narrowcast::store::Store;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::fleet;
use crate::link::{Link, percent};
use crate::server::{Crash, Outcome, Server, ready};
use crate::wire::SentRequest;

pub(crate) use calendar::ZONES;
pub(crate) use chaos::{Chaos, Fate, Fault, Trouble};
pub(crate) use checks::{Breach, Check, Since};
pub(crate) use features::Feature;
pub(crate) use operators::Deed;
pub(crate) use requests::{Ask, Errand, Requests};
pub(crate) use watch::{Order, Watch};

use air::Happening;

/// 2026-11-21, so that times in evidence look like times.
const EPOCH_UNIX_MS: i64 = 1_795_000_000_000;

/// How long any run may take, on its own clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// `/5/0/3`: the device has the package.
const DOWNLOADED: u8 = 2;

pub(crate) struct World {
    seed: u64,
    pub(crate) now: Now,
    /// How much of a millisecond has passed of which the clock on the wall does not tell.
    below_a_millisecond: Duration,
    pub(crate) server: Server,
    pub(crate) devices: Vec<Simulated>,
    pub(crate) image: Bytes,
    /// Which versions the package is for; empty: any.
    pub(crate) source_versions: Vec<FirmwareVersion>,
    /// The package's signed sequence.
    pub(crate) sequence: Option<u64>,
    /// Until when it may be installed.
    pub(crate) not_after: Option<Utc>,
    /// The version that it brings.
    pub(crate) target_version: FirmwareVersion,
    /// Who lets campaigns downgrade devices.
    pub(crate) downgrade: Option<DowngradeAllowed>,
    /// How campaigns made from here on want their devices admitted.
    pub(crate) admission: Option<AdmissionPolicy>,
    /// What else is wanted of campaigns made from here on.
    pub(crate) policy: CampaignPolicy,
    /// Whether devices may join campaigns made from here on.
    pub(crate) dynamic: bool,
    pub(crate) link: Link,
    /// Each device's own path, instead of `link`; or none at all.
    pub(crate) paths: Vec<Impairer>,
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
    /// Packages by the model that they are for.
    packages: BTreeMap<String, PackageId>,
    /// What is to go wrong, and what did.
    pub(crate) chaos: Chaos,
    /// Reads each device's log line as it is written.
    judge: Judge,
    judged: usize,
    /// Under which message ids each attempt's Execute left.
    executed: BTreeMap<(TaskId, u8), BTreeSet<MessageId>>,
    /// A check that fails is left to whoever runs this world.
    pub(crate) lenient: bool,
}

pub(crate) struct Simulated {
    pub(crate) core: SimDevice,
    pub(crate) config: DeviceConfig,
    pub(crate) main: SocketAddr,
    pub(crate) download: SocketAddr,
    /// When it was last in State 2.
    had_package: Option<Instant>,
    deadline: Option<Instant>,
    cuts_left: u32,
}

impl Drop for World {
    /// Says which run it was.
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("to repeat this run: NARROWCAST_SEED={}", self.seed);
            self.print();
        }
    }
}

impl World {
    /// A server that knows all these devices, and the devices, switched off until their time.
    pub(crate) fn new(seed: u64, config: EngineConfig, devices: Vec<DeviceConfig>) -> Self {
        Self::with_image(seed, config, devices, fleet::image(seed))
    }

    /// As [`Self::new`], with an image of one's own.
    pub(crate) fn with_image(
        seed: u64,
        config: EngineConfig,
        devices: Vec<DeviceConfig>,
        image: Bytes,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Now {
            instant: Instant::ORIGIN,
            utc: Utc::from_unix_ms(EPOCH_UNIX_MS),
        };
        let server = Server::new(config, StdRng::from_seed(rng.r#gen()));
        let at_rest = account::at_rest(&server.config);
        let mut world = Self {
            seed,
            now,
            below_a_millisecond: Duration::ZERO,
            judge: Judge::new(fleet::limits(&devices, &image, at_rest)),
            judged: 0,
            server,
            devices: Vec::new(),
            image,
            source_versions: Vec::new(),
            sequence: None,
            not_after: None,
            target_version: FirmwareVersion::parse(fleet::TARGET_VERSION).unwrap(),
            downgrade: None,
            admission: None,
            policy: CampaignPolicy::default(),
            dynamic: false,
            link: Link::clean(),
            paths: Vec::new(),
            crash_permille: 0,
            cut_percent: 0,
            cut_off: None,
            log: Vec::new(),
            requests: Vec::new(),
            rng,
            to_come: BTreeMap::new(),
            happenings: 0,
            packages: BTreeMap::new(),
            chaos: Chaos::default(),
            executed: BTreeMap::new(),
            lenient: false,
        };
        for config in devices {
            world.add_device(config);
        }
        let mut known: Vec<_> = world
            .devices
            .iter()
            .map(|device| fleet::known(&device.config, now.utc))
            .collect();
        // Several may have one name.
        known.sort_by(|one, other| one.endpoint.cmp(&other.endpoint));
        known.dedup_by(|one, other| one.endpoint == other.endpoint);
        let stamp = AuditStamp {
            at: now.utc,
            actor: AuditActor::server(),
        };
        ready(world.server.store.add_devices(known.clone(), stamp)).unwrap();
        let added = world.command(Command::AddDevices(known));
        assert_eq!(added, Outcome::Done(Ok(())));
        world
    }

    fn add_device(&mut self, config: DeviceConfig) {
        let seed = self.rng.r#gen();
        let index = u8::try_from(self.devices.len()).unwrap();
        let ip = Ipv4Addr::new(10, 0, 0, index + 1);
        let core = SimDevice::new(config.clone(), self.now.instant, seed);
        let endpoint = fleet::endpoint(&config);
        self.server.watch.knows(endpoint, usize::from(index));
        self.devices.push(Simulated {
            core,
            config,
            main: SocketAddr::from((ip, 40_000)),
            download: SocketAddr::from((ip, 40_001)),
            had_package: None,
            deadline: Some(self.now.instant),
            cuts_left: 3,
        });
    }

    /// Goes on to the next thing that happens, and lets it happen.
    pub(crate) fn step(&mut self) {
        let next = self.next();
        self.advance(next);
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
        if let Some(breach) = &self.server.breach {
            assert!(self.lenient, "{breach}");
        }
    }

    /// Time passes, on both clocks alike: what is less than a millisecond is not lost to the wall's.
    fn advance(&mut self, to: Instant) {
        let passed = to.saturating_since(self.now.instant) + self.below_a_millisecond;
        self.now.instant = to.max(self.now.instant);
        self.now.utc = self.now.utc + passed;
        self.below_a_millisecond =
            Duration::from_nanos(u64::from(passed.subsec_nanos()) % 1_000_000);
    }

    /// The server dies now, and another goes on from the store.
    pub(crate) fn restart(&mut self) {
        let crash = Some(Crash::AfterCommit);
        let (_, transmits) = self.server.handle(self.now, crash, |_| ());
        self.served(transmits);
    }

    /// What the server did with one input.
    fn served(&mut self, transmits: Vec<Transmit>) {
        self.check_server();
        self.send_all(transmits);
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
        self.advance(end.instant);
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
        let device = &mut self.devices[index];
        if device.core.update_state() == DOWNLOADED {
            device.had_package = Some(now);
        }
        act(&mut device.core, now);
        loop {
            match self.devices[index].core.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let device = &self.devices[index];
                    let from = match socket {
                        SocketKind::Main => device.main,
                        SocketKind::Download => device.download,
                    };
                    if self.cut_off != Some(index) {
                        self.uplink(index, from, datagram.to_vec());
                    }
                }
                DeviceOutput::Rebind => self.rebind(index),
                DeviceOutput::Log(event) => self.note(index, event),
                DeviceOutput::Timeout(deadline) => {
                    assert!(deadline.is_none_or(|at| at >= now), "device {index}");
                    self.devices[index].deadline = deadline;
                    if self.devices[index].core.update_state() == DOWNLOADED {
                        self.devices[index].had_package = Some(now);
                    }
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

    fn server_timeout(&mut self) {
        let (now, crash) = (self.now, self.crash());
        let rebuilds = self.server.rebuilds;
        let (_, transmits) = self
            .server
            .handle(now, crash, |engine| engine.handle_timeout(now));
        if self.server.rebuilds == rebuilds
            && self.server.deadline.is_some_and(|at| at <= now.instant)
        {
            self.breach(Check::Deadlines, "the server spins".to_owned());
        }
        self.served(transmits);
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
        self.afflict(device, &event);
        self.check_effect(device, &event);
        self.log.push(LogLine { at, device, event });
        self.check_devices();
        if of_consequence
            && self.devices[device].cuts_left > 0
            && percent(&mut self.rng, self.cut_percent)
        {
            self.devices[device].cuts_left -= 1;
            let delay = Duration::from_millis(self.rng.gen_range(0..12_000));
            let off = Duration::from_secs(self.rng.gen_range(1..120));
            let forgets = percent(&mut self.rng, self.chaos.forget_percent);
            self.after(delay, Happening::PowerCut(device, off, forgets));
        }
    }

    fn crash(&mut self) -> Option<Crash> {
        let dies = self.rng.gen_range(0..1000) < self.crash_permille;
        let before = self.rng.r#gen();
        if !dies {
            return None;
        }
        let (crash, fault) = if before {
            (Crash::BeforeCommit, Fault::DiesBeforeCommit)
        } else {
            (Crash::AfterCommit, Fault::DiesAfterCommit)
        };
        self.chaos.count(fault);
        Some(crash)
    }
}
