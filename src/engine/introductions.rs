//! What is asked of a device because it registered, whatever any campaign wants: after its Register was
//! answered, and after a running update has asked its own.

use crate::clock::Now;
use crate::lwm2m::{Answer, Links, Operation, Path, path};
use crate::model::{DeviceModel, EndpointName, Manufacturer};

use super::Engine;
use super::config::Onboarding;
use super::operations::Purpose;

impl Engine {
    /// Asks a device that has just registered.
    pub(super) fn introduce(&mut self, now: Now, endpoint: &EndpointName) {
        self.observe_uplink(now, endpoint);
        let described = self
            .reports
            .get(endpoint)
            .is_some_and(|known| known.manufacturer.is_some());
        if self.config.onboarding == Onboarding::Allow && !described {
            for resource in [path::DEVICE_MANUFACTURER, path::DEVICE_MODEL] {
                let purpose = Purpose::Description(resource);
                self.operate(now, endpoint, Operation::Read(resource), purpose);
            }
        }
    }

    /// What a device that nobody described says of itself (decisions, 15).
    pub(super) fn described(&mut self, endpoint: &EndpointName, resource: Path, answer: &Answer) {
        let Answer::Value(value) = answer else { return };
        let Some(text) = value.as_text() else { return };
        let mut report = self.reports.get(endpoint).cloned().unwrap_or_default();
        match resource {
            path::DEVICE_MANUFACTURER => report.manufacturer = Manufacturer::parse(&text).ok(),
            path::DEVICE_MODEL => report.model = DeviceModel::parse(&text).ok(),
            Path { .. } => return,
        }
        self.set_report(endpoint, report);
    }

    /// Carrier modules send their data on `/19/0/0`, and only once it is observed (carrier flows §3.7).
    fn observe_uplink(&mut self, now: Now, endpoint: &EndpointName) {
        let links_max = self.config.registration.links_max;
        let has_uplink = self
            .registry
            .by_endpoint(endpoint)
            .is_some_and(|registration| {
                Links::parse(&registration.links, links_max)
                    .is_ok_and(|links| links.has_object(path::UPLINK_DATA.object))
            });
        if has_uplink {
            let operation = Operation::Observe(path::UPLINK_DATA);
            self.operate(now, endpoint, operation, Purpose::Uplink);
        }
    }
}
