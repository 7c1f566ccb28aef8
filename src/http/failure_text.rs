//! What a failed task is said to have failed of, in both languages.

use super::language::Language;
use crate::model::FailureReason;

/// The text of a reason. Where the carriers have a sentence of their own (carrier flows §3.5), the
/// English text begins with it.
pub(super) fn failure_text(reason: FailureReason, language: Language) -> &'static str {
    language.of(texts(reason))
}

const fn texts(reason: FailureReason) -> [&'static str; 2] {
    match reason {
        FailureReason::DeviceOffline => [
            "Device Abnormal is not online: a request was not answered while the device should listen",
            "设备异常不在线：设备应当在线时未应答请求",
        ],
        FailureReason::TaskConflict => [
            "Task Conflict: the device is in another running task",
            "任务冲突：设备正在执行其他任务",
        ],
        FailureReason::ContactTimeout => {
            ["Waiting for the device online timeout", "等待设备上线超时"]
        }
        FailureReason::VersionTimeout => [
            "Waiting for report device firmware version timeout",
            "等待设备上报固件版本超时",
        ],
        FailureReason::CellUnknown => [
            "Waiting for report cellId timeout: the cell id could not be read",
            "等待上报小区ID超时：无法读取小区ID",
        ],
        FailureReason::DownloadStalled => [
            "Waiting for device downloaded package timeout: no block was fetched for too long",
            "等待设备下载固件包超时：长时间没有请求数据块",
        ],
        FailureReason::ResultTimeout => [
            "Wait for the device to report upgrade result timeout",
            "等待设备上报升级结果超时",
        ],
        FailureReason::VerificationTimeout => [
            "Updating timeout and query device version for check timeout",
            "升级超时，查询设备版本进行校验超时",
        ],
        FailureReason::VersionMismatch => [
            "Firmware update failed: the device runs another version than the target",
            "固件升级失败：设备版本与目标版本不一致",
        ],
        FailureReason::NoSpace => [
            "Not enough storage for the new firmware package",
            "设备存储空间不足，无法保存新固件包",
        ],
        FailureReason::OutOfMemory => [
            "Out of memory during downloading process",
            "下载过程中内存不足",
        ],
        FailureReason::ConnectionLost => [
            "Connection lost during downloading process",
            "下载过程中连接断开",
        ],
        FailureReason::IntegrityCheckFailed => [
            "Integrity check failure for new downloaded package",
            "新固件包完整性校验失败",
        ],
        FailureReason::UnsupportedPackage => ["Unsupported package type", "不支持的固件包类型"],
        FailureReason::InvalidUri => ["Invalid URI", "无效的下载地址"],
        FailureReason::UpdateFailed => ["Firmware update failed", "固件升级失败"],
        FailureReason::UnsupportedProtocol => [
            "The device does not support the protocol of the download",
            "设备不支持该下载协议",
        ],
        FailureReason::Cancelled => ["The device cancelled the update", "设备取消了升级"],
        FailureReason::Barred => [
            "Too many updates in one day: barred until an operator lifts it",
            "已禁止升级：一天内升级次数过多，需由操作员解除",
        ],
        FailureReason::NotEligible => ["The device does not fit the package", "设备与固件包不匹配"],
        FailureReason::Stopped => ["An operator stopped it", "操作员已停止"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_text_in_both_languages() {
        for language in [Language::English, Language::Chinese] {
            let texts: std::collections::BTreeSet<_> = FailureReason::ALL
                .iter()
                .map(|&reason| failure_text(reason, language))
                .collect();
            assert_eq!(texts.len(), FailureReason::ALL.len());
        }
    }
}
