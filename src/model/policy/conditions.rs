//! What must be true of a device before it is updated, who agrees to it, and how long its user may put it
//! off.

use serde::{Deserialize, Serialize};

use super::super::words::words;

/// Consent, preconditions and deferral.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// What is read of a device before it asks for a slot.
    pub preconditions: Preconditions,
    /// Whether somebody has to agree for each device.
    pub consent: Consent,
    /// What whoever agrees is told; where there is one, it is there in both languages.
    pub consent_text: Option<ConsentText>,
    /// Severity (`/5/0/11`) that devices are told which name it; `None`: they are told nothing.
    pub severity: Option<Severity>,
    /// Maximum Defer Period (`/5/0/13`) in seconds: how long a user may put the update off; `None`: devices
    /// are told nothing.
    pub defer_seconds_max: Option<u32>,
}

/// What a device must have before it is updated. Each is asked for by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preconditions {
    /// 最低电池电量: `/3/0/9` in per cent, unless it has external power.
    pub battery_percent_min: Option<u8>,
    /// 最低信号强度: `/4/0/2`, normalised, in dBm.
    pub rsrp_dbm_min: Option<i16>,
    /// `/4/0/11`, normalised, in dB.
    pub sinr_db_min: Option<i16>,
    /// `/3/0/10`: free memory in KiB.
    pub free_kib_min: Option<u32>,
    /// What a value means that cannot be read.
    pub unknown: UnknownValue,
}

words! {
    /// What a value means that a precondition asks for and that cannot be read.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum UnknownValue {
        /// The precondition counts as met; the timeline says so.
        #[default]
        Allow = "allow",
        /// The device waits as if it were not met.
        Wait = "wait",
    }
}

words! {
    /// Who agrees to the update of a device.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Consent {
        /// 静默升级: nobody need.
        #[default]
        Silent = "silent",
        /// 用户确认升级: a person, or an application on their behalf, for each device.
        Confirmed = "confirmed",
    }
}

/// 升级文案: what whoever agrees is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentText {
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

words! {
    /// Severity of an update (Object 5 v1.1, `/5/0/11`).
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Severity {
        /// 0.
        Critical = "critical",
        /// 1.
        Mandatory = "mandatory",
        /// 2.
        Optional = "optional",
    }
}

impl Severity {
    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Critical => 0,
            Self::Mandatory => 1,
            Self::Optional => 2,
        }
    }
}
