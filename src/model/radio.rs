//! Radio values as modules report them, made into dBm and dB.
//!
//! Modules disagree on the unit of `/4/0/2` (dBm, tenths of a dBm, CSQ, an index of TS 36.133) and on
//! what stands for "not known" (carrier flows §2.3). What no rule understands is `None`: the class
//! `unknown` has a limit of its own, and a wrong guess would overload a cell.

use std::ops::RangeInclusive;

use super::{RadioUnit, Rsrp, Sinr};

/// RSRP that a module can mean, in dBm: NRSRP is reported from −156 on (TS 36.133); nothing on the
/// air is as strong as −30.
const RSRP_DBM: RangeInclusive<i64> = -156..=-31;
/// The same in tenths of a dBm, as far as it cannot be mistaken for whole ones.
const RSRP_DECI_DBM: RangeInclusive<i64> = -1560..=-320;
/// CSQ (TS 27.007 §8.5); 99 is unknown.
const CSQ: RangeInclusive<i64> = 0..=31;
/// The index of TS 36.133 §9.1.4; 127 is invalid.
const TS_36133: RangeInclusive<i64> = -17..=97;

/// SINR in dB.
const SINR_DB: RangeInclusive<i64> = -30..=40;
/// SINR in tenths of a dB, by magnitude, as far as it cannot be mistaken for whole ones.
const SINR_DECI_DB: RangeInclusive<u64> = 41..=400;
/// What modules send for "not known". For RSRP these lie outside of every range anyhow.
const UNKNOWN_MARKERS: [i64; 4] = [99, 127, 255, 0x7fff_ffff];

impl Rsrp {
    /// The power that `value` of `/4/0/2` means in `unit`; `None` where it means nothing.
    ///
    /// Tenths are rounded down, so a value below a tier's border stays below it. `Auto` takes 0 to 31
    /// for CSQ, which is total power (RSSI) and says nothing of RSRP: only a product that is set to
    /// `Csq` has it counted as −113 dBm + 2 dB each.
    pub fn normalise(value: i64, unit: RadioUnit) -> Option<Self> {
        let dbm = match unit {
            RadioUnit::Auto if RSRP_DBM.contains(&value) => value,
            RadioUnit::Auto if RSRP_DECI_DBM.contains(&value) => value.div_euclid(10),
            RadioUnit::Dbm if RSRP_DBM.contains(&value) => value,
            RadioUnit::DeciDbm if RSRP_DECI_DBM.contains(&value) => value.div_euclid(10),
            RadioUnit::Csq if CSQ.contains(&value) => 2 * value - 113,
            RadioUnit::Ts36133 if TS_36133.contains(&value) => value - 140,
            RadioUnit::Auto
            | RadioUnit::Dbm
            | RadioUnit::DeciDbm
            | RadioUnit::Csq
            | RadioUnit::Ts36133 => return None,
        };
        Some(Self {
            dbm: i16::try_from(dbm).ok()?,
        })
    }
}

impl Sinr {
    /// The ratio that `value` of `/4/0/11` means: dB, or tenths of a dB where it is too large for dB;
    /// `None` where it means nothing. Tenths are rounded down.
    pub fn normalise(value: i64) -> Option<Self> {
        if UNKNOWN_MARKERS.contains(&value) {
            return None;
        }
        let db = if SINR_DB.contains(&value) {
            value
        } else if SINR_DECI_DB.contains(&value.unsigned_abs()) {
            value.div_euclid(10)
        } else {
            return None;
        };
        Some(Self {
            db: i16::try_from(db).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsrp_dbm(value: i64, unit: RadioUnit) -> Option<i16> {
        Rsrp::normalise(value, unit).map(|rsrp| rsrp.dbm)
    }

    fn sinr_db(value: i64) -> Option<i16> {
        Sinr::normalise(value).map(|sinr| sinr.db)
    }

    #[test]
    fn auto_tells_dbm_from_tenths_by_the_range() {
        assert_eq!(rsrp_dbm(-97, RadioUnit::Auto), Some(-97));
        assert_eq!(rsrp_dbm(-156, RadioUnit::Auto), Some(-156));
        assert_eq!(rsrp_dbm(-31, RadioUnit::Auto), Some(-31));
        assert_eq!(rsrp_dbm(-734, RadioUnit::Auto), Some(-74));
        assert_eq!(rsrp_dbm(-1560, RadioUnit::Auto), Some(-156));
        assert_eq!(rsrp_dbm(-320, RadioUnit::Auto), Some(-32));
    }

    #[test]
    fn auto_takes_neither_csq_nor_what_lies_between_the_ranges() {
        for value in [0, 17, 31, 90, -30, -1, -157, -319, -1561, i64::MIN] {
            assert_eq!(rsrp_dbm(value, RadioUnit::Auto), None, "{value}");
        }
    }

    #[test]
    fn a_marker_for_unknown_is_unknown_in_every_unit() {
        for marker in UNKNOWN_MARKERS {
            for &unit in RadioUnit::ALL {
                assert_eq!(rsrp_dbm(marker, unit), None, "{marker} in {unit}");
            }
            assert_eq!(sinr_db(marker), None, "{marker}");
        }
    }

    #[test]
    fn tenths_just_below_a_border_do_not_reach_it() {
        assert_eq!(rsrp_dbm(-1050, RadioUnit::DeciDbm), Some(-105));
        assert_eq!(rsrp_dbm(-1051, RadioUnit::DeciDbm), Some(-106));
        assert_eq!(sinr_db(-81), Some(-9));
    }

    #[test]
    fn a_product_names_its_unit() {
        assert_eq!(rsrp_dbm(0, RadioUnit::Csq), Some(-113));
        assert_eq!(rsrp_dbm(31, RadioUnit::Csq), Some(-51));
        assert_eq!(rsrp_dbm(32, RadioUnit::Csq), None);
        assert_eq!(rsrp_dbm(-97, RadioUnit::Csq), None);
        assert_eq!(rsrp_dbm(-17, RadioUnit::Ts36133), Some(-157));
        assert_eq!(rsrp_dbm(97, RadioUnit::Ts36133), Some(-43));
        assert_eq!(rsrp_dbm(98, RadioUnit::Ts36133), None);
        assert_eq!(rsrp_dbm(-734, RadioUnit::Dbm), None);
        assert_eq!(rsrp_dbm(-97, RadioUnit::DeciDbm), None);
    }

    #[test]
    fn sinr_is_in_db_or_in_tenths() {
        assert_eq!(sinr_db(9), Some(9));
        assert_eq!(sinr_db(-30), Some(-30));
        assert_eq!(sinr_db(40), Some(40));
        assert_eq!(sinr_db(125), Some(12));
        assert_eq!(sinr_db(-41), Some(-5));
        assert_eq!(sinr_db(400), Some(40));
        assert_eq!(sinr_db(-31), None);
        assert_eq!(sinr_db(401), None);
        assert_eq!(sinr_db(i64::MIN), None);
    }
}
