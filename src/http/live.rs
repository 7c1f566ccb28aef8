//! The live view: what the driver knows of devices and downloads now. Not persisted.

use std::collections::BTreeSet;

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::clock::{Instant, Utc};
use crate::engine::TaskProgress;
use crate::lwm2m::Flapping;
use crate::model::{EndpointName, TaskId};

/// A registered device, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveDevice {
    /// Until when it listens; `None` where it does not sleep (no queue mode).
    pub awake_until: Option<Instant>,
    /// When it was last heard.
    pub last_seen: Utc,
    /// Its registration's lifetime.
    pub lifetime_seconds: u32,
}

impl LiveDevice {
    /// Whether it registered in queue mode.
    pub fn queue_mode(&self) -> bool {
        self.awake_until.is_some()
    }

    /// Whether a request would be heard at `now`.
    pub fn is_awake(&self, now: Instant) -> bool {
        self.awake_until.is_none_or(|until| now < until)
    }
}

/// What the driver writes while REST reads. Its size is bounded by what the engine holds: the driver
/// takes out what the engine has let go.
#[derive(Debug, Default)]
pub struct LiveView {
    devices: DashMap<EndpointName, LiveDevice>,
    downloads: DashMap<TaskId, TaskProgress>,
    flapping: DashMap<EndpointName, Flapping>,
    changed: Notify,
}

impl LiveView {
    /// Shows a device as registered; replaces what was shown of it.
    pub fn show_device(&self, endpoint: EndpointName, device: LiveDevice) {
        self.devices.insert(endpoint, device);
    }

    /// The device is no longer registered.
    pub fn remove_device(&self, endpoint: &EndpointName) {
        self.devices.remove(endpoint);
    }

    /// Shows under which names several devices register; `None`: no longer.
    pub fn show_flapping(&self, endpoint: EndpointName, flapping: Option<Flapping>) {
        match flapping {
            Some(flapping) => drop(self.flapping.insert(endpoint, flapping)),
            None => drop(self.flapping.remove(&endpoint)),
        }
    }

    /// Shows how far a download is.
    pub fn show_progress(&self, progress: TaskProgress) {
        self.downloads.insert(progress.task, progress);
    }

    /// The task has ended, or its progress is no longer of interest.
    pub fn remove_progress(&self, task: TaskId) {
        self.downloads.remove(&task);
    }

    /// Something changed that says which devices a campaign is for.
    pub fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits until something of that kind changed since the last time; one at a time waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Forgets everything: the engine is rebuilt.
    pub fn clear(&self) {
        self.devices.clear();
        self.downloads.clear();
        self.flapping.clear();
    }

    /// The device, where it is registered.
    pub fn device(&self, endpoint: &EndpointName) -> Option<LiveDevice> {
        self.devices.get(endpoint).map(|device| *device)
    }

    /// Under which name several devices register, and from where.
    pub fn flapping(&self, endpoint: &EndpointName) -> Option<Flapping> {
        self.flapping.get(endpoint).map(|flapping| flapping.clone())
    }

    /// All such names, in order. They are few, or the server knows of no more than it watches.
    pub fn flapping_endpoints(&self) -> BTreeSet<EndpointName> {
        let flapping = self.flapping.iter();
        flapping.map(|flapping| flapping.key().clone()).collect()
    }

    /// How many devices are registered.
    pub fn devices_count(&self) -> usize {
        self.devices.len()
    }

    /// How far a task's download is, where one was served since the engine began.
    pub fn progress(&self, task: TaskId) -> Option<TaskProgress> {
        self.downloads.get(&task).map(|progress| *progress)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn device(awake_until: Option<Instant>) -> LiveDevice {
        LiveDevice {
            awake_until,
            last_seen: Utc::from_unix_ms(0),
            lifetime_seconds: 86_400,
        }
    }

    #[test]
    fn a_queue_mode_device_is_awake_until_its_time_is_over() {
        let until = Instant::from_origin(Duration::from_secs(93));
        let device = device(Some(until));
        assert!(device.is_awake(Instant::from_origin(Duration::from_secs(92))));
        assert!(!device.is_awake(until));
    }

    #[test]
    fn a_device_without_queue_mode_is_always_awake() {
        assert!(device(None).is_awake(Instant::from_origin(Duration::from_secs(1_000_000))));
    }

    #[test]
    fn what_was_removed_is_not_shown() {
        let live = LiveView::default();
        let endpoint = EndpointName::parse("urn:imei:1").expect("a name");
        live.show_device(endpoint.clone(), device(None));
        assert!(live.device(&endpoint).is_some());
        live.remove_device(&endpoint);
        assert!(live.device(&endpoint).is_none());
    }
}
