//! Settings of a product as JSON and TOML have them.

use serde_json::{Map, Value, json};

use super::quirks::QuirkSet;
use crate::model::{Product, ProductSettings, Setting, SettingChanges, SettingValue};

/// A setting that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {fault}")]
pub struct SettingError {
    /// Its name, as it was written.
    pub setting: String,
    /// What is wrong.
    pub fault: String,
}

/// The settings that a product comes to: the server's, before which those of its quirk set go, before
/// which its own go.
pub fn product_settings(defaults: &ProductSettings, product: &Product) -> ProductSettings {
    let set = product.quirks.as_deref().and_then(QuirkSet::find);
    if let (Some(name), None) = (&product.quirks, set) {
        tracing::warn!(
            profile = product.profile.0,
            name,
            "there is no such quirk set"
        );
    }
    let base = set.map(|set| defaults.with(&set.changes));
    base.as_ref().unwrap_or(defaults).with(&product.changes)
}

/// Changes settings by an object: names with values, `null` for "as it is elsewhere".
///
/// # Errors
/// The first name that is no setting, or value that it cannot have; then some are changed.
pub fn change_settings(
    changes: &mut SettingChanges,
    object: &Map<String, Value>,
) -> Result<(), SettingError> {
    for (name, value) in object {
        let error = |fault: String| SettingError {
            setting: name.clone(),
            fault,
        };
        let setting = Setting::from_word(name).ok_or_else(|| {
            error(format!(
                "is no setting; these are: {}",
                Setting::WORDS.join(", ")
            ))
        })?;
        if value.is_null() {
            changes.unset(setting);
            continue;
        }
        let value = read(setting, value).ok_or_else(|| error(setting.expected().to_string()))?;
        let set = changes.set(setting, value);
        set.map_err(|fault| error(fault.to_string()))?;
    }
    Ok(())
}

/// A setting's value as it is shown, and can be written back.
pub fn setting_json(value: SettingValue) -> Value {
    match value {
        SettingValue::Word(word) => json!(word),
        SettingValue::Flag(flag) => json!(flag),
        SettingValue::Number(number) => json!(number),
        SettingValue::Time(time) => {
            json!(humantime_serde::re::humantime::format_duration(time).to_string())
        }
        SettingValue::Borders(borders) => json!(borders),
    }
}

fn read(setting: Setting, value: &Value) -> Option<SettingValue> {
    match value {
        Value::Bool(flag) => Some(SettingValue::Flag(*flag)),
        // A word may be a number.
        Value::Number(number) => setting.value_of_word(&number.to_string()).or_else(|| {
            let number = number.as_u64()?;
            u32::try_from(number).ok().map(SettingValue::Number)
        }),
        Value::String(text) => setting.value_of_word(text).or_else(|| {
            let time = humantime_serde::re::humantime::parse_duration(text).ok()?;
            Some(SettingValue::Time(time))
        }),
        Value::Array(borders) => {
            let borders = borders.iter().map(|border| {
                let border = border.as_i64()?;
                i16::try_from(border).ok()
            });
            let borders: Option<Vec<i16>> = borders.collect();
            borders?.try_into().ok().map(SettingValue::Borders)
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(object: &Value) -> Result<SettingChanges, SettingError> {
        let mut changes = SettingChanges::default();
        change_settings(&mut changes, object.as_object().unwrap())?;
        Ok(changes)
    }

    #[test]
    fn every_setting_is_shown_as_it_can_be_written() {
        let defaults = ProductSettings::default();
        for &setting in Setting::ALL {
            let value = defaults.value(setting);
            let written = changed(&json!({ setting.word(): setting_json(value) })).unwrap();
            assert_eq!(written.get(setting), Some(value), "{setting}");
        }
    }

    #[test]
    fn a_setting_is_changed_left_and_taken_back() {
        let mut changes = changed(&json!({
            "radio_unit": 36133, "awake_time": "20s", "sinr_borders_db": [9, 0, -6],
            "trust_result_only": true,
        }))
        .unwrap();
        assert_eq!(
            changes.get(Setting::RadioUnit),
            Some(SettingValue::Word("36133"))
        );
        let again = json!({"awake_time": null, "trust_result_only": false});
        change_settings(&mut changes, again.as_object().unwrap()).unwrap();
        let left: Vec<&str> = changes.iter().map(|(setting, _)| setting.word()).collect();
        assert_eq!(left, ["radio_unit", "sinr_borders_db", "trust_result_only"]);
        assert_eq!(
            changes.get(Setting::TrustResultOnly),
            Some(SettingValue::Flag(false))
        );
    }

    #[test]
    fn what_is_no_setting_or_no_value_of_it_is_told_by_name() {
        for (object, name, told) in [
            (
                json!({"radio_units": "csq"}),
                "radio_units",
                "is no setting; these are: transmission,",
            ),
            (
                json!({"radio_unit": "CSQ"}),
                "radio_unit",
                "one of auto, dbm",
            ),
            (json!({"radio_unit": {}}), "radio_unit", "one of auto, dbm"),
            (
                json!({"awake_time": 20}),
                "awake_time",
                "a time such as \"90s\"",
            ),
            (
                json!({"awake_time": "2y"}),
                "awake_time",
                "at most 366 days",
            ),
            (json!({"read_timeout": "0s"}), "read_timeout", "more than 0"),
            (
                json!({"download_stall_multiple": 1}),
                "download_stall_multiple",
                "from 2 to 1000",
            ),
            (
                json!({"download_stall_multiple": 2.5}),
                "download_stall_multiple",
                "a whole number",
            ),
            (
                json!({"rsrp_borders_dbm": [-105, -115]}),
                "rsrp_borders_dbm",
                "three whole numbers",
            ),
            (
                json!({"rsrp_borders_dbm": [-105, -115, 99_999]}),
                "rsrp_borders_dbm",
                "three whole",
            ),
            (
                json!({"rsrp_borders_dbm": [-125, -115, -105]}),
                "rsrp_borders_dbm",
                "must fall",
            ),
            (
                json!({"observe_result": "yes"}),
                "observe_result",
                "true or false",
            ),
        ] {
            let error = changed(&object).unwrap_err();
            assert_eq!(error.setting, name);
            assert!(error.fault.contains(told), "{error}");
        }
    }
}
