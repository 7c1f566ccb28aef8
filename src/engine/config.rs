//! The engine's limits and choices.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::campaign::LoopGuardConfig;
use crate::coap::EndpointConfig;
use crate::lwm2m::{
    FlappingConfig, PackLimits, RegisterRateConfig, RegistrationLimits, RegistryConfig,
};
use crate::model::{
    AdmissionPolicy, CellId, ProductSettings, TierBorders, TierLimits, WaitingRoomPolicy,
};

use super::{DeviceRequestLimits, UplinkLimits};

/// Whether a device that nobody entered may register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Onboarding {
    /// It is refused with 4.03.
    #[default]
    Deny,
    /// It is entered as it comes.
    Allow,
}

/// All that an engine can be told. Every bound has its answer for "full".
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The message layer.
    pub coap: EndpointConfig,
    /// The registry.
    pub registry: RegistryConfig,
    /// What is taken of a registration request.
    pub registration: RegistrationLimits,
    /// What is taken of a pack of records, in an answer or in a Send.
    pub pack: PackLimits,
    /// How devices are treated of whose product nothing else is known.
    pub product: ProductSettings,
    /// The most products with settings of their own.
    pub products_max: usize,
    /// The most combinations of manufacturer, model and device type that devices are entered with;
    /// those of others are treated by default until a campaign is for them.
    pub device_kinds_max: usize,
    /// Slots per cell and tier.
    pub tier_limits: TierLimits,
    /// Whom the limits count.
    pub admission: AdmissionPolicy,
    /// How many slots of a cell are given among those that wait before who asks later is behind them only.
    pub passed_over_max: u32,
    /// Where tiers stand in each other's way: how many times the airtime that one takes the others are
    /// given before it comes first.
    pub stretch_max: u32,
    /// How long a task may wait for a slot until it comes before all that have not waited for so long, and
    /// no other tier begins before it.
    pub overdue_after: Duration,
    /// How many devices begin to fetch a minute at most, of all campaigns; `None`: as many as their cells
    /// bear.
    pub starts_per_minute_max: Option<NonZeroU32>,
    /// How devices that wait for a slot are kept awake, where their campaign does not say.
    pub waiting_room: WaitingRoomPolicy,
    /// Cells with limits of their own.
    pub cell_limits: BTreeMap<CellId, TierLimits>,
    /// Cells with borders of tiers of their own: these hold whatever a product says.
    pub cell_borders: Arc<BTreeMap<CellId, TierBorders>>,
    /// When a device that is given packages again and again is barred.
    pub loop_guard: LoopGuardConfig,
    /// When several devices under one name are taken for such.
    pub flapping: FlappingConfig,
    /// How often a device may register.
    pub register_rate: RegisterRateConfig,
    /// What operators ask of devices.
    pub device_requests: DeviceRequestLimits,
    /// What devices send of their own data.
    pub uplinks: UplinkLimits,
    /// Unknown devices.
    pub onboarding: Onboarding,
    /// What devices fetch from, `coap://203.0.113.5:5683/fw/`; `None`: activation refuses.
    pub download_base: Option<String>,
    /// The same where a product's devices fetch by HTTP, `http://203.0.113.5:8090/fw/`.
    pub http_download_base: Option<String>,
    /// Block size exponent where a device names none: 5 is 512 bytes.
    pub default_szx: u8,
    /// The most bytes of images in memory.
    pub image_bytes_max: u64,
    /// The most unfinished tasks of active campaigns.
    pub tasks_max: usize,
    /// The most known devices held in memory; more are refused with 5.03.
    pub devices_max: usize,
    /// How many reachable devices an activated campaign tries in one turn.
    pub openings_per_turn: usize,
    /// How long a turn is.
    pub opening_turn: Duration,
    /// How many tasks, of all campaigns, are told in one turn what their campaign came to. Each makes a record
    /// or two.
    pub sweep_tasks_per_turn: usize,
    /// How long such a turn is, at the least.
    pub sweep_turn: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            coap: EndpointConfig::default(),
            registry: RegistryConfig::default(),
            registration: RegistrationLimits::default(),
            pack: PackLimits::default(),
            product: ProductSettings::default(),
            products_max: 1000,
            device_kinds_max: 10_000,
            tier_limits: TierLimits::default(),
            admission: AdmissionPolicy::default(),
            passed_over_max: 50,
            stretch_max: 10,
            overdue_after: Duration::from_secs(20 * 3600),
            starts_per_minute_max: None,
            waiting_room: WaitingRoomPolicy::default(),
            cell_limits: BTreeMap::new(),
            cell_borders: Arc::default(),
            loop_guard: LoopGuardConfig::default(),
            flapping: FlappingConfig::default(),
            register_rate: RegisterRateConfig::default(),
            device_requests: DeviceRequestLimits::default(),
            uplinks: UplinkLimits::default(),
            onboarding: Onboarding::Deny,
            download_base: None,
            http_download_base: None,
            default_szx: 5,
            image_bytes_max: 512 * 1024 * 1024,
            tasks_max: 2_000_000,
            devices_max: 2_000_000,
            openings_per_turn: 20,
            opening_turn: Duration::from_millis(100),
            sweep_tasks_per_turn: 500,
            sweep_turn: Duration::from_millis(50),
        }
    }
}
