//! What people are told of a step of an update, of a wait, and of where in the flow a task is.

use crate::model::{Language, Phase, TimelineStep, WaitingFor};

/// What a step of a device's history means.
pub const fn step_text(step: TimelineStep, language: Language) -> &'static str {
    let [english, chinese] = match step {
        TimelineStep::Queued => [
            "The campaign is active and the task waits for its device.",
            "升级任务已激活,等待设备上线。",
        ],
        TimelineStep::Contact => [
            "The device was heard: an attempt begins.",
            "收到设备消息,开始本次升级。",
        ],
        TimelineStep::Negotiated => [
            "Version, update state and signal were read.",
            "已读取设备的版本、升级状态和信号。",
        ],
        TimelineStep::SlotGranted => ["A place in the cell was given.", "已获得小区的升级名额。"],
        TimelineStep::SlotQueued => [
            "No place in the cell was free: the task is in the queue.",
            "小区升级名额已满,任务排队等待。",
        ],
        TimelineStep::Held => [
            "The device is kept awake until a place in its cell is free.",
            "保持设备在线,等待小区升级名额。",
        ],
        TimelineStep::HoldEnded => [
            "The device is no longer kept awake, and has its turn at its next contact.",
            "不再保持设备在线,待其下次上线后继续。",
        ],
        TimelineStep::Observed => ["The update state is observed.", "已订阅升级状态 (/5/0/3)。"],
        TimelineStep::UriWritten => [
            "The device accepted the download address.",
            "设备已接受固件包下载地址。",
        ],
        TimelineStep::DownloadBegun => ["The device fetches the package.", "设备开始下载固件包。"],
        TimelineStep::Downloaded => ["The device has the whole package.", "设备已下载完固件包。"],
        TimelineStep::ExecuteIntended => ["The device is told to install.", "平台下发升级指令。"],
        TimelineStep::ExecuteAnswered => [
            "The device answered that it installs, or took the order without an answer.",
            "设备已应答升级指令,或未应答即开始升级。",
        ],
        TimelineStep::ResultRead => [
            "The result of the update was read.",
            "已读取升级结果 (/5/0/5)。",
        ],
        TimelineStep::VersionRead => [
            "The version was read after the update.",
            "升级后已读取固件版本。",
        ],
        TimelineStep::SlotReleased => [
            "The place in the cell is free again.",
            "已释放小区的升级名额。",
        ],
        TimelineStep::RetryPlanned => ["Another attempt follows.", "稍后将再次尝试升级。"],
        TimelineStep::Succeeded => ["The update has succeeded.", "升级成功。"],
        TimelineStep::Failed => ["The attempt has failed.", "本次升级失败。"],
        TimelineStep::Stopped => ["The task was stopped.", "升级任务已停止。"],
        TimelineStep::ConditionUnmet => [
            "The device does not meet what the campaign asks for, and is looked at again at its next contact.",
            "设备不满足升级条件,将在其下次上线时再次检查。",
        ],
        TimelineStep::Consent => [
            "Somebody decided about the update of this device.",
            "用户已对该设备的升级作出确认或拒绝。",
        ],
        TimelineStep::Deferred => [
            "The device has put the installation off.",
            "设备已推迟安装 (/5/0/5 = 11)。",
        ],
        TimelineStep::Note => ["For the understanding of what follows.", "补充说明。"],
    };
    pick(language, english, chinese)
}

/// Where in the flow a task is.
pub const fn phase_text(phase: Phase, language: Language) -> &'static str {
    let [english, chinese] = match phase {
        Phase::WaitingContact => ["The update has not begun.", "升级尚未开始。"],
        Phase::Negotiating => [
            "Version, update state and signal of the device are read.",
            "正在读取设备的版本、升级状态和信号。",
        ],
        Phase::WaitingSlot => [
            "The device is ready for its update.",
            "设备已就绪,可以升级。",
        ],
        Phase::Downloading => ["The device fetches the package.", "设备正在下载固件包。"],
        Phase::Downloaded => ["The device has the package.", "设备已下载完固件包。"],
        Phase::Executing => ["The device is told to install.", "正在下发升级指令。"],
        Phase::Updating => [
            "The device installs or reboots.",
            "设备正在安装固件或重启。",
        ],
        Phase::Verifying => [
            "Whether the update worked is found out.",
            "正在确认升级结果。",
        ],
        Phase::Done => ["The update has come to its end.", "升级已结束。"],
    };
    pick(language, english, chinese)
}

/// What a task that does not move waits for.
#[expect(clippy::too_many_lines, reason = "a table, one row a wait")]
pub const fn waiting_text(waiting_for: WaitingFor, language: Language) -> &'static str {
    let [english, chinese] = match waiting_for {
        WaitingFor::Activation => [
            "It waits for the campaign to be activated.",
            "等待升级任务被激活。",
        ],
        WaitingFor::Contact => [
            "It waits for a message of the device: a device that sleeps cannot be called.",
            "等待设备上线:休眠中的设备无法被唤醒,须由其主动上报。",
        ],
        WaitingFor::Answer => [
            "It waits for the device to answer a request.",
            "等待设备应答请求。",
        ],
        WaitingFor::Slot => [
            "It waits for a free place among the devices of its cell and signal tier.",
            "等待所在小区和信号等级的升级名额。",
        ],
        WaitingFor::Block => [
            "It waits for the device to fetch the next block of the package.",
            "等待设备下载固件包的下一个分片。",
        ],
        WaitingFor::Notification => [
            "It waits for the device to report how far it is.",
            "等待设备上报升级进度。",
        ],
        WaitingFor::RetryDelay => [
            "An attempt has failed, and it waits for the time of the next one.",
            "上次升级失败,等待下一次重试的时间。",
        ],
        WaitingFor::Quarantine => [
            "The device has fallen silent, and its place in the cell is kept until it can no longer be \
             fetching.",
            "设备失去响应,在确认其不再下载之前保留小区名额。",
        ],
        WaitingFor::Settling => [
            "It waits a moment before the new version is read.",
            "等待设备稳定后读取新版本。",
        ],
        WaitingFor::Condition => [
            "It waits until battery, signal or free memory of the device are what the campaign asks for.",
            "等待设备的电量、信号或剩余空间满足升级条件。",
        ],
        WaitingFor::Consent => [
            "It waits for somebody's consent to the update of this device.",
            "等待对该设备升级的确认。",
        ],
        WaitingFor::Deferred => [
            "The user of the device has put the installation off.",
            "设备用户已推迟安装。",
        ],
        WaitingFor::Start => [
            "It waits for the campaign's start.",
            "等待升级任务到达开始时间。",
        ],
        WaitingFor::Window => [
            "It waits for the campaign's next window.",
            "等待下一个推送时段。",
        ],
        WaitingFor::Paused => ["The campaign is paused.", "升级任务已暂停。"],
        WaitingFor::RolloutPhase => [
            "It waits for the earlier phases of the rollout.",
            "等待前面的分批阶段完成。",
        ],
        WaitingFor::Rate => [
            "It waits because only so many updates may begin in a time.",
            "因单位时间内可开始的升级数受限而等待。",
        ],
        WaitingFor::DownloadBase => [
            "The server does not know under which address devices are to fetch the package, and begins no \
             update until it does.",
            "平台未配置设备下载固件包的地址,在此之前不开始升级。",
        ],
        WaitingFor::Flapping => [
            "Several devices register under this name in turn, and none is updated until that ends.",
            "多台设备以同一终端标识反复抢占注册,在此期间不升级。",
        ],
    };
    pick(language, english, chinese)
}

const fn pick(language: Language, english: &'static str, chinese: &'static str) -> &'static str {
    match language {
        Language::En => english,
        Language::Zh => chinese,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn texts(language: Language) -> Vec<&'static str> {
        let steps = TimelineStep::ALL.iter().map(|it| step_text(*it, language));
        let phases = Phase::ALL.iter().map(|it| phase_text(*it, language));
        let waits = WaitingFor::ALL.iter().map(|it| waiting_text(*it, language));
        steps.chain(phases).chain(waits).collect()
    }

    #[test]
    fn each_step_phase_and_wait_has_a_sentence_in_each_language() {
        let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        for text in texts(Language::En) {
            assert!(text.ends_with('.') && !text.contains("  "), "{text}");
            assert!(!text.chars().any(is_chinese), "{text}");
        }
        for text in texts(Language::Zh) {
            assert!(text.ends_with('。') && !text.contains("  "), "{text}");
            assert!(text.chars().any(is_chinese), "{text}");
        }
    }

    #[test]
    fn no_two_waits_are_told_alike() {
        for &language in Language::ALL {
            let waits = WaitingFor::ALL.iter();
            let told: BTreeSet<_> = waits.map(|it| waiting_text(*it, language)).collect();
            assert_eq!(told.len(), WaitingFor::ALL.len());
        }
    }
}
