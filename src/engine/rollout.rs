//! A campaign goes on from phase to phase, is paused by itself or by somebody, and is resumed.

use crate::campaign::{PhaseVerdict, judge};
use crate::clock::Now;
use crate::model::{
    CampaignId, CampaignState, EndpointName, Failure, FailureReason, Milestone, NewEvent, OnErrors,
    PauseReason, Record, RolloutPhase, RolloutStep, StopMode, TaskState,
};

use super::timers::Timer;
use super::{CommandError, Engine};

impl Engine {
    /// Nothing new of a campaign starts until it is resumed. Halted: no device is told to install either.
    /// One that is paused may still be halted; one that is being stopped softly ends hard by that.
    pub(super) fn pause_campaign(
        &mut self,
        now: Now,
        id: CampaignId,
        reason: PauseReason,
    ) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        if running.is_stopping() && reason == PauseReason::Halted {
            self.stop_campaign(now, id, StopMode::Hard)?;
            self.milestone(now, id, Milestone::Halted, String::new());
            return Ok(());
        }
        let campaign = &mut running.campaign;
        let halts_paused = campaign.state == CampaignState::Paused && reason == PauseReason::Halted;
        if !halts_paused {
            campaign.state = campaign.state.pause()?;
            let state = campaign.state;
            self.record(Record::Campaign {
                id,
                state,
                at: now.utc,
            });
        }
        self.change_rollout(now, id, |state| state.paused = Some(reason));
        self.settle_all(id);
        if reason == PauseReason::Halted {
            self.milestone(now, id, Milestone::Halted, String::new());
            self.settle_telling(now);
        }
        Ok(())
    }

    /// Halts every campaign that is active, or is being stopped softly.
    pub(super) fn halt_all(&mut self, now: Now) {
        let ids: Vec<CampaignId> = self.campaigns.keys().copied().collect();
        for id in ids {
            if let Err(error) = self.pause_campaign(now, id, PauseReason::Halted) {
                tracing::error!(campaign = id.0, %error, "a campaign cannot be halted");
            }
        }
    }

    /// A paused campaign goes on. What it was paused for is let pass: the failures that there are count
    /// no more, and what a phase or its soak came to is enough. What else the next phase waits for, its
    /// approval among it, is still to come. Devices have their time to be heard anew.
    pub(super) fn resume_paused(&mut self, now: Now, id: CampaignId) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return Err(CommandError::NotActive);
        };
        running.campaign.state = running.campaign.state.resume()?;
        let state = running.campaign.state;
        let (was, phase) = {
            let rollout = &running.campaign.rollout;
            (rollout.paused, rollout.phase)
        };
        let gate = running.gate_after(phase).cloned();
        self.record(Record::Campaign {
            id,
            state,
            at: now.utc,
        });
        self.change_rollout(now, id, |state| state.paused = None);
        self.milestone(now, id, Milestone::Resumed, String::new());
        self.wait_anew(now, id);
        match (was, gate) {
            (Some(PauseReason::PhaseErrors | PauseReason::ErrorThreshold), _) => {
                self.excuse_failures(now, id);
            }
            (Some(PauseReason::PhaseSuccesses), Some(gate)) => self.phase_updated(now, id, &gate),
            (Some(PauseReason::Soak), Some(gate)) => self.phase_proven(now, id, &gate),
            (_, _) => {}
        }
        let running = self.campaigns.get(&id);
        if running.is_some_and(|running| running.campaign.rollout.phase == phase) {
            self.settle_all(id);
        }
        self.resume_rollout(now, id);
        Ok(())
    }

    /// The failures that there are count no more.
    pub(super) fn excuse_failures(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let failed = running.progress.failed();
        let of_phase = running.progress.failed_of(running.campaign.rollout.phase);
        self.change_rollout(now, id, |state| {
            state.failures_excused = failed;
            state.phase_failures_excused = of_phase;
        });
    }

    /// Some that counted as failed do so no more, as they are tried again or were lost and have ended
    /// otherwise: what was excused of them is not free for others.
    pub(super) fn failures_taken_back(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let rollout = &running.campaign.rollout;
        let failed = running.progress.failed();
        let of_phase = running.progress.failed_of(rollout.phase);
        if rollout.failures_excused > failed || rollout.phase_failures_excused > of_phase {
            self.change_rollout(now, id, |state| {
                state.failures_excused = state.failures_excused.min(failed);
                state.phase_failures_excused = state.phase_failures_excused.min(of_phase);
            });
        }
    }

    /// Its devices have their whole time to be heard from now on.
    fn wait_anew(&mut self, now: Now, id: CampaignId) {
        self.change_rollout(now, id, |state| {
            state.contact_since_unix_ms = Some(now.utc.unix_ms());
        });
        if let Some(running) = self.campaigns.get(&id) {
            let settings = self.products.of_package(&running.package);
            let at = now.instant + settings.contact_timeout;
            self.set_contact_timer(id, at);
        }
    }

    /// Somebody lets the next phase begin.
    pub(super) fn approve_phase(&mut self, now: Now, id: CampaignId) -> Result<(), CommandError> {
        let Some(running) = self.campaigns.get(&id) else {
            return Err(CommandError::NotActive);
        };
        if running.campaign.rollout.step != RolloutStep::AwaitingApproval {
            return Err(CommandError::NothingToApprove);
        }
        running.campaign.state.go_on()?;
        let detail = format!("phase {}", running.campaign.rollout.phase.saturating_add(1));
        self.milestone(now, id, Milestone::ApprovalGiven, detail);
        self.next_phase(now, id);
        Ok(())
    }

    /// Goes on with a rollout after a restart, and whenever its campaign runs that did not: what came
    /// meanwhile was not judged.
    pub(super) fn resume_rollout(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        if running.campaign.rollout.step == RolloutStep::Soaking {
            self.set_soak_timer(now, id);
        }
        self.judge_failures(now, id);
    }

    /// One of its tasks has ended in this state.
    pub(super) fn rollout_counts(
        &mut self,
        now: Now,
        id: CampaignId,
        endpoint: &EndpointName,
        phase: u16,
        state: TaskState,
    ) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let soaks = running
            .gate_after(phase)
            .is_some_and(|gate| gate.soak_hours > 0);
        if state == TaskState::Succeeded && soaks && phase == running.campaign.rollout.phase {
            self.updated_in_phase(now, id, endpoint);
        }
        self.judge_failures(now, id);
    }

    /// A device was found to run the version, and nothing was done with it. If it is the trial's, that says
    /// nothing of what the others are to be given.
    pub(super) fn found_up_to_date(&mut self, now: Now, id: CampaignId, phase: u16) {
        let runs = self.campaigns.get(&id).map(|it| it.campaign.rollout.phase);
        if runs == Some(phase) && self.is_trial(id) {
            self.change_rollout(now, id, |state| state.trial_untried = true);
        }
    }

    /// Whether too many have failed, and what the running phase has come to.
    fn judge_failures(&mut self, now: Now, id: CampaignId) {
        self.judge_errors(now, id);
        self.judge_phase(now, id);
    }

    /// The device of a task that is tried again was lost after its Execute.
    pub(super) fn device_lost(&mut self, now: Now, id: CampaignId, phase: u16) {
        if let Some(running) = self.campaigns.get_mut(&id) {
            running.progress.lose(phase);
        }
        self.judge_failures(now, id);
    }

    /// A task whose device was lost ends.
    pub(super) fn device_lost_no_more(&mut self, id: CampaignId, phase: u16) {
        if let Some(running) = self.campaigns.get_mut(&id) {
            running.progress.lose_no_more(phase);
        }
    }

    /// Whether too many of all the tasks have failed.
    fn judge_errors(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let Some(threshold) = running.campaign.policy.governors.error_threshold else {
            return;
        };
        let excused = running.campaign.rollout.failures_excused;
        let failed = running.progress.failed().saturating_sub(excused);
        let ended = running.progress.all().succeeded + failed;
        if !running.is_running()
            || ended < threshold.ended_min
            || failed * 100 <= u64::from(threshold.failed_percent_max) * ended
        {
            return;
        }
        let lost = told_lost(running.progress.failed() - running.progress.all().failed);
        let evidence = format!("{failed} of {ended} ended tasks have failed{lost}");
        self.milestone(now, id, Milestone::ErrorThresholdReached, evidence.clone());
        self.errors(
            now,
            id,
            threshold.action,
            PauseReason::ErrorThreshold,
            &evidence,
        );
    }

    /// Whether the running phase has come to its end, or too many of it have failed.
    fn judge_phase(&mut self, now: Now, id: CampaignId) {
        let Some(running) = self.campaigns.get(&id) else {
            return;
        };
        let rollout = &running.campaign.rollout;
        let Some(gate) = running.gate_after(rollout.phase).cloned() else {
            return;
        };
        if !running.is_running() {
            return;
        }
        let counts = running.progress.phase(rollout.phase);
        let failed = running.progress.failed_of(rollout.phase);
        let counted = failed.saturating_sub(rollout.phase_failures_excused);
        match (judge(&gate, &counts, counted), rollout.step) {
            (PhaseVerdict::Errors(action), _) => {
                let lost = told_lost(failed - counts.failed);
                let evidence = format!(
                    "{failed} of {} tasks of phase {} have failed{lost}",
                    counts.total(),
                    rollout.phase
                );
                self.phase_failed(now, id, evidence.clone());
                self.errors(now, id, action, PauseReason::PhaseErrors, &evidence);
            }
            (PhaseVerdict::Enough, RolloutStep::Updating) if rollout.trial_untried => {
                let evidence = "its device runs the version already: nothing was tried with it";
                self.phase_failed(now, id, evidence.to_owned());
                self.pause_by_itself(now, id, PauseReason::PhaseSuccesses);
            }
            (PhaseVerdict::Enough, RolloutStep::Updating) => self.phase_updated(now, id, &gate),
            (PhaseVerdict::TooFew, RolloutStep::Updating) => {
                let evidence = format!(
                    "{} of {} tasks of phase {} have succeeded",
                    counts.succeeded,
                    counts.total(),
                    rollout.phase
                );
                self.phase_failed(now, id, evidence);
                self.pause_by_itself(now, id, PauseReason::PhaseSuccesses);
            }
            (PhaseVerdict::Enough | PhaseVerdict::TooFew | PhaseVerdict::Wait, _) => {}
        }
    }

    pub(super) fn errors(
        &mut self,
        now: Now,
        id: CampaignId,
        action: OnErrors,
        reason: PauseReason,
        evidence: &str,
    ) {
        tracing::warn!(campaign = id.0, evidence, "too many failures");
        match action {
            OnErrors::Pause => self.pause_by_itself(now, id, reason),
            OnErrors::Stop => {
                let cause = Failure {
                    reason: FailureReason::Stopped,
                    evidence: evidence.to_owned(),
                };
                if let Err(error) = self.end_campaign(now, id, &cause) {
                    tracing::error!(campaign = id.0, %error, "a running campaign cannot be stopped");
                }
            }
        }
    }

    fn pause_by_itself(&mut self, now: Now, id: CampaignId, reason: PauseReason) {
        if let Err(error) = self.pause_campaign(now, id, reason) {
            tracing::error!(campaign = id.0, %error, "a running campaign cannot be paused");
        }
    }

    /// Enough of a phase have succeeded.
    fn phase_updated(&mut self, now: Now, id: CampaignId, gate: &RolloutPhase) {
        if gate.soak_hours > 0 {
            self.change_rollout(now, id, |state| state.step = RolloutStep::Soaking);
            let detail = format!("for {} hours", gate.soak_hours);
            self.milestone(now, id, Milestone::SoakBegun, detail);
            self.set_soak_timer(now, id);
        } else {
            self.phase_proven(now, id, gate);
        }
    }

    /// Nothing but perhaps an approval stands before the next phase.
    pub(super) fn phase_proven(&mut self, now: Now, id: CampaignId, gate: &RolloutPhase) {
        let Some(phase) = self.running_phase(id) else {
            return;
        };
        let passed = match self.is_trial(id) {
            true => Milestone::TrialPassed,
            false => Milestone::PhasePassed,
        };
        self.milestone(now, id, passed, format!("phase {phase}"));
        if gate.approval_required {
            self.change_rollout(now, id, |state| state.step = RolloutStep::AwaitingApproval);
            let detail = format!("phase {}", phase.saturating_add(1));
            self.milestone(now, id, Milestone::ApprovalAsked, detail);
        } else {
            self.next_phase(now, id);
        }
    }

    fn next_phase(&mut self, now: Now, id: CampaignId) {
        self.change_rollout(now, id, |state| {
            state.phase = state.phase.saturating_add(1);
            state.step = RolloutStep::Updating;
            state.phase_failures_excused = 0;
            state.trial_untried = false;
        });
        let Some(running) = self.campaigns.get_mut(&id) else {
            return;
        };
        running.soaking.clear();
        self.phase_opened(now, id);
        self.timers.set(Timer::Soak(id), None);
        self.wait_anew(now, id);
        self.settle_all(id);
        // It may have no task, or none that has not ended.
        self.judge_phase(now, id);
    }

    /// The devices of the running phase may begin; nothing is said of a campaign whose devices are one phase.
    pub(super) fn phase_opened(&mut self, now: Now, id: CampaignId) {
        let Some(phase) = self.running_phase(id) else {
            return;
        };
        let opened = match self.is_trial(id) {
            true => Milestone::TrialOpened,
            false => Milestone::PhaseOpened,
        };
        self.milestone(now, id, opened, format!("phase {phase}"));
    }

    pub(super) fn phase_failed(&mut self, now: Now, id: CampaignId, evidence: String) {
        let failed = match self.is_trial(id) {
            true => Milestone::TrialFailed,
            false => Milestone::PhaseFailed,
        };
        self.milestone(now, id, failed, evidence);
    }

    /// Which phase of a rollout runs; `None` where there is only one.
    fn running_phase(&self, id: CampaignId) -> Option<u16> {
        let running = self.campaigns.get(&id)?;
        running.gate_after(0)?;
        Some(running.campaign.rollout.phase)
    }

    fn is_trial(&self, id: CampaignId) -> bool {
        self.campaigns.get(&id).is_some_and(|running| {
            running.campaign.rollout.phase == 0 && running.campaign.policy.rollout.trial.is_some()
        })
    }

    /// Tells who follows the server, in the commit of what it tells of.
    pub(super) fn milestone(
        &mut self,
        now: Now,
        id: CampaignId,
        milestone: Milestone,
        detail: String,
    ) {
        let event = NewEvent::of_rollout(now.utc, id, milestone, detail);
        self.record(Record::Event(event));
    }

    pub(super) fn change_rollout(
        &mut self,
        now: Now,
        id: CampaignId,
        change: impl FnOnce(&mut crate::model::RolloutState),
    ) {
        let Some(running) = self.campaigns.get_mut(&id) else {
            return;
        };
        let state = &mut running.campaign.rollout;
        let (phase, step, paused) = (state.phase, state.step, state.paused);
        change(state);
        if state.paused != paused {
            state.paused_since_unix_ms = state.paused.map(|_| now.utc.unix_ms());
        }
        if (state.phase, state.step) != (phase, step) {
            state.since_unix_ms = now.utc.unix_ms();
        }
        let state = state.clone();
        self.record(Record::Rollout { id, state });
    }
}

/// How many of the tasks that count as failed are tried again, as their device was lost.
fn told_lost(lost: u64) -> String {
    match lost {
        0 => String::new(),
        lost => format!(", {lost} of them lost after Execute and to be tried again"),
    }
}
