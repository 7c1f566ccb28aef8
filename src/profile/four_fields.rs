//! The four fields by which a platform knows which packages are for which devices.

use serde_json::{Map, Value};

use super::document::Profile;

/// What a package is for. A platform compares all four exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        self.package.is_none() || self.package == self.profile
    }
}

impl FourFields {
    /// Name, the profile's key, and the value of each.
    pub(super) fn each(&self) -> [(&'static str, &'static str, Option<&str>); 4] {
        [
            ("device_type", "deviceType", Some(&self.device_type)),
            ("manufacturer", "manufacturerName", Some(&self.manufacturer)),
            ("model", "model", Some(&self.model)),
            ("protocol", "protocolType", self.protocol.as_deref()),
        ]
    }
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
