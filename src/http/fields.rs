//! Fields of requests: parsed into types at the border, with a problem that names the field.

use crate::clock::Utc;
use crate::model::{DeviceModel, DeviceType, FirmwareVersion, InvalidName, Manufacturer};

use super::error::Problem;
use crate::campaign::Filter;

/// A text field that becomes a name.
pub(super) trait NameField: Sized {
    /// Parses the text.
    fn parse_name(text: &str) -> Result<Self, InvalidName>;
}

macro_rules! name_fields {
    ($( $name:ident ),+) => {
        $( impl NameField for $name {
            fn parse_name(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        } )+
    };
}

name_fields!(DeviceModel, DeviceType, FirmwareVersion, Manufacturer);

/// The name in a field.
pub(super) fn name<T: NameField>(field: &str, text: &str) -> Result<T, Problem> {
    T::parse_name(text).map_err(|fault| Problem::invalid_field(field, fault))
}

/// The name in a field that may be missing.
pub(super) fn optional_name<T: NameField>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    text.map(|text| name(field, text)).transpose()
}

/// A title that an operator gives: 1 to `chars_max` characters, none of them a control character.
pub(super) fn title(field: &str, text: &str, chars_max: usize) -> Result<(), Problem> {
    let chars = text.chars().count();
    if chars == 0 || chars > chars_max || text.chars().any(char::is_control) {
        let fault = format!("must have 1 to {chars_max} characters and no control characters");
        return Err(Problem::invalid_field(field, fault));
    }
    Ok(())
}

/// A filter of devices; the problem says where it is none.
pub(super) fn filter(field: &str, text: &str) -> Result<Filter, Problem> {
    Filter::parse(text).map_err(|fault| Problem::invalid_field(field, fault))
}

/// A word out of a fixed list.
pub(super) fn word<T: Copy>(
    field: &str,
    text: &str,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<T, Problem> {
    all.iter()
        .copied()
        .find(|one| word(*one) == text)
        .ok_or_else(|| {
            let words: Vec<_> = all.iter().copied().map(word).collect();
            Problem::invalid_field(field, format!("must be one of {}", words.join(", ")))
        })
}

/// A time: RFC 3339, with any offset.
pub(super) fn timestamp(field: &str, text: &str) -> Result<Utc, Problem> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| Problem::invalid_field(field, "must be a time like 2027-01-31T00:00:00Z"))?;
    Ok(Utc::from_unix_ms(time.as_millisecond()))
}

/// A time as it is shown: RFC 3339 in UTC.
pub(super) fn time(at: Utc) -> String {
    at.to_string()
}
