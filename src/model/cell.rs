//! Cells, radio values and the coverage tier that decides how many devices update at once.

use std::fmt;

use super::words::words;

/// The cell that a device camps on, `/4/0/8` (0 to 268,435,455).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

impl CellId {
    /// The largest E-UTRAN cell identity: 28 bits.
    pub const MAX: u32 = 0x0fff_ffff;

    /// The cell that a number names, if it is one.
    pub fn from_number(number: i64) -> Option<Self> {
        let cell = u32::try_from(number).ok()?;
        (cell <= Self::MAX).then_some(Self(cell))
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reference signal received power in dBm, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rsrp {
    /// The value in dBm.
    pub dbm: i16,
}

/// Signal to interference plus noise ratio in dB, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sinr {
    /// The value in dB.
    pub db: i16,
}

/// What could be read of the radio. A value that no rule understands is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignalReading {
    /// `/4/0/2`.
    pub rsrp: Option<Rsrp>,
    /// `/4/0/11`.
    pub sinr: Option<Sinr>,
}

words! {
    /// 信号覆盖等级: the class of devices of one cell that share a limit (seed 004, steps 6 to 8).
    pub enum CoverageTier {
        /// Good coverage.
        Tier0 = "0",
        /// Middling coverage.
        Tier1 = "1",
        /// Weak coverage, and any readable value outside all ranges.
        Tier2 = "2",
        /// The cell is known, a radio value is not.
        Unknown = "unknown",
    }
}

impl CoverageTier {
    /// The tier of a reading: the worse of the tier of its RSRP and that of its SINR.
    pub fn of(reading: SignalReading, borders: &TierBorders) -> Self {
        let (Some(rsrp), Some(sinr)) = (reading.rsrp, reading.sinr) else {
            return Self::Unknown;
        };
        let tier = |value: i16, lows: [i16; 3]| match lows.iter().position(|low| value >= *low) {
            Some(0) => Self::Tier0,
            Some(1) => Self::Tier1,
            Some(_) | None => Self::Tier2,
        };
        tier(rsrp.dbm, borders.rsrp_dbm).max(tier(sinr.db, borders.sinr_db))
    }
}

/// The lower borders of tiers 0, 1 and 2. The defaults are ours: the carriers publish theirs only as
/// a picture (carrier notes, "The picture").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierBorders {
    /// Lowest RSRP of tiers 0, 1, 2, in dBm.
    pub rsrp_dbm: [i16; 3],
    /// Lowest SINR of tiers 0, 1, 2, in dB.
    pub sinr_db: [i16; 3],
}

impl Default for TierBorders {
    fn default() -> Self {
        Self {
            rsrp_dbm: [-105, -115, -125],
            sinr_db: [7, -3, -8],
        }
    }
}

/// How many devices of one cell and tier may update at once (seed 004).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// Tier 0.
    pub tier0: u32,
    /// Tier 1.
    pub tier1: u32,
    /// Tier 2.
    pub tier2: u32,
    /// Cell known, signal not.
    pub unknown: u32,
}

impl TierLimits {
    /// The limit of one tier.
    pub const fn of(&self, tier: CoverageTier) -> u32 {
        match tier {
            CoverageTier::Tier0 => self.tier0,
            CoverageTier::Tier1 => self.tier1,
            CoverageTier::Tier2 => self.tier2,
            CoverageTier::Unknown => self.unknown,
        }
    }
}

impl Default for TierLimits {
    fn default() -> Self {
        Self {
            tier0: 50,
            tier1: 10,
            tier2: 1,
            unknown: 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(rsrp_dbm: i16, sinr_db: i16) -> CoverageTier {
        let reading = SignalReading {
            rsrp: Some(Rsrp { dbm: rsrp_dbm }),
            sinr: Some(Sinr { db: sinr_db }),
        };
        CoverageTier::of(reading, &TierBorders::default())
    }

    #[test]
    fn the_worse_of_both_values_decides() {
        assert_eq!(tier(-80, 20), CoverageTier::Tier0);
        assert_eq!(tier(-80, 0), CoverageTier::Tier1);
        assert_eq!(tier(-110, 20), CoverageTier::Tier1);
        assert_eq!(tier(-80, -5), CoverageTier::Tier2);
    }

    #[test]
    fn borders_belong_to_the_better_tier() {
        assert_eq!(tier(-105, 7), CoverageTier::Tier0);
        assert_eq!(tier(-106, 7), CoverageTier::Tier1);
        assert_eq!(tier(-115, -3), CoverageTier::Tier1);
        assert_eq!(tier(-116, -3), CoverageTier::Tier2);
    }

    #[test]
    fn readable_but_out_of_all_ranges_is_tier_2() {
        assert_eq!(tier(-140, -20), CoverageTier::Tier2);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_unknown() {
        let reading = SignalReading {
            rsrp: Some(Rsrp { dbm: -80 }),
            sinr: None,
        };
        assert_eq!(
            CoverageTier::of(reading, &TierBorders::default()),
            CoverageTier::Unknown
        );
    }
}
