//! Which devices are meant, in the words that operators know from other servers: RSQL, the readable
//! form of FIQL (draft-nottingham-atompub-fiql-00).
//!
//! ```text
//! manufacturer==Acme;model==M1                 both
//! model==M1,model==M2                          either; `;` binds more than `,`
//! model=in=(M1,M2);tags=out=(lab,spare)        one of; none of
//! endpoint==86000*;(tier==0,tier==1)           `*` stands for any characters
//! firmware_version!="1.0 beta";registered==true
//! ```
//!
//! `and` and `or`, between spaces, say the same as `;` and `,`. Letters count as they are written. What
//! is not known of a device equals nothing, so `manufacturer!=*` finds those of unknown manufacturer.
//! `tags` has many values: `==` asks whether one of them is so, `!=` whether none is.

mod parse;
mod pattern;

use std::fmt;

use crate::model::{CellId, CoverageTier, Device, DeviceReport};

use self::pattern::Pattern;

/// A filter as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    root: Expression,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {fault}")]
pub struct FilterFault {
    /// Where, counted in characters from 1.
    pub position: usize,
    /// What was found or missed there.
    pub fault: String,
}

/// All that a filter may ask of a device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceFacts<'a> {
    /// What is said of it: by an operator, and where they said nothing, by itself.
    pub device: &'a Device,
    /// What it last reported.
    pub report: &'a DeviceReport,
    /// Whether it has a live registration.
    pub registered: bool,
}

/// A condition, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    /// At least one of them holds; two or more.
    Any(Vec<Self>),
    /// All of them hold; two or more.
    All(Vec<Self>),
    Compare(Comparison),
}

/// One field against one or more values.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    field: FilterField,
    operator: Operator,
    /// One; for [`Operator::In`] and [`Operator::Out`] one or more.
    values: Vec<Pattern>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    In,
    Out,
}

/// What a filter can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FilterField {
    Endpoint,
    Manufacturer,
    Model,
    DeviceType,
    Tags,
    FirmwareVersion,
    CellId,
    Tier,
    Registered,
}

impl Filter {
    /// A longer text, in bytes, is refused.
    pub const TEXT_BYTES_MAX: usize = 8192;

    /// Parentheses within parentheses, at most.
    pub const DEPTH_MAX: usize = 16;

    /// Whether the device is meant.
    pub fn matches(&self, facts: &DeviceFacts<'_>) -> bool {
        self.root.holds(facts)
    }
}

impl Expression {
    fn holds(&self, facts: &DeviceFacts<'_>) -> bool {
        match self {
            Self::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Self::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Self::Compare(comparison) => comparison.holds(facts),
        }
    }
}

impl Comparison {
    fn holds(&self, facts: &DeviceFacts<'_>) -> bool {
        let found = match self.field {
            FilterField::Endpoint => self.any_is(Some(facts.device.endpoint.as_str())),
            FilterField::Manufacturer => {
                self.any_is(facts.device.manufacturer.as_ref().map(|name| name.as_str()))
            }
            FilterField::Model => {
                self.any_is(facts.device.model.as_ref().map(|name| name.as_str()))
            }
            FilterField::DeviceType => {
                self.any_is(facts.device.device_type.as_ref().map(|name| name.as_str()))
            }
            FilterField::Tags => {
                let mut tags = facts.device.tags.iter();
                tags.any(|tag| self.any_is(Some(tag)))
            }
            FilterField::FirmwareVersion => {
                let version = facts.report.firmware_version.as_ref();
                self.any_is(version.map(|version| version.as_str()))
            }
            FilterField::CellId => {
                let cell = facts.report.cell_id.map(|CellId(id)| id.to_string());
                self.any_is(cell.as_deref())
            }
            FilterField::Tier => self.any_is(facts.report.tier.map(CoverageTier::word)),
            FilterField::Registered => self.any_is(Some(truth(facts.registered))),
        };
        match self.operator {
            Operator::Equal | Operator::In => found,
            Operator::NotEqual | Operator::Out => !found,
        }
    }

    fn any_is(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.values.iter().any(|pattern| pattern.matches(value)))
    }
}

impl FilterField {
    const ALL: [Self; 9] = [
        Self::Endpoint,
        Self::Manufacturer,
        Self::Model,
        Self::DeviceType,
        Self::Tags,
        Self::FirmwareVersion,
        Self::CellId,
        Self::Tier,
        Self::Registered,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Manufacturer => "manufacturer",
            Self::Model => "model",
            Self::DeviceType => "device_type",
            Self::Tags => "tags",
            Self::FirmwareVersion => "firmware_version",
            Self::CellId => "cell_id",
            Self::Tier => "tier",
            Self::Registered => "registered",
        }
    }
}

impl Operator {
    const ALL: [Self; 4] = [Self::Equal, Self::NotEqual, Self::In, Self::Out];

    const fn word(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::In => "=in=",
            Self::Out => "=out=",
        }
    }

    const fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Out)
    }
}

/// The filter in its one form: read again, it is the same filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, sign) = match self {
            Self::Compare(comparison) => return comparison.fmt(f),
            Self::Any(parts) => (parts, ","),
            Self::All(parts) => (parts, ";"),
        };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(sign)?;
            }
            match (self, part) {
                (_, Self::Compare(_)) | (Self::Any(_), Self::All(_)) => part.fmt(f)?,
                (_, Self::Any(_) | Self::All(_)) => write!(f, "({part})")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.field.word(), self.operator.word())?;
        if !self.operator.takes_list() {
            return self.values.iter().try_for_each(|value| value.fmt(f));
        }
        for (index, value) in self.values.iter().enumerate() {
            write!(f, "{}{value}", if index == 0 { "(" } else { "," })?;
        }
        f.write_str(")")
    }
}

const fn truth(is_so: bool) -> &'static str {
    if is_so { "true" } else { "false" }
}

#[cfg(test)]
mod tests;
