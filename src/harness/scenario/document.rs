//! A scenario as it is written: what each field is called, and which form it has. What fields mean
//! together is checked afterwards. Sans-IO.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::path::PathTable;
use super::persona::Traits;
use super::quantity::{CellNumber, DayWindow, Probability, Rate, SignedTime, Size, Time};
use crate::harness::ThresholdSpec;
use crate::model::Preconditions;
use crate::sim::{Fault, OperationMode};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    pub(super) run: Run,
    pub(super) target: Option<Target>,
    #[serde(default)]
    pub(super) server: Server,
    pub(super) campaign: Option<Campaign>,
    #[serde(default)]
    pub(super) cell: Vec<Cell>,
    #[serde(default)]
    pub(super) mix: Vec<Mix>,
    pub(super) devices: Devices,
    #[serde(default)]
    pub(super) stage: Vec<Stage>,
    #[serde(default)]
    pub(super) event: Vec<Event>,
    #[serde(default)]
    pub(super) thresholds: BTreeMap<String, OneOrMore<ThresholdSpec>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "one of it, or a list")]
pub(super) enum OneOrMore<T> {
    More(Vec<T>),
    One(T),
}

impl<T> OneOrMore<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::More(all) => all,
            Self::One(one) => vec![one],
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Run {
    pub(super) name: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) duration: Option<Time>,
    pub(super) until: Until,
    pub(super) start: Option<String>,
    pub(super) speed: Option<u16>,
}

/// When a run is over that is not cut short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Once every device is updated, or registered where there is no campaign; or after its duration.
    #[default]
    AllDone,
    /// After its duration, whatever has come of the campaign.
    Duration,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) url: Option<String>,
    pub(super) provision: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    pub(super) limits: Option<Limits>,
    pub(super) admission: Option<Admission>,
    pub(super) stretch_max: Option<u32>,
    pub(super) starts_per_minute_max: Option<u32>,
    pub(super) waiting_room: Option<WaitingRoom>,
    pub(super) contact_timeout: Option<Time>,
}

/// `[cells.limits]` of the server's file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) tier0: u32,
    pub(super) tier1: u32,
    pub(super) tier2: u32,
    pub(super) unknown: u32,
}

/// As `admission` of `POST /api/v1/campaigns`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admission {
    #[serde(default = "per_class")]
    pub(super) mode: String,
    pub(super) airtime_permille: Option<u16>,
}

fn per_class() -> String {
    "per_class".to_owned()
}

/// As `waiting_room` of the same; what is not said is as there.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WaitingRoom {
    pub(super) hold_seconds_max: Option<u32>,
    pub(super) pings_max: Option<u32>,
    pub(super) places_per_cell: Option<u32>,
}

/// As `POST /api/v1/campaigns`, as far as a rehearsal has use for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Campaign {
    pub(super) image_bytes: Size,
    #[serde(default)]
    pub(super) at: Time,
    #[serde(default)]
    pub(super) retry: Retry,
    pub(super) admission: Option<Admission>,
    pub(super) window: Option<OneOrMore<Window>>,
    #[serde(default)]
    pub(super) phases: Vec<Phase>,
    pub(super) waiting_room: Option<WaitingRoom>,
    pub(super) preconditions: Option<Preconditions>,
    pub(super) starts_per_minute_max: Option<u32>,
    pub(super) error_threshold: Option<ErrorThreshold>,
    /// An operator who tries again what has failed, so long after it was looked at last.
    pub(super) retry_failed_every: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Retry {
    pub(super) retries_max: u8,
    pub(super) delay_seconds: Option<u32>,
    pub(super) backoff: Option<String>,
    pub(super) jitter_percent: Option<u8>,
    pub(super) delay_seconds_max: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    pub(super) time_zone: String,
    pub(super) from_hour: u8,
    pub(super) to_hour: u8,
    #[serde(default)]
    pub(super) weekdays: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phase {
    pub(super) count: Option<u64>,
    pub(super) percent: Option<u8>,
    #[serde(default = "all")]
    pub(super) success_percent_min: u8,
    #[serde(default)]
    pub(super) failed_percent_max: u8,
    #[serde(default)]
    pub(super) on_errors: crate::model::OnErrors,
    #[serde(default)]
    pub(super) soak_hours: u16,
}

fn all() -> u8 {
    100
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorThreshold {
    pub(super) failed_percent_max: u8,
    #[serde(default = "ended_min")]
    pub(super) ended_min: u64,
    #[serde(default)]
    pub(super) action: crate::model::OnErrors,
}

fn ended_min() -> u64 {
    10
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    pub(super) id: CellNumber,
    #[serde(default = "one")]
    pub(super) count: u32,
    /// The part of the downlink that is there for the server's traffic, in per cent.
    #[serde(default = "fota_share")]
    pub(super) fota_share_percent: u8,
    #[serde(default)]
    pub(super) operation_mode: OperationMode,
    pub(super) radio: Option<Radio>,
}

fn one() -> u32 {
    1
}

/// What the model of the cell assumes (benches/burst.rs).
fn fota_share() -> u8 {
    70
}

/// Coverage of devices: by name, or weights of the levels.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a signal mix by name, or weights as { ce0 = 80, ce1 = 15, ce2 = 5 }"
)]
pub(super) enum Radio {
    Named(String),
    Weights(LevelWeights),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LevelWeights {
    #[serde(default)]
    pub(super) ce0: u32,
    #[serde(default)]
    pub(super) ce1: u32,
    #[serde(default)]
    pub(super) ce2: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mix {
    pub(super) name: Option<String>,
    #[serde(default = "one")]
    pub(super) weight: u32,
    pub(super) persona: Option<String>,
    pub(super) radio: Option<Radio>,
    #[serde(default)]
    pub(super) drift_db: u8,
    #[serde(default)]
    pub(super) uplink: Uplink,
    #[serde(default)]
    pub(super) impairment: PathTable,
    #[serde(default)]
    pub(super) faults: FaultTable,
    #[serde(default)]
    pub(super) traits: Traits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Uplink {
    pub(super) pattern: Pattern,
    pub(super) window: Option<DayWindow>,
    pub(super) time_zone: Option<String>,
    pub(super) every: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Pattern {
    /// Once a day, each at a time of its own.
    #[default]
    Uniform24h,
    /// Once a day, all within `window`.
    Burst,
    /// Once a day, all in the five minutes after midnight.
    MidnightHerd,
    /// TR 45.820: 40 % daily, 40 % each 2 h, 15 % each hour, 5 % each half hour.
    Mar,
    /// Each `every`.
    Interval,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FaultTable {
    pub(super) power_off: Option<Time>,
    pub(super) loses_package: bool,
    #[serde(flatten)]
    pub(super) chances: BTreeMap<Fault, Probability>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Devices {
    pub(super) count: usize,
    pub(super) ramp: Option<Rate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    #[serde(rename = "do")]
    pub(super) what: StageKind,
    #[serde(rename = "for")]
    pub(super) lasts: Time,
    pub(super) devices: Option<usize>,
    pub(super) percent: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageKind {
    RampUp,
    Hold,
    RampDown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub(super) at: Time,
    #[serde(rename = "do")]
    pub(super) what: EventKind,
    pub(super) percent: Option<u8>,
    pub(super) cells: Option<CellsChosen>,
    pub(super) mix: Option<OneOrMore<String>>,
    pub(super) phase: Option<DevicePhase>,
    #[serde(rename = "for")]
    pub(super) lasts: Option<Time>,
    pub(super) spread: Option<Time>,
    pub(super) loses_package: Option<bool>,
    pub(super) by: Option<SignedTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventKind {
    PowerCut,
    CellOutage,
    NatFlush,
    ServerRestart,
    TimeJump,
}

/// Where in an update a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DevicePhase {
    /// State 1.
    Downloading,
    /// State 2.
    Downloaded,
    /// State 3.
    Updating,
}

/// A part of all cells, `"10%"`, or those with these ids.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a part of all cells, such as \"10%\", or a list of their ids"
)]
pub(super) enum CellsChosen {
    Ids(Vec<CellNumber>),
    Part(String),
}
