//! What a device is and how it behaves.

use std::net::SocketAddr;
use std::time::Duration;

use super::daily_uplink::DailyUplink;
use super::faults::Faults;
use super::signal::SignalDrift;
use crate::coap::{ContentFormat, TransmissionParameters};
use crate::model::{
    CellId, CoverageTier, RadioUnit, Rsrp, Sha256Digest, SignalReading, Sinr, SlotClaim,
    TierBorders, TransmissionPreset,
};

/// What the device's radio says of itself; `None`: 4.04.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Radio {
    /// `/4/0/8`.
    pub cell_id: Option<u32>,
    /// `/4/0/2`, in whatever unit the module has.
    pub rsrp: Option<i64>,
    /// `/4/0/11`.
    pub sinr: Option<i64>,
}

impl Radio {
    /// The tier of what it reports.
    pub fn tier(&self, borders: &TierBorders) -> CoverageTier {
        let rsrp = self.rsrp;
        let reading = SignalReading {
            rsrp: rsrp.and_then(|value| Rsrp::normalise(value, RadioUnit::Auto)),
            sinr: self.sinr.and_then(Sinr::normalise),
        };
        CoverageTier::of(reading, borders)
    }
}

/// What the device says of its battery and memory; `None`: 4.04.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `/3/0/9`.
    pub battery_percent: Option<u8>,
    /// `/3/0/20`.
    pub battery_status: Option<u8>,
    /// `/3/0/10`.
    pub free_kib: Option<u32>,
}

/// How an update ends on this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It runs the new version.
    #[default]
    Succeeds,
    /// The download ends in State 0 with this Update Result (2 to 7).
    DownloadFails(u8),
    /// The install ends in State 2 with this Update Result (8, or 11).
    InstallFails(u8),
    /// It boots into another version than the package says.
    WrongVersion,
}

/// How notifications go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotifyReliability {
    /// As LiteOS and XY send all of theirs.
    #[default]
    Confirmable,
    /// As many clients do.
    NonConfirmable,
}

/// Habits of real modules (carrier flows §3.2), off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Fetches the first block only when its State 1 notification was acknowledged; without that it
    /// ends with Result 8 (XY, LiteOS).
    pub waits_for_notification_ack: bool,
    /// Downloads from a socket of its own (CT).
    pub own_download_socket: bool,
    /// The first block request names no block size.
    pub first_request_without_block2: bool,
    /// Reboots before the answer to Execute leaves (CT).
    pub reboots_before_execute_answer: bool,
    /// After a reboot it notifies on the token that it had before (XY, LiteOS), and counts its
    /// notifications from the start. Without this it forgets what is observed.
    pub remembers_observation: bool,
    /// Reading `/5/0/5` after a failure returns the result once, then 8 (XY).
    pub result_reads_once: bool,
    /// Ignores a URI unless it is idle, but says 2.04 (CT).
    pub ignores_uri_unless_idle: bool,
    /// Answers in this format, whatever it was asked for.
    pub answers_in: Option<ContentFormat>,
    /// Finds every URI bad: it says 2.04, its Result becomes 7, and State stays 0.
    pub finds_uris_bad: bool,
    /// `/3/0/3` stays what it was at the start, whatever is installed.
    pub constant_version: bool,
    /// Comes back from another port after a reboot.
    pub new_port_after_reboot: bool,
    /// Keeps its blocks through reboots, and goes on where it stopped when it gets the same URI again.
    pub resumes: bool,
    /// Takes its package by `/5/0/0` alone, and says so in `/5/0/9`.
    pub takes_only_push: bool,
    /// Gives a download up when it is told to, by `/5/0/10` or by an empty URI.
    pub cancels: bool,
    /// Takes every observation, and never notifies.
    pub never_notifies: bool,
    /// Fetches from block 0 again when it had to ask for a block twice (sdk-nrf, issue 15892).
    pub restarts_after_retransmission: bool,
    /// Its radio sleeps after `awake`, whatever it waits for: PSM was left on for the update (seed 000).
    pub sleeps_while_waiting: bool,
    /// Goes on with an install that the power cut off when it boots (seed 000), and does not wait for
    /// another Execute.
    pub resumes_install: bool,
    /// Has one token for all that it asks.
    pub reuses_token: bool,
}

/// A download that goes on in smaller blocks (RFC 7959 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallerBlocks {
    /// How much it has by then, in bytes.
    pub after_bytes: usize,
    /// Block size exponent from there on.
    pub szx: u8,
}

/// One device.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// Its endpoint name, as it sends it.
    pub endpoint: String,
    /// Where its server is.
    pub server: SocketAddr,
    /// `lt`.
    pub lifetime: Duration,
    /// Registers with `b=UQ`, and hears nothing while it sleeps.
    pub queue_mode: bool,
    /// How long it listens after its last datagram in either direction, where it is in queue mode. It
    /// also listens while it waits for an answer.
    pub awake: Duration,
    /// The Register payload.
    pub links: String,
    /// `/3/0/0`.
    pub manufacturer: String,
    /// `/3/0/1`.
    pub model: String,
    /// `/3/0/3` at the start.
    pub version: String,
    /// The version of the image that it will be given.
    pub next_version: String,
    /// Fetches its image from the address in the URI. Without this, and where the URI has a name there,
    /// it fetches from its server, as LiteOS does.
    pub follows_uris: bool,
    /// The hash by which it checks an image, as the image's own trailer would say it: any other image
    /// ends the download with Result 5. `None`: it checks nothing.
    pub image_sha256: Option<Sha256Digest>,
    /// Its radio.
    pub radio: Radio,
    /// Its battery and memory.
    pub condition: Condition,
    /// Its user puts each installation off once, for so long, and it knows of Object 5 v1.1: it takes
    /// Severity and Maximum Defer Period.
    pub deferral: Option<Duration>,
    /// How an update ends.
    pub outcome: Outcome,
    /// Its habits.
    pub quirks: Quirks,
    /// How it notifies.
    pub notify: NotifyReliability,
    /// CoAP timing.
    pub transmission: TransmissionPreset,
    /// The timing that it has instead.
    pub timers: Option<TransmissionParameters>,
    /// Block size exponent that it asks for, 0 to 6.
    pub szx: u8,
    /// From where on in a download it asks for smaller blocks.
    pub smaller_blocks: Option<SmallerBlocks>,
    /// How often it asks for a block anew once all retransmissions went unanswered. Then it ends the
    /// download with Result 4.
    pub block_retries: u8,
    /// Time between two Registration Updates, give or take a tenth.
    pub update_interval: Duration,
    /// It prolongs its registration no later than this before it ends; `None`: it leaves that to its
    /// interval.
    pub update_before_expiry: Option<Duration>,
    /// How often it sends data of its own while it downloads.
    pub data_every: Option<Duration>,
    /// When it sends its Registration Updates instead, and switches on for the first time.
    pub daily_uplink: Option<DailyUplink>,
    /// First wait before it tries to register again.
    pub retry: Duration,
    /// It switches on not before this, from the run's begin.
    pub start_after: Duration,
    /// It switches on within this time from then on.
    pub start_spread: Duration,
    /// It hears what comes while it is quiet only at the end of each such cycle (eDRX, 3GPP TS 24.008
    /// §10.5.5.32); where it is not in queue mode.
    pub edrx_cycle: Option<Duration>,
    /// Its NAT forgets it when it has sent nothing for so long (RFC 4787 REQ-5): nothing reaches it any
    /// more, and it sends from another port.
    pub nat_timeout: Option<Duration>,
    /// How what its radio reports moves about what `radio` says.
    pub drift: Option<SignalDrift>,
    /// What goes wrong in its updates.
    pub faults: Faults,
    /// How long the install takes.
    pub install: Duration,
    /// How long it is off while it reboots.
    pub reboot: Duration,
}

impl DeviceConfig {
    /// The timing of its messages.
    pub(super) fn parameters(&self) -> TransmissionParameters {
        self.timers
            .unwrap_or_else(|| TransmissionParameters::from(self.transmission))
    }

    /// The class that its own radio puts it in.
    pub fn class(&self, borders: &TierBorders) -> SlotClaim {
        SlotClaim {
            cell: CellId(self.radio.cell_id.unwrap_or_default()),
            tier: self.radio.tier(borders),
        }
    }

    /// A well-behaved device of the kind that carriers' guides describe.
    pub fn new(endpoint: String, server: SocketAddr) -> Self {
        Self {
            endpoint,
            server,
            lifetime: Duration::from_secs(86_400),
            queue_mode: false,
            awake: Duration::from_secs(93),
            links: r#"</>;rt="oma.lwm2m",</1/0>,</3/0>,</4/0>,</5/0>,</19/0>,</19/1>"#.to_owned(),
            manufacturer: "Acme".to_owned(),
            model: "NB-1".to_owned(),
            version: "1.0.0".to_owned(),
            next_version: "2.0.0".to_owned(),
            follows_uris: false,
            image_sha256: None,
            radio: Radio {
                cell_id: Some(1),
                rsrp: Some(-90),
                sinr: Some(15),
            },
            condition: Condition::default(),
            deferral: None,
            outcome: Outcome::Succeeds,
            quirks: Quirks::default(),
            notify: NotifyReliability::default(),
            transmission: TransmissionPreset::NbIot,
            timers: None,
            szx: 5,
            smaller_blocks: None,
            block_retries: 0,
            update_interval: Duration::from_secs(3600),
            update_before_expiry: None,
            data_every: None,
            daily_uplink: None,
            retry: Duration::from_secs(2),
            start_after: Duration::ZERO,
            start_spread: Duration::ZERO,
            edrx_cycle: None,
            nat_timeout: None,
            drift: None,
            faults: Faults::default(),
            install: Duration::from_secs(10),
            reboot: Duration::from_secs(5),
        }
    }
}
