//! How many devices of one cell may update at once, where the carriers' text can be read in more than
//! one way (seed 004, steps 6 to 8).

use std::fmt;
use std::num::NonZeroU16;

use super::words::words;

words! {
    /// Whom a tier's limit counts. Later ones admit less: where campaigns differ in a cell, the
    /// strictest holds there.
    pub enum AdmissionMode {
        /// Devices of the same cell and tier: the seed's "50个相同信号覆盖区间的设备", word for word.
        PerClass = "per_class",
        /// All devices of the cell, against the limit of the tier of the one that asks.
        PerCell = "per_cell",
        /// All devices of the cell, against the lowest limit of the tiers that are active there and of
        /// the one that asks.
        Strictest = "strictest",
    }
}

/// A share of a cell's downlink, in thousandths: 1000 is what a full tier takes, be it 50 devices of
/// tier 0 or one of tier 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AirtimePermille(pub NonZeroU16);

/// How a campaign wants its devices admitted. Each tier's own limit holds whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdmissionPolicy {
    /// Whom a limit counts.
    pub mode: AdmissionMode,
    /// All tiers together take at most so much: each device counts as the part of its tier's limit that
    /// it is. Without it each tier may be full by itself.
    pub airtime: Option<AirtimePermille>,
}

impl Default for AdmissionPolicy {
    fn default() -> Self {
        Self {
            mode: AdmissionMode::PerClass,
            airtime: None,
        }
    }
}

impl AdmissionPolicy {
    /// What both allow.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            mode: self.mode.max(other.mode),
            airtime: [self.airtime, other.airtime].into_iter().flatten().min(),
        }
    }
}

impl fmt::Display for AdmissionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mode)?;
        match self.airtime {
            Some(budget) => write!(f, ", airtime {} permille", budget.0),
            None => Ok(()),
        }
    }
}
