//! The live view: what the driver knows of devices and downloads now. Not persisted.

use std::collections::BTreeSet;

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::clock::{Instant, Utc};
use crate::engine::TaskProgress;
use crate::lwm2m::Flapping;
use crate::model::{CampaignId, EndpointName, TaskId};

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
    /// When devices were last heard whose registration is over: of no more than are known.
    gone: DashMap<EndpointName, Utc>,
    downloads: DashMap<TaskId, TaskProgress>,
    /// Bytes of the downloads of a campaign that are not in the store yet, less those that are there though
    /// the device has begun again; no zeroes.
    uncommitted: DashMap<CampaignId, i64>,
    flapping: DashMap<EndpointName, Flapping>,
    changed: Notify,
}

impl LiveView {
    /// Shows a device as registered; replaces what was shown of it.
    pub fn show_device(&self, endpoint: EndpointName, device: LiveDevice) {
        self.gone.remove(&endpoint);
        self.devices.insert(endpoint, device);
    }

    /// The device is no longer registered. When it was last heard stays known.
    pub fn remove_device(&self, endpoint: &EndpointName) {
        if let Some((endpoint, device)) = self.devices.remove(endpoint) {
            self.gone.insert(endpoint, device.last_seen);
        }
    }

    /// The device is not known any more.
    pub fn forget_device(&self, endpoint: &EndpointName) {
        self.devices.remove(endpoint);
        self.gone.remove(endpoint);
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
        let before = self.downloads.get(&progress.task).map(|shown| *shown);
        let progress = TaskProgress {
            committed_bytes: before.map_or(progress.committed_bytes, |shown| shown.committed_bytes),
            ..progress
        };
        self.downloads.insert(progress.task, progress);
        let more = uncommitted(&progress) - before.as_ref().map_or(0, uncommitted);
        self.add_uncommitted(progress.campaign, more);
    }

    /// The store says of a task that it was served so far.
    pub fn progress_committed(&self, task: TaskId, committed_bytes: u64) {
        let Some(before) = self.progress(task) else {
            return;
        };
        let progress = TaskProgress {
            committed_bytes,
            ..before
        };
        self.downloads.insert(task, progress);
        let more = uncommitted(&progress) - uncommitted(&before);
        self.add_uncommitted(progress.campaign, more);
    }

    /// The task has ended, or its progress is no longer of interest.
    pub fn remove_progress(&self, task: TaskId) {
        if let Some((_, progress)) = self.downloads.remove(&task) {
            self.add_uncommitted(progress.campaign, -uncommitted(&progress));
        }
    }

    /// Bytes of a campaign's packages, beyond what the store says.
    pub fn uncommitted_bytes(&self, campaign: CampaignId) -> i64 {
        self.uncommitted.get(&campaign).map_or(0, |bytes| *bytes)
    }

    fn add_uncommitted(&self, campaign: CampaignId, more: i64) {
        *self.uncommitted.entry(campaign).or_default() += more;
        self.uncommitted
            .remove_if(&campaign, |_, bytes| *bytes == 0);
    }

    /// Something changed that says which devices a campaign is for.
    pub fn note_change(&self) {
        self.changed.notify_one();
    }

    /// Waits until something of that kind changed since the last time; one at a time waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Forgets everything but when devices were last heard: the engine is rebuilt.
    pub fn clear(&self) {
        for device in &self.devices {
            self.gone.insert(device.key().clone(), device.last_seen);
        }
        self.devices.clear();
        self.downloads.clear();
        self.uncommitted.clear();
        self.flapping.clear();
    }

    /// The device, where it is registered.
    pub fn device(&self, endpoint: &EndpointName) -> Option<LiveDevice> {
        self.devices.get(endpoint).map(|device| *device)
    }

    /// When a device was last heard since the server began, whether or not it is still registered.
    pub fn last_heard(&self, endpoint: &EndpointName) -> Option<Utc> {
        let live = self.device(endpoint).map(|device| device.last_seen);
        live.or_else(|| self.gone.get(endpoint).map(|at| *at))
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

/// Of a download, the bytes that are not in the store yet.
fn uncommitted(progress: &TaskProgress) -> i64 {
    let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    signed(progress.bytes_served) - signed(progress.committed_bytes)
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
    fn what_is_not_in_the_store_yet_is_the_sum_of_all_downloads_of_a_campaign() {
        let live = LiveView::default();
        let campaign = CampaignId(7);
        let show = |task, bytes_served, committed_bytes| {
            live.show_progress(TaskProgress {
                task: TaskId(task),
                campaign,
                bytes_served,
                committed_bytes,
                size_bytes: 1000,
            });
            live.uncommitted_bytes(campaign)
        };
        assert_eq!(show(1, 512, 0), 512);
        assert_eq!(show(1, 512, 0), 512, "the same block again");
        // One that went on after a restart.
        assert_eq!(show(2, 900, 800), 612);
        live.progress_committed(TaskId(1), 512);
        live.progress_committed(TaskId(3), 99);
        assert_eq!(live.uncommitted_bytes(campaign), 100);
        // What the engine has recorded since is not in the store before it is committed.
        assert_eq!(show(2, 1000, 900), 200);
        assert_eq!(show(1, 100, 512), 200 - 412, "it has begun again");
        live.remove_progress(TaskId(1));
        live.progress_committed(TaskId(2), 1000);
        assert_eq!(live.uncommitted_bytes(campaign), 0);
        assert!(live.uncommitted.is_empty());
    }

    #[test]
    fn what_was_removed_is_not_shown_but_when_it_was_last_heard() {
        let live = LiveView::default();
        let endpoint = EndpointName::parse("urn:imei:1").expect("a name");
        live.show_device(endpoint.clone(), device(None));
        assert!(live.device(&endpoint).is_some());
        live.remove_device(&endpoint);
        assert!(live.device(&endpoint).is_none());
        assert_eq!(live.last_heard(&endpoint), Some(Utc::from_unix_ms(0)));
        live.show_device(endpoint.clone(), device(None));
        live.clear();
        assert_eq!(live.last_heard(&endpoint), Some(Utc::from_unix_ms(0)));
        live.forget_device(&endpoint);
        assert_eq!(live.last_heard(&endpoint), None);
    }
}
