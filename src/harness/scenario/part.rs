//! Some of a scenario's devices: those of some of its cells. Sans-IO.

use serde::{Deserialize, Serialize};

use super::{PlannedDevice, Scenario};

/// Cells that follow one another, by their numbers in [`Scenario::cells`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRange {
    /// The first.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl CellRange {
    /// Whether a cell is one of them.
    pub const fn contains(self, cell: usize) -> bool {
        self.first <= cell && cell - self.first < self.count
    }
}

impl Scenario {
    /// All its cells.
    pub const fn all_cells(&self) -> CellRange {
        CellRange {
            first: 0,
            count: self.cells.len(),
        }
    }

    /// Its cells in so many parts, of which none has two cells more than another. Fewer, where there are
    /// fewer cells.
    pub fn parts(&self, parts: usize) -> Vec<CellRange> {
        let cells = self.cells.len();
        let parts = parts.min(cells);
        let begin = |part: usize| part * cells / parts.max(1);
        (0..parts)
            .map(|part| CellRange {
                first: begin(part),
                count: begin(part + 1) - begin(part),
            })
            .collect()
    }

    /// The devices of some cells, by their number.
    pub fn devices_of(&self, seed: u64, cells: CellRange) -> impl Iterator<Item = PlannedDevice> {
        (0..self.device_count())
            .filter(move |index| cells.contains(self.cell_of(*index)))
            .map(move |index| self.device(seed, index))
    }

    /// The cell of the device with this number.
    pub(in crate::harness) fn cell_of(&self, index: usize) -> usize {
        index % self.cells.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_all_devices_once_and_no_cell_twice() {
        let text = "[[cell]]\nid = 1\ncount = 7\n[[mix]]\nname = \"a\"\n[devices]\ncount = 50\n";
        let scenario = Scenario::parse(text).unwrap();
        let of = |cells| -> Vec<usize> {
            scenario
                .devices_of(1, cells)
                .map(|device| device.index)
                .collect()
        };
        for parts in 1..9 {
            let parts = scenario.parts(parts);
            let counts: Vec<_> = parts.iter().map(|part| part.count).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            assert_eq!(counts.iter().sum::<usize>(), 7, "{counts:?}");
            let mut devices: Vec<usize> = parts.into_iter().flat_map(of).collect();
            devices.sort_unstable();
            assert!(devices.into_iter().eq(0..50));
        }
        assert_eq!(scenario.parts(8).len(), 7);
        let second = CellRange { first: 1, count: 1 };
        assert_eq!(of(second), [1, 8, 15, 22, 29, 36, 43]);
    }
}
