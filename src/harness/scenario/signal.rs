//! Signal mixes: how many devices have which coverage, and what they report of it. Sans-IO.
//!
//! How many meters have which coverage was published nowhere: the shares are assumptions, and so are the
//! deviations within a level.

use rand::Rng;
use rand::rngs::StdRng;

use super::document::{LevelWeights, Radio as RadioField};
use crate::sim::{CeLevel, Radio};

/// Weights of the levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignalMix {
    weights: [u32; 3],
}

/// By name: 85/12/3, 80/15/5 and 60/25/15 per cent of CE0, CE1 and CE2.
const NAMED: [(&str, [u32; 3]); 3] = [
    ("urban", [85, 12, 3]),
    ("typical", [80, 15, 5]),
    ("basement", [60, 25, 15]),
];

/// Sum of this many even draws is taken for a normal one.
const DRAWS: i64 = 4;

impl SignalMix {
    pub(super) const TYPICAL: Self = Self {
        weights: [80, 15, 5],
    };

    /// What a field means, or what would be right.
    pub(super) fn parse(field: &RadioField) -> Result<Self, String> {
        match field {
            RadioField::Named(name) => {
                let found = NAMED.iter().find(|(known, _)| known == name);
                let known = NAMED.map(|(name, _)| name).join(", ");
                found.map(|(_, weights)| Self { weights: *weights }).ok_or_else(|| {
                    format!(
                        "there is no signal mix \"{name}\"; write one of {known}, or weights such as \
                         {{ ce0 = 80, ce1 = 15, ce2 = 5 }}"
                    )
                })
            }
            RadioField::Weights(LevelWeights { ce0, ce1, ce2 }) => {
                let weights = [*ce0, *ce1, *ce2];
                let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
                if sum == 0 || sum > u64::from(u32::MAX) {
                    return Err("give at least one level a weight, such as ce0 = 1".to_owned());
                }
                Ok(Self { weights })
            }
        }
    }

    pub(super) fn draw_level(self, rng: &mut StdRng) -> CeLevel {
        let mut drawn = rng.gen_range(0..self.weights.iter().sum::<u32>());
        for (level, weight) in CeLevel::ALL.into_iter().zip(self.weights) {
            if drawn < weight {
                return level;
            }
            drawn -= weight;
        }
        CeLevel::Ce2
    }
}

/// What a device of a level reports: an RSRP from a normal distribution cut at the borders of the
/// coverage tier of the same number, and an SINR that goes with it.
pub(super) fn draw_radio(level: CeLevel, cell_id: u32, rng: &mut StdRng) -> Radio {
    let (rsrp, rsrp_within, half_width, sinr, sinr_within) = match level {
        CeLevel::Ce0 => (-92, (-104, -75), 5, 14, (7, 25)),
        CeLevel::Ce1 => (-110, (-115, -106), 3, 2, (-3, 6)),
        CeLevel::Ce2 => (-120, (-125, -116), 3, -6, (-8, -4)),
    };
    let offset: i64 = (0..DRAWS)
        .map(|_| rng.gen_range(-half_width..=half_width))
        .sum::<i64>()
        / 2;
    let noise = rng.gen_range(-2..=2);
    let rsrp_dbm = (rsrp + offset).clamp(rsrp_within.0, rsrp_within.1);
    let sinr_db = (sinr + offset / 2 + noise).clamp(sinr_within.0, sinr_within.1);
    Radio {
        cell_id: Some(cell_id),
        rsrp: Some(rsrp_dbm),
        sinr: Some(sinr_db),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::model::{CoverageTier, TierBorders};

    #[test]
    fn a_device_reports_the_tier_of_its_level_and_values_of_its_own() {
        let mut rng = StdRng::seed_from_u64(1);
        let tiers = [
            CoverageTier::Tier0,
            CoverageTier::Tier1,
            CoverageTier::Tier2,
        ];
        for (level, tier) in CeLevel::ALL.into_iter().zip(tiers) {
            let drawn: Vec<_> = (0..1000).map(|_| draw_radio(level, 7, &mut rng)).collect();
            for radio in &drawn {
                assert_eq!(radio.tier(&TierBorders::default()), tier, "{radio:?}");
            }
            assert!(drawn.iter().any(|radio| radio.rsrp != drawn[0].rsrp));
        }
    }

    #[test]
    fn levels_are_as_frequent_as_their_weights() {
        let mut rng = StdRng::seed_from_u64(2);
        let mix = SignalMix::parse(&RadioField::Named("basement".to_owned())).unwrap();
        let mut counts = [0_usize; 3];
        for _ in 0..10_000 {
            counts[mix.draw_level(&mut rng) as usize] += 1;
        }
        for (count, percent) in counts.into_iter().zip([60, 25, 15]) {
            assert!(count.abs_diff(percent * 100) < 200, "{counts:?}");
        }
    }
}
