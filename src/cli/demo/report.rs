//! The demo's table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::SlotClaim;
use crate::sim::Verdict;

#[derive(Debug)]
pub(super) struct Report {
    succeeded: u64,
    failed: u64,
    devices: usize,
    devices_of_class: BTreeMap<SlotClaim, usize>,
    verdict: Verdict,
    broken: usize,
    seconds: f64,
}

impl Report {
    /// `running` devices are left: fewer than there were means that a simulated device broke.
    pub(super) fn new(
        summary: &Value,
        verdict: Verdict,
        classes: &[SlotClaim],
        running: usize,
        seconds: f64,
    ) -> Self {
        let count = |state: &str| summary["counts"][state].as_u64().unwrap_or_default();
        let mut devices_of_class = BTreeMap::new();
        for class in classes {
            *devices_of_class.entry(*class).or_default() += 1;
        }
        Self {
            succeeded: count("succeeded"),
            failed: count("failed"),
            devices: classes.len(),
            devices_of_class,
            verdict,
            broken: classes.len().saturating_sub(running),
            seconds,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::from("cell    tier     devices  highest active  limit\n");
        for peak in &self.verdict.peaks {
            let class = SlotClaim {
                cell: peak.cell,
                tier: peak.tier,
            };
            let devices = self
                .devices_of_class
                .get(&class)
                .copied()
                .unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{:<7} {:<8} {devices:>7} {:>15} {:>6}",
                peak.cell.to_string(),
                peak.tier.word(),
                peak.peak,
                peak.limit
            );
        }
        let Verdict {
            flashed,
            second_flashes,
            repeated_executes,
            wrong_images,
            ..
        } = &self.verdict;
        let _ = write!(
            text,
            "\ndevices {}, succeeded {}, failed {}, {:.1} s\nby the devices' own log: flashed \
             {flashed}, second flashes {second_flashes}, repeated executes {repeated_executes}, \
             wrong images {wrong_images}, limits passed {}",
            self.devices,
            self.succeeded,
            self.failed,
            self.seconds,
            self.verdict.limits_passed.len()
        );
        text
    }

    pub(super) fn json(&self) -> Value {
        let cells: Vec<_> = self
            .verdict
            .peaks
            .iter()
            .map(|peak| {
                json!({
                    "cell_id": peak.cell.0,
                    "tier": peak.tier.word(),
                    "highest_active": peak.peak,
                    "limit": peak.limit,
                })
            })
            .collect();
        json!({
            "devices": self.devices,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "seconds": self.seconds,
            "cells": cells,
            "flashed": self.verdict.flashed,
            "second_flashes": self.verdict.second_flashes,
            "repeated_executes": self.verdict.repeated_executes,
            "wrong_images": self.verdict.wrong_images,
            "limits_passed": self.verdict.limits_passed,
        })
    }

    /// Whether all is as it should be; why not, where it is not.
    pub(super) fn verdict(&self) -> Result<(), String> {
        if let Some(passed) = self.verdict.limits_passed.first() {
            return Err(format!("a limit was passed: {passed}"));
        }
        if !self.verdict.holds() {
            return Err("a device flashed twice, or got a wrong image".to_owned());
        }
        if self.broken > 0 {
            return Err(format!("{} simulated devices broke", self.broken));
        }
        if self.succeeded != self.devices as u64 {
            return Err(format!("{} of {} succeeded", self.succeeded, self.devices));
        }
        Ok(())
    }
}
