//! An engine is rebuilt from what was committed: after a restart, and after a commit that failed.

use crate::clock::{Now, Utc};
use crate::model::{
    DeviceReport, EndpointName, Registration, StoredObservation, TaskState, UpdateTask,
};

use super::tasks::TaskEntry;
use super::timers::Timer;
use super::{Engine, Output};

impl Engine {
    /// Takes up a registration. It has a grace period: Updates that only prolong are not persisted.
    pub fn restore_registration(&mut self, now: Now, registration: Registration) {
        let lifetime = registration.lifetime;
        let last_known = Utc::from_unix_ms(
            registration.expires_at.unix_ms() - i64::try_from(lifetime.as_millis()).unwrap_or(0),
        );
        self.outputs.push_back(Output::Heard {
            endpoint: registration.endpoint.clone(),
            at: last_known,
            awake_until: registration.binding.queue_mode.then_some(now.instant),
            lifetime,
        });
        if let Err(error) = self.registry.restore(now, registration) {
            self.counters.registrations_refused += 1;
            tracing::error!(%error, "a stored registration cannot be taken up");
        }
    }

    /// Takes up what a device last reported.
    pub fn restore_report(&mut self, endpoint: EndpointName, report: DeviceReport) {
        self.reports.insert(endpoint, report);
    }

    /// Takes up observations whose tokens devices remember.
    pub fn restore_observations(&mut self, stored: Vec<StoredObservation>) {
        for observation in stored {
            self.restore_observation(observation);
        }
    }

    /// Takes up one task, new or cut off. A slot that it held is held again, whatever the limit says
    /// now, and its blocks are served again.
    pub(super) fn restore_task(&mut self, now: Now, task: UpdateTask) {
        let id = task.id;
        let reachable = self.is_reachable(&task.endpoint);
        if let Some(claim) = task.slot {
            self.scheduler.restore(id, claim);
        }
        // Without a slot the package is fetched no more.
        let fetches = task.uri_intended && task.slot.is_some();
        if let (Some(capability), true) = (task.capability, fetches)
            && let Some(campaign) = self.campaigns.get(&task.campaign)
        {
            let (image, sha256) = (campaign.image.clone(), campaign.package.image_sha256);
            self.serve_download(capability, id, image, &sha256);
        }
        let cut_off = task.state == TaskState::Running;
        let retry_at = task.retry_at;
        self.tasks.insert(id, TaskEntry::Idle(task));
        if cut_off {
            // Its deadlines run whether or not the device is heard again. Those that ought to listen
            // are asked in their turn.
            self.open(now, id, false);
            if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&id) {
                session.handle_asleep(now);
            }
            if reachable {
                self.openings.push_back(id);
            }
        } else if let Some(at) = retry_at {
            let wait = at.saturating_since(now.utc);
            self.timers.set(Timer::Retry(id), Some(now.instant + wait));
        } else if reachable {
            self.openings.push_back(id);
        }
    }
}
