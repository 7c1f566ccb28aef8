//! A device as it is shown: what was entered, what it reported, and how it is now.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::campaigns::complete;
use crate::http::error::Problem;
use crate::http::profiles::DeviceTypes;
use crate::http::{HttpState, fields};
use crate::model::Device;
use crate::store::{DeviceDetails, StoreError};

/// A device. What it never said is null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceView {
    /// The LwM2M endpoint client name.
    endpoint: String,
    /// 厂商名称, as entered, else as reported.
    manufacturer: Option<String>,
    /// 型号, as entered, else as reported.
    model: Option<String>,
    /// 设备类型, as entered, else of the only profile that has its manufacturer and model.
    device_type: Option<String>,
    /// 标签.
    tags: Vec<String>,
    /// Whether it has a live registration.
    registered: bool,
    /// Whether a request would be heard now.
    awake: bool,
    /// Whether it registered in queue mode.
    queue_mode: Option<bool>,
    /// Its registration's lifetime.
    lifetime_seconds: Option<u64>,
    /// When it was last heard, since the server began.
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// `/3/0/3`.
    firmware_version: Option<String>,
    /// `/4/0/8`.
    cell_id: Option<u32>,
    /// `/4/0/2` in dBm.
    rsrp_dbm: Option<i16>,
    /// `/4/0/11` in dB.
    sinr_db: Option<i16>,
    /// Coverage tier: `0`, `1`, `2` or `unknown`; `GET /api/v1/cells/tiers` says where their borders lie,
    /// and whose they are.
    tier: Option<&'static str>,
    /// When the newest of these five was read.
    #[schema(format = DateTime)]
    reported_at: Option<String>,
    /// Whether it was given packages again and again, and is given no more until an operator lifts
    /// that: `DELETE /api/v1/devices/{endpoint}/bar`.
    barred: bool,
    /// Since when.
    #[schema(format = DateTime)]
    barred_since: Option<String>,
    /// Whether several devices register under this name in turn. Until a while has passed without that,
    /// nothing is updated under it: its tasks wait for `flapping`.
    flapping: bool,
    /// Since when.
    #[schema(format = DateTime)]
    flapping_since: Option<String>,
    /// From where they registered lately, oldest first: addresses with ports, or identities.
    flapping_peers: Vec<String>,
    /// When it was entered.
    #[schema(format = DateTime)]
    created_at: String,
}

impl DeviceView {
    /// Joins what the store and the live view know of a device.
    pub(super) async fn of(state: &HttpState, device: Device) -> Result<Self, Problem> {
        Self::of_each(state, &DeviceTypes::read(state).await?, device).await
    }

    /// The same of one of many.
    pub(super) async fn of_each(
        state: &HttpState,
        types: &DeviceTypes,
        device: Device,
    ) -> Result<Self, Problem> {
        let report = match state.store.report(&device.endpoint).await {
            Ok(report) => report,
            Err(StoreError::NotFound) => Default::default(),
            Err(error) => return Err(error.into()),
        };
        Self::of_details(state, types, DeviceDetails { device, report }).await
    }

    /// The same where it is known what the device reported.
    pub(super) async fn of_details(
        state: &HttpState,
        types: &DeviceTypes,
        details: DeviceDetails,
    ) -> Result<Self, Problem> {
        let DeviceDetails { device, report } = details;
        let barred_since = match state.store.deliveries(&device.endpoint).await {
            Ok(history) => history.barred_since,
            Err(StoreError::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        let live = state.live.device(&device.endpoint);
        let last_heard = state.live.last_heard(&device.endpoint);
        let flapping = state.live.flapping(&device.endpoint);
        let now = state.clock.now().instant;
        let (device, _) = complete(types, device, &report);
        let Device {
            manufacturer,
            model,
            ..
        } = device;
        Ok(Self {
            endpoint: device.endpoint.to_string(),
            manufacturer: manufacturer.map(|name| name.to_string()),
            model: model.map(|name| name.to_string()),
            device_type: device.device_type.map(|name| name.to_string()),
            tags: device.tags,
            registered: live.is_some(),
            awake: live.is_some_and(|live| live.is_awake(now)),
            queue_mode: live.map(|live| live.queue_mode()),
            lifetime_seconds: live.map(|live| u64::from(live.lifetime_seconds)),
            last_seen: last_heard.map(fields::time),
            firmware_version: report.firmware_version.map(|version| version.to_string()),
            cell_id: report.cell_id.map(|cell| cell.0),
            rsrp_dbm: report.rsrp_dbm,
            sinr_db: report.sinr_db,
            tier: report.tier.map(|tier| tier.word()),
            reported_at: report.reported_at.map(fields::time),
            barred: barred_since.is_some(),
            barred_since: barred_since.map(fields::time),
            flapping: flapping.is_some(),
            flapping_since: flapping.as_ref().map(|it| fields::time(it.since)),
            flapping_peers: flapping.map_or_else(Vec::new, |it| {
                it.peers.iter().map(ToString::to_string).collect()
            }),
            created_at: fields::time(device.created_at),
        })
    }
}
