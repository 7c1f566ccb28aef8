//! What to do about a task: by what it waits for, or by why it failed.

use crate::model::{FailureReason, Language, NextAction, TaskState, UpdateTask, WaitingFor};

/// What an operator can do about a task, if anything.
pub fn next_action(task: &UpdateTask) -> NextAction {
    let reason = task.failure.as_ref().map(|failure| failure.reason);
    match task.state {
        TaskState::Succeeded => NextAction::None,
        TaskState::Failed | TaskState::Stopped => {
            reason.map_or(NextAction::CreateCampaign, next_action_after)
        }
        TaskState::Pending | TaskState::Running => {
            task.waiting_for.map_or(NextAction::Wait, next_action_of)
        }
    }
}

/// What an operator can do about a wait.
pub(super) const fn next_action_of(waiting_for: WaitingFor) -> NextAction {
    match waiting_for {
        WaitingFor::Activation => NextAction::Activate,
        WaitingFor::Contact => NextAction::BringIntoContact,
        WaitingFor::Slot => NextAction::RaiseCellLimit,
        WaitingFor::Condition => NextAction::MeetConditions,
        WaitingFor::Consent => NextAction::Consent,
        WaitingFor::Deferred => NextAction::AskUser,
        WaitingFor::Paused => NextAction::Resume,
        WaitingFor::Rate => NextAction::RaiseRate,
        WaitingFor::Flapping => NextAction::SeparateDevices,
        WaitingFor::DownloadBase => NextAction::SetDownloadBase,
        WaitingFor::RolloutPhase
        | WaitingFor::Start
        | WaitingFor::Window
        | WaitingFor::Answer
        | WaitingFor::Block
        | WaitingFor::Notification
        | WaitingFor::RetryDelay
        | WaitingFor::Quarantine
        | WaitingFor::Settling => NextAction::Wait,
    }
}

/// What an operator can do about a failure.
pub const fn next_action_after(reason: FailureReason) -> NextAction {
    match reason {
        FailureReason::DeviceOffline
        | FailureReason::ContactTimeout
        | FailureReason::DownloadStalled
        | FailureReason::ResultTimeout
        | FailureReason::VerificationTimeout
        | FailureReason::OutOfMemory
        | FailureReason::ConsentMissing
        | FailureReason::ConnectionLost => NextAction::Retry,
        FailureReason::VersionTimeout
        | FailureReason::CellUnknown
        | FailureReason::VersionMismatch
        | FailureReason::NoSpace
        | FailureReason::IntegrityCheckFailed
        | FailureReason::UnsupportedPackage
        | FailureReason::InvalidUri
        | FailureReason::UpdateFailed
        | FailureReason::UnsupportedProtocol
        | FailureReason::Cancelled => NextAction::MendAndRetry,
        FailureReason::TaskConflict => NextAction::EndOtherCampaign,
        FailureReason::Barred => NextAction::LiftBar,
        FailureReason::Flapping => NextAction::SeparateDevices,
        FailureReason::NotEligible => NextAction::MendDevice,
        FailureReason::ConditionUnmet => NextAction::MeetConditions,
        FailureReason::Stopped | FailureReason::CampaignEnded => NextAction::CreateCampaign,
        FailureReason::KeyRevoked => NextAction::SignAnew,
    }
}

/// What to do, in words.
#[expect(clippy::too_many_lines, reason = "a table, one row an action")]
pub const fn next_action_text(action: NextAction, language: Language) -> &'static str {
    let [english, chinese] = match action {
        NextAction::None => ["There is nothing to do.", "无需操作。"],
        NextAction::Wait => [
            "There is nothing to do: what is waited for comes by itself, or its time will be over.",
            "无需操作:等待的事件会自动发生,或到期后自动处理。",
        ],
        NextAction::EnterDevice => [
            "Enter the device, with the name under which it registers.",
            "请按设备注册时使用的终端标识添加该设备。",
        ],
        NextAction::MendDevice => [
            "Enter of the device what is missing or not right, or choose a package that is for it; then \
             make a campaign for it.",
            "请补全或更正设备信息,或选用适用的固件包,然后为其新建升级任务。",
        ],
        NextAction::CreateCampaign => [
            "To update it, make a campaign that it is in.",
            "如需升级,请新建包含该设备的升级任务。",
        ],
        NextAction::Activate => ["Activate the campaign.", "请激活升级任务。"],
        NextAction::Resume => ["Resume the campaign.", "请恢复升级任务。"],
        NextAction::ApprovePhase => [
            "Have an approver let the next phase of the campaign begin.",
            "请由审批人批准升级任务进入下一阶段。",
        ],
        NextAction::ChangeTargets => [
            "Make a campaign whose targets and lists let the device in.",
            "请新建升级任务,并在目标及黑白名单中包含该设备。",
        ],
        NextAction::SetDownloadBase => [
            "Say in the settings where devices fetch from ([coap] public_host, or [device_http] for HTTP), and \
             start the server anew.",
            "请在配置中指定设备下载地址 ([coap] public_host,HTTP 为 [device_http]),并重启平台。",
        ],
        NextAction::BringIntoContact => [
            "Bring the device into contact: have it report something, restart it, or check its power and \
             coverage.",
            "请使设备上线:触发其上报数据或重启设备,并检查供电和信号覆盖。",
        ],
        NextAction::RaiseCellLimit => [
            "Wait for its turn, or raise the limit of the cell ([cells] in the settings).",
            "请等待排队,或提高该小区的并发上限 (配置 [cells])。",
        ],
        NextAction::RaiseRate => [
            "Wait for its turn, or raise the rate of starts of the campaign or of the server.",
            "请等待,或提高任务或平台单位时间内可开始的升级数。",
        ],
        NextAction::MeetConditions => [
            "Charge the device, move it to better coverage or free memory on it, or make a campaign that \
             asks for less.",
            "请为设备充电、改善信号或清理存储空间,或新建条件较低的升级任务。",
        ],
        NextAction::Consent => [
            "Agree to the update of the device.",
            "请确认对该设备的升级。",
        ],
        NextAction::AskUser => [
            "Ask the user of the device to let the installation begin.",
            "请联系设备用户同意安装。",
        ],
        NextAction::SeparateDevices => [
            "Find the devices by the addresses that the device shows (flapping_peers), and give each a name \
             of its own.",
            "请按设备详情中的地址 (flapping_peers) 找到这些设备,为每台配置各自的终端标识。",
        ],
        NextAction::LiftBar => [
            "Find out why it does not keep the new version, then lift the bar.",
            "请先查明设备未保持新版本的原因,再解除禁止。",
        ],
        NextAction::EndOtherCampaign => [
            "Wait until the other campaign of the device has ended or stop it, then try again.",
            "请等待该设备的另一个升级任务结束或将其停止,然后重试。",
        ],
        NextAction::Retry => [
            "Have it tried again once the cause is gone.",
            "原因消除后请重试。",
        ],
        NextAction::MendAndRetry => [
            "Mend what the cause says, then have it tried again; alike it would fail alike.",
            "请先按失败原因处理再重试,直接重试仍会失败。",
        ],
        NextAction::SignAnew => [
            "Sign the firmware with another key of the manufacturer, upload that package and make a campaign.",
            "请用该厂商的其他密钥重新签名固件并上传,然后新建升级任务。",
        ],
    };
    match language {
        Language::En => english,
        Language::Zh => chinese,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::Utc;
    use crate::model::{CampaignId, EndpointName, Failure, TaskId};

    fn task() -> UpdateTask {
        let endpoint = EndpointName::parse("a").unwrap();
        UpdateTask::new(TaskId(1), CampaignId(1), endpoint, Utc::from_unix_ms(0))
    }

    #[test]
    fn each_action_has_a_text_of_its_own_in_each_language() {
        for &language in Language::ALL {
            let texts = NextAction::ALL.iter();
            let texts: BTreeSet<_> = texts.map(|it| next_action_text(*it, language)).collect();
            assert_eq!(texts.len(), NextAction::ALL.len());
            assert!(texts.iter().all(|text| !text.contains("  ")));
        }
    }

    #[test]
    fn what_failed_is_tried_again_only_where_that_helps() {
        for &reason in FailureReason::ALL {
            let failed = UpdateTask {
                state: TaskState::Failed,
                failure: Some(Failure {
                    reason,
                    evidence: String::new(),
                }),
                ..task()
            };
            assert_ne!(next_action(&failed), NextAction::Wait, "{reason}");
        }
        let done = UpdateTask {
            state: TaskState::Succeeded,
            ..task()
        };
        assert_eq!(next_action(&done), NextAction::None);
        assert_eq!(next_action(&task()), NextAction::Activate);
    }
}
