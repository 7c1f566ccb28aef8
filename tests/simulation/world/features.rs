//! What policies lead to, counted, so that a test can tell that each came to pass.

use narrowcast::model::{
    AdmissionMode, AdmissionPolicy, Campaign, PauseReason, RolloutState, RolloutStep, WaitingFor,
};

use crate::server::Server;

macro_rules! features {
    ($($feature:ident),* $(,)?) => {
        /// Something that a policy led to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Feature {
            $($feature),*
        }

        impl Feature {
            pub(crate) const ALL: &[Self] = &[$(Self::$feature),*];
        }
    };
}

features!(
    // Somebody began beside others in its cell, admitted so.
    PerClass,
    PerCell,
    Strictest,
    Airtime,
    // Somebody was kept awake, or found no place.
    Held,
    RoomFull,
    // Somebody waited for it.
    Scheduled,
    WaitedForStart,
    WaitedForWindow,
    WaitedForPhase,
    WaitedForConsent,
    WaitedForRate,
    WaitedForCondition,
    WaitedForUser,
    WaitedWhilePaused,
    // A rollout went on.
    TrialPassed,
    PhasePassed,
    Soaked,
    AwaitedApproval,
    // It was paused for it, and resumed.
    PausedByOperator,
    Halted,
    PausedByPhaseErrors,
    PausedByPhaseSuccesses,
    PausedBySoak,
    PausedByErrorThreshold,
    Resumed,
    // A failed attempt was followed by another.
    RetryConstant,
    RetryBackedOff,
    // What operators did.
    StoppedSoftly,
    StoppedHard,
    Joined,
    Rescheduled,
    // Somebody began in a campaign that has such a rule.
    StartInWindow,
    StartAtCampaignRate,
    StartAtServerRate,
    StartUnderErrorThreshold,
);

impl Feature {
    pub(super) const fn of_admission(policy: AdmissionPolicy) -> Self {
        match (policy.airtime, policy.mode) {
            (Some(_), _) => Self::Airtime,
            (None, AdmissionMode::PerClass) => Self::PerClass,
            (None, AdmissionMode::PerCell) => Self::PerCell,
            (None, AdmissionMode::Strictest) => Self::Strictest,
        }
    }

    pub(super) const fn of_wait(waiting_for: WaitingFor) -> Option<Self> {
        match waiting_for {
            WaitingFor::Start => Some(Self::WaitedForStart),
            WaitingFor::Window => Some(Self::WaitedForWindow),
            WaitingFor::RolloutPhase => Some(Self::WaitedForPhase),
            WaitingFor::Consent => Some(Self::WaitedForConsent),
            WaitingFor::Rate => Some(Self::WaitedForRate),
            WaitingFor::Condition => Some(Self::WaitedForCondition),
            WaitingFor::Deferred => Some(Self::WaitedForUser),
            WaitingFor::Paused => Some(Self::WaitedWhilePaused),
            WaitingFor::Activation
            | WaitingFor::Contact
            | WaitingFor::Answer
            | WaitingFor::Slot
            | WaitingFor::Block
            | WaitingFor::Notification
            | WaitingFor::RetryDelay
            | WaitingFor::Quarantine
            | WaitingFor::Settling
            | WaitingFor::DownloadBase
            | WaitingFor::Flapping => None,
        }
    }

    const fn of_pause(reason: PauseReason) -> Self {
        match reason {
            PauseReason::Operator => Self::PausedByOperator,
            PauseReason::Halted => Self::Halted,
            PauseReason::PhaseErrors => Self::PausedByPhaseErrors,
            PauseReason::PhaseSuccesses => Self::PausedByPhaseSuccesses,
            PauseReason::Soak => Self::PausedBySoak,
            PauseReason::ErrorThreshold => Self::PausedByErrorThreshold,
        }
    }
}

impl Server {
    pub(super) fn note_rollout(&mut self, before: &RolloutState, after: &RolloutState) {
        if before.paused != after.paused {
            let feature = after.paused.map_or(Feature::Resumed, Feature::of_pause);
            self.watch.count(feature);
        }
        if before.step != after.step {
            match after.step {
                RolloutStep::Soaking => self.watch.count(Feature::Soaked),
                RolloutStep::AwaitingApproval => self.watch.count(Feature::AwaitedApproval),
                RolloutStep::Updating => {}
            }
        }
    }

    pub(super) fn note_start(&mut self, campaign: &Campaign) {
        let governors = &campaign.policy.governors;
        let rules = [
            (
                Feature::StartInWindow,
                !campaign.policy.schedule.windows.is_empty(),
            ),
            (
                Feature::StartAtCampaignRate,
                governors.starts_per_minute_max.is_some(),
            ),
            (
                Feature::StartAtServerRate,
                self.config.starts_per_minute_max.is_some(),
            ),
            (
                Feature::StartUnderErrorThreshold,
                governors.error_threshold.is_some(),
            ),
        ];
        for (feature, _) in rules.into_iter().filter(|(_, is_so)| *is_so) {
            self.watch.count(feature);
        }
    }
}
