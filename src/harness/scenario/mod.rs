//! Scenarios: which devices there are, what is done with them, what happens meanwhile, and what is asked
//! of it all. A scenario is a TOML file of some thirty lines; what can be wrong with it is said with its
//! line and field before anything runs. Sans-IO.

mod check;
mod check_campaign;
mod check_events;
mod document;
mod error;
mod event;
mod expansion;
mod part;
mod path;
mod persona;
mod plan;
mod quantity;
mod signal;
mod sockets;
mod stage;
mod template;
mod uplink;

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

pub use document::{DevicePhase, Until};
pub use error::ScenarioError;
pub use event::{Happening, TimedEvent};
pub use expansion::{CellExpansion, Expansion};
pub use part::CellRange;
pub use persona::Persona;
pub use plan::{DevicePlace, PlannedDevice};
pub use template::Template;

use self::persona::Traits;
use self::signal::SignalMix;
use self::stage::Ramp;
use self::uplink::UplinkPattern;
use super::Threshold;
use crate::clock::Utc;
use crate::model::{
    AdmissionPolicy, CampaignPolicy, CellId, RetryPolicy, TierLimits, WaitingRoomPolicy,
};
use crate::net::Impairment;
use crate::sim::{Faults, OperationMode, SignalDrift};

/// Where the server is, for devices that are not told otherwise. Nothing is sent there (RFC 5737).
pub const SERVER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    5683,
);

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called in results.
    pub name: String,
    /// From which all chance comes, unless another seed is given.
    pub seed: u64,
    /// The most time that a run takes, on its own clock.
    pub duration: Duration,
    /// When a run is over.
    pub until: Until,
    /// What the clock on the wall says at the begin of a simulated run.
    pub start: Utc,
    /// How many times faster devices' own timers run on real sockets.
    pub speed: u16,
    /// Where a run on real sockets goes.
    pub target: TargetPlan,
    /// How the simulated server is set.
    pub server: ServerPlan,
    /// What devices are updated with; `None`: they only register.
    pub campaign: Option<CampaignPlan>,
    /// The cells, in order.
    pub cells: Vec<CellPlan>,
    /// What happens when, the first first.
    pub events: Vec<TimedEvent>,
    /// What is asked of it.
    pub thresholds: Vec<Threshold>,
    /// The file, as it was.
    pub text: String,
    device_count: usize,
    mixes: Vec<Mix>,
    ramp: Ramp,
}

/// `[target]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetPlan {
    /// The LwM2M server, `coap://127.0.0.1:5683`.
    pub url: Option<String>,
    /// Where devices are entered beforehand, `rest:http://127.0.0.1:8080`.
    pub provision: Option<String>,
}

/// `[server]`: the settings that a rehearsal varies, by default those of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPlan {
    /// Slots of each cell and tier.
    pub limits: TierLimits,
    /// Whom they count.
    pub admission: AdmissionPolicy,
    /// How many times its airtime a tier that waits lets pass to the others.
    pub stretch_max: u32,
    /// How many devices begin to fetch a minute; `None`: as many as cells bear.
    pub starts_per_minute_max: Option<u32>,
    /// Who is kept awake.
    pub waiting_room: WaitingRoomPolicy,
    /// How long a device may stay unheard before its task fails.
    pub contact_timeout: Duration,
}

/// `[campaign]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignPlan {
    /// The firmware's size in bytes.
    pub image_bytes: usize,
    /// When it is activated.
    pub at: Duration,
    /// When a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// Whom its limits count; `None`: as the server.
    pub admission: Option<AdmissionPolicy>,
    /// Windows, phases and the rest.
    pub policy: CampaignPolicy,
    /// How often an operator tries failed tasks again; `None`: never.
    pub retry_failed_every: Option<Duration>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellPlan {
    /// `/4/0/8`.
    pub id: CellId,
    /// The part of the downlink that is there for the server's traffic, in per cent.
    pub fota_share_percent: NonZeroU8,
    /// Where its carrier is.
    pub operation_mode: OperationMode,
    radio: Option<SignalMix>,
}

/// One kind of device.
#[derive(Clone, Debug)]
struct Mix {
    name: String,
    weight: u32,
    radio: SignalMix,
    drift: Option<SignalDrift>,
    uplink: UplinkPattern,
    impairment: Option<Arc<Impairment>>,
    faults: Faults,
    traits: Traits,
}

impl Scenario {
    /// The most devices.
    pub const DEVICES_MAX: usize = 1_000_000;

    /// Reads a scenario.
    ///
    /// # Errors
    /// The first fault, with its line and field, and what would be right.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        check::scenario(text)
    }

    /// How many devices there are.
    pub const fn device_count(&self) -> usize {
        self.device_count
    }

    /// The same with another number of devices, from 1 to [`Self::DEVICES_MAX`]: of each mix and cell the
    /// same part, switched on at the same rate, or in the same stages.
    #[must_use]
    pub fn with_devices(&self, count: usize) -> Self {
        let count = count.clamp(1, Self::DEVICES_MAX);
        Self {
            ramp: self.ramp.with_devices(self.device_count, count),
            device_count: count,
            ..self.clone()
        }
    }

    /// What the kinds of devices are called, in order.
    pub fn mix_names(&self) -> impl Iterator<Item = &str> {
        self.mixes.iter().map(|mix| mix.name.as_str())
    }

    /// The products of its devices: manufacturer, model, and the server's quirk set for it, each once.
    pub fn products(&self) -> Vec<Product> {
        let mut products: Vec<Product> = Vec::new();
        for mix in &self.mixes {
            let product = mix.product();
            let is_there = |it: &Product| {
                (&it.manufacturer, &it.model) == (&product.manufacturer, &product.model)
            };
            if !products.iter().any(is_there) {
                products.push(product);
            }
        }
        products
    }

    /// All devices, by their number. The same seed gives the same devices, and each is what it is
    /// whatever the others are and however many.
    pub fn devices(&self, seed: u64) -> impl Iterator<Item = PlannedDevice> {
        (0..self.device_count).map(move |index| self.device(seed, index))
    }
}

/// What devices of one make are to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// `/3/0/0`.
    pub manufacturer: String,
    /// `/3/0/1`.
    pub model: String,
    /// The quirk set that its profile names.
    pub quirks: Option<String>,
}

impl Mix {
    fn product(&self) -> Product {
        let or = |text: &Option<String>, default: &str| {
            text.clone().unwrap_or_else(|| default.to_owned())
        };
        Product {
            manufacturer: or(&self.traits.manufacturer, plan::MANUFACTURER),
            model: or(&self.traits.model, plan::MODEL),
            quirks: self.traits.server_quirks.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
