//! Base values applied: from fields as they stand to records that each stand alone (RFC 8428 §4.6).

use super::fields::{Fields, Number};
use super::{PackError, PackLimits};
use crate::lwm2m::value::Value;

/// The version that a pack without one has, and the newest that is understood.
const VERSION: i64 = 10;

/// A record on its own. Its time is absolute or relative, see [`super::SenmlRecord::at`].
#[derive(Clone, Debug, PartialEq)]
pub(in crate::lwm2m::codec) struct Resolved {
    pub(in crate::lwm2m::codec) name: String,
    pub(in crate::lwm2m::codec) value: Value,
    pub(in crate::lwm2m::codec) time_seconds: Option<f64>,
}

/// What the records so far have set for those that follow.
#[derive(Debug, Default)]
pub(in crate::lwm2m::codec) struct Resolver {
    records: usize,
    version: Option<i64>,
    base_name: String,
    base_time: Option<f64>,
    base_value: Option<Number>,
    has_base_sum: bool,
}

impl Resolver {
    /// The next record of the pack; `None` where it has only a sum, which LwM2M knows nothing of.
    pub(in crate::lwm2m::codec) fn resolve(
        &mut self,
        fields: Fields,
        limits: &PackLimits,
    ) -> Result<Option<Resolved>, PackError> {
        if self.records == limits.records_max {
            return Err(PackError::TooManyRecords);
        }
        self.check_version(fields.version)?;
        self.records += 1;
        if let Some(name) = fields.base_name {
            self.base_name = name;
        }
        self.base_time = fields.base_time.or(self.base_time);
        self.base_value = fields.base_value.or(self.base_value);
        self.has_base_sum |= fields.has_base_sum;
        let has_sum = fields.has_sum || self.has_base_sum;
        // Of value and base value, the one that is missing counts as zero (§4.5.4).
        let value = match (fields.value, self.base_value) {
            (Some(Value::Integer(integer)), Some(base)) => {
                Number::Integer(integer).plus(base)?.into()
            }
            (Some(Value::Float(float)), Some(base)) => Number::Float(float).plus(base)?.into(),
            (Some(value), _) => value,
            (None, Some(base)) => base.into(),
            (None, None) if has_sum => return Ok(None),
            (None, None) => return Err(PackError::NoValue),
        };
        let name = self.base_name.clone() + &fields.name.unwrap_or_default();
        Ok(Some(Resolved {
            name: limits.name(name)?,
            value,
            time_seconds: sum_of_times(self.base_time, fields.time)?,
        }))
    }

    /// All records have the same version, and none a newer one than we know (§4.4).
    fn check_version(&mut self, said: Option<i64>) -> Result<(), PackError> {
        let version = said.or(self.version).unwrap_or(VERSION);
        let differs = self.records > 0 && self.version != Some(version);
        if differs || !(1..=VERSION).contains(&version) {
            return Err(PackError::Version);
        }
        self.version = Some(version);
        Ok(())
    }
}

fn sum_of_times(base: Option<f64>, own: Option<f64>) -> Result<Option<f64>, PackError> {
    if base.is_none() && own.is_none() {
        return Ok(None);
    }
    let sum = base.unwrap_or(0.0) + own.unwrap_or(0.0);
    Number::finite(sum).map(|number| Some(number.as_float()))
}
