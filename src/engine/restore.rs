//! An engine is rebuilt from what was committed: after a restart, and after a commit that failed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::campaign::longest_delay;
use crate::clock::{Now, Utc};
use crate::model::{
    AuditAction, AuditActor, AuditStamp, Campaign, CampaignId, Failure, FailureReason,
    InstalledSequences, NewAuditEntry, Package, Record, Registration, Restored, StopMode,
    TaskState, UpdateTask, WaitingFor,
};

use super::tasks::TaskEntry;
use super::timers::Timer;
use super::{Command, EndedTasks, Engine, Output};

/// What has to be looked up for a campaign that is to go on.
#[derive(Clone, Debug, Default)]
pub struct Resumption {
    /// Its package's image, whose SHA-256 was checked when it was loaded; `None` where it is gone or
    /// changed.
    pub image: Option<Bytes>,
    /// What the product's devices run, for a package that has a sequence.
    pub installed: InstalledSequences,
    /// Of its tasks those that are final already.
    pub ended: EndedTasks,
}

impl Engine {
    /// Goes on from what is committed; nothing else may have been asked of this engine. A campaign
    /// whose image is not to be had is stopped: devices at work hold their slots until they are done,
    /// and nothing is served.
    pub fn restore(
        &mut self,
        now: Now,
        restored: Restored,
        mut resumptions: BTreeMap<CampaignId, Resumption>,
    ) {
        self.scheduler.handle_timeout(now.instant);
        self.scheduler.resume_start_rate();
        for product in restored.products {
            self.resume(now, Command::SetProduct(product));
        }
        self.reports.extend(restored.reports);
        for (endpoint, history) in restored.deliveries {
            self.loop_guard.restore(endpoint, history);
        }
        self.resume(now, Command::AddDevices(restored.devices));
        // Registrations before tasks: who listens is asked in its turn.
        for registration in restored.registrations {
            self.restore_registration(now, registration);
        }
        for observation in restored.observations {
            self.restore_observation(observation);
        }
        let mut tasks: BTreeMap<CampaignId, Vec<UpdateTask>> = BTreeMap::new();
        for task in restored.tasks {
            tasks.entry(task.campaign).or_default().push(task);
        }
        for campaign in restored.campaigns {
            let id = campaign.id;
            let mut packages = restored.packages.iter();
            let Some(package) = packages.find(|package| package.id == campaign.package) else {
                tracing::error!(campaign = id.0, "its package is not in the store");
                continue;
            };
            let tasks = tasks.remove(&id).unwrap_or_default();
            let resumption = resumptions.remove(&id).unwrap_or_default();
            self.resume_campaign(now, campaign, package.clone(), tasks, resumption);
        }
        for running in self.campaigns.values_mut() {
            running.given.through = restored.last_task;
        }
        // Behind the tasks, which have the first word.
        self.restore_device_requests(now, restored.device_requests);
        self.pump(now);
    }

    fn resume_campaign(
        &mut self,
        now: Now,
        campaign: Campaign,
        package: Package,
        tasks: Vec<UpdateTask>,
        resumption: Resumption,
    ) {
        let id = campaign.id;
        let Resumption {
            image,
            installed,
            ended,
        } = resumption;
        let is_damaged = image.is_none();
        let command = Command::RunCampaign {
            campaign,
            package,
            image: image.unwrap_or_default(),
            installed,
            tasks,
            ended,
        };
        self.resume(now, command);
        if is_damaged {
            self.end_damaged(now, id);
        }
    }

    /// Nothing is served that is not what was verified.
    fn end_damaged(&mut self, now: Now, id: CampaignId) {
        let cause = Failure {
            reason: FailureReason::IntegrityCheckFailed,
            evidence: "the package's bytes on the server are missing or were changed".to_owned(),
        };
        let running = self.campaigns.get(&id);
        let was_active = running.is_some_and(|it| it.campaign.state.is_active());
        // One that was being stopped softly ends hard.
        if self.end_campaign(now, id, &cause).is_ok() && was_active {
            self.record(Record::Audit(NewAuditEntry {
                stamp: AuditStamp {
                    at: now.utc,
                    actor: AuditActor::server(),
                },
                action: AuditAction::CampaignStopped,
                object: id.0.to_string(),
                details: vec![("reason", cause.evidence)],
            }));
        }
    }

    fn resume(&mut self, now: Now, command: Command) {
        if let Err(error) = self.handle_command(now, command) {
            tracing::error!(%error, "a campaign cannot go on");
        }
    }

    /// Takes up a registration. It has a grace period: Updates that only prolong are not persisted.
    fn restore_registration(&mut self, now: Now, registration: Registration) {
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

    /// Takes up one task, new or cut off. A slot that it held is held again, whatever the limit says
    /// now, and its blocks are served again.
    pub(super) fn restore_task(&mut self, now: Now, mut task: UpdateTask) {
        let id = task.id;
        let is_flapping = self.flapping.is_flapping(&task.endpoint);
        if task.state == TaskState::Pending && task.waiting_for == Some(WaitingFor::Flapping) {
            // Who flapped before a restart is not known: it is seen again where it goes on.
            task.waiting_for = Some(WaitingFor::Contact);
            self.record(Record::Task(task.clone()));
        }
        let reachable = self.is_reachable(&task.endpoint);
        if let Some(claim) = task.slot {
            let policy = self.admission(task.campaign);
            self.scheduler.restore(id, claim, policy);
        }
        // Without a slot the package is fetched no more.
        let fetches = task.uri_intended && task.slot.is_some() && task.stop != Some(StopMode::Hard);
        if let (Some(capability), true) = (task.capability, fetches)
            && let Some(campaign) = self.campaigns.get(&task.campaign)
        {
            let served = campaign.served();
            self.serve_download(capability, id, served);
        }
        let cut_off = task.state == TaskState::Running;
        if !cut_off && task.waiting_for == Some(WaitingFor::Consent) {
            self.set_consent_timer(now, &task);
            self.tasks.insert(id, TaskEntry::Idle(task));
            return;
        }
        let retry_wait = self.retry_wait(now, &task);
        let room = self.room_after_restart(now, &task);
        self.tasks.insert(id, TaskEntry::Idle(task));
        if cut_off {
            // Its deadlines run whether or not the device is heard again. Those that ought to listen
            // are asked in their turn.
            self.open(now, id, false);
            let mut is_held = false;
            if let Some(TaskEntry::Running(session)) = self.tasks.get_mut(&id) {
                session.handle_asleep(now);
                is_held = session.goes_on_in_room(now, room);
            }
            if is_held {
                // It falls asleep unless it is asked soon.
                self.openings.push_first(id);
            } else if reachable {
                self.openings.push(id);
            }
        } else if let Some(wait) = retry_wait {
            self.timers.set(Timer::Retry(id), Some(now.instant + wait));
        } else if is_flapping {
            self.hold_idle(now, id);
        } else if reachable {
            self.openings.push(id);
        }
    }

    /// How long a task waits for its next attempt, or then for its device. Never longer than it was to
    /// wait in all: the clock on the wall may have been set back.
    fn retry_wait(&self, now: Now, task: &UpdateTask) -> Option<Duration> {
        let retry_at = task.retry_at?;
        if task.waiting_for == Some(WaitingFor::Contact) {
            return Some(self.contact_time_left(
                now,
                task.until.unwrap_or(now.utc),
                self.settings_of(&task.endpoint),
            ));
        }
        let attempts = task.attempt.saturating_sub(task.attempts_before);
        let running = self.campaigns.get(&task.campaign);
        let delay_max = running.map(|running| {
            let campaign = &running.campaign;
            longest_delay(&campaign.retry, &campaign.policy.retry, attempts)
        });
        Some(
            retry_at
                .saturating_since(now.utc)
                .min(delay_max.unwrap_or_default()),
        )
    }
}
