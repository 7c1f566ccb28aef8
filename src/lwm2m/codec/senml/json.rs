//! application/senml+json (RFC 8428 §5).

use std::cell::Cell;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::SliceRead;
use serde_json::error::Category;

use super::fields::Label;
use super::{Fields, Number, PackError, PackLimits, Resolved, Resolver, SenmlRecord};
use crate::lwm2m::value::Value;

/// Reads a pack.
pub(in crate::lwm2m) fn decode(
    payload: &[u8],
    limits: &PackLimits,
) -> Result<Vec<SenmlRecord>, PackError> {
    super::records(decode_resolved(payload, limits)?)
}

pub(super) fn decode_resolved(
    payload: &[u8],
    limits: &PackLimits,
) -> Result<Vec<Resolved>, PackError> {
    read(payload, limits, |json, reader| {
        json.deserialize_seq(PackVisitor(reader))
    })
}

/// Writes a pack. The base name stands wherever the object instance changes.
pub(in crate::lwm2m) fn encode(records: &[SenmlRecord]) -> Result<Vec<u8>, PackError> {
    let mut members: Vec<Member<'_>> = Vec::with_capacity(records.len());
    let mut base_name = String::new();
    for record in records {
        let base = record.base_name()?;
        members.push(Member {
            base_name: (base != base_name).then(|| base.clone()),
            name: record.name_in_instance()?,
            value: MemberValue::of(&record.value)?,
            time: record.time_seconds.map(time_number).transpose()?,
        });
        base_name = base;
    }
    serde_json::to_vec(&members).map_err(|_| PackError::Json)
}

#[derive(Serialize)]
struct Member<'r> {
    #[serde(rename = "bn", skip_serializing_if = "Option::is_none")]
    base_name: Option<String>,
    #[serde(rename = "n")]
    name: String,
    #[serde(flatten)]
    value: MemberValue<'r>,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    time: Option<serde_json::Number>,
}

#[derive(Serialize)]
enum MemberValue<'r> {
    #[serde(rename = "v")]
    Number(serde_json::Number),
    #[serde(rename = "vs")]
    Text(&'r str),
    #[serde(rename = "vb")]
    Boolean(bool),
    #[serde(rename = "vd")]
    Data(String),
    #[serde(rename = "vlo")]
    ObjectLink(String),
}

impl<'r> MemberValue<'r> {
    fn of(value: &'r Value) -> Result<Self, PackError> {
        Ok(match value {
            Value::Text(text) => Self::Text(text),
            Value::Integer(integer) => Self::Number((*integer).into()),
            Value::Float(float) => Self::Number(float_number(*float)?),
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::Opaque(bytes) => Self::Data(URL_SAFE_NO_PAD.encode(bytes)),
            Value::ObjectLink { object, instance } => {
                Self::ObjectLink(format!("{object}:{instance}"))
            }
        })
    }
}

/// JSON has no number without an end.
pub(in crate::lwm2m::codec) fn float_number(float: f64) -> Result<serde_json::Number, PackError> {
    serde_json::Number::from_f64(float).ok_or(PackError::NotFinite)
}

/// Whole seconds are written as such.
pub(in crate::lwm2m::codec) fn time_number(seconds: f64) -> Result<serde_json::Number, PackError> {
    match Value::Float(seconds).as_integer() {
        Some(whole) => Ok(whole.into()),
        None => float_number(seconds),
    }
}

/// What visitors need at hand: the limits, and a place for a refusal that serde has no word for.
#[derive(Clone, Copy)]
pub(in crate::lwm2m::codec) struct Reader<'c> {
    pub(in crate::lwm2m::codec) limits: &'c PackLimits,
    refusal: &'c Cell<Option<PackError>>,
}

impl Reader<'_> {
    pub(in crate::lwm2m::codec) fn check<T, E: de::Error>(
        self,
        result: Result<T, PackError>,
    ) -> Result<T, E> {
        result.map_err(|refusal| {
            self.refusal.set(Some(refusal));
            E::custom(refusal)
        })
    }

    pub(in crate::lwm2m::codec) fn text<'de, A: MapAccess<'de>>(
        self,
        map: &mut A,
    ) -> Result<String, A::Error> {
        let text = map.next_value()?;
        self.check(self.limits.text(text))
    }

    pub(in crate::lwm2m::codec) fn name<'de, A: MapAccess<'de>>(
        self,
        map: &mut A,
    ) -> Result<Option<String>, A::Error> {
        let name = map.next_value()?;
        self.check(self.limits.name(name)).map(Some)
    }

    pub(in crate::lwm2m::codec) fn number<'de, A: MapAccess<'de>>(
        self,
        map: &mut A,
    ) -> Result<Number, A::Error> {
        let number: serde_json::Number = map.next_value()?;
        self.check(match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(Number::Integer(integer)),
            // What is beyond an `i64` is the nearest float.
            (None, Some(float)) => Number::finite(float),
            (None, None) => Err(PackError::NotFinite),
        })
    }

    pub(in crate::lwm2m::codec) fn seconds<'de, A: MapAccess<'de>>(
        self,
        map: &mut A,
    ) -> Result<Option<f64>, A::Error> {
        Ok(Some(self.number(map)?.as_float()))
    }
}

/// Reads one JSON text, the whole payload.
pub(in crate::lwm2m::codec) fn read<T>(
    payload: &[u8],
    limits: &PackLimits,
    visit: impl FnOnce(
        &mut serde_json::Deserializer<SliceRead<'_>>,
        Reader<'_>,
    ) -> serde_json::Result<T>,
) -> Result<T, PackError> {
    check_depth(payload, limits.depth_max)?;
    let refusal = Cell::new(None);
    let reader = Reader {
        limits,
        refusal: &refusal,
    };
    let mut json = serde_json::Deserializer::from_slice(payload);
    let result = visit(&mut json, reader).and_then(|read| json.end().map(|()| read));
    result.map_err(|error| {
        refusal.get().unwrap_or_else(|| match error.classify() {
            Category::Data => PackError::WrongType,
            Category::Io | Category::Syntax | Category::Eof => PackError::Json,
        })
    })
}

/// Counts brackets, so that nothing nests deeper than we say, whatever the parser would take.
fn check_depth(payload: &[u8], depth_max: usize) -> Result<(), PackError> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in payload {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return Err(PackError::TooDeep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

struct PackVisitor<'c>(Reader<'c>);

impl<'de> Visitor<'de> for PackVisitor<'_> {
    type Value = Vec<Resolved>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Self(reader) = self;
        let (mut resolver, mut records) = (Resolver::default(), Vec::new());
        while let Some(fields) = seq.next_element_seed(RecordSeed(reader))? {
            records.extend(reader.check(resolver.resolve(fields, reader.limits))?);
        }
        Ok(records)
    }
}

struct RecordSeed<'c>(Reader<'c>);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let Self(reader) = self;
        let mut fields = Fields::default();
        while let Some(member) = map.next_key::<String>()? {
            match reader.check(Label::of_member(&member))? {
                Some(label) => read_field(reader, &mut fields, label, &mut map)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

fn read_field<'de, A: MapAccess<'de>>(
    reader: Reader<'_>,
    fields: &mut Fields,
    label: Label,
    map: &mut A,
) -> Result<(), A::Error> {
    reader.check(fields.claim(label))?;
    match label {
        Label::BaseVersion => fields.version = Some(map.next_value()?),
        Label::BaseName => fields.base_name = reader.name(map)?,
        Label::BaseTime => fields.base_time = reader.seconds(map)?,
        Label::BaseValue => fields.base_value = Some(reader.number(map)?),
        Label::BaseSum => fields.has_base_sum = reader.seconds(map)?.is_some(),
        Label::Name => fields.name = reader.name(map)?,
        Label::Time => fields.time = reader.seconds(map)?,
        Label::Sum => fields.has_sum = reader.seconds(map)?.is_some(),
        Label::BaseUnit | Label::Unit | Label::UpdateTime => {
            map.next_value::<IgnoredAny>()?;
        }
        Label::Value => {
            let number = reader.number(map)?;
            reader.check(fields.set_value(number.into()))?;
        }
        Label::StringValue => {
            let text = reader.text(map)?;
            reader.check(fields.set_value(Value::Text(text)))?;
        }
        Label::BooleanValue => {
            let boolean = map.next_value()?;
            reader.check(fields.set_value(Value::Boolean(boolean)))?;
        }
        Label::DataValue => {
            let bytes = URL_SAFE_NO_PAD.decode(reader.text(map)?);
            let bytes = reader.check(bytes.map_err(|_| PackError::Base64))?;
            reader.check(fields.set_value(Value::Opaque(bytes.into())))?;
        }
        Label::ObjectLink => {
            let text = reader.text(map)?;
            let link = super::parse_object_link(&text).and_then(|link| fields.set_value(link));
            reader.check(link)?;
        }
    }
    Ok(())
}
