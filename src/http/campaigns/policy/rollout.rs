//! Trial, phases and approval of a campaign, as they come and as they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::HttpState;
use crate::http::error::{Problem, kinds};
use crate::http::fields;
use crate::model::{
    EndpointName, OnErrors, PhaseMembers, Rollout, RolloutPhase, RolloutState, RolloutStep,
};

/// How many phases a campaign may have beside the trial and the last.
const PHASES_MAX: usize = 20;

/// How many hours devices may have to report: four weeks.
const SOAK_HOURS_MAX: u16 = 28 * 24;

/// 分批: a part of the devices, and what has to be true of it for the next to begin. One of `devices`,
/// `count` and `percent` says who is in it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RolloutPhase)]
pub(crate) struct Phase {
    /// Canaries: endpoint client names, of the campaign's devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    devices: Option<Vec<String>>,
    /// So many devices.
    #[schema(minimum = 1)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// So many of a hundred of the campaign's devices.
    #[schema(minimum = 1, maximum = 100)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    /// The next begins when so many of a hundred have succeeded.
    #[schema(minimum = 1, maximum = 100)]
    #[serde(default = "all")]
    success_percent_min: u8,
    /// More failures than so many of a hundred are too many.
    #[schema(maximum = 100)]
    #[serde(default)]
    failed_percent_max: u8,
    /// What too many lead to: `pause` or `stop`.
    #[serde(default = "pause")]
    on_errors: String,
    /// For so many hours the updated devices have to report as they should before the next begins.
    #[schema(maximum = 672)]
    #[serde(default)]
    soak_hours: u16,
    /// Whether another person than who made the campaign has to approve that the next begins.
    #[serde(default)]
    approval_required: bool,
}

fn all() -> u8 {
    100
}

fn pause() -> String {
    on_errors_word(OnErrors::Pause).to_owned()
}

/// How far the rollout is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RolloutState)]
pub(crate) struct RolloutView {
    /// Which phase runs, from 0; the trial is one.
    phase: u16,
    /// How many there are.
    phases: usize,
    /// `updating`, `soaking` or `awaiting_approval`.
    step: &'static str,
    /// Since when; `null` before it was activated.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Who approved the campaign.
    approved_by: Option<String>,
    /// Why it is paused: `operator`, `halted`, `phase_errors`, `phase_successes`, `soak` or
    /// `error_threshold`.
    paused: Option<&'static str>,
}

impl RolloutView {
    pub(in crate::http) fn of(rollout: &Rollout, state: &RolloutState) -> Self {
        let since = (state.since_unix_ms > 0).then(|| fields::time(state.since()));
        Self {
            phase: state.phase,
            phases: rollout.gates().len() + 1,
            step: match state.step {
                RolloutStep::Updating => "updating",
                RolloutStep::Soaking => "soaking",
                RolloutStep::AwaitingApproval => "awaiting_approval",
            },
            since,
            approved_by: state.approved_by.clone(),
            paused: state.paused.map(|reason| reason.word()),
        }
    }
}

/// The rollout that these fields mean.
pub(in crate::http) fn parse_rollout(
    state: &HttpState,
    approval_required: bool,
    trial: Option<String>,
    phases: Vec<Phase>,
) -> Result<Rollout, Problem> {
    if phases.len() > PHASES_MAX {
        let fault = format!("at most {PHASES_MAX} phases");
        return Err(Problem::invalid_field("phases", fault));
    }
    // As the server names its devices, whichever form they were given in.
    let trial = trial.map(|device| state.endpoint("trial", &device));
    let trial = trial.transpose()?.map(|device| device.to_string());
    let phases = phases.into_iter().enumerate();
    let phases = phases.map(|(number, phase)| phase.parse(&format!("phases[{number}]"), state));
    Ok(Rollout {
        approval_required,
        trial,
        phases: phases.collect::<Result<_, _>>()?,
    })
}

/// That the devices which the rollout names are among the campaign's.
pub(in crate::http) fn check_members(
    rollout: &Rollout,
    devices: &[EndpointName],
) -> Result<(), Problem> {
    let canaries = rollout.phases.iter().enumerate();
    let canaries = canaries.filter_map(|(number, phase)| match &phase.members {
        PhaseMembers::Devices(names) => Some((format!("phases[{number}].devices"), names)),
        PhaseMembers::Count(_) | PhaseMembers::Percent(_) => None,
    });
    let canaries = canaries.flat_map(|(field, names)| {
        let of_field = move |name| (field.clone(), name);
        names.iter().map(of_field).collect::<Vec<_>>()
    });
    let trial = rollout.trial.iter().map(|name| ("trial".to_owned(), name));
    let mut named = trial.chain(canaries).peekable();
    if named.peek().is_none() {
        return Ok(());
    }
    let members: std::collections::BTreeSet<&str> =
        devices.iter().map(EndpointName::as_str).collect();
    for (field, name) in named {
        if !members.contains(name.as_str()) {
            let detail = format!("{field}: the campaign has no device '{name}'");
            return Err(Problem::new(kinds::UNKNOWN_REFERENCE, detail).with_field(&field));
        }
    }
    Ok(())
}

impl Phase {
    fn parse(self, field: &str, state: &HttpState) -> Result<RolloutPhase, Problem> {
        let invalid = |name: &str, fault: &str| {
            Problem::invalid_field(format!("{field}.{name}"), fault.to_owned())
        };
        let members = match (self.devices, self.count, self.percent) {
            (Some(devices), None, None) if !devices.is_empty() => {
                let named = devices.iter().enumerate().map(|(number, device)| {
                    let device = state.endpoint(&format!("{field}.devices[{number}]"), device)?;
                    Ok(device.to_string())
                });
                PhaseMembers::Devices(named.collect::<Result<_, Problem>>()?)
            }
            (None, Some(count), None) if count > 0 => PhaseMembers::Count(count),
            (None, None, Some(percent)) if (1..=100).contains(&percent) => {
                PhaseMembers::Percent(percent)
            }
            _ => {
                let fault = "one of devices (not empty), count (1 or more) and percent (1 to 100)";
                return Err(Problem::invalid_field(field, fault.to_owned()));
            }
        };
        if !(1..=100).contains(&self.success_percent_min) {
            return Err(invalid("success_percent_min", "must be 1 to 100"));
        }
        if self.failed_percent_max > 100 {
            return Err(invalid("failed_percent_max", "must be 0 to 100"));
        }
        if self.soak_hours > SOAK_HOURS_MAX {
            let fault = format!("must be 0 to {SOAK_HOURS_MAX}");
            return Err(invalid("soak_hours", &fault));
        }
        Ok(RolloutPhase {
            members,
            success_percent_min: self.success_percent_min,
            failed_percent_max: self.failed_percent_max,
            on_errors: parse_on_errors(&format!("{field}.on_errors"), &self.on_errors)?,
            soak_hours: self.soak_hours,
            approval_required: self.approval_required,
        })
    }
}

impl From<&RolloutPhase> for Phase {
    fn from(phase: &RolloutPhase) -> Self {
        let (devices, count, percent) = match &phase.members {
            PhaseMembers::Devices(names) => (Some(names.clone()), None, None),
            PhaseMembers::Count(count) => (None, Some(*count), None),
            PhaseMembers::Percent(percent) => (None, None, Some(*percent)),
        };
        Self {
            devices,
            count,
            percent,
            success_percent_min: phase.success_percent_min,
            failed_percent_max: phase.failed_percent_max,
            on_errors: on_errors_word(phase.on_errors).to_owned(),
            soak_hours: phase.soak_hours,
            approval_required: phase.approval_required,
        }
    }
}

pub(super) const fn on_errors_word(action: OnErrors) -> &'static str {
    match action {
        OnErrors::Pause => "pause",
        OnErrors::Stop => "stop",
    }
}

pub(super) fn parse_on_errors(field: &str, text: &str) -> Result<OnErrors, Problem> {
    let all = [OnErrors::Pause, OnErrors::Stop];
    fields::word(field, text, &all, on_errors_word)
}
