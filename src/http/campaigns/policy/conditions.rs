//! Consent, preconditions and deferral of a campaign, as they come and as they are shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::Problem;
use crate::http::fields;
use crate::model::{Conditions, Consent, ConsentText, Preconditions, Severity, UnknownValue};

/// The most characters of a text that whoever agrees is told.
const TEXT_CHARS_MAX: usize = 500;

/// A month: longer no update is put off.
const DEFER_SECONDS_MAX: u32 = 30 * 24 * 60 * 60;

/// What is read of a device before it waits for its place in the cell. One that lacks something waits, is
/// looked at again whenever it is heard, and uses no attempt up by that.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Preconditions)]
pub(crate) struct PreconditionsField {
    /// 最低电池电量: `/3/0/9` in per cent; external power makes up for it.
    #[schema(maximum = 100)]
    battery_percent_min: Option<u8>,
    /// 最低信号强度: `/4/0/2` in dBm.
    #[schema(minimum = -156, maximum = -31)]
    rsrp_dbm_min: Option<i16>,
    /// `/4/0/11` in dB.
    #[schema(minimum = -30, maximum = 40)]
    sinr_db_min: Option<i16>,
    /// `/3/0/10`: free memory in KiB.
    free_kib_min: Option<u32>,
    /// What a value means that cannot be read: `allow`, the device goes on, and its timeline says so; or
    /// `wait`.
    unknown: Option<String>,
}

/// 升级文案: what whoever agrees is told.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConsentText)]
pub(crate) struct ConsentTextField {
    /// In Chinese.
    #[schema(max_length = 500)]
    zh: String,
    /// In English.
    #[schema(max_length = 500)]
    en: String,
}

/// What of a campaign to make is about conditions.
#[derive(Debug, Default)]
pub(in crate::http) struct ConditionFields {
    pub(in crate::http) preconditions: PreconditionsField,
    pub(in crate::http) consent: Option<String>,
    pub(in crate::http) consent_text: Option<ConsentTextField>,
    pub(in crate::http) severity: Option<String>,
    pub(in crate::http) defer_seconds_max: Option<u32>,
}

impl ConditionFields {
    /// The conditions that these fields mean.
    pub(in crate::http) fn parse(self) -> Result<Conditions, Problem> {
        let consent = self.consent.as_deref();
        let consent =
            consent.map(|word| fields::word("consent", word, Consent::ALL, Consent::word));
        let severity = self.severity.as_deref();
        let severity =
            severity.map(|word| fields::word("severity", word, Severity::ALL, Severity::word));
        if self
            .defer_seconds_max
            .is_some_and(|most| most > DEFER_SECONDS_MAX)
        {
            let fault = format!("must be 0 to {DEFER_SECONDS_MAX}");
            return Err(Problem::invalid_field("defer_seconds_max", fault));
        }
        Ok(Conditions {
            preconditions: self.preconditions.parse()?,
            consent: consent.transpose()?.unwrap_or_default(),
            consent_text: self.consent_text.map(ConsentTextField::parse).transpose()?,
            severity: severity.transpose()?,
            defer_seconds_max: self.defer_seconds_max,
        })
    }
}

impl PreconditionsField {
    fn parse(self) -> Result<Preconditions, Problem> {
        let within = |field: &str, value: Option<i16>, least: i16, most: i16| match value {
            Some(value) if !(least..=most).contains(&value) => {
                let fault = format!("must be {least} to {most}");
                Err(Problem::invalid_field(field, fault))
            }
            Some(_) | None => Ok(value),
        };
        if self.battery_percent_min.is_some_and(|least| least > 100) {
            let field = "preconditions.battery_percent_min";
            return Err(Problem::invalid_field(field, "must be 0 to 100"));
        }
        let unknown = self.unknown.as_deref().map(|word| {
            let words = (UnknownValue::ALL, UnknownValue::word);
            fields::word("preconditions.unknown", word, words.0, words.1)
        });
        Ok(Preconditions {
            battery_percent_min: self.battery_percent_min,
            rsrp_dbm_min: within("preconditions.rsrp_dbm_min", self.rsrp_dbm_min, -156, -31)?,
            sinr_db_min: within("preconditions.sinr_db_min", self.sinr_db_min, -30, 40)?,
            free_kib_min: self.free_kib_min,
            unknown: unknown.transpose()?.unwrap_or_default(),
        })
    }
}

impl From<Preconditions> for PreconditionsField {
    fn from(asked: Preconditions) -> Self {
        Self {
            battery_percent_min: asked.battery_percent_min,
            rsrp_dbm_min: asked.rsrp_dbm_min,
            sinr_db_min: asked.sinr_db_min,
            free_kib_min: asked.free_kib_min,
            unknown: Some(asked.unknown.word().to_owned()),
        }
    }
}

impl ConsentTextField {
    fn parse(self) -> Result<ConsentText, Problem> {
        fields::title("consent_text.zh", &self.zh, TEXT_CHARS_MAX)?;
        fields::title("consent_text.en", &self.en, TEXT_CHARS_MAX)?;
        Ok(ConsentText {
            zh: self.zh,
            en: self.en,
        })
    }
}

impl From<ConsentText> for ConsentTextField {
    fn from(text: ConsentText) -> Self {
        Self {
            zh: text.zh,
            en: text.en,
        }
    }
}
