//! Campaigns: one package for many devices.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::words::words;
use super::{AdmissionPolicy, CampaignPolicy, EndpointName, PackageId, RolloutState};
use crate::clock::Utc;

/// A campaign's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CampaignId(pub u64);

/// A device group's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

words! {
    /// Where a campaign is in its life.
    pub enum CampaignState {
        /// Made, not started; may be changed and deleted.
        Draft = "draft",
        /// Activated, its start lies ahead.
        Scheduled = "scheduled",
        /// Tasks run.
        Running = "running",
        /// Nothing new starts; what runs goes on.
        Paused = "paused",
        /// Ended by an operator.
        Stopped = "stopped",
        /// Ended; every task succeeded.
        Succeeded = "succeeded",
        /// Ended; a task failed.
        Failed = "failed",
    }
}

/// An action that the campaign's state does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a campaign that is {from} cannot be {action}")]
pub struct InvalidTransition {
    /// The state it is in.
    pub from: CampaignState,
    /// What was asked: `activated`, `stopped`, `paused`, `resumed`, `deleted`.
    pub action: &'static str,
}

impl CampaignState {
    /// 激活计划.
    ///
    /// # Errors
    /// Unless the campaign is a draft.
    pub fn activate(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Draft => Ok(Self::Running),
            from @ (Self::Scheduled
            | Self::Running
            | Self::Paused
            | Self::Stopped
            | Self::Succeeded
            | Self::Failed) => Err(InvalidTransition {
                from,
                action: "activated",
            }),
        }
    }

    /// Nothing new starts until it is resumed.
    ///
    /// # Errors
    /// Unless it is scheduled or runs.
    pub fn pause(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Scheduled | Self::Running => Ok(Self::Paused),
            from
            @ (Self::Draft | Self::Paused | Self::Stopped | Self::Succeeded | Self::Failed) => {
                Err(InvalidTransition {
                    from,
                    action: "paused",
                })
            }
        }
    }

    /// Its next phase is let begin.
    ///
    /// # Errors
    /// Unless it is scheduled or runs.
    pub fn go_on(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Scheduled | Self::Running => Ok(self),
            from
            @ (Self::Draft | Self::Paused | Self::Stopped | Self::Succeeded | Self::Failed) => {
                Err(InvalidTransition {
                    from,
                    action: "taken to its next phase",
                })
            }
        }
    }

    /// It goes on.
    ///
    /// # Errors
    /// Unless it is paused.
    pub fn resume(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Paused => Ok(Self::Running),
            from @ (Self::Draft
            | Self::Scheduled
            | Self::Running
            | Self::Stopped
            | Self::Succeeded
            | Self::Failed) => Err(InvalidTransition {
                from,
                action: "resumed",
            }),
        }
    }

    /// Ends it by hand.
    ///
    /// # Errors
    /// Unless it is active.
    pub fn stop(self) -> Result<Self, InvalidTransition> {
        if self.is_active() {
            Ok(Self::Stopped)
        } else {
            Err(InvalidTransition {
                from: self,
                action: "stopped",
            })
        }
    }

    /// Tries failed tasks again: an active campaign goes on as it is, and one that has ended runs again.
    /// `is_at_work` says whether it has tasks that have not ended.
    ///
    /// # Errors
    /// Of a draft, and of one that is being stopped.
    pub fn retry(self, is_at_work: bool) -> Result<Self, InvalidTransition> {
        match self {
            Self::Scheduled | Self::Running | Self::Paused => Ok(self),
            Self::Stopped | Self::Succeeded | Self::Failed if !is_at_work => Ok(Self::Running),
            from @ (Self::Draft | Self::Stopped | Self::Succeeded | Self::Failed) => {
                Err(InvalidTransition {
                    from,
                    action: "retried",
                })
            }
        }
    }

    /// Puts it away, or takes it out again: a draft or an ended campaign.
    ///
    /// # Errors
    /// While it is active.
    pub fn archive(self) -> Result<(), InvalidTransition> {
        if self.is_active() {
            Err(InvalidTransition {
                from: self,
                action: "archived; stop it first",
            })
        } else {
            Ok(())
        }
    }

    /// Whether it may be taken away: a draft or an ended campaign.
    ///
    /// # Errors
    /// While it is active: an activated plan must be stopped first.
    pub fn delete(self) -> Result<(), InvalidTransition> {
        if self.is_active() {
            Err(InvalidTransition {
                from: self,
                action: "deleted; stop it first",
            })
        } else {
            Ok(())
        }
    }

    /// Whether its tasks may run or wait to run.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Scheduled | Self::Running | Self::Paused)
    }
}

words! {
    /// How a campaign, or the update of one device, is stopped.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum StopMode {
        /// What has begun may end, as it would have; what waits is stopped.
        Soft = "soft",
        /// What fetches is cancelled, and no device is told to install any more. One that was told
        /// already is followed to its end.
        Hard = "hard",
    }
}

/// 重试策略. Only failed tasks are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// 重试次数: how many attempts follow a failed first one, 0 to 5.
    pub retries_max: u8,
    /// 重试时间: how long after a failure the next attempt may begin.
    pub delay: Duration,
}

impl RetryPolicy {
    /// The largest `retries_max` (carriers: 1 to 5).
    pub const RETRIES_MAX: u8 = 5;
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries_max: 0,
            delay: Duration::from_secs(120),
        }
    }
}

/// An administrator lets a campaign give devices a lower [`sequence`](super::Package::sequence) than
/// they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DowngradeAllowed {
    /// Name of the administrator's token.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Who a campaign is for, before it is resolved into tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignTargets {
    /// Whole groups.
    pub groups: Vec<GroupId>,
    /// Single devices.
    pub devices: Vec<EndpointName>,
    /// Finds devices that are asked for beside these.
    pub filter: Option<String>,
    /// 白名单: of those asked for, only these; `None`: all.
    pub allow: Option<Vec<EndpointName>>,
    /// 黑名单: never these. It goes before `allow`.
    pub deny: Vec<EndpointName>,
    /// Whether devices that match later are taken in while the campaign is active.
    pub dynamic: bool,
}

/// 批量任务, 升级计划: one package for many devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its number.
    pub id: CampaignId,
    /// 任务名称, at most 50 characters.
    pub name: String,
    /// What is installed.
    pub package: PackageId,
    /// Who was asked for.
    pub targets: CampaignTargets,
    /// When a failed task is tried again.
    pub retry: RetryPolicy,
    /// Who let it downgrade devices, if anybody did.
    pub downgrade: Option<DowngradeAllowed>,
    /// How its devices are admitted to their cells; `None`: as the server's settings say.
    pub admission: Option<AdmissionPolicy>,
    /// What else is wanted of it.
    pub policy: CampaignPolicy,
    /// How far its rollout is.
    pub rollout: RolloutState,
    /// Who made it: the name of a token; empty where that was not kept.
    pub created_by: String,
    /// Where it is in its life.
    pub state: CampaignState,
    /// When it was made.
    pub created_at: Utc,
    /// When it was activated.
    pub activated_at: Option<Utc>,
    /// When it ended.
    pub ended_at: Option<Utc>,
    /// When somebody agreed for all its devices, where it wants that.
    pub consented_at: Option<Utc>,
    /// When it was put away: it is no longer among those that are listed.
    pub archived_at: Option<Utc>,
}

impl Campaign {
    /// The most characters of a name (carrier flows §3.6).
    pub const NAME_CHARS_MAX: usize = 50;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_draft_is_activated() {
        for &state in CampaignState::ALL {
            assert_eq!(
                state.activate().is_ok(),
                state == CampaignState::Draft,
                "{state}"
            );
        }
    }

    #[test]
    fn what_is_paused_is_resumed_and_nothing_else() {
        for &state in CampaignState::ALL {
            let runs = matches!(state, CampaignState::Scheduled | CampaignState::Running);
            assert_eq!(state.pause().is_ok(), runs, "{state}");
            let paused = state == CampaignState::Paused;
            assert_eq!(state.resume().is_ok(), paused, "{state}");
        }
    }

    #[test]
    fn only_an_active_campaign_is_stopped_and_only_another_deleted() {
        for &state in CampaignState::ALL {
            assert_eq!(state.stop().is_ok(), state.is_active(), "{state}");
            assert_eq!(state.delete().is_ok(), !state.is_active(), "{state}");
        }
    }
}
