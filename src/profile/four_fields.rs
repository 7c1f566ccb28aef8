//! The four fields by which a platform knows which packages are for which devices.

use serde_json::{Map, Value};

use super::document::Profile;
use crate::model::protocol_family;

/// A profile's key for the protocol.
const PROTOCOL: &str = "protocolType";

/// What a package is for. A platform compares all four exactly; here `CoAP` and `LWM2M` are one
/// protocol, since profiles of the carriers say the one (seed 000) and packages the other (seed 004).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FourFields {
    /// 设备类型.
    pub device_type: String,
    /// 厂商名称.
    pub manufacturer: String,
    /// 型号.
    pub model: String,
    /// 协议; `None` where the package does not say it, which binds nothing.
    pub protocol: Option<String>,
}

/// One field in a profile and in a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMatch {
    /// `device_type`, `manufacturer`, `model` or `protocol`.
    pub field: &'static str,
    /// The profile's key for it.
    pub key: &'static str,
    /// What the profile says; `None` where it is no text.
    pub profile: Option<String>,
    /// What the package says.
    pub package: Option<String>,
}

impl FieldMatch {
    /// Whether the field lets the package be used.
    pub fn holds(&self) -> bool {
        match (&self.package, &self.profile) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(package), Some(profile)) => is_same(self.key, package, profile),
        }
    }
}

impl FourFields {
    /// These beside a package's, whose protocol is always said.
    pub fn matches(&self, package: &Self) -> [FieldMatch; 4] {
        let (of, other) = (self.each(), package.each());
        std::array::from_fn(|index| {
            let (field, key, value) = of[index];
            FieldMatch {
                field,
                key,
                profile: value.map(str::to_owned),
                package: other[index].2.map(str::to_owned),
            }
        })
    }

    /// Name, the profile's key, and the value of each.
    pub(super) fn each(&self) -> [(&'static str, &'static str, Option<&str>); 4] {
        [
            ("device_type", "deviceType", Some(&self.device_type)),
            ("manufacturer", "manufacturerName", Some(&self.manufacturer)),
            ("model", "model", Some(&self.model)),
            ("protocol", PROTOCOL, self.protocol.as_deref()),
        ]
    }
}

/// Whether a package's value of a key is the profile's.
pub(super) fn is_same(key: &str, package: &str, profile: &str) -> bool {
    if key == PROTOCOL {
        return protocol_family(package) == protocol_family(profile);
    }
    package == profile
}

impl Profile {
    /// The four fields of every device, beside those of a package.
    pub fn matches(&self, package: &FourFields) -> Vec<[FieldMatch; 4]> {
        let of = |device: &Map<String, Value>| {
            package.each().map(|(field, key, value)| FieldMatch {
                field,
                key,
                profile: device.get(key).and_then(Value::as_str).map(str::to_owned),
                package: value.map(str::to_owned),
            })
        };
        self.devices().map(of).collect()
    }
}
