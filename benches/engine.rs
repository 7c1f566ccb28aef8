//! The engine without sockets and store: registrations in a small and in a large fleet, blocks to few
//! and to many devices at once, and one whole update with its device.

mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use narrowcast::coap::{BlockValue, Code, OptionNumber, Request};
use narrowcast::engine::Output;
use narrowcast::model::{
    CampaignId, CellId, CoverageTier, DownloadCapability, Peer, Phase, SlotClaim, TaskId,
    TaskState, TransmissionPreset, UpdateTask,
};
use narrowcast::sim::{DeviceConfig, DeviceOutput, SimDevice, SocketKind};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use world::{SERVER, World, endpoint, location, peer};

const FLEETS: [u32; 2] = [10_000, 1_000_000];
const DOWNLOADS: [u32; 3] = [100, 1_000, 10_000];
const IMAGE_BYTES: usize = 256 * 1024;
const SESSION_BYTES: usize = 64 * 1024;
/// 1024 bytes.
const SZX: u8 = 6;

/// Between two datagrams: some 1,000 a second.
const STEP: Duration = Duration::from_millis(1);

fn registrations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registration");
    for devices in FLEETS {
        let mut rng = StdRng::seed_from_u64(1);
        let mut world = World::new(devices);
        let mut locations = Vec::new();
        for number in 0..devices {
            let datagram = world.register(number);
            let outputs = world.hear(&peer(number), &datagram);
            locations.push(location(&outputs).expect("2.01"));
            world.pass(STEP);
        }
        // A datagram comes from outside: what it costs to make one, of a million places, is not the engine's.
        let world = RefCell::new(world);
        group.bench_function(BenchmarkId::new("update", devices), |bencher| {
            let datagram = || {
                let number = rng.gen_range(0..devices);
                let update = Request::new(Code::POST, &locations[number as usize]);
                (peer(number), world.borrow_mut().datagram(update))
            };
            bencher.iter_batched(datagram, |it| take(&world, it), BatchSize::SmallInput);
        });
        group.bench_function(BenchmarkId::new("register_again", devices), |bencher| {
            let datagram = || {
                let number = rng.gen_range(0..devices);
                (peer(number), world.borrow_mut().register(number))
            };
            bencher.iter_batched(datagram, |it| take(&world, it), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn take(world: &RefCell<World>, (peer, datagram): (Peer, Vec<u8>)) -> Vec<Output> {
    let mut world = world.borrow_mut();
    let outputs = world.hear(&peer, &datagram);
    world.pass(STEP);
    outputs
}

/// A task whose device has its URI, in a cell with room.
fn downloading(number: u32, world: &World) -> UpdateTask {
    let id = TaskId(u64::from(number) + 1);
    UpdateTask {
        state: TaskState::Running,
        phase: Phase::Downloading,
        attempt: 1,
        capability: Some(capability(number)),
        uri_intended: true,
        slot: Some(SlotClaim {
            cell: CellId(number / 50),
            tier: CoverageTier::Tier0,
        }),
        ..UpdateTask::new(id, CampaignId(1), endpoint(number), world.now().utc)
    }
}

fn capability(number: u32) -> DownloadCapability {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    DownloadCapability(bytes)
}

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Bytes(1024));
    let image = Bytes::from(vec![0x5a; IMAGE_BYTES]);
    for devices in DOWNLOADS {
        let mut world = World::new(devices);
        let tasks = (0..devices).map(|number| downloading(number, &world));
        let tasks = tasks.collect();
        world.run_campaign(tasks, image.clone());
        let mut turn = 0_u32;
        group.bench_function(BenchmarkId::new("1_kib", devices), |bencher| {
            bencher.iter(|| {
                let number = turn % devices;
                let block = turn / devices % (IMAGE_BYTES as u32 / 1024);
                let path = format!("/fw/{}", hex::encode(capability(number).0));
                let mut get = Request::new(Code::GET, &path);
                let value = BlockValue {
                    num: block,
                    more: false,
                    szx: SZX,
                };
                get.options.push(OptionNumber::BLOCK2, value.encode());
                let datagram = world.datagram(get);
                black_box(world.hear(&peer(number), &datagram));
                turn = turn.wrapping_add(1);
            });
        });
    }
    group.finish();
}

/// One device and the engine, and what is on its way between them: nothing is lost, nothing waits.
struct Session {
    world: World,
    device: SimDevice,
    port: u16,
    to_device: Vec<(SocketKind, Vec<u8>)>,
    sockets: BTreeMap<SocketAddr, SocketKind>,
}

impl Session {
    fn new() -> Self {
        let mut world = World::new(1);
        let task = UpdateTask::new(TaskId(1), CampaignId(1), endpoint(0), world.now().utc);
        world.run_campaign(vec![task], Bytes::from(vec![0x5a; SESSION_BYTES]));
        let config = DeviceConfig {
            transmission: TransmissionPreset::Loopback,
            szx: SZX,
            ..DeviceConfig::new(endpoint(0).as_str().to_owned(), SERVER)
        };
        let device = SimDevice::new(config, world.now().instant, 1);
        Self {
            world,
            device,
            port: 50_000,
            to_device: Vec::new(),
            sockets: BTreeMap::new(),
        }
    }

    fn address(&mut self, socket: SocketKind) -> SocketAddr {
        let port = self.port + u16::from(socket == SocketKind::Download);
        let address = SocketAddr::from(([10, 0, 0, 1], port));
        self.sockets.insert(address, socket);
        address
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            if let Output::Transmit(transmit) = output {
                let Peer::Address(address) = &transmit.peer else {
                    continue;
                };
                if let Some(&socket) = self.sockets.get(address) {
                    self.to_device.push((socket, transmit.datagram.to_vec()));
                }
            }
        }
    }

    /// From the device's first Register to its new version; answers the blocks served.
    fn run(mut self) -> u64 {
        while self.world.engine.counters().attempts_succeeded == 0 {
            self.device.handle_timeout(self.world.now().instant);
            self.exchange();
            let outputs = self.world.pass(Duration::from_millis(100));
            self.take(outputs);
            self.deliver();
        }
        self.world.engine.counters().blocks
    }

    /// Until neither has anything to say.
    fn exchange(&mut self) {
        loop {
            match self.device.poll_output() {
                DeviceOutput::Transmit { socket, datagram } => {
                    let from = Peer::Address(self.address(socket));
                    let outputs = self.world.hear(&from, &datagram.to_vec());
                    self.take(outputs);
                }
                DeviceOutput::Rebind => self.port += 2,
                DeviceOutput::Log(_) => {}
                DeviceOutput::Timeout(_) if self.to_device.is_empty() => return,
                DeviceOutput::Timeout(_) => self.deliver(),
            }
        }
    }

    fn deliver(&mut self) {
        for (socket, datagram) in std::mem::take(&mut self.to_device) {
            let now = self.world.now().instant;
            self.device.handle_datagram(now, socket, &datagram);
        }
    }
}

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Bytes(SESSION_BYTES as u64));
    assert_eq!(Session::new().run(), SESSION_BYTES as u64 / 1024);
    group.bench_function("64_kib_with_its_device", |bencher| {
        bencher.iter_batched(Session::new, Session::run, BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, registrations, blocks, session);
criterion_main!(benches);
