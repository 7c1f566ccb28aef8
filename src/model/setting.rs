//! The settings of a product one by one: by name, with their values as values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::words::words;
use super::{
    Delivery, DownloadProtocol, ObservationCancel, ProductSettings, RadioUnit, SlotHeld,
    TransmissionPreset, UpdateCancel, WaitingPing,
};

words! {
    /// A setting of [`ProductSettings`].
    pub enum Setting {
        /// [`ProductSettings::transmission`].
        Transmission = "transmission",
        /// [`ProductSettings::observation_cancel`].
        ObservationCancel = "observation_cancel",
        /// [`ProductSettings::slot_held`].
        SlotHeld = "slot_held",
        /// [`ProductSettings::delivery`].
        Delivery = "delivery",
        /// [`ProductSettings::download`].
        Download = "download",
        /// [`ProductSettings::cancel`].
        Cancel = "cancel",
        /// [`ProductSettings::observe_result`].
        ObserveResult = "observe_result",
        /// [`ProductSettings::radio_unit`].
        RadioUnit = "radio_unit",
        /// The lowest RSRP of tiers 0, 1 and 2, in dBm, of [`ProductSettings::tier_borders`].
        RsrpBordersDbm = "rsrp_borders_dbm",
        /// The lowest SINR of tiers 0, 1 and 2, in dB, of the same.
        SinrBordersDb = "sinr_borders_db",
        /// [`ProductSettings::trust_result_only`].
        TrustResultOnly = "trust_result_only",
        /// [`ProductSettings::awake_time`].
        AwakeTime = "awake_time",
        /// [`ProductSettings::waiting_ping`].
        WaitingPing = "waiting_ping",
        /// [`ProductSettings::contact_timeout`].
        ContactTimeout = "contact_timeout",
        /// [`ProductSettings::read_timeout`].
        ReadTimeout = "read_timeout",
        /// [`ProductSettings::download_stall_timeout`].
        DownloadStallTimeout = "download_stall_timeout",
        /// [`ProductSettings::download_stall_multiple`].
        DownloadStallMultiple = "download_stall_multiple",
        /// [`ProductSettings::download_stall_floor`].
        DownloadStallFloor = "download_stall_floor",
        /// [`ProductSettings::download_timeout_max`].
        DownloadTimeoutMax = "download_timeout_max",
        /// [`ProductSettings::silence_before_result_read`].
        SilenceBeforeResultRead = "silence_before_result_read",
        /// [`ProductSettings::result_timeout`].
        ResultTimeout = "result_timeout",
        /// [`ProductSettings::version_settle`].
        VersionSettle = "version_settle",
        /// [`ProductSettings::quarantine`].
        Quarantine = "quarantine",
        /// [`ProductSettings::send_fresh_for`].
        SendFreshFor = "send_fresh_for",
    }
}

/// The least and the most that [`ProductSettings::download_stall_multiple`] can be: below, each block that
/// is a little late would end the download.
const MULTIPLE_MIN: u32 = 2;
/// See [`MULTIPLE_MIN`].
const MULTIPLE_MAX: u32 = 1000;

/// The value of a setting. Which kind it is, is the setting's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// One of a few words.
    Word(&'static str),
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(u32),
    /// A time.
    Time(Duration),
    /// The lower borders of tiers 0, 1 and 2.
    Borders([i16; 3]),
}

/// A value that a setting cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSetting {
    /// It is of another kind, or no word of this setting.
    #[error("must be {0}")]
    Expected(String),
    /// A time-out that is over before it begins.
    #[error("must be more than 0")]
    Zero,
    /// A time without an end, as good as.
    #[error("must be at most 366 days")]
    TooLong,
    /// A number without sense.
    #[error("must be from {min} to {max}")]
    OutOfRange {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Borders that are in no order.
    #[error("must fall from tier to tier")]
    NotFalling,
}

/// Which settings a product has otherwise than the server's defaults, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingChanges(BTreeMap<Setting, SettingValue>);

impl SettingChanges {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of one, where it differs.
    pub fn get(&self, setting: Setting) -> Option<SettingValue> {
        self.0.get(&setting).copied()
    }

    /// All that differ, in the order of [`Setting::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Setting, SettingValue)> {
        self.0.iter().map(|(setting, value)| (*setting, *value))
    }

    /// Lets one differ.
    ///
    /// # Errors
    /// Where the setting cannot have the value.
    pub fn set(&mut self, setting: Setting, value: SettingValue) -> Result<(), InvalidSetting> {
        setting.check(value)?;
        self.0.insert(setting, value);
        Ok(())
    }

    /// Lets one be as the defaults are.
    pub fn unset(&mut self, setting: Setting) {
        self.0.remove(&setting);
    }
}

impl Setting {
    /// Whether it can have this value.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(self, value: SettingValue) -> Result<(), InvalidSetting> {
        const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
        ProductSettings::default().set(self, value)?;
        match value {
            SettingValue::Time(time) if time > YEAR => Err(InvalidSetting::TooLong),
            SettingValue::Time(time) if self.ends_a_task() && time < Duration::from_millis(1) => {
                Err(InvalidSetting::Zero)
            }
            SettingValue::Borders([first, second, third])
                if !(first > second && second > third) =>
            {
                Err(InvalidSetting::NotFalling)
            }
            SettingValue::Number(number) if !(MULTIPLE_MIN..=MULTIPLE_MAX).contains(&number) => {
                Err(InvalidSetting::OutOfRange {
                    min: MULTIPLE_MIN,
                    max: MULTIPLE_MAX,
                })
            }
            SettingValue::Word(_)
            | SettingValue::Flag(_)
            | SettingValue::Number(_)
            | SettingValue::Time(_)
            | SettingValue::Borders(_) => Ok(()),
        }
    }

    /// The words that it can have; none where its value is no word.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Transmission => TransmissionPreset::WORDS,
            Self::ObservationCancel => ObservationCancel::WORDS,
            Self::SlotHeld => SlotHeld::WORDS,
            Self::Delivery => Delivery::WORDS,
            Self::Download => DownloadProtocol::WORDS,
            Self::Cancel => UpdateCancel::WORDS,
            Self::RadioUnit => RadioUnit::WORDS,
            Self::WaitingPing => WaitingPing::WORDS,
            Self::ObserveResult
            | Self::TrustResultOnly
            | Self::RsrpBordersDbm
            | Self::SinrBordersDb
            | Self::AwakeTime
            | Self::ContactTimeout
            | Self::ReadTimeout
            | Self::DownloadStallTimeout
            | Self::DownloadStallMultiple
            | Self::DownloadStallFloor
            | Self::DownloadTimeoutMax
            | Self::SilenceBeforeResultRead
            | Self::ResultTimeout
            | Self::VersionSettle
            | Self::Quarantine
            | Self::SendFreshFor => &[],
        }
    }

    /// What its value must be, in words.
    pub fn expected(self) -> InvalidSetting {
        let expected = match ProductSettings::default().value(self) {
            SettingValue::Word(_) => format!("one of {}", self.words().join(", ")),
            SettingValue::Flag(_) => "true or false".to_owned(),
            SettingValue::Number(_) => "a whole number".to_owned(),
            SettingValue::Time(_) => "a time such as \"90s\", \"5m\" or \"24h\"".to_owned(),
            SettingValue::Borders(_) => "three whole numbers, of tiers 0, 1 and 2".to_owned(),
        };
        InvalidSetting::Expected(expected)
    }

    /// The value that is this word; a value of another kind is none.
    pub fn value_of_word(self, text: &str) -> Option<SettingValue> {
        let mut words = self.words().iter();
        words
            .find(|word| **word == text)
            .map(|word| SettingValue::Word(word))
    }

    /// The value that [`SettingValue::to_text`] wrote.
    pub fn value_of_text(self, text: &str) -> Option<SettingValue> {
        match ProductSettings::default().value(self) {
            SettingValue::Word(_) => self.value_of_word(text),
            SettingValue::Flag(_) => text.parse().ok().map(SettingValue::Flag),
            SettingValue::Number(_) => text.parse().ok().map(SettingValue::Number),
            SettingValue::Time(_) => {
                let milliseconds = text.parse().ok()?;
                Some(SettingValue::Time(Duration::from_millis(milliseconds)))
            }
            SettingValue::Borders(_) => {
                let borders: Result<Vec<i16>, _> = text.split(' ').map(str::parse).collect();
                borders.ok()?.try_into().ok().map(SettingValue::Borders)
            }
        }
    }

    const fn ends_a_task(self) -> bool {
        matches!(
            self,
            Self::ContactTimeout
                | Self::ReadTimeout
                | Self::DownloadStallTimeout
                | Self::DownloadTimeoutMax
                | Self::ResultTimeout
        )
    }
}

impl SettingValue {
    /// As it is stored: times in milliseconds, borders with blanks between them.
    pub fn to_text(self) -> String {
        match self {
            Self::Word(word) => word.to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Time(time) => time.as_millis().to_string(),
            Self::Borders(borders) => borders.map(|border| border.to_string()).join(" "),
        }
    }
}

impl ProductSettings {
    /// These, but for what `changes` say.
    #[must_use]
    pub fn with(&self, changes: &SettingChanges) -> Self {
        let mut changed = self.clone();
        for (setting, value) in changes.iter() {
            // What cannot be set is in no changes.
            let _ = changed.set(setting, value);
        }
        changed
    }

    /// The value of one.
    pub const fn value(&self, setting: Setting) -> SettingValue {
        match setting {
            Setting::Transmission => SettingValue::Word(self.transmission.word()),
            Setting::ObservationCancel => SettingValue::Word(self.observation_cancel.word()),
            Setting::SlotHeld => SettingValue::Word(self.slot_held.word()),
            Setting::Delivery => SettingValue::Word(self.delivery.word()),
            Setting::Download => SettingValue::Word(self.download.word()),
            Setting::Cancel => SettingValue::Word(self.cancel.word()),
            Setting::ObserveResult => SettingValue::Flag(self.observe_result),
            Setting::RadioUnit => SettingValue::Word(self.radio_unit.word()),
            Setting::RsrpBordersDbm => SettingValue::Borders(self.tier_borders.rsrp_dbm),
            Setting::SinrBordersDb => SettingValue::Borders(self.tier_borders.sinr_db),
            Setting::TrustResultOnly => SettingValue::Flag(self.trust_result_only),
            Setting::AwakeTime => SettingValue::Time(self.awake_time),
            Setting::WaitingPing => SettingValue::Word(self.waiting_ping.word()),
            Setting::ContactTimeout => SettingValue::Time(self.contact_timeout),
            Setting::ReadTimeout => SettingValue::Time(self.read_timeout),
            Setting::DownloadStallTimeout => SettingValue::Time(self.download_stall_timeout),
            Setting::DownloadStallMultiple => SettingValue::Number(self.download_stall_multiple),
            Setting::DownloadStallFloor => SettingValue::Time(self.download_stall_floor),
            Setting::DownloadTimeoutMax => SettingValue::Time(self.download_timeout_max),
            Setting::SilenceBeforeResultRead => SettingValue::Time(self.silence_before_result_read),
            Setting::ResultTimeout => SettingValue::Time(self.result_timeout),
            Setting::VersionSettle => SettingValue::Time(self.version_settle),
            Setting::Quarantine => SettingValue::Time(self.quarantine),
            Setting::SendFreshFor => SettingValue::Time(self.send_fresh_for),
        }
    }

    fn set(&mut self, setting: Setting, value: SettingValue) -> Result<(), InvalidSetting> {
        match value {
            SettingValue::Word(word) => self.set_word(setting, word),
            SettingValue::Flag(flag) => self.flag(setting).map(|place| *place = flag),
            SettingValue::Number(number) => (setting == Setting::DownloadStallMultiple)
                .then(|| self.download_stall_multiple = number),
            SettingValue::Time(time) => self.time(setting).map(|place| *place = time),
            SettingValue::Borders(borders) => self.borders(setting).map(|place| *place = borders),
        }
        .ok_or_else(|| setting.expected())
    }

    fn set_word(&mut self, setting: Setting, word: &str) -> Option<()> {
        match setting {
            Setting::Transmission => self.transmission = TransmissionPreset::from_word(word)?,
            Setting::ObservationCancel => {
                self.observation_cancel = ObservationCancel::from_word(word)?;
            }
            Setting::SlotHeld => self.slot_held = SlotHeld::from_word(word)?,
            Setting::Delivery => self.delivery = Delivery::from_word(word)?,
            Setting::Download => self.download = DownloadProtocol::from_word(word)?,
            Setting::Cancel => self.cancel = UpdateCancel::from_word(word)?,
            Setting::RadioUnit => self.radio_unit = RadioUnit::from_word(word)?,
            Setting::WaitingPing => self.waiting_ping = WaitingPing::from_word(word)?,
            Setting::ObserveResult
            | Setting::TrustResultOnly
            | Setting::RsrpBordersDbm
            | Setting::SinrBordersDb
            | Setting::AwakeTime
            | Setting::ContactTimeout
            | Setting::ReadTimeout
            | Setting::DownloadStallTimeout
            | Setting::DownloadStallMultiple
            | Setting::DownloadStallFloor
            | Setting::DownloadTimeoutMax
            | Setting::SilenceBeforeResultRead
            | Setting::ResultTimeout
            | Setting::VersionSettle
            | Setting::Quarantine
            | Setting::SendFreshFor => return None,
        }
        Some(())
    }

    fn flag(&mut self, setting: Setting) -> Option<&mut bool> {
        if setting == Setting::ObserveResult {
            Some(&mut self.observe_result)
        } else if setting == Setting::TrustResultOnly {
            Some(&mut self.trust_result_only)
        } else {
            None
        }
    }

    fn time(&mut self, setting: Setting) -> Option<&mut Duration> {
        Some(match setting {
            Setting::AwakeTime => &mut self.awake_time,
            Setting::ContactTimeout => &mut self.contact_timeout,
            Setting::ReadTimeout => &mut self.read_timeout,
            Setting::DownloadStallTimeout => &mut self.download_stall_timeout,
            Setting::DownloadStallFloor => &mut self.download_stall_floor,
            Setting::DownloadTimeoutMax => &mut self.download_timeout_max,
            Setting::SilenceBeforeResultRead => &mut self.silence_before_result_read,
            Setting::ResultTimeout => &mut self.result_timeout,
            Setting::VersionSettle => &mut self.version_settle,
            Setting::Quarantine => &mut self.quarantine,
            Setting::SendFreshFor => &mut self.send_fresh_for,
            Setting::Transmission
            | Setting::ObservationCancel
            | Setting::SlotHeld
            | Setting::Delivery
            | Setting::Download
            | Setting::Cancel
            | Setting::ObserveResult
            | Setting::RadioUnit
            | Setting::WaitingPing
            | Setting::DownloadStallMultiple
            | Setting::RsrpBordersDbm
            | Setting::SinrBordersDb
            | Setting::TrustResultOnly => return None,
        })
    }

    fn borders(&mut self, setting: Setting) -> Option<&mut [i16; 3]> {
        if setting == Setting::RsrpBordersDbm {
            Some(&mut self.tier_borders.rsrp_dbm)
        } else if setting == Setting::SinrBordersDb {
            Some(&mut self.tier_borders.sinr_db)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that no default has.
    fn other(setting: Setting) -> SettingValue {
        match ProductSettings::default().value(setting) {
            SettingValue::Word(word) => {
                let mut words = setting.words().iter();
                SettingValue::Word(words.find(|it| **it != word).unwrap())
            }
            SettingValue::Flag(flag) => SettingValue::Flag(!flag),
            SettingValue::Number(number) => SettingValue::Number(number + 1),
            SettingValue::Time(time) => SettingValue::Time(time + Duration::from_millis(1)),
            SettingValue::Borders([first, ..]) => {
                SettingValue::Borders([first - 1, first - 2, first - 3])
            }
        }
    }

    #[test]
    fn each_setting_is_changed_by_itself_and_is_read_back_from_its_text() {
        let defaults = ProductSettings::default();
        for &setting in Setting::ALL {
            let mut changes = SettingChanges::default();
            changes.set(setting, other(setting)).unwrap();
            let changed = defaults.with(&changes);
            for &it in Setting::ALL {
                let expected = if it == setting {
                    other(it)
                } else {
                    defaults.value(it)
                };
                assert_eq!(
                    changed.value(it),
                    expected,
                    "{it} where {setting} is changed"
                );
            }
            let text = other(setting).to_text();
            assert_eq!(
                setting.value_of_text(&text),
                Some(other(setting)),
                "{setting}"
            );
            assert_eq!(setting.value_of_text("\u{1}"), None, "{setting}");
        }
    }

    #[test]
    fn a_value_of_another_kind_or_beyond_reason_is_refused_in_words() {
        let zero = SettingValue::Time(Duration::ZERO);
        let long = SettingValue::Time(Duration::from_secs(367 * 24 * 3600));
        for (setting, value, told) in [
            (
                Setting::RadioUnit,
                SettingValue::Word("dBm"),
                "auto, dbm, deci_dbm, csq, 36133",
            ),
            (
                Setting::RadioUnit,
                SettingValue::Flag(true),
                "must be one of auto",
            ),
            (Setting::ObserveResult, zero, "true or false"),
            (
                Setting::AwakeTime,
                SettingValue::Word("csq"),
                "a time such as",
            ),
            (Setting::ReadTimeout, zero, "more than 0"),
            (Setting::Quarantine, long, "at most 366 days"),
            (
                Setting::DownloadStallMultiple,
                SettingValue::Number(1),
                "must be from 2 to 1000",
            ),
            (
                Setting::DownloadStallMultiple,
                SettingValue::Number(1001),
                "must be from 2 to 1000",
            ),
            (
                Setting::DownloadStallMultiple,
                SettingValue::Flag(true),
                "a whole number",
            ),
            (
                Setting::AwakeTime,
                SettingValue::Number(7),
                "a time such as",
            ),
            (
                Setting::SinrBordersDb,
                SettingValue::Borders([1, 2, 0]),
                "fall from tier to tier",
            ),
            (
                Setting::SinrBordersDb,
                SettingValue::Flag(true),
                "three whole numbers",
            ),
        ] {
            let mut changes = SettingChanges::default();
            let fault = changes.set(setting, value).unwrap_err().to_string();
            assert!(fault.contains(told), "{setting}: {fault}");
            assert!(changes.is_empty());
        }
        assert_eq!(Setting::AwakeTime.check(zero), Ok(()));
    }
}
