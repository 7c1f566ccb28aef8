//! Coverage enhancement levels, and the figures that go with each.
//!
//! The figures are of one standalone carrier (43 dBm) at a representative coupling loss of 140, 154 and
//! 162 dB: measured ones where a public source has them, else computed from the block error tables of
//! LENA-NB (ns-3) for one HARQ process and TBS ≤ 680, else assumed. Each says which.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::super::device::Radio;
use super::Direction;

/// A coverage enhancement level (TS 36.321 §5.1): how often everything is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CeLevel {
    /// Normal coverage: RSRP from −115.5 dBm on (SIB2 of a live cell).
    Ce0,
    /// Extended: RSRP from −127.5 to −115.5 dBm (SIB2 of a live cell).
    Ce1,
    /// Extreme: below.
    Ce2,
}

/// What a UDP datagram has around it over IPv4, in bytes (RFC 791, RFC 768).
const UDP_IPV4_BYTES: u64 = 28;

/// Steps in a table of quantiles: it has one entry more.
const QUANTILE_STEPS: u32 = 64;

/// Quantiles of round trips in milliseconds, from 1/64 to 63/64, and 1/256 and 255/256 at the ends:
/// log-normal with a median of 0.5 s and 2 s at 95 % (computed with the block times; a live cell was
/// measured at 0.84 s, Electronics 10-02224).
const CE0_ROUND_TRIP_MS: [u16; QUANTILE_STEPS as usize + 1] = [
    53, 81, 104, 122, 137, 151, 165, 177, 190, 202, 213, 225, 237, 248, 260, 272, 283, 295, 307,
    319, 331, 344, 356, 369, 382, 396, 409, 423, 438, 453, 468, 484, 500, 517, 534, 552, 571, 590,
    611, 632, 654, 677, 702, 728, 755, 784, 815, 847, 883, 921, 962, 1007, 1056, 1110, 1171, 1240,
    1318, 1410, 1518, 1652, 1822, 2053, 2403, 3071, 4706,
];

/// Median 2 s, 6 s at 95 % (computed with the block times).
const CE1_ROUND_TRIP_MS: [u16; QUANTILE_STEPS as usize + 1] = [
    338, 475, 576, 653, 718, 776, 829, 880, 928, 974, 1019, 1063, 1106, 1148, 1191, 1233, 1275,
    1316, 1358, 1401, 1443, 1486, 1529, 1572, 1617, 1661, 1707, 1753, 1801, 1849, 1898, 1948, 2000,
    2053, 2108, 2164, 2222, 2281, 2343, 2408, 2474, 2544, 2616, 2692, 2772, 2856, 2945, 3038, 3138,
    3245, 3359, 3483, 3617, 3764, 3926, 4108, 4312, 4548, 4823, 5156, 5572, 6126, 6940, 8430,
    11820,
];

/// Median 8 s, 20 s at 95 %: module makers met 10 s as not always enough (sdk-nrf, pull request 2498).
const CE2_ROUND_TRIP_MS: [u16; QUANTILE_STEPS as usize + 1] = [
    1818, 2410, 2834, 3145, 3404, 3631, 3839, 4032, 4215, 4389, 4558, 4721, 4880, 5037, 5191, 5343,
    5494, 5644, 5794, 5943, 6093, 6243, 6394, 6546, 6699, 6853, 7010, 7168, 7329, 7492, 7658, 7827,
    8000, 8177, 8357, 8542, 8733, 8928, 9130, 9338, 9554, 9777, 10009, 10251, 10504, 10768, 11046,
    11339, 11648, 11978, 12329, 12706, 13113, 13556, 14042, 14581, 15184, 15872, 16671, 17624,
    18804, 20349, 22581, 26557, 35208,
];

impl CeLevel {
    /// All levels, the best first.
    pub const ALL: [Self; 3] = [Self::Ce0, Self::Ce1, Self::Ce2];

    /// What a whole carrier brings across while only devices of this level use it, in bit/s.
    pub const fn carrier_bits_per_second(self, direction: Direction) -> u64 {
        match (direction, self) {
            // Computed from the block error tables (the head of this file); with them one device alone
            // takes some 24 % of it.
            (Direction::Downlink, Self::Ce0) => 35_000,
            (Direction::Downlink, Self::Ce1) => 8_000,
            (Direction::Downlink, Self::Ce2) => 800,
            // 62.5 kbit/s: multi-tone, M5311 data sheet.
            (Direction::Uplink, Self::Ce0) => 62_500,
            // Assumption: repetitions cost the uplink what they cost the downlink.
            (Direction::Uplink, Self::Ce1) => 14_300,
            (Direction::Uplink, Self::Ce2) => 1_430,
        }
    }

    /// How long a datagram of so many bytes of UDP payload takes with the whole carrier to itself.
    pub fn airtime(self, direction: Direction, payload_bytes: usize) -> Duration {
        let bits = 8 * match direction {
            // The capacity was computed for blocks, whose headers it leaves out.
            Direction::Downlink => payload_bytes as u64,
            Direction::Uplink => payload_bytes as u64 + UDP_IPV4_BYTES,
        };
        Duration::from_nanos(bits * 1_000_000_000 / self.carrier_bits_per_second(direction))
    }

    /// A round trip of a device that is alone in its cell: a request, and an answer of a block's length
    /// or shorter.
    pub fn round_trip(self, rng: &mut StdRng) -> Duration {
        let table = match self {
            Self::Ce0 => &CE0_ROUND_TRIP_MS,
            Self::Ce1 => &CE1_ROUND_TRIP_MS,
            Self::Ce2 => &CE2_ROUND_TRIP_MS,
        };
        let (step, part) = (
            rng.gen_range(0..QUANTILE_STEPS as usize),
            rng.gen_range(0..1000),
        );
        let (low, high) = (u64::from(table[step]), u64::from(table[step + 1]));
        Duration::from_micros(low * 1000 + (high - low) * part)
    }

    /// Whether a datagram is lost on its way, in one direction. Assumption: no measurement was found.
    pub fn loses(self, rng: &mut StdRng) -> bool {
        let permille = match self {
            Self::Ce0 => 5,
            Self::Ce1 => 20,
            Self::Ce2 => 50,
        };
        rng.gen_range(0..1000) < permille
    }

    /// What a device of this level reports of its radio: values of the coverage tier of the same
    /// number, by the default borders.
    pub const fn radio(self, cell_id: u32) -> Radio {
        let (rsrp, sinr) = match self {
            Self::Ce0 => (-95, 12),
            Self::Ce1 => (-112, 2),
            Self::Ce2 => (-122, -6),
        };
        Radio {
            cell_id: Some(cell_id),
            rsrp: Some(rsrp),
            sinr: Some(sinr),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::model::{CoverageTier, TierBorders};
    use crate::sim::DeviceConfig;

    #[test]
    fn round_trips_have_the_medians_and_tails_that_they_are_said_to_have() {
        let mut rng = StdRng::seed_from_u64(1);
        for (level, median_ms, p95_ms) in [
            (CeLevel::Ce0, 500, 2_000),
            (CeLevel::Ce1, 2_000, 6_000),
            (CeLevel::Ce2, 8_000, 20_000),
        ] {
            let mut drawn: Vec<_> = (0..20_000)
                .map(|_| level.round_trip(&mut rng).as_millis())
                .collect();
            drawn.sort_unstable();
            let within = |value: u128, of: u128| value * 20 > of * 19 && value * 20 < of * 21;
            assert!(within(drawn[10_000], median_ms), "{level:?}");
            assert!(within(drawn[19_000], p95_ms), "{level:?}");
        }
    }

    #[test]
    fn losses_are_as_frequent_as_they_are_said_to_be() {
        let mut rng = StdRng::seed_from_u64(2);
        for (level, permille) in [(CeLevel::Ce0, 5), (CeLevel::Ce1, 20), (CeLevel::Ce2, 50)] {
            let lost = (0..100_000).filter(|_| level.loses(&mut rng)).count();
            let of = permille * 100;
            assert!(lost.abs_diff(of) < of / 5, "{lost} of 100,000");
        }
    }

    #[test]
    fn a_device_reports_the_tier_of_its_level() {
        let tiers = [
            CoverageTier::Tier0,
            CoverageTier::Tier1,
            CoverageTier::Tier2,
        ];
        for (level, tier) in CeLevel::ALL.into_iter().zip(tiers) {
            let config = DeviceConfig {
                radio: level.radio(7),
                ..DeviceConfig::new(String::new(), ([127, 0, 0, 1], 5683).into())
            };
            assert_eq!(config.class(&TierBorders::default()).tier, tier);
        }
    }
}
