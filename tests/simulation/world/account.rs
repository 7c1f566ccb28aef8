//! What came of it, by the store, the wire and the devices' own log.

use narrowcast::clock::{Instant, Utc};
use narrowcast::engine::EngineConfig;
use narrowcast::model::{
    CampaignId, Failure, SlotHeld, TaskState, TimelineEntry, TimelineStep, UpdateTask,
};
use narrowcast::sim::{AtRest, Judge, Verdict};
use narrowcast::store::Store;

use super::{EPOCH_UNIX_MS, World};
use crate::fleet;
use crate::server::ready;

pub(super) const fn at_rest(config: &EngineConfig) -> AtRest {
    match (config.product.slot_held, config.admission.airtime) {
        (SlotHeld::UntilResult, None) => AtRest::Resting,
        (SlotHeld::UntilDownloaded, _) | (SlotHeld::UntilResult, Some(_)) => AtRest::Done,
    }
}

impl World {
    pub(crate) fn task(&self, id: CampaignId, device: usize) -> &UpdateTask {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        self.server.task_of(id, &endpoint)
    }

    /// Whether a device has a task in a campaign.
    pub(super) fn has_task(&self, id: CampaignId, device: usize) -> bool {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let mut tasks = self.server.tasks.values();
        tasks.any(|task| task.campaign == id && task.endpoint == endpoint)
    }

    pub(crate) fn failure(&self, id: CampaignId, device: usize) -> &Failure {
        let task = self.task(id, device);
        assert_eq!(task.state, TaskState::Failed, "{task:?}");
        task.failure.as_ref().unwrap()
    }

    /// How many tasks of a campaign are in this state.
    pub(crate) fn count(&self, id: CampaignId, state: TaskState) -> usize {
        let tasks = self.server.tasks.values();
        tasks
            .filter(|task| task.campaign == id && task.state == state)
            .count()
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict_with(at_rest(&self.server.config))
    }

    /// As [`Self::verdict`], but a device counts in the class in which it was admitted: what its radio
    /// said may have been lost.
    pub(crate) fn verdict_as_admitted(&self) -> Verdict {
        self.judge.verdict()
    }

    pub(crate) fn verdict_with(&self, at_rest: AtRest) -> Verdict {
        let devices: Vec<_> = self.devices.iter().map(|it| it.config.clone()).collect();
        let mut judge = Judge::new(fleet::limits(&devices, &self.image, at_rest));
        for line in &self.log {
            judge.read(line);
        }
        judge.verdict()
    }

    /// The lines of a device's timeline for one step, oldest first.
    pub(crate) fn steps(&self, device: usize, step: TimelineStep) -> Vec<TimelineEntry> {
        let endpoint = fleet::endpoint(&self.devices[device].config);
        let mut timeline = ready(self.server.store.timeline(&endpoint, 500)).unwrap();
        timeline.retain(|entry| entry.step == step);
        timeline.reverse();
        timeline
    }

    /// Which Executes left for a device, each once however often it was repeated.
    pub(crate) fn executes(&self, device: usize) -> Vec<Instant> {
        let mut seen = Vec::new();
        let mut executes = Vec::new();
        for (at, to, request) in &self.requests {
            if *to == device && request.is_execute() && !seen.contains(&request.id) {
                seen.push(request.id);
                executes.push(*at);
            }
        }
        executes
    }

    /// All that happened: to devices, to the world, and what the server says of it.
    pub(crate) fn print(&self) {
        let lines = self.log.iter().map(|line| (line.at, line.to_string()));
        let told = self.chaos.told.iter().map(|(at, trouble)| {
            let since = at.since_origin();
            (*at, format!("{since:?} {trouble:?}"))
        });
        let requests = self.requests.iter().map(|(at, device, request)| {
            let (since, id, path) = (at.since_origin(), request.id.0, request.path);
            let line = format!(
                "{since:?} to device {device} {} {path} ({id})",
                request.code
            );
            (*at, line)
        });
        let mut lines: Vec<_> = lines.chain(told).chain(requests).collect();
        lines.sort_by_key(|(at, _)| *at);
        for (_, line) in lines {
            println!("{line}");
        }
        for task in self.server.tasks.values() {
            println!("{task:?}");
        }
        self.print_timelines();
    }

    fn print_timelines(&self) {
        let epoch = Utc::from_unix_ms(EPOCH_UNIX_MS);
        for device in &self.devices {
            let endpoint = fleet::endpoint(&device.config);
            let timeline = ready(self.server.store.timeline(&endpoint, 500)).unwrap();
            for entry in timeline.iter().rev() {
                let at = entry.at.saturating_since(epoch);
                let (attempt, step) = (entry.attempt, entry.step);
                println!("{at:?} {endpoint} {attempt} {step} {}", entry.detail);
            }
        }
    }
}
