//! The devices that a phase has updated report for some hours, before the next phase begins.
//!
//! A device reports that is heard once more when it need not be awake for its update any longer, and is
//! registered when the hours are over. One that speaks seldom has as long as its registration lives, and at
//! most its product's `contact_timeout`: so long the gate waits for it, whatever the hours. Who was heard
//! before a restart is not known, so each is to be heard after it, and has its time anew.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Instant, Now, Utc};
use crate::model::{
    Campaign, CampaignId, EndpointName, Milestone, PauseReason, RolloutPhase, RolloutStep,
};

use super::Engine;
use super::timers::Timer;

/// How often the gate looks whether those have reported that it still waits for.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// A device that was updated and has to report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Soaking {
    /// From when it counts that it is heard.
    from: Instant,
    /// Whether the gate waits for it: it had been updated when the soak began.
    is_waited_for: bool,
}

/// What a device has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Heard,
    /// It has until then.
    Awaited(Instant),
    Missing,
}

impl Engine {
    /// What is to be heard of devices that were updated before the engine knew of their campaign.
    pub(super) fn soaking(
        &self,
        now: Now,
        campaign: &Campaign,
        updated: Vec<(EndpointName, Utc)>,
    ) -> BTreeMap<EndpointName, Soaking> {
        let rollout = &campaign.rollout;
        let soak_began = (rollout.step == RolloutStep::Soaking).then(|| rollout.since());
        let devices = updated.into_iter().map(|(endpoint, at)| {
            let awake_time = self.settings_of(&endpoint).awake_time;
            // The clock on the wall may have been set.
            let awake = (at + awake_time).saturating_since(now.utc).min(awake_time);
            let soaking = Soaking {
                from: now.instant + awake,
                is_waited_for: soak_began.is_none_or(|began| at <= began),
            };
            (endpoint, soaking)
        });
        devices.collect()
    }

    /// A device of the running phase was updated.
    pub(super) fn updated_in_phase(&mut self, now: Now, id: CampaignId, endpoint: &EndpointName) {
        let from = now.instant + self.settings_of(endpoint).awake_time;
        if let Some(running) = self.campaigns.get_mut(&id) {
            let soaking = Soaking {
                from,
                is_waited_for: running.campaign.rollout.step == RolloutStep::Updating,
            };
            running.soaking.insert(endpoint.clone(), soaking);
        }
    }

    pub(super) fn set_soak_timer(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let rollout = &running.campaign.rollout;
        let gate = running.gate_after(rollout.phase);
        let soak = gate.map_or(Duration::ZERO, |gate| hours(gate));
        // Never longer than it was to take: the clock on the wall may have been set back.
        let left = (rollout.since() + soak).saturating_since(now.utc).min(soak);
        self.timers.set(Timer::Soak(id), Some(now.instant + left));
    }

    /// The devices of a phase have had their time to report, or are looked at again.
    pub(super) fn soak_over(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let rollout = &running.campaign.rollout;
        // One that is held is looked at when it runs.
        if rollout.step != RolloutStep::Soaking || !running.is_running() {
            return;
        }
        let Some(gate) = running.gate_after(rollout.phase).cloned() else {
            return;
        };
        let (mut heard, mut missing, mut next) = (Vec::new(), 0, None::<Instant>);
        for (endpoint, soaking) in &running.soaking {
            match self.report_of(now, endpoint, soaking) {
                Report::Heard => heard.push(endpoint.clone()),
                Report::Awaited(until) if soaking.is_waited_for => {
                    next = Some(next.map_or(until, |next| next.min(until)));
                }
                Report::Awaited(_) => {}
                Report::Missing => missing += 1,
            }
        }
        let counts = running.progress.phase(rollout.phase);
        let total = counts.total().saturating_sub(counts.stopped);
        let failed = running.progress.failed_of(rollout.phase);
        let bad = failed.saturating_sub(rollout.phase_failures_excused) + missing;
        if bad * 100 > u64::from(gate.failed_percent_max) * total {
            let evidence = format!("{missing} devices did not report after their update");
            self.phase_failed(now, id, evidence.clone());
            return self.errors(now, id, gate.on_errors, PauseReason::Soak, &evidence);
        }
        let Some(next) = next else {
            self.milestone(now, id, Milestone::SoakPassed, String::new());
            return self.phase_proven(now, id, &gate);
        };
        // Who has reported when the hours are over is not asked for again.
        if let Some(running) = self.campaigns.get_mut(&id) {
            for endpoint in heard {
                running.soaking.remove(&endpoint);
            }
        }
        let again = next.min(now.instant + LOOK);
        self.timers.set(Timer::Soak(id), Some(again));
    }

    fn report_of(&self, now: Now, endpoint: &EndpointName, soaking: &Soaking) -> Report {
        let Some(registration) = self.registry.by_endpoint(endpoint) else {
            return Report::Missing;
        };
        let heard = self.registry.heard_at(registration.slot);
        if heard.is_some_and(|at| at >= soaking.from) {
            return Report::Heard;
        }
        let longest = self.settings_of(endpoint).contact_timeout;
        let until = soaking.from + registration.lifetime.min(longest);
        if now.instant < until {
            Report::Awaited(until)
        } else {
            Report::Missing
        }
    }
}

fn hours(gate: &RolloutPhase) -> Duration {
    Duration::from_secs(u64::from(gate.soak_hours) * 60 * 60)
}
