//! Paths of objects, instances and resources, and those we use by their OMA names.

use std::fmt;

/// `/object`, `/object/instance` or `/object/instance/resource` (LwM2M 1.0 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Object id.
    pub object: u16,
    /// Object instance id.
    pub instance: Option<u16>,
    /// Resource id; without an instance it has no meaning.
    pub resource: Option<u16>,
}

/// Firmware Update, Package: the image, pushed.
pub const FIRMWARE_PACKAGE: Path = Path::of_resource(5, 0, 0);
/// Firmware Update, Package URI: from where the image is pulled.
pub const FIRMWARE_PACKAGE_URI: Path = Path::of_resource(5, 0, 1);
/// Firmware Update, Update: executed to install what was downloaded.
pub const FIRMWARE_UPDATE: Path = Path::of_resource(5, 0, 2);
/// Firmware Update, State.
pub const FIRMWARE_STATE: Path = Path::of_resource(5, 0, 3);
/// Firmware Update, Update Result.
pub const FIRMWARE_UPDATE_RESULT: Path = Path::of_resource(5, 0, 5);
/// Firmware Update, Firmware Update Protocol Support: a list of 0 CoAP, 1 CoAPS, 2 HTTP, 3 HTTPS.
pub const FIRMWARE_PROTOCOLS: Path = Path::of_resource(5, 0, 8);
/// Firmware Update, Firmware Update Delivery Method: 0 pull, 1 push, 2 both.
pub const FIRMWARE_DELIVERY_METHOD: Path = Path::of_resource(5, 0, 9);
/// Firmware Update, Cancel (Object 5 v1.1).
pub const FIRMWARE_CANCEL: Path = Path::of_resource(5, 0, 10);
/// Firmware Update, Severity (Object 5 v1.1): 0 critical, 1 mandatory, 2 optional.
pub const FIRMWARE_SEVERITY: Path = Path::of_resource(5, 0, 11);
/// Firmware Update, Maximum Defer Period, in seconds (Object 5 v1.1).
pub const FIRMWARE_DEFER_PERIOD: Path = Path::of_resource(5, 0, 13);
/// Device, Manufacturer.
pub const DEVICE_MANUFACTURER: Path = Path::of_resource(3, 0, 0);
/// Device, Model Number.
pub const DEVICE_MODEL: Path = Path::of_resource(3, 0, 1);
/// Device, Firmware Version.
pub const DEVICE_FIRMWARE_VERSION: Path = Path::of_resource(3, 0, 3);
/// Device, Battery Level, in per cent.
pub const BATTERY_LEVEL: Path = Path::of_resource(3, 0, 9);
/// Device, Memory Free, in KiB.
pub const MEMORY_FREE: Path = Path::of_resource(3, 0, 10);
/// Device, Battery Status: 0 normal, 1 charging, 2 charged, 3 damaged, 4 low, 5 none, 6 unknown.
pub const BATTERY_STATUS: Path = Path::of_resource(3, 0, 20);
/// Connectivity Monitoring, Cell ID.
pub const CELL_ID: Path = Path::of_resource(4, 0, 8);
/// Connectivity Monitoring, Radio Signal Strength: RSRP on NB-IoT.
pub const RADIO_SIGNAL_STRENGTH: Path = Path::of_resource(4, 0, 2);
/// Connectivity Monitoring, `SignalSNR`: SINR on NB-IoT.
pub const SIGNAL_SNR: Path = Path::of_resource(4, 0, 11);
/// `BinaryAppDataContainer`, uplink (carrier flows §3.7).
pub const UPLINK_DATA: Path = Path::of_resource(19, 0, 0);
/// `BinaryAppDataContainer`, downlink.
pub const DOWNLINK_DATA: Path = Path::of_resource(19, 1, 0);

impl Path {
    /// `/object`.
    pub const fn of_object(object: u16) -> Self {
        Self {
            object,
            instance: None,
            resource: None,
        }
    }

    /// `/object/instance`.
    pub const fn of_instance(object: u16, instance: u16) -> Self {
        Self {
            object,
            instance: Some(instance),
            resource: None,
        }
    }

    /// `/object/instance/resource`.
    pub const fn of_resource(object: u16, instance: u16, resource: u16) -> Self {
        Self {
            object,
            instance: Some(instance),
            resource: Some(resource),
        }
    }

    /// Parses `/5`, `/5/0` or `/5/0/3`: decimal numbers without leading zeros, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut ids = text.strip_prefix('/')?.split('/').map(parse_id);
        let path = Self {
            object: ids.next()??,
            instance: ids.next().map_or(Some(None), |id| id.map(Some))?,
            resource: ids.next().map_or(Some(None), |id| id.map(Some))?,
        };
        ids.next().is_none().then_some(path)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.object)?;
        if let Some(instance) = self.instance {
            write!(f, "/{instance}")?;
            if let Some(resource) = self.resource {
                write!(f, "/{resource}")?;
            }
        }
        Ok(())
    }
}

pub(super) fn parse_id(text: &str) -> Option<u16> {
    // One spelling for one id: `str::parse` alone would take `+5` and `05`.
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    canonical.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_it_is_written() {
        for text in ["/5", "/19/1", "/5/0/3", "/65535/65535/65535"] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Path::parse("/5/0/3"), Some(FIRMWARE_STATE));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "", "/", "5", "/5/", "//5", "/05", "/+5", "/-1", "/65536", "/5/0/3/1", "/a", "/5 ",
        ] {
            assert_eq!(Path::parse(text), None, "{text:?}");
        }
    }
}
