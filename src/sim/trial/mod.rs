//! A campaign over a fleet in cells, from a handful of figures, and what came of it.

mod operator;
mod report;

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use sha2::{Digest, Sha256};

pub use report::Report;

use super::air::CeLevel;
use super::air::{Carrier, OperationMode};
use super::device::{DailyUplink, DeviceConfig, Quirks};
use super::judge::{AtRest, Limits};
use super::network::{Network, NetworkDevice};
use crate::clock::{Instant, Now, Utc};
use crate::coap::TransmissionParameters;
use crate::engine::{Command, CommandError, EngineConfig};
use crate::model::{
    AdmissionPolicy, CampaignPolicy, CellId, EndpointName, InvalidName, ProductSettings,
    RetryPolicy, Sha256Digest, SlotHeld, TierBorders, TierLimits, TransmissionPreset,
    WaitingRoomPolicy,
};
use operator::Operator;

/// Midnight, 2026-11-22 in UTC: days of the wall's clock and of the run's begin together.
const EPOCH_UNIX_MS: i64 = 1_795_305_600_000;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the server is, for devices. Nothing is sent there.
const SERVER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    5683,
);

/// Objects of a module that sends no data of its own by Object 19.
const LINKS: &str = r#"</>;rt="oma.lwm2m";ct=11543,</1/0>,</3/0>,</4/0>,</5/0>"#;

/// When devices speak of their own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UplinkPattern {
    /// Once a day, each at a time of its own anywhere in the day.
    Uniform24h,
    /// Once a day, all between these times of day.
    Burst {
        /// The first.
        from: Duration,
        /// The last.
        to: Duration,
    },
    /// They never sleep, and speak each hour.
    AlwaysAwake,
}

/// How many of a thousand devices of a cell are of each coverage level; the rest is CE2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// CE0.
    pub ce0_permille: usize,
    /// CE1.
    pub ce1_permille: usize,
}

impl Mix {
    /// 80 %, 15 %, 5 %. Assumption: how many meters have which coverage was published nowhere.
    pub const TYPICAL: Self = Self {
        ce0_permille: 800,
        ce1_permille: 150,
    };

    const fn level(self, rank: usize, of: usize) -> CeLevel {
        let permille = rank * 1000 / of;
        if permille < self.ce0_permille {
            CeLevel::Ce0
        } else if permille < self.ce0_permille + self.ce1_permille {
            CeLevel::Ce1
        } else {
            CeLevel::Ce2
        }
    }
}

/// Why a trial did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// A device, or the package, would have a name that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The engine refused the campaign.
    #[error(transparent)]
    Refused(#[from] CommandError),
}

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After so many days, whatever has come of the campaign.
    AfterDays(u32),
    /// Once every device is updated, or after so many days.
    WhenAllAreUpdated {
        /// The most days.
        days_max: u32,
    },
}

/// A fleet, a campaign, and how it is run.
#[derive(Clone, Debug)]
pub struct Trial {
    /// From which all chance comes.
    pub seed: u64,
    /// How many devices.
    pub devices: usize,
    /// In how many cells, in turn; at least 1.
    pub cells: usize,
    /// Their coverage.
    pub mix: Mix,
    /// The package's length in bytes.
    pub image_bytes: usize,
    /// When devices speak.
    pub uplink: UplinkPattern,
    /// How long a device listens after the last message.
    pub awake: Duration,
    /// ACK_TIMEOUT of devices.
    pub ack_timeout: Duration,
    /// From Execute to the end of the install.
    pub install: Duration,
    /// How long the reboot takes.
    pub reboot: Duration,
    /// How much of the downlink is there for the server's traffic, in per cent.
    pub downlink_share_percent: NonZeroU8,
    /// Slots per cell and tier.
    pub limits: TierLimits,
    /// Whom the limits count.
    pub admission: AdmissionPolicy,
    /// Where tiers stand in each other's way: how many times what one takes the others are given before
    /// it comes first.
    pub stretch_max: u32,
    /// When a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// What else is wanted of the campaign.
    pub policy: CampaignPolicy,
    /// When the run is over.
    pub stop: Stop,
}

impl Trial {
    /// Four hours, for all who wait.
    pub const FOUR_HOURS: WaitingRoomPolicy = WaitingRoomPolicy {
        hold_seconds_max: 4 * 3600,
        pings_max: WaitingRoomPolicy::PINGS_MAX,
        places_per_cell: WaitingRoomPolicy::PLACES_MAX,
    };

    /// One cell with 800, 150 and 50 devices of CE0, CE1 and CE2, which report between 8 and 9 h, and a
    /// package of 100 KB for them.
    pub fn burst(seed: u64) -> Self {
        Self {
            seed,
            devices: 1000,
            cells: 1,
            mix: Mix::TYPICAL,
            image_bytes: 100 * 1000,
            uplink: UplinkPattern::Burst {
                from: 8 * HOUR,
                to: 9 * HOUR,
            },
            awake: Duration::from_secs(93),
            ack_timeout: Duration::from_secs(15),
            install: Duration::from_secs(110),
            reboot: Duration::from_secs(10),
            downlink_share_percent: NonZeroU8::MIN.saturating_add(69),
            limits: TierLimits::default(),
            admission: AdmissionPolicy::default(),
            stretch_max: EngineConfig::default().stretch_max,
            retry: RetryPolicy {
                retries_max: RetryPolicy::RETRIES_MAX,
                ..RetryPolicy::default()
            },
            policy: CampaignPolicy {
                waiting_room: Some(WaitingRoomPolicy::OFF),
                ..CampaignPolicy::default()
            },
            stop: Stop::WhenAllAreUpdated { days_max: 60 },
        }
    }

    /// Fifty devices to a cell, of typical coverage, with one uplink a day each at its own time, 64 KiB
    /// for them, and thirty days.
    pub fn thirty_days(seed: u64, devices: usize) -> Self {
        Self {
            devices,
            cells: (devices / 50).max(1),
            image_bytes: 64 * 1024,
            uplink: UplinkPattern::Uniform24h,
            stop: Stop::AfterDays(30),
            ..Self::burst(seed)
        }
    }

    /// The same where devices that wait for a slot are kept awake.
    #[must_use]
    pub fn with_waiting_room(mut self, room: WaitingRoomPolicy) -> Self {
        self.policy.waiting_room = Some(room);
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// Where the engine refuses the campaign.
    pub fn run(&self) -> Result<Report, TrialError> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut image = vec![0; self.image_bytes];
        rng.fill_bytes(&mut image);
        let image = Bytes::from(image);
        let sha256 = Sha256Digest(Sha256::digest(&image).into());
        let devices = self.fleet(&mut rng);
        let borders = TierBorders::default();
        let limits = Limits {
            tiers: self.limits,
            image: sha256,
            at_rest: match self.slot_held() {
                SlotHeld::UntilResult => AtRest::Resting,
                SlotHeld::UntilDownloaded => AtRest::Done,
            },
            classes: devices
                .iter()
                .map(|device| device.config.class(&borders))
                .collect(),
        };
        let now = Now {
            instant: Instant::ORIGIN,
            utc: Utc::from_unix_ms(EPOCH_UNIX_MS),
        };
        let names = (0..self.devices).map(|index| EndpointName::parse(&name(index)));
        let names: Vec<_> = names.collect::<Result<_, _>>()?;
        let carrier = Carrier {
            operation_mode: OperationMode::Standalone,
            downlink_share_percent: self.downlink_share_percent,
        };
        let config = self.engine();
        let seed = rng.r#gen();
        let mut network = Network::new((config, None), devices, limits, |_| carrier, now, seed);
        let operator = Operator::new(self, now.utc, image, sha256)?;
        network.command(Command::AddDevices(operator::known(&names, now.utc)?))?;
        network.command(operator.start(names))?;
        self.days(&mut network, &operator)?;
        Ok(Report::of(&network, self))
    }

    /// At each midnight the operator has what has failed tried again.
    fn days(&self, network: &mut Network, operator: &Operator) -> Result<(), TrialError> {
        let (days, to_the_end) = match self.stop {
            Stop::AfterDays(days) => (days, true),
            Stop::WhenAllAreUpdated { days_max } => (days_max, false),
        };
        for day in 1..=days {
            let midnight = Instant::from_origin(DAY * day);
            while network.step(midnight) {
                if !to_the_end && network.account().succeeded().len() == self.devices {
                    return Ok(());
                }
            }
            for command in operator.again(network.account()) {
                match network.command(command) {
                    // What fails at this moment is not over for the engine yet: it comes tomorrow.
                    Ok(()) | Err(CommandError::NothingToRetry | CommandError::NotBarred) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn slot_held(&self) -> SlotHeld {
        match self.admission.airtime {
            Some(_) => SlotHeld::UntilDownloaded,
            None => ProductSettings::default().slot_held,
        }
    }

    fn engine(&self) -> EngineConfig {
        EngineConfig {
            product: ProductSettings {
                awake_time: self.awake,
                // One that speaks once a day is not missed after a day.
                contact_timeout: 2 * DAY,
                ..ProductSettings::default()
            },
            tier_limits: self.limits,
            admission: self.admission,
            stretch_max: self.stretch_max,
            download_base: Some(format!("coap://{SERVER}/fw/")),
            ..EngineConfig::default()
        }
    }

    fn fleet(&self, rng: &mut StdRng) -> Vec<NetworkDevice> {
        let cells = self.cells.max(1);
        let per_cell = self.devices.div_ceil(cells);
        (0..self.devices)
            .map(|index| {
                let level = self.mix.level(index / cells, per_cell);
                let cell = u32::try_from(index % cells + 1).unwrap_or(u32::MAX);
                let daily_uplink = match self.uplink {
                    UplinkPattern::AlwaysAwake => None,
                    UplinkPattern::Burst { from, to } => Some(DailyUplink::between(from, to)),
                    UplinkPattern::Uniform24h => {
                        let at = Duration::from_secs(rng.gen_range(0..DAY.as_secs()));
                        Some(DailyUplink::between(at, at))
                    }
                };
                let config = DeviceConfig {
                    lifetime: 3 * DAY,
                    queue_mode: self.uplink != UplinkPattern::AlwaysAwake,
                    awake: self.awake,
                    links: LINKS.to_owned(),
                    radio: level.radio(cell),
                    timers: Some(TransmissionParameters {
                        ack_timeout: self.ack_timeout,
                        ..TransmissionPreset::NbIot.into()
                    }),
                    daily_uplink,
                    start_spread: HOUR,
                    install: self.install,
                    reboot: self.reboot,
                    quirks: Quirks {
                        resumes: true,
                        ..Quirks::default()
                    },
                    ..DeviceConfig::new(name(index), SERVER)
                };
                NetworkDevice {
                    config,
                    cell: CellId(cell),
                    level,
                    seed: None,
                    impairment: None,
                }
            })
            .collect()
    }
}

/// A name as an IMEI is one.
fn name(index: usize) -> String {
    format!("{:015}", 860_000_000_000_000 + index)
}
