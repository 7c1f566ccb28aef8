//! A campaign as it is shown.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::Problem;
use crate::http::fields;
use crate::model::{AdmissionMode, AdmissionPolicy, AirtimePermille, Campaign, RetryPolicy};
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

/// Who a campaign is for: the devices of the groups, and single devices.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Targets {
    /// Numbers of groups.
    #[serde(default)]
    pub(super) groups: Vec<u64>,
    /// Endpoint client names.
    #[serde(default)]
    pub(super) devices: Vec<String>,
}

/// 重试策略: when a failed task is tried again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// 重试次数: 0 to 5.
    #[schema(maximum = 5)]
    pub(super) retries_max: u8,
    /// 重试时间: how long after a failure.
    #[schema(maximum = 604_800)]
    pub(super) delay_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        RetryPolicy::default().into()
    }
}

impl From<RetryPolicy> for Retry {
    fn from(policy: RetryPolicy) -> Self {
        Self {
            retries_max: policy.retries_max,
            delay_seconds: policy.delay.as_secs(),
        }
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
        Self {
            id: campaign.id.0,
            name: campaign.name,
            state: campaign.state.word(),
            package_id: campaign.package.0,
            targets: Targets {
                groups: targets.groups.iter().map(|group| group.0).collect(),
                devices: targets.devices.iter().map(ToString::to_string).collect(),
            },
            retry: campaign.retry.into(),
            downgrade: campaign.downgrade.map(|allowed| Downgrade {
                by: allowed.by,
                reason: allowed.reason,
            }),
            admission: campaign.admission.map(Admission::from),
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
        }
    }
}
