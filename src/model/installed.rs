//! What devices run, by the signed sequence of its package.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{EndpointName, FirmwareVersion};

/// The signed sequences of one product's releases, and of what its devices were last given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledSequences {
    /// By target version; the highest, where several packages have one.
    pub versions: Arc<BTreeMap<FirmwareVersion, u64>>,
    /// Of the package that last succeeded on a device.
    pub devices: BTreeMap<EndpointName, u64>,
}

impl InstalledSequences {
    /// What a device runs: the release of the version that it reports, else what it was last given.
    pub fn of(&self, endpoint: &EndpointName, version: Option<&FirmwareVersion>) -> Option<u64> {
        let released = version.and_then(|version| self.versions.get(version));
        released.or_else(|| self.devices.get(endpoint)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_reports_comes_before_what_it_was_given() {
        let version = |text| FirmwareVersion::parse(text).unwrap();
        let [given, other] = ["d1", "d2"].map(|name| EndpointName::parse(name).unwrap());
        let installed = InstalledSequences {
            versions: Arc::new(BTreeMap::from([(version("V1"), 1)])),
            devices: BTreeMap::from([(given.clone(), 7)]),
        };
        for (endpoint, reported, sequence) in [
            (&given, Some("V1"), Some(1)),
            (&given, Some("V9"), Some(7)),
            (&given, None, Some(7)),
            (&other, Some("V1"), Some(1)),
            (&other, Some("V9"), None),
        ] {
            let reported = reported.map(version);
            assert_eq!(installed.of(endpoint, reported.as_ref()), sequence);
        }
    }
}
