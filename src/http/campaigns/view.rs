//! A campaign as it is shown.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::policy::{
    ConsentTextField, ErrorThresholdView, Phase, PreconditionsField, RolloutView, WaitingRoomField,
    WindowField,
};
use crate::http::error::Problem;
use crate::http::fields;
use crate::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, Backoff, Campaign, RetryPacing, RetryPolicy,
};
use crate::store::TaskCounts;

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub(crate) struct CampaignView {
    /// Its number.
    id: u64,
    /// 任务名称.
    name: String,
    /// `draft`, `scheduled`, `running`, `paused`, `stopped`, `succeeded` or `failed`.
    state: &'static str,
    /// What is installed.
    package_id: u64,
    /// Who was asked for.
    targets: Targets,
    /// When a failed task is tried again.
    retry: Retry,
    /// Who let it downgrade devices, and why; `null`: nobody.
    downgrade: Option<Downgrade>,
    /// How its devices are admitted to their cells; `null`: as the server's settings say.
    admission: Option<Admission>,
    /// Nothing begins before this time.
    #[schema(format = DateTime)]
    start_at: Option<String>,
    /// Nothing begins after this time.
    #[schema(format = DateTime)]
    end_at: Option<String>,
    /// When on each day something may begin; `null`: at any time.
    window: Option<WindowField>,
    /// The device that alone is updated first.
    trial: Option<String>,
    /// Phases after the trial; what is in none makes one more, the last.
    phases: Vec<Phase>,
    /// Whether another person than who made it has to approve it before it is activated.
    approval_required: bool,
    /// What a device must have before it is updated.
    preconditions: PreconditionsField,
    /// `silent`, or `confirmed`: somebody has to agree for each device.
    consent: &'static str,
    /// What whoever agrees is told.
    consent_text: Option<ConsentTextField>,
    /// When somebody agreed for all its devices.
    #[schema(format = DateTime)]
    consented_at: Option<String>,
    /// What devices are told which name `/5/0/11`.
    severity: Option<&'static str>,
    /// How long a device's user may put the installation off, in seconds.
    defer_seconds_max: Option<u32>,
    /// How devices that wait for a slot are kept awake; `null`: as the server's settings say.
    waiting_room: Option<WaitingRoomField>,
    /// How many devices begin to fetch a minute at most.
    starts_per_minute_max: Option<u32>,
    /// How many failures are too many.
    error_threshold: Option<ErrorThresholdView>,
    /// How far it is.
    rollout: RolloutView,
    /// Who made it: the name of a token; empty where that was not kept.
    created_by: String,
    /// How many tasks are in each state.
    counts: Counts,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was activated.
    #[schema(format = DateTime)]
    activated_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// When it was put away.
    #[schema(format = DateTime)]
    archived_at: Option<String>,
}

/// A downgrade that an administrator let a campaign do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DowngradeAllowed)]
pub(crate) struct Downgrade {
    /// Name of the administrator's token.
    by: String,
    /// Why.
    reason: String,
}

/// Who a campaign is for: the devices of the groups, single devices, and those that a filter finds; or, where
/// only lists say who is let in or kept out, all of the package's product. Each once.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Targets {
    /// Numbers of groups.
    #[serde(default)]
    pub(super) groups: Vec<u64>,
    /// Endpoint client names.
    #[serde(default)]
    pub(super) devices: Vec<String>,
    /// Finds devices, as `filter` of `GET /api/v1/devices` does.
    #[serde(default)]
    pub(super) filter: Option<String>,
    /// 白名单: of those asked for, only these. They need not be known yet.
    #[serde(default)]
    pub(super) allow: Option<Vec<String>>,
    /// 黑名单: never these, whoever allows them. They need not be known yet.
    #[serde(default)]
    pub(super) deny: Vec<String>,
    /// Whether devices that match only later are taken in while the campaign is active; it then runs until
    /// it is stopped or its end comes. A device has one task in a campaign, for ever.
    #[serde(default)]
    pub(super) dynamic: bool,
}

/// 重试策略: when a failed task is tried again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// 重试次数: 0 to 5.
    #[schema(maximum = 5)]
    retries_max: u8,
    /// 重试时间: how long after a failure.
    #[schema(maximum = 604_800)]
    delay_seconds: u64,
    /// `exponential`: it doubles with each retry; or `constant`.
    backoff: String,
    /// Up to so many per cent come on top by chance, that devices which failed together do not come back
    /// together.
    #[schema(maximum = 100)]
    jitter_percent: u8,
    /// It grows no further than this; a longer first delay stays.
    #[schema(maximum = 604_800)]
    delay_seconds_max: u32,
}

/// A week: no retry is of use later.
const RETRY_DELAY_SECONDS_MAX: u64 = 7 * 24 * 60 * 60;

impl Retry {
    pub(super) fn parse(&self) -> Result<(RetryPolicy, RetryPacing), Problem> {
        let within = |field: &str, value: u64, most: u64| {
            if value > most {
                return Err(Problem::invalid_field(
                    field,
                    format!("must be 0 to {most}"),
                ));
            }
            Ok(())
        };
        let most = RETRY_DELAY_SECONDS_MAX;
        let retries_max = RetryPolicy::RETRIES_MAX.into();
        within("retry.retries_max", self.retries_max.into(), retries_max)?;
        within("retry.delay_seconds", self.delay_seconds, most)?;
        within("retry.jitter_percent", self.jitter_percent.into(), 100)?;
        within(
            "retry.delay_seconds_max",
            self.delay_seconds_max.into(),
            most,
        )?;
        let words = (Backoff::ALL, Backoff::word);
        let pacing = RetryPacing {
            backoff: fields::word("retry.backoff", &self.backoff, words.0, words.1)?,
            jitter_percent: self.jitter_percent,
            delay_seconds_max: self.delay_seconds_max,
        };
        let policy = RetryPolicy {
            retries_max: self.retries_max,
            delay: Duration::from_secs(self.delay_seconds),
        };
        Ok((policy, pacing))
    }

    fn of(policy: RetryPolicy, pacing: RetryPacing) -> Self {
        Self {
            retries_max: policy.retries_max,
            delay_seconds: policy.delay.as_secs(),
            backoff: pacing.backoff.word().to_owned(),
            jitter_percent: pacing.jitter_percent,
            delay_seconds_max: pacing.delay_seconds_max,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::of(RetryPolicy::default(), RetryPacing::default())
    }
}

/// How devices are admitted to their cells. Where campaigns differ, the strictest holds in a cell while
/// its devices are there.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Admission {
    /// Whom the limits of tiers count: `per_class`, devices of the same cell and tier; `per_cell`, all of
    /// the cell; `strictest`, all of the cell, against the lowest limit of the tiers that are active.
    #[serde(default = "per_class")]
    mode: String,
    /// What all tiers of a cell take together at most, in thousandths of a full tier; slots are then held
    /// until a device has the package, not until it has installed it. Absent: each tier may be full.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(default)]
    airtime_permille: Option<u16>,
}

fn per_class() -> String {
    AdmissionMode::PerClass.word().to_owned()
}

impl Admission {
    /// A cell has no more than all of its air.
    const AIRTIME_PERMILLE_MAX: u16 = 1000;

    pub(super) fn parse(self) -> Result<AdmissionPolicy, Problem> {
        let words = (AdmissionMode::ALL, AdmissionMode::word);
        let mode = fields::word("admission.mode", &self.mode, words.0, words.1)?;
        let airtime = match self.airtime_permille {
            None => None,
            Some(permille) => match NonZeroU16::new(permille) {
                Some(some) if permille <= Self::AIRTIME_PERMILLE_MAX => Some(AirtimePermille(some)),
                Some(_) | None => {
                    let fault = format!("must be 1 to {}", Self::AIRTIME_PERMILLE_MAX);
                    return Err(Problem::invalid_field("admission.airtime_permille", fault));
                }
            },
        };
        Ok(AdmissionPolicy { mode, airtime })
    }
}

impl From<AdmissionPolicy> for Admission {
    fn from(policy: AdmissionPolicy) -> Self {
        Self {
            mode: policy.mode.word().to_owned(),
            airtime_permille: policy.airtime.map(|budget| budget.0.get()),
        }
    }
}

/// How many tasks are in each state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// 等待.
    pending: u64,
    /// 运行中.
    running: u64,
    /// 成功.
    succeeded: u64,
    /// 失败.
    failed: u64,
    /// 停止.
    stopped: u64,
}

impl From<(Campaign, TaskCounts)> for CampaignView {
    fn from((campaign, counts): (Campaign, TaskCounts)) -> Self {
        let targets = campaign.targets;
        let policy = campaign.policy;
        Self {
            id: campaign.id.0,
            name: campaign.name,
            state: campaign.state.word(),
            package_id: campaign.package.0,
            targets: Targets {
                groups: targets.groups.iter().map(|group| group.0).collect(),
                devices: targets.devices.iter().map(ToString::to_string).collect(),
                filter: targets.filter,
                allow: targets
                    .allow
                    .map(|allow| allow.iter().map(ToString::to_string).collect()),
                deny: targets.deny.iter().map(ToString::to_string).collect(),
                dynamic: targets.dynamic,
            },
            retry: Retry::of(campaign.retry, policy.retry),
            downgrade: campaign.downgrade.map(|allowed| Downgrade {
                by: allowed.by,
                reason: allowed.reason,
            }),
            admission: campaign.admission.map(Admission::from),
            start_at: policy.schedule.start_at.map(fields::time),
            end_at: policy.schedule.end_at.map(fields::time),
            window: WindowField::of(&policy.schedule),
            trial: policy.rollout.trial.clone(),
            phases: policy.rollout.phases.iter().map(Phase::from).collect(),
            approval_required: policy.rollout.approval_required,
            preconditions: policy.conditions.preconditions.into(),
            consent: policy.conditions.consent.word(),
            consent_text: policy.conditions.consent_text.map(Into::into),
            consented_at: campaign.consented_at.map(fields::time),
            severity: policy.conditions.severity.map(|severity| severity.word()),
            defer_seconds_max: policy.conditions.defer_seconds_max,
            waiting_room: policy.waiting_room.map(Into::into),
            starts_per_minute_max: policy.governors.starts_per_minute_max,
            error_threshold: policy.governors.error_threshold.map(Into::into),
            rollout: RolloutView::of(&policy.rollout, &campaign.rollout),
            created_by: campaign.created_by,
            counts: Counts {
                pending: counts.pending,
                running: counts.running,
                succeeded: counts.succeeded,
                failed: counts.failed,
                stopped: counts.stopped,
            },
            created_at: fields::time(campaign.created_at),
            activated_at: campaign.activated_at.map(fields::time),
            ended_at: campaign.ended_at.map(fields::time),
            archived_at: campaign.archived_at.map(fields::time),
        }
    }
}
