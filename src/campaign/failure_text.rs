//! What people are told of a failure: first the carrier's own sentence where there is one, letter by
//! letter in either language (it is what operators know and search for; carrier flows §3.5), then what
//! it means and what to do next.

use crate::model::{FailureReason, Language, SuccessNote};

/// The text of a failure's cause.
pub const fn failure_text(reason: FailureReason, language: Language) -> &'static str {
    match language {
        Language::En => english(reason),
        Language::Zh => chinese(reason),
    }
}

/// The text of what is worth saying of a success.
pub const fn success_note_text(note: SuccessNote, language: Language) -> &'static str {
    match (note, language) {
        (SuccessNote::UpToDate, Language::En) => {
            "The current version is the same as the target version. Nothing was sent to the device."
        }
        (SuccessNote::UpToDate, Language::Zh) => {
            "The current version is the same as the target version。设备已是最新版本,未下发任何内容。"
        }
        (SuccessNote::Unconfirmed, Language::En) => {
            "The device reported success, but its version could not be read to confirm it."
        }
        (SuccessNote::Unconfirmed, Language::Zh) => "设备上报升级成功,但未能读取固件版本加以确认。",
    }
}

#[expect(clippy::too_many_lines, reason = "a table, one row a cause")]
const fn english(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::DeviceOffline => {
            "Device Abnormal is not online. It did not answer while it should have listened: check \
             its coverage and power, then retry the campaign."
        }
        FailureReason::TaskConflict => {
            "Task Conflict. The device is in another running campaign: wait for that one to end or \
             stop it, then retry."
        }
        FailureReason::ContactTimeout => {
            "Waiting for the device online timeout. The device was not heard of: check that it is \
             powered, in coverage and set to this server's address, then retry."
        }
        FailureReason::VersionTimeout => {
            "Waiting for report device firmware version timeout. The device did not answer a read of \
             /3/0/3: check that its client has object 3, then retry."
        }
        FailureReason::CellUnknown => {
            "Waiting for report cellId timeout. Without /4/0/8 the device cannot be counted against \
             its cell: check that its client has object 4 with the cell id, then retry."
        }
        FailureReason::DownloadStalled => {
            "Waiting for device downloaded package timeout. No block was fetched for too long: check \
             coverage, and that devices reach the public host and port, then retry."
        }
        FailureReason::ResultTimeout => {
            "Wait for the device to report upgrade result timeout. The device may still be updating \
             or may not have come back: read its version at its next contact before you retry."
        }
        FailureReason::VerificationTimeout => {
            "Updating timeout and query device version for check timeout. Whether the update worked \
             is not known: read the device's version at its next contact before you retry."
        }
        FailureReason::VersionMismatch => {
            "Firmware update failed (version mismatch). The device reported an end of the update and \
             runs another version than the target: check that the package's target version is what \
             the firmware reports."
        }
        FailureReason::NoSpace => {
            "Not enough storage for the new firmware package. Free space on the device or use a \
             smaller package, such as a delta; a retry would fail alike."
        }
        FailureReason::OutOfMemory => {
            "Out of memory during downloading process. Reboot the device, then retry."
        }
        FailureReason::ConnectionLost => {
            "Connection lost during downloading process. Check coverage in the cell, then retry; the \
             device resumes where it stopped."
        }
        FailureReason::IntegrityCheckFailed => {
            "Integrity check failure for new downloaded package. If it happens on more than one \
             device the package is damaged or is not for this module: build, sign and upload it anew."
        }
        FailureReason::UnsupportedPackage => {
            "Unsupported package type. The module does not take this file: check the model and that \
             a delta starts from the version that the device runs."
        }
        FailureReason::InvalidUri => {
            "Invalid URI. The device could not use the download address: check the public host (an \
             IPv4 address that devices reach) and that the module downloads over CoAP."
        }
        FailureReason::UpdateFailed => {
            "Firmware update failed. The device had the package and could not install it: check its \
             battery and that the package fits its version, then retry."
        }
        FailureReason::UnsupportedProtocol => {
            "Unsupported protocol. The module does not download over the protocol of the address \
             that it was given: set the protocol of its product."
        }
        FailureReason::Cancelled => {
            "Update cancelled on the device. Find out who cancelled it there, then retry."
        }
        FailureReason::Barred => {
            "Update loop: the device was given packages again and again within a short time and is \
             barred. Find out why it does not keep the new version, lift the bar \
             (DELETE /api/v1/devices/{endpoint}/bar), then retry."
        }
        FailureReason::Flapping => {
            "Duplicate endpoint name: several devices registered under this name in turn, and none was \
             updated. Find them by the addresses that the device shows (flapping_peers), give each a name \
             and a key of its own, then retry."
        }
        FailureReason::NotEligible => {
            "The device does not fit the package, or the package may not be installed any more (notAfter). \
             Compare manufacturer, model, device type and source version of both, and enter what is \
             missing for the device; in place of an expired package upload one that is signed anew."
        }
        FailureReason::ConditionUnmet => {
            "The device did not come to what the campaign asks for (battery, signal or free memory) while \
             there was time. See to what the evidence names, then retry, or ask for less."
        }
        FailureReason::ConsentMissing => {
            "Nobody agreed to the update of this device while there was time. Agree to it \
             (POST /api/v1/campaigns/{id}/tasks/{task}/consent) after a retry."
        }
        FailureReason::Stopped => {
            "Stopped by an operator. Make a new campaign to update the device."
        }
        FailureReason::CampaignEnded => {
            "The campaign's end_at came before its turn. Make a new campaign to update the device, with a later \
             end or longer windows."
        }
        FailureReason::KeyRevoked => {
            "The key that signed the package was revoked. Sign the firmware with another key of the \
             manufacturer, upload that package, and make a new campaign."
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a table, one row a cause")]
const fn chinese(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::DeviceOffline => {
            "Device Abnormal is not online。设备在应当监听时没有应答,请检查信号覆盖和供电后重试。"
        }
        FailureReason::TaskConflict => {
            "Task Conflict。设备处于另一个运行中的升级任务,请等待其结束或将其停止后重试。"
        }
        FailureReason::ContactTimeout => {
            "Waiting for the device online timeout。设备一直未上线,请检查供电、信号覆盖和设备中配置\
             的平台地址后重试。"
        }
        FailureReason::VersionTimeout => {
            "Waiting for report device firmware version timeout。设备没有应答 /3/0/3 的读取,请确认\
             设备支持对象 3 后重试。"
        }
        FailureReason::CellUnknown => {
            "Waiting for report cellId timeout。读取不到 /4/0/8,无法计入小区的并发数,请确认设备支持\
             对象 4 的小区 ID 后重试。"
        }
        FailureReason::DownloadStalled => {
            "Waiting for device downloaded package timeout。长时间没有下载分片,请检查信号覆盖以及设备\
             能否访问平台的公网地址和端口后重试。"
        }
        FailureReason::ResultTimeout => {
            "Wait for the device to report upgrade result timeout。设备可能仍在升级或尚未恢复,请在其\
             下次上线时查询版本,再决定是否重试。"
        }
        FailureReason::VerificationTimeout => {
            "Updating timeout and query device version for check timeout。升级是否成功未知,请在设备\
             下次上线时查询版本,再决定是否重试。"
        }
        FailureReason::VersionMismatch => {
            "Firmware update failed (version mismatch)。设备上报升级结束,但版本与目标版本不同,请核对\
             固件包的目标版本是否与固件实际上报的版本一致。"
        }
        FailureReason::NoSpace => {
            "Not enough storage for the new firmware package。设备存储空间不足,请清理空间或改用更小的\
             固件包(如差分包),直接重试不会成功。"
        }
        FailureReason::OutOfMemory => {
            "Out of memory during downloading process。下载过程中内存不足,请重启设备后重试。"
        }
        FailureReason::ConnectionLost => {
            "Connection lost during downloading process。下载过程中连接断开,请检查小区的信号覆盖后重\
             试,设备会断点续传。"
        }
        FailureReason::IntegrityCheckFailed => {
            "Integrity check failure for new downloaded package。固件包完整性校验失败,若多台设备出现,\
             说明固件包损坏或不适用于该模组,请重新制作、签名并上传。"
        }
        FailureReason::UnsupportedPackage => {
            "Unsupported package type。模组不支持该固件包,请核对型号,差分包还需核对源版本。"
        }
        FailureReason::InvalidUri => {
            "Invalid URI。设备无法使用下载地址,请检查平台的公网地址(设备可访问的 IPv4 地址),并确认模\
             组通过 CoAP 下载。"
        }
        FailureReason::UpdateFailed => {
            "Firmware update failed。固件包已下载但安装失败,请检查设备电量以及固件包是否适用于当前版本\
             后重试。"
        }
        FailureReason::UnsupportedProtocol => {
            "下载协议不支持。模组不支持下载地址所用的协议,请设置该产品的下载协议。"
        }
        FailureReason::Cancelled => "升级在设备侧被取消,请查明设备侧的取消原因后重试。",
        FailureReason::Barred => {
            "检测到循环升级 (已禁止升级,请到设备列表解除)。短时间内已向设备多次下发固件包,请先查明其未\
             保持新版本的原因,再解除禁止 (DELETE /api/v1/devices/{endpoint}/bar),然后新建升级任务。"
        }
        FailureReason::Flapping => {
            "终端标识重复。多台设备以同一终端标识反复抢占注册,未下发升级。请按设备详情中的地址 \
             (flapping_peers) 找到这些设备,为每台设备配置各自的终端标识和密钥后重试。"
        }
        FailureReason::NotEligible => {
            "设备与固件包不匹配,或固件包已过有效期 (notAfter)。请核对两者的厂商名称、型号、设备类型和源版本,并补全设备\
             缺失的信息;固件包过期时请重新签名并上传。"
        }
        FailureReason::ConditionUnmet => {
            "升级条件不满足。设备的电量、信号强度或剩余空间在期限内未达到升级计划的要求。请按证据所示处理后重试,或放宽条件。"
        }
        FailureReason::ConsentMissing => {
            "用户未确认升级。期限内无人确认该设备的升级,请重试并确认 \
             (POST /api/v1/campaigns/{id}/tasks/{task}/consent)。"
        }
        FailureReason::Stopped => "升级任务已被手动停止,如需升级请新建升级任务。",
        FailureReason::CampaignEnded => {
            "升级计划已到结束时间,该设备尚未开始升级。请新建升级计划,并延长结束时间或推送时段。"
        }
        FailureReason::KeyRevoked => {
            "固件包的签名密钥已被吊销,升级已停止。请用该厂商的其他密钥重新签名固件并上传,然后新建升级任务。"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The carrier's sentence (carrier flows §3.5), where it has one.
    fn carrier_sentence(reason: FailureReason) -> Option<&'static str> {
        match reason {
            FailureReason::DeviceOffline => Some("Device Abnormal is not online"),
            FailureReason::TaskConflict => Some("Task Conflict"),
            FailureReason::ContactTimeout => Some("Waiting for the device online timeout"),
            FailureReason::VersionTimeout => {
                Some("Waiting for report device firmware version timeout")
            }
            FailureReason::CellUnknown => Some("Waiting for report cellId timeout"),
            FailureReason::DownloadStalled => Some("Waiting for device downloaded package timeout"),
            FailureReason::ResultTimeout => {
                Some("Wait for the device to report upgrade result timeout")
            }
            FailureReason::VerificationTimeout => {
                Some("Updating timeout and query device version for check timeout")
            }
            FailureReason::VersionMismatch => Some("Firmware update failed (version mismatch)"),
            FailureReason::NoSpace => Some("Not enough storage for the new firmware package"),
            FailureReason::OutOfMemory => Some("Out of memory during downloading process"),
            FailureReason::ConnectionLost => Some("Connection lost during downloading process"),
            FailureReason::IntegrityCheckFailed => {
                Some("Integrity check failure for new downloaded package")
            }
            FailureReason::UnsupportedPackage => Some("Unsupported package type"),
            FailureReason::InvalidUri => Some("Invalid URI"),
            FailureReason::UpdateFailed => Some("Firmware update failed"),
            FailureReason::UnsupportedProtocol
            | FailureReason::Cancelled
            | FailureReason::Barred
            | FailureReason::Flapping
            | FailureReason::NotEligible
            | FailureReason::ConditionUnmet
            | FailureReason::ConsentMissing
            | FailureReason::Stopped
            | FailureReason::CampaignEnded
            | FailureReason::KeyRevoked => None,
        }
    }

    fn has_chinese(text: &str) -> bool {
        text.chars()
            .any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character))
    }

    #[test]
    fn a_text_begins_with_the_carriers_sentence_and_goes_on() {
        for &reason in FailureReason::ALL {
            for &language in Language::ALL {
                let text = failure_text(reason, language);
                let rest = match carrier_sentence(reason) {
                    Some(sentence) => text.strip_prefix(sentence).unwrap_or_default(),
                    None => text,
                };
                assert!(rest.chars().count() > 10, "{reason} {language}: {text}");
            }
        }
    }

    #[test]
    fn of_a_bar_it_is_said_how_to_lift_it() {
        for &language in Language::ALL {
            let text = failure_text(FailureReason::Barred, language);
            assert!(
                text.contains("DELETE /api/v1/devices/{endpoint}/bar"),
                "{text}"
            );
        }
    }

    #[test]
    fn no_reason_and_no_note_lacks_a_text_in_either_language() {
        let texts = |language| {
            (FailureReason::ALL.iter())
                .map(move |reason| failure_text(*reason, language))
                .chain(
                    (SuccessNote::ALL.iter()).map(move |note| success_note_text(*note, language)),
                )
        };
        for text in texts(Language::En) {
            assert!(!has_chinese(text) && text.ends_with('.'), "{text}");
            assert!(!text.contains("  "), "{text}");
        }
        for text in texts(Language::Zh) {
            assert!(has_chinese(text) && text.ends_with('。'), "{text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
        }
        let mut all: Vec<&str> = texts(Language::En).chain(texts(Language::Zh)).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "two causes have one text");
    }
}
