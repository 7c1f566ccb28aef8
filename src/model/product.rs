//! What differs from product to product. Where nothing is known of a product, the defaults hold.

use std::time::Duration;

use super::words::words;
use super::{DeviceModel, DeviceType, Manufacturer, SettingChanges, TierBorders};

words! {
    /// When the observation of `/5/0/3` is cancelled; both orders are in the seeds.
    pub enum ObservationCancel {
        /// After the result was read (seed 004, steps 14 to 16).
        AfterResult = "after_result",
        /// After the download, before Execute (seed 000, §3.4.1).
        AfterDownload = "after_download",
    }
}

words! {
    /// How long an update holds its slot (decisions, 5).
    pub enum SlotHeld {
        /// Until its result is known, or it is given up.
        UntilResult = "until_result",
        /// Until the device has the whole package: the limits are then of downloads alone.
        UntilDownloaded = "until_downloaded",
    }
}

words! {
    /// How a package gets to its device. Pull is the rule: the device sets the pace, and goes on where it
    /// stopped.
    pub enum Delivery {
        /// The device fetches it: its URI is written to `/5/0/1`.
        Pull = "pull",
        /// The package itself is written to `/5/0/0`.
        Push = "push",
        /// As the device says in `/5/0/9`: pushed only where it takes nothing else.
        Auto = "auto",
    }
}

words! {
    /// By which protocol a device that fetches its package does so.
    pub enum DownloadProtocol {
        /// From `coap://`, block by block (RFC 7959).
        Coap = "coap",
        /// From `http://`, on the device listener.
        Http = "http",
    }
}

words! {
    /// How a device is told to give a download up, when its task is stopped. Whatever this says, the
    /// package is withdrawn.
    pub enum UpdateCancel {
        /// Not at all, unless it names `/5/0/10` in its links.
        None = "none",
        /// Execute `/5/0/10` (Object 5 v1.1).
        Execute = "execute",
        /// An empty text to `/5/0/1`: some modules would fetch from nowhere (carrier flows §3.2, 14).
        EmptyUri = "empty_uri",
    }
}

words! {
    /// What a device that waits for a slot is sent, so that it listens on.
    pub enum WaitingPing {
        /// An Empty message, to which it answers a Reset (RFC 7252 §4.3).
        Empty = "empty",
        /// A Read of `/5/0/3`: for stacks that do not answer Empty messages.
        ReadState = "read_state",
    }
}

words! {
    /// The unit in which a module reports `/4/0/2`.
    pub enum RadioUnit {
        /// Told from the value's range.
        Auto = "auto",
        /// dBm.
        Dbm = "dbm",
        /// Tenths of a dBm.
        DeciDbm = "deci_dbm",
        /// CSQ 0 to 31, 99 unknown.
        Csq = "csq",
        /// 3GPP TS 36.133 index, −17 to 97.
        Ts36133 = "36133",
    }
}

words! {
    /// A named set of CoAP transmission parameters.
    pub enum TransmissionPreset {
        /// RFC 7252 §4.8: ACK_TIMEOUT 2 s.
        Rfc7252 = "rfc7252",
        /// ACK_TIMEOUT 10 s: an NB-IoT round trip takes seconds.
        NbIot = "nb_iot",
        /// ACK_TIMEOUT 200 ms: for tests and the demo, on loopback.
        Loopback = "loopback",
    }
}

/// A profile's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(pub u64);

/// A product as its profile describes it: what its devices have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its profile.
    pub profile: ProfileId,
    /// 设备类型.
    pub device_type: DeviceType,
    /// 厂商名称.
    pub manufacturer: Manufacturer,
    /// 型号.
    pub model: DeviceModel,
    /// 协议, as the profile spells it; empty where it does not say.
    pub protocol: String,
    /// The name of the quirk set that its settings rest on.
    pub quirks: Option<String>,
    /// Its own settings, before which those of the quirk set give way.
    pub changes: SettingChanges,
}

impl Product {
    /// Whether its devices speak LwM2M, and so are this server's.
    pub fn is_lwm2m(&self) -> bool {
        protocol_family(&self.protocol) == LWM2M
    }
}

/// The protocol family of LwM2M.
const LWM2M: &str = "LWM2M";

/// What a protocol's name comes to: `CoAP`, which is what the carriers' profiles say of a device of
/// LwM2M (seed 000), and `LWM2M`, which is what packages say (seed 004), are one. All else is itself.
pub fn protocol_family(protocol: &str) -> &str {
    if matches!(protocol, "CoAP" | LWM2M) {
        LWM2M
    } else {
        protocol
    }
}

/// How one product's devices want to be treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductSettings {
    /// CoAP timing towards it.
    pub transmission: TransmissionPreset,
    /// When the observation of the update's state ends.
    pub observation_cancel: ObservationCancel,
    /// How long a slot is held.
    pub slot_held: SlotHeld,
    /// How packages get to it.
    pub delivery: Delivery,
    /// By which protocol it fetches them.
    pub download: DownloadProtocol,
    /// How a download is cancelled.
    pub cancel: UpdateCancel,
    /// Whether `/5/0/5` may be observed too; reading or observing it resets some modules.
    pub observe_result: bool,
    /// Unit of `/4/0/2`.
    pub radio_unit: RadioUnit,
    /// The borders of the coverage tiers.
    pub tier_borders: TierBorders,
    /// `/3/0/3` is a constant on this product: Result 1 alone is a success.
    pub trust_result_only: bool,
    /// How long a queue-mode device listens after the last message.
    pub awake_time: Duration,
    /// What keeps it listening while it waits for a slot.
    pub waiting_ping: WaitingPing,
    /// How long the version, then the radio values, may take (carrier flows §3.4: 3 min each).
    pub read_timeout: Duration,
    /// How long a download may go without a block before it has stalled, whatever its pace (ours: 60 min,
    /// the carriers' figure for the whole download).
    pub download_stall_timeout: Duration,
    /// It has stalled sooner where no block came for so many times the usual time between its own.
    pub download_stall_multiple: u32,
    /// But no sooner than this.
    pub download_stall_floor: Duration,
    /// How long a download may take in all, however steadily it goes on.
    pub download_timeout_max: Duration,
    /// How long after Execute the outcome may take (30 min).
    pub result_timeout: Duration,
    /// How long to wait for the device to be in contact (24 h).
    pub contact_timeout: Duration,
    /// With no block for this long after the URI was accepted, State and Result are read once: a bad
    /// URI changes only the Result, and no notification comes.
    pub silence_before_result_read: Duration,
    /// How long a version that differs after the update may settle before it is read again (60 s).
    pub version_settle: Duration,
    /// A slot of a silent device is freed this long after its capability was withdrawn.
    pub quarantine: Duration,
    /// For how long what a device sent of itself (cell, signal, battery, free memory) is taken instead of
    /// reading it; zero: it is read.
    pub send_fresh_for: Duration,
}

impl Default for ProductSettings {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            transmission: TransmissionPreset::NbIot,
            observation_cancel: ObservationCancel::AfterResult,
            slot_held: SlotHeld::UntilResult,
            delivery: Delivery::Pull,
            download: DownloadProtocol::Coap,
            cancel: UpdateCancel::None,
            observe_result: false,
            radio_unit: RadioUnit::Auto,
            tier_borders: TierBorders::default(),
            trust_result_only: false,
            awake_time: Duration::from_secs(93),
            waiting_ping: WaitingPing::Empty,
            read_timeout: 3 * MINUTE,
            download_stall_timeout: 60 * MINUTE,
            download_stall_multiple: 10,
            download_stall_floor: 10 * MINUTE,
            download_timeout_max: 7 * 24 * 60 * MINUTE,
            result_timeout: 30 * MINUTE,
            contact_timeout: 24 * 60 * MINUTE,
            silence_before_result_read: MINUTE,
            version_settle: MINUTE,
            quarantine: 5 * MINUTE,
            send_fresh_for: 3 * MINUTE,
        }
    }
}
