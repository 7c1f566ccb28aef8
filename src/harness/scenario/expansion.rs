//! What a scenario comes to in devices, for whoever wrote it. Sans-IO.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Scenario;
use crate::sim::CeLevel;

/// How many devices there are of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expansion {
    /// Its name.
    pub name: String,
    /// All devices.
    pub devices: usize,
    /// Of each cell, in the file's order.
    pub cells: Vec<CellExpansion>,
    /// Of each mix by name, in the file's order.
    pub mixes: Vec<(String, usize)>,
}

/// The devices of one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CellExpansion {
    /// `/4/0/8`.
    pub id: u32,
    /// Of CE0, CE1 and CE2.
    pub levels: [usize; 3],
}

impl Scenario {
    /// Counts its devices by cell, level and mix.
    pub fn expansion(&self, seed: u64) -> Expansion {
        let mut levels: Vec<BTreeMap<CeLevel, usize>> = vec![BTreeMap::new(); self.cells.len()];
        let mut mixes = vec![0; self.mixes.len()];
        for device in self.devices(seed) {
            if let Some(cell) = levels.get_mut(device.cell) {
                *cell.entry(device.level).or_default() += 1;
            }
            if let Some(mix) = mixes.get_mut(usize::from(device.mix)) {
                *mix += 1;
            }
        }
        let cells = self
            .cells
            .iter()
            .zip(levels)
            .map(|(cell, levels)| CellExpansion {
                id: cell.id.0,
                levels: CeLevel::ALL.map(|level| levels.get(&level).copied().unwrap_or_default()),
            });
        Expansion {
            name: self.name.clone(),
            devices: self.device_count,
            cells: cells.collect(),
            mixes: self.mix_names().map(str::to_owned).zip(mixes).collect(),
        }
    }
}
