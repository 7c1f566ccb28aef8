//! What a campaign asks of a device before it waits for a slot: battery, signal, free memory.

use crate::lwm2m::{Path, path};
use crate::model::{Preconditions, UnknownValue};

use super::{Reading, Reported, Step};

/// What says how the device is powered (`/3/0/20`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatteryStatus(pub i64);

impl BatteryStatus {
    /// It charges, is charged, or there is no battery to run down.
    const fn has_external_power(self) -> bool {
        matches!(self.0, 1 | 2 | 5)
    }
}

/// One precondition against what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Met,
    Unmet,
    Unknown,
}

/// What has to be read first, or what the device is waited for; `None`: nothing is in its way.
pub(super) fn before_slot(asked: &Preconditions, reported: &Reported) -> Option<Step> {
    if let Some(path) = unread(asked, reported) {
        return Some(Step::Read(path));
    }
    let unmet: Vec<_> = findings(asked, reported)
        .into_iter()
        .filter(|(finding, _)| match finding {
            Finding::Met => false,
            Finding::Unmet => true,
            Finding::Unknown => asked.unknown == UnknownValue::Wait,
        })
        .map(|(_, told)| told)
        .collect();
    (!unmet.is_empty()).then(|| Step::AwaitCondition(unmet.join("; ")))
}

/// What was read for the preconditions, in words; what is unknown and counts as met is said so.
pub(in crate::fota) fn told(asked: &Preconditions, reported: &Reported) -> Option<String> {
    let told: Vec<_> = findings(asked, reported)
        .into_iter()
        .map(|(finding, told)| match finding {
            Finding::Met | Finding::Unmet => told,
            Finding::Unknown => format!("{told}, which counts as met"),
        })
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// How the device is powered is asked only where its battery alone would keep it waiting.
fn unread(asked: &Preconditions, reported: &Reported) -> Option<Path> {
    if let Some(least) = asked.battery_percent_min {
        if reported.battery_percent.is_unread() {
            return Some(path::BATTERY_LEVEL);
        }
        let suffices = reported
            .battery_percent
            .value()
            .is_some_and(|it| *it >= least);
        if !suffices && reported.battery_status.is_unread() {
            return Some(path::BATTERY_STATUS);
        }
    }
    (asked.free_kib_min.is_some() && reported.free_kib.is_unread()).then_some(path::MEMORY_FREE)
}

fn findings(asked: &Preconditions, reported: &Reported) -> Vec<(Finding, String)> {
    let mut findings = Vec::new();
    if let Some(least) = asked.battery_percent_min {
        findings.push(battery(least, reported));
    }
    let radio = [
        (
            path::RADIO_SIGNAL_STRENGTH,
            "dBm",
            asked.rsrp_dbm_min,
            reported.rsrp.value().map(|it| it.dbm),
        ),
        (
            path::SIGNAL_SNR,
            "dB",
            asked.sinr_db_min,
            reported.sinr.value().map(|it| it.db),
        ),
    ];
    for (path, unit, least, value) in radio {
        if let Some(least) = least {
            findings.push(at_least(path, unit, least.into(), value.map(i64::from)));
        }
    }
    if let Some(least) = asked.free_kib_min {
        let value = reported.free_kib.value().copied();
        findings.push(at_least(path::MEMORY_FREE, "KiB", least.into(), value));
    }
    findings
}

fn battery(least: u8, reported: &Reported) -> (Finding, String) {
    let level = reported.battery_percent.value().copied();
    let (finding, told) = at_least(path::BATTERY_LEVEL, "%", least.into(), level.map(i64::from));
    match &reported.battery_status {
        Reading::Value(status) if finding != Finding::Met && status.has_external_power() => {
            let (path, number) = (path::BATTERY_STATUS, status.0);
            (
                Finding::Met,
                format!("{told}; {path} = {number}: it has external power"),
            )
        }
        Reading::Value(_) | Reading::Unread | Reading::Awaited | Reading::Unreadable(_) => {
            (finding, told)
        }
    }
}

fn at_least(path: Path, unit: &str, least: i64, value: Option<i64>) -> (Finding, String) {
    match value {
        Some(value) if value >= least => (Finding::Met, format!("{path} = {value} {unit}")),
        Some(value) => {
            let told = format!("{path} = {value} {unit}, at least {least} {unit} is asked for");
            (Finding::Unmet, told)
        }
        None => {
            let told = format!("{path} is unknown, at least {least} {unit} is asked for");
            (Finding::Unknown, told)
        }
    }
}
