//! An engine with a campaign, and devices that a benchmark makes, on one virtual clock.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use narrowcast::clock::{Instant, Now, Utc};
use narrowcast::coap::{
    Code, ContentFormat, EndpointConfig, Message, MessageId, MessageType, OptionNumber, Request,
    Token,
};
use narrowcast::engine::{Command, EndedTasks, Engine, EngineConfig, Output};
use narrowcast::lwm2m::RegisterRateConfig;
use narrowcast::model::{
    Campaign, CampaignId, CampaignState, CampaignTargets, Component, Device, DeviceModel,
    DeviceType, EndpointName, FirmwareVersion, InstalledSequences, Manufacturer, Package,
    PackageFile, PackageId, PackageKind, Peer, ProductSettings, Provenance, ReleaseNotes,
    RetryPolicy, Sha256Digest, TransmissionPreset, UpdateTask,
};

/// What a module registers with that sends nothing by Object 19: a server that observes it waits for an
/// answer, and here nobody answers.
pub(crate) const LINKS: &str = r#"</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>,</4/0>,</5/0>"#;

/// Where the engine is, for devices that send to an address.
pub(crate) const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5683);

pub(crate) struct World {
    pub(crate) engine: Engine,
    now: Now,
    next_id: u16,
}

impl World {
    /// An engine that knows devices 0 to `devices`.
    pub(crate) fn new(devices: u32) -> Self {
        let config = EngineConfig {
            coap: EndpointConfig::default(),
            download_base: Some(format!("coap://{SERVER}/fw/")),
            product: ProductSettings {
                transmission: TransmissionPreset::Loopback,
                ..ProductSettings::default()
            },
            // A fleet of the size wanted registers again and again.
            register_rate: RegisterRateConfig {
                registers_max: u32::MAX,
                ..RegisterRateConfig::default()
            },
            ..EngineConfig::default()
        };
        let now = Now {
            instant: Instant::ORIGIN,
            utc: Utc::from_unix_ms(1_700_000_000_000),
        };
        let mut world = Self {
            engine: Engine::new(config, [7; 32]),
            now,
            next_id: 0,
        };
        let known = (0..devices).map(|number| device(number, now.utc)).collect();
        world.command(Command::AddDevices(known));
        world
    }

    pub(crate) const fn now(&self) -> Now {
        self.now
    }

    /// Lets time pass, and the engine's timers with it.
    pub(crate) fn pass(&mut self, duration: Duration) -> Vec<Output> {
        self.now = self.now + duration;
        self.engine.handle_timeout(self.now);
        self.drain()
    }

    pub(crate) fn command(&mut self, command: Command) -> Vec<Output> {
        let done = self.engine.handle_command(self.now, command);
        done.expect("the engine takes it");
        self.drain()
    }

    /// What the engine does upon a datagram.
    pub(crate) fn hear(&mut self, peer: &Peer, datagram: &[u8]) -> Vec<Output> {
        self.engine.handle_datagram(self.now, peer, datagram);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            let output = self.engine.poll_output();
            let last = matches!(output, Output::Timeout(_));
            outputs.push(output);
            if last {
                return outputs;
            }
        }
    }

    /// A confirmable message of its own number.
    pub(crate) fn datagram(&mut self, request: Request) -> Vec<u8> {
        self.next_id = self.next_id.wrapping_add(1);
        let message = Message {
            kind: MessageType::Confirmable,
            code: request.code,
            id: MessageId(self.next_id),
            token: Token::new(&self.next_id.to_be_bytes()).expect("a short token"),
            options: request.options,
            payload: request.payload,
        };
        message.encode().to_vec()
    }

    /// The Register of a device.
    pub(crate) fn register(&mut self, number: u32) -> Vec<u8> {
        let request = Request::new(Code::POST, "/rd")
            .with_query("lwm2m=1.0")
            .with_query(&format!("ep={}", endpoint(number).as_str()))
            .with_query("lt=86400")
            .with_query("b=UQ")
            .with_payload(ContentFormat::LINK_FORMAT, LINKS);
        self.datagram(request)
    }

    /// Runs a campaign of these tasks with an image of `image_bytes`.
    pub(crate) fn run_campaign(&mut self, tasks: Vec<UpdateTask>, image: Bytes) -> Vec<Output> {
        self.run_some(tasks, image, EndedTasks::default())
    }

    /// The same of a campaign that has others too.
    pub(crate) fn run_some(
        &mut self,
        tasks: Vec<UpdateTask>,
        image: Bytes,
        ended: EndedTasks,
    ) -> Vec<Output> {
        let command = Command::RunCampaign {
            campaign: campaign(self.now.utc),
            package: package(&image, self.now.utc),
            image,
            installed: InstalledSequences::default(),
            tasks,
            ended,
        };
        self.command(command)
    }
}

pub(crate) fn endpoint(number: u32) -> EndpointName {
    EndpointName::parse(&format!("{number:015}")).expect("a valid name")
}

pub(crate) fn peer(number: u32) -> Peer {
    let [_, a, b, c] = number.to_be_bytes();
    Peer::Address(SocketAddr::from(([10, a, b, c], 56_830)))
}

/// The location in an answer to a Register, `/rd/…`.
pub(crate) fn location(outputs: &[Output]) -> Option<String> {
    outputs.iter().find_map(|output| {
        let Output::Transmit(transmit) = output else {
            return None;
        };
        let answer = Message::decode(&transmit.datagram.to_vec(), 32).ok()?;
        let segments = answer.options.all(OptionNumber::LOCATION_PATH);
        let segments: Vec<_> = segments
            .map(|segment| String::from_utf8_lossy(segment).into_owned())
            .collect();
        (!segments.is_empty()).then(|| format!("/{}", segments.join("/")))
    })
}

fn device(number: u32, now: Utc) -> Device {
    Device {
        endpoint: endpoint(number),
        manufacturer: Some(Manufacturer::parse("Acme").expect("a name")),
        model: Some(DeviceModel::parse("NB-1").expect("a name")),
        device_type: Some(DeviceType::parse("WaterMeter").expect("a name")),
        tags: Vec::new(),
        created_at: now,
    }
}

fn campaign(now: Utc) -> Campaign {
    Campaign {
        id: CampaignId(1),
        name: "a benchmark".to_owned(),
        package: PackageId(1),
        targets: CampaignTargets::default(),
        retry: RetryPolicy::default(),
        downgrade: None,
        admission: None,
        policy: Default::default(),
        rollout: Default::default(),
        created_by: String::new(),
        state: CampaignState::Running,
        created_at: now,
        activated_at: Some(now),
        ended_at: None,
        consented_at: None,
        archived_at: None,
    }
}

pub(crate) fn package(image: &Bytes, now: Utc) -> Package {
    Package {
        id: PackageId(1),
        manufacturer: Manufacturer::parse("Acme").expect("a name"),
        model: DeviceModel::parse("NB-1").expect("a name"),
        device_type: DeviceType::parse("WaterMeter").expect("a name"),
        protocol: "LWM2M".to_owned(),
        target_version: FirmwareVersion::parse("2.0.0").expect("a version"),
        source_versions: Vec::new(),
        kind: PackageKind::Full,
        component: Component::Module,
        file: PackageFile {
            name: "app.bin".to_owned(),
            sha256: Sha256Digest([1; 32]),
            size_bytes: image.len() as u64,
        },
        more_files: Vec::new(),
        archive_sha256: Sha256Digest([2; 32]),
        provenance: Provenance::Signed {
            key_id: "00".repeat(32),
        },
        sequence: None,
        not_after: None,
        release_notes: ReleaseNotes::default(),
        uploaded_at: now,
    }
}
