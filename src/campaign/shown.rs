//! A task's row as it stands now. What a campaign as a whole waits for is not written to each of its tasks:
//! of one that has not begun, the campaign says it.

use std::time::Duration;

use super::Timetable;
use super::next_action::next_action;
use crate::clock::Utc;
use crate::model::{
    Campaign, CampaignState, Consent, Language, NextAction, PauseReason, RolloutStep, TaskState,
    UpdateTask, WaitingFor,
};

/// A task, and what of its campaign is to be said of its wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTask {
    /// With what it waits for now, since when and until when.
    pub task: UpdateTask,
    /// What holds it up.
    pub hold: Option<Hold>,
    /// Of one that failed because its device was barred: whether it no longer is.
    pub bar_is_lifted: bool,
}

impl ShownTask {
    /// What an operator can do about it.
    pub fn next_action(&self) -> NextAction {
        if let Some(hold) = &self.hold {
            return hold.next_action();
        }
        let action = next_action(&self.task);
        if action == NextAction::LiftBar && self.bar_is_lifted {
            NextAction::Retry
        } else {
            action
        }
    }
}

/// What of its campaign a task waits for: more than the word of [`WaitingFor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The campaign is paused.
    Paused(PauseReason),
    /// An earlier phase of its rollout runs.
    Phase(EarlierPhase),
}

/// The phase of a rollout that runs, while a task of a later one waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierPhase {
    /// Which, from 0.
    phase: u16,
    /// Which the task is in.
    own: u16,
    /// What the one that runs is about.
    step: RolloutStep,
    /// Since when.
    since: Utc,
    /// When its soak is over.
    soaked_at: Option<Utc>,
}

/// A campaign whose tasks are shown.
#[derive(Clone, Debug)]
pub struct TaskShower<'a> {
    /// As it is.
    pub campaign: &'a Campaign,
    /// Its schedule.
    pub timetable: Timetable,
    /// How long its devices have to be heard.
    pub contact_timeout: Duration,
    /// Whether its devices have something to fetch from.
    pub has_base: bool,
}

impl TaskShower<'_> {
    /// A task as it stands at `now`.
    pub fn show(&self, task: UpdateTask, now: Utc) -> ShownTask {
        let task = self.since_activation(task);
        let is_active = self.campaign.state.is_active();
        let task = match task.waiting_for {
            Some(WaitingFor::Contact) if is_active && task.state == TaskState::Pending => {
                self.unbegun(task, now)
            }
            Some(_) | None => task,
        };
        let hold = self.hold(&task).filter(|_| is_active);
        let until = match &hold {
            Some(Hold::Phase(it)) => it.soaked_at.filter(|_| self.is_next(it.own)),
            Some(Hold::Paused(_)) | None => task.until,
        };
        let task = UpdateTask { until, ..task };
        ShownTask {
            task,
            hold,
            bar_is_lifted: false,
        }
    }

    /// A row is not written at the activation, which is one small commit however many tasks there are.
    fn since_activation(&self, task: UpdateTask) -> UpdateTask {
        match (task.waiting_for, self.campaign.activated_at) {
            (Some(WaitingFor::Activation), Some(activated_at)) => UpdateTask {
                waiting_for: Some(WaitingFor::Contact),
                since: activated_at.max(task.since),
                until: None,
                ..task
            },
            _ => task,
        }
    }

    /// What a task waits for that could begin if its device spoke: in the order in which the engine would
    /// ask. Rows are not written either where the campaign is paused, goes on, or its window closes.
    fn unbegun(&self, task: UpdateTask, now: Utc) -> UpdateTask {
        let rollout = &self.campaign.rollout;
        let gate = |waiting_for, since, until| UpdateTask {
            waiting_for: Some(waiting_for),
            since,
            until,
            ..task.clone()
        };
        if self.campaign.state == CampaignState::Paused {
            let since = rollout.paused_since().unwrap_or(task.since);
            return gate(WaitingFor::Paused, since.max(task.since), None);
        }
        if let Some((waiting_for, until)) = self.timetable.waiting_for(now) {
            return gate(waiting_for, task.since, until);
        }
        if task.rollout_phase > rollout.phase {
            return gate(WaitingFor::RolloutPhase, task.since, None);
        }
        let task = self.with_its_time(task);
        if self.lacks_consent(&task) {
            return UpdateTask {
                waiting_for: Some(WaitingFor::Consent),
                ..task
            };
        }
        if !self.has_base {
            return UpdateTask {
                waiting_for: Some(WaitingFor::DownloadBase),
                until: None,
                ..task
            };
        }
        task
    }

    /// Since when and until when the device of a task is waited for. The time of all that were never tried
    /// begins anew with their phase, and where the campaign was resumed.
    fn with_its_time(&self, task: UpdateTask) -> UpdateTask {
        let is_untried = task.attempt == 0 && task.retry_at.is_none();
        let of_campaign = self.campaign.rollout.contact_since();
        let since = of_campaign
            .filter(|_| is_untried)
            .map_or(task.since, |since| since.max(task.since));
        let time = match (is_untried, task.until) {
            (false, Some(until)) => until.saturating_since(task.since),
            (true, _) | (false, None) => self.contact_timeout,
        };
        let until = match self.timetable.is_always() {
            true => Some(since + time),
            false => self
                .timetable
                .after_open(since, time)
                .or_else(|| self.timetable.end_at()),
        };
        UpdateTask {
            since,
            until,
            ..task
        }
    }

    fn lacks_consent(&self, task: &UpdateTask) -> bool {
        self.campaign.policy.conditions.consent == Consent::Confirmed
            && self.campaign.consented_at.is_none()
            && task.consented_at.is_none()
    }

    fn hold(&self, task: &UpdateTask) -> Option<Hold> {
        match task.waiting_for {
            Some(WaitingFor::Paused) => self.campaign.rollout.paused.map(Hold::Paused),
            Some(WaitingFor::RolloutPhase) if task.rollout_phase > self.campaign.rollout.phase => {
                Some(Hold::Phase(self.earlier_phase(task)))
            }
            Some(_) | None => None,
        }
    }

    fn earlier_phase(&self, task: &UpdateTask) -> EarlierPhase {
        let rollout = &self.campaign.rollout;
        let begun = (rollout.since_unix_ms > 0).then(|| rollout.since());
        let gate = self.campaign.policy.rollout.gate_after(rollout.phase);
        let soak = gate.map(|gate| Duration::from_secs(u64::from(gate.soak_hours) * 3600));
        let soaks = rollout.step == RolloutStep::Soaking;
        EarlierPhase {
            phase: rollout.phase,
            own: task.rollout_phase,
            step: rollout.step,
            since: begun.or(self.campaign.activated_at).unwrap_or(task.since),
            soaked_at: soak.filter(|_| soaks).map(|soak| rollout.since() + soak),
        }
    }

    /// Whether nothing but the soak of the running phase stands before this one.
    fn is_next(&self, phase: u16) -> bool {
        let rollout = &self.campaign.rollout;
        let gate = self.campaign.policy.rollout.gate_after(rollout.phase);
        phase == rollout.phase.saturating_add(1) && gate.is_some_and(|gate| !gate.approval_required)
    }
}

impl Hold {
    /// What is to be said beyond the wait's own text.
    pub fn text(&self, language: Language) -> String {
        match self {
            Self::Paused(reason) => pause_text(*reason, language).to_owned(),
            Self::Phase(phase) => phase.text(language),
        }
    }

    /// What an operator can do about it.
    pub const fn next_action(&self) -> NextAction {
        match self {
            Self::Paused(_) => NextAction::Resume,
            Self::Phase(phase) => match phase.step {
                RolloutStep::AwaitingApproval => NextAction::ApprovePhase,
                RolloutStep::Updating | RolloutStep::Soaking => NextAction::Wait,
            },
        }
    }
}

impl EarlierPhase {
    fn text(&self, language: Language) -> String {
        let Self {
            phase, own, since, ..
        } = self;
        let soaked_at = self.soaked_at.unwrap_or(self.since);
        let [english, chinese] = match self.step {
            RolloutStep::Updating => [
                format!("The devices of phase {phase} are being updated since {since}."),
                format!("第 {phase} 阶段自 {since} 起正在升级。"),
            ],
            RolloutStep::Soaking => [
                format!(
                    "The updated devices of phase {phase} have to report as they should since {since}, until \
                     {soaked_at} at least."
                ),
                format!("第 {phase} 阶段已升级的设备自 {since} 起须正常上报,至少至 {soaked_at}。"),
            ],
            RolloutStep::AwaitingApproval => [
                format!(
                    "Phase {phase} is done, and since {since} an approver has to let the next one begin."
                ),
                format!("第 {phase} 阶段已完成,自 {since} 起等待审批人批准下一阶段。"),
            ],
        };
        match language {
            Language::En => format!("{english} The device is in phase {own}."),
            Language::Zh => format!("{chinese}该设备属于第 {own} 阶段。"),
        }
    }
}

const fn pause_text(reason: PauseReason, language: Language) -> &'static str {
    let [english, chinese] = match reason {
        PauseReason::Operator => ["Somebody paused it.", "由操作员暂停。"],
        PauseReason::Halted => [
            "Somebody halted it: no device is told to install either.",
            "已被紧急停止:也不向任何设备下发安装指令。",
        ],
        PauseReason::PhaseErrors => [
            "It paused by itself: too many tasks of a phase have failed. Resumed, it lets those failures pass.",
            "因某阶段失败数超限而自动暂停;恢复即忽略这些失败。",
        ],
        PauseReason::PhaseSuccesses => [
            "It paused by itself: a phase has ended with too few successes for the next. Resumed, it goes on to \
             that all the same.",
            "因某阶段成功数不足而自动暂停;恢复后仍将进入下一阶段。",
        ],
        PauseReason::Soak => [
            "It paused by itself: devices of a phase did not report as they should after their update. Resumed, \
             it lets that pass.",
            "因某阶段设备升级后未正常上报而自动暂停;恢复即忽略此情况。",
        ],
        PauseReason::ErrorThreshold => [
            "It paused by itself: too many of all its tasks have failed. Resumed, it lets those failures pass.",
            "因任务失败总数超限而自动暂停;恢复即忽略这些失败。",
        ],
    };
    match language {
        Language::En => english,
        Language::Zh => chinese,
    }
}
