//! Coverage tiers, and how many devices of one cell and tier update at once.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::word;
use crate::engine::EngineConfig;
use crate::model::{
    AdmissionMode, AdmissionPolicy, AirtimePermille, CellId, TierBorders, TierLimits,
};

/// A whole cell.
const AIRTIME_PERMILLE_MAX: u16 = 1000;

/// `[cells]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CellsConfig {
    /// Lowest RSRP of tiers 0, 1 and 2, in dBm. The carriers publish theirs only as a picture: these
    /// are ours.
    pub rsrp_borders_dbm: [i16; 3],
    /// Lowest SINR of tiers 0, 1 and 2, in dB. Ours as well.
    pub sinr_borders_db: [i16; 3],
    /// Whom the limits count.
    #[serde(with = "word")]
    pub admission: AdmissionMode,
    /// What all tiers of a cell take together at most, in thousandths of a full tier; 0: each may be full.
    pub airtime_permille: u16,
    /// How many slots are given among those that wait before who asks later is behind them only.
    pub passed_over_max: u32,
    /// How many times the airtime that one takes other tiers are given before it comes first.
    pub stretch_max: u32,
    /// How many hours a device may wait for a slot until it comes before all others.
    pub overdue_hours: u16,
    /// How many devices begin to fetch a minute at most, over all cells and campaigns; 0: as many as the
    /// cells bear.
    pub starts_per_minute_max: u32,
    /// The limits of every cell.
    pub limits: LimitsConfig,
    /// Cells with limits of their own: `[[cells.overrides]]`.
    pub overrides: Vec<CellLimits>,
    /// Cells with borders of their own: `[[cells.border_overrides]]`.
    pub border_overrides: Vec<CellBorders>,
}

/// Slots per tier.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Good coverage.
    pub tier0: u32,
    /// Middling coverage.
    pub tier1: u32,
    /// Weak coverage.
    pub tier2: u32,
    /// Cell known, signal not.
    pub unknown: u32,
}

/// One cell with limits of its own.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellLimits {
    /// Which cell.
    pub cell_id: u32,
    /// Its limits.
    pub limits: LimitsConfig,
}

/// One cell with borders of its own, whatever its devices' products say.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellBorders {
    /// Which cell.
    pub cell_id: u32,
    /// Its lowest RSRP of tiers 0, 1 and 2, in dBm.
    pub rsrp_borders_dbm: [i16; 3],
    /// Its lowest SINR of tiers 0, 1 and 2, in dB.
    pub sinr_borders_db: [i16; 3],
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let TierLimits {
            tier0,
            tier1,
            tier2,
            unknown,
        } = TierLimits::default();
        Self {
            tier0,
            tier1,
            tier2,
            unknown,
        }
    }
}

impl LimitsConfig {
    /// The limits as the scheduler takes them.
    pub const fn limits(self) -> TierLimits {
        let Self {
            tier0,
            tier1,
            tier2,
            unknown,
        } = self;
        TierLimits {
            tier0,
            tier1,
            tier2,
            unknown,
        }
    }
}

impl Default for CellsConfig {
    fn default() -> Self {
        let TierBorders { rsrp_dbm, sinr_db } = TierBorders::default();
        Self {
            rsrp_borders_dbm: rsrp_dbm,
            sinr_borders_db: sinr_db,
            admission: AdmissionMode::PerClass,
            airtime_permille: 0,
            passed_over_max: EngineConfig::default().passed_over_max,
            stretch_max: EngineConfig::default().stretch_max,
            overdue_hours: 20,
            starts_per_minute_max: 0,
            limits: LimitsConfig::default(),
            overrides: Vec::new(),
            border_overrides: Vec::new(),
        }
    }
}

impl CellsConfig {
    /// How long a device may wait for a slot until it comes before all others.
    pub fn overdue_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.overdue_hours) * 3600)
    }

    /// The borders as the scheduler takes them.
    pub const fn borders(&self) -> TierBorders {
        TierBorders {
            rsrp_dbm: self.rsrp_borders_dbm,
            sinr_db: self.sinr_borders_db,
        }
    }

    pub(super) fn admission(&self) -> AdmissionPolicy {
        AdmissionPolicy {
            mode: self.admission,
            airtime: NonZeroU16::new(self.airtime_permille).map(AirtimePermille),
        }
    }

    pub(super) fn overrides(&self) -> BTreeMap<CellId, TierLimits> {
        self.overrides
            .iter()
            .map(|cell| (CellId(cell.cell_id), cell.limits.limits()))
            .collect()
    }

    pub(super) fn border_overrides(&self) -> BTreeMap<CellId, TierBorders> {
        let own = self.border_overrides.iter().map(|cell| {
            let borders = TierBorders {
                rsrp_dbm: cell.rsrp_borders_dbm,
                sinr_db: cell.sinr_borders_db,
            };
            (CellId(cell.cell_id), borders)
        });
        own.collect()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let falls = |borders: [i16; 3]| borders[0] > borders[1] && borders[1] > borders[2];
        if !falls(self.rsrp_borders_dbm) {
            return Err("cells.rsrp_borders_dbm must fall from tier to tier".to_owned());
        }
        if !falls(self.sinr_borders_db) {
            return Err("cells.sinr_borders_db must fall from tier to tier".to_owned());
        }
        for (cell, borders) in self.border_overrides() {
            if !falls(borders.rsrp_dbm) || !falls(borders.sinr_db) {
                return Err(format!(
                    "cells.border_overrides: those of cell {cell} must fall from tier to tier"
                ));
            }
        }
        if self.airtime_permille > AIRTIME_PERMILLE_MAX {
            return Err(format!(
                "cells.airtime_permille must be 0 to {AIRTIME_PERMILLE_MAX}: a cell has no more than \
                 all of its air"
            ));
        }
        Ok(())
    }
}
