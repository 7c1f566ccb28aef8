//! Time-outs and habits of an update; the defaults are the carriers' own figures where there are any.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PresetConfig, word};
use crate::model::{
    Delivery, DownloadProtocol, ObservationCancel, ProductSettings, RadioUnit, Setting,
    SettingValue, SlotHeld, TierBorders, UpdateCancel, WaitingPing,
};

/// `[update]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpdateConfig {
    /// When the observation of `/5/0/3` is cancelled.
    #[serde(with = "word")]
    pub observation_cancel: ObservationCancel,
    /// How long an update holds its slot.
    #[serde(with = "word")]
    pub slot_held: SlotHeld,
    /// How packages get to devices.
    #[serde(with = "word")]
    pub delivery: Delivery,
    /// By which protocol devices that fetch their packages do so.
    #[serde(with = "word")]
    pub download: DownloadProtocol,
    /// How a download is cancelled when its task is stopped.
    #[serde(with = "word")]
    pub cancel: UpdateCancel,
    /// Whether `/5/0/5` is observed too.
    pub observe_result: bool,
    /// The unit in which modules report `/4/0/2`.
    #[serde(with = "word")]
    pub radio_unit: RadioUnit,
    /// Whether Result 1 alone is a success, whatever `/3/0/3` says.
    pub trust_result_only: bool,
    /// How long a queue-mode device listens after the last message.
    #[serde(with = "humantime_serde")]
    pub awake_time: Duration,
    /// What keeps one listening that waits for a slot.
    #[serde(with = "word")]
    pub waiting_ping: WaitingPing,
    /// How long a device may stay unheard.
    #[serde(with = "humantime_serde")]
    pub contact_timeout: Duration,
    /// How long reading the version, then the radio, may take.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long a download may go without a block, whatever its pace.
    #[serde(with = "humantime_serde")]
    pub download_stall_timeout: Duration,
    /// Of the usual time between its own blocks: after how many it has stalled sooner.
    pub download_stall_multiple: u32,
    /// But no sooner than this.
    #[serde(with = "humantime_serde")]
    pub download_stall_floor: Duration,
    /// How long a download may take in all.
    #[serde(with = "humantime_serde")]
    pub download_timeout_max: Duration,
    /// After how long without a block State and Result are read.
    #[serde(with = "humantime_serde")]
    pub silence_before_result_read: Duration,
    /// How long after Execute the outcome may take.
    #[serde(with = "humantime_serde")]
    pub result_timeout: Duration,
    /// How long a version that differs after the update may settle.
    #[serde(with = "humantime_serde")]
    pub version_settle: Duration,
    /// How long the slot of a silent device is kept after its download was withdrawn.
    #[serde(with = "humantime_serde")]
    pub quarantine: Duration,
    /// For how long what a device sent of itself is taken instead of reading it.
    #[serde(with = "humantime_serde")]
    pub send_fresh_for: Duration,
}

impl Default for UpdateConfig {
    fn default() -> Self {
        let product = ProductSettings::default();
        Self {
            observation_cancel: product.observation_cancel,
            slot_held: product.slot_held,
            delivery: product.delivery,
            download: product.download,
            cancel: product.cancel,
            observe_result: product.observe_result,
            radio_unit: product.radio_unit,
            trust_result_only: product.trust_result_only,
            awake_time: product.awake_time,
            waiting_ping: product.waiting_ping,
            contact_timeout: product.contact_timeout,
            read_timeout: product.read_timeout,
            download_stall_timeout: product.download_stall_timeout,
            download_stall_multiple: product.download_stall_multiple,
            download_stall_floor: product.download_stall_floor,
            download_timeout_max: product.download_timeout_max,
            silence_before_result_read: product.silence_before_result_read,
            result_timeout: product.result_timeout,
            version_settle: product.version_settle,
            quarantine: product.quarantine,
            send_fresh_for: product.send_fresh_for,
        }
    }
}

impl UpdateConfig {
    /// The settings of products of which nothing else is known, without the borders of the tiers, which
    /// are not in this section.
    pub fn product(&self, transmission: PresetConfig) -> ProductSettings {
        ProductSettings {
            transmission: transmission.preset(),
            observation_cancel: self.observation_cancel,
            slot_held: self.slot_held,
            delivery: self.delivery,
            download: self.download,
            cancel: self.cancel,
            observe_result: self.observe_result,
            radio_unit: self.radio_unit,
            trust_result_only: self.trust_result_only,
            tier_borders: TierBorders::default(),
            awake_time: self.awake_time,
            waiting_ping: self.waiting_ping,
            contact_timeout: self.contact_timeout,
            read_timeout: self.read_timeout,
            download_stall_timeout: self.download_stall_timeout,
            download_stall_multiple: self.download_stall_multiple,
            download_stall_floor: self.download_stall_floor,
            download_timeout_max: self.download_timeout_max,
            silence_before_result_read: self.silence_before_result_read,
            result_timeout: self.result_timeout,
            version_settle: self.version_settle,
            quarantine: self.quarantine,
            send_fresh_for: self.send_fresh_for,
        }
    }

    /// None is endless, and those that end a task are not over before it begins.
    pub(super) fn check(&self) -> Result<(), String> {
        let times = [
            ("contact_timeout", self.contact_timeout, 1),
            ("read_timeout", self.read_timeout, 1),
            ("download_stall_timeout", self.download_stall_timeout, 1),
            ("download_stall_floor", self.download_stall_floor, 0),
            ("download_timeout_max", self.download_timeout_max, 1),
            ("result_timeout", self.result_timeout, 1),
            ("awake_time", self.awake_time, 0),
            (
                "silence_before_result_read",
                self.silence_before_result_read,
                0,
            ),
            ("version_settle", self.version_settle, 0),
            ("quarantine", self.quarantine, 0),
            ("send_fresh_for", self.send_fresh_for, 0),
        ];
        for (key, time, least_ms) in times {
            check_time(&format!("update.{key}"), time, least_ms)?;
        }
        let multiple = SettingValue::Number(self.download_stall_multiple);
        if let Err(fault) = Setting::DownloadStallMultiple.check(multiple) {
            return Err(format!("update.download_stall_multiple {fault}"));
        }
        Ok(())
    }
}

/// A time of at least `least_ms` milliseconds and at most a year.
pub(super) fn check_time(key: &str, time: Duration, least_ms: u64) -> Result<(), String> {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    if time < Duration::from_millis(least_ms) {
        return Err(format!("{key} must be more than 0"));
    }
    if time > YEAR {
        return Err(format!("{key} must be at most 366 days"));
    }
    Ok(())
}
