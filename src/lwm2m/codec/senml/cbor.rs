//! application/senml+cbor (RFC 8428 §6).

use super::super::cbor::{Items, Writer};
use super::fields::Label;
use super::{Fields, PackError, PackLimits, Resolved, Resolver, SenmlRecord};
use crate::lwm2m::value::Value;

/// How deep a field's value lies: in the array of records, in a record.
const FIELD_DEPTH: usize = 2;

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
    let mut items = Items::new(payload, limits);
    let (mut resolver, mut records) = (Resolver::default(), Vec::new());
    let len = items.array()?;
    let mut done = 0;
    while items.has_more(len, done)? {
        let fields = read_record(&mut items, limits)?;
        records.extend(resolver.resolve(fields, limits)?);
        done += 1;
    }
    items.end()?;
    Ok(records)
}

/// Writes a pack. The base name stands wherever the object instance changes.
pub(in crate::lwm2m) fn encode(records: &[SenmlRecord]) -> Result<Vec<u8>, PackError> {
    let mut writer = Writer::default();
    writer.array(records.len())?;
    let mut base_name = String::new();
    for record in records {
        let base = record.base_name()?;
        write_record(&mut writer, record, (base != base_name).then_some(&base))?;
        base_name = base;
    }
    Ok(writer.into_bytes())
}

fn read_record(items: &mut Items<'_>, limits: &PackLimits) -> Result<Fields, PackError> {
    let mut fields = Fields::default();
    let len = items.map()?;
    let mut done = 0;
    while items.has_more(len, done)? {
        let label = if items.is_text()? {
            Label::of_extension(&items.text(limits.name_bytes_max)?)?
        } else {
            let number = items.integer()?;
            i64::try_from(number).ok().and_then(Label::of_number)
        };
        match label {
            Some(label) => read_field(items, limits, &mut fields, label)?,
            None => items.skip(FIELD_DEPTH)?,
        }
        done += 1;
    }
    Ok(fields)
}

fn read_field(
    items: &mut Items<'_>,
    limits: &PackLimits,
    fields: &mut Fields,
    label: Label,
) -> Result<(), PackError> {
    fields.claim(label)?;
    match label {
        Label::BaseVersion => {
            let version = i64::try_from(items.integer()?);
            fields.version = Some(version.map_err(|_| PackError::Version)?);
        }
        Label::BaseName => fields.base_name = Some(items.text(limits.name_bytes_max)?),
        Label::BaseTime => fields.base_time = Some(items.number()?.as_float()),
        Label::BaseValue => fields.base_value = Some(items.number()?),
        Label::BaseSum => {
            items.number()?;
            fields.has_base_sum = true;
        }
        Label::Name => fields.name = Some(items.text(limits.name_bytes_max)?),
        Label::Time => fields.time = Some(items.number()?.as_float()),
        Label::Sum => {
            items.number()?;
            fields.has_sum = true;
        }
        Label::BaseUnit | Label::Unit | Label::UpdateTime => items.skip(FIELD_DEPTH)?,
        Label::Value => fields.set_value(items.number()?.into())?,
        Label::StringValue => {
            let text = items.text(limits.value_bytes_max)?;
            fields.set_value(Value::Text(text))?;
        }
        Label::BooleanValue => fields.set_value(Value::Boolean(items.boolean()?))?,
        Label::DataValue => fields.set_value(Value::Opaque(items.bytes()?.into()))?,
        Label::ObjectLink => {
            let text = items.text(limits.value_bytes_max)?;
            fields.set_value(super::parse_object_link(&text)?)?;
        }
    }
    Ok(())
}

/// Keys in the order of their bytes: 0 to 8, then the negative ones, then text (RFC 8949 §4.2.1).
fn write_record(
    writer: &mut Writer,
    record: &SenmlRecord,
    base_name: Option<&String>,
) -> Result<(), PackError> {
    let pairs = 2 + usize::from(base_name.is_some()) + usize::from(record.time_seconds.is_some());
    writer.map(pairs)?;
    writer.integer(0)?;
    writer.text(&record.name_in_instance()?)?;
    match &record.value {
        Value::Integer(integer) => {
            writer.integer(2)?;
            writer.integer(*integer)?;
        }
        Value::Float(float) => {
            writer.integer(2)?;
            writer.float(*float)?;
        }
        Value::Text(text) => {
            writer.integer(3)?;
            writer.text(text)?;
        }
        Value::Boolean(boolean) => {
            writer.integer(4)?;
            writer.boolean(*boolean)?;
        }
        Value::Opaque(_) | Value::ObjectLink { .. } => {}
    }
    if let Some(seconds) = record.time_seconds {
        writer.integer(6)?;
        writer.seconds(seconds)?;
    }
    if let Value::Opaque(bytes) = &record.value {
        writer.integer(8)?;
        writer.bytes(bytes)?;
    }
    if let Some(base_name) = base_name {
        writer.integer(-2)?;
        writer.text(base_name)?;
    }
    if let Value::ObjectLink { object, instance } = &record.value {
        writer.text("vlo")?;
        writer.text(&format!("{object}:{instance}"))?;
    }
    Ok(())
}
