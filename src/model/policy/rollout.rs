//! In what order and on what proof a campaign's devices follow each other.

use serde::{Deserialize, Serialize};

use super::governors::OnErrors;
use crate::clock::Utc;
use crate::model::{Failure, StopMode};

/// 分批: one phase after the other. Without phases all devices are one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rollout {
    /// Whether another person than who made the campaign has to approve it before it is activated.
    pub approval_required: bool,
    /// 固件验证: this device alone is updated first; unless it succeeds, nothing else begins.
    pub trial: Option<String>,
    /// The phases after the trial. What is in none of them makes one more, the last.
    pub phases: Vec<RolloutPhase>,
}

/// One phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutPhase {
    /// Who is in it.
    pub members: PhaseMembers,
    /// The next begins when so many of a hundred of its tasks have succeeded, 1 to 100.
    pub success_percent_min: u8,
    /// More failures than so many of a hundred of its tasks are too many, 0 to 100.
    pub failed_percent_max: u8,
    /// What too many failures lead to.
    pub on_errors: OnErrors,
    /// How many hours its updated devices report as they should before the next begins.
    pub soak_hours: u16,
    /// Whether the next begins only when another person than who made the campaign has approved it.
    pub approval_required: bool,
}

/// Who is in a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseMembers {
    /// Canaries: these, of those that no earlier phase has. Endpoint client names.
    Devices(Vec<String>),
    /// So many of those that are left.
    Count(u64),
    /// So many of a hundred of all the campaign's devices, of those that are left.
    Percent(u8),
}

impl Rollout {
    /// The phases with the trial's before them; the last, of all that is left, is not among them, as
    /// nothing follows it.
    pub fn gates(&self) -> Vec<RolloutPhase> {
        let trial = self.trial.iter().map(|device| RolloutPhase {
            members: PhaseMembers::Devices(vec![device.clone()]),
            success_percent_min: 100,
            failed_percent_max: 0,
            on_errors: OnErrors::Pause,
            soak_hours: 0,
            approval_required: false,
        });
        trial.chain(self.phases.iter().cloned()).collect()
    }

    /// What has to be true for the phase after this one to begin; `None` of the last.
    pub fn gate_after(&self, phase: u16) -> Option<RolloutPhase> {
        self.gates().into_iter().nth(usize::from(phase))
    }
}

/// How far a rollout is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutState {
    /// Which phase runs, from 0.
    pub phase: u16,
    /// What it is about.
    pub step: RolloutStep,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_unix_ms: i64,
    /// Who approved the campaign: the name of a token.
    pub approved_by: Option<String>,
    /// Why it is paused; `None` where it is not.
    pub paused: Option<PauseReason>,
    /// Since when, in milliseconds since the Unix epoch.
    pub paused_since_unix_ms: Option<i64>,
    /// How and why it was stopped, where somebody or something did: so end its tasks that have not ended.
    pub stop: Option<CampaignStop>,
    /// Who refused, for all devices that it had then and that nobody had agreed for: so end their tasks. Until
    /// all are told.
    pub refusal: Option<ConsentRefusal>,
    /// How many failed tasks an operator has let pass by resuming it.
    pub failures_excused: u64,
    /// How many of them are of the phase that runs.
    pub phase_failures_excused: u64,
    /// Whether the trial's device ran the version before it was told anything: nothing was tried with it.
    pub trial_untried: bool,
    /// Who changed the draft since it was made: names of tokens.
    pub changed_by: Vec<String>,
    /// Since when its devices have their time to be heard, in milliseconds since the Unix epoch; `None`:
    /// since its activation. A phase that begins gives them their time anew, and so does a resumption.
    pub contact_since_unix_ms: Option<i64>,
}

/// A refusal for all devices of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentRefusal {
    /// The name of a token.
    pub by: String,
    /// The last task that there was.
    pub last_task: u64,
}

/// How and why a campaign was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignStop {
    /// What becomes of what has begun.
    pub mode: StopMode,
    /// Why, which its tasks keep.
    pub cause: Failure,
}

/// Why a campaign is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Somebody paused it.
    Operator,
    /// Somebody halted it: no device is told to install either.
    Halted,
    /// More of a phase's tasks failed than may.
    PhaseErrors,
    /// A phase ended with less successes than the next needs.
    PhaseSuccesses,
    /// Devices of a phase did not report as they should after their update.
    Soak,
    /// More of all its tasks failed than may.
    ErrorThreshold,
}

impl PauseReason {
    /// Its fixed word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Halted => "halted",
            Self::PhaseErrors => "phase_errors",
            Self::PhaseSuccesses => "phase_successes",
            Self::Soak => "soak",
            Self::ErrorThreshold => "error_threshold",
        }
    }
}

impl RolloutState {
    /// Since when, in the phase and step that it is in.
    pub const fn since(&self) -> Utc {
        Utc::from_unix_ms(self.since_unix_ms)
    }

    /// Since when it is paused; `None` where it is not.
    pub fn paused_since(&self) -> Option<Utc> {
        let since = self.paused_since_unix_ms.filter(|_| self.paused.is_some());
        since.map(Utc::from_unix_ms)
    }

    /// Since when its devices have their time to be heard; `None`: since its activation.
    pub fn contact_since(&self) -> Option<Utc> {
        self.contact_since_unix_ms.map(Utc::from_unix_ms)
    }
}

/// What a running phase is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutStep {
    /// Its devices are updated.
    #[default]
    Updating,
    /// Its updated devices have to report as they should for a while.
    Soaking,
    /// It waits for somebody's approval.
    AwaitingApproval,
}
