//! A campaign as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::fields;
use crate::model::{Campaign, RetryPolicy};
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
