//! application/vnd.oma.lwm2m+json: the JSON of LwM2M 1.0 (§6.4.4), SenML's forerunner.
//!
//! One object with the base name, the base time and the array of entries. There is no field for bytes:
//! they stand as base64 in a string, so the reader must know which resources are opaque.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::senml::json::{Reader, float_number, read, time_number};
use super::senml::{
    Fields, PackError, PackLimits, Resolver, SenmlRecord, parse_object_link, records,
};
use crate::lwm2m::path::Path;
use crate::lwm2m::value::{DataType, Value};

/// Reads the entries of an answer to a request for `asked`: without a base name, names are relative to
/// it, as in the specification's own example.
pub(in crate::lwm2m) fn decode(
    asked: Option<Path>,
    payload: &[u8],
    limits: &PackLimits,
) -> Result<Vec<SenmlRecord>, PackError> {
    let body = read(payload, limits, |json, reader| {
        json.deserialize_map(BodyVisitor(reader))
    })?;
    let mut resolver = Resolver::default();
    let mut resolved = Vec::with_capacity(body.entries.len());
    for mut fields in body.entries {
        match &body.base_name {
            Some(name) => fields.base_name = Some(name.clone()),
            None => fields.name = Some(absolute(asked, fields.name)?),
        }
        fields.base_time = body.base_time;
        resolved.extend(resolver.resolve(fields, limits)?);
    }
    let mut records = records(resolved)?;
    for record in &mut records {
        if let (DataType::Opaque, Value::Text(text)) = (DataType::of(record.path), &record.value) {
            let bytes = STANDARD.decode(text).map_err(|_| PackError::Base64)?;
            record.value = Value::Opaque(bytes.into());
        }
    }
    Ok(records)
}

/// Writes entries below the object instance that they share, or below the root.
pub(in crate::lwm2m) fn encode(records: &[SenmlRecord]) -> Result<Vec<u8>, PackError> {
    let bases: Vec<String> = records
        .iter()
        .map(SenmlRecord::base_name)
        .collect::<Result<_, _>>()?;
    let is_shared = bases.windows(2).all(|pair| pair[0] == pair[1]);
    let base_name = match bases.first() {
        Some(base) if is_shared => base,
        Some(_) | None => "/",
    };
    let mut entries = Vec::with_capacity(records.len());
    for (record, base) in records.iter().zip(&bases) {
        let beyond_base = base.strip_prefix(base_name).unwrap_or_default();
        entries.push(Entry {
            name: format!("{beyond_base}{}", record.name_in_instance()?),
            value: EntryValue::of(&record.value)?,
            time: record.time_seconds.map(time_number).transpose()?,
        });
    }
    serde_json::to_vec(&WrittenBody { base_name, entries }).map_err(|_| PackError::Json)
}

fn absolute(asked: Option<Path>, name: Option<String>) -> Result<String, PackError> {
    match (name, asked) {
        (Some(name), _) if name.starts_with('/') => Ok(name),
        (Some(name), Some(asked)) if !name.is_empty() => Ok(format!("{asked}/{name}")),
        (Some(_) | None, Some(asked)) => Ok(asked.to_string()),
        (Some(_) | None, None) => Err(PackError::Name),
    }
}

#[derive(Serialize)]
struct WrittenBody<'r> {
    #[serde(rename = "bn")]
    base_name: &'r str,
    #[serde(rename = "e")]
    entries: Vec<Entry<'r>>,
}

#[derive(Serialize)]
struct Entry<'r> {
    #[serde(rename = "n")]
    name: String,
    #[serde(flatten)]
    value: EntryValue<'r>,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    time: Option<serde_json::Number>,
}

#[derive(Serialize)]
enum EntryValue<'r> {
    #[serde(rename = "v")]
    Number(serde_json::Number),
    #[serde(rename = "sv")]
    Text(&'r str),
    #[serde(rename = "bv")]
    Boolean(bool),
    #[serde(rename = "sv")]
    Data(String),
    #[serde(rename = "ov")]
    ObjectLink(String),
}

impl<'r> EntryValue<'r> {
    fn of(value: &'r Value) -> Result<Self, PackError> {
        Ok(match value {
            Value::Text(text) => Self::Text(text),
            Value::Integer(integer) => Self::Number((*integer).into()),
            Value::Float(float) => Self::Number(float_number(*float)?),
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::Opaque(bytes) => Self::Data(STANDARD.encode(bytes)),
            Value::ObjectLink { object, instance } => {
                Self::ObjectLink(format!("{object}:{instance}"))
            }
        })
    }
}

#[derive(Default)]
struct Body {
    base_name: Option<String>,
    base_time: Option<f64>,
    entries: Vec<Fields>,
}

struct BodyVisitor<'c>(Reader<'c>);

impl<'de> Visitor<'de> for BodyVisitor<'_> {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with entries")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let Self(reader) = self;
        let mut body = Body::default();
        let mut entries = None;
        while let Some(member) = map.next_key::<String>()? {
            match member.as_str() {
                "bn" if body.base_name.is_none() => body.base_name = reader.name(&mut map)?,
                "bt" if body.base_time.is_none() => body.base_time = reader.seconds(&mut map)?,
                "e" if entries.is_none() => entries = Some(map.next_value_seed(Entries(reader))?),
                "bn" | "bt" | "e" => reader.check(Err(PackError::DuplicateField))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        body.entries = reader.check(entries.ok_or(PackError::WrongType))?;
        Ok(body)
    }
}

struct Entries<'c>(Reader<'c>);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Vec<Fields>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Fields>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<Fields>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Fields>, A::Error> {
        let Self(reader) = self;
        let mut entries = Vec::new();
        while let Some(fields) = seq.next_element_seed(EntrySeed(reader))? {
            if entries.len() == reader.limits.records_max {
                return reader.check(Err(PackError::TooManyRecords));
            }
            entries.push(fields);
        }
        Ok(entries)
    }
}

struct EntrySeed<'c>(Reader<'c>);

impl<'de> DeserializeSeed<'de> for EntrySeed<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let Self(reader) = self;
        let mut fields = Fields::default();
        while let Some(member) = map.next_key::<String>()? {
            let value = match member.as_str() {
                "n" if fields.name.is_none() => {
                    fields.name = reader.name(&mut map)?;
                    continue;
                }
                "t" if fields.time.is_none() => {
                    fields.time = reader.seconds(&mut map)?;
                    continue;
                }
                "n" | "t" => return reader.check(Err(PackError::DuplicateField)),
                "v" => reader.number(&mut map)?.into(),
                "sv" => Value::Text(reader.text(&mut map)?),
                "bv" => Value::Boolean(map.next_value()?),
                "ov" => {
                    let text = reader.text(&mut map)?;
                    reader.check(parse_object_link(&text))?
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            reader.check(fields.set_value(value))?;
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    const LIMITS: PackLimits = PackLimits::DEFAULT;

    fn decode_text(asked: Path, text: &str) -> Result<Vec<SenmlRecord>, PackError> {
        decode(Some(asked), text.as_bytes(), &LIMITS)
    }

    fn values(records: &[SenmlRecord]) -> Vec<(String, Option<u16>, Value)> {
        let of = |it: &SenmlRecord| (it.path.to_string(), it.resource_instance, it.value.clone());
        records.iter().map(of).collect()
    }

    /// LwM2M 1.0 §6.4.4: `/3/0`, in part. There is no base name.
    #[test]
    fn without_a_base_name_names_are_relative_to_what_was_asked() {
        let device = decode_text(
            Path::of_instance(3, 0),
            r#"{"e":[{"n":"0","sv":"Open Mobile Alliance"},{"n":"6/0","v":1},{"n":"7/1","v":5000}]}"#,
        )
        .unwrap();
        assert_eq!(
            values(&device),
            [
                (
                    "/3/0/0".into(),
                    None,
                    Value::Text("Open Mobile Alliance".into())
                ),
                ("/3/0/6".into(), Some(0), Value::Integer(1)),
                ("/3/0/7".into(), Some(1), Value::Integer(5000)),
            ]
        );
        for text in [
            r#"{"e":[{"v":2}]}"#,
            r#"{"e":[{"n":"","v":2}]}"#,
            r#"{"e":[{"n":"/5/0/3","v":2}]}"#,
        ] {
            let state = decode_text(Path::of_resource(5, 0, 3), text).unwrap();
            assert_eq!(values(&state), [("/5/0/3".into(), None, Value::Integer(2))]);
        }
        let nothing_asked = decode(None, br#"{"e":[{"n":"3","v":2}]}"#, &LIMITS);
        assert_eq!(nothing_asked, Err(PackError::Name));
    }

    /// LwM2M 1.0 §6.4.4: object links below the root, and readings with their times.
    #[test]
    fn links_below_the_root_and_times_beside_the_base_time() {
        let links = decode_text(
            Path::of_object(65),
            r#"{"bn":"/","e":[{"n":"65/0/0/0","ov":"66:0"},{"n":"65/0/1","sv":"8613800755500"},
                {"n":"65/0/2","v":1},{"n":"65/0/3","bv":true}]}"#,
        )
        .unwrap();
        let link = Value::ObjectLink {
            object: 66,
            instance: 0,
        };
        assert_eq!(values(&links)[0], ("/65/0/0".into(), Some(0), link));
        assert_eq!(links[3].value, Value::Boolean(true));
        let readings = decode_text(
            Path::of_resource(3303, 0, 5700),
            r#"{"e":[{"n":"","v":22.4,"t":-5},{"n":"","v":22.9,"t":-30}],"bn":"/3303/0/5700","bt":25462634}"#,
        )
        .unwrap();
        let times = readings.iter().map(|it| it.time_seconds);
        assert!(times.eq([Some(25_462_629.0), Some(25_462_604.0)]));
    }

    #[test]
    fn bytes_stand_as_base64_where_the_resource_is_opaque() {
        let uplink = Path::of_resource(19, 0, 0);
        let record = SenmlRecord::new(uplink, Value::Opaque(Bytes::from_static(b"hi \n")));
        let payload = encode(std::slice::from_ref(&record)).unwrap();
        assert_eq!(
            payload,
            br#"{"bn":"/19/0/","e":[{"n":"0","sv":"aGkgCg=="}]}"#
        );
        assert_eq!(decode(None, &payload, &LIMITS), Ok(vec![record]));
        let broken = decode_text(uplink, r#"{"e":[{"sv":"aGkgCg"}]}"#);
        assert_eq!(broken, Err(PackError::Base64));
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        let many = vec![r#"{"n":"3","v":1}"#; LIMITS.records_max + 1].join(",");
        for (text, refusal) in [
            (r#"{"bn":"/5/0/"}"#, PackError::WrongType),
            (r#"[{"n":"/5/0/3","v":1}]"#, PackError::WrongType),
            (r#"{"e":[{"n":"3","v":"1"}]}"#, PackError::WrongType),
            (r#"{"e":[{"n":"3","v":1}]"#, PackError::Json),
            (r#"{"e":[{"n":"3"}]}"#, PackError::NoValue),
            (
                r#"{"e":[{"n":"3","v":1,"sv":"1"}]}"#,
                PackError::SeveralValues,
            ),
            (
                r#"{"e":[{"n":"3","n":"3","v":1}]}"#,
                PackError::DuplicateField,
            ),
            (r#"{"e":[],"e":[]}"#, PackError::DuplicateField),
            (r#"{"bn":"/5/0","e":[{"n":"3","v":1}]}"#, PackError::Name),
            (r#"{"e":[{"n":"0","ov":"66"}]}"#, PackError::ObjectLink),
            (r#"{"x":[[[[[[[[]]]]]]]],"e":[]}"#, PackError::TooDeep),
            (&format!(r#"{{"e":[{many}]}}"#), PackError::TooManyRecords),
        ] {
            assert_eq!(
                decode_text(Path::of_instance(5, 0), text),
                Err(refusal),
                "{text}"
            );
        }
    }

    #[test]
    fn names_go_below_the_root_where_instances_differ() {
        let of = |object| SenmlRecord::new(Path::of_resource(object, 0, 1), Value::Integer(1));
        let mut records = [of(3), of(4)];
        records[1].time_seconds = Some(-5.0);
        let payload = encode(&records).unwrap();
        assert_eq!(
            std::str::from_utf8(&payload).unwrap(),
            r#"{"bn":"/","e":[{"n":"3/0/1","v":1},{"n":"4/0/1","v":1,"t":-5}]}"#
        );
    }

    proptest! {
        #[test]
        fn records_read_back(records in crate::lwm2m::codec::senml::tests::records()) {
            // Only where it is known to be opaque does a resource have bytes.
            let records: Vec<_> = records
                .into_iter()
                .filter(|it| !matches!(it.value, Value::Opaque(_)))
                .filter(|it| DataType::of(it.path) != DataType::Opaque)
                .collect();
            let payload = encode(&records).unwrap();
            prop_assert_eq!(decode(None, &payload, &LIMITS), Ok(records));
        }

        #[test]
        fn any_text_is_read_or_refused(text in r#"\{"e":[\[\]{}",:0-9nvbtsde/.\\_ -]{0,64}"#) {
            let _ = decode(None, text.as_bytes(), &LIMITS);
        }
    }
}
