//! What people are told of an event.

use super::step_text;
use crate::model::{CampaignState, EventKind, Happening, Language, Milestone};

/// What an event of this kind means.
pub const fn event_text(kind: EventKind, language: Language) -> &'static str {
    let [english, chinese] = match kind {
        EventKind::Task(step) => return step_text(step, language),
        EventKind::Campaign(state) => of_state(state),
        EventKind::Rollout(milestone) => of_milestone(milestone),
        EventKind::Other(happening) => of_happening(happening),
    };
    match language {
        Language::En => english,
        Language::Zh => chinese,
    }
}

const fn of_state(state: CampaignState) -> [&'static str; 2] {
    match state {
        CampaignState::Draft => ["The campaign is a draft.", "升级任务为草稿。"],
        CampaignState::Scheduled => [
            "The campaign is active and waits for its start.",
            "升级任务已激活,等待开始时间。",
        ],
        CampaignState::Running => ["The campaign runs.", "升级任务正在进行。"],
        CampaignState::Paused => [
            "The campaign is paused: what has begun goes on.",
            "升级任务已暂停,已开始的升级继续进行。",
        ],
        CampaignState::Stopped => [
            "The campaign was stopped.",
            "升级任务已被停止,不再开始新的升级。",
        ],
        CampaignState::Succeeded => [
            "The campaign has ended: every device was updated.",
            "升级任务已结束,全部设备升级成功。",
        ],
        CampaignState::Failed => [
            "The campaign has ended: not every device was updated.",
            "升级任务已结束,部分设备未升级成功。",
        ],
    }
}

const fn of_milestone(milestone: Milestone) -> [&'static str; 2] {
    match milestone {
        Milestone::TrialOpened => [
            "The trial begins: one device is updated before all others.",
            "固件验证开始:先升级一台设备。",
        ],
        Milestone::TrialPassed => ["The trial has passed.", "固件验证通过。"],
        Milestone::TrialFailed => [
            "The trial has failed: no other device begins.",
            "固件验证失败,其他设备不再开始升级。",
        ],
        Milestone::PhaseOpened => ["A phase of the rollout begins.", "分批升级的一个阶段开始。"],
        Milestone::PhasePassed => [
            "A phase of the rollout has come to what the next one asks for.",
            "分批升级的一个阶段已达到进入下一阶段的条件。",
        ],
        Milestone::PhaseFailed => [
            "A phase of the rollout has not come to what the next one asks for.",
            "分批升级的一个阶段未达到进入下一阶段的条件。",
        ],
        Milestone::SoakBegun => [
            "The devices that were updated are watched for a while.",
            "开始观察已升级设备的上报情况。",
        ],
        Milestone::SoakPassed => [
            "The devices that were updated have reported as they should.",
            "已升级设备上报正常,观察期通过。",
        ],
        Milestone::ApprovalAsked => [
            "Somebody has to approve the next phase.",
            "下一阶段等待审批。",
        ],
        Milestone::ApprovalGiven => ["It was approved.", "审批已通过。"],
        Milestone::Resumed => [
            "The campaign goes on after a pause.",
            "升级任务已从暂停中恢复。",
        ],
        Milestone::Halted => [
            "The campaign is halted: nothing begins, and no device is told to install.",
            "升级任务已紧急停止:不再开始新的升级,也不再下发升级指令。",
        ],
        Milestone::ErrorThresholdReached => [
            "Too many devices of the campaign have failed.",
            "升级任务的失败设备数已达到阈值。",
        ],
    }
}

const fn of_happening(happening: Happening) -> [&'static str; 2] {
    match happening {
        Happening::CampaignCreated => ["A campaign was created.", "已创建升级任务。"],
        Happening::CampaignDeleted => ["A campaign was deleted.", "已删除升级任务。"],
        Happening::DeviceCreated => ["A device was entered.", "已录入设备。"],
        Happening::DevicesImported => ["Devices were imported.", "已批量导入设备。"],
        Happening::DeviceRegistered => ["The device has registered.", "设备已注册。"],
        Happening::DeviceLost => [
            "The registration of the device has ended.",
            "设备注册已失效。",
        ],
        Happening::BarLifted => [
            "The device may be updated again.",
            "已解除设备的禁止升级状态。",
        ],
        Happening::DeviceDeleted => ["A device was deleted.", "已删除设备。"],
        Happening::KeyCreated => ["A key was entered.", "已录入密钥。"],
        Happening::KeyRetired => [
            "A key was retired: it verifies no new packages.",
            "密钥已停用,不再验证新固件包。",
        ],
        Happening::KeyRevoked => [
            "A key was revoked: its packages are blocked.",
            "密钥已吊销,其固件包已被禁用。",
        ],
        Happening::PackageAccepted => ["A package was accepted.", "固件包已通过验证并入库。"],
        Happening::PackageDeleted => ["A package was deleted.", "已删除固件包。"],
        Happening::WebhookDisabled => [
            "The receiver of a webhook wants no more: the webhook is disabled.",
            "接收方拒绝继续接收,webhook 已停用。",
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_of_event_has_a_sentence_of_its_own_in_each_language() {
        let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        for &language in Language::ALL {
            let texts: BTreeSet<_> = EventKind::all()
                .map(|kind| event_text(kind, language))
                .collect();
            assert_eq!(texts.len(), EventKind::all().count());
            for text in texts {
                assert!(text.ends_with(['.', '。']), "{text}");
                let of_language = text.chars().any(is_chinese) == (language == Language::Zh);
                assert!(of_language, "{text}");
            }
        }
    }
}
