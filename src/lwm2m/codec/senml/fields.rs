//! One record as it stands on the wire, and the labels of its fields.

use super::PackError;
use crate::lwm2m::value::Value;

/// What a field is (RFC 8428 §4.3; the object link is LwM2M's, 1.1 §7.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lwm2m::codec) enum Label {
    BaseVersion,
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    Name,
    Unit,
    Value,
    StringValue,
    BooleanValue,
    Sum,
    Time,
    UpdateTime,
    DataValue,
    ObjectLink,
}

/// With their names in JSON and their numbers in CBOR (RFC 8428 §6, table 4).
const LABELS: [(Label, &str, i64); 15] = [
    (Label::BaseVersion, "bver", -1),
    (Label::BaseName, "bn", -2),
    (Label::BaseTime, "bt", -3),
    (Label::BaseUnit, "bu", -4),
    (Label::BaseValue, "bv", -5),
    (Label::BaseSum, "bs", -6),
    (Label::Name, "n", 0),
    (Label::Unit, "u", 1),
    (Label::Value, "v", 2),
    (Label::StringValue, "vs", 3),
    (Label::BooleanValue, "vb", 4),
    (Label::Sum, "s", 5),
    (Label::Time, "t", 6),
    (Label::UpdateTime, "ut", 7),
    (Label::DataValue, "vd", 8),
];

/// An extension of LwM2M, so its name stands in CBOR too.
const OBJECT_LINK: &str = "vlo";

impl Label {
    /// The label of a JSON member; `None`: one to ignore.
    pub(super) fn of_member(name: &str) -> Result<Option<Self>, PackError> {
        match LABELS.iter().find(|(_, known, _)| *known == name) {
            Some((label, ..)) => Ok(Some(*label)),
            None => Self::of_extension(name),
        }
    }

    /// The label that a text in CBOR is; `None`: one to ignore.
    pub(super) fn of_extension(name: &str) -> Result<Option<Self>, PackError> {
        if name.ends_with('_') {
            return Err(PackError::MustUnderstand);
        }
        Ok((name == OBJECT_LINK).then_some(Self::ObjectLink))
    }

    /// The label that a number in CBOR is; `None`: one to ignore.
    pub(super) fn of_number(number: i64) -> Option<Self> {
        let found = LABELS.iter().find(|(_, _, known)| *known == number)?;
        Some(found.0)
    }
}

/// A number as it was written: whole, or with a fraction or exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::lwm2m::codec) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    /// The nearest float.
    pub(in crate::lwm2m::codec) fn as_float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// Whole as long as both are and the sum fits.
    pub(super) fn plus(self, other: Self) -> Result<Self, PackError> {
        if let (Self::Integer(one), Self::Integer(two)) = (self, other)
            && let Some(sum) = one.checked_add(two)
        {
            return Ok(Self::Integer(sum));
        }
        Self::finite(self.as_float() + other.as_float())
    }

    pub(in crate::lwm2m::codec) fn finite(float: f64) -> Result<Self, PackError> {
        if !float.is_finite() {
            return Err(PackError::NotFinite);
        }
        Ok(Self::Float(float))
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(integer) => Self::Integer(integer),
            Number::Float(float) => Self::Float(float),
        }
    }
}

/// One record as it stands. Units, sums and update times are of no use to LwM2M and not kept.
#[derive(Debug, Default)]
pub(in crate::lwm2m::codec) struct Fields {
    pub(super) version: Option<i64>,
    pub(in crate::lwm2m::codec) base_name: Option<String>,
    pub(in crate::lwm2m::codec) base_time: Option<f64>,
    pub(super) base_value: Option<Number>,
    pub(super) has_base_sum: bool,
    pub(in crate::lwm2m::codec) name: Option<String>,
    pub(in crate::lwm2m::codec) time: Option<f64>,
    pub(super) has_sum: bool,
    pub(super) value: Option<Value>,
    seen: u32,
}

impl Fields {
    /// Notes that a label stands in this record.
    pub(super) fn claim(&mut self, label: Label) -> Result<(), PackError> {
        let bit = 1 << label as u32;
        if self.seen & bit != 0 {
            return Err(PackError::DuplicateField);
        }
        self.seen |= bit;
        Ok(())
    }

    pub(in crate::lwm2m::codec) fn set_value(&mut self, value: Value) -> Result<(), PackError> {
        if self.value.replace(value).is_some() {
            return Err(PackError::SeveralValues);
        }
        Ok(())
    }
}
