//! Values of resources in JSON, and as the records that devices are sent.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::http::error::{Problem, kinds};
use crate::lwm2m::{Path, SenmlRecord, Value, encode_kept};

/// One value: a number, a text, `true` or `false`, `{"opaque_base64": "…"}` or
/// `{"object_link": "10:3"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ResourceValue {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A string.
    Text(String),
    /// Bytes.
    Opaque(OpaqueValue),
    /// An object instance.
    ObjectLink(ObjectLinkValue),
}

/// Bytes in base64 (RFC 4648 §4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpaqueValue {
    /// The bytes.
    opaque_base64: String,
}

/// An object instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectLinkValue {
    /// Object and instance, `10:3`.
    object_link: String,
}

/// A resource's value, or those of its instances by their ids.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum WrittenValue {
    /// Of a resource that has one.
    One(ResourceValue),
    /// Of a resource that has several.
    Several(BTreeMap<String, ResourceValue>),
}

impl ResourceValue {
    fn to_value(&self, field: &str) -> Result<Value, Problem> {
        Ok(match self {
            Self::Boolean(boolean) => Value::Boolean(*boolean),
            Self::Integer(integer) => Value::Integer(*integer),
            Self::Float(float) => Value::Float(*float),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Opaque(OpaqueValue { opaque_base64 }) => Value::Opaque(from_base64(
                &format!("{field}.opaque_base64"),
                opaque_base64,
            )?),
            Self::ObjectLink(ObjectLinkValue { object_link }) => {
                let link = object_link.split_once(':').and_then(|(object, instance)| {
                    Some((object.parse().ok()?, instance.parse().ok()?))
                });
                let (object, instance) = link.ok_or_else(|| {
                    let fault = "must be an object and an instance, such as 10:3";
                    Problem::invalid_field(format!("{field}.object_link"), fault)
                })?;
                Value::ObjectLink { object, instance }
            }
        })
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.clone()),
            Value::Integer(integer) => Self::Integer(*integer),
            Value::Float(float) => Self::Float(*float),
            Value::Boolean(boolean) => Self::Boolean(*boolean),
            Value::Opaque(bytes) => Self::Opaque(OpaqueValue {
                opaque_base64: to_base64(bytes),
            }),
            Value::ObjectLink { object, instance } => Self::ObjectLink(ObjectLinkValue {
                object_link: format!("{object}:{instance}"),
            }),
        }
    }
}

/// The bytes of a field in base64.
pub(in crate::http::devices) fn from_base64(field: &str, text: &str) -> Result<Bytes, Problem> {
    let bytes = STANDARD.decode(text);
    let bytes = bytes.map_err(|fault| Problem::invalid_field(field, fault))?;
    Ok(bytes.into())
}

/// Bytes in base64.
pub(in crate::http::devices) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// One value of one resource as it is kept for the device.
pub(in crate::http::devices) fn keep_value(path: Path, value: Value) -> Result<Bytes, Problem> {
    keep(&[SenmlRecord::new(path, value)])
}

/// What is to be written to a resource.
pub(super) fn written_value(path: Path, value: &ResourceValue) -> Result<Bytes, Problem> {
    if path.resource.is_none() {
        let fault = "is of a resource; an instance has values by their ids";
        return Err(Problem::invalid_field("value", fault));
    }
    keep_value(path, value.to_value("value")?)
}

/// What is to be written to an instance, or to a resource of several instances.
pub(super) fn written_values(
    path: Path,
    values: &BTreeMap<String, WrittenValue>,
) -> Result<Bytes, Problem> {
    let Some(instance) = path.instance else {
        let fault = "is of an instance or a resource: an object is not written as a whole";
        return Err(Problem::invalid_field("values", fault));
    };
    if values.is_empty() {
        return Err(Problem::invalid_field("values", "must not be empty"));
    }
    let mut records = Vec::new();
    for (key, value) in values {
        let field = format!("values.{key}");
        let id = parse_id(&field, key)?;
        match (path.resource, value) {
            (None, value) => {
                let resource = Path::of_resource(path.object, instance, id);
                records.extend(resource_records(&field, resource, value)?);
            }
            (Some(_), WrittenValue::One(value)) => {
                records.push(instance_record(path, id, value.to_value(&field)?));
            }
            (Some(_), WrittenValue::Several(_)) => {
                let fault = "must be one value";
                return Err(Problem::invalid_field(field, fault));
            }
        }
    }
    keep(&records)
}

/// What a device said, as `value` where a resource was asked for that has one, else as `values` by their
/// ids below what was asked for.
pub(super) fn shown(path: Path, records: &[SenmlRecord]) -> (Option<ResourceValue>, Option<Json>) {
    if let [only] = records
        && only.path == path
        && only.resource_instance.is_none()
    {
        return (Some(ResourceValue::of(&only.value)), None);
    }
    let mut values = Map::new();
    for record in records {
        let ids = [
            record.path.instance.filter(|_| path.instance.is_none()),
            record.path.resource.filter(|_| path.resource.is_none()),
            record.resource_instance,
        ];
        let ids: Vec<String> = ids.into_iter().flatten().map(|id| id.to_string()).collect();
        let value = serde_json::to_value(ResourceValue::of(&record.value));
        insert(&mut values, &ids, value.unwrap_or_default());
    }
    (None, Some(Json::Object(values)))
}

fn insert(values: &mut Map<String, Json>, ids: &[String], value: Json) {
    match ids {
        [] => {}
        [last] => {
            values.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = values
                .entry(first.clone())
                .or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn resource_records(
    field: &str,
    path: Path,
    value: &WrittenValue,
) -> Result<Vec<SenmlRecord>, Problem> {
    match value {
        WrittenValue::One(value) => Ok(vec![SenmlRecord::new(path, value.to_value(field)?)]),
        WrittenValue::Several(values) => values
            .iter()
            .map(|(key, value)| {
                let field = format!("{field}.{key}");
                let id = parse_id(&field, key)?;
                Ok(instance_record(path, id, value.to_value(&field)?))
            })
            .collect(),
    }
}

const fn instance_record(path: Path, id: u16, value: Value) -> SenmlRecord {
    SenmlRecord {
        path,
        resource_instance: Some(id),
        value,
        time_seconds: None,
    }
}

fn parse_id(field: &str, key: &str) -> Result<u16, Problem> {
    key.parse()
        .map_err(|_| Problem::invalid_field(field, "must be under its id, a number up to 65535"))
}

fn keep(records: &[SenmlRecord]) -> Result<Bytes, Problem> {
    encode_kept(records).map_err(|error| Problem::new(kinds::INVALID_FIELD, error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lwm2m::decode_kept;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn read_back(at: &str, content: &[u8]) -> Json {
        let records = decode_kept(content).unwrap();
        let (value, values) = shown(path(at), &records);
        match value {
            Some(value) => serde_json::to_value(value).unwrap(),
            None => values.unwrap(),
        }
    }

    #[test]
    fn every_type_of_value_reads_back_as_it_was_written() {
        for value in [
            json!(7),
            json!(-97.5),
            json!("V1"),
            json!(true),
            json!({"opaque_base64": "AP8="}),
            json!({"object_link": "10:3"}),
        ] {
            let parsed: ResourceValue = serde_json::from_value(value.clone()).unwrap();
            let content = written_value(path("/3/0/14"), &parsed).unwrap();
            assert_eq!(read_back("/3/0/14", &content), value);
        }
    }

    #[test]
    fn values_are_nested_below_what_was_asked_for() {
        let values = json!({"1": 300, "16": {"0": "a", "1": {"object_link": "3:0"}}});
        let parsed = serde_json::from_value(values.clone()).unwrap();
        let content = written_values(path("/1/0"), &parsed).unwrap();
        assert_eq!(read_back("/1/0", &content), values);
        assert_eq!(read_back("/1", &content), json!({"0": values}));
        let instances = json!({"0": 1, "7": 2});
        let parsed = serde_json::from_value(instances.clone()).unwrap();
        let content = written_values(path("/3/0/6"), &parsed).unwrap();
        assert_eq!(read_back("/3/0/6", &content), instances);
    }

    #[test]
    fn what_is_no_value_is_refused_by_its_field() {
        let refused = |at: &str, values: Json| {
            let parsed = serde_json::from_value(values).unwrap();
            let problem = written_values(path(at), &parsed).unwrap_err();
            String::from_utf8(problem.to_json(crate::model::Language::En)).unwrap()
        };
        for (at, values, field) in [
            ("/1", json!({"1": 1}), "values"),
            ("/1/0", json!({}), "values"),
            ("/1/0", json!({"x": 1}), "values.x"),
            (
                "/1/0",
                json!({"1": {"opaque_base64": "A"}}),
                "values.1.opaque_base64",
            ),
            (
                "/1/0",
                json!({"1": {"object_link": "10"}}),
                "values.1.object_link",
            ),
            ("/1/0/1", json!({"0": {"1": 1}}), "values.0"),
        ] {
            let said = refused(at, values);
            assert!(said.contains(&format!("\"field\":\"{field}\"")), "{said}");
        }
        let value = ResourceValue::Integer(1);
        assert!(written_value(path("/1/0"), &value).is_err());
    }
}
