//! Findings in words.

use super::finding::{Code, Finding};
use crate::model::Language;

/// The sentence, what is there, what to write.
pub(super) fn of(finding: &Finding, language: Language) -> String {
    let (path, sentence) = (&finding.path, sentence(finding.code, language));
    let (found, write) = (finding.found.as_deref(), finding.write.as_deref());
    match language {
        Language::En => {
            let found = found.map_or_else(String::new, |it| format!(" There is: {it}"));
            let write = write.map_or_else(String::new, |it| format!(" Write: {it}"));
            format!("{path}: {sentence}{found}{write}")
        }
        Language::Zh => {
            let found = found.map_or_else(String::new, |it| format!(" 现为：{it}"));
            let write = write.map_or_else(String::new, |it| format!(" 应写：{it}"));
            format!("{path}：{sentence}{found}{write}")
        }
    }
}

const fn sentence(code: Code, language: Language) -> &'static str {
    match language {
        Language::En => en(code),
        Language::Zh => zh(code),
    }
}

const fn en(code: Code) -> &'static str {
    match code {
        Code::SeveralDevices => "a profile is for one product: make one of each.",
        Code::KeySpelling => "the key is spelled otherwise, so nothing reads it.",
        Code::OmCapabilityPlural => "it is understood here; platforms read the singular.",
        Code::KeyTwice => "the key is there in two spellings: keep one.",
        Code::OmCapabilityMissing => {
            "without this capability no firmware can be uploaded or upgraded."
        }
        Code::FwUpgradeCapabilityMissing => {
            "the firmware upgrade is not described; upgradeCapability is for software only."
        }
        Code::SupportUpgradeMissing => {
            "whether firmware can be upgraded is not said, which counts as no."
        }
        Code::SupportUpgradeOff => {
            "the firmware upgrade is turned off; versions are not queried either."
        }
        Code::SupportUpgradeNotBoolean => "this must be true or false, without quotes.",
        Code::ProtocolMissing => "the protocol is not said.",
        Code::ProtocolSpelling => "protocols are compared to the letter.",
        Code::ProtocolUnknown => "firmware is not upgraded by this.",
        Code::ProtocolNotLwm2m => "devices of MQTT have no LwM2M firmware object.",
        Code::NameMissing => "it is empty: no package can match.",
        Code::NameNotText => "it must be a text, in quotes.",
        Code::NameBlankAtEdge => "it begins or ends with a blank, which is compared too.",
        Code::NameBlankInside => {
            "it has a blank in it: devices and packages must have the same one."
        }
        Code::DiffersInCase => "the package has other upper and lower case, or blanks.",
        Code::LooksAlike => "the package has letters that only look the same (l and I, 0 and O).",
        Code::Differs => "the package is for another.",
        Code::ManufacturerIdForName => {
            "the package has the manufacturerId: sign it with this name."
        }
        Code::QuirksKnown => {
            "how such modules behave is known: the product can have these settings."
        }
    }
}

const fn zh(code: Code) -> &'static str {
    match code {
        Code::SeveralDevices => "一个产品模型只描述一种产品，请拆分为多个。",
        Code::KeySpelling => "键名拼写不符，平台无法识别。",
        Code::OmCapabilityPlural => "本系统可识别，但平台的键名为单数形式。",
        Code::KeyTwice => "同一键名存在两种拼写，请只保留一个。",
        Code::OmCapabilityMissing => "缺少运维能力，无法上传固件包，也无法创建固件升级任务。",
        Code::FwUpgradeCapabilityMissing => "缺少固件升级能力；upgradeCapability 仅用于软件升级。",
        Code::SupportUpgradeMissing => "未声明是否支持固件升级，视为不支持。",
        Code::SupportUpgradeOff => "固件升级已关闭，平台也不再查询固件版本。",
        Code::SupportUpgradeNotBoolean => "必须为布尔值 true 或 false，不带引号。",
        Code::ProtocolMissing => "未声明协议。",
        Code::ProtocolSpelling => "协议名称区分大小写，须完全一致。",
        Code::ProtocolUnknown => "固件升级不支持该协议。",
        Code::ProtocolNotLwm2m => "MQTT 设备没有 LwM2M 固件对象，无法升级。",
        Code::NameMissing => "内容为空，任何软件包都无法匹配。",
        Code::NameNotText => "必须为带引号的字符串。",
        Code::NameBlankAtEdge => "首尾含有空白字符，匹配时不会忽略。",
        Code::NameBlankInside => "中间含有空白字符，设备与软件包须完全一致。",
        Code::DiffersInCase => "与软件包仅大小写或空白不同。",
        Code::LooksAlike => "与软件包中的字符形似而不同（如 l 与 I、0 与 O）。",
        Code::Differs => "与软件包不一致。",
        Code::ManufacturerIdForName => "软件包中填写的是 manufacturerId，请改用厂商名称重新签名。",
        Code::QuirksKnown => "此类模块的行为特点已知，可为该产品选用相应设置。",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, ProfileLimits};
    use super::*;

    #[test]
    fn a_finding_says_where_what_is_there_and_what_to_write() {
        let text = r#"{"devices":[{"manufacturerName":"Acme\u001b[2J","model":"NB-1",
            "deviceType":"WaterMeter","protocolType":"CoAP",
            "omCapabilities":{"fwUpgradeCapability":{"supportUpgrade":"true",
            "upgradeProtocolType":"LWM2M","downloadProtocolType":"CoAP"}}}]}"#;
        let profile = Profile::decode(text.as_bytes(), &ProfileLimits::default()).unwrap();
        let told = |language| -> Vec<String> {
            let findings = profile.lint(None);
            findings.iter().map(|it| it.text(language)).collect()
        };
        assert_eq!(
            told(Language::En),
            [
                "devices[0].manufacturerName: it has a blank in it: devices and packages must have \
                 the same one. There is: \"Acme\\u{1b}[2J\"",
                "devices[0].omCapabilities: it is understood here; platforms read the singular. \
                 There is: {…} Write: omCapability",
                "devices[0].omCapabilities.fwUpgradeCapability.supportUpgrade: this must be true or \
                 false, without quotes. There is: \"true\" Write: true",
            ]
        );
        assert_eq!(
            told(Language::Zh),
            [
                "devices[0].manufacturerName：中间含有空白字符，设备与软件包须完全一致。 现为：\
                 \"Acme\\u{1b}[2J\"",
                "devices[0].omCapabilities：本系统可识别，但平台的键名为单数形式。 现为：{…} 应写：\
                 omCapability",
                "devices[0].omCapabilities.fwUpgradeCapability.supportUpgrade：必须为布尔值 true 或 \
                 false，不带引号。 现为：\"true\" 应写：true",
            ]
        );
    }
}
