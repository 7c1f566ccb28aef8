//! A driver on loopback with a store in memory, one device in an update and one without.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use bytes::Bytes;
use tempfile::TempDir;

use super::super::*;
use crate::clock::{Now, Utc};
use crate::coap::{Code, ContentFormat, Message, MessageId, MessageType, Request, Token};
use crate::engine::EngineConfig;
use crate::http::{EngineHandle, engine_channel};
use crate::model::{
    AuditActor, AuditStamp, CampaignId, CampaignState, CampaignTargets, CellId, Component,
    CoverageTier, Device, DeviceModel, DeviceType, DownloadCapability, EndpointName,
    FirmwareVersion, Manufacturer, Package, PackageFile, PackageId, PackageKind, Phase,
    ProductSettings, Provenance, ReleaseNotes, RetryPolicy, Sha256Digest, SlotClaim, TaskState,
    TransmissionPreset, UpdateTask,
};
use crate::net::UdpEndpoint;
use crate::store::{BlobStore, MemoryStore, NewCampaign, Page};

/// Its download is under way, in [`Bench::campaign`].
pub(super) const UPDATING: &str = "meter-1";
/// No campaign is for it.
pub(super) const OTHER: &str = "meter-2";

/// What the updating device fetches.
pub(super) const BLOCK: &str = "/fw/07070707070707070707070707070707";
pub(super) const IMAGE_BYTES: usize = 4096;
const CAPABILITY: DownloadCapability = DownloadCapability([7; 16]);

/// How many turns of the runtime an answer may take that waits for no timer.
const TURNS_MAX: u32 = 3_000_000;

/// What a test holds beside the driver.
pub(super) struct Bench {
    pub(super) store: Arc<MemoryStore>,
    pub(super) live: Arc<LiveView>,
    pub(super) downloads: Arc<Downloads>,
    pub(super) engine: EngineHandle,
    pub(super) stop: watch::Sender<bool>,
    pub(super) campaign: CampaignId,
    pub(super) server: SocketAddr,
    _packages: TempDir,
}

impl Bench {
    /// A driver that does not run yet.
    pub(super) async fn new() -> (Driver, Self) {
        let clock = SystemClock::new();
        let packages = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(packages.path(), 1 << 20).unwrap();
        let store = Arc::new(MemoryStore::new());
        let campaign = fill(&store, &blobs, clock.now()).await;
        let udp = UdpEndpoint::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let server = udp.local_address();
        let rebuild = Rebuild {
            config: EngineConfig {
                download_base: Some(format!("coap://{server}/fw/")),
                product: ProductSettings {
                    transmission: TransmissionPreset::Loopback,
                    ..ProductSettings::default()
                },
                ..EngineConfig::default()
            },
            package_bytes: blobs,
        };
        let engine = rebuild.engine(&*store, clock.now()).await.unwrap();
        let live = Arc::new(LiveView::default());
        let downloads = Arc::<Downloads>::default();
        let (handle, requests) = engine_channel(16, Duration::from_secs(20));
        let (stop, shutdown) = watch::channel(false);
        let parts = DriverParts {
            rebuild,
            store: store.clone(),
            link: Link::new(Some(udp)),
            live: live.clone(),
            tiers: CurrentTiers::default(),
            downloads: downloads.clone(),
            requests,
            shutdown,
            clock,
            telemetry: Telemetry::default(),
            failpoint: Failpoint::default(),
        };
        let bench = Self {
            store,
            live,
            downloads,
            engine: handle,
            stop,
            campaign,
            server,
            _packages: packages,
        };
        (Driver::new(engine, parts), bench)
    }

    pub(super) fn peer(&self) -> CoapPeer {
        CoapPeer::new(self.server)
    }
}

/// By whom and when the campaign is made.
fn stamp(now: Now) -> AuditStamp {
    AuditStamp {
        at: now.utc,
        actor: AuditActor::server(),
    }
}

fn package_of(image: &Bytes, image_sha256: Sha256Digest, now: Now) -> Package {
    Package {
        id: PackageId(0),
        manufacturer: Manufacturer::parse("Acme").unwrap(),
        model: DeviceModel::parse("NB-1").unwrap(),
        device_type: DeviceType::parse("WaterMeter").unwrap(),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse("2.0.0").unwrap(),
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Module,
        file: PackageFile {
            name: "firmware.bin".to_owned(),
            sha256: image_sha256,
            size_bytes: image.len() as u64,
        },
        more_files: Vec::new(),
        archive_sha256: image_sha256,
        provenance: Provenance::Signed {
            key_id: "00".repeat(32),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: now.utc,
    }
}

/// Two known devices, and a running campaign that one of them downloads in.
async fn fill(store: &MemoryStore, blobs: &BlobStore, now: Now) -> CampaignId {
    let devices = [UPDATING, OTHER].map(|name| device(name, now.utc));
    store
        .add_devices(devices.to_vec(), stamp(now))
        .await
        .unwrap();
    let image = Bytes::from(vec![0xa5; IMAGE_BYTES]);
    let image_sha256 = blobs.put(&image).unwrap();
    let package = package_of(&image, image_sha256, now);
    let package = store.add_package(package, stamp(now)).await.unwrap();
    let campaign = NewCampaign {
        name: "a campaign".to_owned(),
        package,
        targets: CampaignTargets::default(),
        retry: RetryPolicy::default(),
        downgrade: None,
        admission: None,
        policy: Default::default(),
        phase_sizes: Vec::new(),
        created_at: now.utc,
    };
    let endpoints = vec![endpoint(UPDATING)];
    let id = store
        .create_campaign(campaign, endpoints, stamp(now))
        .await
        .unwrap();
    let page = Page {
        after: None,
        limit: 1,
    };
    let task = store.tasks(id, None, page).await.unwrap().remove(0);
    let records = vec![
        Record::Campaign {
            id,
            state: CampaignState::Running,
            at: now.utc,
        },
        Record::Task(UpdateTask {
            state: TaskState::Running,
            phase: Phase::Downloading,
            attempt: 1,
            capability: Some(CAPABILITY),
            uri_intended: true,
            slot: Some(SlotClaim {
                cell: CellId(1),
                tier: CoverageTier::Tier0,
            }),
            waiting_for: None,
            ..task
        }),
    ];
    store.commit(records).await.unwrap();
    id
}

pub(super) fn endpoint(name: &str) -> EndpointName {
    EndpointName::parse(name).unwrap()
}

fn device(name: &str, now: Utc) -> Device {
    Device {
        endpoint: endpoint(name),
        manufacturer: None,
        model: None,
        device_type: None,
        tags: Vec::new(),
        created_at: now,
    }
}

/// Gives the engine one datagram, as the driver does with one that is there.
pub(super) fn hear(driver: &mut Driver, from: &mut CoapPeer, request: Request) {
    let (peer, datagram) = (from.address(), from.datagram(request));
    let now = driver.parts.clock.now();
    driver.engine.handle_datagram(now, &peer, &datagram);
    driver.drain(None);
}

/// Waits for the commit that is under way.
pub(super) async fn end_commit(driver: &mut Driver) {
    while !driver.in_flight.as_ref().unwrap().commit.is_finished() {
        tokio::task::yield_now().await;
    }
    let Input::Committed(result) = driver.select().await else {
        panic!("a commit is done");
    };
    let (result, took) = result.unwrap();
    driver.handle_committed(result, took).await.unwrap();
}

/// The Register of a device with these links.
pub(super) fn register(name: &str, lifetime_seconds: u32, links: &'static str) -> Request {
    Request::new(Code::POST, "/rd")
        .with_query("lwm2m=1.0")
        .with_query(&format!("ep={name}"))
        .with_query(&format!("lt={lifetime_seconds}"))
        .with_payload(ContentFormat::LINK_FORMAT, links)
}

/// A socket that speaks CoAP by hand: it repeats nothing and acknowledges nothing.
pub(super) struct CoapPeer {
    socket: UdpSocket,
    next_id: u16,
}

impl CoapPeer {
    fn new(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, next_id: 1 }
    }

    pub(super) fn address(&self) -> Peer {
        Peer::Address(self.socket.local_addr().unwrap())
    }

    /// The request as a confirmable message of its own.
    pub(super) fn datagram(&mut self, request: Request) -> Vec<u8> {
        let message = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id: MessageId(self.next_id),
            token: Token::EMPTY,
            options: request.options,
            payload: request.payload,
        };
        self.next_id = self.next_id.wrapping_add(1);
        message.encode().to_vec()
    }

    pub(super) fn send(&mut self, request: Request) {
        let datagram = self.datagram(request);
        // Where a buffer is full it is lost, as on any network.
        let _ = self.socket.send(&datagram);
    }

    /// A datagram that is there.
    pub(super) fn received(&self) -> Option<Message> {
        let mut buffer = [0; RECEIVE_BYTES];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(Message::decode(&buffer[..length], 32).unwrap())
    }

    /// The next datagram. No time passes: what needs a timer never comes.
    pub(super) async fn next(&self) -> Message {
        for _ in 0..TURNS_MAX {
            if let Some(message) = self.received() {
                return message;
            }
            tokio::task::yield_now().await;
        }
        panic!("nothing came");
    }
}
