//! A device as the operator knows it, and what it last said of itself.

use std::fmt;
use std::sync::Arc;

use super::{CellId, CoverageTier};
use crate::clock::Utc;

/// A name that is empty, too long, or has control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must have 1 to {bytes_max} bytes and no control characters")]
pub struct InvalidName {
    /// Which name.
    pub what: &'static str,
    /// How long it may be, in bytes.
    pub bytes_max: usize,
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident, $what:literal, $bytes_max:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes it may have.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Parses the text as it stands.
            ///
            /// # Errors
            /// Where it is empty, longer than [`Self::BYTES_MAX`], or has control characters.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                if text.is_empty() || text.len() > $bytes_max || text.chars().any(char::is_control)
                {
                    return Err(InvalidName { what: $what, bytes_max: $bytes_max });
                }
                Ok(Self(Arc::from(text)))
            }

            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// The LwM2M endpoint client name, normalised: `<imei>`, `urn:imei:<imei>` and the like are one
    /// device (see `lwm2m::endpoint_name`). One registration lives under a name.
    EndpointName, "an endpoint name", 255
);
name_type!(
    /// 厂商名称, `/3/0/0`.
    Manufacturer, "a manufacturer", 128
);
name_type!(
    /// 型号, `/3/0/1`.
    DeviceModel, "a model", 128
);
name_type!(
    /// 设备类型, the product's kind of device, e.g. `WaterMeter`.
    DeviceType, "a device type", 128
);
name_type!(
    /// 固件版本, `/3/0/3`. Compared as a whole and exactly; versions have no order.
    FirmwareVersion, "a firmware version", 255
);

/// A device that the operator has entered. Only known devices are served, unless onboarding is
/// `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its LwM2M name.
    pub endpoint: EndpointName,
    /// 厂商名称; unknown until the operator or the device says it.
    pub manufacturer: Option<Manufacturer>,
    /// 型号.
    pub model: Option<DeviceModel>,
    /// 设备类型.
    pub device_type: Option<DeviceType>,
    /// 标签.
    pub tags: Vec<String>,
    /// When it was entered.
    pub created_at: Utc,
}

/// What a device last reported; `None` is "never said".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceReport {
    /// `/3/0/3`.
    pub firmware_version: Option<FirmwareVersion>,
    /// `/3/0/0`.
    pub manufacturer: Option<Manufacturer>,
    /// `/3/0/1`.
    pub model: Option<DeviceModel>,
    /// `/4/0/8`.
    pub cell_id: Option<CellId>,
    /// `/4/0/2`, normalised.
    pub rsrp_dbm: Option<i16>,
    /// `/4/0/11`, normalised.
    pub sinr_db: Option<i16>,
    /// The class that scheduling made of the two.
    pub tier: Option<CoverageTier>,
    /// When the newest of these was read.
    pub reported_at: Option<Utc>,
}
