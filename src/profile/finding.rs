//! One thing that is wrong in a profile.

use serde_json::Value;

use super::json_path::JsonPath;
use super::mend::Mend;
use super::text;
use crate::model::Language;

/// How much of a value a message shows.
const SHOWN_CHARS: usize = 80;

/// What is wrong at one place of a profile, and what to write there.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What kind of fault.
    pub code: Code,
    /// Where: `devices[0].omCapability`.
    pub path: String,
    /// What is there, as JSON, shortened; `None` where nothing is.
    pub found: Option<String>,
    /// What to write there, as JSON or as a key; `None` where only the operator can know.
    pub write: Option<String>,
    pub(super) mend: Option<(JsonPath, Mend)>,
}

/// Whether a fault stops a firmware upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It may, on some platforms or with some devices.
    Warning,
    /// It does not: something worth to be known.
    Hint,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// More than one entry in `devices`.
    SeveralDevices,
    /// A key of other upper and lower case, or with other signs in it.
    KeySpelling,
    /// `omCapabilities`, as the prose of the platforms has it.
    OmCapabilityPlural,
    /// A key in two spellings.
    KeyTwice,
    /// No `omCapability`.
    OmCapabilityMissing,
    /// No `fwUpgradeCapability` in it.
    FwUpgradeCapabilityMissing,
    /// No `supportUpgrade` in that.
    SupportUpgradeMissing,
    /// `supportUpgrade` is `false`.
    SupportUpgradeOff,
    /// `supportUpgrade` is neither `true` nor `false`.
    SupportUpgradeNotBoolean,
    /// A protocol is not said.
    ProtocolMissing,
    /// A protocol is spelled otherwise than platforms compare it.
    ProtocolSpelling,
    /// A protocol by which no firmware is upgraded.
    ProtocolUnknown,
    /// `protocolType` is MQTT: not a device of LwM2M.
    ProtocolNotLwm2m,
    /// A name is missing, or blank.
    NameMissing,
    /// A name is a number or the like.
    NameNotText,
    /// A name begins or ends with a blank.
    NameBlankAtEdge,
    /// A name has a blank in it.
    NameBlankInside,
    /// Not the package's, but for upper and lower case or blanks.
    DiffersInCase,
    /// Not the package's, but to the eye: `l` and `I`, `0` and `O`.
    LooksAlike,
    /// Not the package's.
    Differs,
    /// The package has the `manufacturerId` where the `manufacturerName` counts.
    ManufacturerIdForName,
    /// A quirk set is known for the model.
    QuirksKnown,
}

impl Code {
    /// A stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SeveralDevices => "several_devices",
            Self::KeySpelling => "key_spelling",
            Self::OmCapabilityPlural => "om_capability_plural",
            Self::KeyTwice => "key_twice",
            Self::OmCapabilityMissing => "om_capability_missing",
            Self::FwUpgradeCapabilityMissing => "fw_upgrade_capability_missing",
            Self::SupportUpgradeMissing => "support_upgrade_missing",
            Self::SupportUpgradeOff => "support_upgrade_off",
            Self::SupportUpgradeNotBoolean => "support_upgrade_not_boolean",
            Self::ProtocolMissing => "protocol_missing",
            Self::ProtocolSpelling => "protocol_spelling",
            Self::ProtocolUnknown => "protocol_unknown",
            Self::ProtocolNotLwm2m => "protocol_not_lwm2m",
            Self::NameMissing => "name_missing",
            Self::NameNotText => "name_not_text",
            Self::NameBlankAtEdge => "name_blank_at_edge",
            Self::NameBlankInside => "name_blank_inside",
            Self::DiffersInCase => "differs_in_case",
            Self::LooksAlike => "looks_alike",
            Self::Differs => "differs",
            Self::ManufacturerIdForName => "manufacturer_id_for_name",
            Self::QuirksKnown => "quirks_known",
        }
    }
}

impl Severity {
    /// A stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

impl Finding {
    pub(super) fn new(code: Code, path: &JsonPath, found: Option<&Value>) -> Self {
        Self {
            code,
            path: path.to_string(),
            found: found.map(shown),
            write: None,
            mend: None,
        }
    }

    /// Says what to write there.
    pub(super) fn writing(self, value: &Value) -> Self {
        Self {
            write: Some(value.to_string()),
            ..self
        }
    }

    /// Says what to write there, which is safe to do without asking.
    pub(super) fn setting(self, path: &JsonPath, value: Value) -> Self {
        Self {
            write: Some(value.to_string()),
            mend: Some((path.clone(), Mend::Set(value))),
            ..self
        }
    }

    /// Says what its key should be, which is safe to do without asking.
    pub(super) fn renaming(self, path: &JsonPath, key: &'static str) -> Self {
        Self {
            write: Some(key.to_owned()),
            mend: Some((path.clone(), Mend::Rename(key))),
            ..self
        }
    }

    /// Whether it stops an upgrade.
    pub const fn severity(&self) -> Severity {
        match self.code {
            Code::OmCapabilityPlural | Code::NameBlankInside => Severity::Warning,
            Code::QuirksKnown => Severity::Hint,
            Code::SeveralDevices
            | Code::KeySpelling
            | Code::KeyTwice
            | Code::OmCapabilityMissing
            | Code::FwUpgradeCapabilityMissing
            | Code::SupportUpgradeMissing
            | Code::SupportUpgradeOff
            | Code::SupportUpgradeNotBoolean
            | Code::ProtocolMissing
            | Code::ProtocolSpelling
            | Code::ProtocolUnknown
            | Code::ProtocolNotLwm2m
            | Code::NameMissing
            | Code::NameNotText
            | Code::NameBlankAtEdge
            | Code::DiffersInCase
            | Code::LooksAlike
            | Code::Differs
            | Code::ManufacturerIdForName => Severity::Error,
        }
    }

    /// Whether [`super::Profile::mend`] mends it.
    pub const fn is_mendable(&self) -> bool {
        self.mend.is_some()
    }

    /// The fault in a sentence, with what is there and what to write.
    pub fn text(&self, language: Language) -> String {
        text::of(self, language)
    }
}

/// A value as a message shows it: in one line, and nothing that a terminal might obey.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "{…}".to_owned(),
        Value::Array(_) => "[…]".to_owned(),
        Value::String(text) => format!("\"{}\"", shortened(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// The beginning of a text, with what cannot be seen written out.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        short.push('…');
    }
    short
}
